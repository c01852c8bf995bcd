//! Handlers of disconnected clients: finished or aborted, as the route or the application declares.

use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::support::handler_counts::HandlerCounts;
use crate::support::{Client, Running, serve, wait_for};
use conduit::prelude::*;
use conduit::{Disconnect, Tasks};
use futures_core::Stream;

/// Counts how a handler ends.
struct Handled(HandlerCounts);

impl Drop for Handled {
    fn drop(&mut self) {
        self.0.aborted.fetch_add(1, SeqCst);
    }
}

async fn work(counts: HandlerCounts) -> &'static str {
    let handled = Handled(counts.clone());
    counts.started.fetch_add(1, SeqCst);
    drop(counts.go.acquire().await);
    std::mem::forget(handled);
    counts.finished.fetch_add(1, SeqCst);
    "done"
}

#[get("/usual")]
async fn usual(counts: State<HandlerCounts>) -> &'static str {
    work(counts.0.clone()).await
}

#[get("/finish", disconnect = "finish")]
async fn finish(counts: State<HandlerCounts>) -> &'static str {
    work(counts.0.clone()).await
}

#[route(GET, "/abort", disconnect = "abort")]
async fn abort(counts: State<HandlerCounts>) -> &'static str {
    work(counts.0.clone()).await
}

#[post("/upload", disconnect = "abort")]
async fn upload(counts: State<HandlerCounts>, body: Body) -> &'static str {
    let _unread = body;
    work(counts.0.clone()).await
}

#[post("/upload-unread", disconnect = "abort")]
async fn upload_unread(counts: State<HandlerCounts>, body: Body) -> &'static str {
    let done = work(counts.0.clone()).await;
    drop(body);
    done
}

/// A stream that stays pending, and counts its drop.
struct Quiet {
    counts: HandlerCounts,
    first: Option<Bytes>,
}

impl Drop for Quiet {
    fn drop(&mut self) {
        self.counts.aborted.fetch_add(1, SeqCst);
    }
}

impl Stream for Quiet {
    type Item = Result<Bytes, conduit::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(first)));
        }
        Poll::Pending
    }
}

fn quiet_stream(counts: HandlerCounts) -> Body {
    counts.started.fetch_add(1, SeqCst);
    Body::from_stream(Quiet {
        counts,
        first: Some(Bytes::from_static(b"first")),
    })
}

#[get("/quiet")]
async fn quiet(counts: State<HandlerCounts>) -> Body {
    quiet_stream(counts.0.clone())
}

#[get("/quiet-abort", disconnect = "abort")]
async fn quiet_abort(counts: State<HandlerCounts>) -> Body {
    quiet_stream(counts.0.clone())
}

/// Its media type is one that layers compress.
#[get("/quiet-text")]
async fn quiet_text(counts: State<HandlerCounts>) -> ([(HeaderName, HeaderValue); 1], Body) {
    let content_type = HeaderValue::from_static("text/plain");
    let headers = [(HeaderName::from_static("content-type"), content_type)];
    (headers, quiet_stream(counts.0.clone()))
}

/// A stream that waits for the next bytes of the request.
#[post("/quiet-echo")]
async fn quiet_echo(counts: State<HandlerCounts>, body: Body) -> Body {
    counts.started.fetch_add(1, SeqCst);
    let counted = Quiet {
        counts: counts.0.clone(),
        first: None,
    };
    Body::from_stream(Echo(body, counted))
}

struct Echo(Body, #[expect(dead_code, reason = "its drop is counted")] Quiet);

impl Stream for Echo {
    type Item = Result<Bytes, conduit::BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.0).poll_next(context)
    }
}

/// A stream that fails at once.
struct Failing;

impl Stream for Failing {
    type Item = Result<Bytes, conduit::BoxError>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Err("no more".into())))
    }
}

/// A task waits for the rest of the request's body while the response fails.
#[post("/failing")]
async fn failing(counts: State<HandlerCounts>, tasks: Tasks, body: Body) -> Body {
    tasks.spawn("reads the body", async move {
        counts.started.fetch_add(1, SeqCst);
        if body.collect().await.is_err() {
            counts.finished.fetch_add(1, SeqCst);
        }
    });
    Body::from_stream(Failing)
}

/// Runs the application. All handlers wait until the test opens their gate.
fn start(disconnect: Option<Disconnect>) -> (Running, HandlerCounts) {
    let counts = HandlerCounts::default();
    let mut app = App::new(counts.clone()).routes(routes![
        usual,
        finish,
        abort,
        upload,
        upload_unread,
        quiet,
        quiet_abort,
        quiet_echo,
        failing
    ]);
    if let Some(disconnect) = disconnect {
        app = app.disconnect(disconnect);
    }
    (serve(app), counts)
}

fn ask(running: &Running, counts: &HandlerCounts, target: &str) -> Client {
    let before = counts.started.load(SeqCst);
    let mut client = running.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
    wait_for(|| counts.started.load(SeqCst) > before);
    client
}

/// Closes with a reset.
fn reset(client: Client) {
    let stream: TcpStream = client.duplicate();
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).expect("an option");
    drop(client);
}

#[test]
fn a_handler_that_aborts_is_dropped_when_its_client_disconnects() {
    let (running, counts) = start(None);
    drop(ask(&running, &counts, "/abort"));
    wait_for(|| counts.aborted.load(SeqCst) == 1);
    reset(ask(&running, &counts, "/abort"));
    wait_for(|| counts.aborted.load(SeqCst) == 2);
    assert_eq!(counts.finished.load(SeqCst), 0);
    // The server continues for others.
    counts.go.add_permits(1);
    assert_eq!(running.get("/abort").text(), "done");
}

#[test]
fn handler_finishes_after_its_client_disconnects_by_default() {
    for (disconnect, target) in [(None, "/usual"), (Some(Disconnect::Abort), "/finish")] {
        let (running, counts) = start(disconnect);
        drop(ask(&running, &counts, target));
        reset(ask(&running, &counts, target));
        let closed = || running.handle().statistics().open_connections == 0;
        ask(&running, &counts, target).end();
        counts.go.add_permits(1);
        wait_for(|| counts.finished.load(SeqCst) == 3);
        wait_for(closed);
        assert_eq!(counts.aborted.load(SeqCst), 0, "{target}");
    }
}

#[test]
fn application_sets_disconnect_for_routes_without_it() {
    let (running, counts) = start(Some(Disconnect::Abort));
    drop(ask(&running, &counts, "/usual"));
    wait_for(|| counts.aborted.load(SeqCst) == 1);
    let mut waits = ask(&running, &counts, "/usual");
    counts.go.add_permits(1);
    assert_eq!(waits.response().text(), "done");
}

#[test]
fn a_half_close_is_answered_where_handlers_finish_and_aborts_the_others() {
    let (running, counts) = start(None);
    let mut half = ask(&running, &counts, "/finish");
    half.duplicate().shutdown(Shutdown::Write).expect("it can be ended");
    let mut gone = ask(&running, &counts, "/abort");
    gone.end();
    assert!(gone.is_closed(), "without an answer");
    wait_for(|| counts.aborted.load(SeqCst) == 1);
    counts.go.add_permits(1);
    assert_eq!(half.response().text(), "done");
}

#[test]
fn a_disconnect_in_the_middle_of_a_body_aborts_the_handler() {
    let (running, counts) = start(None);
    let mut client = running.connect();
    client.send("POST /upload HTTP/1.1\r\nhost: test\r\ncontent-length: 100\r\n\r\nbegun");
    wait_for(|| counts.started.load(SeqCst) == 1);
    drop(client);
    wait_for(|| counts.aborted.load(SeqCst) == 1);
}

/// Only the epoll backend reports an end with unread bytes before it.
#[cfg(all(target_os = "linux", not(conduit_portable)))]
#[test]
fn a_client_that_disconnects_after_a_pipelined_request_is_noticed() {
    let (running, counts) = start(None);
    // Both requests and the end arrive at once, or the end arrives after the server has read both.
    for at_once in [true, false] {
        let before = counts.started.load(SeqCst);
        let mut client = running.connect();
        client.send("GET /abort HTTP/1.1\r\nhost: test\r\n\r\nGET /abort HTTP/1.1\r\nhost: test\r\n\r\n");
        if !at_once {
            wait_for(|| counts.started.load(SeqCst) == before + 1);
        }
        drop(client);
        wait_for(|| counts.aborted.load(SeqCst) == before + 1);
    }
    // The socket has more bytes than one read takes.
    let mut client = running.connect();
    client.send("GET /abort HTTP/1.1\r\nhost: test\r\n\r\n".repeat(3000));
    drop(client);
    wait_for(|| counts.aborted.load(SeqCst) == 3);
    assert_eq!((counts.started.load(SeqCst), counts.finished.load(SeqCst)), (3, 0));
}

/// Only the epoll backend reports an end with unread bytes before it.
#[cfg(all(target_os = "linux", not(conduit_portable)))]
#[test]
fn a_disconnect_while_a_body_waits_to_be_read_aborts_the_handler() {
    let (running, counts) = start(None);
    let mut client = running.connect();
    // More than the server reads for a handler that does not read, and so little that the kernel can also accept the end.
    let body = vec![b'x'; 100_000];
    client.send(format!(
        "POST /upload-unread HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n",
        body.len()
    ));
    wait_for(|| counts.started.load(SeqCst) == 1);
    client.send(body);
    drop(client);
    wait_for(|| counts.aborted.load(SeqCst) == 1);
}

#[test]
fn a_client_that_pipelines_and_stays_is_answered_where_handlers_abort() {
    let (running, counts) = start(None);
    let mut client = running.connect();
    client.send("GET /abort HTTP/1.1\r\nhost: test\r\n\r\n".repeat(2));
    wait_for(|| counts.started.load(SeqCst) == 1);
    counts.go.add_permits(2);
    assert_eq!(client.response().text(), "done");
    assert_eq!(client.response().text(), "done");
    assert_eq!(counts.aborted.load(SeqCst), 0);
}

#[test]
fn a_stop_does_not_wait_for_a_handler_that_was_aborted() {
    let (running, counts) = start(None);
    let client = ask(&running, &counts, "/abort");
    running.handle().stop();
    drop(client);
    running.wait().expect("it ends well");
    assert_eq!((counts.aborted.load(SeqCst), counts.finished.load(SeqCst)), (1, 0));
}

#[test]
fn a_pending_stream_is_dropped_when_its_connection_is_reset() {
    const RESETS: u32 = 100;
    let (running, counts) = start(None);
    for turn in 0..RESETS {
        let mut client = match turn % 4 {
            0 => ask(&running, &counts, "/quiet"),
            1 => ask(&running, &counts, "/quiet-abort"),
            2 => {
                let mut client = running.connect();
                client.send("POST /quiet-echo HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nfirst");
                client
            }
            // The connection does not read while a pipelined request waits.
            _ => {
                let mut client = running.connect();
                client.send("GET /quiet HTTP/1.1\r\nhost: test\r\n\r\n".repeat(2));
                client
            }
        };
        assert!(client.received("first"), "the head and the first piece are sent");
        reset(client);
    }
    wait_for(|| counts.aborted.load(SeqCst) == RESETS);
    wait_for(|| running.handle().statistics().open_connections == 0);
    assert_eq!(counts.started.load(SeqCst), RESETS);
    assert_eq!(running.handle().statistics().accepted_connections, u64::from(RESETS));
}

/// Streams that are pending inside of a layer are dropped when their connections are reset.
#[cfg(any(feature = "compression", feature = "tower"))]
fn layered_streams_are_dropped(layer: impl conduit::layer::Layer, field: Option<&str>) {
    const RESETS: u32 = 10;
    let counts = HandlerCounts::default();
    let running = serve(App::new(counts.clone()).routes(routes![quiet_text]).layer(layer));
    for _ in 0..RESETS {
        let mut client = running.connect();
        client.send("GET /quiet-text HTTP/1.1\r\nhost: test\r\naccept-encoding: gzip\r\n\r\n");
        assert!(client.received(field.unwrap_or("first")), "the response has begun");
        reset(client);
    }
    wait_for(|| counts.aborted.load(SeqCst) == RESETS);
    wait_for(|| running.handle().statistics().open_connections == 0);
}

#[cfg(feature = "compression")]
#[test]
fn a_pending_stream_that_is_compressed_is_dropped_when_its_connection_is_reset() {
    layered_streams_are_dropped(conduit::layer::Compression::new(), Some("content-encoding: gzip"));
}

#[cfg(feature = "tower")]
#[test]
fn a_pending_stream_inside_a_tower_layer_is_dropped_when_its_connection_is_reset() {
    let sets = tower_http::set_header::SetResponseHeaderLayer::overriding(
        HeaderName::from_static("x-layer"),
        HeaderValue::from_static("tower"),
    );
    layered_streams_are_dropped(conduit::tower::layer(sets), None);
    // This layer wraps the stream in another body.
    let compresses = tower_http::compression::CompressionLayer::new();
    layered_streams_are_dropped(conduit::tower::layer(compresses), Some("content-encoding: gzip"));
}

#[test]
fn aborted_response_ends_the_request_body_that_a_task_reads() {
    let (running, counts) = start(None);
    let mut client = running.connect();
    client.send("POST /failing HTTP/1.1\r\nhost: test\r\ncontent-length: 10\r\n\r\nabc");
    assert!(client.received("\r\n\r\n"));
    wait_for(|| counts.finished.load(SeqCst) == 1);
    assert_eq!(counts.started.load(SeqCst), 1);
}

#[test]
fn a_pending_stream_is_dropped_when_the_server_closes_its_connections() {
    let (running, counts) = start(None);
    let mut client = ask(&running, &counts, "/quiet");
    assert!(client.received("first"));
    running.handle().close();
    running.wait().expect("it ends well");
    assert_eq!(counts.aborted.load(SeqCst), 1);
}

#[test]
fn a_disconnect_ends_the_stream_of_a_route_that_aborts() {
    let (running, counts) = start(None);
    let mut half = ask(&running, &counts, "/quiet");
    half.end();
    let mut gone = ask(&running, &counts, "/quiet-abort");
    assert!(gone.received("first"));
    gone.end();
    wait_for(|| counts.aborted.load(SeqCst) == 1);
    assert!(half.received("first"));
    assert_eq!(counts.aborted.load(SeqCst), 1, "the other stream continues");
}

/// Only the epoll backend reports an end before the bytes in front of it are read.
#[cfg(all(target_os = "linux", not(conduit_portable)))]
#[test]
fn a_disconnect_after_a_pipelined_request_ends_the_stream_of_a_route_that_aborts() {
    let (running, counts) = start(None);
    let mut gone = running.connect();
    gone.send("GET /quiet-abort HTTP/1.1\r\nhost: test\r\n\r\n".repeat(2));
    assert!(gone.received("first"));
    gone.end();
    wait_for(|| counts.aborted.load(SeqCst) == 1);
}

/// The kernel lists its timers: 02 is the keep-alive of a connection that has nothing to send.
#[cfg(target_os = "linux")]
#[test]
fn the_system_probes_silent_connections_unless_the_application_disables_it() {
    let timer = |running: &Running| {
        let port = format!(":{:04X}", running.address.port());
        let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux has the table");
        let row = table
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|row| row[1].ends_with(&port) && row[3] == "01");
        row.map(|row| row[5][..2].to_owned())
    };
    let app = || App::new(HandlerCounts::default()).routes(routes![usual]);
    for (app, expected) in [(app(), "02"), (app().tcp_keep_alive(Duration::ZERO), "00")] {
        let running = serve(app);
        let _client = running.connect();
        wait_for(|| running.handle().statistics().open_connections == 1);
        assert_eq!(timer(&running).as_deref(), Some(expected));
    }
}
