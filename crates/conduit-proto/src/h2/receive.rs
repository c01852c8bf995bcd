//! Processing of received frames (RFC 9113, section 6).

use std::time::Duration;

use super::connection::{Http2Connection, Input, SHUTDOWN_PING, Shutdown, Step};
use super::error::{ErrorCode, Http2Reason};
use super::flow::DEFAULT_WINDOW;
use super::frame::{self, FrameHeader, FrameKind, HEADER_BYTES, MAX_PAYLOAD, flags, number};
use super::preface::{PREFACE, Preface, detect_preface};
use super::priority::Priority;
use super::stream::RequestState;
use super::{Http2Event, ResetCause};
use crate::h1::Head;

/// The number of [`useful`](Http2Connection::useful) frames for each request or sent DATA frame: WINDOW_UPDATE for the
/// stream and for the connection, and PING.
const CREDIT: u32 = 3;
const MAX_CREDIT: u32 = 4096;
/// The number of priorities that are kept for idle streams.
const EARLY_PRIORITIES: usize = 16;

/// The result of processing a whole frame.
pub(super) type Handled<'a> = Result<Option<Http2Event<'a>>, Http2Reason>;

impl Http2Connection {
    pub(super) fn step<'a>(
        &mut self,
        input: &'a [u8],
        head: &mut Head,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Result<Step<'a>, Http2Reason> {
        match self.input {
            Input::Frame | Input::Block(_) => self.frame(input, head, out, now),
            Input::Data { .. } => Ok(self.data_payload(input)),
            Input::Skipped { left } => {
                let used = left.min(input.len());
                if used == 0 && left > 0 {
                    return Ok(Step::Event(0, Http2Event::NeedMore));
                }
                self.input = match left - used {
                    0 => Input::Frame,
                    left => Input::Skipped { left },
                };
                Ok(Step::Continue(used))
            }
            Input::Preface => match detect_preface(input) {
                Preface::Whole => {
                    self.input = Input::Frame;
                    Ok(Step::Continue(PREFACE.len()))
                }
                Preface::Partial => Ok(Step::Event(0, Http2Event::NeedMore)),
                Preface::Mismatch => Err(Http2Reason::Preface),
            },
            Input::Closed => Ok(Step::Event(input.len(), Http2Event::Closed)),
        }
    }

    /// Processes the frame at the start of the input, which must be whole unless it is DATA or its payload is
    /// discarded.
    fn frame<'a>(
        &mut self,
        input: &'a [u8],
        head: &mut Head,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Result<Step<'a>, Http2Reason> {
        let Some(header) = FrameHeader::parse(input) else {
            return Ok(Step::Event(0, Http2Event::NeedMore));
        };
        self.check(&header)?;
        match header.kind {
            FrameKind::Data => return self.data(&header, input, out, now),
            FrameKind::GoAway if header.length > 8 => {
                let Some(payload) = input.get(HEADER_BYTES..HEADER_BYTES + 8) else {
                    return Ok(Step::Event(0, Http2Event::NeedMore));
                };
                self.go_away(payload);
                // The debug data.
                return self.skip_rest(&header, 8, now);
            }
            FrameKind::Unknown if header.length > 8 => return self.skip_rest(&header, 0, now),
            _ => {}
        }
        let used = HEADER_BYTES + header.length;
        let Some(payload) = input.get(HEADER_BYTES..used) else {
            return Ok(Step::Event(0, Http2Event::NeedMore));
        };
        let event = match header.kind {
            FrameKind::Headers => self.headers(&header, payload, head, out, now)?,
            FrameKind::Continuation => self.continuation(&header, payload, head, out, now)?,
            FrameKind::RstStream => self.rst_stream(&header, payload, out, now)?,
            FrameKind::WindowUpdate => self.window_update(&header, payload, out, now)?,
            FrameKind::Priority => self.priority(&header, payload, out, now)?,
            FrameKind::Settings => self.settings(&header, payload, out, now)?,
            FrameKind::Ping => self.ping(&header, payload, out, now)?,
            FrameKind::PriorityUpdate => self.priority_update(payload, now)?,
            FrameKind::GoAway => {
                self.go_away(payload);
                self.glitch(now)?;
                None
            }
            FrameKind::Unknown => {
                self.glitch(now)?;
                None
            }
            FrameKind::Data | FrameKind::PushPromise => None,
        };
        Ok(match event {
            Some(event) => Step::Event(used, event),
            None => Step::Continue(used),
        })
    }

    /// Discards the payload of a frame from byte `taken` on, as it arrives.
    fn skip_rest<'a>(&mut self, header: &FrameHeader, taken: usize, now: Duration) -> Result<Step<'a>, Http2Reason> {
        self.glitch(now)?;
        self.input = Input::Skipped {
            left: header.length - taken,
        };
        Ok(Step::Continue(HEADER_BYTES + taken))
    }

    /// Checks the header of a frame: its length, its stream, and its position in the sequence of frames.
    fn check(&self, header: &FrameHeader) -> Result<(), Http2Reason> {
        if header.length > MAX_PAYLOAD {
            return Err(Http2Reason::FrameSize);
        }
        if let Input::Block(block) = &self.input {
            return match header.kind {
                FrameKind::Continuation if header.stream == block.stream => Ok(()),
                _ => Err(Http2Reason::ExpectedContinuation),
            };
        }
        if !self.peer.arrived && (header.kind != FrameKind::Settings || header.has(flags::ACK)) {
            return Err(Http2Reason::MissingSettings);
        }
        let (of_connection, length) = match header.kind {
            FrameKind::Continuation => return Err(Http2Reason::UnexpectedContinuation),
            FrameKind::PushPromise => return Err(Http2Reason::PushPromise),
            FrameKind::Unknown => return Ok(()),
            FrameKind::Data | FrameKind::Headers | FrameKind::Priority => (false, None),
            FrameKind::RstStream => (false, Some(4)),
            FrameKind::Settings if header.has(flags::ACK) => (true, Some(0)),
            FrameKind::Settings => (true, None),
            FrameKind::Ping => (true, Some(8)),
            FrameKind::GoAway if header.length < 8 => return Err(Http2Reason::FrameSize),
            FrameKind::PriorityUpdate if header.length < 4 => return Err(Http2Reason::FrameSize),
            FrameKind::GoAway | FrameKind::PriorityUpdate => (true, None),
            FrameKind::WindowUpdate => (header.stream == 0, Some(4)),
        };
        if (header.stream == 0) != of_connection {
            return Err(Http2Reason::StreamNumber);
        }
        if length.is_some_and(|length| length != header.length) {
            return Err(Http2Reason::FrameSize);
        }
        Ok(())
    }

    /// Returns whether the peer has never opened the stream.
    pub(super) fn is_idle(&self, number: u32) -> bool {
        number > self.last_stream || number.is_multiple_of(2)
    }

    /// Returns whether frames of a closed stream are ignored: the stream arrived after the last GOAWAY, or the peer may
    /// not have received its end yet.
    pub(super) fn is_ignored(&self, number: u32) -> bool {
        matches!(self.shutdown, Shutdown::Last(last) if number > last) || self.resets.contains(number)
    }

    fn rst_stream<'a>(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Handled<'a> {
        if self.is_idle(header.stream) {
            return Err(Http2Reason::IdleStream);
        }
        self.glitch(now)?;
        let Some(id) = self.streams.find(header.stream) else {
            return Ok(None);
        };
        self.remove(out, id);
        let code = ErrorCode(u32::from_be_bytes(four(payload)));
        Ok(Some(Http2Event::Reset(id, ResetCause::Peer(code))))
    }

    fn window_update<'a>(
        &mut self,
        header: &FrameHeader,
        payload: &[u8],
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Handled<'a> {
        let increment = number(four(payload));
        self.useful(now)?;
        if header.stream == 0 {
            return match increment {
                0 => Err(Http2Reason::ZeroIncrement),
                _ if self.send.grow(i64::from(increment)) => Ok(None),
                _ => Err(Http2Reason::WindowOverflow),
            };
        }
        if self.is_idle(header.stream) {
            return Err(Http2Reason::IdleStream);
        }
        let Some((id, stream)) = self.streams.find_mut(header.stream) else {
            return Ok(None);
        };
        let fault = if increment == 0 {
            Http2Reason::ZeroIncrement
        } else if stream.send.grow(i64::from(increment)) {
            return Ok(None);
        } else {
            Http2Reason::WindowOverflow
        };
        self.stream_error(out, id, fault, now).map(Some)
    }

    /// PRIORITY: checked and ignored (RFC 9113, section 6.3).
    fn priority<'a>(&mut self, header: &FrameHeader, payload: &[u8], out: &mut Vec<u8>, now: Duration) -> Handled<'a> {
        let fault = match payload.split_first_chunk() {
            Some((dependency, [_])) if number(*dependency) != header.stream => {
                self.glitch(now)?;
                return Ok(None);
            }
            Some((_, [_])) => Http2Reason::SelfDependency,
            _ => Http2Reason::FrameSize,
        };
        match self.streams.find(header.stream) {
            Some(id) => self.stream_error(out, id, fault, now).map(Some),
            // RST_STREAM is not allowed for an idle stream, and has no effect for a closed one.
            None => Err(fault),
        }
    }

    fn settings<'a>(&mut self, header: &FrameHeader, payload: &[u8], out: &mut Vec<u8>, now: Duration) -> Handled<'a> {
        if header.has(flags::ACK) {
            if self.settings_acknowledged {
                self.glitch(now)?;
            } else {
                self.settings_acknowledged = true;
                self.reduce_windows(out);
            }
            return Ok(None);
        }
        if self.peer.arrived {
            self.glitch(now)?;
        }
        let old_window = self.peer.initial_window;
        let encoder = &mut self.encoder;
        self.peer.read(payload, |size| encoder.set_max_size(size as usize))?;
        let change = i64::from(self.peer.initial_window) - i64::from(old_window);
        if change != 0 {
            for (_, stream) in self.streams.iter_mut() {
                if !stream.send.grow(change) {
                    return Err(Http2Reason::SettingWindow);
                }
            }
        }
        frame::write_header(out, 0, FrameKind::Settings, flags::ACK, 0);
        Ok(None)
    }

    /// Applies an initial window below the default one to the streams that were opened before the client had
    /// acknowledged it: the client applies it to them too (RFC 9113, section 6.9.2).
    fn reduce_windows(&mut self, out: &mut Vec<u8>) {
        let (window, max_window) = (self.limits.stream_window, self.limits.max_stream_window);
        if window >= DEFAULT_WINDOW {
            return;
        }
        for (number, stream) in self.streams.iter_mut() {
            if let Some(increment) = stream.received.reduce(DEFAULT_WINDOW, window, max_window)
                && stream.reading != RequestState::Ended
            {
                frame::write_window_update(out, number, increment);
            }
        }
    }

    fn ping<'a>(&mut self, header: &FrameHeader, payload: &[u8], out: &mut Vec<u8>, now: Duration) -> Handled<'a> {
        if !header.has(flags::ACK) {
            self.useful(now)?;
            frame::write_header(out, payload.len(), FrameKind::Ping, flags::ACK, 0);
            out.extend_from_slice(payload);
        } else if payload == SHUTDOWN_PING && self.shutdown == Shutdown::Announced {
            self.stop_accepting(out);
        } else {
            self.glitch(now)?;
        }
        Ok(None)
    }

    /// PRIORITY_UPDATE (RFC 9218, section 7.1).
    fn priority_update<'a>(&mut self, payload: &[u8], now: Duration) -> Handled<'a> {
        let stream = number(four(payload));
        if stream.is_multiple_of(2) {
            return Err(Http2Reason::PriorityUpdate);
        }
        self.glitch(now)?;
        let priority = Priority::parse(&payload[4..]);
        if let Some(id) = self.streams.find(stream) {
            if let Some(stream) = self.streams.get_mut(id) {
                stream.priority = priority;
            }
        } else if self.is_idle(stream) {
            self.early_priorities.retain(|(other, _)| *other != stream);
            if self.early_priorities.len() == EARLY_PRIORITIES {
                self.early_priorities.remove(0);
            }
            self.early_priorities.push((stream, priority));
        }
        Ok(None)
    }

    fn go_away(&mut self, payload: &[u8]) {
        if let Some((_, code)) = payload.split_first_chunk::<4>() {
            self.peer_go_away = Some(ErrorCode(u32::from_be_bytes(four(code))));
        }
    }

    /// Counts a frame that is legitimate in proportion to other frames: WINDOW_UPDATE, and PING, by which clients
    /// measure the bandwidth of a link.
    fn useful(&mut self, now: Duration) -> Result<(), Http2Reason> {
        match self.credit.checked_sub(1) {
            Some(credit) => {
                self.credit = credit;
                Ok(())
            }
            None => self.glitch(now),
        }
    }

    /// Permits further [`useful`](Self::useful) frames after a request or a sent DATA frame.
    pub(super) fn add_credit(&mut self) {
        self.credit = (self.credit + CREDIT).min(MAX_CREDIT);
    }
}

/// The first four bytes of a payload whose length was checked.
fn four(payload: &[u8]) -> [u8; 4] {
    payload.first_chunk().copied().unwrap_or_default()
}
