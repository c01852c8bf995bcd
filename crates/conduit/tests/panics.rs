//! A panic of the application's code outside of a handler: in the error format, in a value that a response carries, in a stream
//! that is not sent. It affects at most its request.

mod support;

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use conduit::prelude::*;
use futures_core::Stream;
use support::{Running, serve, wait_for};

/// Panics when it is dropped.
#[derive(Clone)]
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("the grenade exploded");
    }
}

impl AsRef<[u8]> for Grenade {
    fn as_ref(&self) -> &[u8] {
        b"bytes with an owner"
    }
}

impl Stream for Grenade {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}

/// Panics as [`Grenade`] does, and is long enough to be sent without a copy.
struct Large {
    bytes: Vec<u8>,
    _grenade: Grenade,
}

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[get("/")]
async fn hello() -> &'static str {
    "hello"
}

#[get("/fails")]
async fn fails() -> Problem {
    Problem::not_found("at once")
}

#[get("/fails-later")]
async fn fails_later() -> Problem {
    tokio::task::yield_now().await;
    Problem::not_found("later")
}

fn with_extension<T: IntoResponse>(answer: T) -> Response {
    let mut response = answer.into_response();
    response.extensions_mut().insert(Grenade);
    response
}

#[get("/extension")]
async fn extension() -> Response {
    with_extension("extended")
}

#[get("/extension-later")]
async fn extension_later() -> Response {
    tokio::task::yield_now().await;
    with_extension("extended")
}

#[get("/extension-of-a-problem")]
async fn extension_of_a_problem() -> Response {
    with_extension(Problem::not_found("extended"))
}

#[get("/switches")]
async fn switches() -> Response {
    let mut response = with_extension("");
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response
}

#[get("/stream")]
async fn stream() -> Body {
    Body::from_stream(Grenade)
}

#[get("/owned")]
async fn owned() -> Bytes {
    Bytes::from_owner(Grenade)
}

#[get("/large")]
async fn large() -> Bytes {
    Bytes::from_owner(Large {
        bytes: vec![b'x'; 100_000],
        _grenade: Grenade,
    })
}

fn app() -> App<(), Routes> {
    App::new(())
        .routes(routes![
            hello,
            fails,
            fails_later,
            extension,
            extension_later,
            extension_of_a_problem,
            switches,
            stream,
            owned,
            large
        ])
        .development(false)
}

/// A server whose error format panics.
fn server() -> Running {
    serve(app().errors(|_, _| panic!("the form fails")))
}

#[test]
fn a_form_for_errors_that_panics_leaves_the_plain_problem() {
    let server = server();
    let mut client = server.connect();
    for (target, detail) in [
        ("/nowhere", "no route matches /nowhere"),
        ("/fails", "at once"),
        ("/fails-later", "later"),
    ] {
        client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
        let problem = client.response().problem();
        assert_eq!((&problem["status"], &problem["detail"]), (&404.into(), &detail.into()));
    }
    // An invalid request.
    assert_eq!(server.request("no request\r\n\r\n").problem()["status"], 400);
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.response().text(), "hello");
}

#[cfg(feature = "testing")]
#[test]
fn a_form_for_errors_that_panics_leaves_the_plain_problem_of_a_late_head() {
    let app = app().errors(|_, _| panic!("the form fails"));
    let client = conduit::testing::TestClient::new(app.head_timeout(Duration::from_secs(1000)));
    let mut late = client.connect();
    assert!(late.send("GET / HTTP/1.1\r\n"));
    client.advance(Duration::from_secs(1001));
    let response = String::from_utf8(late.rest()).expect("a text");
    assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
    assert!(response.contains(r#""status":408"#), "{response}");
}

#[test]
fn panic_in_a_drop_does_not_change_the_response() {
    for server in [serve(app()), server()] {
        let mut client = server.connect();
        for (target, status, text) in [
            ("/extension", 200, "extended"),
            ("/extension-later", 200, "extended"),
            ("/owned", 200, "bytes with an owner"),
            ("/extension-of-a-problem", 404, ""),
            ("/switches", 500, ""),
            ("/", 200, "hello"),
        ] {
            client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
            let response = client.response();
            assert_eq!(response.status, status, "{target}");
            assert!(status != 200 || response.text() == text, "{target}");
        }
        client.send("GET /large HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(client.response().body.len(), 100_000);
        client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(client.response().text(), "hello");
    }
}

#[test]
fn a_stream_that_panics_when_it_is_dropped_unsent_does_not_concern_the_answer_to_head() {
    let server = serve(app());
    let mut client = server.connect();
    for target in ["/stream", "/owned", "/large"] {
        client.send(format!("HEAD {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
        assert_eq!(client.response_to("HEAD").status, 200, "{target}");
    }
    client.send("GET /stream HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.response().text(), "");
    client.send("GET / HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.response().text(), "hello");
}

#[test]
fn a_response_that_panics_in_its_drop_after_a_disconnect_does_not_affect_others() {
    #[get("/without-client")]
    async fn for_nobody(shutdown: conduit::Shutdown) -> Response {
        shutdown.requested().await;
        with_extension("extended")
    }

    let server = serve(App::new(()).routes(routes![for_nobody, hello]));
    let mut client = server.connect();
    client.send("GET /without-client HTTP/1.1\r\nhost: test\r\n\r\n");
    wait_for(|| server.handle().statistics().requests == 1);
    let stream = client.duplicate();
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("an option");
    drop((stream, client));
    wait_for(|| server.handle().statistics().open_connections == 0);
    // The server ends after the handler, whose response has no client.
    let handle = server.handle();
    assert_eq!(server.get("/").text(), "hello");
    handle.stop();
    server.wait().expect("no worker has died");
}

#[test]
fn a_subscriber_that_panics_costs_the_connection_and_not_the_server() {
    /// Panics at each span.
    struct Subscriber;

    impl tracing::Subscriber for Subscriber {
        fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
            metadata.is_span() && metadata.name() == "request"
        }

        fn new_span(&self, span: &tracing::span::Attributes<'_>) -> tracing::span::Id {
            struct IsBad(bool);

            impl tracing::field::Visit for IsBad {
                fn record_str(&mut self, _: &tracing::field::Field, value: &str) {
                    self.0 |= value == "/unwatchable";
                }

                fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
            }

            let mut bad = IsBad(false);
            span.record(&mut bad);
            assert!(!bad.0, "the subscriber fails");
            tracing::span::Id::from_u64(1)
        }

        fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}
        fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}
        fn event(&self, _: &tracing::Event<'_>) {}
        fn enter(&self, _: &tracing::span::Id) {}
        fn exit(&self, _: &tracing::span::Id) {}
    }

    // A subscriber for the process, because the worker is another thread. The other tests create no span at which it fails.
    tracing::subscriber::set_global_default(Subscriber).expect("the first");
    #[get("/fine")]
    fn fine() -> &'static str {
        "fine"
    }
    /// Return a text.
    #[get("/fine-tool", tool = "fine")]
    fn fine_tool() -> &'static str {
        "fine"
    }
    /// Fail before the handler runs.
    #[get("/unwatchable", tool = "unwatchable")]
    fn unwatchable() {}
    let app = App::new(()).routes(routes![fine, fine_tool, unwatchable]);
    #[cfg(feature = "mcp")]
    let app = app.mcp("/mcp");
    let server = serve(app);
    let mut neighbour = server.connect();
    for _ in 0..2 {
        let mut client = server.connect();
        client.send("GET /unwatchable HTTP/1.1\r\nhost: test\r\n\r\n");
        assert!(client.is_closed());
        neighbour.send("GET /fine HTTP/1.1\r\nhost: test\r\n\r\n");
        assert_eq!(neighbour.response().text(), "fine");
    }
    let statistics = server.handle().statistics();
    assert_eq!((statistics.accepted_connections, statistics.open_connections), (3, 1));
    // A call of a tool is a request of the process.
    #[cfg(feature = "mcp")]
    for (tool, result) in [("unwatchable", "\"isError\":true"), ("fine", "\"text\":\"fine\"")].repeat(2) {
        let call = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}","arguments":{{}}}}}}"#
        );
        neighbour.send(format!(
            "POST /mcp HTTP/1.1\r\nhost: test\r\naccept: application/json, text/event-stream\r\n\
             content-type: application/json\r\nmcp-protocol-version: 2025-11-25\r\ncontent-length: {}\r\n\r\n{call}",
            call.len()
        ));
        let response = neighbour.response();
        assert!(response.text().contains(result), "{tool}: {response:?}");
    }
}
