//! Limits of connections and requests, deadlines that expire once, and counters, at the socket of a running server.

mod support;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use conduit::Limit;
use conduit::prelude::*;
use conduit::testing::TestClient;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use support::{Running, later, serve, start};

/// The time that a test waits for a condition before it fails.
const TIMEOUT: Duration = Duration::from_secs(30);

#[get("/")]
fn home() -> &'static str {
    "home"
}

#[post("/echo")]
async fn echo(body: Bytes) -> Bytes {
    body
}

#[post("/mirror")]
async fn mirror(body: Body) -> Body {
    body
}

/// Waits until the condition is true.
fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !so() {
        assert!(Instant::now() < deadline, "still not: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn wait_for_open(server: &Running, connections: u64) {
    wait_until("the connections are open", || {
        server.handle().statistics().open_connections == connections
    });
}

/// All received bytes up to the end of the stream, which may be a reset.
fn read_all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout can be set");
    match stream.read_to_end(&mut text) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => String::from_utf8(text).expect("ASCII"),
    }
}

#[test]
fn a_peer_at_its_limit_of_connections_is_refused_until_one_closes() {
    let server = start(
        App::new(())
            .routes(routes![home])
            .workers(2)
            .peer_connection_limit(2)
            .listen("127.0.0.1:0")
            .expect("a port of loopback can be listened on"),
    );
    let mut first = server.connect();
    first.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(first.response().status, 200);
    let second = server.connect();
    wait_for_open(&server, 2);

    let mut third = TcpStream::connect(server.address).expect("the kernel accepts");
    let answer = read_all(&mut third);
    assert!(
        answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n") || answer.is_empty(),
        "{answer}"
    );
    assert_eq!(server.handle().statistics().limit_hits(Limit::PeerConnections), 1);

    drop(second);
    wait_for_open(&server, 1);
    assert_eq!(server.get("/").status, 200);
    first.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(first.response().status, 200, "the earlier connections remain open");
}

#[test]
fn the_last_request_of_a_connection_is_answered_with_a_close() {
    let server = serve(App::new(()).routes(routes![home]).request_limit(3));
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n".repeat(4));
    for _ in 0..2 {
        let response = client.response();
        assert_eq!((response.status, response.header("connection")), (200, None));
    }
    let last = client.response();
    assert_eq!((last.status, last.header("connection")), (200, Some("close")));
    assert!(client.is_closed());
    let statistics = server.handle().statistics();
    assert_eq!(statistics.limit_hits(Limit::Requests), 1);
    assert_eq!(statistics.requests, 3);
}

#[test]
fn last_response_that_is_a_body_over_its_limit_counts_each_limit_once() {
    let server = serve(App::new(()).routes(routes![mirror]).request_limit(1).body_limit(10));
    let response = server.request("POST /mirror HTTP/1.1\r\nhost: test\r\ncontent-length: 11\r\n\r\nhello world");
    assert_eq!((response.status, response.header("connection")), (413, Some("close")));
    let statistics = server.handle().statistics();
    assert_eq!(statistics.limit_hits(Limit::Requests), 1);
    assert_eq!(statistics.limit_hits(Limit::BodyBytes), 1);
}

#[test]
fn requests_that_are_invalid_in_their_first_bytes_are_not_counted_as_served() {
    let server = serve(App::new(()).routes(routes![home, echo]));
    let invalid = "POST /echo HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\nno length\r\n";
    assert_eq!(server.request(invalid).status, 400);
    assert_eq!(server.handle().statistics().requests, 0);
    assert_eq!(server.request("GET / HTTP/1.1\r\nhost: test\r\n\r\n").status, 200);
    assert_eq!(server.handle().statistics().requests, 1);
}

#[test]
fn each_rejection_because_of_size_is_counted_under_its_limit() {
    let server = serve(
        App::new(())
            .routes(routes![home, echo])
            .head_limit(200)
            .header_limit(3)
            .body_limit(10),
    );
    let long = "x".repeat(200);
    let cases = [
        (
            format!("GET /{long} HTTP/1.1\r\nhost: test\r\n\r\n"),
            414,
            Limit::HeadBytes,
            1,
        ),
        (
            format!("GET / HTTP/1.1\r\nhost: test\r\nx: {long}\r\n\r\n"),
            431,
            Limit::HeadBytes,
            2,
        ),
        (
            "GET / HTTP/1.1\r\nhost: test\r\na: 1\r\nb: 2\r\nc: 3\r\n\r\n".to_owned(),
            431,
            Limit::Headers,
            1,
        ),
        (
            "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 11\r\n\r\nhello world".to_owned(),
            413,
            Limit::BodyBytes,
            1,
        ),
    ];
    for (request, status, limit, hits) in cases {
        assert_eq!(server.request(&request).status, status, "{request}");
        assert_eq!(server.handle().statistics().limit_hits(limit), hits, "{request}");
    }
}

#[test]
fn connections_requests_and_bytes_are_counted() {
    let server = serve(App::new(()).routes(routes![home]));
    let request = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";
    let mut client = server.connect();
    client.send(request);
    client.response();
    let statistics = server.handle().statistics();
    assert_eq!(statistics.accepted_connections, 1);
    assert_eq!(statistics.open_connections, 1);
    assert_eq!(statistics.requests, 1);
    assert_eq!(statistics.received_bytes, request.len() as u64);
    // The worker counts them after the send that wakes the client.
    wait_until("the answer is counted", || {
        server.handle().statistics().sent_bytes > "home".len() as u64
    });
    drop(client);
    wait_for_open(&server, 0);
}

#[test]
fn deadlines_are_counted_when_they_expire() {
    let server = serve(
        App::new(())
            .routes(routes![home])
            .head_timeout(Duration::ZERO)
            .idle_timeout(Duration::ZERO),
    );
    let mut silent = server.connect();
    let mut slow = server.connect();
    slow.send("GET / HTTP/1.1\r\n");
    assert_eq!(slow.response().status, 408);
    assert!(silent.is_closed());
    wait_until("both limits are hit", || {
        let statistics = server.handle().statistics();
        statistics.limit_hits(Limit::HeadTime) == 1 && statistics.limit_hits(Limit::IdleTime) == 1
    });
}

/// A response that continues after the request body was aborted: one piece at the abort, and one three seconds later.
struct Outliving {
    body: Option<Body>,
    rest: Pin<Box<tokio::time::Sleep>>,
}

impl futures_core::Stream for Outliving {
    type Item = Result<Bytes, conduit::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(body) = &mut this.body {
            match Pin::new(body).poll_next(context) {
                Poll::Ready(Some(Ok(piece))) => return Poll::Ready(Some(Ok(piece))),
                Poll::Ready(_) => {
                    this.body = None;
                    let later = tokio::time::Instant::now() + Duration::from_secs(3);
                    this.rest.as_mut().reset(later);
                    return Poll::Ready(Some(Ok(Bytes::from_static(b"cut"))));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
        this.rest.as_mut().poll(context).map(|()| None)
    }
}

#[post("/outlive")]
async fn outlive(body: Body) -> Body {
    Body::from_stream(Outliving {
        body: Some(body),
        rest: Box::pin(tokio::time::sleep(Duration::ZERO)),
    })
}

#[test]
fn a_body_that_is_too_slow_is_aborted_once_while_its_response_continues() {
    let client = TestClient::new(App::new(()).routes(routes![outlive]).minimum_rate(1024, Duration::ZERO));
    let mut connection = client.connect();
    assert!(connection.send("POST /outlive HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nabc"));
    client.advance(Duration::from_secs(10));
    let response = String::from_utf8(connection.rest()).expect("ASCII");
    assert!(response.starts_with("HTTP/1.1 200 OK\r\n"), "{response}");
    assert!(
        response.ends_with("\r\n\r\n3\r\nabc\r\n3\r\ncut\r\n0\r\n\r\n"),
        "{response}"
    );
    assert_eq!(client.handle().statistics().limit_hits(Limit::BodyRate), 1);
}

/// An endless stream of zeros, in pieces that are ready at once.
struct Endless;

impl futures_core::Stream for Endless {
    type Item = Result<Bytes, conduit::BoxError>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Ok(Bytes::from_static(&[0; 64 * 1024]))))
    }
}

#[get("/endless")]
fn endless() -> Body {
    Body::from_stream(Endless)
}

/// Far more than the kernel buffers for a client that does not read.
const LARGE_BYTES: u64 = 64 * 1024 * 1024;

#[get("/file")]
fn file() -> Result<Body, Problem> {
    let file = tempfile()?;
    file.set_len(LARGE_BYTES)?;
    Ok(Body::from_file(file, 0..LARGE_BYTES))
}

/// A file that is removed when it is closed.
fn tempfile() -> std::io::Result<File> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = std::env::temp_dir().join(format!("conduit-limits-{}-{count}", std::process::id()));
    let file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

#[test]
fn a_steady_reader_above_the_minimum_rate_is_served_in_spite_of_kernel_buffers() {
    // The kernel's buffer holds the bytes of many seconds, and becomes writable only when much of it is read.
    const GRACE: Duration = Duration::from_secs(10);
    const RATE: usize = 50_000;
    let app = App::new(()).routes(routes![endless, later]);
    let server = serve(app.minimum_rate(RATE as u64, GRACE));
    let mut stream = TcpStream::connect(server.address).expect("the kernel accepts");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout can be set");
    stream
        .write_all(b"GET /endless HTTP/1.1\r\nhost: test\r\n\r\n")
        .expect("the server takes it");
    let mut buffer = vec![0; 2 * RATE];
    let mut clock = server.connect();
    for _ in 0..4 * GRACE.as_secs() {
        stream.read_exact(&mut buffer).expect("bytes");
        clock.send("GET /later/1 HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(clock.response().status, 200);
    }
    let statistics = server.handle().statistics();
    assert_eq!(statistics.limit_hits(Limit::WriteRate), 0);
    assert_eq!(statistics.open_connections, 2);
}

#[test]
fn client_that_reads_nothing_is_closed_in_spite_of_kernel_buffers() {
    let path = std::env::temp_dir().join(format!("conduit-limits-{}.sock", std::process::id()));
    let server = start(
        App::new(())
            .routes(routes![endless, file])
            .workers(1)
            .minimum_rate(1024, Duration::from_secs(1))
            .listen(["127.0.0.1:0".to_owned(), format!("unix:{}", path.display())])
            .expect("both addresses are available"),
    );
    for target in ["/endless", "/file"] {
        let request = format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n");
        let mut tcp = TcpStream::connect(server.address).expect("the kernel accepts");
        let mut unix = UnixStream::connect(&path).expect("the kernel accepts");
        let before = server.handle().statistics().limit_hits(Limit::WriteRate);
        tcp.write_all(request.as_bytes()).expect("the server takes it");
        unix.write_all(request.as_bytes()).expect("the server takes it");
        wait_until("the readers are cut off", || {
            server.handle().statistics().limit_hits(Limit::WriteRate) == before + 2
        });
    }
}

#[route("A", "/")]
fn shortest() -> &'static str {
    "shortest"
}

#[test]
fn the_minimum_of_the_head_limit_admits_the_shortest_request() {
    let server = serve(App::new(()).routes(routes![shortest]).head_limit(16));
    assert_eq!(server.request("A / HTTP/1.0\r\n\r\n").status, 200);
}

#[test]
#[should_panic(expected = "head_limit(15): the shortest request has 16 bytes")]
fn a_head_limit_below_the_shortest_request_panics() {
    let _ = App::new(()).head_limit(15);
}

#[test]
#[should_panic(expected = "header_limit(0): a request of HTTP/1.1 has at least 1 header field")]
fn a_header_limit_of_0_panics() {
    let _ = App::new(()).header_limit(0);
}

#[test]
#[should_panic(expected = "restart_timeout(0): a process needs time to start")]
fn a_restart_timeout_of_0_panics() {
    let _ = App::new(()).restart_timeout(Duration::ZERO);
}

#[test]
fn the_environment_sets_limits() {
    // A separate process, because the environment belongs to the process.
    let program = std::env::current_exe().expect("the path of the test is known");
    let child = |variable: &str, value: &str| {
        let output = Command::new(&program)
            .args([
                "--ignored",
                "--exact",
                "serves_with_the_limits_of_the_environment",
                "--nocapture",
            ])
            .env(variable, value)
            .output()
            .expect("the test can be started");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(child("CONDUIT_BODY_LIMIT", "4").contains("status 413"));
    assert!(child("CONDUIT_BODY_LIMIT", "1KiB").contains("status 200"));
    let refused = child("CONDUIT_BODY_LIMIT", "much");
    let expected = "invalid CONDUIT_BODY_LIMIT=\"much\": expected a number of bytes such as 16384, 16KiB or 2MiB";
    assert!(refused.contains(expected), "{refused}");
    // The program has no log.
    let mistyped = child("CONDUIT_BODYLIMIT", "4");
    let warning = "Warning: unknown environment variable CONDUIT_BODYLIMIT: did you mean CONDUIT_BODY_LIMIT?\n";
    assert!(
        mistyped.contains(warning) && mistyped.contains("status 200"),
        "{mistyped}"
    );
}

/// The names in quotes in the sources of a directory that begin with `CONDUIT_`.
fn variables_in(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            variables_in(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            // Without the tests of the module.
            let text = text.split("\nmod tests {").next().unwrap_or_default();
            let quoted = text.split('"').filter(|text| {
                let name = text.strip_prefix("CONDUIT_").unwrap_or_default();
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            });
            names.extend(quoted.map(str::to_owned));
        }
    }
}

#[test]
fn each_variable_of_the_sources_is_known() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(crates).expect("the directory of the crates") {
        let sources = entry.expect("an entry").path().join("src");
        if sources.is_dir() {
            variables_in(&sources, &mut names);
        }
    }
    assert!(names.len() > 40 && names.contains("CONDUIT_ADDR"), "{names:?}");
    let program = std::env::current_exe().expect("the path of the test is known");
    let output = Command::new(&program)
        .args(["--ignored", "--exact", "warns_of_unknown_variables", "--nocapture"])
        .envs(names.iter().map(|name| (name, "1")))
        .output()
        .expect("the test can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        errors.contains("warned") && !errors.contains("unknown environment variable"),
        "{errors}"
    );
}

#[test]
#[ignore = "run by `each_variable_of_the_sources_is_known` in a separate environment"]
fn warns_of_unknown_variables() {
    conduit_server::internal::config::warn_of_unknown_variables(std::env::vars_os().map(|(name, _)| name));
    eprintln!("warned");
}

#[test]
#[ignore = "run by `the_environment_sets_limits` in a separate environment"]
fn serves_with_the_limits_of_the_environment() {
    match App::new(()).routes(routes![echo]).workers(1).listen("127.0.0.1:0") {
        Err(error) => eprintln!("{error}"),
        Ok(server) => {
            let server = start(server);
            let response = server.request("POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nhello");
            eprintln!("status {}", response.status);
        }
    }
}

const GET: &str = "GET / HTTP/1.1\r\nhost: test\r\n\r\n";

#[test]
fn clients_wait_while_the_process_has_no_free_descriptor() {
    let program = std::env::current_exe().expect("the path of the test is known");
    let output = Command::new(&program)
        .args(["--ignored", "--exact", "serves_without_free_descriptors", "--nocapture"])
        .output()
        .expect("the test can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && errors.contains("served"), "{errors}");
}

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Writes the log of the process into [`LOG`].
struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().expect("no thread panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
#[ignore = "run by `clients_wait_while_the_process_has_no_free_descriptor` with a separate limit"]
fn serves_without_free_descriptors() {
    tracing_subscriber::fmt().with_writer(|| LogWriter).init();
    let server = serve(App::new(()).routes(routes![home]).connection_limit(100));
    let mut first = server.connect();
    first.send(GET);
    assert_eq!(first.response().status, 200);
    let hard = getrlimit(Resource::Nofile).maximum;
    let few = Rlimit {
        current: Some(128),
        maximum: hard,
    };
    setrlimit(Resource::Nofile, few).expect("a lower limit is permitted");
    let mut held = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        held.push(file);
    }
    drop(held.pop());
    // The client has the last descriptor.
    let mut second = server.connect();
    second.send(GET);
    wait_until("the worker cannot accept", || {
        let log = LOG.lock().expect("no thread panics");
        String::from_utf8_lossy(&log).contains("cannot accept connections; trying again in a second")
    });
    first.send(GET);
    assert_eq!(first.response().status, 200, "an open connection continues");
    assert_eq!(server.handle().statistics().open_connections, 1);
    drop(held);
    assert_eq!(second.response().status, 200);
    eprintln!("served");
}

#[test]
fn a_full_worker_closes_the_longest_idle_connection_for_a_new_client() {
    let server = serve(App::new(()).routes(routes![home]).connection_limit(2));
    let mut first = server.connect();
    first.send(GET);
    assert_eq!(first.response().status, 200);
    let mut second = server.connect();
    let hits = || server.handle().statistics().limit_hits(Limit::IdleConnections);
    assert_eq!(hits(), 0);
    // Each waits until the longest idle connection has been idle for long enough.
    let mut third = server.connect();
    third.send(GET);
    assert_eq!(third.response().status, 200);
    assert_eq!(hits(), 1);
    assert!(first.is_closed(), "it was idle for the longest");
    // A connection that waits for the rest of a request is not idle.
    let statistics = || server.handle().statistics();
    let received = statistics().received_bytes;
    let line = "GET / HTTP/1.1\r\n";
    for client in [&mut second, &mut third] {
        client.send(line);
    }
    wait_until("both requests have begun", || {
        statistics().received_bytes == received + 2 * line.len() as u64
    });
    let full = statistics().limit_hits(Limit::Connections);
    let mut fourth = server.connect();
    fourth.send(GET);
    wait_until("two clients are waiting for a slot", || {
        statistics().limit_hits(Limit::Connections) > full + 1
    });
    assert_eq!(hits(), 1);
    for client in [&mut second, &mut third] {
        client.send("host: test\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
    assert_eq!(fourth.response().status, 200);
    assert_eq!(hits(), 2);
    assert_eq!(statistics().open_connections, 2);
}

/// Blocks its worker until the test lets it continue.
#[get("/block")]
async fn block(barrier: State<Arc<Barrier>>) -> &'static str {
    barrier.wait();
    barrier.wait();
    "blocked"
}

#[test]
fn a_full_worker_does_not_close_an_idle_connection_whose_request_waits_to_be_read() {
    let barrier = Arc::new(Barrier::new(2));
    let app = App::new(Arc::clone(&barrier)).routes(routes![home, block, later]);
    let server = serve(app.connection_limit(3));
    let mut clients = [server.connect(), server.connect(), server.connect()];
    for client in &mut clients {
        client.send(GET);
        assert_eq!(client.response().status, 200);
    }
    let [first, second, blocks] = &mut clients;
    // From now on a new client may replace the first.
    blocks.send("GET /later/4 HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(blocks.response().status, 200);
    blocks.send("GET /block HTTP/1.1\r\nhost: test\r\n\r\n");
    barrier.wait();
    let mut new = server.connect();
    new.send(GET);
    first.send(GET);
    barrier.wait();
    for client in [&mut new, first, blocks] {
        assert_eq!(client.response().status, 200);
    }
    assert!(second.is_closed(), "the idle connection without a request made room");
}
