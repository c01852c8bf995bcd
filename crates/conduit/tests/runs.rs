//! Work that outlives the request that starts it.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use conduit::Header;
use conduit::events::LastEventId;
use conduit::hub::{EngineFuture, HubEngine, HubError, Position, Replica};
use conduit::openapi::Info;
use conduit::prelude::*;
use conduit::runs::{Accepted, RunEvents, RunUpdate, Runs, RunsConfig};
use conduit::testing::{TestClient, TestStream};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Progress {
    second: u32,
}

#[derive(Clone, FromRef)]
struct Jobs {
    runs: Runs<Progress>,
    ends: Sender<&'static str>,
}

#[derive(Deserialize, JsonSchema)]
struct User {
    x_user: String,
}

struct Reports(Sender<&'static str>);

impl Drop for Reports {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.0.send("dropped");
    }
}

/// Counts seconds up to a number; 13 fails, and 14 panics.
#[post("/jobs/{seconds}")]
async fn start(
    seconds: Path<u32>,
    user: Header<User>,
    runs: State<Runs<Progress>>,
    ends: State<Sender<&'static str>>,
) -> Result<Accepted, Problem> {
    let run = runs.start(&user.x_user, "count", async move |run| {
        let _reports = Reports(ends.0);
        for second in 1..=*seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            run.report(&Progress { second }).await?;
        }
        match *seconds {
            13 => Err(conduit::BoxError::from("a secret cause")),
            14 => panic!("a mistake"),
            _ => Ok(()),
        }
    });
    let run = run.await?;
    Ok(Accepted::at(format!("/jobs/{}", run.id())))
}

#[get("/jobs/{id}")]
async fn follow(
    id: Path<String>,
    user: Header<User>,
    runs: State<Runs<Progress>>,
    last: LastEventId,
) -> Result<RunEvents<Progress>, Problem> {
    runs.find(&user.x_user, &id)?.events(last).await
}

#[delete("/jobs/{id}")]
async fn cancel(id: Path<String>, user: Header<User>, runs: State<Runs<Progress>>) -> Result<NoContent, Problem> {
    runs.find(&user.x_user, &id)?.cancel().await?;
    Ok(NoContent)
}

const ROUTES: Routes<Jobs> = routes![start, follow, cancel];

struct Setup {
    client: TestClient,
    runs: Runs<Progress>,
    ends: std::sync::mpsc::Receiver<&'static str>,
}

fn setup(config: RunsConfig) -> Setup {
    let (sender, ends) = channel();
    let runs = Runs::with(config);
    let jobs = Jobs {
        runs: runs.clone(),
        ends: sender,
    };
    let client = TestClient::new(App::new(jobs).routes(ROUTES)).with_header("x-user", "ada");
    Setup { client, runs, ends }
}

impl Setup {
    fn default() -> Self {
        setup(RunsConfig::default())
    }

    #[track_caller]
    fn start(&self, seconds: u32) -> String {
        let response = self.client.post(&format!("/jobs/{seconds}")).send();
        response.assert_status(202);
        response.header("location").expect("a location").to_owned()
    }

    #[track_caller]
    fn dropped(&self) {
        let end = self.ends.recv_timeout(Duration::from_secs(30));
        assert_eq!(end, Ok("dropped"));
    }
}

/// The data and the identity of the next event.
#[track_caller]
fn next(stream: &mut TestStream) -> (String, String) {
    let event = stream.event().expect("an event");
    (event.data, event.id.unwrap_or_default())
}

#[test]
fn finished_runs_may_have_an_unlimited_retention() {
    let setup = setup(RunsConfig {
        retention: Duration::MAX,
        ..RunsConfig::default()
    });
    let location = setup.start(1);
    let mut stream = setup.client.get(&location).stream();
    setup.client.advance(Duration::from_secs(2));
    assert!(next(&mut stream).0.contains("running"));
    assert!(next(&mut stream).0.contains("succeeded"));
    setup.client.advance(Duration::from_secs(24 * 3600));
    setup.client.get(&location).send().assert_status(200);
}

#[test]
fn location_of_accepted_work_is_percent_encoded() {
    #[post("/reports")]
    fn report() -> Accepted {
        Accepted::at("/reports/f\u{fc}r alle?a=%20&b")
    }
    let client = TestClient::new(App::new(()).routes(routes![report]));
    let response = client.post("/reports").send();
    response
        .assert_status(202)
        .assert_header("location", "/reports/f%C3%BCr%20alle?a=%20&b");
}

#[test]
fn run_outlives_its_client_and_its_progress_continues_after_the_last_event() {
    let setup = Setup::default();
    let location = setup.start(4);
    let mut first = setup.client.get(&location).stream();
    setup.client.advance(Duration::from_secs(2));
    let (data, id) = next(&mut first);
    assert_eq!(data, r#"{"state":"running","progress":{"second":1}}"#);
    drop(first);
    setup.client.advance(Duration::from_secs(10));
    setup.dropped();
    let mut again = setup.client.get(&location).header("last-event-id", &id).stream();
    for second in 2..=4 {
        let expected = format!(r#"{{"state":"running","progress":{{"second":{second}}}}}"#);
        assert_eq!(next(&mut again).0, expected);
    }
    let (data, last) = next(&mut again);
    assert_eq!(data, r#"{"state":"succeeded"}"#);
    assert_eq!(again.event(), None, "the stream ends");
    // Otherwise `EventSource` would not stop reconnecting.
    setup
        .client
        .get(&location)
        .header("last-event-id", &last)
        .send()
        .assert_status(204);
    let mut all = setup.client.get(&location).stream();
    assert_eq!(next(&mut all).0, r#"{"state":"running","progress":{"second":1}}"#);
}

#[test]
fn cancelled_run_is_dropped_where_it_waits() {
    let setup = Setup::default();
    let location = setup.start(1000);
    let mut stream = setup.client.get(&location).stream();
    setup.client.delete(&location).send().assert_status(204);
    setup.dropped();
    assert_eq!(next(&mut stream).0, r#"{"state":"cancelled"}"#);
    assert_eq!(stream.event(), None);
    assert_eq!(setup.runs.in_progress(), 0);
    // Again, and after the end.
    setup.client.delete(&location).send().assert_status(204);
}

#[test]
fn failure_and_panic_end_the_run_without_their_cause() {
    let setup = Setup::default();
    for seconds in [13, 14] {
        let location = setup.start(seconds);
        let mut stream = setup.client.get(&location).stream();
        setup.client.advance(Duration::from_secs(60));
        setup.dropped();
        for _ in 0..seconds {
            assert!(next(&mut stream).0.contains("running"));
        }
        assert_eq!(next(&mut stream).0, r#"{"state":"failed"}"#);
        assert_eq!(stream.event(), None);
    }
    assert_eq!(setup.runs.in_progress(), 0);
}

#[test]
fn run_of_another_owner_does_not_exist() {
    let setup = Setup::default();
    let location = setup.start(1000);
    let eve = setup.client.clone().with_header("x-user", "eve");
    let other = |method: &str, location: &str| eve.request(method, location).send();
    other("GET", &location).assert_status(404);
    other("DELETE", &location).assert_status(404);
    assert_eq!(setup.runs.in_progress(), 1);
    setup.client.get("/jobs/unknown").send().assert_status(404);
}

#[test]
fn runs_have_bounds() {
    let setup = setup(RunsConfig {
        runs: 3,
        runs_of_owner: 2,
        ..RunsConfig::default()
    });
    let first = setup.start(1000);
    setup.start(1000);
    let full = setup.client.post("/jobs/1").send();
    full.assert_status(429).assert_header("retry-after", "1");
    assert!(full.text().contains("limit of runs"), "{full}");
    let bob = setup.client.clone().with_header("x-user", "bob");
    bob.post("/jobs/1000").send().assert_status(202);
    let full = bob.post("/jobs/1000").send();
    full.assert_status(503).assert_header("retry-after", "1");
    setup.client.delete(&first).send().assert_status(204);
    setup.dropped();
    while setup.runs.in_progress() == 3 {}
    setup.start(1000);
}

#[test]
fn ended_run_is_removed_after_its_time() {
    let setup = setup(RunsConfig {
        finished_runs: 2,
        ..RunsConfig::default()
    });
    let locations: Vec<String> = (0..3)
        .map(|_| {
            let location = setup.start(0);
            setup.dropped();
            location
        })
        .collect();
    while setup.runs.in_progress() > 0 {}
    setup.client.get(&locations[0]).send().assert_status(404);
    assert_eq!(
        next(&mut setup.client.get(&locations[2]).stream()).0,
        r#"{"state":"succeeded"}"#
    );
    setup.client.advance(Duration::from_secs(301));
    setup.client.get(&locations[2]).send().assert_status(404);
}

/// The history of the hub has no last update, or no longer has it.
#[test]
fn stream_of_an_ended_run_has_its_result_without_a_history() {
    let setup = setup(RunsConfig {
        updates: 0,
        ..RunsConfig::default()
    });
    let location = setup.start(2);
    let mut live = setup.client.get(&location).stream();
    setup.client.advance(Duration::from_secs(2));
    setup.dropped();
    let (_, first) = next(&mut live);
    next(&mut live);
    let (data, last) = next(&mut live);
    assert_eq!(data, r#"{"state":"succeeded"}"#);
    assert_eq!(live.event(), None);
    let mut late = setup.client.get(&location).stream();
    assert_eq!(next(&mut late), (data.clone(), last.clone()));
    assert_eq!(late.event(), None);
    let mut again = setup.client.get(&location).header("last-event-id", &first).stream();
    assert_eq!(again.event().expect("an event").event, "missed");
    assert_eq!(next(&mut again), (data, last.clone()));
    assert_eq!(again.event(), None);
    let known = setup.client.get(&location).header("last-event-id", &last);
    known.send().assert_status(204);
}

/// Reports more updates than a worker queues, and fills the memory for them exactly, so that the last update is dropped, too.
#[post("/burst")]
async fn start_burst(runs: State<Runs<String>>) -> Result<Accepted, Problem> {
    /// The limit of notices that wait for a worker, and the cost of one besides twice its JSON.
    const INBOX_BYTES: usize = 16 * 1024 * 1024;
    const COST_BYTES: usize = 160;
    const REPORTS: usize = 128;
    let run = runs.start("ada", "burst", async |run| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let empty = RunUpdate::Running {
            progress: String::new(),
        };
        let length = (INBOX_BYTES / REPORTS - COST_BYTES) / 2 - serde_json::to_string(&empty)?.len();
        let progress = "a".repeat(length);
        for _ in 0..REPORTS + 1 {
            run.report(&progress).await?;
        }
        Ok::<_, conduit::BoxError>(())
    });
    let run = run.await?;
    Ok(Accepted::at(format!("/burst/{}", run.id())))
}

#[get("/burst/{id}")]
async fn follow_burst(
    id: Path<String>,
    runs: State<Runs<String>>,
    last: LastEventId,
) -> Result<RunEvents<String>, Problem> {
    runs.find("ada", &id)?.events(last).await
}

#[test]
fn live_stream_has_the_result_after_it_has_missed_updates() {
    let client = TestClient::new(App::new(Runs::<String>::new()).routes(routes![start_burst, follow_burst]));
    let started = client.post("/burst").send();
    let mut stream = client.get(started.header("location").expect("a location")).stream();
    client.advance(Duration::from_secs(1));
    let (mut missed, mut last) = (0, String::new());
    while let Some(event) = stream.event() {
        missed += usize::from(event.event == "missed");
        last = event.data;
    }
    assert_eq!((missed, &last[..]), (1, r#"{"state":"succeeded"}"#));
}

#[test]
fn shutdown_waits_for_runs_and_cuts_off_those_that_last_longer() {
    let setup = Setup::default();
    let location = setup.start(5);
    while setup.client.resources().tasks != 1 {}
    let long = setup.start(1000);
    let mut stream = setup.client.get(&location).stream();
    setup.client.handle().stop();
    // The stream ends at once: its client continues at another process or gets a 404.
    while stream.event().is_some() {}
    setup.client.advance(Duration::from_secs(20));
    setup.dropped();
    assert_eq!(setup.runs.in_progress(), 1);
    drop((stream, long));
    let runs = setup.runs.clone();
    let ends = setup.ends;
    drop(setup.client);
    assert_eq!(ends.recv_timeout(Duration::from_secs(30)), Ok("dropped"));
    assert_eq!(runs.in_progress(), 0);
}

#[test]
fn document_has_the_updates_and_the_end() {
    let document = ROUTES.openapi(Info::new("runs", "1"));
    let value = serde_json::to_value(&document).expect("a document is JSON");
    let responses = &value["paths"]["/jobs/{seconds}"]["get"]["responses"];
    let schema = &responses["200"]["content"]["text/event-stream"]["schema"];
    let progress = &schema["anyOf"][0]["properties"]["progress"];
    assert_eq!(progress["$ref"], "#/components/schemas/Progress", "{responses:#}");
    assert!(responses["204"].is_object(), "{responses:#}");
    let started = &value["paths"]["/jobs/{seconds}"]["post"]["responses"]["202"];
    assert!(started["headers"]["location"].is_object(), "{started}");
    assert_eq!(document.gaps(), []);
}

/// An engine whose connection was lost after it had made the member of a run present.
struct Away;

fn away<T: Send + 'static>() -> EngineFuture<T> {
    Box::pin(std::future::ready(Err(HubError::Unavailable)))
}

impl HubEngine for Away {
    fn start(&self, _: Replica) {}

    fn publish(&self, _: Arc<str>, _: Arc<str>) -> EngineFuture<Position> {
        away()
    }

    fn follow(&self, _: Arc<str>) -> EngineFuture<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn unfollow(&self, _: &Arc<str>) {}

    fn join(&self, _: Arc<str>, _: Arc<str>) -> EngineFuture<()> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn leave(&self, _: &Arc<str>, _: &Arc<str>) {}
}

/// Reports progress that no client reads, and sends the result.
#[post("/away")]
async fn start_away(runs: State<Runs<Progress>>, ends: State<Sender<&'static str>>) -> Result<Accepted, Problem> {
    let run = runs.start("ada", "away", async move |run| {
        let results = [
            run.report(&Progress { second: 1 }).await,
            run.report(&Progress { second: 2 }).await,
        ];
        let _ = ends.send(if results == [Ok(()), Ok(())] {
            "continues"
        } else {
            "fails"
        });
    });
    Ok(Accepted::at(format!("/jobs/{}", run.await?.id())))
}

#[test]
fn run_continues_while_its_engine_is_unavailable() {
    let runs = Runs::with_engine(RunsConfig::default(), Away);
    let (sender, ends) = channel();
    let jobs = Jobs { runs, ends: sender };
    let client = TestClient::new(App::new(jobs).routes(routes![start_away]));
    client.post("/away").send().assert_status(202);
    assert_eq!(ends.recv_timeout(Duration::from_secs(30)), Ok("continues"));
}
