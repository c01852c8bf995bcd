//! HTTP/2 in the server: requests and responses, flow control, cancellation, deadlines, limits and the shutdown, with a client
//! that sends exactly the given frames; and real clients.
//!
//! The tests of the engine are in `conduit-proto`; these test its use by the server.

#[cfg(all(feature = "tls", feature = "websocket", target_os = "linux"))]
mod browser;
#[cfg(all(feature = "tls", feature = "websocket", target_os = "linux"))]
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../support/chromium.rs"]
mod chromium;
mod client;
mod deadlines;
mod floods;
mod flow;
#[allow(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../../../conduit-proto/tests/h2/frames.rs"]
mod frames;
mod hpack;
#[allow(dead_code, reason = "other tests run Node.js")]
#[path = "../support/judges.rs"]
mod judges;
mod latency;
#[cfg(feature = "mcp")]
mod mcp;
#[path = "../support/packages.rs"]
mod packages;
#[cfg(all(feature = "tls", target_os = "linux"))]
mod proxies;
#[cfg(feature = "tls")]
mod real;
mod requests;
#[cfg(all(feature = "tls", target_os = "linux"))]
mod restart;
mod sends;
mod shutdown;
#[cfg(feature = "tls")]
#[path = "../support/mod.rs"]
mod support;
#[cfg(feature = "websocket")]
mod websocket;
#[cfg(feature = "websocket")]
#[allow(dead_code, reason = "the tests of the engine use the rest")]
#[path = "../../../conduit-proto/tests/ws/frames.rs"]
mod ws_frames;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use conduit::prelude::*;
use conduit::testing::TestClient;
use futures_core::Stream as _;
use http::{HeaderMap, HeaderName, HeaderValue};

/// Each deadline of these tests.
const DEADLINE: Duration = Duration::from_secs(15 * 60);
const LARGE: usize = 1024 * 1024;

#[get("/")]
fn hello() -> &'static str {
    "hello"
}

#[get("/hello/{name}")]
fn greet(name: Path<String>) -> String {
    format!("hello {}", *name)
}

#[get("/large")]
fn large() -> Vec<u8> {
    pattern(LARGE)
}

/// Responds in a later turn of the worker than that of the request, after another thread has woken it.
#[get("/late")]
async fn late() -> Vec<u8> {
    tokio::task::spawn_blocking(|| ()).await.expect("it does not panic");
    pattern(LARGE)
}

#[get("/about")]
fn about(request: Request) -> String {
    let host = request.header("host").map(String::from_utf8_lossy);
    let (version, uri) = (request.version(), request.uri());
    format!(
        "{version:?} {uri} {} {:?}",
        host.unwrap_or_default(),
        request.headers().get("cookie")
    )
}

/// Reads the whole body.
#[post("/length")]
async fn length(body: Bytes) -> String {
    format!("{} bytes", body.len())
}

#[post("/echo")]
async fn echo(body: Body) -> Body {
    body
}

/// Never reads its body.
#[post("/unread")]
async fn unread(body: Body) -> &'static str {
    tokio::time::sleep(2 * DEADLINE).await;
    drop(body);
    "done"
}

/// Drops its body, and continues to run.
#[post("/dropped")]
async fn dropped(body: Body) -> &'static str {
    drop(body);
    tokio::time::sleep(DEADLINE).await;
    "done"
}

/// Reads its body in a task that a test starts.
#[post("/later")]
async fn later(body: Bytes) -> String {
    tokio::time::sleep(DEADLINE).await;
    format!("{} bytes", body.len())
}

#[get("/slow")]
async fn slow() -> &'static str {
    tokio::time::sleep(DEADLINE).await;
    "slow"
}

/// Sends more than a connection buffers, with several deadlines between the pieces.
#[get("/bursts")]
async fn bursts() -> Body {
    let mut ticks = tokio::time::interval(QUIET);
    ticks.reset();
    Body::from_stream(Bursts(ticks))
}

const QUIET: Duration = DEADLINE.saturating_mul(4);
const BURST_BYTES: usize = 200_000;

struct Bursts(tokio::time::Interval);

impl futures_core::Stream for Bursts {
    type Item = Result<Bytes, conduit::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let burst = || Bytes::from(vec![b'b'; BURST_BYTES]);
        self.0.poll_tick(context).map(|_| Some(Ok(burst())))
    }
}

#[get("/aborted", disconnect = "abort")]
async fn aborted() -> &'static str {
    tokio::time::sleep(DEADLINE).await;
    "slow"
}

#[get("/nothing")]
fn nothing() -> StatusCode {
    StatusCode::NO_CONTENT
}

#[get("/connection-fields")]
fn connection_fields() -> impl IntoResponse {
    let fields = [
        ("connection", "x-own"),
        ("keep-alive", "timeout=5"),
        ("x-other", "kept"),
    ];
    (fields, "text")
}

#[get("/stream/{pieces}")]
fn stream(pieces: Path<usize>) -> Body {
    Body::from_stream(Pieces(*pieces, 10_000))
}

/// A stream whose head declares its length.
#[get("/sized/{bytes}")]
fn sized(bytes: Path<usize>) -> Body {
    Body::from_sized_stream(Pieces(1, *bytes), *bytes as u64)
}

/// The same without a length.
#[get("/unsized/{bytes}")]
fn unsized_stream(bytes: Path<usize>) -> Body {
    Body::from_stream(Pieces(1, *bytes))
}

/// The piece comes after the head.
#[get("/late-unsized/{bytes}")]
fn late_unsized(bytes: Path<usize>) -> Body {
    let wait = Box::pin(tokio::task::yield_now());
    Body::from_stream(Interrupted(Pieces(1, *bytes), 1, Some(wait)))
}

/// The end comes some deadlines after the only piece.
#[get("/quiet/{bytes}")]
fn quiet(bytes: Path<usize>) -> Body {
    let wait = Box::pin(tokio::time::sleep(3 * DEADLINE));
    Body::from_stream(Interrupted(Pieces(1, *bytes), 0, Some(wait)))
}

#[get("/wrong-length")]
fn wrong_length() -> Body {
    Body::from_sized_stream(Pieces(3, 10_000), 25_000)
}

#[get("/short-length")]
fn short_length() -> Body {
    Body::from_sized_stream(Pieces(3, 10_000), 35_000)
}

#[get("/file")]
fn file() -> Result<Body, Problem> {
    use std::io::Write as _;
    let mut file = tempfile::tempfile()?;
    file.write_all(&pattern(LARGE))?;
    Ok(Body::from_file(file, 10..LARGE as u64))
}

/// A fifth of the first window of a connection.
const PART: usize = 65_535 / 5;

#[get("/part")]
fn part() -> Vec<u8> {
    pattern(PART)
}

#[get("/part-of-a-file")]
fn part_of_a_file() -> Result<Body, Problem> {
    use std::io::Write as _;
    let mut file = tempfile::tempfile()?;
    file.write_all(&pattern(PART))?;
    Ok(Body::from_file(file, 0..PART as u64))
}

#[post("/with-trailers")]
async fn with_trailers(mut body: Body) -> Body {
    let mut length = 0;
    while let Some(piece) = std::future::poll_fn(|context| Pin::new(&mut body).poll_next(context)).await {
        length += piece.expect("the body is whole").len();
    }
    let received = body.trailers().unwrap_or_default();
    let text = format!("{length} bytes, {:?}", received.get("x-sent"));
    let fields = [("x-checksum", "7"), ("content-length", "9")];
    let fields = fields.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
    Body::from(text).with_trailers(std::future::ready(HeaderMap::from_iter(fields)))
}

#[get("/early-hints")]
async fn early_hints(request: Request) -> &'static str {
    let link = HeaderValue::from_static("</style.css>; rel=preload");
    request.inform(
        StatusCode::EARLY_HINTS,
        HeaderMap::from_iter([(http::header::LINK, link)]),
    );
    tokio::task::yield_now().await;
    "page"
}

/// Returns each message.
#[cfg(feature = "websocket")]
#[get("/websocket")]
async fn websocket_echo(upgrade: conduit::WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        while let Some(message) = socket.recv().await {
            socket.send(message).await?;
        }
        Ok::<_, conduit::websocket::WebSocketClosed>(())
    })
}

#[cfg(not(feature = "websocket"))]
#[get("/websocket")]
fn websocket_echo() -> StatusCode {
    StatusCode::NOT_IMPLEMENTED
}

#[get("/panic")]
fn panics() -> &'static str {
    panic!("on purpose")
}

/// Pieces that are ready at once.
struct Pieces(usize, usize);

impl futures_core::Stream for Pieces {
    type Item = Result<Bytes, conduit::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(left) = self.0.checked_sub(1) else {
            return Poll::Ready(None);
        };
        self.0 = left;
        Poll::Ready(Some(Ok(Bytes::from(vec![b'p'; self.1]))))
    }
}

/// Pieces, with a wait before the last ones of this number.
struct Interrupted<F>(Pieces, usize, Option<Pin<Box<F>>>);

impl<F: Future<Output = ()>> futures_core::Stream for Interrupted<F> {
    type Item = Result<Bytes, conduit::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.0.0 == self.1
            && let Some(wait) = &mut self.2
        {
            std::task::ready!(wait.as_mut().poll(context));
            self.2 = None;
        }
        Pin::new(&mut self.0).poll_next(context)
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place % 251) as u8).collect()
}

fn app() -> App<(), Routes<()>> {
    App::new(())
        .routes(routes![
            hello,
            greet,
            large,
            late,
            about,
            length,
            echo,
            unread,
            dropped,
            later,
            slow,
            bursts,
            aborted,
            nothing,
            connection_fields,
            stream,
            sized,
            unsized_stream,
            late_unsized,
            quiet,
            wrong_length,
            short_length,
            file,
            part,
            part_of_a_file,
            with_trailers,
            early_hints,
            websocket_echo,
            panics
        ])
        .head_timeout(DEADLINE)
        .idle_timeout(DEADLINE)
        .handshake_timeout(DEADLINE)
        .shutdown_timeout(10 * DEADLINE)
        .minimum_rate(1024, DEADLINE)
        .body_limit(4 * 1024 * 1024)
}

/// Not a test: the program that a test starts.
#[cfg(all(feature = "tls", target_os = "linux"))]
#[test]
#[ignore = "a program of the tests"]
fn the_program() {
    restart::run_program();
}

fn server() -> TestClient {
    TestClient::new(app())
}
