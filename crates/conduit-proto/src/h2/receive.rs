//! Received frames, one after the other (RFC 9113, section 6).

use std::time::Duration;

use super::connection::{Connection, Input, SHUTDOWN_PING, Shutdown};
use super::error::{ErrorCode, Reason};
use super::frame::{self, HEADER_BYTES, Header, Kind, MAX_PAYLOAD, flags, number};
use super::preface::{PREFACE, Preface, detect_preface};
use super::priority::Priority;
use super::{Event, ResetCause};
use crate::h1::Head;

/// The number of [`useful`](Connection::useful) frames that a request or a sent DATA frame permits: WINDOW_UPDATE for the
/// stream and for the connection, and PING.
const CREDIT: u32 = 3;
const MAX_CREDIT: u32 = 4096;
/// The number of priorities that are kept for streams that are not open.
const EARLY_PRIORITIES: usize = 16;

/// A step in the input.
pub(super) enum Step<'a> {
    /// This many bytes are used, and the state has changed.
    Continue(usize),
    /// The same, and there is an event.
    Event(usize, Event<'a>),
}

/// The result of a whole frame.
pub(super) type Handled<'a> = Result<Option<Event<'a>>, Reason>;

impl Connection {
    pub(super) fn step<'a>(
        &mut self,
        input: &'a [u8],
        head: &mut Head,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Result<Step<'a>, Reason> {
        match self.input {
            Input::Frame | Input::Block(_) => self.frame(input, head, out, now),
            Input::Data { .. } => Ok(self.data_payload(input)),
            Input::Skipped { left } => {
                let used = left.min(input.len());
                if used == 0 && left > 0 {
                    return Ok(Step::Event(0, Event::NeedMore));
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
                Preface::Partial => Ok(Step::Event(0, Event::NeedMore)),
                Preface::Mismatch => Err(Reason::Preface),
            },
            Input::Closed => Ok(Step::Event(input.len(), Event::Closed)),
        }
    }

    /// Takes the frame at the start of the input, whole unless it is DATA or its payload does not matter.
    fn frame<'a>(
        &mut self,
        input: &'a [u8],
        head: &mut Head,
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Result<Step<'a>, Reason> {
        let Some(header) = Header::parse(input) else {
            return Ok(Step::Event(0, Event::NeedMore));
        };
        self.check(&header)?;
        match header.kind {
            Kind::Data => return self.data(&header, input, out, now),
            Kind::Unknown | Kind::GoAway if header.length > 8 => {
                // The debug data of GOAWAY is skipped.
                let taken = if header.kind == Kind::GoAway { 8 } else { 0 };
                let Some(payload) = input.get(HEADER_BYTES..HEADER_BYTES + taken) else {
                    return Ok(Step::Event(0, Event::NeedMore));
                };
                self.go_away(payload);
                self.glitch(now)?;
                self.input = Input::Skipped {
                    left: header.length - taken,
                };
                return Ok(Step::Continue(HEADER_BYTES + taken));
            }
            _ => {}
        }
        let used = HEADER_BYTES + header.length;
        let Some(payload) = input.get(HEADER_BYTES..used) else {
            return Ok(Step::Event(0, Event::NeedMore));
        };
        let event = match header.kind {
            Kind::Headers => self.headers(&header, payload, head, out, now)?,
            Kind::Continuation => self.continuation(&header, payload, head, out, now)?,
            Kind::RstStream => self.rst_stream(&header, payload, out, now)?,
            Kind::WindowUpdate => self.window_update(&header, payload, out, now)?,
            Kind::Priority => self.priority(&header, payload, out, now)?,
            Kind::Settings => self.settings(&header, payload, out, now)?,
            Kind::Ping => self.ping(&header, payload, out, now)?,
            Kind::PriorityUpdate => self.priority_update(payload, now)?,
            Kind::GoAway => {
                self.go_away(payload);
                self.glitch(now)?;
                None
            }
            Kind::Unknown => {
                self.glitch(now)?;
                None
            }
            Kind::Data | Kind::PushPromise => None,
        };
        Ok(match event {
            Some(event) => Step::Event(used, event),
            None => Step::Continue(used),
        })
    }

    /// Checks what a frame's header shows: its length, its stream, and its place among the frames.
    fn check(&self, header: &Header) -> Result<(), Reason> {
        if header.length > MAX_PAYLOAD {
            return Err(Reason::FrameSize);
        }
        if let Input::Block(block) = &self.input {
            return match header.kind {
                Kind::Continuation if header.stream == block.stream => Ok(()),
                _ => Err(Reason::ExpectedContinuation),
            };
        }
        if !self.peer.arrived && (header.kind != Kind::Settings || header.has(flags::ACK)) {
            return Err(Reason::MissingSettings);
        }
        let (of_connection, length) = match header.kind {
            Kind::Continuation => return Err(Reason::UnexpectedContinuation),
            Kind::PushPromise => return Err(Reason::PushPromise),
            Kind::Unknown => return Ok(()),
            Kind::Data | Kind::Headers | Kind::Priority => (false, None),
            Kind::RstStream => (false, Some(4)),
            Kind::Settings if header.has(flags::ACK) => (true, Some(0)),
            Kind::Settings => (true, None),
            Kind::Ping => (true, Some(8)),
            Kind::GoAway if header.length < 8 => return Err(Reason::FrameSize),
            Kind::PriorityUpdate if header.length < 4 => return Err(Reason::FrameSize),
            Kind::GoAway | Kind::PriorityUpdate => (true, None),
            Kind::WindowUpdate => (header.stream == 0, Some(4)),
        };
        if (header.stream == 0) != of_connection {
            return Err(Reason::StreamNumber);
        }
        if length.is_some_and(|length| length != header.length) {
            return Err(Reason::FrameSize);
        }
        Ok(())
    }

    /// Returns whether the peer has never opened the stream.
    pub(super) fn is_idle(&self, number: u32) -> bool {
        number > self.last_stream || number.is_multiple_of(2)
    }

    /// Returns whether frames of a stream that is not open are to be ignored: it has arrived after the last GOAWAY, or the
    /// peer may not know yet that it is closed.
    pub(super) fn is_ignored(&self, number: u32) -> bool {
        matches!(self.shutdown, Shutdown::Last(last) if number > last) || self.resets.contains(number)
    }

    fn rst_stream<'a>(&mut self, header: &Header, payload: &[u8], out: &mut Vec<u8>, now: Duration) -> Handled<'a> {
        if self.is_idle(header.stream) {
            return Err(Reason::IdleStream);
        }
        self.glitch(now)?;
        let Some(id) = self.streams.find(header.stream) else {
            return Ok(None);
        };
        self.remove(out, id);
        let code = ErrorCode(u32::from_be_bytes(four(payload)));
        Ok(Some(Event::Reset(id, ResetCause::Peer(code))))
    }

    fn window_update<'a>(&mut self, header: &Header, payload: &[u8], out: &mut Vec<u8>, now: Duration) -> Handled<'a> {
        let increment = number(four(payload));
        self.useful(now)?;
        if header.stream == 0 {
            return match increment {
                0 => Err(Reason::ZeroIncrement),
                _ if self.send.grow(i64::from(increment)) => Ok(None),
                _ => Err(Reason::WindowOverflow),
            };
        }
        if self.is_idle(header.stream) {
            return Err(Reason::IdleStream);
        }
        let Some((id, stream)) = self.streams.find_mut(header.stream) else {
            return Ok(None);
        };
        let fault = if increment == 0 {
            Reason::ZeroIncrement
        } else if stream.send.grow(i64::from(increment)) {
            return Ok(None);
        } else {
            Reason::WindowOverflow
        };
        self.stream_error(out, id, fault, now).map(Some)
    }

    /// PRIORITY: checked and ignored (RFC 9113, section 6.3).
    fn priority<'a>(&mut self, header: &Header, payload: &[u8], out: &mut Vec<u8>, now: Duration) -> Handled<'a> {
        let fault = match payload.split_first_chunk() {
            Some((dependency, [_])) if number(*dependency) != header.stream => {
                self.glitch(now)?;
                return Ok(None);
            }
            Some((_, [_])) => Reason::SelfDependency,
            _ => Reason::FrameSize,
        };
        match self.streams.find(header.stream) {
            Some(id) => self.stream_error(out, id, fault, now).map(Some),
            // RST_STREAM is not permitted for an idle stream, and useless for a closed one.
            None => Err(fault),
        }
    }

    fn settings<'a>(&mut self, header: &Header, payload: &[u8], out: &mut Vec<u8>, now: Duration) -> Handled<'a> {
        if header.has(flags::ACK) {
            if self.settings_acknowledged {
                self.glitch(now)?;
            }
            self.settings_acknowledged = true;
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
            for stream in self.streams.iter_mut() {
                if !stream.send.grow(change) {
                    return Err(Reason::SettingWindow);
                }
            }
        }
        frame::write_header(out, 0, Kind::Settings, flags::ACK, 0);
        Ok(None)
    }

    fn ping<'a>(&mut self, header: &Header, payload: &[u8], out: &mut Vec<u8>, now: Duration) -> Handled<'a> {
        if !header.has(flags::ACK) {
            self.useful(now)?;
            frame::write_header(out, payload.len(), Kind::Ping, flags::ACK, 0);
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
            return Err(Reason::PriorityUpdate);
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

    /// Counts a frame that is useful in proportion to the frames that it follows: WINDOW_UPDATE, and PING, with which
    /// clients measure the bandwidth of a link.
    fn useful(&mut self, now: Duration) -> Result<(), Reason> {
        match self.credit.checked_sub(1) {
            Some(credit) => {
                self.credit = credit;
                Ok(())
            }
            None => self.glitch(now),
        }
    }

    /// Permits [`useful`](Self::useful) frames after a request or a DATA frame.
    pub(super) fn add_credit(&mut self) {
        self.credit = (self.credit + CREDIT).min(MAX_CREDIT);
    }
}

/// The first four bytes of a payload whose length was checked.
fn four(payload: &[u8]) -> [u8; 4] {
    payload.first_chunk().copied().unwrap_or_default()
}
