//! The observation of requests: a span while a request is handled, a line in the access log, and the counts of its route.
//!
//! A request without observers costs nothing: no clock is read, nothing is copied. For an observed request the
//! memory comes from a pool of the worker, so that the steady state does not allocate either.

use std::net::SocketAddr;
use std::time::Instant;

use http::{Method, StatusCode};
use tracing::Span;
use tracing::field::Empty;

use super::access_log::{self, AccessLog, Line};
use super::counts::Counts;
use super::server_span::ServerSpan;
use crate::panics::caught;
use crate::problem::logged;
use crate::request::Request;
use crate::response::Response;
use crate::route::Definition;

/// The status in the log for a client that disconnected before the response; nginx writes the same.
const CLIENT_GONE: u16 = 499;
/// The number of requests whose memory a worker keeps for reuse.
const KEPT: usize = 64;

/// The target of the span of a request.
pub(crate) const REQUEST_TARGET: &str = "conduit::request";

const SUBSCRIBER: &str = "the subscriber panicked";

/// The observers of a worker's requests.
pub(super) struct Watch {
    access_log: AccessLog,
    /// Set if routes are counted: the application has the page of metrics, or passes them on.
    counts_routes: bool,
    #[expect(
        clippy::vec_box,
        reason = "a request that is watched moves as one pointer: the box is what is kept"
    )]
    free: Vec<Box<Watched>>,
}

/// An observed request, from its head to the end of its response.
pub(super) struct Watched {
    started: Instant,
    /// The index of its route in the table.
    route: Option<usize>,
    pub(super) span: Span,
    server_span: ServerSpan,
    line: Option<Line>,
    status: u16,
    /// The response is sent without its body.
    head_only: bool,
    /// The number of sent bytes of the response's body.
    pub(super) body_bytes: u64,
}

impl Watch {
    pub(super) fn new(access_log: AccessLog, counts_routes: bool) -> Self {
        Watch {
            access_log,
            counts_routes,
            free: Vec::new(),
        }
    }

    /// Begins to observe a request; `None` if there are no observers.
    #[inline]
    pub(super) fn begin(
        &mut self,
        request: &Request,
        route: Option<(usize, &'static Definition)>,
        peer: SocketAddr,
    ) -> Option<Box<Watched>> {
        let span = tracing::info_span!(
            target: REQUEST_TARGET,
            "request",
            // Empty, and in no log, unless a layer exports the span.
            otel.name = Empty,
            otel.kind = Empty,
            method = &*logged(request.method().as_str()),
            route = route.map(|(_, definition)| definition.path),
            path = &*logged(request.path()),
            peer = %peer,
            status = Empty,
            duration_us = Empty,
            bytes = Empty,
        );
        let logs = self.access_log != AccessLog::Off && access_log::is_heard();
        if span.is_disabled() && !logs && !self.counts_routes {
            return None;
        }
        Some(self.watch(request, route, peer, span, logs))
    }

    fn watch(
        &mut self,
        request: &Request,
        route: Option<(usize, &'static Definition)>,
        peer: SocketAddr,
        span: Span,
        logs: bool,
    ) -> Box<Watched> {
        let mut watched = self.free.pop().unwrap_or_else(|| Box::new(Watched::blank()));
        watched.started = Instant::now();
        watched.route = route.map(|(index, _)| index);
        watched.server_span = ServerSpan::begin(&span, request, route.map(|(_, definition)| definition));
        watched.span = span;
        watched.status = CLIENT_GONE;
        watched.head_only = request.method() == Method::HEAD;
        if logs {
            let line = watched.line.get_or_insert_default();
            line.fill(request, route.map(|(_, definition)| definition.path), peer);
        }
        watched
    }

    /// Reports an invalid request, and the status and size of its response.
    #[cold]
    pub(super) fn refused(&self, peer: SocketAddr, status: StatusCode, bytes: u64) {
        if self.access_log != AccessLog::Off && access_log::is_heard() {
            let mut line = Line::refused(peer);
            caught(SUBSCRIBER, || {
                line.write(self.access_log, status.as_u16(), 0, bytes, true)
            });
        }
    }

    /// The response is complete, or was aborted.
    pub(super) fn end(&mut self, mut watched: Box<Watched>, complete: bool, counts: &Counts) {
        let took = watched.started.elapsed();
        if self.counts_routes {
            counts.answered(watched.route, watched.status, took);
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // The response does not depend on a subscriber: one that panics loses its line, not the connection.
        caught(SUBSCRIBER, || watched.report(self.access_log, micros, complete));
        if let Some(line) = &mut watched.line {
            line.clear();
        }
        caught(SUBSCRIBER, || watched.span = Span::none());
        watched.body_bytes = 0;
        if self.free.len() < KEPT {
            self.free.push(watched);
        }
    }
}

impl Watched {
    fn blank() -> Self {
        Watched {
            started: Instant::now(),
            route: None,
            span: Span::none(),
            server_span: ServerSpan::default(),
            line: None,
            status: CLIENT_GONE,
            head_only: false,
            body_bytes: 0,
        }
    }

    /// Passes the end of the request on to the subscriber.
    fn report(&mut self, access_log: AccessLog, micros: u64, complete: bool) {
        let status = self.status;
        let answered = (status != CLIENT_GONE).then_some(status);
        self.server_span.end(answered, self.body_bytes, complete);
        if !self.span.is_disabled() {
            self.span.record("status", status);
            self.span.record("duration_us", micros);
            self.span.record("bytes", self.body_bytes);
        }
        if let Some(line) = &mut self.line
            && line.is_used()
        {
            line.write(access_log, status, micros, self.body_bytes, complete);
        }
    }

    /// The head of the answer is written.
    pub(super) fn answered(&mut self, response: &Response) {
        self.status = response.status().as_u16();
        if let Some(line) = &mut self.line
            && let Some(id) = response.extensions().get()
        {
            line.fill_id(id);
        }
        self.body_bytes = match response.body().whole() {
            Some(bytes) if !self.head_only => bytes.len() as u64,
            _ => 0,
        };
    }
}
