//! A path segment as three integers, for a cheap comparison.
//!
//! The key of a segment is its first eight bytes, its last eight bytes and its length. A key is exact up to 16 bytes;
//! the middle of a longer segment is compared separately. Words are little-endian. Most segments are shorter than eight
//! bytes, so that one word contains the segment and the slash after it.

const SLASHES: u64 = u64::from_ne_bytes([b'/'; 8]);
const LOW_BITS: u64 = u64::from_ne_bytes([0x01; 8]);
const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// The number of bytes in a word. A key has two words, so a segment of up to twice as many bytes has no middle.
pub(crate) const WORD: usize = 8;

/// One segment of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    /// The first eight bytes, padded with zeros.
    pub(crate) first: u64,
    /// The last eight bytes if there are more than eight, else 0.
    pub(crate) second: u64,
    pub(crate) length: u32,
}

impl Key {
    /// A hash with well distributed upper bits, to which the hash of a node is added.
    #[inline(always)]
    pub(crate) const fn hash(self) -> u64 {
        (self.first ^ self.second.rotate_left(29)).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }
}

/// The path of a request, padded to at least eight readable bytes.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The path, followed by zeros if it is shorter than eight bytes.
    bytes: &'a [u8],
    length: usize,
}

/// The start of a segment.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    start: usize,
    /// The first eight bytes of the path from the start of the segment, padded with zeros after the end of the path.
    word: u64,
    /// The highest bit of the first slash byte in `word`; higher bits are undefined.
    slash: u64,
    /// The end of the segment.
    pub(crate) end: usize,
}

impl<'a> Subject<'a> {
    /// A subject for `path`, which is copied to `short` if it is shorter than a word.
    #[inline(always)]
    pub(crate) fn new(path: &'a [u8], short: &'a mut [u8; WORD]) -> Self {
        let length = path.len();
        if length >= WORD {
            return Subject { bytes: path, length };
        }
        *short = first_word_now(path).to_le_bytes();
        Subject { bytes: short, length }
    }

    #[inline(always)]
    pub(crate) fn len(self) -> usize {
        self.length
    }

    /// The bytes of the path from `start` to `end <= self.len()`.
    pub(crate) fn slice(self, start: usize, end: usize) -> &'a [u8] {
        &self.bytes[start..end]
    }

    /// The segment that starts at `start < self.len()`.
    #[inline(always)]
    pub(crate) fn segment(self, start: usize) -> Start {
        let from = start.min(self.bytes.len() - WORD);
        let word = self.word(from) >> (8 * (start - from));
        let slash = first_slash(word);
        let end = start + index(slash);
        if end == start + WORD && end < self.length {
            return Start {
                start,
                word,
                slash,
                end: self.end_of_segment(end),
            };
        }
        Start {
            start,
            word,
            slash,
            end: end.min(self.length),
        }
    }

    /// The key of a segment.
    #[inline(always)]
    pub(crate) fn key(self, segment: Start) -> Key {
        let Start {
            start,
            word,
            slash,
            end,
        } = segment;
        let first = word & below(slash);
        let length = end - start;
        let second = if length > WORD { self.word(end - WORD) } else { 0 };
        Key {
            first,
            second,
            length: length as u32,
        }
    }

    /// The end of the segment that has no slash before `at`.
    #[inline]
    fn end_of_segment(self, mut at: usize) -> usize {
        while let Some(eight) = self.bytes[at..].first_chunk::<WORD>() {
            let slash = first_slash(u64::from_le_bytes(*eight));
            if slash != 0 {
                return at + index(slash);
            }
            at += WORD;
        }
        if at < self.length {
            let from = self.bytes.len() - WORD;
            at += index(first_slash(self.word(from) >> (8 * (at - from))));
        }
        at.min(self.length)
    }

    /// The eight bytes that start at `at`.
    #[inline(always)]
    fn word(self, at: usize) -> u64 {
        match self.bytes[at..].first_chunk::<WORD>() {
            Some(eight) => u64::from_le_bytes(*eight),
            None => 0,
        }
    }
}

/// The first eight bytes of `bytes`, padded with zeros.
#[inline(always)]
pub(crate) const fn first_word(bytes: &[u8]) -> u64 {
    let length = if bytes.len() < 8 { bytes.len() } else { 8 };
    let mut word = 0;
    let mut at = 0;
    while at < length {
        word |= (bytes[at] as u64) << (8 * at);
        at += 1;
    }
    word
}

/// The same at run time, without a loop: combines two reads that overlap in the middle.
#[inline(always)]
pub(crate) fn first_word_now(bytes: &[u8]) -> u64 {
    let last = bytes.len().wrapping_sub(1);
    if let Some(eight) = bytes.first_chunk::<8>() {
        u64::from_le_bytes(*eight)
    } else if let (Some(head), Some(tail)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
        u64::from(head) | u64::from(tail) << (8 * (last - 3))
    } else if let [first, .., end] = *bytes {
        u64::from(first) | u64::from(bytes[last / 2]) << (8 * (last / 2)) | u64::from(end) << (8 * last)
    } else {
        first_word(bytes)
    }
}

/// The highest bit of the first slash byte in `word`; higher bits are undefined.
#[inline(always)]
const fn first_slash(word: u64) -> u64 {
    let zero_where_slash = word ^ SLASHES;
    zero_where_slash.wrapping_sub(LOW_BITS) & !zero_where_slash & HIGH_BITS
}

/// The index of the first slash in a word, or 8.
#[inline(always)]
const fn index(slash: u64) -> usize {
    (slash.trailing_zeros() / 8) as usize
}

/// A mask of the bytes before the first slash.
#[inline(always)]
const fn below(slash: u64) -> u64 {
    ((slash & slash.wrapping_neg()) >> 7).wrapping_sub(1)
}

/// Returns whether two byte strings are equal; `==` is not available in `const` evaluation.
pub(crate) const fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && same_from(one, 0, other, 0, one.len())
}

/// Returns whether `length` bytes of `one` from `start` equal those of `other` from `other_start`.
pub(crate) const fn same_from(one: &[u8], start: usize, other: &[u8], other_start: usize, length: usize) -> bool {
    let mut at = 0;
    while at < length {
        if one[start + at] != other[other_start + at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_word_is_equal_with_and_without_a_loop() {
        for length in 0..12 {
            let bytes: Vec<u8> = (1..=length).collect();
            assert_eq!(first_word_now(&bytes), first_word(&bytes), "{bytes:?}");
        }
    }

    #[test]
    fn request_and_route_have_equal_keys() {
        let tail = "/tail-that-makes-the-path-longer";
        for length in 1..40 {
            let text = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEF";
            for tail in ["", "/", tail] {
                let path = format!("/{}{tail}", &text[..length]);
                let mut short = [0; WORD];
                let subject = Subject::new(path.as_bytes(), &mut short);
                let segment = subject.segment(1);
                assert_eq!(segment.end, 1 + length, "{path}");
                let scanned = crate::pattern::Scanned::segment(&path, 1).expect("the path is good");
                assert_eq!(subject.key(segment), scanned.key, "{path}");
            }
        }
    }
}
