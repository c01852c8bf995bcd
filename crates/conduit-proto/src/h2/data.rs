//! DATA: pieces of bodies, and flow control (RFC 9113, section 6.1).

use std::time::Duration;

use super::Http2Event;
use super::connection::{Http2Connection, Input, Step};
use super::error::Http2Reason;
use super::frame::{FrameHeader, HEADER_BYTES, flags};
use super::stream::{RequestState, Stream, StreamId};

/// Shorter DATA costs more work than its bytes are worth. The prefix of a gRPC message alone has five bytes.
const TINY_BYTES: usize = 5;

impl Http2Connection {
    /// Processes the header of DATA, and the length of its padding.
    pub(super) fn data<'a>(
        &mut self,
        header: &FrameHeader,
        input: &'a [u8],
        out: &mut Vec<u8>,
        now: Duration,
    ) -> Result<Step<'a>, Http2Reason> {
        let (mut used, mut left, mut padding) = (HEADER_BYTES, header.length, 0);
        if header.has(flags::PADDED) {
            if left == 0 {
                return Err(Http2Reason::FrameSize);
            }
            let Some(&length) = input.get(HEADER_BYTES) else {
                return Ok(Step::Event(0, Http2Event::NeedMore));
            };
            (used, padding) = (used + 1, usize::from(length));
            left = (left - 1).checked_sub(padding).ok_or(Http2Reason::Padding)?;
        }
        if self.is_idle(header.stream) {
            return Err(Http2Reason::IdleStream);
        }
        let end_stream = header.has(flags::END_STREAM);
        // The whole payload counts, including padding (RFC 9113, section 6.9.1).
        let length = header.length as u32;
        if !self.received.receive(length) {
            return Err(Http2Reason::WindowExceeded);
        }
        let is_tiny = left < TINY_BYTES && !end_stream;
        let mut is_cut_short = self.received.is_exhausted();
        self.input = Input::Data {
            stream: self.streams.find(header.stream),
            left,
            padding,
            end_stream,
        };
        let Some((id, stream)) = self.streams.find_mut(header.stream) else {
            if !self.is_ignored(header.stream) {
                return Err(Http2Reason::ClosedStream);
            }
            self.release(out, length);
            if is_tiny {
                self.glitch(now)?;
            }
            return Ok(Step::Continue(used));
        };
        match take(stream, length, left as u64, end_stream) {
            Ok(()) => {
                // The last bytes of a window are useful, even if they are few, because a window may have any size.
                is_cut_short |= stream.received.is_exhausted();
                // The reader receives neither padding nor an unwanted body.
                let unread = match stream.reading {
                    RequestState::Discarded => header.length,
                    RequestState::Body { .. } | RequestState::Ended => header.length - left,
                };
                if unread > 0 {
                    self.consumed(out, id, unread);
                }
                if is_tiny && !is_cut_short {
                    self.glitch(now)?;
                }
                Ok(Step::Continue(used))
            }
            Err(reason) => {
                // The window of the stream does not include this frame.
                self.release(out, length);
                Ok(Step::Event(used, self.stream_error(out, id, reason, now)?))
            }
        }
    }

    /// Processes the available payload of DATA. The payload of a closed stream is discarded.
    pub(super) fn data_payload<'a>(&mut self, input: &'a [u8]) -> Step<'a> {
        let Input::Data {
            stream,
            left,
            padding,
            end_stream,
        } = &mut self.input
        else {
            return Step::Continue(0);
        };
        let wanted = stream.filter(|id| {
            self.streams
                .get(*id)
                .is_some_and(|stream| matches!(stream.reading, RequestState::Body { .. }))
        });
        if *left + *padding > 0 {
            let is_data = *left > 0;
            let rest = if is_data { left } else { padding };
            let piece = &input[..input.len().min(*rest)];
            *rest -= piece.len();
            return match wanted {
                _ if piece.is_empty() => Step::Event(0, Http2Event::NeedMore),
                Some(id) if is_data => Step::Event(piece.len(), Http2Event::Body(id, piece)),
                _ => Step::Continue(piece.len()),
            };
        }
        let ended = stream.filter(|_| *end_stream);
        self.input = Input::Frame;
        match ended {
            Some(id) => {
                self.end_request(id);
                match wanted {
                    Some(id) => Step::Event(0, Http2Event::End(id, None)),
                    None => Step::Continue(0),
                }
            }
            None => Step::Continue(0),
        }
    }

    /// Ends the request of a stream whose response has not ended.
    pub(super) fn end_request(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.reading = RequestState::Ended;
        }
    }
}

/// Updates the window, the state, and the remaining declared length of the body.
fn take(stream: &mut Stream, length: u32, data: u64, end_stream: bool) -> Result<(), Http2Reason> {
    match &mut stream.reading {
        RequestState::Ended => return Err(Http2Reason::HalfClosed),
        RequestState::Body { left: Some(left) } => {
            let rest = left.checked_sub(data).ok_or(Http2Reason::BodyLength)?;
            if end_stream && rest > 0 {
                return Err(Http2Reason::BodyLength);
            }
            *left = rest;
        }
        RequestState::Body { left: None } | RequestState::Discarded => {}
    }
    if stream.received.receive(length) {
        Ok(())
    } else {
        Err(Http2Reason::WindowExceeded)
    }
}
