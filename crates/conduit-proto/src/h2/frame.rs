//! Frames: their headers, and the ones that a server writes (RFC 9113, sections 4.1 and 6).

use super::error::{ErrorCode, Http2Reason};

/// The length of a frame header.
pub(super) const HEADER_BYTES: usize = 9;
/// The maximum accepted payload: the default of SETTINGS_MAX_FRAME_SIZE (RFC 9113, section 6.5.2).
pub(super) const MAX_PAYLOAD: usize = 16_384;

/// Flags (RFC 9113, section 6).
pub(super) mod flags {
    pub(in crate::h2) const ACK: u8 = 0x1;
    pub(in crate::h2) const END_STREAM: u8 = 0x1;
    pub(in crate::h2) const END_HEADERS: u8 = 0x4;
    pub(in crate::h2) const PADDED: u8 = 0x8;
    pub(in crate::h2) const PRIORITY: u8 = 0x20;
}

/// The type of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FrameKind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// RFC 9218, section 7.1.
    PriorityUpdate,
    /// Ignored (RFC 9113, section 4.1).
    Unknown,
}

impl FrameKind {
    fn of(byte: u8) -> Self {
        const KINDS: [FrameKind; 10] = [
            FrameKind::Data,
            FrameKind::Headers,
            FrameKind::Priority,
            FrameKind::RstStream,
            FrameKind::Settings,
            FrameKind::PushPromise,
            FrameKind::Ping,
            FrameKind::GoAway,
            FrameKind::WindowUpdate,
            FrameKind::Continuation,
        ];
        match KINDS.get(usize::from(byte)) {
            Some(&kind) => kind,
            None if byte == 0x10 => Self::PriorityUpdate,
            None => Self::Unknown,
        }
    }
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FrameHeader {
    pub(super) length: usize,
    pub(super) kind: FrameKind,
    pub(super) flags: u8,
    /// The stream number without the reserved bit; 0 for the connection.
    pub(super) stream: u32,
}

impl FrameHeader {
    /// Parses the header at the start of the input; `None` if it is incomplete.
    #[inline]
    pub(super) fn parse(input: &[u8]) -> Option<Self> {
        let &[a, b, c, kind, flags, d, e, f, g] = input.first_chunk::<HEADER_BYTES>()?;
        Some(Self {
            length: u32::from_be_bytes([0, a, b, c]) as usize,
            kind: FrameKind::of(kind),
            flags,
            stream: u32::from_be_bytes([d, e, f, g]) & 0x7fff_ffff,
        })
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A 31-bit number.
pub(super) fn number(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes) & 0x7fff_ffff
}

/// Removes the padding of a whole payload (RFC 9113, section 6.1).
pub(super) fn without_padding<'a>(header: &FrameHeader, payload: &'a [u8]) -> Result<&'a [u8], Http2Reason> {
    if !header.has(flags::PADDED) {
        return Ok(payload);
    }
    let (&padding, rest) = payload.split_first().ok_or(Http2Reason::FrameSize)?;
    let length = rest
        .len()
        .checked_sub(usize::from(padding))
        .ok_or(Http2Reason::Padding)?;
    Ok(&rest[..length])
}

/// Appends the header of a frame.
#[inline]
pub(super) fn write_header(out: &mut Vec<u8>, length: usize, kind: FrameKind, flags: u8, stream: u32) {
    out.extend_from_slice(&header_bytes(length, kind, flags, stream));
}

#[inline]
pub(super) fn header_bytes(length: usize, kind: FrameKind, flags: u8, stream: u32) -> [u8; HEADER_BYTES] {
    let [_, a, b, c] = (length as u32).to_be_bytes();
    let [d, e, f, g] = stream.to_be_bytes();
    [a, b, c, kind as u8, flags, d, e, f, g]
}

/// Starts HEADERS: reserves its header. The caller appends the field block.
pub(super) fn begin_headers(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    start
}

/// Ends HEADERS that started at `start`; the rest of a block that exceeds a frame is sent in CONTINUATION.
#[inline]
pub(super) fn end_headers(out: &mut Vec<u8>, start: usize, stream: u32, end_stream: bool, max_payload: usize) {
    let end_stream = if end_stream { flags::END_STREAM } else { 0 };
    let length = out.len() - start - HEADER_BYTES;
    if length <= max_payload {
        let header = header_bytes(length, FrameKind::Headers, end_stream | flags::END_HEADERS, stream);
        out[start..start + HEADER_BYTES].copy_from_slice(&header);
    } else {
        split_headers(out, start, stream, end_stream, max_payload);
    }
}

/// Writes the headers of the frames of a block that exceeds one.
#[cold]
fn split_headers(out: &mut Vec<u8>, start: usize, stream: u32, end_stream: u8, max_payload: usize) {
    let block = out.split_off(start + HEADER_BYTES);
    out.truncate(start);
    let mut parts = block.chunks(max_payload).peekable();
    let (mut kind, mut flags) = (FrameKind::Headers, end_stream);
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            flags |= flags::END_HEADERS;
        }
        write_header(out, part.len(), kind, flags, stream);
        out.extend_from_slice(part);
        (kind, flags) = (FrameKind::Continuation, 0);
    }
}

pub(super) fn write_reset(out: &mut Vec<u8>, stream: u32, code: ErrorCode) {
    write_header(out, 4, FrameKind::RstStream, 0, stream);
    out.extend_from_slice(&code.0.to_be_bytes());
}

pub(super) fn write_window_update(out: &mut Vec<u8>, stream: u32, increment: u32) {
    write_header(out, 4, FrameKind::WindowUpdate, 0, stream);
    out.extend_from_slice(&increment.to_be_bytes());
}

pub(super) fn write_ping(out: &mut Vec<u8>, flags: u8, data: &[u8; 8]) {
    write_header(out, data.len(), FrameKind::Ping, flags, 0);
    out.extend_from_slice(data);
}

pub(super) fn write_go_away(out: &mut Vec<u8>, last_stream: u32, code: ErrorCode, detail: &str) {
    write_header(out, 8 + detail.len(), FrameKind::GoAway, 0, 0);
    out.extend_from_slice(&last_stream.to_be_bytes());
    out.extend_from_slice(&code.0.to_be_bytes());
    out.extend_from_slice(detail.as_bytes());
}
