//! The static and the dynamic table (RFC 7541, section 2.3).

use std::collections::VecDeque;

/// The size of a dynamic table as defined in RFC 7541, section 4.1: 4,096, the default of SETTINGS_HEADER_TABLE_SIZE.
pub const TABLE_BYTES: usize = 4096;

/// The overhead that RFC 7541, section 4.1 adds to the length of each entry.
const ENTRY_OVERHEAD: usize = 32;

/// The length of the buffer at which the bytes of evicted entries are removed.
const BUFFER_BYTES: usize = 2 * TABLE_BYTES;

/// The static table; its first entry has the index 1 (RFC 7541, appendix A).
pub(super) static STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

/// The first and the last static index with the name `:status`.
pub(super) const STATUSES: std::ops::RangeInclusive<usize> = 8..=14;

/// The first static index with this name, for the names of response fields.
pub(super) fn static_index(name: &str) -> Option<usize> {
    Some(match name {
        "accept-ranges" => 18,
        "access-control-allow-origin" => 20,
        "age" => 21,
        "allow" => 22,
        "cache-control" => 24,
        "content-disposition" => 25,
        "content-encoding" => 26,
        "content-language" => 27,
        "content-length" => 28,
        "content-location" => 29,
        "content-range" => 30,
        "content-type" => 31,
        "date" => 33,
        "etag" => 34,
        "expires" => 36,
        "last-modified" => 44,
        "link" => 45,
        "location" => 46,
        "proxy-authenticate" => 48,
        "retry-after" => 53,
        "server" => 54,
        "set-cookie" => 55,
        "strict-transport-security" => 56,
        "vary" => 59,
        "via" => 60,
        "www-authenticate" => 61,
        _ => return None,
    })
}

/// A dynamic table: the newest entry has the lowest index. Allocates at the first entry, and no longer after the table
/// has been full.
///
/// One buffer contains the bytes of all entries in the order of insertion. The bytes of evicted entries are removed
/// when the buffer has twice the size of the table.
#[derive(Debug)]
pub(super) struct Table {
    /// The entries; the newest one is the last.
    entries: VecDeque<Entry>,
    bytes: Vec<u8>,
    /// The number of bytes removed from the start of `bytes`, modulo 2^32.
    removed: u32,
    /// The total number of inserted entries.
    inserted: u64,
    /// `size <= max_size <= TABLE_BYTES`, as defined in RFC 7541, section 4.1.
    size: usize,
    max_size: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The position in the sequence of all inserted bytes, modulo 2^32.
    start: u32,
    name_length: u16,
    value_length: u16,
    tag: u32,
}

/// An entry of a dynamic table, with its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found<'a> {
    /// The name and the value.
    pub(super) text: &'a [u8],
    pub(super) name_length: usize,
    pub(super) tag: u32,
}

impl<'a> Found<'a> {
    pub(super) fn name(&self) -> &'a [u8] {
        &self.text[..self.name_length]
    }

    pub(super) fn value(&self) -> &'a [u8] {
        &self.text[self.name_length..]
    }
}

impl Table {
    pub(super) const fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: Vec::new(),
            removed: 0,
            inserted: 0,
            size: 0,
            max_size: TABLE_BYTES,
        }
    }

    /// Changes the size, to at most [`TABLE_BYTES`], and evicts entries until the others fit.
    pub(super) fn set_max_size(&mut self, max_size: usize) {
        self.max_size = max_size.min(TABLE_BYTES);
        self.evict(self.max_size);
    }

    /// The entry at a position; the newest one is at 0.
    pub(super) fn get(&self, position: usize) -> Option<Found<'_>> {
        let last = self.entries.len().checked_sub(1)?;
        let entry = self.entries.get(last.checked_sub(position)?)?;
        Some(self.found(entry))
    }

    /// The number of an entry, which does not change when others are inserted.
    pub(super) fn number(&self, position: usize) -> u64 {
        self.inserted.wrapping_sub(position as u64)
    }

    /// The position of the entry with this number, if it is in the table.
    #[inline]
    pub(super) fn position(&self, number: u64) -> Option<usize> {
        let position = self.inserted.wrapping_sub(number) as usize;
        (position < self.entries.len()).then_some(position)
    }

    /// The position of the entry with this number modulo 2^32, if it has this value.
    pub(super) fn find_number(&self, number: u32, value: &[u8]) -> Option<usize> {
        let position = (self.inserted as u32).wrapping_sub(number) as usize;
        (self.get(position)?.value() == value).then_some(position)
    }

    /// The position of the entry with this tag, name and value.
    pub(super) fn find(&self, tag: u32, name: &[u8], value: &[u8]) -> Option<usize> {
        let is_equal = |entry: &Entry| {
            entry.tag == tag && {
                let found = self.found(entry);
                found.name() == name && found.value() == value
            }
        };
        self.entries.iter().rev().position(is_equal)
    }

    /// Inserts an entry, and evicts the oldest ones until it fits. An entry larger than the table empties the table and
    /// is not inserted (RFC 7541, section 4.4).
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], tag: u32) {
        let size = name.len() + value.len() + ENTRY_OVERHEAD;
        self.evict(self.max_size.saturating_sub(size));
        if size > self.max_size {
            return;
        }
        if self.bytes.len() + name.len() + value.len() > BUFFER_BYTES {
            let dead = match self.entries.front() {
                Some(oldest) => oldest.start.wrapping_sub(self.removed) as usize,
                None => self.bytes.len(),
            };
            self.bytes.drain(..dead);
            self.removed = self.removed.wrapping_add(dead as u32);
        }
        // The lengths are smaller than the table.
        self.entries.push_back(Entry {
            start: self.removed.wrapping_add(self.bytes.len() as u32),
            name_length: name.len() as u16,
            value_length: value.len() as u16,
            tag,
        });
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
        self.inserted += 1;
        self.size += size;
    }

    /// Evicts the oldest entries until the size is at most `size`.
    fn evict(&mut self, size: usize) {
        while self.size > size
            && let Some(oldest) = self.entries.pop_front()
        {
            self.size -= usize::from(oldest.name_length) + usize::from(oldest.value_length) + ENTRY_OVERHEAD;
        }
    }

    fn found(&self, entry: &Entry) -> Found<'_> {
        let start = entry.start.wrapping_sub(self.removed) as usize;
        let name_length = usize::from(entry.name_length);
        Found {
            text: &self.bytes[start..start + name_length + usize::from(entry.value_length)],
            name_length,
            tag: entry.tag,
        }
    }

    /// The size as defined in RFC 7541, section 4.1.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn max_size(&self) -> usize {
        self.max_size
    }

    /// The number of bytes on the heap.
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_index_is_the_first_entry_with_the_name() {
        for (name, _) in STATIC {
            if let Some(index) = static_index(name) {
                assert_eq!(
                    STATIC.iter().position(|entry| entry.0 == name),
                    Some(index - 1),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn entries_remain_after_removal_of_evicted_bytes() {
        let mut table = Table::new();
        for number in 0..10_000_u32 {
            let (name, value) = (format!("name-{number}"), "v".repeat(number as usize % 90));
            table.insert(name.as_bytes(), value.as_bytes(), number);
            assert!(table.size() <= TABLE_BYTES && table.bytes.len() <= BUFFER_BYTES);
            for position in 0..table.entries.len() {
                let old = number - position as u32;
                let found = table.get(position).unwrap();
                assert_eq!(found.name(), format!("name-{old}").as_bytes());
                assert_eq!(found.value().len(), old as usize % 90);
                assert_eq!(found.tag, old);
            }
        }
        assert!(table.heap_bytes() <= 2 * BUFFER_BYTES, "{}", table.heap_bytes());
    }

    #[test]
    fn entry_larger_than_the_table_empties_it() {
        let mut table = Table::new();
        table.insert(b"a", b"b", 0);
        table.insert(b"a", &[b'x'; TABLE_BYTES - ENTRY_OVERHEAD], 0);
        assert_eq!((table.entries.len(), table.size()), (0, 0));
        table.insert(b"a", &[b'x'; TABLE_BYTES - ENTRY_OVERHEAD - 1], 0);
        assert_eq!((table.entries.len(), table.size()), (1, TABLE_BYTES));
    }
}
