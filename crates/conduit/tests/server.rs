//! The server at its socket: connections, bodies both ways, faults of the client, stopping.

mod support;

use std::collections::{BTreeSet, VecDeque};
use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use conduit::Limit;
use conduit::prelude::*;
use futures_core::Stream;
use support::{Running, serve, wait_for};

#[get("/")]
async fn hello() -> &'static str {
    "Hello, World!"
}

#[get("/name/{name}")]
fn name(name: Path<String>) -> String {
    name.0
}

#[post("/echo")]
async fn echo(body: Body) -> Body {
    body
}

#[post("/length")]
async fn length(body: Bytes) -> String {
    body.len().to_string()
}

#[post("/ignore")]
async fn ignore() -> &'static str {
    "ignored"
}

#[post("/length-later")]
async fn length_later(body: Body, gate: State<Gate>) -> Result<String, Problem> {
    gate.0.0.notified().await;
    Ok(body.collect().await?.len().to_string())
}

#[get("/panic")]
async fn panic() -> &'static str {
    panic!("as the test wants it")
}

#[get("/panic-later")]
async fn panic_later() -> &'static str {
    tokio::time::sleep(Duration::from_millis(1)).await;
    panic!("as the test wants it, later")
}

#[get("/slow")]
async fn slow() -> &'static str {
    tokio::time::sleep(Duration::from_millis(300)).await;
    "slow"
}

/// A stream that gives its pieces one by one, and yields before each.
struct Pieces(VecDeque<Result<Vec<u8>, std::io::Error>>, bool);

impl Stream for Pieces {
    type Item = Result<Vec<u8>, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.1 = !self.1;
        if self.1 {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.0.pop_front())
    }
}

#[get("/stream/{count}")]
async fn stream(count: Path<usize>) -> Body {
    Body::from_stream(Pieces(
        (0..*count)
            .map(|number| Ok(vec![b'a' + (number % 26) as u8; 1000]))
            .collect(),
        false,
    ))
}

#[get("/broken-stream")]
async fn broken_stream() -> Body {
    let pieces = [
        Ok(b"a beginning".to_vec()),
        Err(std::io::Error::other("as the test wants it")),
    ];
    Body::from_stream(Pieces(pieces.into(), false))
}

/// A stream whose pieces are all there.
struct Ready(VecDeque<Result<&'static str, std::io::Error>>);

impl Stream for Ready {
    type Item = Result<&'static str, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front())
    }
}

#[get("/ready")]
async fn ready() -> Body {
    Body::from_stream(Ready(["one", "two", "three"].map(Ok).into()))
}

#[get("/ready-and-broken")]
async fn ready_and_broken() -> Body {
    let pieces = [Ok("one"), Err(std::io::Error::other("as the test wants it"))];
    Body::from_stream(Ready(pieces.into()))
}

/// A stream that gives pieces without an end, and nothing in them.
struct Nothings;

impl Stream for Nothings {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Ok(Bytes::new())))
    }
}

#[get("/nothings")]
async fn nothings() -> Body {
    Body::from_stream(Nothings)
}

#[test]
fn pieces_that_are_there_leave_together_with_the_head() {
    let server = serve(App::new(()).routes(routes![ready, ready_and_broken]));
    let mut stream = TcpStream::connect(server.address).expect("the server accepts");
    let mut ask = |target: &str| {
        write!(stream, "GET {target} HTTP/1.1\r\nhost: test\r\n\r\n").expect("taken");
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).expect("an answer");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    for _ in 0..3 {
        let answer = ask("/ready");
        assert!(
            answer.ends_with("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"),
            "{answer}"
        );
    }
    // The bytes before an error are sent before the connection is closed.
    let answer = ask("/ready-and-broken");
    assert!(answer.ends_with("\r\n\r\n3\r\none\r\n"), "{answer}");
    assert_eq!(stream.read(&mut [0; 16]).expect("the end"), 0);
}

#[test]
fn a_stream_that_gives_nothing_without_an_end_leaves_others_their_turn() {
    // It has one worker.
    let server = serve(App::new(()).routes(routes![hello, nothings]));
    let mut client = server.connect();
    client.send("GET /nothings HTTP/1.1\r\nhost: test\r\n\r\n");
    for _ in 0..3 {
        assert_eq!(server.get("/").text(), "Hello, World!");
    }
}

/// The number of requested pieces of endless streams.
type Asked = Arc<AtomicUsize>;

/// The gate that a handler awaits until the test opens it.
#[derive(Clone, Default)]
struct Gate(Arc<tokio::sync::Notify>);

#[derive(Clone, Default, FromRef)]
struct TestState {
    asked: Asked,
    gate: Gate,
}

/// A stream without an end, which counts how much of it was asked for.
struct Endless(Asked);

impl Stream for Endless {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.fetch_add(1, Relaxed);
        Poll::Ready(Some(Ok(Bytes::from_static(&[b'x'; 16 * 1024]))))
    }
}

#[get("/endless")]
async fn endless(asked: State<Asked>) -> Body {
    Body::from_stream(Endless(asked.0))
}

const ROUTES: Routes<TestState> = routes![
    hello,
    name,
    echo,
    length,
    length_later,
    ignore,
    panic,
    panic_later,
    slow,
    stream,
    broken_stream,
    endless
];

fn server() -> Running {
    serve(App::new(TestState::default()).routes(ROUTES).development(false))
}

const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";

#[test]
fn a_connection_serves_one_request_after_the_other() {
    let server = server();
    let mut client = server.connect();
    for _ in 0..3 {
        client.send(GET);
        let response = client.response();
        assert_eq!((response.status, response.text()), (200, "Hello, World!"));
        assert_eq!(response.header("content-type"), Some("text/plain; charset=utf-8"));
        assert!(
            response.header("date").is_some_and(|date| date.ends_with(" GMT")),
            "{response:?}"
        );
    }
}

#[test]
fn pipelined_requests_are_answered_in_order_also_when_some_take_longer() {
    let server = server();
    let mut client = server.connect();
    let mut requests = String::new();
    for number in 0..40 {
        let target = if number % 10 == 3 {
            "/slow".to_owned()
        } else {
            format!("/name/{number}")
        };
        requests += &format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n");
    }
    client.send(&requests);
    for number in 0..40 {
        let expected = if number % 10 == 3 {
            "slow".to_owned()
        } else {
            number.to_string()
        };
        assert_eq!(client.response().text(), expected);
    }
}

#[test]
fn a_pipeline_larger_than_any_buffer_is_answered_whole() {
    let server = server();
    let mut client = server.connect();
    const COUNT: usize = 20_000;
    std::thread::scope(|scope| {
        let mut writer = client.duplicate();
        scope.spawn(move || {
            let requests: String = (0..COUNT)
                .map(|n| format!("GET /name/{n} HTTP/1.1\r\nhost: test\r\n\r\n"))
                .collect();
            std::io::Write::write_all(&mut writer, requests.as_bytes()).expect("the server takes the requests");
        });
        for number in 0..COUNT {
            assert_eq!(client.response().text(), number.to_string());
        }
    });
}

#[test]
fn a_request_may_come_byte_by_byte() {
    let server = server();
    let mut client = server.connect();
    for byte in b"POST /length HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" {
        client.send([*byte]);
    }
    assert_eq!(client.response().text(), "3");
}

#[test]
fn head_is_get_without_the_body() {
    let server = server();
    let mut client = server.connect();
    client.send(GET.replace("GET", "HEAD"));
    let response = client.response_to("HEAD");
    assert_eq!((response.status, response.header("content-length")), (200, Some("13")));
    client.send("HEAD /stream/5 HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(
        client.response_to("HEAD").header("content-length"),
        None,
        "the length of a stream is not known"
    );
    client.send(GET);
    assert_eq!(
        client.response().text(),
        "Hello, World!",
        "the connection continues after both"
    );
}

#[test]
fn options_and_405_say_which_methods_a_path_has() {
    let server = server();
    let response = server.request("OPTIONS /echo HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(
        (response.status, response.header("allow")),
        (204, Some("POST, OPTIONS"))
    );
    let response = server.request("DELETE / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(
        (response.status, response.header("allow")),
        (405, Some("GET, HEAD, OPTIONS"))
    );
    assert_eq!(
        response.problem()["detail"],
        "DELETE is not allowed; / has GET, HEAD, OPTIONS"
    );
    assert_eq!(server.request("OPTIONS * HTTP/1.1\r\nhost: test\r\n\r\n").status, 204);
}

#[test]
fn a_path_without_a_route_is_a_404_problem() {
    let problem = server().get("/nowhere?x=1").problem();
    assert_eq!(problem["title"], "Not Found");
    assert_eq!(problem["detail"], "no route matches /nowhere");
}

#[test]
fn connection_close_and_http_1_0_end_the_connection() {
    let server = server();
    for request in [
        "GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nhost: test\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(request);
        assert_eq!(client.response().text(), "Hello, World!");
        assert!(client.is_closed(), "{request}");
    }
    let mut client = server.connect();
    client.send("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
    assert_eq!(client.response().header("connection"), Some("keep-alive"));
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.response().text(), "Hello, World!");
}

#[test]
fn a_streamed_response_is_chunked_and_the_connection_goes_on() {
    let server = server();
    let mut client = server.connect();
    for count in [0, 1, 3, 500] {
        client.send(format!("GET /stream/{count} HTTP/1.1\r\nhost: test\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        assert_eq!(response.body.len(), count * 1000);
    }
    client.send("GET /stream/3 HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.header("transfer-encoding"), response.body.len()),
        (None, 3000),
        "up to the close on 1.0"
    );
}

#[test]
fn a_stream_that_fails_breaks_the_response_off() {
    let server = server();
    let mut broken = server.connect();
    broken.send("GET /broken-stream HTTP/1.1\r\nhost: test\r\n\r\n");
    let answer = broken.rest();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("a beginning"), "{answer}");
    assert!(
        !answer.ends_with("0\r\n\r\n"),
        "the client must see that the body is not whole: {answer}"
    );
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_stream_that_fails_resets_a_client_of_http_1_0() {
    let server = server();
    let mut stream = TcpStream::connect(server.address).expect("the server accepts");
    let patience = Duration::from_secs(20);
    stream.set_read_timeout(Some(patience)).expect("a time-out can be set");
    stream
        .write_all(b"GET /broken-stream HTTP/1.0\r\n\r\n")
        .expect("the server takes the bytes");
    let mut answer = Vec::new();
    let error = stream
        .read_to_end(&mut answer)
        .expect_err("only a reset reveals that the body is incomplete");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_stream_waits_for_a_client_that_does_not_read() {
    let state = TestState::default();
    let server = serve(App::new(state.clone()).routes(ROUTES));
    let mut client = server.connect();
    client.send("GET /endless HTTP/1.1\r\nhost: test\r\n\r\n");
    let mut before = usize::MAX;
    // The kernel's buffers fill up, and then nothing more is asked for.
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let now = state.asked.load(Relaxed);
        if now == before {
            break;
        }
        assert!(now * 16 * 1024 < 256 << 20, "the stream is read without bound");
        before = now;
    }
    assert!(before > 0);
    assert_eq!(server.get("/").status, 200, "others are served meanwhile");
}

#[test]
fn an_echo_streams_a_body_larger_than_every_buffer() {
    let server = serve(App::new(TestState::default()).routes(ROUTES).body_limit(1 << 30));
    let body: &Vec<u8> = &(0..8 << 20).map(|number: u32| (number % 251) as u8).collect();
    for framing in ["content-length", "chunked"] {
        let mut client = server.connect();
        std::thread::scope(|scope| {
            let mut writer = client.duplicate();
            scope.spawn(move || {
                use std::io::Write;
                let head = "POST /echo HTTP/1.1\r\nhost: test\r\n";
                if framing == "chunked" {
                    writer
                        .write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes())
                        .unwrap();
                    for piece in body.chunks(10_007) {
                        writer.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).unwrap();
                        writer.write_all(piece).unwrap();
                        writer.write_all(b"\r\n").unwrap();
                    }
                    writer.write_all(b"0\r\n\r\n").unwrap();
                } else {
                    writer
                        .write_all(format!("{head}content-length: {}\r\n\r\n", body.len()).as_bytes())
                        .unwrap();
                    writer.write_all(body).unwrap();
                }
            });
            assert!(client.response().body == *body, "{framing}");
        });
        client.send(GET);
        assert_eq!(client.response().status, 200, "the connection goes on");
    }
}

#[test]
fn a_body_that_was_paused_is_read_on_although_nothing_more_comes() {
    let state = TestState::default();
    let server = serve(App::new(state.clone()).routes(ROUTES));
    let mut client = server.connect();
    client.send("POST /length-later HTTP/1.1\r\nhost: test\r\ncontent-length: 100000\r\n\r\n");
    // The second piece fills the handler's window with a read that drains the socket; the third waits in the socket
    // while the worker does not watch it, and nothing else happens on the worker. The pauses let each be read by itself; without
    // them the test would show less, not fail.
    for length in [40_000, 40_000, 20_000] {
        client.send(vec![b'x'; length]);
        std::thread::sleep(Duration::from_millis(50));
    }
    state.gate.0.notify_one();
    assert_eq!(client.response().text(), "100000");
}

#[test]
fn a_client_that_expects_100_is_told_to_continue_when_the_body_is_wanted() {
    let server = server();
    let mut client = server.connect();
    client.send("POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status, 100);
    client.send("abc");
    assert_eq!(client.response().text(), "3");
    // A handler that does not want the body answers at once.
    client.send("POST /ignore HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().text(), "ignored");
}

#[test]
fn a_body_that_nobody_read_does_not_become_the_next_request() {
    let server = server();
    let mut client = server.connect();
    let body = "GET /panic HTTP/1.1\r\nhost: test\r\n\r\n";
    client.send(format!(
        "POST /ignore HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(client.response().text(), "ignored");
    client.send(GET);
    assert_eq!(client.response().text(), "Hello, World!");
}

#[test]
fn a_client_that_ends_its_half_still_gets_its_answers() {
    let server = server();
    let mut client = server.connect();
    client.send(format!("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n{GET}"));
    client.end();
    assert_eq!(client.response().text(), "slow");
    assert_eq!(client.response().text(), "Hello, World!");
    assert!(client.is_closed());
}

#[test]
fn a_body_over_the_limit_is_413_and_the_client_sees_it() {
    let server = serve(App::new(TestState::default()).routes(ROUTES).body_limit(1000));
    let body = vec![b'x'; 3 << 20];
    for framing in [
        "content-length: 3145728\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\n300000\r\n",
    ] {
        let mut client = server.connect();
        client.send(format!("POST /length HTTP/1.1\r\nhost: test\r\n{framing}"));
        client.send_what_is_taken(&body);
        let response = client.response();
        assert_eq!(response.status, 413);
        assert_eq!(
            response.problem()["detail"],
            "the body is longer than the limit of 1000 bytes"
        );
        assert_eq!(response.header("connection"), Some("close"), "{framing}");
    }
    assert_eq!(
        server
            .request(format!(
                "POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 1000\r\n\r\n{}",
                "x".repeat(1000)
            ))
            .text(),
        "1000"
    );
}

#[test]
fn what_breaks_the_protocol_is_answered_with_a_problem_and_a_close() {
    let server = server();
    let many_fields: String = (0..20_000).map(|number| format!("x-{number}: y\r\n")).collect();
    let cases = [
        ("a bad request line", "GET\r\n\r\n".to_owned(), 400),
        ("no host", "GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (
            "20,000 fields",
            format!("GET / HTTP/1.1\r\nhost: test\r\n{many_fields}\r\n"),
            431,
        ),
        (
            "a head without an end",
            format!("GET / HTTP/1.1\r\nhost: test\r\nx: {}", "y".repeat(100_000)),
            431,
        ),
        ("a target without an end", format!("GET /{}", "y".repeat(100_000)), 414),
        (
            "two lengths",
            "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
                .to_owned(),
            400,
        ),
        (
            "a bad chunk size",
            "POST /length HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\nabc\r\n".to_owned(),
            400,
        ),
        (
            "space before the colon",
            "GET / HTTP/1.1\r\nhost : test\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a folded field",
            "GET / HTTP/1.1\r\nhost: test\r\nx: y\r\n z\r\n\r\n".to_owned(),
            400,
        ),
        (
            "bytes that are no HTTP",
            "\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03".to_owned() + &"\r\n".repeat(20),
            400,
        ),
        (
            "another version",
            "GET / HTTP/2.0\r\nhost: test\r\n\r\n".to_owned(),
            505,
        ),
    ];
    for (what, request, status) in cases {
        let mut client = server.connect();
        client.send_what_is_taken(&request);
        let response = client.response();
        assert_eq!(response.status, status, "{what}: {response:?}");
        assert!(response.problem()["detail"].is_string(), "{what}");
        assert_eq!(response.header("connection"), Some("close"), "{what}");
        client.end();
        assert!(client.is_closed(), "{what}");
        assert_eq!(server.get("/").status, 200, "the server goes on after {what}");
    }
}

#[test]
fn a_good_request_before_a_bad_one_is_answered() {
    let server = server();
    let mut client = server.connect();
    client.send(format!("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n{GET}GET bad\r\n\r\n"));
    assert_eq!(client.response().text(), "slow");
    assert_eq!(client.response().text(), "Hello, World!");
    assert_eq!(client.response().status, 400);
}

#[test]
fn a_panic_is_a_500_problem_of_its_own_request_only() {
    let server = server();
    let mut client = server.connect();
    for target in ["/panic", "/panic-later"] {
        client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n{GET}"));
        let response = client.response();
        assert_eq!(response.status, 500);
        assert!(
            !response.text().contains("as the test wants it"),
            "the message stays in the log"
        );
        assert_eq!(response.problem()["title"], "Internal Server Error");
        assert_eq!(client.response().status, 200, "the connection goes on");
    }
}

#[test]
fn a_head_that_does_not_end_in_time_is_408() {
    let server = serve(
        App::new(TestState::default())
            .routes(ROUTES)
            .head_timeout(Duration::from_secs(1)),
    );
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhos");
    let response = client.response();
    assert_eq!(response.status, 408);
    assert_eq!(
        response.problem()["detail"],
        "the head of the request did not arrive in time"
    );
}

#[test]
fn a_body_that_comes_too_slowly_is_408() {
    let app = App::new(TestState::default())
        .routes(ROUTES)
        .minimum_rate(1024, Duration::from_secs(1));
    let server = serve(app);
    let mut client = server.connect();
    client.send("POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nabc");
    assert_eq!(client.response().status, 408);
}

#[test]
fn a_connection_without_a_request_is_closed_after_the_idle_time() {
    let server = serve(
        App::new(TestState::default())
            .routes(ROUTES)
            .idle_timeout(Duration::from_secs(1)),
    );
    let mut silent = server.connect();
    let mut served = server.connect();
    served.send(GET);
    assert_eq!(served.response().status, 200);
    assert!(silent.is_closed());
    assert!(served.is_closed());
}

#[test]
fn a_client_that_never_reads_its_response_is_let_go() {
    let state = TestState::default();
    let app = App::new(state.clone())
        .routes(ROUTES)
        .minimum_rate(1 << 30, Duration::from_secs(1));
    let server = serve(app);
    let mut client = server.connect();
    client.send("GET /endless HTTP/1.1\r\nhost: test\r\n\r\n");
    wait_for(|| server.handle().statistics().struck(Limit::WriteRate) == 1);
    wait_for(|| server.handle().statistics().open_connections == 0);
    let asked = state.asked.load(Relaxed);
    client.rest();
    assert_eq!(
        state.asked.load(Relaxed),
        asked,
        "the stream is dropped with its connection"
    );
}

#[test]
fn more_connections_than_the_limit_wait_and_are_served_later() {
    let server = serve(App::new(TestState::default()).routes(ROUTES).connection_limit(2));
    let mut first = server.connect();
    let mut second = server.connect();
    for client in [&mut first, &mut second] {
        client.send(GET);
        assert_eq!(client.response().status, 200);
    }
    let mut third = server.connect();
    third.send(GET);
    drop(first);
    assert_eq!(third.response().status, 200);
}

#[test]
fn stopping_finishes_what_is_served_and_closes_what_is_idle() {
    let server = server();
    let mut idle = server.connect();
    idle.send(GET);
    assert_eq!(idle.response().status, 200);
    let mut busy = server.connect();
    busy.send("GET /slow HTTP/1.1\r\nhost: test\r\n\r\n");
    wait_for(|| server.handle().statistics().requests == 2);
    server.handle().stop();
    assert!(idle.is_closed());
    let response = busy.response();
    assert_eq!(
        (response.text(), response.header("connection")),
        ("slow", Some("close"))
    );
    assert!(busy.is_closed());
    let address = server.address;
    server.wait().expect("the server ends well");
    assert!(std::net::TcpStream::connect(address).is_err(), "no listener is left");
}

#[test]
fn a_shutdown_has_a_deadline() {
    let state = TestState::default();
    let app = App::new(state.clone())
        .routes(ROUTES)
        .shutdown_timeout(Duration::from_secs(1));
    let server = serve(app);
    let mut client = server.connect();
    client.send("GET /endless HTTP/1.1\r\nhost: test\r\n\r\n");
    wait_for(|| state.asked.load(Relaxed) > 0);
    server.handle().stop();
    server.wait().expect("the server ends although a response does not");
}

#[test]
fn several_workers_serve_on_one_address() {
    #[get("/worker")]
    fn worker() -> String {
        format!("{:?}", std::thread::current().id())
    }

    let app = App::new(()).routes(routes![worker]).workers(4);
    let server = support::start(app.listen("127.0.0.1:0").expect("listening"));
    let mut workers = BTreeSet::new();
    // The kernel distributes connections by a hash of their ports: a worker that gets none of a thousand does not serve.
    let connections = (0..1000).take_while(|_| {
        workers.insert(server.get("/worker").text().to_owned());
        workers.len() < 4
    });
    connections.for_each(drop);
    assert_eq!(workers.len(), 4, "{workers:?}");
}

#[test]
fn ipv6_is_served() {
    let server = App::new(TestState::default())
        .routes(ROUTES)
        .listen("[::1]:0")
        .expect("listening on ::1");
    let server = support::start(server);
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn an_address_that_cannot_be_listened_on_is_named_with_a_remedy() {
    let taken = server();
    let error = App::new(TestState::default())
        .routes(ROUTES)
        .listen(taken.address)
        .err()
        .expect("the port is taken");
    let text = error.to_string();
    assert!(text.contains(&taken.address.to_string()), "{text}");
    assert!(text.contains("in use"), "{text}");
    let error = App::new(TestState::default())
        .routes(ROUTES)
        .listen("nonsense")
        .err()
        .expect("no address");
    let text = error.to_string();
    assert!(
        text.contains("\"nonsense\"") && text.contains("such as 127.0.0.1:8080"),
        "{text}"
    );
}

#[test]
fn what_a_state_has_spawned_goes_on_while_the_server_serves() {
    use tokio::sync::{mpsc, oneshot};

    #[derive(Clone)]
    struct Counter(mpsc::Sender<oneshot::Sender<u64>>);

    async fn start() -> Result<Counter, std::io::Error> {
        let (sender, mut receiver) = mpsc::channel::<oneshot::Sender<u64>>(1);
        tokio::spawn(async move {
            let mut count = 0;
            while let Some(answer) = receiver.recv().await {
                count += 1;
                let _ = answer.send(count);
            }
        });
        Ok(Counter(sender))
    }

    #[get("/count")]
    async fn count(counter: State<Counter>) -> Result<String, Problem> {
        let (sender, receiver) = oneshot::channel();
        counter.0.0.send(sender).await?;
        Ok(receiver.await?.to_string())
    }

    let server = serve(App::open(start()).expect("the state is made").routes(routes![count]));
    for expected in ["1", "2", "3"] {
        assert_eq!(server.get("/count").text(), expected);
    }
}
