//! HTTP/2 on a connection: an exchange for each stream.
//!
//! The engine decides on framing, windows and the order of streams; this module decides what to wait for. Each module uses those
//! below it:
//!
//! - [`input`] passes input to the engine, and requests to their exchanges.
//! - [`response`] writes the responses to requests.
//! - [`websocket`] drives the streams that are WebSockets.
//! - [`multiplexer`] has the engine with the state of the streams: it writes bodies in the order of the engine, and ends streams.
//! - [`transfers`] measures the rate of the client, [`budget`] the handlers that continue without a stream.
//! - [`stream`] is the table of the streams, [`socket`] the state of a stream that is a WebSocket.
//!
//! All frames of a read are served before the output is sent. A response in memory is written at once if it is small; the rest
//! is pending, and the engine names the stream that writes next, while there is room.

mod budget;
mod input;
mod multiplexer;
mod response;
#[cfg(feature = "websocket")]
mod socket;
mod stream;
mod transfers;
#[cfg(feature = "websocket")]
mod websocket;

use std::time::Duration;

use conduit_net::Interest;
use conduit_proto::h2::{self, ErrorCode, Http2Connection, Http2Phase, PREFACE_LINE};

use self::input::{Http2Input, RequestReader};
use self::multiplexer::Multiplexer;
use self::response::{refuse, respond};
use super::{
    Activity, ConnectionProtocol, ExchangeDriver, OutputStep, Protocol, Step, check_acknowledged, close_late, linger,
    log_without_exchange,
};
use crate::body::BodyEvent;
use crate::commands::Command;
use crate::deadlines::Second;
use crate::exchange_id::ExchangeId;
use crate::limit::Limit;
use crate::link::timer::{Transfer, deadline_after};
use crate::link::{InputMode, Link, Timer, reading};
use crate::panics::discard;
use crate::problem::Problem;
use crate::protocol_timer::ProtocolTimer;
use crate::shared::Shared;

/// The time that the client has for the response to the PING of a shutdown.
const GOAWAY_TIME: Duration = Duration::from_secs(2);

pub(crate) struct Http2 {
    reader: RequestReader,
    multiplexer: Multiplexer,
    /// The second in which the connection began.
    opened: Second,
    /// The second in which the shutdown was announced.
    announced: Second,
    /// Closing resets the connection instead of ending it cleanly: the client does not read its responses.
    resets: bool,
}

/// HTTP/2 on the heap: a connection with HTTP/1.1 stays small.
pub(crate) type BoxedHttp2 = Box<Http2>;

impl Http2 {
    /// The protocol of a connection whose TLS handshake has selected it (RFC 9113, section 3.2).
    pub(super) fn negotiated(link: &mut Link, shared: &mut Shared) -> Option<Self> {
        link.has_selected(b"h2").then(|| Http2::new(link, shared))
    }

    /// The protocol of a connection whose input begins with the preface of HTTP/2, which is not a valid HTTP/1.1 request (RFC 9113,
    /// section 3.4). Over TLS the client must negotiate it (section 3.3).
    pub(super) fn by_preface(input: &[u8], link: &mut Link, shared: &mut Shared) -> Option<Self> {
        let is_preface = !link.is_secure() && input.starts_with(PREFACE_LINE);
        is_preface.then(|| Http2::new(link, shared))
    }

    /// Begins with the server's SETTINGS.
    fn new(link: &mut Link, shared: &mut Shared) -> Self {
        link.output.begin(&mut shared.links);
        let mut engine = Http2Connection::new(&shared.config.http2_limits(), &mut link.output.buffer);
        if shared.is_stopping() {
            engine.shutdown(&mut link.output.buffer);
        }
        Http2 {
            reader: RequestReader::new(),
            multiplexer: Multiplexer::new(engine, shared.now()),
            opened: shared.now(),
            announced: shared.now(),
            resets: false,
        }
    }
}

impl From<Http2> for Protocol {
    fn from(http2: Http2) -> Self {
        Protocol::Http2(Box::new(http2))
    }
}

impl ConnectionProtocol for Http2 {
    /// Serves the frames in the input, until it is used or there is no room for output.
    fn on_input(&mut self, link: &mut Link, input: &mut &[u8], shared: &mut Shared) -> Step {
        self.reader.serve(&mut self.multiplexer, link, input, shared);
        Step::Continue
    }

    /// Continues after the output was sent: with responses that had to wait, with input, or with the end of the connection.
    fn on_writable(&mut self, link: &mut Link, shared: &mut Shared) -> OutputStep {
        let step = self.continue_output(link, shared);
        if self.reader.input() == Http2Input::Paused && self.multiplexer.budget.used_up_limit(&shared.config).is_none()
        {
            self.reader.resume();
        }
        match step {
            Step::Continue if self.reader.input() == Http2Input::Ready && link.output.has_room() => OutputStep::Resume,
            step => step.into(),
        }
    }

    fn on_timer(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        let (limit, code) = match link.timer() {
            Timer::Protocol(ProtocolTimer::Streams, _) => {
                link.extend_timer(&shared.links);
                return self.check_transfers(link, shared);
            }
            Timer::Protocol(ProtocolTimer::Delay, _) => {
                self.reader.resume();
                link.extend_timer(&shared.links);
                return Step::Continue;
            }
            #[cfg(feature = "websocket")]
            Timer::At(_) => {
                websocket::check_all(&mut self.multiplexer, link, shared);
                return Step::Continue;
            }
            Timer::Protocol(ProtocolTimer::GoAway, _) => {
                link.output.begin(&mut shared.links);
                self.multiplexer.engine.stop_accepting(&mut link.output.buffer);
                return Step::Continue;
            }
            Timer::Incomplete => (Limit::HeadTime, ErrorCode::ENHANCE_YOUR_CALM),
            Timer::Protocol(ProtocolTimer::Settings, _) => (Limit::HandshakeTime, ErrorCode::SETTINGS_TIMEOUT),
            Timer::Idle => (Limit::IdleTime, ErrorCode::NO_ERROR),
            Timer::Send => {
                // The system must not keep bytes that the client does not read.
                self.resets = true;
                return close_late(Limit::WriteRate, link, shared);
            }
            Timer::HalfClosed => return close_late(Limit::IdleTime, link, shared),
            Timer::Acknowledgement => {
                let step = check_acknowledged(link, shared);
                self.resets |= matches!(step, Step::Close);
                return step;
            }
            Timer::Off | Timer::Receive | Timer::Protocol(..) => return Step::Close,
        };
        self.abort(limit, code, link, shared);
        Step::Continue
    }

    /// Announces the end to the client; its open streams continue.
    fn on_shutdown(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        link.output.begin(&mut shared.links);
        if !self.multiplexer.engine.is_shutdown_announced() {
            self.announced = shared.now();
        }
        self.multiplexer.engine.shutdown(&mut link.output.buffer);
        #[cfg(feature = "websocket")]
        websocket::close_all(&mut self.multiplexer, link, shared);
        Step::Continue
    }

    fn log_cut_off(&self, link: &Link, shared: &Shared) {
        let streams = &self.multiplexer.streams;
        let is_silent = streams.iter().next().is_none();
        if is_silent && self.multiplexer.engine.phase() != Http2Phase::Idle {
            log_without_exchange(link, "a request has not arrived completely", shared);
        }
        for (_, stream) in streams.iter() {
            let stage = if stream.exchange.is_handling() {
                // Handlers are logged by themselves.
                continue;
            } else if stream.exchange.is_streaming() {
                "the response's stream has not ended"
            } else if stream.is_socket() {
                "the WebSocket is not closed"
            } else if stream.arriving.is_some() {
                "a request has not arrived completely"
            } else {
                "the response is not sent"
            };
            stream.exchange.log_cut_off(link.peer(), stage, &shared.environment);
        }
    }

    /// Reads while there is room for the output that input leads to.
    fn waits_for(&self, link: &Link, shared: &Shared) -> (Interest, Timer) {
        let can_use = !matches!(self.reader.input(), Http2Input::Paused | Http2Input::Delayed);
        let interest = if !link.read_closed && can_use && link.output.has_room() {
            reading()
        } else {
            Interest::NONE
        };
        (interest, self.timer(link, shared))
    }

    /// Bodies arrive in large pieces.
    fn input_mode(&self, _: &Link) -> InputMode {
        if self.reader.reads_bodies() {
            InputMode::Alone
        } else {
            InputMode::Batched
        }
    }

    fn activity(&self, link: &Link) -> Activity {
        #[cfg(feature = "websocket")]
        if self.multiplexer.sockets.has_open() {
            return Activity::LongLived;
        }
        let engine = &self.multiplexer.engine;
        if engine.open_streams() > 0 {
            Activity::Serving {
                ends_with_client: false,
            }
        } else if engine.is_finished() {
            if self.resets {
                Activity::Aborting
            } else if engine.is_last_announced() {
                Activity::Ending
            } else {
                // GOAWAY follows before the end of the stream.
                Activity::Receiving
            }
        } else if self.is_idle() && link.unused_input.is_empty() && engine.is_settings_acknowledged() {
            Activity::Idle
        } else {
            Activity::Receiving
        }
    }

    /// Frees memory that the last requests needed.
    fn release_memory(&mut self) {
        if self.is_idle() {
            self.reader.release_memory();
            self.multiplexer.release_memory();
        }
    }
}

impl ExchangeDriver for Http2 {
    fn on_command(&mut self, exchange: ExchangeId, command: Command, link: &mut Link, shared: &mut Shared) -> Step {
        let multiplexer = &mut self.multiplexer;
        let Some(id) = multiplexer.streams.find(exchange) else {
            if let Command::Response(_) = command {
                multiplexer.budget.end_detached(exchange);
            }
            discard(command);
            return Step::Continue;
        };
        link.output.begin(&mut shared.links);
        let stream = &mut multiplexer.streams[id];
        match command {
            Command::Response(response) => {
                if stream.exchange.is_handling() {
                    stream.exchange.set_idle();
                    respond(multiplexer, id, response, link, shared);
                } else {
                    // The connection has responded in its place.
                    discard(response);
                    multiplexer.budget.end_detached(exchange);
                }
            }
            Command::Piece(piece) => {
                if let Some(piece) = stream.exchange.take_piece(piece) {
                    multiplexer.write_piece(id, piece, link, shared);
                    if link.timer() == Timer::HalfClosed {
                        link.extend_timer(&shared.links);
                    }
                }
            }
            Command::StreamEnd(end) => multiplexer.end_stream(id, end, link, shared),
            Command::Inform(inform) => {
                let (status, headers) = *inform;
                multiplexer.engine.inform(&mut link.output.buffer, id, status, &headers);
            }
            Command::FileRead => multiplexer.file_is_read(id),
            #[cfg(feature = "websocket")]
            Command::Socket => websocket::resume(multiplexer, id, link, shared),
            Command::Body(event) => {
                if event == BodyEvent::Wanted {
                    multiplexer.engine.write_continue(&mut link.output.buffer, id);
                }
                multiplexer.report_consumed(id, link);
            }
        }
        Step::Continue
    }

    /// The output of several streams leaves together.
    fn defers_output(&self, link: &Link) -> bool {
        self.reader.input() == Http2Input::NeedsMore && link.output.has_room()
    }

    /// The memory that it holds for bodies.
    #[cfg(feature = "testing")]
    fn buffer_bytes(&self) -> usize {
        let streams = self.multiplexer.streams.iter();
        streams.map(|(_, stream)| stream.buffer_bytes()).sum()
    }

    /// Cancels all exchanges, and sends GOAWAY. Returns whether the client must see a reset.
    fn cancel(&mut self, link: &mut Link, shared: &mut Shared) -> bool {
        self.cancel_streams(shared);
        self.send_goaway(link, shared);
        self.resets
    }
}

impl Http2 {
    fn continue_output(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        self.reader.begin_arriving(&mut self.multiplexer, link, shared);
        self.multiplexer.write_pending(link, shared);
        #[cfg(feature = "websocket")]
        websocket::drive_all(&mut self.multiplexer, link, shared);
        // A client can keep another timer running.
        let engine = &self.multiplexer.engine;
        if !engine.is_settings_acknowledged() && engine.phase() != Http2Phase::Closed {
            self.check_settings(link, shared);
        }
        if self.multiplexer.engine.is_shutdown_announced() {
            self.check_shutdown(link, shared);
        }
        if self.multiplexer.transfers.is_due(shared.now())
            && let Step::Close = self.check_transfers(link, shared)
        {
            return Step::Close;
        }
        if link.read_closed && self.reader.input() == Http2Input::NeedsMore {
            self.on_client_end(link, shared);
        }
        if self.multiplexer.engine.is_finished() && !self.resets {
            link.output.begin(&mut shared.links);
            self.multiplexer.engine.stop_accepting(&mut link.output.buffer);
        }
        if !link.output.is_empty() {
            return Step::Continue;
        }
        let engine = &self.multiplexer.engine;
        if engine.is_finished() {
            return if self.resets { Step::Close } else { linger(link) };
        }
        if link.read_closed && engine.open_streams() == 0 {
            return Step::Close;
        }
        Step::Continue
    }

    /// The client has ended its half of the stream, and all received bytes are used: incomplete bodies stay incomplete, and
    /// routes that end with their client end.
    fn on_client_end(&mut self, link: &mut Link, shared: &mut Shared) {
        let multiplexer = &mut self.multiplexer;
        for slot in multiplexer.streams.slots() {
            let Some(id) = multiplexer.streams.open_at(slot) else {
                continue;
            };
            let stream = &mut multiplexer.streams[id];
            if stream.exchange.ends_with_client() || stream.is_socket() {
                multiplexer.reset(id, ErrorCode::CANCEL, link, shared);
            } else if multiplexer.engine.is_receiving(id) {
                stream.exchange.abort_body();
            }
        }
    }

    /// Ends the connection of a client that exceeds a limit.
    fn abort(&mut self, limit: Limit, code: ErrorCode, link: &mut Link, shared: &mut Shared) {
        shared.counts().record_limit_hit(limit);
        tracing::debug!(peer = %link.peer(), limit = limit.name(), %code, "closing a connection");
        link.output.begin(&mut shared.links);
        self.multiplexer.engine.abort(&mut link.output.buffer, code);
        self.cancel_streams(shared);
    }

    /// Ends the connection if the client has not acknowledged the server's SETTINGS in time (RFC 9113, section 6.5.3).
    #[cold]
    fn check_settings(&mut self, link: &mut Link, shared: &mut Shared) {
        if deadline_after(self.opened, shared.config.handshake_timeout) <= shared.now() {
            self.abort(Limit::HandshakeTime, ErrorCode::SETTINGS_TIMEOUT, link, shared);
        }
    }

    /// Stops accepting requests if the client has not responded to the PING of a shutdown in time. Its requests may keep another
    /// timer running, too.
    #[cold]
    fn check_shutdown(&mut self, link: &mut Link, shared: &mut Shared) {
        if deadline_after(self.announced, GOAWAY_TIME) <= shared.now() {
            link.output.begin(&mut shared.links);
            self.multiplexer.engine.stop_accepting(&mut link.output.buffer);
        }
    }

    /// Ends the streams whose client is late, and the connection if its window stays closed.
    fn check_transfers(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        let multiplexer = &mut self.multiplexer;
        // A paused connection is not read.
        let is_reading = self.reader.input() != Http2Input::Paused;
        let mut check = multiplexer
            .transfers
            .begin_check(is_reading, &multiplexer.engine, shared.now());
        for slot in multiplexer.streams.slots() {
            let Some(id) = multiplexer.streams.open_at(slot) else {
                continue;
            };
            let Multiplexer {
                engine,
                streams,
                transfers,
                ..
            } = &mut *multiplexer;
            if let Some(transfer) = transfers.check_stream(&mut check, id, &mut streams[id], engine, &shared.links) {
                end_late(multiplexer, id, transfer, link, shared);
            }
        }
        if multiplexer
            .transfers
            .end_check(&check, &multiplexer.engine, &shared.links)
        {
            if link.output.is_empty() && link.outgoing_bytes() == 0 {
                // The client reads: it receives GOAWAY, too.
                self.abort(Limit::WriteRate, ErrorCode::ENHANCE_YOUR_CALM, link, shared);
                return Step::Continue;
            }
            self.resets = true;
            return close_late(Limit::WriteRate, link, shared);
        }
        Step::Continue
    }

    fn timer(&self, link: &Link, shared: &Shared) -> Timer {
        // The next check is due at the end of the next second.
        let streams = Timer::protocol(ProtocolTimer::Streams, Duration::ZERO);
        if !link.output.is_empty() {
            return Timer::Send;
        }
        let input = self.reader.input();
        if input == Http2Input::Delayed {
            return Timer::protocol(ProtocolTimer::Delay, Duration::ZERO);
        }
        let has_transfers = self.multiplexer.transfers.has_open();
        if input == Http2Input::Paused {
            return if has_transfers { streams } else { Timer::Off };
        }
        let has_partial_frame = input == Http2Input::NeedsMore && !link.unused_input.is_empty();
        let engine = &self.multiplexer.engine;
        match engine.phase() {
            Http2Phase::Closed => Timer::Off,
            Http2Phase::Preface | Http2Phase::Block => Timer::Incomplete,
            _ if has_partial_frame => Timer::Incomplete,
            // A record of TLS that has begun counts as the beginning of a head.
            Http2Phase::Idle if link.holds_input() => Timer::Incomplete,
            Http2Phase::Streams if has_transfers => streams,
            Http2Phase::Streams if link.read_closed => Timer::HalfClosed,
            _ if engine.is_shutdown_announced() => Timer::protocol(ProtocolTimer::GoAway, GOAWAY_TIME),
            _ if !engine.is_settings_acknowledged() => {
                Timer::protocol(ProtocolTimer::Settings, shared.config.handshake_timeout)
            }
            Http2Phase::Idle => Timer::Idle,
            Http2Phase::Streams => self.timer_of_streams(),
        }
    }

    /// The timer while no transfer waits for the client.
    fn timer_of_streams(&self) -> Timer {
        #[cfg(feature = "websocket")]
        if let Some(timer) = self.multiplexer.sockets.timer() {
            // Their pings notice a client that has vanished.
            return timer;
        }
        match self.multiplexer.is_streaming() {
            false => Timer::Off,
            true => Timer::Acknowledgement,
        }
    }

    fn is_idle(&self) -> bool {
        self.multiplexer.engine.phase() == Http2Phase::Idle && self.reader.input() == Http2Input::NeedsMore
    }

    /// Sends GOAWAY, which names the requests that the client may send again, if it may still be connected.
    fn send_goaway(&mut self, link: &mut Link, shared: &mut Shared) {
        if !self.resets && link.output.is_empty() && self.multiplexer.engine.phase() != Http2Phase::Closed {
            link.output.begin(&mut shared.links);
            self.multiplexer
                .engine
                .abort(&mut link.output.buffer, ErrorCode::NO_ERROR);
            let _ = link.send(false, &mut shared.links);
        }
    }

    /// Cancels all exchanges: the engine has closed their streams.
    fn cancel_streams(&mut self, shared: &mut Shared) {
        self.reader.forget_arriving();
        self.multiplexer.cancel_all(shared);
    }
}

/// Ends a stream whose client is late.
#[cold]
fn end_late(multiplexer: &mut Multiplexer, id: h2::StreamId, transfer: Transfer, link: &mut Link, shared: &mut Shared) {
    link.output.begin(&mut shared.links);
    if transfer == Transfer::Send {
        shared.counts().record_limit_hit(Limit::WriteRate);
        tracing::debug!(peer = %link.peer(), stream = id.number(), "the client opens a window too slowly");
        return multiplexer.reset(id, ErrorCode::CANCEL, link, shared);
    }
    shared.counts().record_limit_hit(Limit::BodyRate);
    let late = "the body of the request arrives too slowly";
    tracing::debug!(peer = %link.peer(), stream = id.number(), "{late}");
    let problem = Problem::new(http::StatusCode::REQUEST_TIMEOUT).with_detail(late);
    refuse(multiplexer, id, problem, link, shared);
}
