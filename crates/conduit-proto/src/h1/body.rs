//! Decoding the chunked transfer coding (RFC 9112, section 7.1).

use super::error::{Error, Reason};
use super::scan;

/// The longest size that is read: sixteen digits hold 64 bits.
const SIZE_DIGITS: u8 = 16;

/// Where a chunked body is.
///
/// ```text
///          digit              ';'                     CR
///        ┌──────┐    ┌────────────────┐      ┌───────────────────┐
///        │      ▼    │                ▼      │                   ▼
/// start ─┴──▶ Size ──┴─▶ Blank ──▶ Extension ┴──────────────▶ SizeEnd
///              ▲  SP, HTAB      ';'                              │ LF
///              │                                       size > 0  │  size = 0
///              └───── DataEnd ◀── DataCr ◀── Data ◀──────────────┴──▶ Trailers
///                 LF          CR        all bytes
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In the digits of a size. `digits <= 16`.
    Size { size: u64, digits: u8 },
    /// In the white space that may be before a `;` and nowhere else.
    Blank { size: u64 },
    /// In what follows a `;`.
    Extension { size: u64 },
    /// After the CR of a size line.
    SizeEnd { size: u64 },
    /// In the data: this much is to come. `left > 0`.
    Data { left: u64 },
    /// After the data, before its CR.
    DataCr,
    /// After the data and its CR, before its LF.
    DataEnd,
    /// Behind the last chunk.
    Trailers,
}

/// What [`Chunked::decode`] found.
pub(super) enum Decoded<'a> {
    /// All input is used up.
    NeedMore,
    /// A piece of the data, not empty.
    Data(&'a [u8]),
    /// The last chunk is over: the trailer section begins.
    Trailers,
}

impl Chunked {
    pub(super) const START: Self = Self::Size { size: 0, digits: 0 };

    /// Takes a step for each byte of framing until there is data to give or nothing left.
    ///
    /// Gives how much of `input` was used. `extension_room` is how many bytes of extensions the
    /// body may still have; they are counted over all its chunks, since a sender could otherwise
    /// spend our time on extensions of endless one-byte chunks.
    pub(super) fn decode<'a>(
        &mut self,
        input: &'a [u8],
        extension_room: &mut u32,
    ) -> Result<(usize, Decoded<'a>), Error> {
        let mut at = 0;
        loop {
            if let Self::Data { left } = *self {
                let rest = &input[at..];
                let length = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                if length == 0 {
                    return Ok((at, Decoded::NeedMore));
                }
                *self = match left - length as u64 {
                    0 => Self::DataCr,
                    left => Self::Data { left },
                };
                return Ok((at + length, Decoded::Data(&rest[..length])));
            }
            if *self == Self::Trailers {
                return Ok((at, Decoded::Trailers));
            }
            let Some(&byte) = input.get(at) else {
                return Ok((at, Decoded::NeedMore));
            };
            at += 1;
            *self = self.step(byte, extension_room).map_err(Error::new)?;
        }
    }

    /// The state behind one byte of framing.
    fn step(self, byte: u8, extension_room: &mut u32) -> Result<Self, Reason> {
        Ok(match (self, byte) {
            (Self::Size { size, digits }, byte) => match hexadecimal(byte) {
                Some(digit) if digits < SIZE_DIGITS && size >> 59 == 0 => Self::Size {
                    size: size << 4 | u64::from(digit),
                    digits: digits + 1,
                },
                Some(_) => return Err(Reason::ChunkSize),
                None if digits == 0 => return Err(Reason::ChunkSize),
                None => match byte {
                    b'\r' => Self::SizeEnd { size },
                    b';' => Self::Extension { size },
                    b' ' | b'\t' => Self::Blank { size }.spend(extension_room)?,
                    b'\n' => return Err(Reason::LineEnd),
                    _ => return Err(Reason::ChunkSize),
                },
            },
            (Self::Blank { .. }, b' ' | b'\t') => self.spend(extension_room)?,
            (Self::Blank { size }, b';') => Self::Extension { size },
            (Self::Blank { .. }, _) => return Err(Reason::ChunkSize),
            (Self::Extension { size }, b'\r') => Self::SizeEnd { size },
            (Self::Extension { .. }, b'\n') => return Err(Reason::LineEnd),
            (Self::Extension { .. }, byte) if scan::is_value_byte(byte) => self.spend(extension_room)?,
            (Self::Extension { .. }, _) => return Err(Reason::ChunkExtension),
            (Self::SizeEnd { size: 0 }, b'\n') => Self::Trailers,
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
            (Self::SizeEnd { .. }, _) => return Err(Reason::LineEnd),
            (Self::DataCr, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => Self::START,
            (Self::DataCr | Self::DataEnd, _) => return Err(Reason::ChunkEnd),
            (Self::Data { .. } | Self::Trailers, _) => self,
        })
    }

    fn spend(self, extension_room: &mut u32) -> Result<Self, Reason> {
        *extension_room = extension_room.checked_sub(1).ok_or(Reason::ChunkExtension)?;
        Ok(self)
    }
}

fn hexadecimal(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}
