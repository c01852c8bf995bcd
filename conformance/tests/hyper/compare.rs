//! Compares the requests that the engine and hyper's server read from the same bytes.
//!
//! Request smuggling needs two parsers that read different requests from one stream: a proxy that forwards a request, and the
//! server that executes it. So hyper must read every request that the engine accepts as the same request, or reject it. Requests
//! that only hyper accepts are harmless, because the engine closes.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use conduit_proto::h1::{BodyLength, Connection, Event, Head, Limits};
use http::{HeaderMap, Method, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

/// A request as one of the two has parsed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    method: String,
    target: String,
    body: Vec<u8>,
    /// The body is complete.
    complete: bool,
}

/// Everything that one of the two has parsed.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    messages: Vec<Message>,
    /// A request was rejected.
    refused: bool,
    /// The connection was closed after a response.
    closed: bool,
}

/// The relation of the two readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// Both read the same requests.
    Same,
    /// The engine rejects or closes, and hyper continues.
    EngineStops,
    /// Hyper rejects or closes, and the engine continues.
    HyperStops,
}

/// Lets both read the stream.
///
/// # Panics
///
/// Panics if the engine accepts a request that hyper reads differently.
pub(crate) fn compare(stream: &[u8]) -> Agreement {
    let (engine, hyper) = (engine(stream), hyper_server(stream));
    for (number, (ours, theirs)) in engine.messages.iter().zip(&hyper.messages).enumerate() {
        assert_eq!(ours.method, theirs.method, "request {number}: {engine:?} {hyper:?}");
        assert!(
            same_target(&ours.target, &theirs.target),
            "request {number}: {engine:?} {hyper:?}"
        );
        match (ours.complete, theirs.complete) {
            (true, true) => assert_eq!(ours.body, theirs.body, "request {number}: {engine:?} {hyper:?}"),
            // One of them waits for more input or rejects a request that the other accepts: the common part is the same.
            (true, false) => {
                assert!(
                    ours.body.starts_with(&theirs.body),
                    "request {number}: {engine:?} {hyper:?}"
                );
                return Agreement::HyperStops;
            }
            (false, true) => {
                assert!(
                    engine.refused,
                    "request {number} continues for the engine: {engine:?} {hyper:?}"
                );
                return Agreement::EngineStops;
            }
            (false, false) => {}
        }
    }
    match engine.messages.len().cmp(&hyper.messages.len()) {
        std::cmp::Ordering::Equal => Agreement::Same,
        std::cmp::Ordering::Less => {
            assert!(
                engine.refused || engine.closed,
                "hyper sees a request more: {engine:?} {hyper:?}"
            );
            Agreement::EngineStops
        }
        std::cmp::Ordering::Greater => {
            assert!(
                hyper.refused || hyper.closed,
                "the engine sees a request more: {engine:?} {hyper:?}"
            );
            Agreement::HyperStops
        }
    }
}

/// Hyper returns a parsed URI, which normalises absolute targets.
fn same_target(ours: &str, theirs: &str) -> bool {
    if ours.starts_with('/') {
        return ours == theirs;
    }
    let (ours, theirs) = (ours.parse::<http::Uri>(), theirs.parse::<http::Uri>());
    matches!((ours, theirs), (Ok(ours), Ok(theirs)) if ours == theirs)
}

/// `CONNECT` is declined, so that both continue with HTTP.
fn status(method: &Method) -> StatusCode {
    match *method {
        Method::CONNECT => StatusCode::NOT_FOUND,
        _ => StatusCode::OK,
    }
}

fn engine(stream: &[u8]) -> Reading {
    let (mut connection, mut head) = (Connection::new(), Head::new());
    let (limits, date, headers) = (Limits::default(), conduit_proto::http_date(0), HeaderMap::new());
    let (mut reading, mut output) = (Reading::default(), Vec::new());
    let mut at = 0;
    loop {
        let Ok((used, event)) = connection.handle_input(&stream[at..], &mut head, &limits) else {
            reading.refused = true;
            return reading;
        };
        at += used;
        let complete = match event {
            Event::Request => {
                connection.write_continue(&mut output);
                let complete = head.body() == BodyLength::None;
                reading.messages.push(Message {
                    method: head.method().to_string(),
                    target: head.target().to_owned(),
                    body: Vec::new(),
                    complete,
                });
                complete
            }
            Event::Body(piece) => {
                if let Some(message) = reading.messages.last_mut() {
                    message.body.extend_from_slice(piece);
                }
                false
            }
            Event::End(_) => {
                if let Some(message) = reading.messages.last_mut() {
                    message.complete = true;
                }
                true
            }
            Event::NeedMore => return reading,
            Event::Closed => {
                reading.closed = true;
                return reading;
            }
            Event::Blocked | Event::Upgraded => panic!("every request is answered, and none upgraded"),
        };
        if complete {
            connection.write_response(&mut output, status(head.method()), &headers, b"", &date);
        }
    }
}

fn hyper_server(stream: &[u8]) -> Reading {
    let messages = Rc::new(RefCell::new(Vec::new()));
    let noted = messages.clone();
    let service = service_fn(move |request: http::Request<Incoming>| {
        let noted = noted.clone();
        async move {
            let (parts, mut body) = request.into_parts();
            let index = noted.borrow().len();
            noted.borrow_mut().push(Message {
                method: parts.method.to_string(),
                target: parts.uri.to_string(),
                body: Vec::new(),
                complete: false,
            });
            loop {
                match body.frame().await {
                    Some(Ok(frame)) => {
                        if let Some(piece) = frame.data_ref() {
                            noted.borrow_mut()[index].body.extend_from_slice(piece);
                        }
                    }
                    Some(Err(_)) => break,
                    None => {
                        noted.borrow_mut()[index].complete = true;
                        break;
                    }
                }
            }
            let mut response = http::Response::new(Empty::<Bytes>::new());
            *response.status_mut() = status(&parts.method);
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .half_close(true)
        .header_read_timeout(None)
        .serve_connection(Memory(stream.to_vec(), 0), service);
    let ended = run_until_it_waits(connection);
    Reading {
        messages: messages.take(),
        refused: matches!(ended, Some(Err(_))),
        closed: matches!(ended, Some(Ok(()))),
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Polls a future as long as it makes progress. Returns `None` if it then waits.
fn run_until_it_waits<F: Future>(future: F) -> Option<F::Output> {
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(woken.clone());
    let mut future = pin!(future);
    while woken.0.swap(false, Ordering::Relaxed) {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
    }
    None
}

/// A client that has sent these bytes, has ended its half, and reads all responses.
struct Memory(Vec<u8>, usize);

impl Read for Memory {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let length = (self.0.len() - self.1).min(buffer.remaining());
        buffer.put_slice(&self.0[self.1..][..length]);
        self.1 += length;
        Poll::Ready(Ok(()))
    }
}

impl Write for Memory {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
