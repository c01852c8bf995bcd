//! Runs of two processes: progress, cancellation, owners, and the end of the process of a run.

#[path = "../../conduit/tests/support/redis.rs"]
mod redis_server;

use std::time::Duration;

use conduit::Header;
use conduit::events::LastEventId;
use conduit::prelude::*;
use conduit::runs::{Accepted, RunEvents, Runs, RunsConfig};
use conduit::testing::{TestClient, TestStream};
use conduit_redis::{Engines, RedisEngine, RedisEngineConfig};
use redis_server::RedisServer;
use rustix::process::Signal;

#[derive(serde::Deserialize, JsonSchema)]
struct User {
    x_user: String,
}

/// Reports three numbers, and waits for its cancellation unless its end is 0.
#[post("/jobs/{end}")]
async fn start(end: Path<u32>, user: Header<User>, runs: State<Runs<u32>>) -> Result<Accepted, Problem> {
    let run = runs.start(&user.x_user, "count", async move |run| {
        for number in 1..=3 {
            run.report(&number).await?;
        }
        if *end > 0 {
            std::future::pending::<()>().await;
        }
        Ok::<_, conduit::BoxError>(())
    });
    let run = run.await?;
    Ok(Accepted::at(format!("/jobs/{}", run.id())))
}

#[get("/jobs/{id}")]
async fn follow(
    id: Path<String>,
    user: Header<User>,
    runs: State<Runs<u32>>,
    last: LastEventId,
) -> Result<RunEvents<u32>, Problem> {
    runs.find(&user.x_user, &id)?.events(last).await
}

#[delete("/jobs/{id}")]
async fn cancel(id: Path<String>, user: Header<User>, runs: State<Runs<u32>>) -> Result<NoContent, Problem> {
    runs.find(&user.x_user, &id)?.cancel().await?;
    Ok(NoContent)
}

fn process(server: &RedisServer) -> TestClient {
    process_with(server, "ada")
}

fn process_with(server: &RedisServer, user: &str) -> TestClient {
    process_of(
        Runs::with_engine(RunsConfig::default(), RedisEngine::new(server.url()).expect("a URL")),
        user,
    )
}

fn process_of(runs: Runs<u32>, user: &str) -> TestClient {
    TestClient::new(App::new(runs).routes(routes![start, follow, cancel])).with_header("x-user", user)
}

/// The data and the identity of the next event.
#[track_caller]
fn next(stream: &mut TestStream) -> (String, String) {
    let event = stream.event().expect("an event");
    (event.data, event.id.unwrap_or_default())
}

#[track_caller]
fn open(client: &TestClient, location: &str, last: &str) -> TestStream {
    let request = client.get(location);
    let request = if last.is_empty() {
        request
    } else {
        request.header("last-event-id", last)
    };
    let stream = request.stream();
    stream.head().assert_status(200);
    stream
}

fn start_at(client: &TestClient, end: u32) -> String {
    let started = client.post(&format!("/jobs/{end}")).send();
    started.assert_status(202);
    started.header("location").expect("a location").to_owned()
}

#[test]
fn run_is_followed_continued_and_cancelled_at_another_process() {
    let Some(server) = RedisServer::volatile() else { return };
    let (one, two) = (process(&server), process(&server));
    let location = start_at(&one, 1);
    let mut here = open(&one, &location, "");
    let mut there = open(&two, &location, "");
    let mut second = String::new();
    for number in 1..=3 {
        let (data, id) = next(&mut there);
        assert_eq!(data, format!(r#"{{"state":"running","progress":{number}}}"#));
        assert_eq!(next(&mut here), (data, id.clone()));
        if number == 2 {
            second = id;
        }
    }
    let mut again = open(&two, &location, &second);
    assert_eq!(next(&mut again).0, r#"{"state":"running","progress":3}"#);
    two.delete(&location).send().assert_status(204);
    let (data, last) = next(&mut there);
    assert_eq!(data, r#"{"state":"cancelled"}"#);
    for stream in [&mut here, &mut again] {
        assert_eq!(next(stream), (data.clone(), last.clone()));
        assert_eq!(stream.event(), None);
    }
    // The presence of the run ends after its last update.
    while two.get(&location).header("last-event-id", &last).send().status() != 204 {}
    process_with(&server, "bob").get(&location).send().assert_status(404);
    let unknown = "/jobs/0123456789abcdef0123456789abcdef";
    two.get(unknown).send().assert_status(404);
    two.delete(unknown).send().assert_status(404);
    // A run that has ended, at both processes.
    two.delete(&location).send().assert_status(204);
    one.delete(&location).send().assert_status(204);
    two.get("/jobs/other").send().assert_status(404);
}

#[test]
fn run_whose_process_ends_is_cut_off_for_the_clients_of_others() {
    let Some(server) = RedisServer::volatile() else { return };
    let (one, two) = (process(&server), process(&server));
    let done = start_at(&one, 0);
    let mut stream = open(&two, &done, "");
    for _ in 0..3 {
        next(&mut stream);
    }
    assert_eq!(next(&mut stream).0, r#"{"state":"succeeded"}"#);
    let location = start_at(&one, 1);
    let mut stream = open(&two, &location, "");
    for _ in 0..3 {
        next(&mut stream);
    }
    drop(one);
    assert_eq!(next(&mut stream).0, r#"{"state":"cut_off"}"#);
    assert_eq!(stream.event(), None);
}

#[test]
fn cancellation_that_the_engine_does_not_deliver_is_an_error() {
    let Some(mut server) = RedisServer::volatile() else {
        return;
    };
    let one = process(&server);
    let location = start_at(&one, 1);
    let engine = RedisEngineConfig {
        queue_timeout: Duration::ZERO,
        ..RedisEngineConfig::default()
    };
    let engine = RedisEngine::with(server.url(), engine).expect("a URL");
    let two = process_of(Runs::with_engine(RunsConfig::default(), engine), "ada");
    server.stop(Signal::TERM);
    two.delete(&location).send().assert_status(503);
    one.delete(&location).send().assert_status(204);
}

#[test]
fn engines_with_another_prefix_do_not_have_the_run() {
    let Some(server) = RedisServer::volatile() else { return };
    let engines = Engines::at(server.url()).expect("a URL");
    assert!(engines.are_shared());
    let [one, two, other] = ["shop", "shop", "blog"].map(|prefix| {
        let runs = engines.clone().prefix(prefix).runs(RunsConfig::default());
        process_of(runs, "ada")
    });
    let location = start_at(&one, 0);
    let mut there = open(&two, &location, "");
    assert_eq!(next(&mut there).0, r#"{"state":"running","progress":1}"#);
    other.get(&location).send().assert_status(404);
    process(&server).get(&location).send().assert_status(404);
}
