//! The observation of requests: a span while a request is handled, a line in the access log, and the counts of its route.
//!
//! A request without observers reads no clock and copies nothing. The memory for an observed request comes from a pool of the
//! worker, so that the steady state does not allocate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use tracing::Span;
use tracing::field::Empty;

use crate::counts::Counts;
use crate::observer::{CLIENT_GONE, Observer, RequestEnd, RequestRecord};
use crate::panics::caught;
use crate::request::Request;
use crate::response::Response;
use crate::route::Definition;
use conduit_core::internal::excerpt::logged;

/// The number of requests whose memory a worker keeps for reuse.
const KEPT: usize = 64;

/// The target of the span of a request.
pub const REQUEST_TARGET: &str = "conduit::request";

const SUBSCRIBER: &str = "the subscriber panicked";

/// The observers of a worker's requests.
pub(super) struct Watch {
    observer: Arc<dyn Observer>,
    /// Set if routes are counted: the application has the page of metrics, or passes them on.
    counts_routes: bool,
    #[expect(
        clippy::vec_box,
        reason = "the box of a watched request is kept, so that a request moves as one pointer"
    )]
    free: Vec<Box<Watched>>,
}

/// An observed request, from its head to the end of its response.
pub(super) struct Watched {
    started: Instant,
    /// The index of its route in the table.
    route: Option<usize>,
    pub(super) span: Span,
    record: Box<dyn RequestRecord>,
    status: u16,
    /// The response is sent without its body.
    head_only: bool,
    /// The observers receive it. Otherwise only its span is of use.
    is_observed: bool,
    /// The response is in the numbers of its route; the record continues.
    is_counted: bool,
    /// The number of sent bytes of the response's body.
    pub(super) body_bytes: u64,
    /// The code of the Close that ended a WebSocket.
    pub(super) close_code: Option<u16>,
}

impl Watch {
    pub(super) fn new(observer: Arc<dyn Observer>, counts_routes: bool) -> Self {
        Watch {
            observer,
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
        let is_wanted = self.observer.wants_requests();
        if span.is_disabled() && !is_wanted && !self.counts_routes {
            return None;
        }
        Some(self.watch(request, route, peer, span, is_wanted))
    }

    fn watch(
        &mut self,
        request: &Request,
        route: Option<(usize, &'static Definition)>,
        peer: SocketAddr,
        span: Span,
        is_wanted: bool,
    ) -> Box<Watched> {
        let mut watched = self.unused();
        watched.started = Instant::now();
        watched.route = route.map(|(index, _)| index);
        let definition = route.map(|(_, definition)| definition);
        watched.record.begin(request, definition, peer, &span, is_wanted);
        watched.span = span;
        watched.status = CLIENT_GONE;
        watched.head_only = request.method() == Method::HEAD;
        watched.is_observed = true;
        watched
    }

    /// The memory of a request within a span that the server does not end; `None` if the span is disabled.
    #[cfg(feature = "tower")]
    pub(super) fn within(&mut self, span: Span) -> Option<Box<Watched>> {
        if span.is_disabled() {
            return None;
        }
        let mut watched = self.unused();
        watched.span = span;
        watched.is_observed = false;
        Some(watched)
    }

    fn unused(&mut self) -> Box<Watched> {
        self.free
            .pop()
            .unwrap_or_else(|| Box::new(Watched::blank(self.observer.new_record())))
    }

    /// Reports an invalid request, and the status and size of its response.
    #[cold]
    pub(super) fn refused(&self, peer: SocketAddr, status: StatusCode, bytes: u64) {
        caught(SUBSCRIBER, || {
            self.observer.on_invalid_request(peer, status.as_u16(), bytes)
        });
    }

    /// Adds a response to the numbers of its route while its record continues.
    #[cfg(feature = "websocket")]
    pub(super) fn count_now(&self, watched: &mut Watched, counts: &Counts) {
        if watched.is_observed {
            let took = watched.started.elapsed();
            self.count(watched, took, counts);
        }
    }

    /// Adds the response to the numbers of its route, unless it is there.
    fn count(&self, watched: &mut Watched, took: Duration, counts: &Counts) {
        if self.counts_routes && !std::mem::replace(&mut watched.is_counted, true) {
            counts.record_response(watched.route, watched.status, took);
        }
    }

    /// The response is complete, or was aborted.
    pub(super) fn end(&mut self, mut watched: Box<Watched>, complete: bool, counts: &Counts) {
        if watched.is_observed {
            let took = watched.started.elapsed();
            self.count(&mut watched, took, counts);
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            // A subscriber that panics loses its line, and the connection continues.
            caught(SUBSCRIBER, || watched.report(micros, complete));
            watched.record.clear();
        }
        caught(SUBSCRIBER, || watched.span = Span::none());
        watched.body_bytes = 0;
        watched.close_code = None;
        watched.is_counted = false;
        if self.free.len() < KEPT {
            self.free.push(watched);
        }
    }
}

impl Watched {
    fn blank(record: Box<dyn RequestRecord>) -> Self {
        Watched {
            started: Instant::now(),
            route: None,
            span: Span::none(),
            record,
            status: CLIENT_GONE,
            head_only: false,
            is_observed: false,
            is_counted: false,
            body_bytes: 0,
            close_code: None,
        }
    }

    /// Passes the end of the request on to the subscriber.
    fn report(&mut self, micros: u64, is_complete: bool) {
        let status = self.status;
        // The record ends first: its span is exported before the subscriber's span has its last fields, and its line does not
        // depend on them.
        self.record.end(&RequestEnd {
            status: (status != CLIENT_GONE).then_some(status),
            micros,
            body_bytes: self.body_bytes,
            is_complete,
            close_code: self.close_code,
        });
        if !self.span.is_disabled() {
            self.span.record("status", status);
            self.span.record("duration_us", micros);
            self.span.record("bytes", self.body_bytes);
        }
    }

    /// The head of the response is written.
    pub(super) fn record_head(&mut self, response: &Response) {
        self.status = response.status().as_u16();
        self.record.on_response(response);
        self.body_bytes = match response.body().whole() {
            Some(bytes) if !self.head_only => bytes.len() as u64,
            _ => 0,
        };
    }
}
