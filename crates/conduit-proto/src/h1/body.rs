//! The decoder for the chunked transfer coding (RFC 9112, section 7.1).

use super::error::{Reason, RequestError};
use super::scan;

/// The maximum number of size digits: sixteen digits represent 64 bits.
const SIZE_DIGITS: u8 = 16;

/// The state of a chunked body.
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
///
/// [`Extension`] has the states within an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunked {
    /// In the digits of a size. `digits <= 16`.
    Size { size: u64, digits: u8 },
    /// In the white space after the size; only `;` may follow.
    Blank { size: u64 },
    /// After a `;`.
    Extension { size: u64, place: Extension },
    /// After the CR of a size line.
    SizeEnd { size: u64 },
    /// In the data, with the number of remaining bytes. `left > 0`.
    Data { left: u64 },
    /// After the data, before its CR.
    DataCr,
    /// After the data and its CR, before its LF.
    DataEnd,
    /// After the last chunk.
    Trailers,
}

/// The state within a chunk extension: `BWS name [BWS "=" BWS value]`, where the value is a token or a quoted string.
///
/// A CR ends the size line only after `Name`, `Value` and `Closed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extension {
    /// Before the name.
    Start,
    Name,
    /// In the white space after the name; only `=` and `;` may follow.
    NameEnd,
    /// After the `=`.
    ValueStart,
    /// In a value that is a token.
    Value,
    /// In a quoted string.
    Quoted,
    /// After a backslash in a quoted string.
    Escaped,
    /// After the closing quote.
    Closed,
    /// In the white space after the value; only `;` may follow.
    ValueEnd,
}

/// The result of [`Chunked::decode`].
pub(super) enum Decoded<'a> {
    /// All input is consumed.
    NeedMore,
    /// A non-empty piece of the data.
    Data(&'a [u8]),
    /// The last chunk has ended: the trailer section follows.
    Trailers,
}

impl Chunked {
    pub(super) const START: Self = Self::Size { size: 0, digits: 0 };

    /// Decodes framing bytes until there is data, or the input ends.
    ///
    /// Returns the number of consumed bytes of `input`. `extension_room` is the remaining length of extensions in all
    /// chunks of the body: without this limit, a client could make the server process extensions of one-byte chunks
    /// without end.
    pub(super) fn decode<'a>(
        &mut self,
        input: &'a [u8],
        extension_room: &mut u32,
    ) -> Result<(usize, Decoded<'a>), RequestError> {
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
            *self = self.step(byte, extension_room).map_err(RequestError::new)?;
        }
    }

    /// The state after one byte of framing.
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
                    b';' => Self::extension(size),
                    b' ' | b'\t' => Self::Blank { size }.spend(extension_room)?,
                    b'\n' => return Err(Reason::LineEnd),
                    _ => return Err(Reason::ChunkSize),
                },
            },
            (Self::Blank { .. }, b' ' | b'\t') => self.spend(extension_room)?,
            (Self::Blank { size }, b';') => Self::extension(size),
            (Self::Blank { .. }, _) => return Err(Reason::ChunkSize),
            (Self::Extension { size, place }, byte) => place.step(size, byte, extension_room)?,
            (Self::SizeEnd { size: 0 }, b'\n') => Self::Trailers,
            (Self::SizeEnd { size }, b'\n') => Self::Data { left: size },
            (Self::SizeEnd { .. }, _) => return Err(Reason::LineEnd),
            (Self::DataCr, b'\r') => Self::DataEnd,
            (Self::DataEnd, b'\n') => Self::START,
            (Self::DataCr | Self::DataEnd, _) => return Err(Reason::ChunkEnd),
            (Self::Data { .. } | Self::Trailers, _) => self,
        })
    }

    /// The state after the `;` of an extension.
    const fn extension(size: u64) -> Self {
        Self::Extension {
            size,
            place: Extension::Start,
        }
    }

    fn spend(self, extension_room: &mut u32) -> Result<Self, Reason> {
        *extension_room = extension_room.checked_sub(1).ok_or(Reason::ChunkExtension)?;
        Ok(self)
    }
}

impl Extension {
    /// The state after one byte of an extension (RFC 9112, section 7.1.1).
    fn step(self, size: u64, byte: u8, extension_room: &mut u32) -> Result<Chunked, Reason> {
        let place = match (self, byte) {
            (Self::Name | Self::Value | Self::Closed, b'\r') => return Ok(Chunked::SizeEnd { size }),
            (_, b'\n') => return Err(Reason::LineEnd),
            (Self::Start, b' ' | b'\t') => Self::Start,
            (Self::Start | Self::Name, byte) if scan::is_token_byte(byte) => Self::Name,
            (Self::Name | Self::NameEnd, b' ' | b'\t') => Self::NameEnd,
            (Self::Name | Self::NameEnd, b'=') => Self::ValueStart,
            (Self::ValueStart, b' ' | b'\t') => Self::ValueStart,
            (Self::ValueStart, b'"') => Self::Quoted,
            (Self::ValueStart | Self::Value, byte) if scan::is_token_byte(byte) => Self::Value,
            (Self::Value | Self::Closed | Self::ValueEnd, b' ' | b'\t') => Self::ValueEnd,
            (Self::Name | Self::NameEnd | Self::Value | Self::Closed | Self::ValueEnd, b';') => Self::Start,
            (Self::Quoted, b'"') => Self::Closed,
            (Self::Quoted, b'\\') => Self::Escaped,
            (Self::Quoted | Self::Escaped, byte) if scan::is_value_byte(byte) => Self::Quoted,
            _ => return Err(Reason::ChunkExtension),
        };
        Chunked::Extension { size, place }.spend(extension_room)
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
