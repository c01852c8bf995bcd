//! Regressions. Each test names one.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io::{Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use crate::support::{serve, wait_for};
use conduit::prelude::*;
use conduit::testing::{TestClient, TestConnection};
use futures_core::Stream;
use tokio::sync::Semaphore;

const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
const SECOND: Duration = Duration::from_secs(1);

/// Reads until this text has arrived.
fn read_until(connection: &mut TestConnection, text: &str) -> String {
    let mut read = String::new();
    while !read.contains(text) {
        let bytes = connection.read(1 << 16);
        assert!(!bytes.is_empty(), "closed before {text:?}: {read}");
        read += &String::from_utf8(bytes).expect("ASCII");
    }
    read
}

#[get("/")]
async fn hello() -> &'static str {
    "Hello, World!"
}

#[post("/echo")]
async fn echo(body: Body) -> Body {
    body
}

/// The number of bytes that the handler has received.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicU64>);

/// Reads the whole body, with a large response that is ready before.
#[post("/count")]
async fn count(body: Body, counter: State<Counter>) -> Body {
    Body::from_stream(Counted(body, counter.0))
}

struct Counted(Body, Counter);

impl Stream for Counted {
    type Item = Result<Bytes, conduit::BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = Pin::new(&mut self.0).poll_next(context);
        if let Poll::Ready(Some(Ok(piece))) = &piece {
            self.1.0.fetch_add(piece.len() as u64, Ordering::SeqCst);
        }
        piece
    }
}

#[test]
fn a_client_that_sends_and_never_reads_is_not_read_from_without_bound() {
    let counter = Counter::default();
    let app = App::new(counter.clone()).routes(routes![count]).body_limit(u64::MAX);
    // The subject is the kernel's buffers, which fill in real time, and so the deadline is real.
    let server = serve(app.minimum_rate(1024, Duration::from_secs(2)));
    let mut client = server.connect();
    client.send("POST /count HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut chunk = b"10000\r\n".to_vec();
    chunk.resize(chunk.len() + 0x10000, b'x');
    chunk.extend_from_slice(b"\r\n");
    let mut sent = 0;
    // The server reads until the kernel's buffers and its own are full; then it waits, and then it disconnects the client.
    while sent < 1 << 30 && client.send_what_is_taken(&chunk) {
        sent += chunk.len();
    }
    assert!(
        sent < 1 << 28,
        "{sent} bytes were taken from a client that reads nothing"
    );
    assert!(counter.0.load(Ordering::SeqCst) < 1 << 28);
}

#[post("/ignore-later")]
async fn ignore_later() -> &'static str {
    tokio::time::sleep(SECOND).await;
    "ignored"
}

#[test]
fn a_body_that_a_waiting_handler_never_takes_does_not_stall_the_next_request() {
    let client = TestClient::new(App::new(()).routes(routes![hello, ignore_later]));
    for framing in [
        "content-length: 100000\r\n\r\n".to_owned() + &"x".repeat(100_000),
        "transfer-encoding: chunked\r\n\r\n186a0\r\n".to_owned() + &"x".repeat(100_000) + "\r\n0\r\n\r\n",
    ] {
        let mut connection = client.connect();
        assert!(connection.send(format!("POST /ignore-later HTTP/1.1\r\nhost: test\r\n{framing}")));
        client.advance(2 * SECOND);
        let response = read_until(&mut connection, "ignored");
        if !response.contains("connection: close") {
            assert!(connection.send(GET));
            read_until(&mut connection, "Hello, World!");
        }
    }
}

struct Panicking(bool);

impl Stream for Panicking {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        assert!(!self.0, "requested by the test");
        self.0 = true;
        Poll::Ready(Some(Ok(Bytes::from_static(b"one"))))
    }
}

#[get("/panicking-stream")]
async fn panicking_stream() -> Body {
    Body::from_stream(Panicking(false))
}

#[test]
fn a_stream_that_panics_aborts_only_its_response() {
    let server = serve(App::new(()).routes(routes![hello, panicking_stream]));
    let mut client = server.connect();
    client.send("GET /panicking-stream HTTP/1.1\r\nhost: test\r\n\r\n");
    let answer = client.rest();
    assert!(answer.ends_with(b"one\r\n"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!(server.get("/").status, 200);
}

#[get("/head")]
fn head_of(request: Request, headers: HeaderMap, uri: Uri, peer: PeerAddr) -> String {
    assert_eq!(peer.0, request.peer_address());
    format!("{uri} {}", headers.contains_key("authorization"))
}

#[test]
fn arguments_after_the_whole_request_see_this_request_and_no_other() {
    let server = serve(App::new(()).routes(routes![head_of]));
    for _ in 0..4 {
        server.request("GET /head?token=secret HTTP/1.1\r\nhost: test\r\nauthorization: Bearer alice\r\n\r\n");
        assert_eq!(server.get("/head?bob").text(), "/head?bob false");
    }
}

#[test]
fn a_client_whose_reads_end_in_the_middle_of_a_head_is_not_timed_out_while_it_continues() {
    let client = TestClient::new(App::new(()).routes(routes![hello]).head_timeout(10 * SECOND));
    let mut connection = client.connect();
    let (beginning, end) = GET.split_at(10);
    assert!(connection.send(beginning));
    // Longer than the limit of one head.
    for _ in 0..30 {
        client.advance(SECOND);
        assert!(connection.send(format!("{end}{beginning}")));
        let response = read_until(&mut connection, "Hello, World!");
        assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    }
}

#[post("/late")]
async fn late(body: Body) -> Result<String, Problem> {
    tokio::time::sleep(10 * SECOND).await;
    Ok(body.collect().await?.len().to_string())
}

#[post("/dropped")]
async fn dropped(body: Body) -> StatusCode {
    drop(body);
    tokio::time::sleep(SECOND).await;
    StatusCode::FORBIDDEN
}

#[test]
fn client_that_waits_for_100_has_no_deadline_and_receives_no_100_for_a_dropped_body() {
    let app = App::new(()).routes(routes![late, dropped]);
    let client = TestClient::new(app.minimum_rate(1024, SECOND));
    let expects = "HTTP/1.1\r\nhost: test\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n";
    let mut connection = client.connect();
    assert!(connection.send(format!("POST /late {expects}")));
    client.advance(9 * SECOND);
    assert_eq!(connection.received(), b"");
    client.advance(2 * SECOND);
    assert_eq!(connection.received(), b"HTTP/1.1 100 Continue\r\n\r\n");
    assert!(connection.send("abc"));
    let response = read_until(&mut connection, "\r\n\r\n3");
    assert!(response.contains("HTTP/1.1 200 OK"), "{response}");
    let mut connection = client.connect();
    assert!(connection.send(format!("POST /dropped {expects}")));
    client.advance(2 * SECOND);
    assert!(connection.received().starts_with(b"HTTP/1.1 403 "));
}

#[test]
fn the_longest_durations_are_no_limit_and_no_panic() {
    let app = App::new(()).routes(routes![hello, echo]).minimum_rate(1, Duration::MAX);
    let app = app
        .head_timeout(Duration::MAX)
        .idle_timeout(Duration::MAX)
        .shutdown_timeout(Duration::MAX);
    let client = TestClient::new(app);
    let mut connection = client.connect();
    assert!(connection.send("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 6\r\n\r\nabc"));
    client.advance(3600 * SECOND);
    assert!(connection.send("def"));
    let response = read_until(&mut connection, "def");
    assert!(response.starts_with("HTTP/1.1 200 OK"), "{response}");
    client.handle().stop();
    connection.rest();
    // The drop of the client joins the server, which must end well.
}

#[get("/blocking")]
async fn blocking() -> &'static str {
    let blocked = tokio::task::spawn_blocking(|| {
        loop {
            std::thread::park();
        }
    });
    let _ = blocked.await;
    "blocked"
}

#[test]
fn a_thread_that_blocks_does_not_hold_up_the_end_of_the_server() {
    let server = serve(App::new(()).routes(routes![hello, blocking]));
    let mut client = server.connect();
    client.send("GET /blocking HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(server.get("/").status, 200);
    server.handle().close();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(server.wait()));
    receiver
        .recv_timeout(Duration::from_secs(30))
        .expect("the server ends")
        .expect("and ends well");
}

/// Counts the pieces and the errors of a body; a stream returns at most one error.
#[post("/sloppy")]
async fn sloppy(mut body: Body, counter: State<Counter>) -> &'static str {
    while let Some(piece) = std::future::poll_fn(|context| Pin::new(&mut body).poll_next(context)).await {
        let errors = counter.0.0.fetch_add(u64::from(piece.is_err()), Ordering::SeqCst);
        assert!(errors < 10, "the stream does not end after its error");
    }
    "read"
}

#[test]
fn an_incomplete_body_gives_its_error_once() {
    let counter = Counter::default();
    let server = serve(App::new(counter.clone()).routes(routes![sloppy]));
    let mut client = server.connect();
    client.send("POST /sloppy HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nabc");
    client.end();
    client.rest();
    assert_eq!(counter.0.load(Ordering::SeqCst), 1);
}

#[post("/tail")]
async fn tail(mut body: Body) -> Body {
    std::future::poll_fn(|context| Pin::new(&mut body).poll_next(context)).await;
    body
}

#[test]
fn rest_of_a_body_has_the_length_of_the_rest() {
    let server = serve(App::new(()).routes(routes![tail]));
    let mut client = server.connect();
    client.send("POST /tail HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nabcde");
    let mut reader = client.duplicate();
    // The head of the response is sent once the first piece has been read.
    let mut byte = [0];
    reader.read_exact(&mut byte).expect("an answer begins");
    reader.write_all(b"fghij").expect("the rest is taken");
    let answer = String::from_utf8_lossy(&byte).into_owned();
    client.end();
    let answer = answer + &String::from_utf8_lossy(&client.rest());
    assert!(
        answer.contains("content-length: 5\r\n") && answer.ends_with("\r\n\r\nfghij"),
        "{answer}"
    );
}

#[test]
fn an_echo_over_the_limit_is_413_before_anything_is_answered() {
    let server = serve(App::new(()).routes(routes![echo]).body_limit(10));
    let response = server.request("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 11\r\n\r\nabc");
    assert_eq!(response.status, 413);
}

#[test]
fn a_place_below_the_limit_of_connections_is_used_when_it_becomes_free() {
    let server = serve(App::new(()).routes(routes![hello]).connection_limit(1));
    for _ in 0..20 {
        let mut first = server.connect();
        first.send(GET);
        assert_eq!(first.response().status, 200);
        let mut second = server.connect();
        second.send(GET);
        drop(first);
        assert_eq!(second.response().status, 200);
    }
}

static GO: Semaphore = Semaphore::const_new(0);

#[post("/ignore-until-asked")]
async fn ignore_until_asked() -> &'static str {
    GO.acquire().await.expect("it stays open").forget();
    "ignored"
}

#[test]
fn requests_after_the_last_one_do_not_reset_the_connection_before_the_answer_is_read() {
    let server = serve(App::new(()).routes(routes![hello, ignore_until_asked]));
    let mut client = server.connect();
    let closing = "POST /ignore-until-asked HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    client.send(closing);
    client.send(GET.repeat(3));
    // A real socket: only the kernel resets a connection with unread bytes.
    assert_eq!(server.get("/").status, 200);
    GO.add_permits(1);
    assert_eq!(client.response().text(), "ignored");
    assert!(client.is_closed());
}

/// Waits for a piece of the request's body; then returns more than the kernel buffers, and a second piece at once.
struct Prompted(Option<Body>, Vec<Bytes>, Counter);

impl Stream for Prompted {
    type Item = Result<Bytes, conduit::BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.2.0.fetch_add(1, Ordering::SeqCst);
        if let Some(body) = &mut self.0 {
            let Poll::Ready(_) = Pin::new(body).poll_next(context) else {
                return Poll::Pending;
            };
            self.0 = None;
        }
        Poll::Ready(self.1.pop().map(Ok))
    }
}

#[post("/prompted")]
async fn prompted(body: Body, polls: State<Counter>) -> Body {
    Body::from_stream(Prompted(
        Some(body),
        vec![Bytes::from_static(b"end"), Bytes::from(vec![b'a'; 16 << 20])],
        polls.0,
    ))
}

/// Client input during the production of a piece made the stream produce another, which overtook the rest of the first.
#[test]
fn pieces_of_a_stream_stay_in_order_while_the_request_still_comes() {
    let polls = Counter::default();
    let server = serve(App::new(polls.clone()).routes(routes![prompted]));
    let mut client = server.connect();
    let head = "POST /prompted HTTP/1.1\r\nhost: test\r\ncontent-length: 1\r\n\r\n";
    client.send(head);
    wait_for(|| polls.0.load(Ordering::SeqCst) > 0);
    client.send("x");
    wait_for(|| server.handle().statistics().received_bytes > head.len() as u64);
    let body = client.response().body;
    assert_eq!(body.len(), (16 << 20) + 3);
    assert!(body[..16 << 20].iter().all(|byte| *byte == b'a'));
    assert_eq!(&body[16 << 20..], b"end");
}

#[test]
fn connect_opens_no_tunnel_with_any_response() {
    async fn everything(request: Request) -> String {
        request.method().to_string()
    }

    async fn early(request: Request, next: Next) -> Response {
        match request.header("x-early") {
            Some(_) => "early".into_response(),
            None => next.run(request).await,
        }
    }

    let server = serve(App::new(()).routes(routes![hello]).fallback(everything).layer(early));
    let mut client = server.connect();
    for (field, status) in [("", 501), ("x-early: yes\r\n", 500)] {
        client.send(format!("CONNECT x:443 HTTP/1.1\r\nhost: x:443\r\n{field}\r\n"));
        assert_eq!(client.response().problem()["status"], status);
        // The connection continues with HTTP.
        client.send("GET /nowhere HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(client.response().text(), "GET");
    }
}

/// Lets a test decide when a task and a handler continue.
#[derive(Clone)]
struct Turns {
    reader: Arc<Semaphore>,
    has_read: Arc<Semaphore>,
}

#[post("/leave-to-task")]
async fn leave_to_task(mut body: Body, turns: State<Turns>) -> &'static str {
    let turns = turns.0.clone();
    tokio::task::spawn_local(async move {
        turns.reader.acquire().await.expect("it stays open").forget();
        let _ = poll_fn(|context| Pin::new(&mut body).poll_next(context)).await;
        turns.has_read.add_permits(1);
    });
    "left"
}

#[post("/refuse")]
async fn refuse(body: Body, turns: State<Turns>) -> StatusCode {
    turns.reader.add_permits(1);
    turns.has_read.acquire().await.expect("it stays open").forget();
    // The worker receives the task's command before it receives this response.
    tokio::task::yield_now().await;
    drop(body);
    StatusCode::UNAUTHORIZED
}

/// A task that read the body of a finished request had the server send `100 Continue` for the next one.
#[test]
fn a_command_of_a_finished_request_does_not_act_on_the_next_one() {
    let turns = Turns {
        reader: Arc::new(Semaphore::new(0)),
        has_read: Arc::new(Semaphore::new(0)),
    };
    let server = serve(App::new(turns).routes(routes![leave_to_task, refuse]));
    let expects = "HTTP/1.1\r\nhost: test\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n";
    let mut client = server.connect();
    client.send(format!("POST /leave-to-task {expects}body"));
    assert_eq!(client.response().text(), "left");
    client.send(format!("POST /refuse {expects}"));
    assert_eq!(client.response().status, 401);
}

const LARGE: usize = 2 << 20;

#[get("/large")]
fn large() -> Vec<u8> {
    vec![b'l'; LARGE]
}

/// The server closed with bytes unread, which reset the connection: the client lost the end of the response.
#[test]
fn a_closing_response_arrives_whole_although_the_client_sends_more() {
    let closing = "GET /large HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    let usual = "GET /large HTTP/1.1\r\nhost: test\r\n\r\n";
    let cases = [
        ("connection: close", closing, u64::MAX, false),
        ("HTTP/1.0", "GET /large HTTP/1.0\r\n\r\n", u64::MAX, false),
        ("the limit of requests", usual, 1, false),
        ("a stop", usual, u64::MAX, true),
    ];
    for (name, request, requests, stops) in cases {
        for more in ["\r\n", GET] {
            let server = serve(App::new(()).routes(routes![hello, large]).request_limit(requests));
            let mut client = server.connect();
            client.send(request);
            assert!(client.received("\r\n\r\n"), "{name}: the response has begun");
            if stops {
                server.handle().stop();
            }
            client.send(more);
            let received = client.rest();
            let body = received
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
                .expect("a head")
                + 4;
            assert!(
                received.len() - body >= LARGE,
                "{name}: {} bytes",
                received.len() - body
            );
        }
    }
}

#[test]
fn a_connection_lingers_for_a_bounded_time_and_discards_a_bounded_number_of_bytes() {
    let server = serve(App::new(()).routes(routes![hello]));
    let open = || server.handle().statistics().open_connections;
    let closing = "GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
    let mut client = server.connect();
    client.send(closing);
    assert_eq!(client.response().text(), "Hello, World!");
    assert!(client.is_closed());
    // The client keeps its half open, and is disconnected nevertheless.
    wait_for(|| open() == 0);
    let mut client = server.connect();
    client.send(closing);
    assert!(
        !client.send_what_is_taken(vec![b'x'; 256 << 20]),
        "the server takes everything"
    );
}
