//! The state of a connection, and the end of its streams and of itself.

use std::ops::Range;
use std::time::Duration;

use http::StatusCode;

use super::error::{ConnectionError, ErrorCode, Http2Reason};
use super::flow::{DEFAULT_WINDOW, ReceiveWindow, SendWindow};
use super::frame;
use super::glitch::{Bucket, Verdict};
use super::hpack::{Decoder, Encoder};
use super::priority::Priority;
use super::settings::{self, PeerSettings};
use super::stream::{RequestState, Resets, ResponseState, Stream, StreamId, Streams};
use super::{Http2Event, Http2Limits, ResetCause};
use crate::h1::Head;
use crate::message::MethodKind;

/// The server side of one HTTP/2 connection. See [the module](super) for the order of calls.
#[derive(Debug)]
pub struct Http2Connection {
    pub(super) limits: Http2Limits,
    pub(super) input: Input,
    pub(super) decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) streams: Streams,
    pub(super) resets: Resets,
    pub(super) peer: PeerSettings,
    /// The peer has acknowledged the settings.
    pub(super) settings_acknowledged: bool,
    pub(super) received: ReceiveWindow,
    pub(super) send: SendWindow,
    /// The highest stream number that the peer has opened.
    pub(super) last_stream: u32,
    /// The numbers that the peer has skipped last, and so never used.
    pub(super) skipped: Range<u32>,
    pub(super) shutdown: Shutdown,
    /// The code of the client's GOAWAY.
    pub(super) peer_go_away: Option<ErrorCode>,
    pub(super) glitches: Bucket,
    pub(super) delayed_until: Option<Duration>,
    /// The number of further WINDOW_UPDATE and PING frames that do not count as glitches.
    pub(super) credit: u32,
    /// The priorities of streams that are not open yet (RFC 9218, section 7.1).
    pub(super) early_priorities: Vec<(u32, Priority)>,
}

/// The position in the input.
///
/// ```text
///   Preface ──> Frame <──────────────── any other frame, whole
///                │ ▲ ▲
///                │ │ └── end of a frame ── Data (pieces as they arrive), Skipped
///                │ │
///                │ └── END_HEADERS ── Block <── CONTINUATION
///                └── HEADERS without END_HEADERS ──▲
///
///   any ── connection error ──> Closed
/// ```
#[derive(Debug)]
pub(super) enum Input {
    Preface,
    /// At the header of a frame.
    Frame,
    /// Within DATA.
    Data {
        /// The stream, unless the frame is discarded.
        stream: Option<StreamId>,
        left: usize,
        padding: usize,
        end_stream: bool,
    },
    /// Within a frame whose payload is discarded.
    Skipped {
        left: usize,
    },
    /// At the header of CONTINUATION.
    Block(Box<Block>),
    Closed,
}

/// A step in the input.
pub(super) enum Step<'a> {
    /// The number of consumed bytes; the state has changed.
    Continue(usize),
    /// The number of consumed bytes, and an event.
    Event(usize, Http2Event<'a>),
}

/// A field block that continues in CONTINUATION.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) stream: u32,
    pub(super) end_stream: bool,
    pub(super) depends_on_itself: bool,
    pub(super) continuations: u8,
    pub(super) bytes: Vec<u8>,
}

/// The end of the connection by the server (RFC 9113, section 6.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shutdown {
    None,
    /// GOAWAY with 2^31-1 and PING are written: new streams are accepted for one round trip.
    Announced,
    /// GOAWAY with the last stream is written: later streams are ignored.
    Last(u32),
}

/// The phase of a connection, for deadlines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Http2Phase {
    /// The preface or the client's SETTINGS have not arrived.
    Preface,
    /// No stream is open, and no field block has begun.
    Idle,
    /// A field block is incomplete.
    Block,
    /// Streams are open.
    Streams,
    /// Input is ignored.
    Closed,
}

/// The payload of the PING that measures the round trip of a shutdown.
pub(super) const SHUTDOWN_PING: [u8; 8] = *b"shutdown";

/// The highest stream number, used in the first GOAWAY of a shutdown (RFC 9113, section 6.8).
const ALL_STREAMS: u32 = (1 << 31) - 1;

impl Http2Connection {
    /// A new connection. Appends the server's SETTINGS.
    #[must_use]
    pub fn new(limits: &Http2Limits, out: &mut Vec<u8>) -> Self {
        let limits = limits.clamped();
        settings::write(out, &limits);
        Self {
            limits,
            input: Input::Preface,
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            streams: Streams::new(),
            resets: Resets::new(),
            peer: PeerSettings::DEFAULT,
            settings_acknowledged: false,
            received: ReceiveWindow::new(limits.connection_window, limits.connection_window),
            send: SendWindow::new(DEFAULT_WINDOW),
            last_stream: 0,
            skipped: 0..0,
            shutdown: Shutdown::None,
            peer_go_away: None,
            glitches: Bucket::new(limits.glitches, limits.glitches_per_second),
            delayed_until: None,
            credit: 0,
            early_priorities: Vec::new(),
        }
    }

    /// Parses received bytes, and returns the number of consumed bytes and one event.
    ///
    /// `input` starts with the first unconsumed byte and contains at least the bytes that the last call left: at most
    /// one frame of 16,393 bytes. The event [`Http2Event::Request`] means that `head` is filled; before that, its
    /// content is unspecified. `now` is the time of any monotonic clock. After any event except `NeedMore`, `Delayed`
    /// and `Closed`, call again at once.
    ///
    /// # Errors
    ///
    /// A connection error (RFC 9113, section 5.4.1). GOAWAY is in the output; send it, then close the connection. All
    /// streams are closed without further events.
    #[inline]
    pub fn handle_input<'a>(
        &mut self,
        input: &'a [u8],
        head: &mut Head,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Result<(usize, Http2Event<'a>), ConnectionError> {
        let mut at = 0;
        loop {
            if let Some(until) = self.delayed_until {
                if now < until {
                    return Ok((at, Http2Event::Delayed(until)));
                }
                self.delayed_until = None;
            }
            match self.step(&input[at..], head, out, now) {
                Ok(Step::Continue(used)) => at += used,
                Ok(Step::Event(used, event)) => return Ok((at + used, event)),
                Err(reason) => return Err(self.fail(reason, out)),
            }
        }
    }

    /// Ends the connection with GOAWAY and this code. All streams are closed without events.
    pub fn abort(&mut self, out: &mut Vec<u8>, code: ErrorCode) {
        self.close(out, code, "");
    }

    fn fail(&mut self, reason: Http2Reason, out: &mut Vec<u8>) -> ConnectionError {
        self.close(out, reason.code(), reason.detail());
        ConnectionError::new(reason)
    }

    fn close(&mut self, out: &mut Vec<u8>, code: ErrorCode, detail: &str) {
        if matches!(self.input, Input::Closed) {
            return;
        }
        let last = match self.shutdown {
            Shutdown::Last(last) => last,
            Shutdown::None | Shutdown::Announced => self.last_stream,
        };
        frame::write_go_away(out, last, code, detail);
        self.input = Input::Closed;
        self.streams = Streams::new();
    }

    /// Starts a graceful shutdown: announces it, and accepts new streams until the client has acknowledged it.
    pub fn shutdown(&mut self, out: &mut Vec<u8>) {
        if self.shutdown == Shutdown::None && !matches!(self.input, Input::Closed) {
            self.shutdown = Shutdown::Announced;
            frame::write_go_away(out, ALL_STREAMS, ErrorCode::NO_ERROR, "");
            frame::write_ping(out, 0, &SHUTDOWN_PING);
        }
    }

    /// Stops accepting streams, except for those that have arrived. The client's response to the PING of
    /// [`shutdown`](Self::shutdown) has the same effect; call this if it takes too long.
    pub fn stop_accepting(&mut self, out: &mut Vec<u8>) {
        if matches!(self.shutdown, Shutdown::Last(_)) || matches!(self.input, Input::Closed) {
            return;
        }
        self.shutdown = Shutdown::Last(self.last_stream);
        frame::write_go_away(out, self.last_stream, ErrorCode::NO_ERROR, "");
    }

    /// Returns whether no later stream is served: GOAWAY with the last stream is written.
    #[must_use]
    pub fn is_last_announced(&self) -> bool {
        matches!(self.shutdown, Shutdown::Last(_)) || matches!(self.input, Input::Closed)
    }

    /// Returns whether the connection is to be closed after sending its output: after an error, or when the last stream
    /// has closed after a GOAWAY of either side. Call [`stop_accepting`](Self::stop_accepting) first: a client that has sent
    /// GOAWAY learns from that of the server which requests it may send again (RFC 9113, section 6.8).
    #[must_use]
    pub fn is_finished(&self) -> bool {
        let is_last = matches!(self.shutdown, Shutdown::Last(_)) || self.peer_go_away.is_some();
        matches!(self.input, Input::Closed) || is_last && self.streams.open() == 0
    }

    /// The code of the client's GOAWAY, if it was received. Open streams continue.
    #[must_use]
    pub fn peer_go_away(&self) -> Option<ErrorCode> {
        self.peer_go_away
    }

    /// Returns whether a response with this status is final, as [`MethodKind::has_final`] does. It is not with 1xx, after which
    /// another response follows, and not with 2xx to `CONNECT`, after which the stream belongs to the caller (RFC 9113, section
    /// 8.5).
    #[must_use]
    pub fn is_final(&self, stream: StreamId, status: StatusCode) -> bool {
        let stream = self.streams.get(stream);
        let method = stream.map_or(MethodKind::Other, |stream| stream.method);
        method.has_final(status)
    }

    /// Returns whether the response has no body because the method is `HEAD` (RFC 9110, section 9.3.2).
    #[must_use]
    pub fn is_head_only(&self, stream: StreamId) -> bool {
        let stream = self.streams.get(stream);
        stream.is_some_and(|stream| stream.method == MethodKind::Head)
    }

    /// Returns whether the client has acknowledged the server's SETTINGS.
    #[must_use]
    pub fn is_settings_acknowledged(&self) -> bool {
        self.settings_acknowledged
    }

    /// Returns whether a [`shutdown`](Self::shutdown) is announced, and the client has not responded to its PING.
    #[must_use]
    pub fn is_shutdown_announced(&self) -> bool {
        self.shutdown == Shutdown::Announced
    }

    /// The number of open streams.
    #[must_use]
    pub fn open_streams(&self) -> usize {
        self.streams.open() as usize
    }

    /// Returns whether the stream is open in at least one direction.
    #[must_use]
    pub fn is_open(&self, stream: StreamId) -> bool {
        self.streams.get(stream).is_some()
    }

    /// Returns whether the body of the stream's request has not ended.
    #[must_use]
    pub fn is_receiving(&self, stream: StreamId) -> bool {
        self.streams
            .get(stream)
            .is_some_and(|stream| stream.reading != RequestState::Ended)
    }

    /// The phase of the connection, for deadlines.
    #[must_use]
    pub fn phase(&self) -> Http2Phase {
        match self.input {
            Input::Closed => Http2Phase::Closed,
            Input::Preface => Http2Phase::Preface,
            _ if !self.peer.arrived => Http2Phase::Preface,
            Input::Block(_) => Http2Phase::Block,
            _ if self.streams.open() == 0 => Http2Phase::Idle,
            _ => Http2Phase::Streams,
        }
    }

    /// Reports that the reader of a body has consumed bytes, and appends WINDOW_UPDATE frames when half of a window is
    /// free.
    ///
    /// The remaining bytes of a closed stream are released automatically.
    pub fn consumed(&mut self, out: &mut Vec<u8>, stream: StreamId, bytes: usize) {
        let Some(state) = self.streams.get_mut(stream) else {
            return;
        };
        let bytes = u32::try_from(bytes)
            .unwrap_or(u32::MAX)
            .min(state.received.outstanding());
        if let Some(increment) = state.received.consume(bytes)
            && state.reading != RequestState::Ended
        {
            frame::write_window_update(out, stream.number(), increment);
        }
        self.release(out, bytes);
    }

    /// Frees a part of the connection's window.
    pub(super) fn release(&mut self, out: &mut Vec<u8>, bytes: u32) {
        if let Some(increment) = self.received.consume(bytes) {
            frame::write_window_update(out, 0, increment);
        }
    }

    /// Ends a stream with RST_STREAM and this code.
    pub fn reset(&mut self, out: &mut Vec<u8>, stream: StreamId, code: ErrorCode) {
        if let Some(state) = self.streams.get(stream) {
            if state.reading != RequestState::Ended {
                self.resets.add(stream.number());
            }
            frame::write_reset(out, stream.number(), code);
            self.remove(out, stream);
        }
    }

    /// Resets a stream as [`reset`](Self::reset) does, for a request that exceeds a limit of the caller. The reset counts as a glitch.
    ///
    /// # Errors
    ///
    /// A flood of such frames, as in [`handle_input`](Self::handle_input).
    pub fn refuse(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        code: ErrorCode,
        now: Duration,
    ) -> Result<(), ConnectionError> {
        self.reset(out, stream, code);
        self.glitch(now).map_err(|reason| self.fail(reason, out))
    }

    /// Removes a stream, and releases its part of the connection's window.
    pub(super) fn remove(&mut self, out: &mut Vec<u8>, stream: StreamId) {
        if let Some(state) = self.streams.get(stream) {
            let outstanding = state.received.outstanding();
            self.streams.remove(stream);
            self.release(out, outstanding);
        }
    }

    /// Removes a stream whose response has ended, and ends an incomplete request (RFC 9113, section 8.1).
    pub(super) fn end_response(&mut self, out: &mut Vec<u8>, stream: StreamId) {
        match self.streams.get_mut(stream) {
            Some(Stream {
                reading: RequestState::Ended,
                received,
                ..
            }) if received.outstanding() == 0 => self.streams.remove(stream),
            Some(Stream {
                reading: RequestState::Ended,
                ..
            }) => self.remove(out, stream),
            Some(_) => self.reset(out, stream, ErrorCode::NO_ERROR),
            None => {}
        }
    }

    /// Resets a stream whose client has violated a rule, which counts as a glitch.
    pub(super) fn stream_error<'a>(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        reason: Http2Reason,
        now: Duration,
    ) -> Result<Http2Event<'a>, Http2Reason> {
        self.reset(out, stream, reason.code());
        self.glitch(now)?;
        Ok(Http2Event::Reset(stream, ResetCause::Rule(reason)))
    }

    /// Counts a frame that costs work and transfers nothing.
    pub(super) fn glitch(&mut self, now: Duration) -> Result<(), Http2Reason> {
        match self.glitches.take(now) {
            Verdict::Permitted => Ok(()),
            Verdict::Delayed(until) => {
                self.delayed_until = Some(until);
                Ok(())
            }
            Verdict::Flood => Err(Http2Reason::Flood),
        }
    }

    /// Frees memory that an idle connection does not need, except for the tables of HPACK.
    pub fn shrink(&mut self) {
        self.streams.shrink();
        self.early_priorities = Vec::new();
    }

    /// The number of bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let block = match &self.input {
            Input::Block(block) => size_of::<Block>() + block.bytes.capacity(),
            _ => 0,
        };
        block
            + self.decoder.heap_bytes()
            + self.encoder.heap_bytes()
            + self.streams.heap_bytes()
            + self.resets.heap_bytes()
            + self.early_priorities.capacity() * size_of::<(u32, Priority)>()
    }

    /// Returns the state of a stream if the head of its response is not written.
    pub(super) fn unanswered(&mut self, stream: StreamId) -> Option<&mut Stream> {
        self.streams
            .get_mut(stream)
            .filter(|stream| stream.writing == ResponseState::Head)
    }
}
