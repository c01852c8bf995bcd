//! The input of HTTP/2: bytes pass through the engine, and requests to their exchanges.

use conduit_proto::h1::BodyLength;
use conduit_proto::h2::{self, ConnectionError, ErrorCode, Http2Event, Http2Phase, Http2Reason, ResetCause};
use http::HeaderMap;

use super::stream::Stream;
use super::{Http2, InputUse};
use crate::endpoint::Outcome;
use crate::limit::Limit;
use crate::link::{Link, Timer};
use crate::problem::Problem;
use crate::protocol::Step;
use crate::request::Request;
use crate::shared::Shared;

impl Http2 {
    /// Serves the frames in the input, until it is used or there is no room for output.
    pub(in crate::protocol) fn on_input(&mut self, link: &mut Link, input: &mut &[u8], shared: &mut Shared) -> Step {
        if matches!(self.input, InputUse::Paused | InputUse::Delayed) {
            return Step::Continue;
        }
        link.begin_output(shared);
        let now = Self::now(shared);
        self.input = InputUse::Ready;
        self.reads_bodies = false;
        let arrived_bytes = input.len();
        while link.has_room() {
            if let Some(limit) = self.used_up_limit(shared) {
                shared.counts().record_limit_hit(limit);
                self.input = InputUse::Paused;
                break;
            }
            let received: &[u8] = input;
            let head = shared.request.head_mut();
            let (used, event) = match self.engine.handle_input(received, head, &mut link.output, now) {
                Ok(found) => found,
                Err(error) => {
                    *input = &[];
                    self.input = InputUse::NeedsMore;
                    self.fail(error, link, shared);
                    return Step::Continue;
                }
            };
            *input = &input[used..];
            match event {
                Http2Event::Request(id) => self.take_request(id, link, shared),
                Http2Event::Refused(id, reason) => self.refuse_request(id, reason, link, shared),
                Http2Event::Body(id, piece) => self.take_body(id, piece, link, shared),
                #[cfg(feature = "websocket")]
                Http2Event::End(id, _) if self.end_socket_input(id) => {}
                Http2Event::End(id, trailers) => self.end_request(id, trailers, link, shared),
                Http2Event::Reset(id, cause) => {
                    self.log_reset(id, cause, link, shared);
                    self.cancel_stream(id, shared);
                }
                Http2Event::Rejected(reason) => {
                    if let Some(limit) = limit_of(reason) {
                        shared.counts().record_limit_hit(limit);
                    }
                    tracing::debug!(peer = %link.peer(), reason = reason.detail(), "refused a request");
                }
                Http2Event::Delayed(_) => {
                    shared.counts().record_limit_hit(Limit::Http2Glitches);
                    tracing::debug!(peer = %link.peer(), "delayed a client that sends too many useless frames");
                    self.input = InputUse::Delayed;
                    break;
                }
                Http2Event::Closed => {
                    *input = &[];
                    self.input = InputUse::NeedsMore;
                    break;
                }
                Http2Event::NeedMore => {
                    self.input = InputUse::NeedsMore;
                    break;
                }
            }
        }
        if input.len() < arrived_bytes {
            self.extend_head_time(link, shared);
        }
        if !link.undrained {
            self.begin_arriving(link, shared);
        }
        if self.has_transfers {
            // Bodies leave with their heads.
            self.write_pending(link, shared);
        }
        Step::Continue
    }

    /// Gives each frame the time of a head: a read may end within the next frame each time. Only frames of an open stream
    /// extend the time of a connection beyond its idle time.
    fn extend_head_time(&self, link: &mut Link, shared: &Shared) {
        if link.timer() != Timer::Incomplete {
            return;
        }
        match self.engine.phase() {
            Http2Phase::Streams => link.restart_timer(),
            Http2Phase::Idle => link.extend_timer(shared),
            Http2Phase::Preface | Http2Phase::Block | Http2Phase::Closed => {}
        }
    }

    /// The slot of a new stream.
    pub(super) fn open(&mut self, id: h2::StreamId) -> &mut Stream {
        if self.streams.is_empty() {
            // A connection that waits after one request holds no more than its slot.
            self.streams.reserve_exact(1);
        }
        while self.streams.len() <= id.slot() {
            self.streams.push(Stream::new());
        }
        let stream = &mut self.streams[id.slot()];
        stream.open(id);
        stream
    }

    fn take_request(&mut self, id: h2::StreamId, link: &mut Link, shared: &mut Shared) {
        self.open(id);
        if !self.hold(id, shared.request.head().content_bytes(), shared) {
            return self.refuse_head(id, ErrorCode::REFUSED_STREAM, link, shared);
        }
        let mut request = std::mem::replace(&mut shared.request, Request::blank());
        request.head_mut().add_host();
        request.arrived(link.peer(), link.info.as_ref());
        self.requests += 1;
        if self.requests == shared.config.requests {
            shared.counts().record_limit_hit(Limit::Requests);
            self.engine.stop_accepting(&mut link.output);
        }
        link.restart_timer();
        request.set_informer(Self::sender(id, link, shared).for_body());
        #[cfg(feature = "websocket")]
        let Some(mut request) = self.begin_socket(id, request, link, shared) else {
            return;
        };
        let has_body = request.head().body() != BodyLength::None;
        if !has_body {
            return self.begin(id, request, link, shared);
        }
        let stream = &mut self.streams[id.slot()];
        // An exchange begins after the part of its body in this input, so that its handler is usually ready at the first poll.
        stream.exchange.open_body(&mut request, Self::sender(id, link, shared));
        stream.arriving = Some(request);
        self.arriving.push(id);
        self.has_transfers = true;
    }

    fn take_body(&mut self, id: h2::StreamId, piece: &[u8], link: &mut Link, shared: &mut Shared) {
        #[cfg(feature = "websocket")]
        if self.take_socket_bytes(id, piece, link, shared) {
            return;
        }
        self.reads_bodies = true;
        let share = piece.len() as u64 * self.shares.receiving.max(1);
        let Some(stream) = self.stream(id) else { return };
        // Flow control bounds the held bytes: a handler that lags makes the client wait.
        stream.exchange.push_body(piece);
        stream.rate.moved(share, shared.now(), &shared.config);
        stream.unread_bytes += piece.len();
        if stream.arriving.is_none() {
            self.report_consumed(id, link);
        }
    }

    /// The request of a stream is complete.
    fn end_request(
        &mut self,
        id: h2::StreamId,
        trailers: Option<Box<HeaderMap>>,
        link: &mut Link,
        shared: &mut Shared,
    ) {
        if self.stream(id).is_none() {
            return;
        }
        let held_bytes = trailers.as_deref().map_or(0, trailer_bytes);
        if held_bytes > 0 && !self.hold(id, held_bytes, shared) {
            return self.refuse_head(id, ErrorCode::ENHANCE_YOUR_CALM, link, shared);
        }
        let stream = &mut self.streams[id.slot()];
        stream.exchange.complete_body(trailers);
        if let Some(request) = stream.arriving.take() {
            self.begin(id, request, link, shared);
        }
    }

    /// Begins the exchanges of requests whose body continues in later input.
    pub(super) fn begin_arriving(&mut self, link: &mut Link, shared: &mut Shared) {
        if self.arriving.is_empty() {
            return;
        }
        link.begin_output(shared);
        let mut arriving = std::mem::take(&mut self.arriving);
        for id in arriving.drain(..) {
            if let Some(request) = self.stream(id).and_then(|stream| stream.arriving.take()) {
                self.begin(id, request, link, shared);
            }
        }
        self.arriving = arriving;
    }

    /// Begins the exchange of a request, and writes the response if it is ready.
    pub(super) fn begin(&mut self, id: h2::StreamId, request: Request, link: &mut Link, shared: &mut Shared) {
        let client = link.client();
        let exchange = &mut self.streams[id.slot()].exchange;
        match exchange.begin(request, client, link.is_plain_tcp(), &mut shared.environment) {
            Outcome::Ready(response) => self.respond(id, response, link, shared),
            Outcome::Pending(handler) => {
                exchange.spawn_handler(handler, client, Self::sender(id, link, shared), &shared.environment);
            }
        }
        // The stream of a response may read the body, too.
        self.report_consumed(id, link);
    }

    /// Resets a stream whose head or trailers exceed the bytes that the connection may hold. A client may send a refused request
    /// again when others have ended.
    #[cold]
    fn refuse_head(&mut self, id: h2::StreamId, code: ErrorCode, link: &mut Link, shared: &mut Shared) {
        shared.counts().record_limit_hit(Limit::HeadBytes);
        tracing::debug!(peer = %link.peer(), stream = id.number(), "refused a request: the heads of the connection together exceed their limit");
        let refused = self.engine.refuse(&mut link.output, id, code, Self::now(shared));
        self.cancel_stream(id, shared);
        if let Err(error) = refused {
            self.fail(error, link, shared);
        }
    }

    /// Responds to a request over a limit.
    #[cold]
    fn refuse_request(&mut self, id: h2::StreamId, reason: Http2Reason, link: &mut Link, shared: &mut Shared) {
        if let Some(limit) = limit_of(reason) {
            shared.counts().record_limit_hit(limit);
        }
        tracing::debug!(peer = %link.peer(), reason = reason.detail(), "refused a request");
        self.open(id);
        let status = reason.status().unwrap_or(http::StatusCode::BAD_REQUEST);
        let problem = Problem::new(status).with_detail(reason.detail());
        self.refuse(id, problem, link, shared);
    }

    #[cold]
    fn log_reset(&self, id: h2::StreamId, cause: ResetCause, link: &Link, shared: &Shared) {
        let stream = id.number();
        match cause {
            ResetCause::Peer(code) => tracing::trace!(peer = %link.peer(), stream, %code, "the client reset a stream"),
            ResetCause::Rule(reason) => {
                if let Some(limit) = limit_of(reason) {
                    shared.counts().record_limit_hit(limit);
                }
                tracing::debug!(peer = %link.peer(), stream, reason = reason.detail(), "reset a stream");
            }
        }
    }

    /// The client has broken the protocol: GOAWAY is in the output, after which the connection closes.
    #[cold]
    fn fail(&mut self, error: ConnectionError, link: &Link, shared: &mut Shared) {
        let reason = error.reason();
        if let Some(limit) = limit_of(reason) {
            shared.counts().record_limit_hit(limit);
        }
        if reason == Http2Reason::Flood {
            tracing::info!(peer = %link.peer(), %error, "closing a connection that floods the server");
        } else {
            tracing::debug!(peer = %link.peer(), %error, "closing a connection");
        }
        self.cancel_streams(shared);
    }
}

/// The memory of trailers.
#[cold]
fn trailer_bytes(trailers: &HeaderMap) -> usize {
    /// An entry of the map without its text.
    const ENTRY_BYTES: usize = 128;
    let fields = trailers.iter();
    fields
        .map(|(name, value)| ENTRY_BYTES + name.as_str().len() + value.len())
        .sum()
}

/// The limit that a client has exceeded, if its fault was a size or a number.
fn limit_of(reason: Http2Reason) -> Option<Limit> {
    match reason {
        Http2Reason::HeadTooLarge
        | Http2Reason::TargetTooLong
        | Http2Reason::TrailersTooLarge
        | Http2Reason::BlockTooLarge => Some(Limit::HeadBytes),
        Http2Reason::TooManyFields => Some(Limit::Headers),
        Http2Reason::TooManyContinuations => Some(Limit::Http2Continuations),
        Http2Reason::TooManyStreams => Some(Limit::Http2Streams),
        Http2Reason::WindowExceeded => Some(Limit::Http2Windows),
        Http2Reason::Flood => Some(Limit::Http2Glitches),
        _ => None,
    }
}
