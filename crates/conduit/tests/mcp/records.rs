//! The record of a call in the access log.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future as _;
use std::pin::Pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use conduit::prelude::*;
use conduit::testing::{TestClient, TestConnection};
use conduit::{AccessLog, Disconnect};
use conduit_server::internal::service::InternalCaller;
use futures_core::Stream;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::{call, log, result};

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone)]
struct Seen {
    events: Sender<&'static str>,
    /// The event that a handler awaits.
    go: Arc<Semaphore>,
    callers: Sender<InternalCaller>,
}

/// Wait without an end.
#[get("/aborts", tool = "abort", disconnect = "abort")]
async fn aborts(seen: State<Seen>) -> &'static str {
    seen.events.send("started").expect("the test waits");
    std::future::pending().await
}

/// Wait for a permit.
#[get("/finishes", tool = "finish", disconnect = "finish")]
async fn finishes(seen: State<Seen>) -> &'static str {
    seen.events.send("started").expect("the test waits");
    drop(seen.go.acquire().await);
    seen.events.send("finished").expect("the test waits");
    "done"
}

/// A piece of four bytes at every second poll.
struct Pieces {
    polls: u32,
    end: Option<&'static str>,
}

impl Stream for Pieces {
    type Item = Result<&'static str, &'static str>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.polls += 1;
        match self.polls {
            1 | 3 | 5 => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            2 | 4 | 6 => Poll::Ready(Some(Ok("four"))),
            _ => Poll::Ready(self.end.take().map(Err)),
        }
    }
}

/// Stream twelve bytes.
#[get("/pieces", tool = "pieces")]
fn pieces() -> Body {
    Body::from_stream(Pieces { polls: 0, end: None })
}

/// Stream twelve bytes, and fail.
#[get("/breaks", tool = "break")]
fn breaks() -> Body {
    let end = Some("no more");
    Body::from_stream(Pieces { polls: 0, end })
}

struct Endless;

impl Stream for Endless {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Ok(vec![b'x'; 1024 * 1024].into())))
    }
}

/// Stream without an end.
#[get("/endless", tool = "endless")]
fn endless() -> Body {
    Body::from_stream(Endless)
}

#[get("/ready")]
fn ready() -> &'static str {
    "ready"
}

/// Passes the caller of this worker to the test.
#[get("/caller")]
fn caller(seen: State<Seen>) {
    let caller = InternalCaller::of_this_thread().expect("the worker takes requests of the process");
    seen.callers.send(caller).expect("the test waits");
}

/// The response that [`drops`] drops.
static KEPT: Mutex<Option<Box<dyn Any + Send>>> = Mutex::new(None);

/// Drops a streamed response of another call at its first poll.
#[get("/drops")]
async fn drops() -> &'static str {
    drop(KEPT.lock().expect("no panic").take().expect("a response"));
    "dropped"
}

struct Test {
    client: TestClient,
    events: Receiver<&'static str>,
    go: Arc<Semaphore>,
    callers: Receiver<InternalCaller>,
}

fn setup() -> Test {
    log::listen();
    let ((event_sender, events), (caller_sender, callers)) = (channel(), channel());
    let go = Arc::new(Semaphore::new(0));
    let seen = Seen {
        events: event_sender,
        go: Arc::clone(&go),
        callers: caller_sender,
    };
    let app = App::new(seen)
        .routes(routes![aborts, finishes, pieces, breaks, endless, ready, drops, caller])
        // The message ends with its client, and its call with it.
        .disconnect(Disconnect::Abort)
        .access_log(AccessLog::Fields)
        .mcp("/mcp");
    Test {
        client: TestClient::new(app),
        events,
        go,
        callers,
    }
}

/// Sends a call on a connection, and waits until its handler has started.
fn start(test: &Test, tool: &str) -> TestConnection {
    let params = json!({ "name": tool, "arguments": {} });
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }).to_string();
    let mut connection = test.client.connect();
    assert!(connection.send(format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\naccept: application/json, text/event-stream\r\n\
         content-type: application/json\r\nmcp-protocol-version: 2025-11-25\r\ncontent-length: {}\r\n\r\n{message}",
        message.len()
    )));
    assert_eq!(test.events.recv_timeout(TIMEOUT), Ok("started"));
    connection
}

/// The status, the bytes and the completeness of the request with this target.
#[track_caller]
fn record(target: &str) -> (Value, Value, Value) {
    let line = log::line(|line| line["fields"]["target"] == *target);
    let fields = &line["fields"];
    (
        fields["status"].clone(),
        fields["bytes"].clone(),
        fields["complete"].clone(),
    )
}

#[test]
fn a_call_whose_client_disconnects_is_incomplete_whether_its_handler_continues_or_not() {
    let test = setup();
    drop(start(&test, "abort"));
    assert_eq!(record("/aborts"), (499.into(), 0.into(), false.into()));

    drop(start(&test, "finish"));
    assert_eq!(record("/finishes"), (499.into(), 0.into(), false.into()));
    test.go.add_permits(1);
    assert_eq!(test.events.recv_timeout(TIMEOUT), Ok("finished"));
}

#[test]
fn a_response_that_its_caller_does_not_receive_is_incomplete() {
    let test = setup();
    test.client.get("/caller").send().assert_status(200);
    let caller = test.callers.recv_timeout(TIMEOUT).expect("a caller");
    let ((begun, has_begun), (gone, is_gone)) = (channel(), channel::<()>());
    let request = move || {
        begun.send(()).expect("the test waits");
        // The worker waits, so that the caller is dropped before the response.
        is_gone.recv_timeout(TIMEOUT).expect("the caller goes");
        let mut request = http::Request::new(Body::empty());
        *request.uri_mut() = "/ready?undelivered".parse().expect("a target");
        request
    };
    let mut call = Box::pin(caller.call(request, ([127, 0, 0, 1], 0).into(), None));
    let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    has_begun.recv_timeout(TIMEOUT).expect("the request begins");
    drop(call);
    gone.send(()).expect("the worker waits");
    assert_eq!(record("/ready?undelivered"), (200.into(), 0.into(), false.into()));
}

#[test]
fn the_record_of_a_streamed_response_ends_with_its_body() {
    let test = setup();
    for (tool, target, is_error, is_complete) in [("pieces", "/pieces", false, true), ("break", "/breaks", true, false)]
    {
        let called = result(&call(&test.client, tool, json!({})).send());
        assert_eq!(called["isError"], is_error, "{called}");
        assert_eq!(record(target), (200.into(), 12.into(), is_complete.into()), "{tool}");
    }
    // The caller drops a body that exceeds the limit of a result.
    let called = result(&call(&test.client, "endless", json!({})).send());
    assert_eq!(called["isError"], true, "{called}");
    let (status, bytes, is_complete) = record("/endless");
    assert_eq!((status, is_complete), (200.into(), false.into()));
    assert!(bytes.as_u64() > Some(4 * 1024 * 1024), "{bytes}");
}

#[test]
fn a_handler_may_drop_a_streamed_response_of_its_worker_at_its_first_poll() {
    let test = setup();
    test.client.get("/caller").send().assert_status(200);
    let caller = test.callers.recv_timeout(TIMEOUT).expect("a caller");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let call = |target: &'static str| {
        let request = move || {
            let mut request = http::Request::new(Body::empty());
            *request.uri_mut() = target.parse().expect("a target");
            request
        };
        let response = runtime.block_on(caller.call(request, ([127, 0, 0, 1], 0).into(), None));
        response.expect("the worker responds")
    };
    let streamed = call("/endless?kept");
    *KEPT.lock().expect("no panic") = Some(Box::new(streamed));
    assert_eq!(call("/drops").status(), 200);
    assert_eq!(record("/endless?kept"), (200.into(), 0.into(), false.into()));
    assert_eq!(call("/ready?after").status(), 200);
}
