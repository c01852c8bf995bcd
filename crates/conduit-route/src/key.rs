//! A segment of a path as three numbers, so that comparing two is cheap.
//!
//! A segment is found and compared eight bytes at a time. Up to 16 bytes its first word, its last
//! word and its length say all; a longer one has a middle that must be compared as well.

const SLASHES: u64 = u64::from_ne_bytes([b'/'; 8]);
const LOW_BITS: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// One segment of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The first eight bytes, filled up with zeros.
    pub(crate) first: u64,
    /// The last eight bytes if there are more than eight, else 0.
    pub(crate) last: u64,
    pub(crate) length: u32,
}

impl Key {
    /// The key of the segment of `path` that starts at `start <= path.len()`, and where it ends.
    #[inline(always)]
    pub(crate) const fn of_segment(path: &[u8], start: usize) -> (Key, usize) {
        let first = word(path, start);
        let slash = first_slash(first);
        let left = path.len() - start;
        // A word behind the path's end is filled up with zeros, which are no slashes.
        if slash < 8 {
            let mask = (1 << (8 * slash)) - 1;
            return (
                Key {
                    first: first & mask,
                    last: 0,
                    length: slash as u32,
                },
                start + slash,
            );
        }
        if left <= 8 {
            return (
                Key {
                    first,
                    last: 0,
                    length: left as u32,
                },
                path.len(),
            );
        }
        let end = end_of_segment(path, start + 8);
        if end == start + 8 {
            return (
                Key {
                    first,
                    last: 0,
                    length: 8,
                },
                end,
            );
        }
        (
            Key {
                first,
                last: word(path, end - 8),
                length: (end - start) as u32,
            },
            end,
        )
    }

    /// A number whose upper bits are spread well, to be added to a node's own.
    #[inline(always)]
    pub(crate) const fn hash(self) -> u64 {
        (self.first ^ self.last.rotate_left(29) ^ ((self.length as u64) << 56)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    /// The part of the segment at `start` that neither word holds.
    #[inline(always)]
    pub(crate) const fn middle(self, path: &[u8], start: usize) -> &[u8] {
        let length = self.length as usize;
        if length <= 16 {
            return &[];
        }
        path.split_at(start + length - 8).0.split_at(start + 8).1
    }
}

/// Where the segment ends whose bytes before `at` hold no slash.
#[inline(always)]
pub(crate) const fn end_of_segment(path: &[u8], at: usize) -> usize {
    let mut at = at;
    while at < path.len() {
        let slash = first_slash(word(path, at));
        if slash < 8 {
            return at + slash;
        }
        at += 8;
    }
    path.len()
}

/// The place of the first slash in a word, or 8.
#[inline(always)]
const fn first_slash(word: u64) -> usize {
    let zero_where_slash = word ^ SLASHES;
    let high_where_zero = zero_where_slash.wrapping_sub(LOW_BITS) & !zero_where_slash & HIGH_BITS;
    (high_where_zero.trailing_zeros() / 8) as usize
}

/// The eight bytes from `at <= bytes.len()` on, the first in the lowest bits, zeros behind the end.
#[inline(always)]
pub(crate) const fn word(bytes: &[u8], at: usize) -> u64 {
    let after = bytes.split_at(at).1;
    if let Some(eight) = after.first_chunk::<8>() {
        return u64::from_le_bytes(*eight);
    }
    word_at_end(bytes, after)
}

#[inline(always)]
const fn word_at_end(bytes: &[u8], after: &[u8]) -> u64 {
    if after.is_empty() {
        return 0;
    }
    if let Some(eight) = bytes.last_chunk::<8>() {
        return u64::from_le_bytes(*eight) >> (8 * (8 - after.len()));
    }
    let mut word = 0;
    let mut at = after.len();
    while at > 0 {
        at -= 1;
        word = word << 8 | after[at] as u64;
    }
    word
}

/// Whether two slices hold the same bytes, for `const` evaluation.
pub(crate) const fn same(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}
