//! The server for the soak and the attacks: a separate process, so that its memory and descriptors can be counted.
//!
//! `target [quick] [CHAIN KEY]` serves on a free port of loopback, which it prints, until SIGTERM: with the defaults or with
//! deadlines of a few seconds, and with the files of a certificate on a second port over TLS.
#![forbid(unsafe_code)]

use std::convert::Infallible;
use std::fs::File;
use std::pin::Pin;
use std::sync::OnceLock;
use std::task::{Context, Poll};
use std::time::Duration;

use conduit::Tls;
use conduit::prelude::*;
use conduit_conformance::server::PROBE;
use futures_core::Stream;

/// The request of a [client](conduit_conformance::client::Client) that checks the server.
#[get("/probe")]
fn probe() -> &'static str {
    PROBE
}

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

/// This number of pieces of 1 KiB, produced one by one.
#[get("/stream/{pieces}")]
fn stream(pieces: Path<usize>) -> Body {
    Body::from_stream(RepeatedPiece(*pieces))
}

/// Ten million bytes from a file, which the kernel sends if possible.
#[get("/file")]
fn file() -> Result<Body, Problem> {
    static FILE: OnceLock<File> = OnceLock::new();
    let file = FILE.get_or_init(|| large_file().expect("a file can be written"));
    Ok(Body::from_file(file.try_clone()?, 0..FILE_BYTES))
}

const FILE_BYTES: u64 = 10_000_000;

/// A file without a name.
fn large_file() -> std::io::Result<File> {
    let path = std::env::temp_dir().join(format!("conduit-target-{}", std::process::id()));
    std::fs::write(&path, vec![b'f'; FILE_BYTES as usize])?;
    let file = File::open(&path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

struct RepeatedPiece(usize);

impl Stream for RepeatedPiece {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.checked_sub(1).map(|left| {
            self.0 = left;
            Ok(Bytes::from_static(&[b's'; 1024]))
        }))
    }
}

fn main() -> conduit::Result {
    // Clients request thousands of panics; only the responses of 500 are of interest.
    std::panic::set_hook(Box::new(|_| {}));
    let routes = routes![probe, plain, echo, echo_body, later, panic, error, stream, file];
    let app = App::new(()).routes(routes).peer_connection_limit(usize::MAX);
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.first().is_some_and(|word| word == "quick");
    let app = if quick {
        arguments.remove(0);
        app.head_timeout(Duration::from_secs(2))
            .handshake_timeout(Duration::from_secs(2))
            .idle_timeout(Duration::from_secs(3))
            .minimum_rate(1024, Duration::from_secs(2))
    } else {
        app
    };
    match arguments.as_slice() {
        [chain, key] => app
            .tls(Tls::files(chain, key))
            .listen(["http://127.0.0.1:0", "https://127.0.0.1:0"])?
            .run(),
        _ => app.listen("127.0.0.1:0")?.run(),
    }
}
