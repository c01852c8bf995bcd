//! The rows of the conformance table, and random frames, as the crate `h2` reads them.

use conduit_proto::h2::ErrorCode;
use proptest::prelude::*;

use crate::cases;
use crate::compare::{Agreement, compare};
use crate::frames::*;

#[test]
fn h2_reads_each_row_as_the_engine_or_rejects_less() {
    let (mut counts, mut failures) = ([0; 3], Vec::new());
    for case in cases::all() {
        let stream = match case.is_bare {
            true => case.input.clone(),
            false => [opening(), case.input.clone()].concat(),
        };
        // The preface has tests for itself.
        let Some(input) = stream.strip_prefix(PREFACE) else {
            continue;
        };
        match std::panic::catch_unwind(|| compare(input)) {
            Ok(agreement) => counts[agreement as usize] += 1,
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                failures.push(format!("{} {}: {text:.1500}", case.section, case.name));
            }
        }
    }
    assert!(failures.is_empty(), "{counts:?}\n{}", failures.join("\n\n"));
    let [same, engine, h2] = counts;
    eprintln!(
        "{same} rows are read the same, the engine rejects {engine} before h2, h2 rejects {h2} before the engine"
    );
    assert!(same > 300 && h2 < 10, "{counts:?}");
}

/// A stream that is idle, open or closed.
fn stream() -> impl Strategy<Value = u32> {
    prop_oneof![9 => (0_u32..6).prop_map(|index| 2 * index + 1), 1 => 0_u32..12]
}

/// Fields of a request: the usual pseudo-header fields with some others, a few of them invalid.
fn fields() -> impl Strategy<Value = Vec<u8>> {
    let method = prop::sample::select(vec!["GET", "POST", "CONNECT", "OPTIONS", "X-OWN", ""]);
    let path = prop::sample::select(vec!["/", "/a?b=c", "*", "/%zz", "a", "/a b", "/\u{fc}"]);
    let pseudo = (method, path, prop::bool::weighted(0.9)).prop_map(|(method, path, has_authority)| {
        let mut fields = pseudo(method, path).to_vec();
        fields.truncate(if has_authority { 4 } else { 3 });
        fields
    });
    let others = vec![
        ("cookie", "a=1"),
        ("cookie", "b=2"),
        ("host", "example.org"),
        ("host", "other"),
        ("te", "trailers"),
        ("te", "gzip"),
        ("connection", "close"),
        ("content-length", "5"),
        ("content-length", "05"),
        ("x-a", ""),
        ("x-b", " b"),
        ("X-C", "c"),
        (":path", "/twice"),
        (":protocol", "websocket"),
    ];
    let others = prop::collection::vec(prop::sample::select(others), 0..4);
    (pseudo, others).prop_map(|(pseudo, others)| block(&[pseudo, others].concat()))
}

/// One frame that a client may send, or must not.
fn one() -> impl Strategy<Value = Vec<u8>> {
    let bytes = |most| prop::collection::vec(any::<u8>(), 0..most);
    // END_STREAM, END_HEADERS and both, rarely PADDED or PRIORITY.
    let flags = prop_oneof![8 => prop::sample::select(vec![0_u8, 1, 4, 5]), 1 => any::<u8>()];
    prop_oneof![
        8 => (stream(), flags, fields()).prop_map(|(stream, flags, block)| frame(HEADERS, flags, stream, &block)),
        2 => (stream(), prop::sample::select(vec![0_u8, 4]), fields())
            .prop_map(|(stream, flags, block)| frame(CONTINUATION, flags, stream, &block[..block.len() / 2])),
        6 => (stream(), prop::sample::select(vec![0_u8, 1, 8]), bytes(20))
            .prop_map(|(stream, flags, payload)| frame(DATA, flags, stream, &payload)),
        2 => (stream(), 0_u32..16).prop_map(|(stream, code)| reset(stream, ErrorCode(code))),
        1 => (stream(), bytes(7)).prop_map(|(stream, payload)| frame(PRIORITY, 0, stream, &payload)),
        1 => (0_u16..10, any::<u32>()).prop_map(|(id, value)| settings(&[(id, value)])),
        1 => Just(ping()),
        1 => (stream(), 0_u32..1 << 31).prop_map(|(stream, increment)| window_update(stream, increment)),
        1 => (any::<u8>(), any::<u8>(), stream(), bytes(20))
            .prop_map(|(kind, flags, stream, payload)| frame(kind, flags, stream, &payload)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn h2_reads_random_frames_as_the_engine_or_rejects_less(frames in prop::collection::vec(one(), 1..20)) {
        let agreement = compare(&[settings(&[]), frames.concat()].concat());
        prop_assert!(matches!(agreement, Agreement::Same | Agreement::EngineStops | Agreement::H2Stops));
    }
}
