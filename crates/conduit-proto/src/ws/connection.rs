//! One connection: from bytes to messages, and the end.

use std::sync::Arc;

use bytes::Bytes;

use super::deflate::{Codecs, Deflate, InflateError};
use super::error::{CloseCode, WebSocketError, WebSocketReason};
use super::frame::{self, FrameHead, MAX_CONTROL, MessageKind, Opcode};
use super::{WebSocketEvent, WebSocketLimits};

/// The memory that is reserved for announced bytes that have not arrived.
const AHEAD_BYTES: usize = 64 * 1024;

/// The server's side of one WebSocket connection. See [the module](super) for the order of calls.
#[derive(Debug)]
pub struct WebSocketConnection {
    limits: WebSocketLimits,
    input: InputPosition,
    message: Option<Message>,
    /// The payload of the message so far, unmasked; compressed if the message is.
    buffer: Vec<u8>,
    closing: Closing,
    deflate: Option<Box<Deflate>>,
}

/// The place in the input.
///
/// ```text
///   Header <──> Payload
///     │            │
///     └── Close ───┴── error ──> Closed
/// ```
#[derive(Debug, Clone, Copy)]
enum InputPosition {
    /// At the header of a frame.
    Header,
    /// Within the payload of a data frame.
    Payload {
        left: u64,
        /// Rotated to the next byte.
        mask: [u8; 4],
        is_final: bool,
    },
    Closed,
}

/// A message that has begun.
#[derive(Debug, Clone, Copy)]
struct Message {
    kind: MessageKind,
    is_compressed: bool,
    fragments: u32,
    /// The length of the beginning of a text that is valid.
    valid_bytes: usize,
}

/// The closing handshake (RFC 6455, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    Open,
    /// Close is written, and the client's is expected.
    Sent,
    /// Close is written, and nothing is expected.
    Finished,
}

impl WebSocketConnection {
    /// A connection after the response with 101, with the result of the negotiation of permessage-deflate.
    #[must_use]
    pub fn new(limits: WebSocketLimits, deflate: Option<Deflate>) -> Self {
        Self {
            limits,
            input: InputPosition::Header,
            message: None,
            buffer: Vec::new(),
            closing: Closing::Open,
            deflate: deflate.map(Box::new),
        }
    }

    // From the client.

    /// Takes what has been received and not yet used, and gives how much of it was used and one event.
    ///
    /// `input` starts where the last call stopped using, and has at least what was left over then: at most 130 bytes.
    /// Call again at once after any event but `NeedMore` and `Closed`. `codecs` may be the same for all connections of a
    /// thread.
    ///
    /// # Errors
    ///
    /// The client broke a rule (RFC 6455, section 7.1.7). Close is in the output, unless it was sent before; send it,
    /// then close.
    #[inline]
    pub fn handle_input(
        &mut self,
        input: &[u8],
        codecs: &mut Codecs,
        out: &mut Vec<u8>,
    ) -> Result<(usize, WebSocketEvent), WebSocketError> {
        self.step(input, codecs, out).map_err(|reason| {
            self.abort(reason.code(), reason.detail(), out);
            WebSocketError::new(reason)
        })
    }

    fn step(
        &mut self,
        input: &[u8],
        codecs: &mut Codecs,
        out: &mut Vec<u8>,
    ) -> Result<(usize, WebSocketEvent), WebSocketReason> {
        let mut at = 0;
        loop {
            match self.input {
                InputPosition::Closed => return Ok((input.len(), WebSocketEvent::Closed)),
                InputPosition::Header => {
                    let Some((header, size)) = FrameHead::parse(&input[at..])? else {
                        return Ok((at, WebSocketEvent::NeedMore));
                    };
                    if header.opcode.is_control() {
                        let start = at + size;
                        let Some(masked) = input.get(start..start + header.length as usize) else {
                            return Ok((at, WebSocketEvent::NeedMore));
                        };
                        let event = self.control(header, masked, out)?;
                        return Ok((start + masked.len(), event));
                    }
                    self.begin_frame(header)?;
                    at += size;
                }
                InputPosition::Payload { left, mask, is_final } => {
                    let rest = &input[at..];
                    let length = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    self.reserve(left, length);
                    frame::extend_unmasked(&mut self.buffer, &rest[..length], mask);
                    at += length;
                    let left = left - length as u64;
                    let is_whole = left == 0 && is_final;
                    if is_whole {
                        self.input = InputPosition::Header;
                        return Ok((at, self.finish_message(codecs)?));
                    }
                    self.validate_beginning()?;
                    if left > 0 {
                        let mut mask = mask;
                        mask.rotate_left(length % 4);
                        self.input = InputPosition::Payload { left, mask, is_final };
                        return Ok((at, WebSocketEvent::NeedMore));
                    }
                    self.input = InputPosition::Header;
                }
            }
        }
    }

    /// Begins a data frame.
    fn begin_frame(&mut self, header: FrameHead) -> Result<(), WebSocketReason> {
        let kind = match header.opcode {
            Opcode::Text => Some(MessageKind::Text),
            Opcode::Binary => Some(MessageKind::Binary),
            _ => None,
        };
        let message = match (&mut self.message, kind) {
            (Some(_), Some(_)) => return Err(WebSocketReason::ExpectedContinuation),
            (None, None) => return Err(WebSocketReason::UnexpectedContinuation),
            (Some(_), None) if header.is_compressed => return Err(WebSocketReason::ReservedBit),
            (Some(message), None) => message,
            (None, Some(_)) if header.is_compressed && self.deflate.is_none() => {
                return Err(WebSocketReason::ReservedBit);
            }
            (empty, Some(kind)) => empty.insert(Message {
                kind,
                is_compressed: header.is_compressed,
                fragments: 0,
                valid_bytes: 0,
            }),
        };
        message.fragments += 1;
        if message.fragments > self.limits.fragments {
            return Err(WebSocketReason::TooManyFragments);
        }
        if header.length > self.limits.frame_bytes as u64 {
            return Err(WebSocketReason::FrameTooBig);
        }
        // Data that cannot be compressed becomes longer: by 5 bytes for each stored block.
        let slack = if message.is_compressed {
            64 + self.limits.message_bytes / 512
        } else {
            0
        };
        let limit = self.limits.message_bytes.saturating_add(slack) as u64;
        if self.buffer.len() as u64 + header.length > limit {
            return Err(WebSocketReason::MessageTooBig);
        }
        self.input = InputPosition::Payload {
            left: header.length,
            mask: header.mask,
            is_final: header.is_final,
        };
        Ok(())
    }

    /// Reserves memory for the arrived part of a frame, and a bounded part of the rest. A buffer grows at least to the
    /// double, so that many small fragments copy little.
    fn reserve(&mut self, left: u64, arrived: usize) {
        let length = self.buffer.len();
        let ahead = usize::try_from(left).map_or(AHEAD_BYTES, |left| (left - arrived.min(left)).min(AHEAD_BYTES));
        if length == 0 {
            self.buffer.reserve_exact(arrived + ahead);
        } else {
            self.buffer.reserve(arrived + ahead);
        }
    }

    /// Validates the beginning of a text, which may end within a character.
    fn validate_beginning(&mut self) -> Result<(), WebSocketReason> {
        let Some(message) = &mut self.message else {
            return Ok(());
        };
        if message.kind != MessageKind::Text || message.is_compressed {
            return Ok(());
        }
        match std::str::from_utf8(&self.buffer[message.valid_bytes..]) {
            Ok(text) => message.valid_bytes += text.len(),
            Err(error) if error.error_len().is_none() => message.valid_bytes += error.valid_up_to(),
            Err(_) => return Err(WebSocketReason::Utf8),
        }
        Ok(())
    }

    fn finish_message(&mut self, codecs: &mut Codecs) -> Result<WebSocketEvent, WebSocketReason> {
        let mut payload = std::mem::take(&mut self.buffer);
        let (kind, is_compressed) = match self.message.take() {
            Some(message) => (message.kind, message.is_compressed),
            None => (MessageKind::Binary, false),
        };
        if let (true, Some(deflate)) = (is_compressed, &mut self.deflate) {
            payload = deflate
                .inflate(&payload, self.limits.message_bytes, codecs)
                .map_err(|error| match error {
                    InflateError::Invalid => WebSocketReason::Compression,
                    InflateError::TooLarge => WebSocketReason::MessageTooBig,
                })?;
        }
        match kind {
            MessageKind::Binary => Ok(WebSocketEvent::Binary(payload)),
            MessageKind::Text => String::from_utf8(payload)
                .map(WebSocketEvent::Text)
                .map_err(|_| WebSocketReason::Utf8),
        }
    }

    fn control(
        &mut self,
        header: FrameHead,
        masked: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<WebSocketEvent, WebSocketReason> {
        let mut bytes = [0; MAX_CONTROL];
        let payload = &mut bytes[..masked.len()];
        payload.copy_from_slice(masked);
        frame::unmask(payload, header.mask);
        match header.opcode {
            Opcode::Ping => {
                if self.closing == Closing::Open {
                    frame::write_header(Opcode::Pong, false, payload.len(), out);
                    out.extend_from_slice(payload);
                }
                Ok(WebSocketEvent::Ping)
            }
            Opcode::Pong => Ok(WebSocketEvent::Pong),
            _ => self.receive_close(payload, out),
        }
    }

    fn receive_close(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<WebSocketEvent, WebSocketReason> {
        let (code, reason) = match payload.split_first_chunk::<2>() {
            None if payload.is_empty() => (None, ""),
            None => return Err(WebSocketReason::CloseCode),
            Some((&code, reason)) => {
                let code = CloseCode(u16::from_be_bytes(code));
                if !code.is_valid() {
                    return Err(WebSocketReason::CloseCode);
                }
                let reason = std::str::from_utf8(reason).map_err(|_| WebSocketReason::CloseReason)?;
                (Some(code), reason)
            }
        };
        self.write_close(code, "", out);
        self.end();
        Ok(WebSocketEvent::Close(code, reason.to_owned()))
    }

    // To the client.

    /// Writes a text message, compressed if that was negotiated and the message is long enough. Returns false, and writes
    /// nothing, after Close.
    pub fn write_text(&mut self, text: &str, codecs: &mut Codecs, out: &mut Vec<u8>) -> bool {
        self.write_message(MessageKind::Text, text.as_bytes(), codecs, out)
    }

    /// Writes a binary message; as [`write_text`](Self::write_text).
    pub fn write_binary(&mut self, bytes: &[u8], codecs: &mut Codecs, out: &mut Vec<u8>) -> bool {
        self.write_message(MessageKind::Binary, bytes, codecs, out)
    }

    /// Writes a message of either kind; as [`write_text`](Self::write_text). Text must be UTF-8.
    pub fn write_message(&mut self, kind: MessageKind, payload: &[u8], codecs: &mut Codecs, out: &mut Vec<u8>) -> bool {
        if self.closing != Closing::Open {
            return false;
        }
        match &mut self.deflate {
            Some(deflate) if deflate.compresses(payload.len()) => {
                let compressed = deflate.deflate(payload, codecs);
                frame::write_header(kind.into(), true, compressed.len(), out);
                out.extend_from_slice(compressed);
            }
            _ => {
                frame::write_header(kind.into(), false, payload.len(), out);
                out.extend_from_slice(payload);
            }
        }
        true
    }

    /// The compressed form of a text that connections with the same `codecs` share. It is made once, and follows
    /// [`write_compressed_header`](super::write_compressed_header). Returns none if this connection does not compress the text,
    /// or has its own compressor, and after Close: [`write_text`](Self::write_text) is for these cases.
    #[must_use]
    pub fn compress_shared(&mut self, text: &Arc<str>, codecs: &mut Codecs) -> Option<Bytes> {
        let deflate = self.deflate.as_mut().filter(|deflate| deflate.compresses(text.len()))?;
        match self.closing {
            Closing::Open => deflate.deflate_shared(text, codecs),
            Closing::Sent | Closing::Finished => None,
        }
    }

    /// Returns whether a message of this length would be compressed. One that is not may be sent from where it is, after
    /// [`write_message_header`](super::write_message_header).
    #[must_use]
    pub fn compresses(&self, length: usize) -> bool {
        self.deflate.as_ref().is_some_and(|deflate| deflate.compresses(length))
    }

    /// Writes Ping without a payload, unless Close was written.
    pub fn write_ping(&mut self, out: &mut Vec<u8>) {
        if self.closing == Closing::Open {
            frame::write_header(Opcode::Ping, false, 0, out);
        }
    }

    /// Writes Close, unless it was written before. Then the client's Close is expected: continue to pass input. The
    /// reason is cut at 123 bytes; without a code it is left out.
    ///
    /// # Panics
    ///
    /// If the code is [invalid](CloseCode::is_valid) in a frame.
    pub fn close(&mut self, code: Option<CloseCode>, reason: &str, out: &mut Vec<u8>) {
        assert!(
            code.is_none_or(CloseCode::is_valid),
            "a Close frame cannot contain {code:?}"
        );
        if self.closing == Closing::Open {
            self.write_close(code, reason, out);
            self.closing = Closing::Sent;
        }
    }

    /// Writes Close, unless it was written before, and expects nothing of the client.
    pub fn abort(&mut self, code: CloseCode, reason: &str, out: &mut Vec<u8>) {
        self.write_close(Some(code), reason, out);
        self.end();
    }

    fn write_close(&mut self, code: Option<CloseCode>, reason: &str, out: &mut Vec<u8>) {
        if self.closing != Closing::Open {
            return;
        }
        let Some(code) = code else {
            return frame::write_header(Opcode::Close, false, 0, out);
        };
        let reason = &reason[..reason.floor_char_boundary(MAX_CONTROL - 2)];
        frame::write_header(Opcode::Close, false, 2 + reason.len(), out);
        out.extend_from_slice(&code.0.to_be_bytes());
        out.extend_from_slice(reason.as_bytes());
    }

    // The state.

    fn end(&mut self) {
        self.input = InputPosition::Closed;
        self.closing = Closing::Finished;
        self.message = None;
        self.buffer = Vec::new();
        self.deflate = None;
    }

    /// Returns whether messages may be written: Close was neither sent nor received.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closing == Closing::Open
    }

    /// Returns whether both sides have closed, or the client broke a rule: close after the output is sent.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.closing == Closing::Finished
    }

    /// The number of bytes of the current frame that have not arrived.
    #[must_use]
    pub fn expected_bytes(&self) -> u64 {
        match self.input {
            InputPosition::Payload { left, .. } => left,
            InputPosition::Header | InputPosition::Closed => 0,
        }
    }

    /// The memory on the heap, without the state of a compressor.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.buffer.capacity() + self.deflate.as_ref().map_or(0, |_| size_of::<Deflate>())
    }
}
