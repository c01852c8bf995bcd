//! HPACK: the compression of field sections (RFC 7541).
//!
//! ```
//! use conduit_proto::h2::hpack::{Decoder, Encoder};
//! use http::{HeaderValue, StatusCode, header};
//!
//! let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
//! let mut lengths = Vec::new();
//! for _ in 0..2 {
//!     let mut block = Vec::new();
//!     encoder.begin(&mut block);
//!     encoder.status(&mut block, StatusCode::OK);
//!     encoder.field(&mut block, &header::SERVER, &HeaderValue::from_static("conduit"));
//!     lengths.push(block.len());
//!
//!     let mut fields = Vec::new();
//!     decoder.decode(&block, |name, value| fields.push((name.to_vec(), value.to_vec())))?;
//!     assert_eq!(fields[1], (b"server".to_vec(), b"conduit".to_vec()));
//! }
//! assert_eq!(lengths, [8, 2]);
//! # Ok::<(), conduit_proto::h2::hpack::DecodeError>(())
//! ```

mod decode;
mod encode;
mod huffman;
mod integer;
mod table;

pub use self::decode::Decoder;
pub(super) use self::decode::Sink;
pub use self::encode::Encoder;
pub use self::table::TABLE_BYTES;

use crate::h1::scan;

/// A field section that cannot be decompressed: a connection error of type COMPRESSION_ERROR (RFC 9113, section 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The block ends within a representation.
    Truncated,
    /// An integer is longer than 32 bits (RFC 7541, section 5.1).
    Integer,
    /// A string has EOS, or more than 7 bits of padding, or padding that is not all ones (RFC 7541, section 5.2).
    Huffman,
    /// The index is 0, or beyond the end of the dynamic table (RFC 7541, sections 2.3.3 and 6.1).
    Index,
    /// A size of the dynamic table exceeds the limit (RFC 7541, section 6.3).
    TableSize,
    /// A change of the table size follows a field (RFC 7541, section 4.2).
    LateTableSize,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "a field block ends within a field: send the whole block",
            Self::Integer => "an integer in a field block is longer than 32 bits: encode it with at most five bytes",
            Self::Huffman => "a string in a field block has EOS or invalid padding: pad with at most seven ones",
            Self::Index => "an index in a field block is 0 or beyond the dynamic table: use the announced table size",
            Self::TableSize => "the size of the dynamic table exceeds the limit of 4096: use the size in SETTINGS",
            Self::LateTableSize => {
                "the size of the dynamic table changes after a field: change it at the start of a block"
            }
        })
    }
}

impl std::error::Error for DecodeError {}

/// The meaning of a field for the receiver of a request, determined once when the field is decoded or enters the
/// dynamic table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FieldKind {
    /// `:method`.
    Method,
    /// `:scheme`.
    Scheme,
    /// `:authority`.
    Authority,
    /// `:path`.
    Path,
    /// `:protocol` (RFC 8441).
    Protocol,
    /// A name that starts with a colon and is not defined for requests (RFC 9113, section 8.3).
    UnknownPseudo,
    /// A connection-specific field of HTTP/1.1 (RFC 9113, section 8.2.2).
    ConnectionSpecific,
    /// The name is empty or not a lower-case token (RFC 9113, section 8.2.1).
    InvalidName,
    /// The value has a control character or surrounding white space (RFC 9113, section 8.2.1).
    InvalidValue,
    /// `te`.
    Te,
    /// `content-length`.
    ContentLength,
    /// `host`.
    Host,
    /// `cookie`.
    Cookie,
    /// `expect`.
    Expect,
    /// `priority` (RFC 9218).
    Priority,
    /// Any other valid field.
    Other,
}

impl FieldKind {
    /// The kind of a field with this name and a valid value.
    const fn of_name(name: &[u8]) -> Self {
        match name {
            b":method" => Self::Method,
            b":scheme" => Self::Scheme,
            b":authority" => Self::Authority,
            b":path" => Self::Path,
            b":protocol" => Self::Protocol,
            [b':', ..] => Self::UnknownPseudo,
            b"connection" | b"proxy-connection" | b"keep-alive" | b"transfer-encoding" | b"upgrade" => {
                Self::ConnectionSpecific
            }
            b"te" => Self::Te,
            b"content-length" => Self::ContentLength,
            b"host" => Self::Host,
            b"cookie" => Self::Cookie,
            b"expect" => Self::Expect,
            b"priority" => Self::Priority,
            name if is_lower_case_token(name) => Self::Other,
            _ => Self::InvalidName,
        }
    }

    /// Returns whether this is the kind of a single pseudo-header field, which implies its name.
    pub(super) const fn is_pseudo(self) -> bool {
        self as usize <= Self::Protocol as usize
    }

    /// The kind of a field with a name of this kind and the given value. The value of a pseudo-header field has a narrower grammar,
    /// which the request checks.
    #[inline]
    fn with_value(self, value: &[u8]) -> Self {
        if self.is_pseudo() {
            return self;
        }
        let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        let is_valid = scan::skip_value(value, 0) == value.len() && !is_space(value.first()) && !is_space(value.last());
        match self {
            Self::UnknownPseudo | Self::ConnectionSpecific | Self::InvalidName => self,
            _ if is_valid => self,
            _ => Self::InvalidValue,
        }
    }
}

const fn is_lower_case_token(name: &[u8]) -> bool {
    let mut at = 0;
    while at < name.len() {
        if !scan::is_token_byte(name[at]) || name[at].is_ascii_uppercase() {
            return false;
        }
        at += 1;
    }
    !name.is_empty()
}
