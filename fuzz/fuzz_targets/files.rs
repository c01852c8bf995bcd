//! The path of a file and the ranges of a field are those of naive twins; ranges are within the file, without overlaps, and at most as
//! many as the limit.
#![no_main]

use std::ops::Range;

use conduit_proto::file_path::file_path;
use conduit_proto::range::{RANGE_LIMIT, Selection};
use libfuzzer_sys::fuzz_target;

/// Ranges with a gap of fewer bytes are sent as one.
const SMALLEST_GAP_BYTES: u64 = 80;

/// The satisfiable ranges of a field, in its order; `None` if the whole file is selected.
fn wanted(value: &[u8], length: u64) -> Option<Vec<Range<u64>>> {
    let value = str::from_utf8(value).ok()?.to_owned();
    let elements = value.get(6..).filter(|_| value[..6].to_lowercase() == "bytes=")?;
    let elements = elements.split(',').map(|element| element.trim_matches([' ', '\t']));
    let elements: Vec<&str> = elements.filter(|element| !element.is_empty()).collect();
    if elements.is_empty() || elements.len() > RANGE_LIMIT {
        return None;
    }
    let number = |digits: &str| match digits {
        "" => None,
        // A larger number is larger than any file.
        _ if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().unwrap_or(u64::MAX)),
        _ => None,
    };
    let mut ranges = Vec::new();
    for element in elements {
        let range = match element.split_once('-')? {
            ("", suffix) => length - number(suffix)?.min(length)..length,
            (first, "") => number(first)?..length,
            (first, last) if number(last)? >= number(first)? => {
                number(first)?..number(last)?.saturating_add(1).min(length)
            }
            _ => return None,
        };
        // A suffix of an empty file is an empty range, which no field of the response can express.
        if length == 0 && !matches!(element.split_once('-')?, ("", suffix) if number(suffix)? > 0) {
            continue;
        }
        if range.start < range.end || length == 0 {
            ranges.push(range);
        }
    }
    (length > 0 || ranges.is_empty()).then_some(ranges)
}

/// The ranges that are sent: those of the field in its order, or, if some of them overlap or nearly touch, in ascending order.
fn sent(wanted: &[Range<u64>]) -> Vec<Range<u64>> {
    let touches = |one: &Range<u64>, other: &Range<u64>| {
        one.start < other.end.saturating_add(SMALLEST_GAP_BYTES)
            && other.start < one.end.saturating_add(SMALLEST_GAP_BYTES)
    };
    let mut ranges = wanted.to_vec();
    // Joins two at a time.
    'join: loop {
        for one in 0..ranges.len() {
            for other in one + 1..ranges.len() {
                if touches(&ranges[one], &ranges[other]) {
                    let removed = ranges.remove(other);
                    let kept = &mut ranges[one];
                    *kept = kept.start.min(removed.start)..kept.end.max(removed.end);
                    continue 'join;
                }
            }
        }
        break;
    }
    if ranges.len() < wanted.len() {
        ranges.sort_by_key(|range| range.start);
    }
    ranges
}

/// The decoded path, if each of its components is the name of a file.
fn path_of(path: &str, allows_hidden: bool) -> Option<Vec<u8>> {
    let mut pieces = path.as_bytes().split(|&byte| byte == b'%');
    let mut decoded = pieces.next()?.to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        let digits = str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
        let byte = u8::from_str_radix(digits, 16).ok().filter(|byte| *byte != b'/')?;
        decoded.push(byte);
        decoded.extend_from_slice(rest);
    }
    let names = decoded.strip_suffix(b"/").unwrap_or(&decoded);
    let is_name = |(place, name): (usize, &[u8])| {
        !matches!(name, b"" | b"." | b"..")
            && !name.contains(&0)
            && !name.contains(&b'\\')
            && (allows_hidden || name[0] != b'.' || (place == 0 && name == b".well-known"))
    };
    let is_path = decoded.is_empty() || names.split(|&byte| byte == b'/').enumerate().all(is_name);
    is_path.then_some(decoded)
}

fuzz_target!(|input: (u64, bool, &[u8])| {
    let (length, allows_hidden, bytes) = input;
    for length in [length, length % 1000] {
        let ranges = wanted(bytes, length).map(|wanted| sent(&wanted));
        let expected = match ranges.as_deref() {
            None => Selection::Whole,
            Some([]) => Selection::Unsatisfiable,
            Some([range]) => Selection::One(range.clone()),
            Some(several) => Selection::Several(several.to_vec()),
        };
        assert_eq!(Selection::parse(bytes, length), expected);
        let ranges = ranges.unwrap_or_default();
        assert!(ranges.len() <= RANGE_LIMIT);
        for (place, range) in ranges.iter().enumerate() {
            assert!(range.start < range.end && range.end <= length);
            let is_apart = |other: &Range<u64>| range.end <= other.start || other.end <= range.start;
            assert!(ranges[..place].iter().all(is_apart));
        }
    }
    if let Ok(path) = str::from_utf8(bytes) {
        assert_eq!(
            file_path(path, allows_hidden).map(Vec::from),
            path_of(path, allows_hidden)
        );
    }
});
