//! The server at its socket: connections, bodies both ways, faults of the client, stopping.

mod bodies;
mod lifetime;
mod requests;
mod streams;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use crate::support::{Running, serve};
use conduit::prelude::*;
use futures_core::Stream;

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
async fn length_later(body: Body, gate: State<NotifyGate>) -> Result<String, Problem> {
    gate.0.0.notified().await;
    Ok(body.collect().await?.len().to_string())
}

#[get("/panic")]
async fn panic() -> &'static str {
    panic!("requested by the test")
}

#[get("/panic-later")]
async fn panic_later() -> &'static str {
    tokio::task::yield_now().await;
    panic!("requested by the test, later")
}

#[get("/slow")]
async fn slow(gate: State<NotifyGate>) -> &'static str {
    gate.0.0.notified().await;
    "slow"
}

/// A stream that returns its pieces one by one, and yields before each.
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
        Err(std::io::Error::other("requested by the test")),
    ];
    Body::from_stream(Pieces(pieces.into(), false))
}

/// The number of requested pieces of endless streams.
type Asked = Arc<AtomicUsize>;

/// The gate that a handler awaits until the test opens it.
#[derive(Clone, Default)]
struct NotifyGate(Arc<tokio::sync::Notify>);

#[derive(Clone, Default, FromRef)]
struct TestState {
    asked: Asked,
    gate: NotifyGate,
}

/// An endless stream, which counts the requested pieces.
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
