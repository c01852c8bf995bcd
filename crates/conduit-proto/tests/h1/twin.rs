//! The engine reads as its naive twin does.

use conduit_proto::h1::{BodyLength, Limits};
use proptest::prelude::*;

use crate::drive::{Seen, run_whole};
use crate::naive::{self, Naive};

/// Lines, and pieces of lines, of which heads are put together.
const LINES: &[&str] = &[
    "Host: a\r\n",
    "host: [::1]:80\r\n",
    "HOST: a.example:65535\r\n",
    "Host: a:65536\r\n",
    "Host: a%2fb\r\n",
    "Host: a b\r\n",
    "Host:\r\n",
    "Accept: \t text/html \t\r\n",
    "X: \u{e4}\u{f6}\r\n",
    "Content-Length: 3\r\n",
    "content-length: 0\r\n",
    "Content-Length: 18446744073709551616\r\n",
    "Content-Length: 3, 3\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding: gzip, Chunked\r\n",
    "Transfer-Encoding: chunked, chunked\r\n",
    "Transfer-Encoding: identity\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive, x\r\n",
    "Expect: 100-continue\r\n",
    "Expect: x\r\n",
    " folded\r\n",
    "Name : value\r\n",
    "no colon\r\n",
    "LF: only\n",
    "CR: in\rside\r\n",
    "NUL: \0\r\n",
];

const REQUEST_LINES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "GET /a?b=%20 HTTP/1.1\r\n",
    "POST /a HTTP/1.0\r\n",
    "PATCH /a HTTP/1.9\r\n",
    "GET http://b:8/c?d HTTP/1.1\r\n",
    "GET http://b?d HTTP/1.1\r\n",
    "GET https:///c HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "CONNECT a:443 HTTP/1.1\r\n",
    "CONNECT [::1]:443 HTTP/1.1\r\n",
    "CONNECT a HTTP/1.1\r\n",
    "GET / HTTP/2.0\r\n",
    "GET  / HTTP/1.1\r\n",
    "GET / HTTP/1.1\n",
    "GET /\r\n",
    "G:T / HTTP/1.1\r\n",
];

const CHUNKS: &[&str] = &[
    "3\r\nabc\r\n",
    "0003;a=\"b\"\r\nabc\r\n",
    "A \t;x\r\n0123456789\r\n",
    "1\r\n\r\r\n",
    "0\r\n",
    "\r\n",
    "0\r\n\r\n",
    "X: y\r\n",
    "3\r\nabcd\r\n",
    "3\nabc\r\n",
    "3 \r\nabc\r\n",
    "g\r\n",
    "ffffffffffffffff\r\n",
    ";\r\n",
    "3;\0\r\nabc\r\n",
];

fn change(stream: &mut Vec<u8>, changes: Vec<(prop::sample::Index, u8)>) {
    for (index, byte) in changes {
        let at = index.index(stream.len());
        stream[at] = byte;
    }
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    let byte = prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n\t :;,@[]%/*09aA#\0\x7f"[..])];
    prop::collection::vec((any::<prop::sample::Index>(), byte), 0..3)
}

/// Holds the engine's reading of a head to the twin's.
fn compare_head(stream: &[u8]) -> Result<(), TestCaseError> {
    let seen = run_whole(stream, &Limits::default());
    match (naive::head(stream), seen.seen.first()) {
        (Naive::Incomplete, None) => {}
        (Naive::Refused(statuses), Some(Seen::Error(status, ..))) => {
            prop_assert!(statuses.contains(&status.as_u16()), "{statuses:?} {status}");
        }
        (Naive::Accepted(twin), Some(Seen::Request(request))) => {
            prop_assert_eq!(&request.method, &twin.method);
            prop_assert_eq!(&request.target, &twin.target);
            prop_assert_eq!(&request.headers, &twin.headers);
            prop_assert_eq!(request.body, twin.body);
            prop_assert_eq!(request.keep_alive, twin.keep_alive);
            prop_assert_eq!(request.expects_continue, twin.expects_continue);
            prop_assert!(twin.length <= stream.len());
        }
        (twin, seen) => prop_assert!(false, "the twin says {twin:?}, the engine {seen:?}"),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_head_is_read_as_the_twin_reads_it(
        first in prop::sample::select(REQUEST_LINES),
        rest in prop::collection::vec(prop::sample::select(LINES), 0..5),
        end in prop::bool::weighted(0.9),
        changes in changes(),
    ) {
        let mut stream = format!("{first}{}{}", rest.concat(), if end { "\r\n" } else { "" }).into_bytes();
        change(&mut stream, changes);
        // Empty lines before a request are not the twin's matter.
        prop_assume!(!stream.starts_with(b"\r"));
        compare_head(&stream)?;
    }

    #[test]
    fn chunks_are_decoded_as_the_twin_decodes_them(
        chunks in prop::collection::vec(prop::sample::select(CHUNKS), 1..8),
        changes in changes(),
    ) {
        let mut body = chunks.concat().into_bytes();
        change(&mut body, changes);
        let mut stream = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        stream.extend_from_slice(&body);
        let seen = run_whole(&stream, &Limits::default());
        prop_assert_eq!(seen.requests()[0].body, BodyLength::Chunked);
        let ended = seen.seen.iter().position(|seen| matches!(seen, Seen::End(_)));
        match naive::chunked(&body) {
            // The twin judges whole lines, the engine each byte: it may know of an error before.
            Naive::Incomplete => prop_assert_eq!(ended, None),
            Naive::Refused(statuses) => {
                prop_assert_eq!(ended, None);
                let (status, _) = seen.error().expect("the twin refuses it");
                prop_assert!(statuses.contains(&status.as_u16()));
            }
            Naive::Accepted((data, length)) => {
                prop_assert!(ended.is_some() && length <= body.len());
                let first: Vec<u8> = seen.seen[..ended.unwrap_or(0)]
                    .iter()
                    .flat_map(|seen| match seen {
                        Seen::Body(piece) => &piece[..],
                        _ => &[],
                    })
                    .copied()
                    .collect();
                prop_assert_eq!(first, data);
            }
        }
    }
}
