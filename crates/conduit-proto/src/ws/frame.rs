//! Frames: their headers, and the mask (RFC 6455, sections 5.2 and 5.3).

use super::error::WebSocketReason;

/// The longest payload of a control frame (RFC 6455, section 5.5).
pub(super) const MAX_CONTROL: usize = 125;

/// The bits of the first byte.
const FIN: u8 = 0x80;
const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
/// The bit of the second byte.
const MASK: u8 = 0x80;

/// The number of bytes that are copied and unmasked at once: they stay in the first cache.
const BLOCK: usize = 8 * 1024;

/// The kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
}

/// The opcode of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

impl Opcode {
    pub(super) fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

impl From<MessageKind> for Opcode {
    fn from(kind: MessageKind) -> Self {
        match kind {
            MessageKind::Text => Opcode::Text,
            MessageKind::Binary => Opcode::Binary,
        }
    }
}

/// The header of a client's frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct FrameHead {
    pub(super) opcode: Opcode,
    pub(super) is_final: bool,
    /// RSV1: the message is compressed.
    pub(super) is_compressed: bool,
    pub(super) length: u64,
    pub(super) mask: [u8; 4],
}

impl FrameHead {
    /// The header at the start of the input, and its size; `None` if it is not complete.
    #[inline]
    pub(super) fn parse(input: &[u8]) -> Result<Option<(Self, usize)>, WebSocketReason> {
        let Some(&[first, second]) = input.first_chunk::<2>() else {
            return Ok(None);
        };
        let opcode = match first & 0x0f {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xa => Opcode::Pong,
            _ => return Err(WebSocketReason::Opcode),
        };
        if first & RSV2_AND_3 != 0 {
            return Err(WebSocketReason::ReservedBit);
        }
        if second & MASK == 0 {
            return Err(WebSocketReason::Unmasked);
        }
        let (is_final, is_compressed) = (first & FIN != 0, first & RSV1 != 0);
        let short = second & !MASK;
        if opcode.is_control() {
            if is_compressed {
                return Err(WebSocketReason::ReservedBit);
            }
            if !is_final {
                return Err(WebSocketReason::ControlFragment);
            }
            if usize::from(short) > MAX_CONTROL {
                return Err(WebSocketReason::ControlLength);
            }
        }
        let rest = &input[2..];
        let (length, size) = match short {
            126 => {
                let Some(&bytes) = rest.first_chunk::<2>() else {
                    return Ok(None);
                };
                (u64::from(u16::from_be_bytes(bytes)), 4)
            }
            127 => {
                let Some(&bytes) = rest.first_chunk::<8>() else {
                    return Ok(None);
                };
                (u64::from_be_bytes(bytes), 10)
            }
            _ => (u64::from(short), 2),
        };
        let least = match short {
            126 => 126,
            127 => 0x1_0000,
            _ => 0,
        };
        if length < least || length > i64::MAX as u64 {
            return Err(WebSocketReason::Length);
        }
        let Some(&mask) = input[size..].first_chunk::<4>() else {
            return Ok(None);
        };
        let header = Self {
            opcode,
            is_final,
            is_compressed,
            length,
            mask,
        };
        Ok(Some((header, size + 4)))
    }
}

/// Applies a mask (RFC 6455, section 5.3) to bytes that begin at a multiple of 4 in the payload. Masking and unmasking
/// are the same operation.
pub fn unmask(bytes: &mut [u8], mask: [u8; 4]) {
    let mask = u32::from_ne_bytes(mask);
    let wide = u128::from(mask) * 0x0000_0001_0000_0001_0000_0001_0000_0001;
    let (chunks, rest) = bytes.as_chunks_mut::<16>();
    for chunk in chunks {
        *chunk = (u128::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(wide.to_ne_bytes()) {
        *byte ^= mask;
    }
}

/// Appends the unmasked bytes. They may begin anywhere in the payload if the mask is rotated accordingly.
pub(super) fn extend_unmasked(out: &mut Vec<u8>, masked: &[u8], mask: [u8; 4]) {
    for block in masked.chunks(BLOCK) {
        let start = out.len();
        out.extend_from_slice(block);
        unmask(&mut out[start..], mask);
    }
}

/// Appends the header of a whole message of `length` bytes that is not compressed; the payload follows from elsewhere,
/// for example from memory that many connections share.
#[inline]
pub fn write_message_header(kind: MessageKind, length: usize, out: &mut Vec<u8>) {
    write_header(kind.into(), false, length, out);
}

/// Appends the header as [`write_message_header`] does, of a message whose compressed form has `length` bytes.
#[inline]
pub fn write_compressed_header(kind: MessageKind, length: usize, out: &mut Vec<u8>) {
    write_header(kind.into(), true, length, out);
}

/// Appends the header of a frame without a mask, as servers send them.
#[inline]
pub(super) fn write_header(opcode: Opcode, is_compressed: bool, length: usize, out: &mut Vec<u8>) {
    let first = FIN | opcode as u8 | if is_compressed { RSV1 } else { 0 };
    match u16::try_from(length) {
        Ok(length @ 0..=125) => out.extend_from_slice(&[first, length as u8]),
        Ok(length) => {
            let [a, b] = length.to_be_bytes();
            out.extend_from_slice(&[first, 126, a, b]);
        }
        Err(_) => {
            out.extend_from_slice(&[first, 127]);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_unmasking_equals_one_byte_after_the_other() {
        let mask = [0x12, 0x00, 0xff, 0xa5];
        for length in (0..70).chain([BLOCK - 1, BLOCK, BLOCK + 5]) {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 7) as u8).collect();
            let naive: Vec<u8> = (0..length).map(|at| bytes[at] ^ mask[at % 4]).collect();
            let mut wide = Vec::new();
            extend_unmasked(&mut wide, &bytes, mask);
            assert_eq!(wide, naive);
        }
    }
}
