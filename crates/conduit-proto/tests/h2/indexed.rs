//! Pseudo-fields of the static table, compared with the same fields as literals.

use conduit_proto::h2::Http2Limits;

use crate::drive::{Seen, Server};
use crate::frames::{END_HEADERS, END_STREAM, HEADERS, frame, literal};

/// The fields of the static table that requests have; the decoder takes some of them without a copy.
const STATIC_PSEUDO_FIELDS: [(u8, &str, &str); 6] = [
    (2, ":method", "GET"),
    (3, ":method", "POST"),
    (4, ":path", "/"),
    (5, ":path", "/index.html"),
    (6, ":scheme", "http"),
    (7, ":scheme", "https"),
];

/// All sequences of up to three fields of the static table after `:authority`, before and after another field: valid, repeated,
/// missing and misplaced ones, within the limit of the list and beyond it.
#[test]
fn indexed_and_literal_pseudo_fields_have_the_same_result() {
    let choices = STATIC_PSEUDO_FIELDS.len() + 2;
    let mut valid = 0;
    for number in 0..choices.pow(4) {
        let (mut indexed, mut literal) = (Vec::new(), Vec::new());
        let mut rest = number;
        while rest > 0 {
            match rest % choices {
                0 => literal_of(&mut [&mut indexed, &mut literal], "accept", "a"),
                1 => literal_of(&mut [&mut indexed, &mut literal], ":authority", "example.org"),
                choice => {
                    let (index, name, value) = STATIC_PSEUDO_FIELDS[choice - 2];
                    indexed.push(0x80 | index);
                    literal_of(&mut [&mut literal], name, value);
                }
            }
            rest /= choices;
        }
        for header_list_bytes in [120, 16 * 1024] {
            let limits = Http2Limits {
                header_list_bytes,
                ..Http2Limits::default()
            };
            let seen = [&indexed, &literal].map(|block| {
                let mut server = Server::open(&limits);
                server.receive(&frame(HEADERS, END_HEADERS | END_STREAM, 1, block));
                server.seen
            });
            assert_eq!(seen[0], seen[1], "{indexed:x?}");
            valid += usize::from(matches!(seen[0][..], [Seen::Request(..)]));
        }
    }
    assert!(valid > 0, "some of them are valid requests");
}

fn literal_of(blocks: &mut [&mut Vec<u8>], name: &str, value: &str) {
    for block in blocks {
        literal(block, 0, name.as_bytes(), value.as_bytes());
    }
}
