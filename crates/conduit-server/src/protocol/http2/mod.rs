//! HTTP/2 on a connection: an exchange for each stream.
//!
//! [`input`] passes input to the engine and requests to their exchanges, [`response`] writes responses, [`stream`] is the state
//! of one stream. The engine decides on framing, windows and the order of streams; this module decides what to wait for.
//!
//! All frames of a read are served before the output is sent. A response in memory is written at once if it is small; the rest
//! is pending, and the engine names the stream that writes next, while there is room.

mod input;
mod response;
mod stream;
#[cfg(feature = "websocket")]
mod websocket;

use std::time::Duration;

use conduit_net::Interest;
use conduit_proto::h2::{self, ErrorCode, Http2Connection, Http2Phase};

use self::stream::{Outgoing, Stream};
#[cfg(feature = "websocket")]
use self::websocket::Sockets;
use super::{Activity, Step, check_acknowledged, close_late, linger};
use crate::body::BodyEvent;
use crate::commands::{Command, CommandSender};
use crate::deadlines::Second;
use crate::exchange_id::{ExchangeId, StreamId};
use crate::limit::Limit;
use crate::link::{InputMode, Link, Timer, Transfer, TransferRate, deadline_after, reading};
use crate::panics::discard;
use crate::problem::Problem;
use crate::protocol_timer::ProtocolTimer;
use crate::shared::Shared;

/// The bytes of heads and trailers that the handlers of a connection may hold, unless the limit of a head is large.
const HELD_BYTES: usize = 1024 * 1024;
/// The same as a number of the longest permitted heads.
const HELD_HEADS: usize = 16;
/// The time that the client has for the response to the PING of a shutdown.
const GOAWAY_TIME: Duration = Duration::from_secs(2);

pub(crate) struct Http2 {
    engine: Http2Connection,
    /// The streams, by their slots.
    streams: Vec<Stream>,
    input: InputUse,
    /// The last input had a part of a body.
    reads_bodies: bool,
    /// The streams whose requests wait for the part of their body that has arrived and is not received yet.
    arriving: Vec<h2::StreamId>,
    /// The number of responses whose body comes from a stream.
    streaming: usize,
    /// A body may be incomplete, in either direction.
    has_transfers: bool,
    /// The second in which the connection began.
    opened: Second,
    #[cfg(feature = "websocket")]
    sockets: Sockets,
    /// The second of the last check of transfers.
    checked: Second,
    /// The numbers of streams that receive a body, and that send one, at the last check.
    shares: Shares,
    /// The rate at which the client opens the window of the connection.
    rate: TransferRate,
    /// The last turn of the worker in which the connection sent.
    turn: SendTurn,
    /// The handlers that continue to run after the end of their stream.
    detached: Vec<Detached>,
    /// The bytes of heads and trailers that handlers may hold, and of bodies that detached ones may hold.
    held_bytes: usize,
    /// The number of requests that have arrived.
    requests: u64,
    /// Closing resets the connection instead of ending it cleanly: the client does not read its responses.
    resets: bool,
}

/// The streams that share the minimum rate of a connection.
#[derive(Clone, Copy, Default)]
struct Shares {
    receiving: u64,
    sending: u64,
}

/// A handler that continues to run after the end of its stream.
struct Detached {
    /// The number of the stream.
    number: u32,
    /// The part of the connection's held bytes.
    held_bytes: usize,
}

/// The part of a connection in a turn of the worker.
#[derive(Clone, Copy, Default)]
struct SendTurn {
    number: u64,
    /// The number of bytes that the connection has sent in all when its share is used.
    end_bytes: u64,
    /// The share is used, and the connection continues in the next turn.
    is_over: bool,
}

/// The use of input that has arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
enum InputUse {
    /// All of it is used, or the rest is an incomplete frame: more is needed.
    NeedsMore,
    /// More can be used once there is room for output.
    Ready,
    /// Handlers of closed streams use up a limit.
    Paused,
    /// The client sends too many useless frames.
    Delayed,
}

impl Http2 {
    /// Begins with the server's SETTINGS.
    pub(super) fn new(link: &mut Link, shared: &mut Shared) -> Self {
        link.begin_output(shared);
        let mut engine = Http2Connection::new(&shared.config.http2_limits(), &mut link.output);
        if shared.stopping {
            engine.shutdown(&mut link.output);
        }
        Http2 {
            engine,
            streams: Vec::new(),
            input: InputUse::NeedsMore,
            reads_bodies: false,
            arriving: Vec::new(),
            streaming: 0,
            has_transfers: false,
            opened: shared.now(),
            #[cfg(feature = "websocket")]
            sockets: Sockets::default(),
            checked: shared.now(),
            shares: Shares::default(),
            rate: TransferRate::default(),
            turn: SendTurn::default(),
            detached: Vec::new(),
            held_bytes: 0,
            requests: 0,
            resets: false,
        }
    }

    /// The address of a stream for commands.
    fn exchange_id(id: h2::StreamId, link: &Link) -> ExchangeId {
        ExchangeId {
            connection: link.id,
            stream: StreamId::at(id.slot() as u32),
            generation: id.number(),
        }
    }

    /// The sender for tasks and bodies of a stream.
    fn sender(id: h2::StreamId, link: &Link, shared: &Shared) -> CommandSender {
        CommandSender::new(shared.commands.clone(), Self::exchange_id(id, link))
    }

    /// The state of an open stream.
    fn stream(&mut self, id: h2::StreamId) -> Option<&mut Stream> {
        self.streams.get_mut(id.slot()).filter(|stream| stream.id == Some(id))
    }

    /// The stream that a command is for, if it is open.
    fn find(&self, exchange: ExchangeId) -> Option<h2::StreamId> {
        let id = self.streams.get(exchange.stream.place())?.id?;
        (id.number() == exchange.generation).then_some(id)
    }

    /// Continues after the output was sent: with responses that had to wait, with input, or with the end of the connection.
    pub(super) fn on_writable(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        let step = self.continue_output(link, shared);
        if self.input == InputUse::Paused && self.used_up_limit(shared).is_none() {
            self.input = InputUse::Ready;
        }
        match step {
            Step::Continue if self.input == InputUse::Ready && link.has_room() => Step::Resume,
            step => step,
        }
    }

    fn continue_output(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        self.begin_arriving(link, shared);
        self.write_pending(link, shared);
        #[cfg(feature = "websocket")]
        self.drive_sockets(link, shared);
        // A client can keep another timer running.
        if !self.engine.is_settings_acknowledged() && self.engine.phase() != Http2Phase::Closed {
            self.check_settings(link, shared);
        }
        if self.has_transfers
            && self.checked != shared.now()
            && let Step::Close = self.check_transfers(link, shared)
        {
            return Step::Close;
        }
        if link.read_closed && self.input == InputUse::NeedsMore {
            self.on_client_end(link, shared);
        }
        if link.has_output() {
            return Step::Continue;
        }
        if self.engine.is_finished() {
            return if self.resets { Step::Close } else { linger(link) };
        }
        if link.read_closed && self.engine.open_streams() == 0 {
            return Step::Close;
        }
        Step::Continue
    }

    /// The client has ended its half of the stream, and all received bytes are used: incomplete bodies stay incomplete, and
    /// routes that end with their client end.
    fn on_client_end(&mut self, link: &mut Link, shared: &mut Shared) {
        for slot in 0..self.streams.len() {
            let Some(id) = self.streams[slot].id else { continue };
            if self.streams[slot].exchange.ends_with_client() || self.streams[slot].is_socket() {
                link.begin_output(shared);
                self.engine.reset(&mut link.output, id, ErrorCode::CANCEL);
                self.cancel_stream(id, shared);
            } else if self.engine.is_receiving(id) {
                self.streams[slot].exchange.abort_body();
            }
        }
    }

    pub(super) fn on_command(
        &mut self,
        exchange: ExchangeId,
        command: Command,
        link: &mut Link,
        shared: &mut Shared,
    ) -> Step {
        let Some(id) = self.find(exchange) else {
            if let Command::Response(_) = command {
                self.end_detached(exchange);
            }
            discard(command);
            return Step::Continue;
        };
        link.begin_output(shared);
        let stream = &mut self.streams[id.slot()];
        match command {
            Command::Response(response) => {
                if stream.exchange.is_handling() {
                    stream.exchange.set_responded();
                    self.respond(id, response, link, shared);
                } else {
                    // The connection has responded in its place.
                    discard(response);
                    self.end_detached(exchange);
                }
            }
            Command::Piece(piece) => {
                if let Some(piece) = stream.exchange.take_piece(piece) {
                    self.write_piece(id, piece, link, shared);
                    if link.timer() == Timer::HalfClosed {
                        link.extend_timer(shared);
                    }
                }
            }
            Command::StreamEnd(end) => self.end_stream(id, end, link, shared),
            Command::Inform(inform) => {
                let (status, headers) = *inform;
                self.engine.inform(&mut link.output, id, status, &headers);
            }
            Command::FileRead => self.file_is_read(id),
            #[cfg(feature = "websocket")]
            Command::Socket => self.resume_socket(id, link, shared),
            Command::Body(event) => {
                if event == BodyEvent::Wanted {
                    self.engine.write_continue(&mut link.output, id);
                }
                self.report_consumed(id, link);
            }
        }
        Step::Continue
    }

    /// A handler without a stream has ended.
    fn end_detached(&mut self, exchange: ExchangeId) {
        let mut detached = self.detached.iter();
        if let Some(index) = detached.position(|detached| detached.number == exchange.generation) {
            self.held_bytes -= self.detached.swap_remove(index).held_bytes;
        }
    }

    /// The limit that handlers of closed streams use up. Nothing is read until handlers have ended, since a client may open
    /// further streams and reset them.
    fn used_up_limit(&self, shared: &Shared) -> Option<Limit> {
        if self.detached.len() >= Self::stream_limit(shared) {
            Some(Limit::Http2Streams)
        } else if self.held_bytes > Self::held_limit(shared) {
            // Heads and trailers alone stay within it.
            Some(Limit::Http2Windows)
        } else {
            None
        }
    }

    /// Reports the bytes of the request's body that the handler has taken to the engine, so that the client may send more.
    fn report_consumed(&mut self, id: h2::StreamId, link: &mut Link) {
        let Some(stream) = self.stream(id) else { return };
        if stream.unread_bytes == 0 {
            return;
        }
        let unread_bytes = stream.exchange.unread_bytes();
        let taken = stream.unread_bytes.saturating_sub(unread_bytes);
        stream.unread_bytes = unread_bytes;
        if taken > 0 {
            self.engine.consumed(&mut link.output, id, taken);
        }
    }

    pub(super) fn on_timer(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        let (limit, code) = match link.timer() {
            Timer::Protocol(ProtocolTimer::Streams, _) => {
                link.extend_timer(shared);
                return self.check_transfers(link, shared);
            }
            Timer::Protocol(ProtocolTimer::Delay, _) => {
                self.input = InputUse::Ready;
                link.extend_timer(shared);
                return Step::Continue;
            }
            #[cfg(feature = "websocket")]
            Timer::At(_) => {
                self.check_sockets(link, shared);
                return Step::Continue;
            }
            Timer::Protocol(ProtocolTimer::GoAway, _) => {
                link.begin_output(shared);
                self.engine.stop_accepting(&mut link.output);
                return Step::Continue;
            }
            Timer::Incomplete => (Limit::HeadTime, ErrorCode::ENHANCE_YOUR_CALM),
            Timer::Protocol(ProtocolTimer::Settings, _) => (Limit::HandshakeTime, ErrorCode::SETTINGS_TIMEOUT),
            Timer::Idle => (Limit::IdleTime, ErrorCode::NO_ERROR),
            Timer::Send => {
                // The system must not keep what the client does not take.
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

    /// Ends the connection of a client that exceeds a limit.
    fn abort(&mut self, limit: Limit, code: ErrorCode, link: &mut Link, shared: &mut Shared) {
        shared.counts().record_limit_hit(limit);
        tracing::debug!(peer = %link.peer(), limit = limit.name(), %code, "closing a connection");
        link.begin_output(shared);
        self.engine.abort(&mut link.output, code);
        self.cancel_streams(shared);
    }

    /// Ends the connection if the client has not acknowledged the server's SETTINGS in time (RFC 9113, section 6.5.3).
    #[cold]
    fn check_settings(&mut self, link: &mut Link, shared: &mut Shared) {
        if deadline_after(self.opened, shared.config.handshake_timeout) <= shared.now() {
            self.abort(Limit::HandshakeTime, ErrorCode::SETTINGS_TIMEOUT, link, shared);
        }
    }

    /// Ends the streams whose client sends a body, or opens the window of a response, below its share of the minimum rate; and
    /// the connection if its window stays closed. A response that only waits for its turn is not late.
    fn check_transfers(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        let mut shares = Shares::default();
        self.checked = shared.now();
        self.has_transfers = false;
        let is_connection_closed = self.engine.is_connection_window_closed();
        let mut is_any_closed = false;
        for slot in 0..self.streams.len() {
            let stream = &mut self.streams[slot];
            let Some(id) = stream.id else { continue };
            let has_body = self.engine.is_receiving(id) && !stream.is_socket();
            // A paused connection is not read.
            let receives = has_body && stream.exchange.wants_body() && self.input != InputUse::Paused;
            let sends = stream.outgoing.is_pending() || stream.exchange.is_streaming();
            let is_closed = sends && self.engine.is_window_closed(id);
            shares.receiving += u64::from(receives);
            shares.sending += u64::from(sends);
            self.has_transfers |= has_body || stream.outgoing.is_pending() || is_closed;
            is_any_closed |= is_closed;
            if sends && !is_closed && is_connection_closed {
                // Windows that are closed in turn give the client no more time.
                continue;
            }
            let transfer = match (is_closed, receives) {
                (true, _) => Some(Transfer::Send),
                (false, true) => Some(Transfer::Receive),
                (false, false) => None,
            };
            if stream.rate.check(transfer, shared.now(), &shared.config) {
                self.end_late(id, transfer, link, shared);
            }
        }
        self.shares = shares;
        let is_closed = shares.sending > 0 && self.engine.is_connection_window_closed();
        self.has_transfers |= is_closed;
        let transfer = is_closed.then_some(Transfer::Send);
        if (is_closed || !is_any_closed) && self.rate.check(transfer, shared.now(), &shared.config) {
            self.resets = true;
            return close_late(Limit::WriteRate, link, shared);
        }
        Step::Continue
    }

    /// Ends a stream whose client is late.
    #[cold]
    fn end_late(&mut self, id: h2::StreamId, transfer: Option<Transfer>, link: &mut Link, shared: &mut Shared) {
        link.begin_output(shared);
        if transfer == Some(Transfer::Send) {
            shared.counts().record_limit_hit(Limit::WriteRate);
            tracing::debug!(peer = %link.peer(), stream = id.number(), "the client opens a window too slowly");
            self.engine.reset(&mut link.output, id, ErrorCode::CANCEL);
            return self.cancel_stream(id, shared);
        }
        shared.counts().record_limit_hit(Limit::BodyRate);
        let late = "the body of the request arrives too slowly";
        tracing::debug!(peer = %link.peer(), stream = id.number(), "{late}");
        let problem = Problem::new(http::StatusCode::REQUEST_TIMEOUT).with_detail(late);
        self.refuse(id, problem, link, shared);
    }

    /// Counts bytes of a response that are written.
    fn record_written(&mut self, id: h2::StreamId, bytes: usize, shared: &Shared) {
        let share = bytes as u64 * self.shares.sending.max(1);
        self.rate.moved(bytes as u64, shared.now(), &shared.config);
        if let Some(stream) = self.stream(id) {
            stream.rate.moved(share, shared.now(), &shared.config);
        }
    }

    /// Announces the end to the client; its open streams continue.
    pub(super) fn on_shutdown(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        link.begin_output(shared);
        self.engine.shutdown(&mut link.output);
        #[cfg(feature = "websocket")]
        self.close_sockets(link, shared);
        Step::Continue
    }

    pub(super) fn log_cut_off(&self, link: &Link, shared: &Shared) {
        let is_silent = self.streams.iter().all(|stream| stream.id.is_none());
        if is_silent && self.engine.phase() != Http2Phase::Idle {
            let (stage, seconds) = ("a request has not arrived completely", link.waited(shared.now()));
            tracing::warn!(peer = %link.peer(), method = "", route = "", stage, seconds, "closed at the shutdown");
        }
        for stream in &self.streams {
            let stage = match stream.id {
                None => continue,
                // Handlers are logged by themselves.
                Some(_) if stream.exchange.is_handling() => continue,
                Some(_) if stream.exchange.is_streaming() => "the response's stream has not ended",
                Some(_) if stream.is_socket() => "the WebSocket is not closed",
                Some(_) if stream.arriving.is_some() => "a request has not arrived completely",
                Some(_) => "the response is not sent",
            };
            stream.exchange.log_cut_off(link.peer(), stage, &shared.environment);
        }
    }

    /// Reads while there is room for the output that input leads to.
    pub(super) fn waits_for(&self, link: &Link, shared: &Shared) -> (Interest, Timer) {
        let can_use = !matches!(self.input, InputUse::Paused | InputUse::Delayed);
        let interest = if !link.read_closed && can_use && link.has_room() {
            reading()
        } else {
            Interest::NONE
        };
        (interest, self.timer(link, shared))
    }

    fn timer(&self, link: &Link, shared: &Shared) -> Timer {
        // The next check is due at the end of the next second.
        let streams = Timer::protocol(ProtocolTimer::Streams, Duration::ZERO);
        if link.has_output() {
            return Timer::Send;
        }
        if self.input == InputUse::Delayed {
            return Timer::protocol(ProtocolTimer::Delay, Duration::ZERO);
        }
        if self.input == InputUse::Paused {
            return if self.has_transfers { streams } else { Timer::Off };
        }
        let has_partial_frame = self.input == InputUse::NeedsMore && !link.unused_input.is_empty();
        let phase = self.engine.phase();
        match phase {
            Http2Phase::Closed => Timer::Off,
            Http2Phase::Preface | Http2Phase::Block => Timer::Incomplete,
            _ if has_partial_frame => Timer::Incomplete,
            // A record of TLS that has begun counts as the beginning of a head.
            Http2Phase::Idle if link.holds_input() => Timer::Incomplete,
            Http2Phase::Streams if self.has_transfers => streams,
            Http2Phase::Streams if link.read_closed => Timer::HalfClosed,
            _ if self.engine.is_shutdown_announced() => Timer::protocol(ProtocolTimer::GoAway, GOAWAY_TIME),
            _ if !self.engine.is_settings_acknowledged() => {
                Timer::protocol(ProtocolTimer::Settings, shared.config.handshake_timeout)
            }
            Http2Phase::Idle => Timer::Idle,
            Http2Phase::Streams => self.timer_of_streams(),
        }
    }

    /// The timer while no transfer waits for the client.
    fn timer_of_streams(&self) -> Timer {
        #[cfg(feature = "websocket")]
        if let Some(timer) = self.sockets.timer() {
            // Their pings notice a client that has vanished.
            return timer;
        }
        match self.streaming {
            0 => Timer::Off,
            _ => Timer::Acknowledgement,
        }
    }

    /// Bodies arrive in large pieces.
    pub(super) fn input_mode(&self, _: &Link) -> InputMode {
        if self.reads_bodies {
            InputMode::Alone
        } else {
            InputMode::Batched
        }
    }

    /// The output of several streams leaves together.
    pub(super) fn defers_output(&self, link: &Link) -> bool {
        self.input == InputUse::NeedsMore && link.has_room()
    }

    pub(super) fn activity(&self, link: &Link) -> Activity {
        #[cfg(feature = "websocket")]
        if self.sockets.open > 0 {
            return Activity::LongLived;
        }
        if self.engine.open_streams() > 0 {
            Activity::Serving {
                ends_with_client: false,
            }
        } else if self.engine.is_finished() {
            if self.resets {
                Activity::Receiving
            } else {
                Activity::Ending
            }
        } else if self.is_idle() && link.unused_input.is_empty() && self.engine.is_settings_acknowledged() {
            Activity::Idle
        } else {
            Activity::Receiving
        }
    }

    fn is_idle(&self) -> bool {
        self.engine.phase() == Http2Phase::Idle && self.input == InputUse::NeedsMore
    }

    /// Frees memory that the last requests needed.
    pub(super) fn release_memory(&mut self) {
        if self.is_idle() {
            self.engine.shrink();
            self.streams = Vec::new();
            self.arriving = Vec::new();
            if self.detached.is_empty() {
                self.detached = Vec::new();
            }
        }
    }

    /// The memory that it holds for bodies.
    #[cfg(feature = "testing")]
    pub(super) fn buffer_bytes(&self) -> usize {
        let streams = self.streams.iter().filter(|stream| stream.id.is_some());
        streams.map(Stream::buffer_bytes).sum()
    }

    /// Cancels all exchanges. Returns whether the client must see a reset.
    pub(super) fn cancel(&mut self, link: &mut Link, shared: &mut Shared) -> bool {
        self.cancel_streams(shared);
        if !self.resets && !link.has_output() && self.engine.phase() != Http2Phase::Closed {
            // GOAWAY names the requests that the client may send again, if it is still connected.
            link.begin_output(shared);
            self.engine.abort(&mut link.output, ErrorCode::NO_ERROR);
            let _ = link.send(shared);
        }
        self.resets
    }

    /// Cancels all exchanges: the engine has closed their streams.
    fn cancel_streams(&mut self, shared: &mut Shared) {
        self.arriving.clear();
        for slot in 0..self.streams.len() {
            if let Some(id) = self.streams[slot].id {
                self.cancel_stream(id, shared);
            }
        }
    }

    /// Counts bytes of a head or of trailers that the handler of a stream may hold. Returns false where those of the connection
    /// are used up; a connection without any may always hold one head.
    fn hold(&mut self, id: h2::StreamId, bytes: usize, shared: &Shared) -> bool {
        if self.held_bytes > 0 && self.held_bytes.saturating_add(bytes) > Self::held_limit(shared) {
            return false;
        }
        self.held_bytes += bytes;
        self.streams[id.slot()].held_bytes += bytes;
        true
    }

    /// The handler of a stream holds no bytes.
    fn release(&mut self, id: h2::StreamId) {
        self.held_bytes -= std::mem::take(&mut self.streams[id.slot()].held_bytes);
    }

    /// The handler of a stream continues without it. The engine no longer counts a complete body that the handler may still
    /// read.
    fn detach(&mut self, id: h2::StreamId) {
        let stream = &mut self.streams[id.slot()];
        let body_bytes = stream.exchange.kept_body_bytes();
        self.held_bytes += body_bytes;
        let held_bytes = std::mem::take(&mut stream.held_bytes) + body_bytes;
        self.detached.push(Detached {
            number: id.number(),
            held_bytes,
        });
    }

    /// Cancels the exchange of a stream that the engine has closed.
    fn cancel_stream(&mut self, id: h2::StreamId, shared: &mut Shared) {
        let Some(stream) = self.stream(id) else { return };
        let outgoing = std::mem::replace(&mut stream.outgoing, Outgoing::Nothing);
        let (was_streaming, outlives_stream) = (stream.exchange.is_streaming(), stream.exchange.outlives_stream());
        let arriving = stream.arriving.take();
        stream.id = None;
        #[cfg(feature = "websocket")]
        if let Some(state) = stream.socket.take() {
            self.lose_socket(*state, shared);
        }
        match outlives_stream {
            true => self.detach(id),
            false => self.release(id),
        }
        self.streaming -= usize::from(was_streaming);
        let stream = &mut self.streams[id.slot()];
        stream.exchange.cancel(outgoing.left_bytes(), &mut shared.environment);
        discard((outgoing, arriving));
    }

    /// The response of a stream is written, and the engine has closed it.
    fn free(&mut self, id: h2::StreamId, shared: &mut Shared) {
        let Some(stream) = self.stream(id) else { return };
        stream.id = None;
        stream.outgoing = Outgoing::Nothing;
        stream.exchange.abort_body();
        stream.exchange.end(&mut shared.environment);
        self.release(id);
    }

    /// The number of requests that may be in progress.
    fn stream_limit(shared: &Shared) -> usize {
        shared.config.http2.streams.min(u32::from(u16::MAX)) as usize
    }

    /// The largest number of held bytes.
    fn held_limit(shared: &Shared) -> usize {
        HELD_BYTES.max(HELD_HEADS.saturating_mul(shared.config.http2.header_list_bytes))
    }

    /// The time of the engine. A second is precise enough for a budget that is refilled each second.
    fn now(shared: &Shared) -> Duration {
        Duration::from_secs(shared.now().into())
    }
}
