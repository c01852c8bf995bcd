//! The deadlines of whole connections, with a clock that the test controls: hours pass within milliseconds of real time.
//!
//! Real time passes too, especially on a busy machine, so the deadlines are many minutes long, and the tests keep a margin of at
//! least a minute.

use std::pin::Pin;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::support::stall;
use conduit::Limit;
use conduit::prelude::*;
use conduit::testing::{TestClient, TestConnection};

const MINUTE: Duration = Duration::from_secs(60);

/// Each deadline of these tests.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[get("/")]
fn hello() -> &'static str {
    "hello"
}

#[post("/length")]
async fn length(body: Bytes) -> String {
    format!("{} bytes", body.len())
}

#[get("/large")]
fn large() -> Vec<u8> {
    vec![b'l'; LARGE]
}

const LARGE: usize = 4 * 1024 * 1024;

/// The same in pieces, each of which is ready at once.
struct LargePieces(usize);

const PIECE: usize = 16 * 1024;

impl futures_core::Stream for LargePieces {
    type Item = Result<Bytes, conduit::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(left) = self.0.checked_sub(PIECE) else {
            return Poll::Ready(None);
        };
        self.0 = left;
        Poll::Ready(Some(Ok(Bytes::from(vec![b'p'; PIECE]))))
    }
}

#[get("/stream")]
fn stream() -> Body {
    Body::from_stream(LargePieces(LARGE))
}

/// Responds with more than a connection buffers, after most of a deadline.
#[get("/later")]
async fn later() -> Vec<u8> {
    tokio::time::sleep(DEADLINE - MINUTE).await;
    vec![b'l'; LATER]
}

const LATER: usize = 100_000;

/// Runs for two deadlines, and does not read the body.
#[post("/busy")]
async fn busy(body: Body) -> &'static str {
    drop(body);
    tokio::time::sleep(2 * DEADLINE).await;
    "done"
}

/// A stream that waits for this long before each of its pieces.
fn every(interval: Duration, piece: &'static [u8]) -> Body {
    let mut ticks = tokio::time::interval(interval);
    ticks.reset();
    Body::from_stream(IntervalTicks(ticks, piece))
}

struct IntervalTicks(tokio::time::Interval, &'static [u8]);

impl futures_core::Stream for IntervalTicks {
    type Item = Result<Bytes, conduit::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = Bytes::from_static(self.1);
        self.0.poll_tick(context).map(|_| Some(Ok(piece)))
    }
}

#[get("/silent")]
async fn silent() -> Body {
    every(1000 * DEADLINE, b"tick")
}

#[get("/ticks")]
async fn ticks() -> Body {
    every(DEADLINE - MINUTE, b"tick")
}

/// Sends more than a connection buffers, with several deadlines between the pieces.
#[get("/bursts")]
async fn bursts() -> Body {
    every(QUIET, &[b'b'; LATER])
}

const QUIET: Duration = DEADLINE.saturating_mul(4);

#[get("/idle-handler")]
async fn idle_handler() -> &'static str {
    tokio::time::sleep(1000 * DEADLINE).await;
    "done"
}

/// An application in which each deadline is [`DEADLINE`].
fn client() -> TestClient {
    let app = App::new(())
        .routes(routes![
            hello,
            length,
            large,
            stream,
            later,
            busy,
            silent,
            ticks,
            bursts,
            idle_handler
        ])
        .head_timeout(DEADLINE)
        .idle_timeout(DEADLINE)
        .minimum_rate(1024, DEADLINE)
        .peer_connection_limit(usize::MAX)
        .connection_limit(20_000);
    TestClient::new(app)
}

/// Checks that the received bytes begin with a response with this status.
#[track_caller]
fn assert_answered(connection: &mut TestConnection, status: &str) {
    let said = String::from_utf8_lossy(connection.received()).into_owned();
    assert!(said.starts_with(&format!("HTTP/1.1 {status} ")), "{said:?}");
}

#[test]
fn silent_connection_is_closed_without_a_response() {
    let client = client();
    let mut connection = client.connect();
    client.advance(DEADLINE - MINUTE);
    assert!(!connection.is_closed());
    client.advance(2 * MINUTE);
    assert!(connection.is_closed());
    assert!(connection.received().is_empty());
}

#[test]
fn ten_thousand_silent_connections_are_closed_while_others_are_served() {
    let client = TestClient::new(
        App::new(())
            .routes(routes![hello])
            .peer_connection_limit(usize::MAX)
            .connection_limit(20_000),
    );
    let mut silent: Vec<TestConnection> = (0..10_000).map(|_| client.connect()).collect();
    client.get("/").send().assert_text("hello");
    // The default is 75 s.
    client.advance(Duration::from_secs(90));
    for connection in &mut silent {
        assert!(connection.is_closed());
    }
    client.get("/").send().assert_text("hello");
}

#[test]
fn idle_time_restarts_with_each_request() {
    let client = client();
    let mut connection = client.connect();
    for _ in 0..4 {
        client.advance(DEADLINE - MINUTE);
        assert!(connection.send(GET));
        client.advance(Duration::from_secs(1));
        assert_answered(&mut connection, "200");
        connection.read(4096);
    }
    client.advance(DEADLINE + MINUTE);
    assert!(connection.is_closed());
}

#[test]
fn empty_lines_before_a_request_prolong_no_deadline() {
    let client = client();
    let mut connection = client.connect();
    let mut minutes = 0;
    while connection.send("\r\n") && !connection.is_closed() {
        client.advance(MINUTE);
        minutes += 1;
        assert!(minutes < 60, "empty lines prolong the connection");
    }
}

#[test]
fn a_proxy_header_that_drips_in_has_the_time_of_a_head() {
    let app = App::new(()).routes(routes![hello]).proxy_protocol(["127.0.0.0/8"]);
    let client = TestClient::new(app.head_timeout(DEADLINE).idle_timeout(10 * DEADLINE));
    let header = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n";
    let mut slow = client.connect();
    let mut right = client.connect();
    for byte in &header[..14] {
        assert!(slow.send([*byte]));
        assert!(right.send([*byte]));
        client.advance(MINUTE);
    }
    assert!(right.send(&header[14..]));
    client.advance(2 * MINUTE);
    assert!(slow.is_closed());
    assert!(slow.received().is_empty());
    assert!(right.send(GET));
    client.advance(Duration::from_secs(1));
    assert_answered(&mut right, "200");
    // The requests of the test client have no PROXY header.
    client.get("/").send().assert_text("hello");
}

#[test]
fn empty_lines_in_any_pieces_do_not_restart_the_idle_time() {
    for pieces in [&["\r\n"][..], &["\r", "\n"], &["\r", "\n\r"]] {
        let client = client();
        let mut connection = client.connect();
        let mut said = 0;
        for piece in pieces.iter().cycle() {
            client.advance(DEADLINE - MINUTE);
            if connection.is_closed() || !connection.send(piece) {
                break;
            }
            said += 1;
            // The idle time, and the time of a head that has begun within it.
            assert!(said <= 2, "{pieces:?} keep the connection");
        }
    }
}

#[test]
fn a_head_that_begins_within_the_idle_time_has_a_separate_deadline() {
    let client = client();
    let mut connection = client.connect();
    client.advance(DEADLINE - MINUTE);
    assert!(connection.send("GET / HTTP/1.1\r\n"));
    client.advance(DEADLINE - MINUTE);
    assert!(connection.send("host: a\r\n\r\n"));
    client.advance(Duration::from_secs(1));
    assert_answered(&mut connection, "200");
}

#[test]
fn a_head_that_drips_in_has_one_deadline() {
    let client = client();
    let mut connection = client.connect();
    assert!(connection.send("GET / HTTP/1.1\r\nhost: a\r\nx: "));
    for _ in 0..14 {
        client.advance(Duration::from_secs(59));
        assert!(connection.send("x"));
    }
    assert!(!connection.is_closed());
    client.advance(3 * MINUTE);
    assert_answered(&mut connection, "408");
    assert!(connection.is_closed());
}

#[test]
fn a_head_in_its_time_is_answered() {
    let client = client();
    let mut connection = client.connect();
    assert!(connection.send("GET / HTTP/1.1\r\n"));
    client.advance(DEADLINE - MINUTE);
    assert!(connection.send("host: a\r\n\r\n"));
    client.advance(Duration::from_secs(1));
    assert_answered(&mut connection, "200");
}

#[test]
fn a_body_below_the_minimum_rate_is_408_after_the_grace() {
    let client = client();
    let mut connection = client.connect();
    assert!(connection.send("POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n"));
    // A tenth of the rate; the received bytes extend the deadline by half a minute.
    for _ in 0..14 {
        assert!(connection.send([b'b'; 6000]));
        client.advance(Duration::from_secs(59));
    }
    assert!(!connection.is_closed());
    client.advance(4 * MINUTE);
    assert_answered(&mut connection, "408");
    assert!(connection.is_closed());
}

#[test]
fn a_body_above_the_minimum_rate_has_no_deadline() {
    let client = client();
    let mut connection = client.connect();
    let (pieces, piece) = (20, [b'b'; 100_000]);
    let length = pieces * piece.len();
    assert!(connection.send(format!(
        "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"
    )));
    // More than half an hour, at 1.6 times the rate.
    for _ in 0..pieces {
        client.advance(MINUTE);
        assert!(connection.send(piece));
    }
    client.advance(Duration::from_secs(1));
    assert_answered(&mut connection, "200");
    assert!(connection.received().ends_with(format!("{length} bytes").as_bytes()));
}

#[test]
fn a_body_that_stalls_or_drips_after_a_fast_start_is_408_after_the_grace() {
    for drips in ["", "b"] {
        let client = client();
        let mut connection = client.connect();
        let length = 2_000_000;
        assert!(connection.send(format!(
            "POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"
        )));
        client.advance(MINUTE);
        // At the minimum rate they would take more than half an hour.
        assert!(connection.send(vec![b'b'; length - 100]));
        for _ in 0..14 {
            client.advance(MINUTE);
            assert!(connection.send(drips));
        }
        assert!(!connection.is_closed());
        client.advance(2 * MINUTE);
        assert_answered(&mut connection, "408");
        assert!(connection.is_closed());
    }
}

#[test]
fn unread_body_has_no_deadline_while_its_handler_runs() {
    // The client of the first request waits for `100 Continue` before it sends the body (RFC 9110, section 10.1.1).
    for (expect, drips) in [("expect: 100-continue\r\n", ""), ("", "b")] {
        let client = client();
        let mut connection = client.connect();
        assert!(connection.send(format!(
            "POST /busy HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n{expect}\r\n"
        )));
        for _ in 0..29 {
            client.advance(MINUTE);
            assert!(connection.send(drips));
        }
        assert_eq!(String::from_utf8_lossy(connection.received()), "");
        client.advance(2 * MINUTE);
        assert_answered(&mut connection, "200");
    }
}

#[test]
fn a_client_that_does_not_read_is_disconnected_after_the_grace() {
    let client = client();
    let mut connection = client.connect();
    assert!(connection.send("GET /large HTTP/1.1\r\nhost: a\r\n\r\n"));
    client.advance(DEADLINE - MINUTE);
    assert!(connection.send(GET), "the connection is open");
    client.advance(2 * MINUTE);
    assert!(!connection.send(GET), "the server has closed");
    let rest = connection.rest();
    assert!(rest.starts_with(b"HTTP/1.1 200 "));
    assert!(rest.len() < LARGE, "{} bytes came", rest.len());
}

#[test]
fn a_client_that_reads_below_the_minimum_rate_is_disconnected_and_one_above_it_is_not() {
    let paces = [(6_000, false), (100_000, true)];
    for (target, (bytes_a_minute, whole)) in ["/large", "/stream"]
        .iter()
        .flat_map(|target| paces.map(|pace| (target, pace)))
    {
        let client = client();
        let mut connection = client.connect();
        assert!(connection.send(format!("GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")));
        let mut all = Vec::new();
        // The large response takes three quarters of an hour; the bytes in the pipe may be read after the other connection is
        // closed.
        for _ in 0..60 {
            let mut left = bytes_a_minute;
            while left > 0 {
                let piece = connection.read(left);
                if piece.is_empty() {
                    break;
                }
                left -= piece.len();
                all.extend(piece);
            }
            client.advance(MINUTE);
        }
        all.extend(connection.rest());
        assert_eq!(
            all.len() > LARGE,
            whole,
            "at {bytes_a_minute} bytes a minute of {target}, {} arrived",
            all.len()
        );
    }
}

/// Reads [`LATER`] bytes, of which those that do not fit wait for a while, and what follows within a second.
fn read_after_two_minutes(client: &TestClient, connection: &mut TestConnection) {
    client.advance(2 * MINUTE);
    let mut left = LATER;
    while left > 0 {
        let piece = connection.read(LATER);
        assert!(!piece.is_empty(), "the server has closed");
        left = left.saturating_sub(piece.len());
    }
    client.advance(Duration::from_secs(1));
    connection.received();
}

#[test]
fn time_in_which_the_handler_is_slow_does_not_count_against_the_reader() {
    let client = client();
    let mut connection = client.connect();
    assert!(connection.send("GET /later HTTP/1.1\r\nhost: a\r\n\r\n".repeat(4)));
    for _ in 0..4 {
        client.advance(DEADLINE);
        read_after_two_minutes(&client, &mut connection);
    }
    assert!(!connection.is_closed());
}

#[test]
fn time_in_which_a_stream_is_quiet_does_not_count_against_the_reader() {
    let client = client();
    let hits = || client.handle().statistics().limit_hits(Limit::WriteRate);
    let mut connection = client.connect();
    assert!(connection.send("GET /bursts HTTP/1.1\r\nhost: a\r\n\r\n"));
    for _ in 0..3 {
        client.advance(QUIET);
        read_after_two_minutes(&client, &mut connection);
    }
    assert_eq!(hits(), 0);
    // The quiet time gives no more than the grace to a client that reads nothing.
    client.advance(QUIET);
    assert_eq!(hits(), 0);
    client.advance(DEADLINE + MINUTE);
    assert_eq!(hits(), 1);
}

#[test]
fn a_client_that_stops_reading_after_a_fast_start_is_disconnected_after_the_grace() {
    let client = client();
    let mut connection = client.connect();
    assert!(connection.send("GET /large HTTP/1.1\r\nhost: a\r\n\r\n"));
    // At the minimum rate they would take three quarters of an hour.
    let mut left = 3 * 1024 * 1024;
    while left > 0 {
        left -= connection.read(left).len();
    }
    client.advance(DEADLINE - MINUTE);
    assert!(connection.send(GET), "the connection is open");
    client.advance(2 * MINUTE);
    assert!(!connection.send(GET), "the server has closed");
}

#[test]
fn a_half_closed_connection_is_closed_when_its_handler_or_stream_stays_silent_for_the_idle_time() {
    for target in ["/silent", "/idle-handler"] {
        let client = client();
        let [mut whole, mut half] = [client.connect(), client.connect()];
        for connection in [&mut whole, &mut half] {
            assert!(connection.send(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n")));
        }
        half.end();
        client.advance(DEADLINE - MINUTE);
        assert!(!half.is_closed(), "{target}");
        client.advance(2 * MINUTE);
        assert!(half.is_closed(), "{target}");
        client.advance(2 * DEADLINE);
        assert!(
            !whole.is_closed(),
            "{target}: a client that may still send has no deadline"
        );
    }
}

#[post("/half-body")]
async fn half_body(body: Body) -> String {
    let read = body.collect().await;
    tokio::time::sleep(DEADLINE - MINUTE).await;
    format!("incomplete: {}", read.is_err())
}

#[test]
fn client_that_ends_its_half_within_a_body_is_not_late_while_the_handler_works() {
    let app = App::new(()).routes(routes![half_body]).idle_timeout(DEADLINE);
    let client = TestClient::new(app.minimum_rate(1024, MINUTE));
    let mut connection = client.connect();
    assert!(connection.send("POST /half-body HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc"));
    connection.end();
    client.advance(DEADLINE - 2 * MINUTE);
    assert!(!connection.is_closed());
    client.advance(2 * MINUTE);
    let received = String::from_utf8_lossy(connection.received()).into_owned();
    assert!(
        received.starts_with("HTTP/1.1 200 ") && received.ends_with("incomplete: true"),
        "{received}"
    );
    assert_eq!(client.handle().statistics().limit_hits(Limit::BodyRate), 0);
}

#[test]
fn each_piece_of_a_stream_restarts_the_idle_time_of_a_half_closed_connection() {
    let client = client();
    let mut connection = client.connect();
    assert!(connection.send("GET /ticks HTTP/1.1\r\nhost: a\r\n\r\n"));
    connection.end();
    for _ in 0..4 {
        client.advance(DEADLINE);
        assert!(!connection.is_closed());
    }
    let received = String::from_utf8_lossy(connection.received()).into_owned();
    assert!(received.matches("tick").count() >= 3, "{received:?}");
}

#[test]
fn bytes_that_arrive_while_the_worker_is_stalled_are_served_before_deadlines_are_enforced() {
    let barrier = Arc::new(Barrier::new(2));
    let app = App::new(Arc::clone(&barrier)).routes(routes![hello, length, stall]);
    let app = app.head_timeout(DEADLINE).idle_timeout(DEADLINE);
    let client = TestClient::new(app.minimum_rate(1024, DEADLINE));
    let late = [
        ("", GET),
        ("GET / HTTP/1.1\r\nho", "st: a\r\n\r\n"),
        ("POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nab", "cd"),
    ];
    let mut connections = late.map(|(before, _)| {
        let mut connection = client.connect();
        assert!(connection.send(before));
        connection
    });
    client.advance(Duration::from_secs(1));
    let mut stalls = client.connect();
    assert!(stalls.send("GET /stall HTTP/1.1\r\nhost: a\r\n\r\n"));
    barrier.wait();
    for (connection, (_, after)) in connections.iter_mut().zip(late) {
        assert!(connection.send(after));
    }
    barrier.wait();
    for connection in &mut connections {
        let received = String::from_utf8(connection.read(4096)).expect("a response");
        assert!(received.starts_with("HTTP/1.1 200 "), "{received}");
    }
}
