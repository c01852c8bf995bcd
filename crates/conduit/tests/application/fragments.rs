//! The bytes of a connection may arrive in any pieces: the responses are the same.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Running, serve, wait_for};
use conduit::prelude::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

#[get("/")]
async fn hello() -> &'static str {
    "Hello, World!"
}

#[get("/users/{id}")]
async fn user(id: Path<u64>) -> String {
    format!("user {id}")
}

#[post("/length")]
async fn length(body: Bytes) -> String {
    body.len().to_string()
}

#[post("/json")]
async fn json(numbers: Json<Vec<u32>>) -> Json<u32> {
    Json(numbers.iter().sum())
}

/// A response that is not ready at once, so that the following requests wait.
#[post("/later")]
async fn later(text: String) -> String {
    tokio::task::yield_now().await;
    text
}

/// Responds before its body has arrived.
#[post("/unread")]
async fn unread() -> StatusCode {
    StatusCode::ACCEPTED
}

const SCRIPT: &[&str] = &[
    "GET / HTTP/1.1\r\nhost: test\r\n\r\n",
    "POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 11\r\n\r\nHello world",
    "POST /json HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n\
     3\r\n[1,\r\n4;name=\"x\"\r\n 2, \r\n2\r\n3]\r\n0\r\nx-trailer: y\r\n\r\n",
    // Blank lines before a request are skipped.
    "\r\n\r\nHEAD /users/7 HTTP/1.1\r\nhost: test\r\n\r\n",
    "POST /later HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nlater",
    "GET /nowhere?x=1 HTTP/1.1\r\nhost: test\r\n\r\n",
    "POST /unread HTTP/1.1\r\nhost: test\r\ncontent-length: 40\r\n\r\nGET /users/8 HTTP/1.1\r\nhost: test\r\n\r\nabc",
    "DELETE /users/7 HTTP/1.1\r\nhost: test\r\n\r\n",
    "GET /users/9 HTTP/1.1\r\nhost: test\r\naccept: */*\r\nuser-agent: \t a tester \r\n\r\n",
    // No following byte may be parsed as a request.
    "GET /users/10 HTTP/1.1\r\nhost : test\r\n\r\nGET /users/11 HTTP/1.1\r\nhost: test\r\n\r\n",
];

/// Blocks the worker for as long as a test holds this.
static HELD: Mutex<()> = Mutex::new(());
/// Set while the worker is blocked.
static KEPT: AtomicBool = AtomicBool::new(false);

#[get("/hold")]
fn hold() {
    KEPT.store(true, Ordering::SeqCst);
    drop(HELD.lock());
}

fn server() -> Running {
    serve(App::new(()).routes(routes![hello, user, length, json, later, unread, hold]))
}

/// The statuses of the responses to the script.
const STATUSES: [&str; 10] = ["200", "200", "200", "200", "200", "404", "202", "405", "200", "400"];

/// Sends the pieces of the script one by one. Returns the responses until the close, without the dates.
fn answers<'a>(server: &Running, pieces: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut client = server.connect();
    let mut writer = client.duplicate();
    std::thread::scope(|scope| {
        let answers = scope.spawn(move || client.rest());
        for piece in pieces {
            // After the bad request the server may have closed.
            if writer.write_all(piece).is_err() {
                break;
            }
            // Without a pause the kernel joins some of the small pieces.
            std::thread::yield_now();
        }
        without_dates(answers.join().expect("the reader ends well"))
    })
}

fn without_dates(answers: Vec<u8>) -> String {
    let answers = String::from_utf8(answers).expect("the answers are text");
    let lines = answers.split_inclusive('\n').filter(|line| !line.starts_with("date: "));
    lines.collect()
}

/// The script, split at these offsets.
fn pieces<'a>(script: &'a str, places: &[Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(script.len() + 1)).collect();
    places.extend([0, script.len()]);
    places.sort_unstable();
    places.dedup();
    places
        .windows(2)
        .map(|ends| &script.as_bytes()[ends[0]..ends[1]])
        .collect()
}

#[test]
fn the_script_gets_the_expected_responses() {
    let answers = answers(&server(), [SCRIPT.concat().as_bytes()]);
    let mut rest = &*answers;
    for status in STATUSES {
        let place = rest
            .find("HTTP/1.1 ")
            .unwrap_or_else(|| panic!("no {status} in {rest}"));
        rest = &rest[place + 9..];
        assert!(rest.starts_with(status), "{status} expected: {answers}");
    }
    assert!(!rest.contains("HTTP/1.1"), "one more answer: {rest}");
    assert!(!answers.contains("user 8"), "a body was parsed as a request");
    assert!(
        answers.contains("DELETE is not allowed"),
        "a body ended at another offset: {answers}"
    );
}

#[test]
fn single_bytes_get_the_same_responses_as_the_whole() {
    let server = server();
    let script = SCRIPT.concat();
    let whole = answers(&server, [script.as_bytes()]);
    assert_eq!(answers(&server, script.as_bytes().chunks(1)), whole);
}

#[test]
fn single_requests_get_the_same_responses_as_the_whole() {
    let server = server();
    let whole = answers(&server, [SCRIPT.concat().as_bytes()]);
    assert_eq!(answers(&server, SCRIPT.iter().map(|request| request.as_bytes())), whole);
}

#[test]
fn any_pieces_get_the_same_responses_as_the_whole() {
    let server = server();
    let script = SCRIPT.concat();
    let whole = answers(&server, [script.as_bytes()]);
    let config = ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(places in vec(any::<Index>(), 0..40))| {
        prop_assert_eq!(answers(&server, pieces(&script, &places)), whole.clone());
    });
}

/// A worker reads from several connections before it serves them.
#[test]
fn connections_that_are_read_together_get_the_same_responses_as_alone() {
    let server = server();
    let script = SCRIPT.concat();
    let whole = answers(&server, [script.as_bytes()]);
    let mut clients: Vec<_> = (0..60).map(|_| server.connect()).collect();
    for client in &mut clients {
        // Now the connection is accepted: further bytes wait in its socket while the worker is blocked.
        client.send(SCRIPT[0]);
        client.response();
    }
    let places = |client: usize| [0, client * 7, client * 7 + 400, script.len()].map(|place| place.min(script.len()));
    let mut keeper = server.connect();
    for part in 0..3 {
        let held = HELD.lock().expect("no thread panics");
        KEPT.store(false, Ordering::SeqCst);
        keeper.send("GET /hold HTTP/1.1\r\nhost: test\r\n\r\n");
        wait_for(|| KEPT.load(Ordering::SeqCst));
        for (number, client) in clients.iter_mut().enumerate() {
            let places = places(number);
            client.send_what_is_taken(&script[places[part]..places[part + 1]]);
        }
        drop(held);
        keeper.response();
    }
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(without_dates(client.rest()), whole, "client {number}");
    }
}
