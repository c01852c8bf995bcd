//! The field `Range` in bytes (RFC 9110, section 14).

use std::fmt::Write as _;
use std::ops::Range;

/// The maximum number of ranges in a request. More are of no use to a client that resumes a download or seeks in a video, and each
/// adds a part to the response.
pub const RANGE_LIMIT: usize = 16;

/// Ranges that are closer than this are sent as one: the head of a further part would be longer than the gap.
const SMALLEST_GAP_BYTES: u64 = 80;

/// The part of a representation that the field `Range` of a `GET` request selects, and the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The whole representation, with 200: the field is malformed, in another unit, or has more than [`RANGE_LIMIT`] ranges.
    Whole,
    /// One range, with 206.
    One(Range<u64>),
    /// Several ranges without overlaps, with 206 and a body of `multipart/byteranges`.
    Several(Vec<Range<u64>>),
    /// No range overlaps the representation: 416.
    Unsatisfiable,
}

impl Selection {
    /// The ranges of a representation of `length` bytes that the value of a field selects. Ranges that overlap or nearly
    /// touch are merged, and all are in ascending order then; otherwise they keep the order of the request
    /// (section 15.3.7.2).
    ///
    /// A field that is malformed anywhere is ignored as a whole (section 14.2).
    ///
    /// ```
    /// use conduit_proto::range::Selection;
    ///
    /// assert_eq!(Selection::parse(b"bytes=0-99", 1000), Selection::One(0..100));
    /// assert_eq!(Selection::parse(b"bytes=-100", 1000), Selection::One(900..1000));
    /// assert_eq!(Selection::parse(b"bytes=0-0,-1", 1000), Selection::Several(vec![0..1, 999..1000]));
    /// assert_eq!(Selection::parse(b"bytes=1000-", 1000), Selection::Unsatisfiable);
    /// assert_eq!(Selection::parse(b"bytes=", 1000), Selection::Whole);
    /// ```
    pub fn parse(value: &[u8], length: u64) -> Self {
        let Some(ranges) = parse(value, length) else {
            return Selection::Whole;
        };
        let mut ranges = merged(ranges);
        match ranges.len() {
            0 => Selection::Unsatisfiable,
            1 => match ranges.remove(0) {
                // A suffix of an empty representation is empty, which no `Content-Range` can express.
                range if range.is_empty() => Selection::Whole,
                range => Selection::One(range),
            },
            _ => Selection::Several(ranges),
        }
    }
}

/// The satisfiable ranges in the order of the field; `None` if it is malformed or has too many. A suffix of an empty
/// representation is an empty range.
fn parse(value: &[u8], length: u64) -> Option<Vec<Range<u64>>> {
    let unit = value.get(..6).filter(|unit| unit.eq_ignore_ascii_case(b"bytes="))?;
    let mut ranges = Vec::new();
    let mut count = 0;
    for element in value[unit.len()..].split(|&byte| byte == b',') {
        let element = trimmed(element);
        // Empty elements of a list are ignored (section 5.6.1.2).
        if element.is_empty() {
            continue;
        }
        count += 1;
        if count > RANGE_LIMIT {
            return None;
        }
        let dash = element.iter().position(|&byte| byte == b'-')?;
        let (first, last) = (&element[..dash], &element[dash + 1..]);
        if first.is_empty() {
            let suffix = number(last)?;
            if suffix > 0 {
                ranges.push(length.saturating_sub(suffix)..length);
            }
            continue;
        }
        let first = number(first)?;
        let last = if last.is_empty() { u64::MAX } else { number(last)? };
        if last < first {
            return None;
        }
        if first < length {
            ranges.push(first..last.saturating_add(1).min(length));
        }
    }
    (count > 0).then_some(ranges)
}

/// The white space around an element of a list: spaces and tabs (section 5.6.3).
fn trimmed(mut element: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = element {
        element = rest;
    }
    element
}

/// A number of digits alone. One that is too large for the type is larger than any file.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

fn merged(ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut sorted = ranges.clone();
    sorted.sort_unstable_by_key(|range| (range.start, range.end));
    let mut merged: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match merged.last_mut() {
            Some(last) if range.start < last.end.saturating_add(SMALLEST_GAP_BYTES) => {
                last.end = last.end.max(range.end)
            }
            _ => merged.push(range),
        }
    }
    if merged.len() == ranges.len() { ranges } else { merged }
}

/// The value of `Content-Range` for a range of a representation of `length` bytes (section 14.4).
pub fn content_range(range: &Range<u64>, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.start, range.end - 1)
}

/// The bytes between the ranges of a body of `multipart/byteranges` (section 14.6): the head of each part, and the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartHeads {
    /// One for each range, in the same order.
    pub heads: Vec<String>,
    /// The closing delimiter.
    pub end: String,
}

impl PartHeads {
    /// The heads and the end for these ranges. `boundary` must not occur in the representation after a line break and two
    /// hyphens; one with 128 random bits does not.
    pub fn new(ranges: &[Range<u64>], length: u64, content_type: &str, boundary: &str) -> Self {
        let heads = ranges.iter().enumerate().map(|(place, range)| {
            let mut head = String::new();
            let line_break = if place == 0 { "" } else { "\r\n" };
            let content_range = content_range(range, length);
            let _ = write!(
                head,
                "{line_break}--{boundary}\r\ncontent-type: {content_type}\r\ncontent-range: {content_range}\r\n\r\n"
            );
            head
        });
        PartHeads {
            heads: heads.collect(),
            end: format!("\r\n--{boundary}--\r\n"),
        }
    }

    /// The length of the body with these ranges.
    pub fn body_bytes(&self, ranges: &[Range<u64>]) -> u64 {
        let texts: usize = self.heads.iter().map(String::len).sum::<usize>() + self.end.len();
        texts as u64 + ranges.iter().map(|range| range.end - range.start).sum::<u64>()
    }
}
