//! Responses with a stream as their body.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Duration;

use conduit::prelude::*;
use conduit::testing::TestClient;
use futures_core::Stream;

use super::{ROUTES, TestState, hello, server};
use crate::support::{serve, wait_for};

/// A stream with pieces that are ready at once.
struct Ready(VecDeque<Result<&'static str, std::io::Error>>);

impl Stream for Ready {
    type Item = Result<&'static str, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.pop_front())
    }
}

#[get("/ready")]
async fn ready() -> Body {
    Body::from_stream(Ready(["one", "two", "three"].map(Ok).into()))
}

#[get("/ready-and-broken")]
async fn ready_and_broken() -> Body {
    let pieces = [Ok("one"), Err(std::io::Error::other("requested by the test"))];
    Body::from_stream(Ready(pieces.into()))
}

/// An endless stream of empty pieces.
struct Nothings;

impl Stream for Nothings {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(Some(Ok(Bytes::new())))
    }
}

#[get("/nothings")]
async fn nothings() -> Body {
    Body::from_stream(Nothings)
}

#[test]
fn ready_pieces_are_sent_together_with_the_head() {
    let server = serve(App::new(()).routes(routes![ready, ready_and_broken]));
    let mut stream = TcpStream::connect(server.address).expect("the server accepts");
    let mut ask = |target: &str| {
        write!(stream, "GET {target} HTTP/1.1\r\nhost: test\r\n\r\n").expect("taken");
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).expect("an answer");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    };
    for _ in 0..3 {
        let answer = ask("/ready");
        assert!(
            answer.ends_with("\r\n\r\n3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"),
            "{answer}"
        );
    }
    // The bytes before an error are sent before the connection is closed.
    let answer = ask("/ready-and-broken");
    assert!(answer.ends_with("\r\n\r\n3\r\none\r\n"), "{answer}");
    assert_eq!(stream.read(&mut [0; 16]).expect("the end"), 0);
}

#[test]
fn an_endless_stream_of_empty_pieces_does_not_starve_others() {
    // The server has one worker.
    let server = serve(App::new(()).routes(routes![hello, nothings]));
    let mut client = server.connect();
    client.send("GET /nothings HTTP/1.1\r\nhost: test\r\n\r\n");
    for _ in 0..3 {
        assert_eq!(server.get("/").text(), "Hello, World!");
    }
}

#[test]
fn a_streamed_response_is_chunked_and_the_connection_continues() {
    let server = server();
    let mut client = server.connect();
    for count in [0, 1, 3, 500] {
        client.send(format!("GET /stream/{count} HTTP/1.1\r\nhost: test\r\n\r\n"));
        let response = client.response();
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        assert_eq!(response.body.len(), count * 1000);
    }
    client.send("GET /stream/3 HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!(
        (response.header("transfer-encoding"), response.body.len()),
        (None, 3000),
        "up to the close on 1.0"
    );
}

#[test]
fn a_stream_that_fails_aborts_the_response() {
    let server = server();
    let mut broken = server.connect();
    broken.send("GET /broken-stream HTTP/1.1\r\nhost: test\r\n\r\n");
    let answer = broken.rest();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("a beginning"), "{answer}");
    assert!(
        !answer.ends_with("0\r\n\r\n"),
        "the client must see that the body is not whole: {answer}"
    );
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_stream_that_fails_resets_a_client_of_http_1_0() {
    let server = server();
    let mut stream = TcpStream::connect(server.address).expect("the server accepts");
    let timeout = Duration::from_secs(20);
    stream.set_read_timeout(Some(timeout)).expect("a timeout can be set");
    stream
        .write_all(b"GET /broken-stream HTTP/1.0\r\n\r\n")
        .expect("the server accepts the bytes");
    let mut answer = Vec::new();
    let error = stream
        .read_to_end(&mut answer)
        .expect_err("only a reset reveals that the body is incomplete");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    assert_eq!(server.get("/").status, 200);
}

#[test]
fn a_stream_waits_for_a_client_that_does_not_read() {
    let state = TestState::default();
    let client = TestClient::new(App::new(state.clone()).routes(ROUTES));
    let mut reader = client.connect();
    assert!(reader.send("GET /endless HTTP/1.1\r\nhost: test\r\n\r\n"));
    // Each step of the clock gives the worker several turns.
    client.advance(Duration::from_secs(3));
    let before = state.asked.load(Relaxed);
    assert!((1..64).contains(&before), "{before} pieces of 16 KiB were requested");
    client.advance(Duration::from_secs(3));
    assert_eq!(state.asked.load(Relaxed), before, "no further piece is requested");
    client.get("/").send().assert_status(200);
    assert!(reader.read(1 << 16).starts_with(b"HTTP/1.1 200 OK"));
    wait_for(|| state.asked.load(Relaxed) > before);
}
