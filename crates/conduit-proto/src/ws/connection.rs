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
    closing: Closing,
    /// A message that has begun: in a box, because a message that arrives in one piece, and an idle connection, have none.
    message: Option<Box<Message>>,
    deflate: Option<Box<Deflate>>,
}

/// A message that has begun.
///
/// ```text
///   Header <──> Payload of a frame
///     │            │
///     └── Close ───┴── error ──> Closing::Finished
/// ```
#[derive(Debug)]
struct Message {
    kind: MessageKind,
    is_compressed: bool,
    fragments: u32,
    /// The payload so far, unmasked; compressed if the message is.
    buffer: Vec<u8>,
    /// The length of the beginning of a text message that is valid UTF-8.
    valid_bytes: usize,
    /// The frame whose payload has not arrived entirely; `None` at the header of the next one.
    frame: Option<Frame>,
}

/// The rest of a data frame.
#[derive(Debug, Clone, Copy)]
struct Frame {
    left: u64,
    /// Rotated to the next byte.
    mask: [u8; 4],
    is_final: bool,
}

/// The closing handshake (RFC 6455, section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    Open,
    /// Close is written, and the client's is expected.
    Sent,
    /// Close is written, and all further input is discarded.
    Finished,
}

impl WebSocketConnection {
    /// A connection after the response with 101, with the result of the negotiation of permessage-deflate.
    #[must_use]
    pub fn new(limits: WebSocketLimits, deflate: Option<Deflate>) -> Self {
        Self {
            limits,
            closing: Closing::Open,
            message: None,
            deflate: deflate.map(Box::new),
        }
    }

    // From the client.

    /// Parses received bytes, and returns the number of consumed bytes and one event.
    ///
    /// `input` starts with the first unconsumed byte and contains at least the bytes that the last call left, at most 130. After
    /// any event except `NeedMore` and `Closed`, call again at once. `codecs` may be the same for all connections of a thread.
    ///
    /// # Errors
    ///
    /// The client broke a rule (RFC 6455, section 7.1.7). Close is in the output, unless it was sent before; send it, then close
    /// the connection.
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
            if self.closing == Closing::Finished {
                return Ok((input.len(), WebSocketEvent::Closed));
            }
            if let Some(message) = self.message.as_mut().filter(|message| message.frame.is_some()) {
                at += message.take(&input[at..])?;
                match message.frame {
                    Some(Frame { left: 0, is_final, .. }) if is_final => {}
                    Some(Frame { left: 0, .. }) => {
                        message.frame = None;
                        continue;
                    }
                    _ => return Ok((at, WebSocketEvent::NeedMore)),
                }
                let (kind, is_compressed) = (message.kind, message.is_compressed);
                let payload = std::mem::take(&mut message.buffer);
                self.message = None;
                return Ok((at, self.finish_message(kind, is_compressed, payload, codecs)?));
            }
            let Some((header, size)) = FrameHead::parse(&input[at..])? else {
                return Ok((at, WebSocketEvent::NeedMore));
            };
            let rest = &input[at + size..];
            let length = usize::try_from(header.length).unwrap_or(usize::MAX);
            if header.opcode.is_control() {
                let Some(masked) = rest.get(..length) else {
                    return Ok((at, WebSocketEvent::NeedMore));
                };
                let event = self.control(header, masked, out)?;
                return Ok((at + size + length, event));
            }
            let kind = self.check_frame(&header)?;
            at += size;
            if let (Some(masked), true, None) = (rest.get(..length), header.is_final, &self.message) {
                let mut payload = Vec::with_capacity(length);
                frame::extend_unmasked(&mut payload, masked, header.mask);
                let event = self.finish_message(kind, header.is_compressed, payload, codecs)?;
                return Ok((at + length, event));
            }
            self.begin_frame(kind, &header);
        }
    }

    /// Returns the kind of the message that a data frame belongs to.
    fn check_frame(&self, header: &FrameHead) -> Result<MessageKind, WebSocketReason> {
        let kind = match header.opcode {
            Opcode::Text => Some(MessageKind::Text),
            Opcode::Binary => Some(MessageKind::Binary),
            _ => None,
        };
        let (kind, is_compressed, fragments, buffered) = match (&self.message, kind) {
            (Some(_), Some(_)) => return Err(WebSocketReason::ExpectedContinuation),
            (None, None) => return Err(WebSocketReason::UnexpectedContinuation),
            (Some(_), None) if header.is_compressed => return Err(WebSocketReason::ReservedBit),
            (Some(message), None) => (
                message.kind,
                message.is_compressed,
                message.fragments,
                message.buffer.len() as u64,
            ),
            (None, Some(_)) if header.is_compressed && self.deflate.is_none() => {
                return Err(WebSocketReason::ReservedBit);
            }
            (None, Some(kind)) => (kind, header.is_compressed, 0, 0),
        };
        if fragments >= self.limits.fragments {
            return Err(WebSocketReason::TooManyFragments);
        }
        // Data that cannot be compressed becomes longer: by 5 bytes for each stored block.
        let with_slack = |bytes: u32| u64::from(bytes) + if is_compressed { 64 + u64::from(bytes) / 512 } else { 0 };
        if header.length > with_slack(self.limits.frame_bytes) {
            return Err(WebSocketReason::FrameTooBig);
        }
        if buffered + header.length > with_slack(self.limits.message_bytes) {
            return Err(WebSocketReason::MessageTooBig);
        }
        Ok(kind)
    }

    /// Begins a data frame of a message whose payload has not arrived entirely.
    fn begin_frame(&mut self, kind: MessageKind, header: &FrameHead) {
        let message = self.message.get_or_insert_with(|| {
            Box::new(Message {
                kind,
                is_compressed: header.is_compressed,
                fragments: 0,
                buffer: Vec::new(),
                valid_bytes: 0,
                frame: None,
            })
        });
        message.fragments += 1;
        message.frame = Some(Frame {
            left: header.length,
            mask: header.mask,
            is_final: header.is_final,
        });
    }

    fn finish_message(
        &mut self,
        kind: MessageKind,
        is_compressed: bool,
        mut payload: Vec<u8>,
        codecs: &mut Codecs,
    ) -> Result<WebSocketEvent, WebSocketReason> {
        if let (true, Some(deflate)) = (is_compressed, &mut self.deflate) {
            payload = deflate
                .inflate(&payload, self.limits.message_bytes as usize, codecs)
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

    /// Writes a binary message as [`write_text`](Self::write_text) does.
    pub fn write_binary(&mut self, bytes: &[u8], codecs: &mut Codecs, out: &mut Vec<u8>) -> bool {
        self.write_message(MessageKind::Binary, bytes, codecs, out)
    }

    /// Writes a message of either kind as [`write_text`](Self::write_text) does. Text must be UTF-8.
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

    /// The compressed form of a text message that connections with the same `codecs` share. It is made once, and follows
    /// [`write_compressed_header`](super::write_compressed_header). Returns `None` if this connection does not compress the
    /// message, or has its own compressor, and after Close: [`write_text`](Self::write_text) is for these cases.
    #[must_use]
    pub fn compress_shared(&mut self, text: &Arc<str>, codecs: &mut Codecs) -> Option<Bytes> {
        let deflate = self.deflate.as_mut().filter(|deflate| deflate.compresses(text.len()))?;
        match self.closing {
            Closing::Open => deflate.deflate_shared(text, codecs),
            Closing::Sent | Closing::Finished => None,
        }
    }

    /// Returns whether a message of this length would be compressed. An uncompressed one may be sent without a copy, after
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

    /// Writes Close, unless it was written before. Then the client's Close is expected: continue to pass input. The reason is
    /// truncated to 123 bytes, and omitted without a code.
    ///
    /// # Panics
    ///
    /// Panics if the code is [invalid](CloseCode::is_valid) in a frame.
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
        self.closing = Closing::Finished;
        self.message = None;
        self.deflate = None;
    }

    /// Returns whether messages may be written: Close was neither sent nor received.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closing == Closing::Open
    }

    /// Returns whether both sides have closed, or the client broke a rule: close the connection after the output is sent.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.closing == Closing::Finished
    }

    /// The number of bytes of the current frame that have not arrived.
    #[must_use]
    pub fn expected_bytes(&self) -> u64 {
        let frame = self.message.as_ref().and_then(|message| message.frame);
        frame.map_or(0, |frame| frame.left)
    }

    /// The memory of the payload of a message that has begun and not ended; `None` between messages.
    #[must_use]
    pub fn unfinished_bytes(&self) -> Option<usize> {
        self.message.as_ref().map(|message| message.buffer.capacity())
    }

    /// The memory on the heap, without the state of a compressor.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let message = self.message.as_ref();
        message.map_or(0, |message| size_of::<Message>() + message.buffer.capacity())
            + self.deflate.as_ref().map_or(0, |_| size_of::<Deflate>())
    }
}

impl Message {
    /// Takes the arrived part of the frame, and returns its length. The text so far is valid, unless the frame ends the message.
    fn take(&mut self, arrived: &[u8]) -> Result<usize, WebSocketReason> {
        let Some(Frame { left, mask, is_final }) = self.frame else {
            return Ok(0);
        };
        let length = usize::try_from(left).map_or(arrived.len(), |left| left.min(arrived.len()));
        self.reserve(left, length);
        frame::extend_unmasked(&mut self.buffer, &arrived[..length], mask);
        let left = left - length as u64;
        let mut mask = mask;
        mask.rotate_left(length % 4);
        self.frame = Some(Frame { left, mask, is_final });
        if left > 0 || !is_final {
            self.validate_beginning()?;
        }
        Ok(length)
    }

    /// Reserves memory for the arrived part of a frame, and a bounded part of the rest. A buffer at least doubles when it grows, so
    /// that many small fragments copy little.
    fn reserve(&mut self, left: u64, arrived: usize) {
        let length = self.buffer.len();
        let ahead = usize::try_from(left).map_or(AHEAD_BYTES, |left| (left - arrived.min(left)).min(AHEAD_BYTES));
        if length == 0 {
            self.buffer.reserve_exact(arrived + ahead);
        } else {
            self.buffer.reserve(arrived + ahead);
        }
    }

    /// Validates the beginning of a text message, which may end within a character.
    fn validate_beginning(&mut self) -> Result<(), WebSocketReason> {
        if self.kind != MessageKind::Text || self.is_compressed {
            return Ok(());
        }
        match std::str::from_utf8(&self.buffer[self.valid_bytes..]) {
            Ok(text) => self.valid_bytes += text.len(),
            Err(error) if error.error_len().is_none() => self.valid_bytes += error.valid_up_to(),
            Err(_) => return Err(WebSocketReason::Utf8),
        }
        Ok(())
    }
}
