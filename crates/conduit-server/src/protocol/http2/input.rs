//! The input of HTTP/2: bytes pass through the engine, and requests to their exchanges.

use std::time::Duration;

use conduit_proto::h1::BodyLength;
use conduit_proto::h2::{
    self, ConnectionError, ErrorCode, Http2Connection, Http2Event, Http2Phase, Http2Reason, ResetCause,
};
use http::HeaderMap;

use super::budget::HeldMemory;
use super::multiplexer::Multiplexer;
use super::response::{refuse, respond};
use super::stream::sender;
#[cfg(feature = "websocket")]
use super::websocket;
use crate::endpoint::Outcome;
use crate::limit::Limit;
use crate::link::{Link, Timer};
use crate::problem::Problem;
use crate::request::Request;
use crate::shared::Shared;

/// Reads the requests of a connection.
pub(super) struct RequestReader {
    input: Http2Input,
    /// The last input had a part of a body.
    reads_bodies: bool,
    /// The streams whose requests wait for the part of their body that has arrived and is not received yet.
    arriving: Vec<h2::StreamId>,
    /// The number of requests that have arrived.
    requests: u64,
}

/// The use of input that has arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Http2Input {
    /// All of it is used, or the rest is an incomplete frame: more is needed.
    NeedsMore,
    /// More can be used once there is room for output.
    Ready,
    /// Handlers of closed streams use up a limit.
    Paused,
    /// The client sends too many useless frames.
    Delayed,
}

impl RequestReader {
    pub(super) fn new() -> Self {
        RequestReader {
            input: Http2Input::NeedsMore,
            reads_bodies: false,
            arriving: Vec::new(),
            requests: 0,
        }
    }

    pub(super) fn input(&self) -> Http2Input {
        self.input
    }

    /// Returns whether the last input had a part of a body.
    pub(super) fn reads_bodies(&self) -> bool {
        self.reads_bodies
    }

    /// Serves the frames in the input, until it is used or there is no room for output.
    pub(super) fn serve(
        &mut self,
        multiplexer: &mut Multiplexer,
        link: &mut Link,
        input: &mut &[u8],
        shared: &mut Shared,
    ) {
        if matches!(self.input, Http2Input::Paused | Http2Input::Delayed) {
            return;
        }
        link.output.begin(&mut shared.links);
        let now = engine_time(shared);
        self.input = Http2Input::Ready;
        self.reads_bodies = false;
        let arrived_bytes = input.len();
        while link.output.has_room() {
            if let Some(limit) = multiplexer.budget.used_up_limit(&shared.config) {
                shared.counts().record_limit_hit(limit);
                self.input = Http2Input::Paused;
                break;
            }
            let received: &[u8] = input;
            let head = shared.request.head_mut();
            let engine = &mut multiplexer.engine;
            let (used, event) = match engine.handle_input(received, head, &mut link.output.buffer, now) {
                Ok(found) => found,
                Err(error) => {
                    *input = &[];
                    self.input = Http2Input::NeedsMore;
                    return self.fail(multiplexer, error, link, shared);
                }
            };
            *input = &input[used..];
            match event {
                Http2Event::Request(id) => self.take_request(multiplexer, id, link, shared),
                Http2Event::Refused(id, reason) => refuse_request(multiplexer, id, reason, link, shared),
                Http2Event::Body(id, piece) => self.take_body(multiplexer, id, piece, link, shared),
                #[cfg(feature = "websocket")]
                Http2Event::End(id, _) if websocket::end_input(&mut multiplexer.streams, id) => {}
                Http2Event::End(id, trailers) => self.end_request(multiplexer, id, trailers, link, shared),
                Http2Event::Reset(id, cause) => {
                    log_reset(id, cause, link, shared);
                    multiplexer.cancel(id, shared);
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
                    self.input = Http2Input::Delayed;
                    break;
                }
                Http2Event::Closed => {
                    *input = &[];
                    self.input = Http2Input::NeedsMore;
                    break;
                }
                Http2Event::NeedMore => {
                    self.input = Http2Input::NeedsMore;
                    break;
                }
            }
        }
        if input.len() < arrived_bytes {
            extend_head_time(&multiplexer.engine, link, shared);
        }
        if !link.undrained {
            self.begin_arriving(multiplexer, link, shared);
        }
        if multiplexer.transfers.has_open() {
            // Bodies leave with their heads.
            multiplexer.write_pending(link, shared);
        }
    }

    /// Reads on after a limit: the client was delayed, or handlers have ended.
    pub(super) fn resume(&mut self) {
        self.input = Http2Input::Ready;
    }

    fn take_request(&mut self, multiplexer: &mut Multiplexer, id: h2::StreamId, link: &mut Link, shared: &mut Shared) {
        multiplexer.streams.open(id);
        let stream = &mut multiplexer.streams[id];
        let held_bytes = shared.request.head().content_bytes();
        if let Err(memory) = multiplexer.budget.hold(stream, held_bytes, &shared.config) {
            return self.refuse_head(multiplexer, id, (memory, ErrorCode::REFUSED_STREAM), link, shared);
        }
        let mut request = std::mem::replace(&mut shared.request, Request::blank());
        request.head_mut().add_host();
        request.arrived(link.peer(), link.info.as_ref());
        self.requests += 1;
        if self.requests == shared.config.requests {
            shared.counts().record_limit_hit(Limit::Requests);
            multiplexer.engine.stop_accepting(&mut link.output.buffer);
        }
        link.restart_timer();
        request.set_informer(sender(id, link, shared).for_request());
        #[cfg(feature = "websocket")]
        if request.head().protocol().is_some() {
            return match websocket::prepare(&mut multiplexer.streams, id, &mut request, link, shared) {
                Ok(()) => begin(multiplexer, id, request, link, shared),
                Err(problem) => refuse(multiplexer, id, problem, link, shared),
            };
        }
        let has_body = request.head().body() != BodyLength::None;
        if !has_body {
            return begin(multiplexer, id, request, link, shared);
        }
        // An exchange begins after the part of its body in this input, so that its handler is usually ready at the first poll.
        stream.exchange.open_body(&mut request, sender(id, link, shared));
        stream.arriving = Some(request);
        self.arriving.push(id);
        multiplexer.transfers.expect();
    }

    fn take_body(
        &mut self,
        multiplexer: &mut Multiplexer,
        id: h2::StreamId,
        piece: &[u8],
        link: &mut Link,
        shared: &mut Shared,
    ) {
        #[cfg(feature = "websocket")]
        if websocket::take_bytes(multiplexer, id, piece, link, shared) {
            return;
        }
        self.reads_bodies = true;
        let Some(stream) = multiplexer.streams.get(id) else {
            return;
        };
        // Flow control bounds the held bytes: a slow handler makes the client wait.
        stream.exchange.push_body(piece);
        multiplexer
            .transfers
            .record_received(stream, piece.len(), &shared.links);
        stream.unread_bytes += piece.len();
        if stream.arriving.is_none() {
            multiplexer.report_consumed(id, link);
        }
    }

    /// The request of a stream is complete.
    fn end_request(
        &mut self,
        multiplexer: &mut Multiplexer,
        id: h2::StreamId,
        trailers: Option<Box<HeaderMap>>,
        link: &mut Link,
        shared: &mut Shared,
    ) {
        let Some(stream) = multiplexer.streams.get(id) else {
            return;
        };
        let held_bytes = trailers.as_deref().map_or(0, trailer_bytes);
        if held_bytes > 0
            && let Err(memory) = multiplexer.budget.hold(stream, held_bytes, &shared.config)
        {
            return self.refuse_head(multiplexer, id, (memory, ErrorCode::ENHANCE_YOUR_CALM), link, shared);
        }
        stream.exchange.complete_body(trailers);
        if let Some(request) = stream.arriving.take() {
            begin(multiplexer, id, request, link, shared);
        }
    }

    /// Begins the exchanges of requests whose body continues in later input.
    pub(super) fn begin_arriving(&mut self, multiplexer: &mut Multiplexer, link: &mut Link, shared: &mut Shared) {
        if self.arriving.is_empty() {
            return;
        }
        link.output.begin(&mut shared.links);
        for id in self.arriving.drain(..) {
            let stream = multiplexer.streams.get(id);
            if let Some(request) = stream.and_then(|stream| stream.arriving.take()) {
                begin(multiplexer, id, request, link, shared);
            }
        }
    }

    /// Resets a stream whose head or trailers exceed the bytes that the connection or all connections may hold. A client may send a
    /// refused request again when others have ended.
    #[cold]
    fn refuse_head(
        &mut self,
        multiplexer: &mut Multiplexer,
        id: h2::StreamId,
        (memory, code): (HeldMemory, ErrorCode),
        link: &mut Link,
        shared: &mut Shared,
    ) {
        let detail = match memory {
            HeldMemory::Connection => {
                shared.counts().record_limit_hit(Limit::HeadBytes);
                "refused a request: the request heads of this connection exceed the memory limit"
            }
            HeldMemory::Server => "refused a request: the server has no memory for further request heads",
        };
        tracing::debug!(peer = %link.peer(), stream = id.number(), "{detail}");
        let refused = multiplexer
            .engine
            .refuse(&mut link.output.buffer, id, code, engine_time(shared));
        multiplexer.cancel(id, shared);
        if let Err(error) = refused {
            self.fail(multiplexer, error, link, shared);
        }
    }

    /// The client has broken the protocol: GOAWAY is in the output, after which the connection closes.
    #[cold]
    fn fail(&mut self, multiplexer: &mut Multiplexer, error: ConnectionError, link: &Link, shared: &mut Shared) {
        let reason = error.reason();
        if let Some(limit) = limit_of(reason) {
            shared.counts().record_limit_hit(limit);
        }
        if reason == Http2Reason::Flood {
            tracing::info!(peer = %link.peer(), %error, "closing a connection that floods the server");
        } else {
            tracing::debug!(peer = %link.peer(), %error, "closing a connection");
        }
        self.forget_arriving();
        multiplexer.cancel_all(shared);
    }

    /// Forgets the streams whose requests wait: all streams end.
    pub(super) fn forget_arriving(&mut self) {
        self.arriving.clear();
    }

    /// Frees memory that the last requests needed.
    pub(super) fn release_memory(&mut self) {
        self.arriving = Vec::new();
    }
}

/// Begins the exchange of a request, and writes the response if it is ready.
fn begin(multiplexer: &mut Multiplexer, id: h2::StreamId, request: Request, link: &mut Link, shared: &mut Shared) {
    let client = link.client();
    let exchange = &mut multiplexer.streams[id].exchange;
    match exchange.begin(request, client, link.is_plain_tcp(), &mut shared.environment) {
        Outcome::Ready(response) => respond(multiplexer, id, response, link, shared),
        Outcome::Pending(handler) => {
            exchange.spawn_handler(handler, client, sender(id, link, shared), &shared.environment);
        }
    }
    // The stream of a response may read the body, too.
    multiplexer.report_consumed(id, link);
}

/// Responds to a request over a limit, or with an unknown expectation.
#[cold]
fn refuse_request(
    multiplexer: &mut Multiplexer,
    id: h2::StreamId,
    reason: Http2Reason,
    link: &mut Link,
    shared: &mut Shared,
) {
    if let Some(limit) = limit_of(reason) {
        shared.counts().record_limit_hit(limit);
    }
    tracing::debug!(peer = %link.peer(), reason = reason.detail(), "refused a request");
    multiplexer.streams.open(id);
    let status = reason.status().unwrap_or(http::StatusCode::BAD_REQUEST);
    let problem = Problem::new(status).with_detail(reason.detail());
    refuse(multiplexer, id, problem, link, shared);
}

/// Gives each frame the time of a head: a read may end within the next frame each time. Only frames of an open stream
/// extend the time of a connection beyond its idle time.
fn extend_head_time(engine: &Http2Connection, link: &mut Link, shared: &Shared) {
    if link.timer() != Timer::Incomplete {
        return;
    }
    match engine.phase() {
        Http2Phase::Streams => link.restart_timer(),
        Http2Phase::Idle => link.extend_timer(&shared.links),
        Http2Phase::Preface | Http2Phase::Block | Http2Phase::Closed => {}
    }
}

#[cold]
fn log_reset(id: h2::StreamId, cause: ResetCause, link: &Link, shared: &Shared) {
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

/// The time of the engine. A second is precise enough for a budget that is refilled each second.
fn engine_time(shared: &Shared) -> Duration {
    Duration::from_secs(shared.now().into())
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
