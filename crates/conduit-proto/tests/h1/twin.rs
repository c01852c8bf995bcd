//! The engine agrees with the naive parser, and accepts nothing that httparse rejects.

use proptest::prelude::*;

use crate::compare;

/// Lines and fragments from which heads are composed.
const LINES: &[&str] = &[
    "Host: a\r\n",
    "host: [::1]:80\r\n",
    "Host: [1:2:3:4:5:6:1.2.3.4]\r\n",
    "Host: [1:2::3:4:5:6:7]:\r\n",
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
    "Transfer-Encoding: , chunked\r\n",
    "Transfer-Encoding: chunked,\r\n",
    "Transfer-Encoding: ,\r\n",
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
    "GET http://b%41/c HTTP/1.1\r\n",
    "GET /a\"[\\]^{|}?[\\]^`{|} HTTP/1.1\r\n",
    "GET /a`b HTTP/1.1\r\n",
    "GET /a<b> HTTP/1.1\r\n",
    "GET /a?\"<b> HTTP/1.1\r\n",
    "GET https:///c HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "CONNECT a:443 HTTP/1.1\r\n",
    "CONNECT [::1]:443 HTTP/1.1\r\n",
    "CONNECT [::1] HTTP/1.1\r\n",
    "CONNECT a HTTP/1.1\r\n",
    "GET / HTTP/2.0\r\n",
    "GET  / HTTP/1.1\r\n",
    "GET / HTTP/1.1\n",
    "GET /\r\n",
    "G:T / HTTP/1.1\r\n",
];

/// Valid parts occur more often, so that some addresses are valid.
const PARTS_OF_ADDRESSES: &[&str] = &[
    ":",
    ":",
    ":",
    ":",
    "::",
    "1",
    "a:",
    "0:",
    "F0:",
    "00ff:",
    ":2",
    ":3",
    "12345",
    "1.2.3.4",
    "256.0.0.1",
    "01.2.3.4",
    "1.2.3",
];

const CHUNKS: &[&str] = &[
    "3\r\nabc\r\n",
    "0003;a=\"b\"\r\nabc\r\n",
    "A \t;x\r\n0123456789\r\n",
    "3 ; a = \"\\\"b\" ; c=d\r\nabc\r\n",
    "3;a=b;c\r\nabc\r\n",
    "3;\r\nabc\r\n",
    "3;a[=b\r\nabc\r\n",
    "3;a=\"b\r\nabc\r\n",
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

fn change(stream: &mut [u8], changes: Vec<(prop::sample::Index, u8)>) {
    for (index, byte) in changes {
        let at = index.index(stream.len());
        stream[at] = byte;
    }
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    let byte = prop_oneof![
        any::<u8>(),
        prop::sample::select(&b"\r\n\t :;,@[]%/*09aA#\0\x7f=\"\\?<>`"[..])
    ];
    prop::collection::vec((any::<prop::sample::Index>(), byte), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn head_agrees_with_the_naive_parser(
        first in prop::sample::select(REQUEST_LINES),
        rest in prop::collection::vec(prop::sample::select(LINES), 0..5),
        end in prop::bool::weighted(0.9),
        changes in changes(),
    ) {
        let mut stream = format!("{first}{}{}", rest.concat(), if end { "\r\n" } else { "" }).into_bytes();
        change(&mut stream, changes);
        // The naive parser does not handle empty lines before a request.
        prop_assume!(!stream.starts_with(b"\r"));
        compare::head_with_twin(&stream);
        compare::head_with_httparse(&stream);
    }

    #[test]
    fn bracketed_address_agrees_with_the_naive_parser(
        parts in prop::collection::vec(prop::sample::select(PARTS_OF_ADDRESSES), 0..18),
        line in prop::sample::select(&["GET / HTTP/1.1\r\nHost: [@]:80", "CONNECT [@]:80 HTTP/1.1\r\nHost: a"][..]),
    ) {
        compare::head_with_twin(format!("{}\r\n\r\n", line.replace('@', &parts.concat())).as_bytes());
    }

    #[test]
    fn chunks_agree_with_the_naive_parser(
        chunks in prop::collection::vec(prop::sample::select(CHUNKS), 1..8),
        changes in changes(),
    ) {
        let mut body = chunks.concat().into_bytes();
        change(&mut body, changes);
        compare::chunks_with_twin(&body);
    }
}
