//! Runs of two processes: progress, cancellation, owners, the shutdown, and the end of the process of a run. Each engine has
//! these rows.

use std::io::{Read, Write};
use std::time::Duration;

use conduit::Header;
use conduit::events::LastEventId;
use conduit::hub::HubEngine;
use conduit::hub::remote::RemoteEngineConfig;
use conduit::prelude::*;
use conduit::runs::{Accepted, RunEvents, Runs, RunsConfig};
use conduit::testing::{TestClient, TestStream};
use rustix::process::Signal;

use crate::program::Program;
use crate::topic_server::{TestServer, patient};

/// The rows as tests of a server; a program creates its engine from the value of this variable.
macro_rules! run_rows {
    ($server:ty, $variable:expr, $value:expr, $engine:expr) => {
        run_rows!($server:
            run_is_followed_continued_and_cancelled_at_another_process,
            run_whose_process_ends_is_cut_off_for_the_clients_of_others,
            run_continues_after_an_outage_that_is_longer_than_a_lease,
            cancellation_that_the_engine_does_not_deliver_is_an_error,
            shutdown_waits_for_a_run_and_cuts_off_a_longer_one_for_the_clients_of_others);

        #[test]
        #[ignore = "a program of the tests"]
        fn the_program() {
            crate::program::begin_program();
            let value = std::env::var($variable).expect("the test sets it");
            run_rows::serve($engine(&value)).expect("it serves");
        }

        #[test]
        fn run_that_a_stop_of_its_program_cuts_off_is_logged() {
            let Some(server) = <$server as TestServer>::volatile() else { return };
            let directory = crate::program::Directory::new("runs");
            let mut command = crate::program::program(&directory);
            let mut program = crate::program::Program::start(command.env($variable, $value(&server)), 1);
            run_rows::cut_off_run_of_a_program_is_logged(&server, &mut program);
        }
    };
    ($server:ty: $($row:ident),*) => {
        $(
            #[test]
            fn $row() {
                run_rows::$row::<$server>();
            }
        )*
    };
}
pub(crate) use run_rows;

#[derive(serde::Deserialize, JsonSchema)]
struct User {
    x_user: String,
}

/// The time at which a run ends by itself.
#[derive(Clone, Copy, serde::Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum End {
    AtOnce,
    Later,
    Never,
}

/// Reports three numbers. Then it ends at once, or after a time, or waits for its cancellation.
#[post("/jobs/{end}")]
async fn start(end: Path<End>, user: Header<User>, runs: State<Runs<u32>>) -> Result<Accepted, Problem> {
    let run = runs.start(&user.x_user, "count", async move |run| {
        for number in 1..=3 {
            run.report(&number).await?;
        }
        match *end {
            End::AtOnce => {}
            End::Later => tokio::time::sleep(Duration::from_secs(10)).await,
            End::Never => std::future::pending().await,
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

pub(crate) fn process(server: &impl TestServer) -> TestClient {
    process_with(server, "ada")
}

fn process_with(server: &impl TestServer, user: &str) -> TestClient {
    process_of(Runs::with_engine(RunsConfig::default(), server.engine(patient())), user)
}

pub(crate) fn process_of(runs: Runs<u32>, user: &str) -> TestClient {
    TestClient::new(App::new(runs).routes(routes![start, follow, cancel])).with_header("x-user", user)
}

/// The data and the identity of the next event.
#[track_caller]
pub(crate) fn next(stream: &mut TestStream) -> (String, String) {
    let event = stream.event().expect("an event");
    (event.data, event.id.unwrap_or_default())
}

/// Reads the three reports.
#[track_caller]
fn skip_reports(stream: &mut TestStream) {
    for _ in 0..3 {
        assert!(next(stream).0.contains("running"));
    }
}

#[track_caller]
pub(crate) fn open(client: &TestClient, location: &str, last: &str) -> TestStream {
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

pub(crate) fn start_at(client: &TestClient, end: &str) -> String {
    let started = client.post(&format!("/jobs/{end}")).send();
    started.assert_status(202);
    started.header("location").expect("a location").to_owned()
}

pub(crate) fn run_is_followed_continued_and_cancelled_at_another_process<S: TestServer>() {
    let Some(server) = S::volatile() else { return };
    let (one, two) = (process(&server), process(&server));
    let location = start_at(&one, "never");
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

pub(crate) fn run_whose_process_ends_is_cut_off_for_the_clients_of_others<S: TestServer>() {
    let Some(server) = S::volatile() else { return };
    let (one, two) = (process(&server), process(&server));
    let done = start_at(&one, "at_once");
    let mut stream = open(&two, &done, "");
    skip_reports(&mut stream);
    assert_eq!(next(&mut stream).0, r#"{"state":"succeeded"}"#);
    let location = start_at(&one, "never");
    let mut stream = open(&two, &location, "");
    skip_reports(&mut stream);
    drop(one);
    assert_eq!(next(&mut stream).0, r#"{"state":"cut_off"}"#);
    assert_eq!(stream.event(), None);
}

pub(crate) fn run_continues_after_an_outage_that_is_longer_than_a_lease<S: TestServer>() {
    let Some(mut server) = S::durable() else { return };
    // Real time: the server ends the leases of both processes, which have the time of one lease to reconnect.
    let lease = Duration::from_secs(3);
    let [one, two] = [(); 2].map(|()| {
        let engine = RemoteEngineConfig { lease, ..patient() };
        process_of(Runs::with_engine(RunsConfig::default(), server.engine(engine)), "ada")
    });
    let location = start_at(&one, "never");
    let mut stream = open(&two, &location, "");
    skip_reports(&mut stream);
    server.stop();
    std::thread::sleep(lease + Duration::from_secs(1));
    server.start();
    two.delete(&location).send().assert_status(204);
    assert_eq!(next(&mut stream).0, r#"{"state":"cancelled"}"#);
    assert_eq!(stream.event(), None);
}

pub(crate) fn cancellation_that_the_engine_does_not_deliver_is_an_error<S: TestServer>() {
    let Some(mut server) = S::volatile() else {
        return;
    };
    let one = process(&server);
    let location = start_at(&one, "never");
    let engine = RemoteEngineConfig {
        queue_timeout: Duration::ZERO,
        ..RemoteEngineConfig::default()
    };
    let two = process_of(Runs::with_engine(RunsConfig::default(), server.engine(engine)), "ada");
    server.stop();
    two.delete(&location).send().assert_status(503);
    one.delete(&location).send().assert_status(204);
}

pub(crate) fn shutdown_waits_for_a_run_and_cuts_off_a_longer_one_for_the_clients_of_others<S: TestServer>() {
    let Some(server) = S::volatile() else { return };
    let (one, two) = (process(&server), process(&server));
    let [short, long] = ["later", "never"].map(|end| start_at(&one, end));
    let mut streams = [&short, &long].map(|location| open(&two, location, ""));
    streams.iter_mut().for_each(skip_reports);
    let mut here = open(&one, &long, "");
    skip_reports(&mut here);
    one.handle().stop();
    // The stream at this process ends without a last update: its client reconnects to the other process.
    assert_eq!(here.event(), None);
    one.advance(Duration::from_secs(15));
    assert_eq!(next(&mut streams[0]).0, r#"{"state":"succeeded"}"#);
    assert_eq!(streams[0].event(), None);
    drop(one);
    assert_eq!(next(&mut streams[1]).0, r#"{"state":"cut_off"}"#);
    assert_eq!(streams[1].event(), None);
}

/// The service of a program, which reports its runs and aborts them when a service manager stops it.
pub(crate) fn serve(engine: impl HubEngine) -> conduit::Result {
    let runs = Runs::with_engine(RunsConfig::default(), engine);
    let app = App::new(runs).routes(routes![start, follow, cancel]);
    // Real time: the service is a separate process, whose clock no test advances.
    app.shutdown_timeout(Duration::from_millis(500)).run()
}

/// Stops a program with a run, and then checks its log, and the update of a client at another process.
pub(crate) fn cut_off_run_of_a_program_is_logged<S: TestServer>(server: &S, program: &mut Program) {
    let post = "POST /jobs/never HTTP/1.1\r\nhost: test\r\nx-user: ada\r\ncontent-length: 0\r\n\r\n";
    let mut client = program.connect();
    client.stream.write_all(post.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    while !answer.contains("\r\n\r\n") {
        let mut bytes = [0; 1024];
        let count = client.stream.read(&mut bytes).expect("a response");
        assert!(count > 0, "{answer}: {}", program.log());
        answer.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let location = answer
        .lines()
        .find_map(|line| line.strip_prefix("location: "))
        .expect("a location");
    let two = process(server);
    let mut stream = open(&two, location, "");
    skip_reports(&mut stream);
    program.signal(program.child.id(), Signal::TERM);
    assert_eq!(next(&mut stream).0, r#"{"state":"cut_off"}"#);
    program.wait_for_log("a run that is cut off", |log| {
        log.lines()
            .any(|line| line.contains("cut off a task at the shutdown") && line.contains("task=\"count\""))
    });
}
