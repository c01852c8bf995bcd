//! Layers of `tower-http` around handlers.

use std::io::{Read, Write};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};
use std::time::Duration;

use conduit::BodyError;
use conduit::http;
use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::tower::{AroundHandlers, SendBody, SendNextService};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http_body_util::BodyExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::cors::CorsLayer;
use tower_http::decompression::RequestDecompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::map_request_body::MapRequestBodyLayer;
use tower_http::normalize_path::NormalizePathLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

use crate::handlers::{echo, never, new, panics, stream};
use crate::request;
use crate::support::{Response, Running, serve};

const HOUR: Duration = Duration::from_secs(3600);

#[get("/long")]
async fn long() -> String {
    "all work and no play ".repeat(100)
}

fn around<L: AroundHandlers>(layer: L) -> Running {
    let routes = routes![new, echo, stream, long, never, panics];
    serve(App::new(()).routes(routes).layer(conduit::tower::layer(layer)))
}

/// The same with everything `Send`.
fn send_around<L: AroundHandlers<SendNextService>>(layer: L) -> Running {
    let routes = routes![new, echo, stream, long, never, panics];
    serve(App::new(()).routes(routes).layer(conduit::tower::send_layer(layer)))
}

fn post(server: &Running, path: &str, fields: &str, body: &[u8]) -> Response {
    let mut sent = format!(
        "POST {path} HTTP/1.1\r\nhost: test\r\n{fields}content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    sent.extend_from_slice(body);
    server.request(sent)
}

/// Sends chunks of 4 bytes, so that the length is not known in advance.
fn post_chunked(server: &Running, path: &str, body: &str) -> Response {
    let mut sent = format!("POST {path} HTTP/1.1\r\nhost: test\r\ntransfer-encoding: chunked\r\n\r\n");
    for piece in body.as_bytes().chunks(4) {
        sent += &format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece));
    }
    sent += "0\r\n\r\n";
    server.request(sent)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

#[test]
fn body_beyond_the_limit_is_413_with_and_without_a_length() {
    let server = around(RequestBodyLimitLayer::new(10));
    for path in ["/echo", "/stream"] {
        assert_eq!(post(&server, path, "", b"0123456789").text(), "0123456789");
        assert_eq!(post_chunked(&server, path, "0123456789").text(), "0123456789");
        assert_eq!(post(&server, path, "", b"0123456789a").status, 413);
    }
    let refused = post_chunked(&server, "/echo", "0123456789a");
    assert_eq!(
        (refused.status, refused.header("content-type")),
        (413, Some("application/problem+json"))
    );
}

#[test]
fn the_limit_of_the_application_holds_inside_of_a_layer_that_changes_the_body() {
    let routes = routes![echo];
    let layer = conduit::tower::layer(RequestBodyLimitLayer::new(1000));
    let server = serve(App::new(()).routes(routes).body_limit(10).layer(layer));
    assert_eq!(post_chunked(&server, "/echo", "0123456789").text(), "0123456789");
    let refused = post_chunked(&server, "/echo", "0123456789a");
    assert_eq!(refused.status, 413);
    assert!(refused.text().contains("limit of 10 bytes"), "{}", refused.text());
}

#[test]
fn requests_are_decompressed() {
    let server = send_around(RequestDecompressionLayer::new());
    let text = "all work and no play ".repeat(100);
    let fields = "content-encoding: gzip\r\n";
    assert_eq!(post(&server, "/echo", fields, &gzip(text.as_bytes())).text(), text);
    assert_eq!(post(&server, "/echo", "", text.as_bytes()).text(), text);
    // It is an error of the client, and the response does not contain the message of the decoder.
    let refused = post(&server, "/echo", fields, b"this is no gzip");
    assert_eq!(refused.status, 400);
    assert!(
        refused.text().contains("the body could not be read"),
        "{}",
        refused.text()
    );
}

#[test]
fn a_layer_may_replace_the_body() {
    let server = around(MapRequestBodyLayer::new(|_: Body| {
        http_body_util::Full::new(Bytes::from_static(b"something else"))
    }));
    assert_eq!(post(&server, "/echo", "", b"this").text(), "something else");
    assert_eq!(server.get("/new/7").text(), "new 7");
}

/// An error of another library around the error of a body.
#[derive(Debug)]
struct Wrapped(BodyError);

impl std::fmt::Display for Wrapped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a layer could not read the body")
    }
}

impl std::error::Error for Wrapped {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn error_of_a_body_keeps_its_status_inside_of_a_layer_that_wraps_it() {
    async fn failing(request: Request, next: Next) -> impl IntoResponse {
        let error = match request.query() {
            Some("memory") => BodyError::OutOfMemory,
            Some("coding") => BodyError::Malformed { coding: "gzip" },
            Some("length") => BodyError::TooLarge { limit_bytes: 7 },
            Some("end") => BodyError::Incomplete,
            _ => BodyError::Stream("the disk is full".into()),
        };
        let mut request = request;
        let mut error = Some(error);
        request.set_body(Body::from_stream(PollFn(move || error.take())));
        next.run(request).await
    }

    let wrapped = conduit::tower::layer(MapRequestBodyLayer::new(|body: Body| body.map_err(Wrapped)));
    let in_io = conduit::tower::layer(MapRequestBodyLayer::new(|body: Body| {
        body.map_err(std::io::Error::other)
    }));
    let routes = || routes![echo];
    for server in [
        serve(App::new(()).routes(routes()).layer(wrapped).layer(failing)),
        serve(App::new(()).routes(routes()).layer(in_io).layer(failing)),
    ] {
        for (query, status, detail) in [
            ("memory", 503, "no memory for the body"),
            ("coding", 400, "the body is not valid gzip"),
            ("length", 413, "limit of 7 bytes"),
            ("end", 400, "the body ended before it was complete"),
            ("stream", 500, "Internal Server Error"),
        ] {
            let refused = post(&server, &format!("/echo?{query}"), "", b"x");
            assert_eq!(refused.status, status, "{query}: {}", refused.text());
            assert!(refused.text().contains(detail), "{query}: {}", refused.text());
            let delay = (query == "memory").then_some("1");
            assert_eq!(refused.header("retry-after"), delay, "{query}");
        }
    }
}

/// A stream of the errors that a function returns.
struct PollFn<F>(F);

impl<F: FnMut() -> Option<BodyError> + Unpin> futures_core::Stream for PollFn<F> {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready((self.0)().map(Err))
    }
}

#[test]
fn responses_are_compressed() {
    let server = around(CompressionLayer::new());
    let answer = server.request(request("GET", "/long", &[("accept-encoding", "gzip")]));
    assert_eq!(answer.header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    let mut decoder = GzDecoder::new(&answer.body[..]);
    decoder.read_to_string(&mut text).expect("it is gzip");
    assert_eq!(text, server.get("/long").text());
}

/// The target of the innermost span around the handler.
#[get("/span")]
async fn span() -> &'static str {
    tokio::task::yield_now().await;
    let span = tracing::Span::current();
    span.metadata().map_or("none", |metadata| metadata.target())
}

#[test]
fn requests_are_traced_with_the_handlers_inside() {
    // The subscriber enables all spans. No other test of this program needs a subscriber.
    tracing::subscriber::set_global_default(tracing_subscriber::registry()).expect("no subscriber is set");
    let (sender, responses) = mpsc::channel();
    let layer = TraceLayer::new_for_http().on_response(
        // The type of the body is that of the handler.
        move |response: &http::Response<Body>, _: Duration, span: &tracing::Span| {
            let _ = sender.send((response.status().as_u16(), span.is_disabled()));
        },
    );
    let app = App::new(()).routes(routes![new, stream, span]);
    let server = serve(app.layer(conduit::tower::layer(layer)));
    assert_eq!(server.get("/new/7").text(), "new 7");
    assert_eq!(post_chunked(&server, "/stream", "0123456789").text(), "0123456789");
    assert_eq!(server.get("/span").text(), "tower_http::trace::make_span");
    assert_eq!(responses.try_iter().collect::<Vec<_>>(), [(200, false); 3]);
}

#[test]
fn pages_of_other_origins_are_permitted() {
    let server = around(CorsLayer::permissive());
    let answer = server.request(request("GET", "/new/7", &[("origin", "https://example.org")]));
    assert_eq!(
        (answer.text(), answer.header("access-control-allow-origin")),
        ("new 7", Some("*"))
    );
    let fields = [
        ("origin", "https://example.org"),
        ("access-control-request-method", "POST"),
    ];
    let preflight = server.request(request("OPTIONS", "/echo", &fields));
    assert_eq!(
        (preflight.status, preflight.header("access-control-allow-methods")),
        (200, Some("*"))
    );
}

#[test]
fn a_handler_that_takes_too_long_is_dropped() {
    let layer = || TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, HOUR);
    let app = || App::new(()).routes(routes![new, never]);
    for app in [
        app().layer(conduit::tower::layer(layer())),
        app().layer(conduit::tower::send_layer(layer())),
    ] {
        let client = TestClient::new(app).skip_waiting();
        client.get("/never").send().assert_status(408);
        client.get("/new/7").send().assert_text("new 7");
    }
}

#[get("/dropped")]
async fn dropped(sender: State<mpsc::Sender<()>>) {
    struct DropReport(mpsc::Sender<()>);
    impl Drop for DropReport {
        fn drop(&mut self) {
            // The test may have ended.
            let _ = self.0.send(());
        }
    }
    let _dropped = DropReport(sender.0.clone());
    std::future::pending().await
}

#[test]
fn a_handler_on_a_separate_task_is_dropped_with_its_response() {
    let (sender, events) = mpsc::channel();
    let layer = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, HOUR);
    let layer = conduit::tower::send_layer(layer);
    let client = TestClient::new(App::new(sender).routes(routes![dropped]).layer(layer)).skip_waiting();
    client.get("/dropped").send().assert_status(408);
    assert_eq!(events.recv_timeout(Duration::from_secs(20)), Ok(()));
}

#[test]
fn middleware_of_axum_wraps_handlers() {
    use axum::middleware::{Next, from_fn};
    async fn server_name(request: axum::extract::Request, next: Next) -> axum::response::Response {
        let mut response = next.run(request).await;
        response
            .headers_mut()
            .insert("server", HeaderValue::from_static("axum"));
        response
    }
    let layer = ::tower::ServiceBuilder::new()
        .map_request(|request: http::Request<SendBody>| request.map(axum::body::Body::new))
        .layer(from_fn(server_name))
        .into_inner();
    let server = send_around(layer);
    for _ in 0..3 {
        let text = "x".repeat(300_000);
        let answer = post(&server, "/stream", "", text.as_bytes());
        assert_eq!((answer.text(), answer.header("server")), (text.as_str(), Some("axum")));
    }
    assert_eq!(server.get("/nowhere").header("server"), Some("axum"));
}

#[test]
fn an_error_that_a_layer_passes_on_has_the_form_of_the_application() {
    let value = HeaderValue::from_static("conduit");
    let layer = SetResponseHeaderLayer::overriding(http::header::SERVER, value);
    let form = |problem: Problem, _: &conduit::problem::ErrorContext<'_>| {
        (problem.status(), format!("a {}", problem.status().as_u16())).into_response()
    };
    let app = App::new(()).routes(routes![new]).errors(form);
    let here = serve(app.layer(conduit::tower::layer(layer.clone())));
    let app = App::new(()).routes(routes![new]).errors(form);
    let sent = serve(app.layer(conduit::tower::send_layer(layer)));
    for server in [here, sent] {
        let answer = server.get("/nowhere");
        assert_eq!((answer.text(), answer.header("server")), ("a 404", Some("conduit")));
    }
}

#[test]
fn header_fields_are_set() {
    let value = HeaderValue::from_static("conduit");
    let server = around(SetResponseHeaderLayer::overriding(http::header::SERVER, value));
    assert_eq!(server.get("/new/7").header("server"), Some("conduit"));
    assert_eq!(server.get("/nowhere").header("server"), Some("conduit"));
}

#[test]
fn path_changed_by_a_layer_is_routed_again() {
    let server = around(NormalizePathLayer::trim_trailing_slash());
    assert_eq!(server.get("/new/7/").text(), "new 7");
    assert_eq!(server.get("/new/7").text(), "new 7");
}

#[test]
fn layers_are_combined_with_the_builder_of_tower() {
    let value = HeaderValue::from_static("conduit");
    let stack = ::tower::ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(SetResponseHeaderLayer::overriding(http::header::SERVER, value))
        .layer(RequestDecompressionLayer::new())
        .layer(RequestBodyLimitLayer::new(100))
        .layer(CompressionLayer::new())
        .into_inner();
    let server = send_around(stack);
    let answer = post(&server, "/echo", "content-encoding: gzip\r\n", &gzip(b"Hello"));
    assert_eq!((answer.text(), answer.header("server")), ("Hello", Some("conduit")));
    let refused = post(&server, "/echo", "content-encoding: gzip\r\n", &gzip(&[b'x'; 1000]));
    assert_eq!(refused.status, 413);
}

#[test]
fn a_panic_is_a_500_for_the_layers_outside_of_it() {
    let value = HeaderValue::from_static("conduit");
    let server = around(SetResponseHeaderLayer::overriding(http::header::SERVER, value));
    let answer = server.get("/panics");
    assert_eq!((answer.status, answer.header("server")), (500, Some("conduit")));
    let server = send_around(CatchPanicLayer::new());
    assert_eq!(server.get("/panics").status, 500);
    assert_eq!(server.get("/new/7").text(), "new 7");
}
