//! The observers of a server besides its counters: access logs, exporters of spans and of metrics.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use tracing::Span;

use crate::handle::ServerHandle;
use crate::request::Request;
use crate::response::Response;
use crate::route::Definition;

/// The status in logs and counters for a client that disconnected before the response; nginx writes the same.
pub const CLIENT_GONE: u16 = 499;

/// The observers of a server. The default of each method observes nothing.
///
/// A panic of [`export`](Self::export) ends the server; a panic of another method ends at most the connection.
pub trait Observer: std::fmt::Debug + Send + Sync {
    /// Returns whether requests are counted by route.
    fn counts_routes(&self) -> bool {
        false
    }

    /// Returns whether the next request is recorded although no subscriber wants its span.
    fn wants_requests(&self) -> bool {
        false
    }

    /// The memory for the record of a request; a worker keeps it for later requests.
    fn new_record(&self) -> Box<dyn RequestRecord> {
        Box::new(NoRecord)
    }

    /// Reports bytes that are not a valid request, and the status and size of the response.
    fn on_invalid_request(&self, peer: SocketAddr, status: u16, bytes: u64) {
        let _ = (peer, status, bytes);
    }

    /// Passes the numbers of the server on, for as long as it is polled; the last ones when it is dropped.
    fn export(&self, server: ServerHandle) -> Pin<Box<dyn Future<Output = Infallible>>> {
        let _ = server;
        Box::pin(pending())
    }

    /// Called once a second, on the thread of one worker.
    fn every_second(&self) {}

    /// Waits until queued output is written, at most for `limit`; called before the process ends.
    fn flush(&self, limit: Duration) {
        let _ = limit;
    }
}

/// The record of one request at a time.
pub trait RequestRecord {
    /// A request begins. `is_wanted` is the result of [`Observer::wants_requests`].
    fn begin(
        &mut self,
        request: &Request,
        route: Option<&'static Definition>,
        peer: SocketAddr,
        span: &Span,
        is_wanted: bool,
    );

    /// The head of the response is written.
    fn on_response(&mut self, response: &Response);

    /// The response is complete, or was aborted.
    fn end(&mut self, end: &RequestEnd);

    /// Drops the data of the request, and keeps the memory.
    fn clear(&mut self);
}

/// The end of a request. That of a WebSocket ends with it, and its frames are the body.
#[derive(Clone, Copy, Debug)]
pub struct RequestEnd {
    /// The status of the response; `None` if the client disconnected before it.
    pub status: Option<u16>,
    /// The duration since the head of the request, in microseconds.
    pub micros: u64,
    /// The number of sent bytes of the body of the response.
    pub body_bytes: u64,
    /// True if the response was sent to its end, and if both sides of a WebSocket have sent Close.
    pub is_complete: bool,
    /// The code of the Close that ended a WebSocket; `None` if there was none, and for other requests.
    pub close_code: Option<u16>,
}

/// No observer.
#[derive(Debug)]
pub struct NoObserver;

impl Observer for NoObserver {}

struct NoRecord;

impl RequestRecord for NoRecord {
    fn begin(&mut self, _: &Request, _: Option<&'static Definition>, _: SocketAddr, _: &Span, _: bool) {}

    fn on_response(&mut self, _: &Response) {}

    fn end(&mut self, _: &RequestEnd) {}

    fn clear(&mut self) {}
}
