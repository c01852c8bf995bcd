//! The server that is soaked and attacked: a process of its own, so that its memory and descriptors can be counted.
//!
//! `target` serves with the defaults, `target quick` with deadlines of a few seconds; both on a free port of loopback,
//! which they print, until SIGTERM.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use conduit::prelude::*;
use futures_core::Stream;

#[get("/plain")]
fn plain() -> &'static str {
    "plain"
}

#[get("/echo/{text}")]
fn echo(text: Path<String>) -> String {
    text.0
}

#[post("/echo")]
async fn echo_body(body: Bytes) -> Bytes {
    body
}

#[get("/later/{milliseconds}")]
async fn later(milliseconds: Path<u64>) -> &'static str {
    tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
    "later"
}

#[get("/panic")]
fn panic() -> &'static str {
    panic!("as the client wished")
}

#[get("/error")]
fn error() -> Result<String, Problem> {
    Ok(std::fs::read_to_string("/there/is/no/such/file")?)
}

/// So many pieces of a KiB, made one by one.
#[get("/stream/{pieces}")]
fn stream(pieces: Path<usize>) -> Body {
    Body::from_stream(Pieces(*pieces))
}

struct Pieces(usize);

impl Stream for Pieces {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.checked_sub(1).map(|left| {
            self.0 = left;
            Ok(Bytes::from_static(&[b's'; 1024]))
        }))
    }
}

fn main() -> conduit::Result {
    // Clients ask for panics by the thousand; that they are answered 500 is what counts here.
    std::panic::set_hook(Box::new(|_| {}));
    let routes = routes![plain, echo, echo_body, later, panic, error, stream];
    let app = App::new(()).routes(routes).peer_connection_limit(usize::MAX);
    let app = match std::env::args().nth(1).as_deref() {
        Some("quick") => app
            .head_timeout(Duration::from_secs(2))
            .idle_timeout(Duration::from_secs(3))
            .minimum_rate(1024, Duration::from_secs(2)),
        _ => app,
    };
    app.listen("127.0.0.1:0")?.run()
}
