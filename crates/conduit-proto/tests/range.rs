//! The field `Range` by sections of RFC 9110, and compared with a naive twin.

use std::ops::Range;

use conduit_proto::range::{PartHeads, RANGE_LIMIT, Selection, content_range};
use proptest::prelude::*;

use Selection::{Several, Unsatisfiable, Whole};

fn one(range: Range<u64>) -> Selection {
    Selection::One(range)
}

#[test]
fn ranges_are_selected_by_the_sections_of_rfc_9110() {
    let cases: &[(&str, u64, Selection)] = &[
        // Section 14.1.1: the unit, in any case; other units and no unit are ignored.
        ("bytes=0-0", 10, one(0..1)),
        ("BYTES=0-0", 10, one(0..1)),
        ("items=0-0", 10, Whole),
        ("bytes 0-0", 10, Whole),
        ("bytes", 10, Whole),
        ("", 10, Whole),
        // Section 14.1.2: first and last position, both inclusive, and suffixes.
        ("bytes=0-499", 10_000, one(0..500)),
        ("bytes=500-999", 10_000, one(500..1000)),
        ("bytes=9500-", 10_000, one(9500..10_000)),
        ("bytes=-500", 10_000, one(9500..10_000)),
        ("bytes=0-", 10, one(0..10)),
        ("bytes=9-9", 10, one(9..10)),
        ("bytes=5-100", 10, one(5..10)),
        ("bytes=-100", 10, one(0..10)),
        ("bytes=0-0,-1", 10_000, Several(vec![0..1, 9999..10_000])),
        ("bytes= 0-0 ,\t-1", 10_000, Several(vec![0..1, 9999..10_000])),
        (",bytes=0-0", 10, Whole),
        ("bytes=,0-0,,", 10, one(0..1)),
        // A last position before the first is invalid, and makes the whole field invalid.
        ("bytes=5-4", 10, Whole),
        ("bytes=0-1,5-4", 10, Whole),
        // Numbers beyond any type.
        ("bytes=0-99999999999999999999999999", 10, one(0..10)),
        ("bytes=99999999999999999999999999-", 10, Unsatisfiable),
        (
            "bytes=18446744073709551615-18446744073709551615",
            u64::MAX,
            Unsatisfiable,
        ),
        ("bytes=-99999999999999999999999999", 10, one(0..10)),
        ("bytes=00000000000000000000000001-2", 10, one(1..3)),
        // Malformed.
        ("bytes=", 10, Whole),
        ("bytes=,", 10, Whole),
        ("bytes=-", 10, Whole),
        ("bytes=a-b", 10, Whole),
        ("bytes=+1-2", 10, Whole),
        ("bytes=1", 10, Whole),
        ("bytes=--1", 10, Whole),
        ("bytes=1-2-3", 10, Whole),
        ("bytes=1 - 2", 10, Whole),
        ("bytes=0x0-1", 10, Whole),
        ("bytes=0-1;", 10, Whole),
        ("bytes=0-1 2-3", 10, Whole),
        // Section 15.5.17: nothing of the representation.
        ("bytes=10-", 10, Unsatisfiable),
        ("bytes=10-20,30-", 10, Unsatisfiable),
        ("bytes=-0", 10, Unsatisfiable),
        ("bytes=0-0", 0, Unsatisfiable),
        ("bytes=-0", 0, Unsatisfiable),
        // A suffix of an empty representation is satisfiable, and has no `Content-Range`.
        ("bytes=-1", 0, Whole),
        // Unsatisfiable ranges are omitted.
        ("bytes=0-0,10-20", 10, one(0..1)),
        // Section 15.3.7.2: overlaps and small gaps are merged, in ascending order.
        ("bytes=0-5,3-9", 1000, one(0..10)),
        ("bytes=3-9,0-5", 1000, one(0..10)),
        ("bytes=0-4,5-9", 1000, one(0..10)),
        ("bytes=0-4,84-99", 1000, one(0..100)),
        ("bytes=0-4,85-99", 1000, Several(vec![0..5, 85..100])),
        ("bytes=500-599,0-99", 1000, Several(vec![500..600, 0..100])),
        ("bytes=500-599,0-9,5-19", 1000, Several(vec![0..20, 500..600])),
        ("bytes=0-,0-,0-", 1000, one(0..1000)),
    ];
    for (value, length, expected) in cases {
        assert_eq!(
            Selection::parse(value.as_bytes(), *length),
            *expected,
            "{value} of {length}"
        );
    }
}

#[test]
fn more_ranges_than_the_limit_select_the_whole() {
    let field = |count: u64| {
        let ranges: Vec<_> = (0..count)
            .map(|place| format!("{}-{}", place * 1000, place * 1000 + 1))
            .collect();
        format!("bytes={}", ranges.join(","))
    };
    let limit = RANGE_LIMIT as u64;
    assert!(
        matches!(Selection::parse(field(limit).as_bytes(), 1 << 20), Several(ranges) if ranges.len() == RANGE_LIMIT)
    );
    assert_eq!(Selection::parse(field(limit + 1).as_bytes(), 1 << 20), Whole);
    let hostile = format!("bytes=0-{}", ",5-5".repeat(5_000));
    assert_eq!(Selection::parse(hostile.as_bytes(), 1 << 20), Whole);
}

#[test]
fn a_multipart_body_has_the_length_of_its_parts() {
    let ranges = [0..3, 5..6];
    let parts = PartHeads::new(&ranges, 10, "text/plain", "B");
    let body = format!("{}abc{}f{}", parts.heads[0], parts.heads[1], parts.end);
    assert_eq!(
        body,
        "--B\r\ncontent-type: text/plain\r\ncontent-range: bytes 0-2/10\r\n\r\nabc\
         \r\n--B\r\ncontent-type: text/plain\r\ncontent-range: bytes 5-5/10\r\n\r\nf\r\n--B--\r\n"
    );
    assert_eq!(parts.body_bytes(&ranges), body.len() as u64);
    assert_eq!(content_range(&(0..10), 10), "bytes 0-9/10");
}

/// Ranges with a gap of fewer bytes are sent as one.
const SMALLEST_GAP_BYTES: usize = 80;

/// The bytes that a field selects, one by one.
fn naive(value: &str, length: u64) -> Option<Vec<bool>> {
    let mut selected = vec![false; length as usize];
    for element in value
        .strip_prefix("bytes=")?
        .split(',')
        .filter(|element| !element.is_empty())
    {
        let (first, last) = element.split_once('-')?;
        for (place, selected) in selected.iter_mut().enumerate() {
            let place = place as u64;
            *selected |= match (first, last) {
                ("", last) => place + last.parse::<u64>().ok()? >= length,
                (first, "") => place >= first.parse().ok()?,
                (first, last) => (first.parse().ok()?..=last.parse().ok()?).contains(&place),
            };
        }
    }
    Some(selected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_byte_of_a_selection_is_requested_or_in_a_small_gap(
        elements in prop::collection::vec((0..400u64, 0..60u64, 0..3), 1..6),
        length in 0..400u64,
    ) {
        let elements: Vec<_> = elements.iter().map(|&(first, more, kind)| match kind {
            0 => format!("-{first}"),
            1 => format!("{first}-"),
            _ => format!("{first}-{}", first + more),
        }).collect();
        let value = format!("bytes={}", elements.join(","));
        let wanted = naive(&value, length).expect("a valid field");
        let ranges = match Selection::parse(value.as_bytes(), length) {
            Whole => {
                prop_assert_eq!(length, 0);
                vec![]
            }
            Unsatisfiable => vec![],
            Selection::One(range) => vec![range],
            Several(ranges) => ranges,
        };
        let mut sent = vec![0; length as usize];
        for range in &ranges {
            prop_assert!(range.start < range.end && range.end <= length);
            for place in range.clone() {
                sent[place as usize] += 1;
            }
        }
        for (place, (&is_wanted, &sent)) in wanted.iter().zip(&sent).enumerate() {
            prop_assert!(sent <= 1, "byte {place} is sent twice");
            prop_assert!(!is_wanted || sent == 1, "byte {place} is missing");
            let before = wanted[..place].iter().rev().position(|&wanted| wanted);
            let after = wanted[place..].iter().position(|&wanted| wanted);
            let is_in_a_gap = before.zip(after).is_some_and(|(before, after)| before + after < SMALLEST_GAP_BYTES);
            prop_assert!(is_wanted || sent == 0 || is_in_a_gap, "byte {place} was not requested");
        }
    }

    #[test]
    fn no_field_panics(value in prop::collection::vec(any::<u8>(), 0..40), length: u64) {
        let _ = Selection::parse(&value, length);
        let _ = Selection::parse(&[&b"bytes="[..], &value].concat(), length);
    }
}
