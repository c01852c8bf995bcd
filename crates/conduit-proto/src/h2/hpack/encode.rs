//! The encoder of field blocks.

use http::{HeaderName, HeaderValue, StatusCode};

use super::table::{STATIC, STATUSES, TABLE_BYTES, Table, static_index};
use super::{huffman, integer};

/// The indexed representation (RFC 7541, section 6.1).
const INDEXED: u8 = 0x80;
/// A literal with incremental indexing (RFC 7541, section 6.2.1).
const WITH_INDEXING: u8 = 0x40;
/// A literal without indexing (RFC 7541, section 6.2.2).
const WITHOUT_INDEXING: u8 = 0;
/// A literal that intermediaries must not index either (RFC 7541, section 6.2.3).
const NEVER_INDEXED: u8 = 0x10;
/// A change of the dynamic table's size (RFC 7541, section 6.3).
const TABLE_SIZE: u8 = 0x20;

/// The index of `:status` in the static table.
const STATUS: usize = 8;
/// Index of `date` in the static table.
const DATE: usize = 33;
/// Larger fields would evict most of the table.
const INDEXED_BYTES: usize = TABLE_BYTES / 4;
/// The number of recent fields that are recorded to detect repetition.
const SEEN: usize = 16;
/// The number of entries that are found by the index of their name: `content-type`, `date`, `server` and `vary` have
/// different places.
const RECENT: usize = 8;

/// The encoder for the responses of one connection.
///
/// Fields whose values usually repeat enter the dynamic table at once, other fields at their second occurrence, and
/// fields that are unique or secret never. A typical head is then encoded with one byte per field.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    /// The smallest size set since the last block, if it is not announced yet (RFC 7541, section 4.2).
    unannounced_size: Option<usize>,
    /// The hashes of fields that were not indexed.
    seen: [u32; SEEN],
    /// The latest entries whose names are in the static table, as the index of the name and the number of the entry: most
    /// fields repeat the last value.
    recent: [(u8, u32); RECENT],
}

/// The use of the dynamic table for a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Indexing {
    /// The value repeats.
    AtOnce,
    /// The value may repeat.
    WhenRepeated,
    /// The value differs each time.
    Not,
    /// The value is secret, and must not be guessed by comparing sizes (RFC 7541, section 7.1.3).
    Never,
}

impl Encoder {
    /// An encoder with an empty dynamic table. Allocates at the first entry.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            table: Table::new(),
            unannounced_size: None,
            seen: [0; SEEN],
            recent: [(0, 0); RECENT],
        }
    }

    /// Sets the size that the peer allows; at most [`TABLE_BYTES`] are used. The next block announces the change.
    pub fn set_max_size(&mut self, size: usize) {
        let size = size.min(TABLE_BYTES);
        if size == self.table.max_size() && self.unannounced_size.is_none() {
            return;
        }
        self.table.set_max_size(size);
        self.unannounced_size = Some(self.unannounced_size.map_or(size, |smallest| smallest.min(size)));
    }

    /// Starts a block: announces changes of the table size.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(smallest) = self.unannounced_size.take() {
            let size = self.table.max_size();
            if smallest < size {
                integer::encode(out, TABLE_SIZE, 5, smallest);
            }
            integer::encode(out, TABLE_SIZE, 5, size);
        }
    }

    /// Appends `:status`, which precedes all fields.
    pub fn status(&mut self, out: &mut Vec<u8>, status: StatusCode) {
        let text = status.as_str();
        let known = STATUSES.into_iter().find(|index| STATIC[index - 1].1 == text);
        match known {
            Some(index) => out.push(INDEXED | index as u8),
            None => self.encode(out, Some(STATUS), b":status", text.as_bytes(), Indexing::AtOnce),
        }
    }

    /// Appends a field. A sensitive value and a cookie are never indexed.
    pub fn field(&mut self, out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
        let name = name.as_str();
        let index = static_index(name);
        if !value.is_sensitive() && self.repeat(out, index, value.as_bytes()) {
            return;
        }
        let indexing = match indexing(name) {
            _ if value.is_sensitive() => Indexing::Never,
            indexing => indexing,
        };
        self.encode(out, index, name.as_bytes(), value.as_bytes(), indexing);
    }

    /// Appends `date`.
    pub fn date(&mut self, out: &mut Vec<u8>, date: &[u8; 29]) {
        let index = Some(DATE);
        if !self.repeat(out, index, date) {
            self.encode(out, index, b"date", date, Indexing::AtOnce);
        }
    }

    /// Appends `content-length`.
    pub fn content_length(&mut self, out: &mut Vec<u8>, length: u64) {
        /// The maximum number of digits of 64 bits.
        const DIGITS: usize = 20;
        let mut digits = [0; DIGITS];
        let (mut rest, mut at) = (length, DIGITS);
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        // `content-length` without indexing, and an uncompressed string: both integers fit their prefixes.
        out.extend_from_slice(&[0x0f, 28 - 15, (DIGITS - at) as u8]);
        out.extend_from_slice(&digits[at..]);
    }

    /// Appends a field that repeats the latest one with its name, which is in the dynamic table. Returns whether it does.
    #[inline]
    fn repeat(&mut self, out: &mut Vec<u8>, index: Option<usize>, value: &[u8]) -> bool {
        let Some(index) = index else { return false };
        let (name, number) = self.recent[index % RECENT];
        if usize::from(name) != index {
            return false;
        }
        match self.table.find_number(number, value) {
            Some(position) => {
                integer::encode(out, INDEXED, 7, STATIC.len() + 1 + position);
                true
            }
            None => false,
        }
    }

    /// Remembers the entry at a position as the latest one with its name.
    fn remember(&mut self, index: Option<usize>, position: usize) {
        if let Some(index) = index {
            // Static indices are less than 62.
            self.recent[index % RECENT] = (index as u8, self.table.number(position));
        }
    }

    fn encode(&mut self, out: &mut Vec<u8>, index: Option<usize>, name: &[u8], value: &[u8], indexing: Indexing) {
        let mut first = match indexing {
            Indexing::Never => NEVER_INDEXED,
            _ => WITHOUT_INDEXING,
        };
        if matches!(indexing, Indexing::AtOnce | Indexing::WhenRepeated) {
            let hash = hash(name, value);
            if let Some(position) = self.table.find(hash, name, value) {
                self.remember(index, position);
                return integer::encode(out, INDEXED, 7, STATIC.len() + 1 + position);
            }
            let seen = &mut self.seen[hash as usize % SEEN];
            let repeats = indexing == Indexing::AtOnce || *seen == hash;
            if repeats && name.len() + value.len() <= INDEXED_BYTES {
                first = WITH_INDEXING;
                self.table.insert(name, value, hash);
                self.remember(index, 0);
            } else {
                *seen = hash;
            }
        }
        let prefix = if first == WITH_INDEXING { 6 } else { 4 };
        integer::encode(out, first, prefix, index.unwrap_or(0));
        if index.is_none() {
            string(out, name);
        }
        string(out, value);
    }

    /// The number of bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.table.heap_bytes()
    }
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Appends a string literal, compressed if that makes it shorter.
fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = huffman::encoded_length(bytes);
    if length < bytes.len() {
        integer::encode(out, 0x80, 7, length);
        huffman::encode(bytes, out);
    } else {
        integer::encode(out, 0, 7, bytes.len());
        out.extend_from_slice(bytes);
    }
}

fn indexing(name: &str) -> Indexing {
    match name {
        "date"
        | "content-type"
        | "server"
        | "cache-control"
        | "content-encoding"
        | "vary"
        | "accept-ranges"
        | "strict-transport-security"
        | "x-content-type-options"
        | "x-frame-options"
        | "referrer-policy"
        | "content-security-policy"
        | "permissions-policy"
        | "access-control-allow-origin"
        | "alt-svc" => Indexing::AtOnce,
        "content-range" | "etag" | "last-modified" | "location" | "age" | "expires" | "x-request-id"
        | "traceparent" | "server-timing" => Indexing::Not,
        "set-cookie" | "authorization" | "www-authenticate" | "authentication-info" => Indexing::Never,
        _ => Indexing::WhenRepeated,
    }
}

/// A hash for lookups in the table, which also compare the text.
fn hash(name: &[u8], value: &[u8]) -> u32 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = (name.len() as u64) << 32 | value.len() as u64;
    for part in [name, value] {
        let (words, rest) = part.as_chunks::<8>();
        for word in words {
            hash = (hash.rotate_left(5) ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
        }
        for &byte in rest {
            hash = (hash.rotate_left(5) ^ u64::from(byte)).wrapping_mul(FACTOR);
        }
    }
    // Zero marks an unused place.
    ((hash >> 32) as u32).max(1)
}
