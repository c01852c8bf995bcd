//! The behaviour does not depend on the division of a stream into pieces.

use conduit_proto::h1::Limits;
use proptest::prelude::*;

use crate::drive::{cut, run, run_byte_by_byte, run_whole};

/// Building blocks of streams: whole requests, and critical fragments.
const PARTS: &[&str] = &[
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET /stream HTTP/1.1\r\nHost: a\r\nAccept: text/html, */*;q=0.5\r\n\r\n",
    "GET /stream HTTP/1.0\r\n\r\n",
    "HEAD /a?b HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
    "POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\nabcde",
    "POST /continue HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "POST /early HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
    "POST /stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
    "POST /early HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1a\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\nX: y\r\nZ: w\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\n",
    "Host: a\r\n",
    "X: 0123456789 \t \u{e4} 0123456789\r\n",
    "Content-Length: 3\r\n",
    "0\r\n",
    "\r\n",
    "\r",
    "\n",
    " ",
    ":",
    "abc",
    "HTTP/1.1",
];

/// Valid streams, streams with a few changed bytes, and random bytes.
pub(crate) fn streams() -> impl Strategy<Value = Vec<u8>> {
    let parts = prop::collection::vec(prop::sample::select(PARTS), 1..6).prop_map(|parts| parts.concat().into_bytes());
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(&b"\r\n\t :;,/*0159aAxX\0\x7f\xff"[..]),
    ];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), byte, 0..3_u8), 0..4);
    let changed = (parts, changes).prop_map(|(mut stream, changes)| {
        for (index, byte, kind) in changes {
            let at = index.index(stream.len());
            match kind {
                0 => stream[at] = byte,
                1 => stream.insert(at, byte),
                _ if stream.len() > 1 => drop(stream.remove(at)),
                _ => {}
            }
        }
        stream
    });
    prop_oneof![
        8 => changed,
        1 => prop::collection::vec(any::<u8>(), 1..64),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn events_and_responses_do_not_depend_on_the_split(
        stream in streams(),
        lengths in prop::collection::vec(0..40_usize, 0..12),
        small in any::<bool>(),
    ) {
        let limits = if small {
            Limits { head_bytes: 64, headers: 2 }
        } else {
            Limits::default()
        };
        let whole = run_whole(&stream, &limits);
        prop_assert_eq!(&run(cut(&stream, &lengths), &limits), &whole);
        prop_assert_eq!(&run_byte_by_byte(&stream, &limits), &whole);
    }
}
