//! The encoder of field blocks.

use http::{HeaderName, HeaderValue, StatusCode};

use super::table::{STATIC, STATUSES, TABLE_BYTES, Table, static_index};
use super::{huffman, integer};
use crate::digits::{MAX_DIGITS, digits};

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
/// The index of `:status` with the value 200, which is the first one.
const OK: usize = STATUS;
/// Index of `date` in the static table.
const DATE: usize = 33;
/// The index of `content-type` in the static table.
const CONTENT_TYPE: usize = 31;
/// The name `content-length`, a literal without indexing.
const CONTENT_LENGTH: [u8; 2] = [WITHOUT_INDEXING | 0x0f, 28 - 0x0f];
/// The number of static strings whose entries are found by their address.
const TYPES: usize = 2;
/// Larger fields would evict most of the table.
const INDEXED_BYTES: usize = TABLE_BYTES / 4;
/// The number of recent fields that are recorded to detect repetition.
const SEEN: usize = 16;
/// The number of entries that are found by the index of their name: `content-type`, `date`, `server` and `vary` have
/// different places.
const ENTRIES: usize = 8;

/// The encoder for the responses of one connection.
///
/// Fields whose values usually repeat enter the dynamic table at once, other fields at their second occurrence, and
/// fields that are unique or secret never. A typical head is then encoded with one byte per field.
#[derive(Debug)]
pub struct Encoder {
    table: Table,
    /// The smallest size set since the last block, if it is not announced yet (RFC 7541, section 4.2).
    unannounced_size: Option<usize>,
    /// Not before the first field, so that a connection without a response is small.
    recent: Option<Box<Recent>>,
}

/// The fields of recent blocks.
#[derive(Debug, Default)]
struct Recent {
    /// The hashes of fields that were not indexed.
    seen: [u32; SEEN],
    /// The latest entries whose names are in the static table, as the index of the name and the number of the entry: most
    /// fields repeat the last value.
    entries: [(u8, u32); ENTRIES],
    /// The numbers of entries of `content-type`, for static strings.
    types: [(&'static str, u64); TYPES],
    /// The number of the entry of `date` with this value.
    date: ([u8; 29], u64),
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
            recent: None,
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

    /// Appends a block of status 200, this `content-type`, `content-length` and `date`, which equals that of the separate
    /// calls. Returns false, and appends nothing, unless each field takes a byte in it: the separate calls then enter the
    /// fields into the table.
    #[inline]
    pub(in crate::h2) fn typed(
        &mut self,
        out: &mut Vec<u8>,
        content_type: &'static str,
        length: u64,
        date: &[u8; 29],
    ) -> bool {
        if self.unannounced_size.is_some() {
            return false;
        }
        let (Some(content_type), Some(date)) = (self.index_of_type(content_type), self.index_of_date(date)) else {
            return false;
        };
        out.extend_from_slice(&[INDEXED | OK as u8, content_type]);
        self.content_length(out, length);
        out.push(date);
        true
    }

    /// The representation of `content-type` with this value, if the value is in the table. A static text never changes, so
    /// that its address identifies it.
    #[inline]
    fn index_of_type(&mut self, value: &'static str) -> Option<u8> {
        let recent = self.recent.as_mut()?;
        let place = value.as_ptr() as usize / 8 % TYPES;
        let (known, number) = recent.types[place];
        if std::ptr::eq(known, value)
            && let Some(position) = self.table.position(number)
        {
            return short_index(position);
        }
        let position = self.table.find_number(recent.entry(CONTENT_TYPE)?, value.as_bytes())?;
        recent.types[place] = (value, self.table.number(position));
        short_index(position)
    }

    /// The representation of `date` with this value, if the value is in the table.
    #[inline]
    fn index_of_date(&mut self, value: &[u8; 29]) -> Option<u8> {
        let recent = self.recent.as_mut()?;
        if recent.date.0 == *value
            && let Some(position) = self.table.position(recent.date.1)
        {
            return short_index(position);
        }
        let position = self.table.find_number(recent.entry(DATE)?, value)?;
        recent.date = (*value, self.table.number(position));
        short_index(position)
    }

    /// Appends `content-length`.
    #[inline]
    pub fn content_length(&mut self, out: &mut Vec<u8>, length: u64) {
        match length {
            0..10 => append_length::<1>(out, length),
            10..100 => append_length::<2>(out, length),
            100..1_000 => append_length::<3>(out, length),
            1_000..10_000 => append_length::<4>(out, length),
            10_000..100_000 => append_length::<5>(out, length),
            _ => append_long_length(out, length),
        }
    }

    /// Appends a field that repeats the latest one with its name, which is in the dynamic table. Returns whether it does.
    #[inline]
    fn repeat(&mut self, out: &mut Vec<u8>, index: Option<usize>, value: &[u8]) -> bool {
        match index.and_then(|index| self.position_of_recent(index, value)) {
            Some(position) => {
                integer::encode(out, INDEXED, 7, STATIC.len() + 1 + position);
                true
            }
            None => false,
        }
    }

    /// The position of the latest entry whose name has this static index, if it has this value.
    #[inline]
    fn position_of_recent(&self, index: usize, value: &[u8]) -> Option<usize> {
        let number = self.recent.as_ref()?.entry(index)?;
        self.table.find_number(number, value)
    }

    /// Remembers the entry at a position as the latest one with its name.
    fn remember(&mut self, index: Option<usize>, position: usize) {
        if let Some(index) = index {
            // Static indices are less than 62.
            let number = self.table.number(position) as u32;
            self.recent.get_or_insert_default().entries[index % ENTRIES] = (index as u8, number);
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
            let seen = &mut self.recent.get_or_insert_default().seen[hash as usize % SEEN];
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
        self.table.heap_bytes() + self.recent.as_ref().map_or(0, |_| size_of::<Recent>())
    }
}

impl Recent {
    /// The number of the latest entry whose name has this static index.
    #[inline]
    fn entry(&self, index: usize) -> Option<u32> {
        let (name, number) = self.entries[index % ENTRIES];
        (usize::from(name) == index).then_some(number)
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

/// Appends `content-length` with a value of `DIGITS` digits, as an uncompressed string.
#[inline]
fn append_length<const DIGITS: usize>(out: &mut Vec<u8>, length: u64) {
    let (mut digits, mut rest) = ([0; DIGITS], length as u32);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&CONTENT_LENGTH);
    out.push(DIGITS as u8);
    out.extend_from_slice(&digits);
}

/// The same of any number of digits.
#[cold]
fn append_long_length(out: &mut Vec<u8>, length: u64) {
    let mut buffer = [0; MAX_DIGITS];
    let digits = digits(length, &mut buffer);
    out.extend_from_slice(&CONTENT_LENGTH);
    out.push(digits.len() as u8);
    out.extend_from_slice(digits);
}

/// The representation of the entry at a position, if it takes one byte.
#[inline]
fn short_index(position: usize) -> Option<u8> {
    let index = STATIC.len() + 1 + position;
    (index < 0x7f).then_some(INDEXED | index as u8)
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
