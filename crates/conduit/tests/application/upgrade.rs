//! A response with status 101 switches the connection to another protocol.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};

use conduit::prelude::*;
use conduit::testing::{TestApplication, TestClient, TestConnection};
use conduit_core::internal::dispatch::{AppStack, Plan};
use conduit_core::internal::state::SharedState;
use conduit_core::route::Definition;
use conduit_server::Server;
use conduit_server::internal::config::Config;
use conduit_server::internal::in_process::InProcess;
use conduit_server::internal::listening::Listening;
use conduit_server::internal::upgrade::EchoUpgrade;
use conduit_server::observer::{Observer, RequestEnd, RequestRecord};
use http::header::UPGRADE;
use tracing::Span;

#[get("/echo")]
async fn echo() -> Response {
    let fields = [(UPGRADE, "conduit-test-echo")];
    let mut response = (StatusCode::SWITCHING_PROTOCOLS, fields, ()).into_response();
    response.extensions_mut().insert(EchoUpgrade);
    response
}

/// Switches after a task has completed, so that the response is a command.
#[get("/echo-later")]
async fn echo_later() -> Response {
    tokio::task::yield_now().await;
    echo().await
}

/// Switches after it has read the content of the request.
#[post("/echo-after-content")]
async fn echo_after_content(content: Bytes) -> Response {
    assert_eq!(&content[..], b"hello");
    echo().await
}

#[get("/other")]
async fn other() -> Response {
    (StatusCode::SWITCHING_PROTOCOLS, [(UPGRADE, "other")], ()).into_response()
}

/// Sends the status of each recorded head, and that of the end of each request.
#[derive(Clone, Debug)]
struct Recorder(Sender<(&'static str, u16)>);

impl Observer for Recorder {
    fn wants_requests(&self) -> bool {
        true
    }

    fn new_record(&self) -> Box<dyn RequestRecord> {
        Box::new(self.clone())
    }
}

impl RequestRecord for Recorder {
    fn begin(&mut self, _: &Request, _: Option<&'static Definition>, _: SocketAddr, _: &Span, _: bool) {}

    fn on_response(&mut self, response: &Response) {
        // The test may have ended.
        let _ = self.0.send(("head", response.status().as_u16()));
    }

    fn end(&mut self, end: &RequestEnd) {
        let _ = self.0.send(("end", end.status.unwrap_or_default()));
    }

    fn clear(&mut self) {}
}

/// Routes whose requests are recorded.
struct Recorded(Routes<()>, Recorder);

impl TestApplication for Recorded {
    fn serve_in_process(self, process: Arc<InProcess>) -> conduit::Result<Server> {
        let plan = Plan::new(self.0, AppStack::default());
        let mut config = Config::default();
        config.observer = Arc::new(self.1);
        config.in_process = Some(process);
        let application = plan.with_state(Box::new(SharedState(())));
        Server::new(Listening::in_process(), application, config, None)
    }

    fn serve_over_socket(self) -> conduit::Result<Server> {
        unreachable!("the client connects in memory")
    }
}

#[test]
fn the_head_of_each_response_is_recorded_once_also_if_it_replaces_an_invalid_101() {
    let (records, recorded) = channel();
    let client = TestClient::new(Recorded(routes![echo, echo_later, other], Recorder(records)));
    for (target, protocol, status) in [
        ("/echo", "conduit-test-echo", 101),
        ("/echo-later", "conduit-test-echo", 101),
        ("/other", "other", 500),
    ] {
        let mut connection = client.connect();
        let request = format!("GET {target} HTTP/1.1\r\nhost: a\r\nupgrade: {protocol}\r\n\r\n");
        assert!(connection.send(request));
        let head = read_until(&mut connection, "\r\n\r\n");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        let records: Vec<_> = recorded.try_iter().collect();
        assert_eq!(records, [("head", status), ("end", status)], "{target}");
    }
}

#[test]
fn a_response_with_101_switches_to_the_protocol_that_the_handler_has_accepted() {
    let client = TestClient::new(App::new(()).routes(routes![echo, echo_later, other]));
    for target in ["/echo", "/echo-later"] {
        let mut connection = client.connect();
        // The first bytes of the other protocol follow the request at once.
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: conduit-test-echo\r\n\r\nfirst"
        );
        assert!(connection.send(request));
        assert_eq!(read_until(&mut connection, "first").matches("HTTP/1.1 101 ").count(), 1);
        assert!(connection.send("GET / HTTP/1.1\r\n\r\n"));
        assert_eq!(read_until(&mut connection, "\r\n\r\n"), "GET / HTTP/1.1\r\n\r\n");
        connection.end();
        assert!(connection.rest().is_empty());
    }
    let mut connection = client.connect();
    assert!(connection.send("GET /other HTTP/1.1\r\nhost: a\r\nupgrade: other\r\n\r\n"));
    assert!(read_until(&mut connection, "\r\n\r\n").starts_with("HTTP/1.1 500 "));
}

/// The client sends the rest of its request before it reads the response (RFC 9110, section 7.8).
#[test]
fn a_request_that_is_not_complete_is_not_switched() {
    let client = TestClient::new(App::new(()).routes(routes![echo, echo_later]));
    let request = |target: &str, framing: &str| {
        format!("GET {target} HTTP/1.1\r\nhost: a\r\nupgrade: conduit-test-echo\r\n{framing}\r\n\r\n")
    };
    for target in ["/echo", "/echo-later"] {
        for framing in [
            "content-length: 5",
            "transfer-encoding: chunked",
            "content-length: 5\r\nexpect: 100-continue",
        ] {
            let mut connection = client.connect();
            assert!(connection.send(request(target, framing)));
            let head = read_until(&mut connection, "\r\n\r\n");
            assert!(head.starts_with("HTTP/1.1 500 "), "{target}, {framing}: {head}");
        }
    }
    let mut connection = client.connect();
    assert!(connection.send(request("/echo-later", "content-length: 5") + "hellofirst"));
    let received = read_until(&mut connection, "first");
    assert!(
        received.starts_with("HTTP/1.1 101 ") && !received.contains("hello"),
        "{received}"
    );
}

/// The other protocol begins after the last byte of the request, however its content is framed.
#[test]
fn bytes_after_the_content_of_a_request_belong_to_the_other_protocol() {
    let client = TestClient::new(App::new(()).routes(routes![echo_later, echo_after_content]));
    for (framing, content) in [
        ("content-length: 5", "hello"),
        ("transfer-encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        (
            "transfer-encoding: chunked",
            "2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nx-sum: 7\r\n\r\n",
        ),
    ] {
        let head = |target: &str, fields: &str| {
            format!(
                "{target} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: conduit-test-echo\r\n{framing}\r\n{fields}\r\n"
            )
        };
        // A handler that does not read the content switches only if the whole request has arrived.
        for (target, piece) in [
            ("GET /echo-later", usize::MAX),
            ("POST /echo-after-content", usize::MAX),
            ("POST /echo-after-content", 1),
            ("POST /echo-after-content", 7),
        ] {
            let mut connection = client.connect();
            let request = head(target, "") + content + "first";
            for piece in request.as_bytes().chunks(piece.min(request.len())) {
                assert!(connection.send(piece));
            }
            check_switched(&mut connection, &format!("{target}, {framing}, {piece}"));
        }
        // 100 precedes 101 (RFC 9110, section 7.8).
        let expecting = head("POST /echo-after-content", "expect: 100-continue\r\n");
        let mut connection = client.connect();
        assert!(connection.send(&expecting));
        assert_eq!(read_until(&mut connection, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
        assert!(connection.send(format!("{content}first")));
        check_switched(&mut connection, &format!("{framing}, expected"));
    }
}

/// Checks that the response is 101, that the other protocol has received `first`, and that it receives what follows.
fn check_switched(connection: &mut TestConnection, case: &str) {
    let received = read_until(connection, "first");
    assert!(received.starts_with("HTTP/1.1 101 "), "{case}: {received}");
    let (_, rest) = received.split_once("\r\n\r\n").expect("the end of the head");
    assert_eq!(rest, "first", "{case}");
    assert!(connection.send("GET / HTTP/1.1\r\n\r\n"));
    assert_eq!(read_until(connection, "\r\n\r\n"), "GET / HTTP/1.1\r\n\r\n", "{case}");
    connection.end();
    assert!(connection.rest().is_empty());
}

fn read_until(connection: &mut TestConnection, end: &str) -> String {
    let mut received = String::new();
    while !received.contains(end) {
        received += &String::from_utf8(connection.read(4096)).expect("text");
        assert!(received.len() < 4096, "{received:?}");
    }
    received
}
