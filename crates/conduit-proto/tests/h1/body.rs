//! The length of a request body, and the chunked coding: RFC 9112, sections 6 and 7.

use conduit_proto::h1::{Limits, Reason};

use crate::drive::{Seen, run_byte_by_byte, run_whole};
use crate::head::{Case, Expect, check, run_every_way};

use Expect::{Accept, Refuse, Wait};

const R: &str = "POST / HTTP/1.1\r\nHost: a\r\n";

#[rustfmt::skip]
const LENGTHS: &[Case] = &[
    ("6.2", "a length of zero", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", Accept(1)),
    ("6.2", "a length with leading zeros", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0003\r\n\r\nabc", Accept(1)),
    ("6.3", "a request without a length has no body", b"POST / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Accept(2)),
    ("6.2", "a body for GET", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", Accept(1)),
    ("9110 8.6", "a length with a plus", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde", Refuse(400, Reason::ContentLength)),
    ("9110 8.6", "a negative length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", Refuse(400, Reason::ContentLength)),
    ("9110 8.6", "an empty length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", Refuse(400, Reason::ContentLength)),
    ("9110 8.6", "a length in hexadecimal", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", Refuse(400, Reason::ContentLength)),
    ("9110 8.6", "a length with a space inside", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 2\r\n\r\n", Refuse(400, Reason::ContentLength)),
    ("9110 8.6", "a list of equal lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nabcde", Refuse(400, Reason::ContentLength)),
    ("9110 8.6", "a list of different lengths", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\nabcde", Refuse(400, Reason::ContentLength)),
    ("9110 8.6", "equal lengths in two fields", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde", Refuse(400, Reason::RepeatedContentLength)),
    ("6.3", "different lengths in two fields", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\ncontent-length: 6\r\n\r\nabcde", Refuse(400, Reason::RepeatedContentLength)),
    ("9110 8.6", "the largest possible length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n", Accept(1)),
    ("9110 8.6", "a length that overflows", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n", Refuse(400, Reason::ContentLength)),
    ("9110 8.6", "a length that overflows when multiplied", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", Refuse(400, Reason::ContentLength)),
    ("9110 5.6.1", "an empty element after a length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,\r\n\r\nabcde", Refuse(400, Reason::ContentLength)),
    ("9110 5.6.1", "an empty element before a length", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ,5\r\n\r\nabcde", Refuse(400, Reason::ContentLength)),
    ("6.1", "a length and chunked", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refuse(400, Reason::AmbiguousLength)),
    ("6.1", "chunked and a length", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", Refuse(400, Reason::AmbiguousLength)),
    ("6.1", "a length of zero and chunked", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refuse(400, Reason::AmbiguousLength)),
    ("6.1", "a length and an unknown coding", b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n", Refuse(400, Reason::AmbiguousLength)),
    ("6.1", "chunked in any case", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ChUnKeD\r\n\r\n0\r\n\r\n", Accept(1)),
    ("6.1", "a coding before chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", Refuse(501, Reason::UnknownTransferCoding)),
    ("6.1", "a coding before chunked in another field", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refuse(501, Reason::UnknownTransferCoding)),
    ("6.1", "chunked twice", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("6.1", "chunked in two fields", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("6.3", "chunked that is not last", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("6.3", "chunked and identity in another field", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("6.3", "identity", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("6.3", "a coding that ends like chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("6.3", "chunked in quotes", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("7", "chunked with a parameter", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("6.1", "an empty coding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("9110 5.6.1", "an empty coding before chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("9110 5.6.1", "an empty coding after chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("9110 5.6.1", "an empty coding and white space after chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, \t\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("9110 5.6.1", "an empty coding before another one", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip,,chunked\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("9110 5.6.1", "only empty codings", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , ,\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("6.1", "an empty coding between two chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, , chunked\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("6.1", "an empty line before chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("6.1", "a vertical tab before chunked", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", Refuse(400, Reason::FieldValue)),
    ("6.1", "chunked after a no-break space", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \xa0chunked\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncoding)),
    ("6.1", "chunked in HTTP/1.0", b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refuse(400, Reason::TransferEncodingVersion)),
    ("6.1", "a space before the colon of Transfer-Encoding", b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", Refuse(400, Reason::SpaceBeforeColon)),
];

/// The bytes after a chunked head, and their result.
#[rustfmt::skip]
const CHUNKS: &[(&str, &str, &[u8], Expect)] = &[
    ("7.1", "no chunk", b"0\r\n\r\n", Accept(1)),
    ("7.1", "a size in either case", b"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", Accept(1)),
    ("7.1", "leading zeros", b"003\r\nabc\r\n000\r\n\r\n", Accept(1)),
    ("7.1", "sixteen digits", b"0000000000000003\r\nabc\r\n0\r\n\r\n", Accept(1)),
    ("7.1", "seventeen digits", b"00000000000000003\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkSize)),
    ("7.1", "the largest size", b"7fffffffffffffff\r\n", Accept(1)),
    ("7.1", "a size of 2^63", b"8000000000000000\r\n", Refuse(400, Reason::ChunkSize)),
    ("7.1", "a size that overflows", b"10000000000000003\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkSize)),
    ("7.1", "an empty size", b"\r\n", Refuse(400, Reason::ChunkSize)),
    ("7.1", "an empty size with an extension", b";a\r\n", Refuse(400, Reason::ChunkSize)),
    ("7.1", "a size with a sign", b"+3\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkSize)),
    ("7.1", "a negative size", b"-3\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkSize)),
    ("7.1", "a size with 0x", b"0x3\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkSize)),
    ("7.1", "a size with an underscore", b"1_0\r\n", Refuse(400, Reason::ChunkSize)),
    ("7.1", "a space before a size", b" 3\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkSize)),
    ("7.1", "a space after a size", b"3 \r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkSize)),
    ("7.1", "a size that ends in LF", b"3\nabc\r\n0\r\n\r\n", Refuse(400, Reason::LineEnd)),
    ("7.1", "a size that ends in CR", b"3\rabc\r\n0\r\n\r\n", Refuse(400, Reason::LineEnd)),
    ("7.1", "data longer than its size", b"2\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkEnd)),
    ("7.1", "data shorter than its size", b"4\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkEnd)),
    ("7.1", "data that ends in LF", b"3\r\nabc\n0\r\n\r\n", Refuse(400, Reason::ChunkEnd)),
    ("7.1", "data that ends in CR", b"3\r\nabc\r0\r\n\r\n", Refuse(400, Reason::ChunkEnd)),
    ("7.1.1", "an extension", b"3;a=b;c=\"d;e\"\r\nabc\r\n0;f\r\n\r\n", Accept(1)),
    ("7.1.1", "white space before an extension", b"3 \t;a\r\nabc\r\n0\r\n\r\n", Accept(1)),
    ("7.1.1", "white space around every part of an extension", b"3 ; \ta \t= \tb \t; c = \"d\" ;e\r\nabc\r\n0\r\n\r\n", Accept(1)),
    ("7.1.1", "a quoted value with escapes and obs-text", b"3;a=\"\\\"\\\\ \xff\t;\"\r\nabc\r\n0\r\n\r\n", Accept(1)),
    ("7.1.1", "an empty quoted value", b"3;a=\"\"\r\nabc\r\n0\r\n\r\n", Accept(1)),
    ("7.1.1", "no name", b"3;\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "no name between two semicolons", b"3;a;;b\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "no name after white space", b"3; \t\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "no name before a value", b"3;=b\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "no value", b"3;a=\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "no value before another extension", b"3;a=;b\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "white space at the end of a name", b"3;a \r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "white space at the end of a token", b"3;a=b \r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "white space at the end of a quoted value", b"3;a=\"b\"\t\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "two names", b"3;a b\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "two values", b"3;a=b c\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "two values with two equals signs", b"3;a=b=c\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "a name that is not a token", b"3;bad[=x\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "a name in quotes", b"3;\"a\"\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "a name of obs-text", b"3;\xe4\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "a value that is not a token", b"3;a=b[c]\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "a value of obs-text", b"3;a=\xe4\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "a quoted value that does not end", b"3;a=\"b\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "a quoted value that ends in an escape", b"3;a=\"b\\\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "an escaped control byte", b"3;a=\"\\\x01\"\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "a token after a quoted value", b"3;a=\"b\"c\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "a quoted value inside of a token", b"3;a=b\"c\"\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.1", "an extension that ends in LF", b"3;a\nabc\r\n0\r\n\r\n", Refuse(400, Reason::LineEnd)),
    ("7.1.1", "CR in an extension", b"3;a\rb\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::LineEnd)),
    ("7.1.1", "NUL in an extension", b"3;a\0\r\nabc\r\n0\r\n\r\n", Refuse(400, Reason::ChunkExtension)),
    ("7.1.2", "trailers", b"3\r\nabc\r\n0\r\nX: y\r\nZ: w\r\n\r\n", Accept(1)),
    ("7.1.2", "a folded trailer", b"0\r\nX: y\r\n z\r\n\r\n", Refuse(400, Reason::Folding)),
    ("7.1.2", "a trailer with a space before its colon", b"0\r\nX : y\r\n\r\n", Refuse(400, Reason::SpaceBeforeColon)),
    ("7.1.2", "a trailer that ends in LF", b"0\r\nX: y\n\r\n", Refuse(400, Reason::LineEnd)),
    ("7.1.2", "trailers that end in LF", b"0\r\n\n", Refuse(400, Reason::LineEnd)),
    ("7.1", "a pipelined request after the chunks", b"1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Accept(2)),
    ("7.1", "an incomplete chunk", b"5\r\nabc", Accept(1)),
];

#[test]
fn body_length_is_unambiguous() {
    check(LENGTHS);
}

#[test]
fn chunks_are_parsed_strictly() {
    for (section, name, chunks, expect) in CHUNKS {
        let name = format!("{name} (section {section})");
        let mut stream = format!("{R}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
        stream.extend_from_slice(chunks);
        let seen = run_every_way(&name, &stream);
        match expect {
            Accept(requests) => {
                assert_eq!(seen.error(), None, "{name}");
                assert_eq!(seen.requests().len(), *requests, "{name}");
            }
            Refuse(status, reason) => {
                let (found, found_reason) = seen.error().unwrap_or_else(|| panic!("taken: {name}"));
                assert_eq!((found.as_u16(), found_reason), (*status, *reason), "{name}");
            }
            Wait => unreachable!("the head of {name} is complete"),
        }
    }
}

fn chunked(rest: &str) -> String {
    format!("{R}Transfer-Encoding: chunked\r\n\r\n{rest}")
}

#[test]
fn chunked_body_has_data_and_trailers() {
    let stream = chunked("3;x\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nX-Sum:  7 \r\nx-sum: 8\r\n\r\n");
    let seen = run_every_way("chunked", stream.as_bytes());
    assert_eq!(seen.body(), b"abc0123456789abcdef");
    let trailers = vec![("x-sum".to_owned(), b"7".to_vec()), ("x-sum".to_owned(), b"8".to_vec())];
    assert!(seen.seen.contains(&Seen::End(trailers)));
}

#[test]
fn framing_and_routing_trailers_are_removed() {
    let stream =
        chunked("0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\nHost: b\r\nAuthorization: c\r\nX: y\r\n\r\n");
    let seen = run_every_way("trailers", stream.as_bytes());
    assert!(seen.seen.contains(&Seen::End(vec![("x".to_owned(), b"y".to_vec())])));
    assert_eq!(seen.requests()[0].headers.len(), 2);
    assert_eq!(seen.requests()[0].authority.as_deref(), Some("a"));
}

#[test]
fn trailers_count_towards_the_limits_of_the_head() {
    let head = chunked("");
    let trailers = "X: y\r\nZ: w\r\n";
    let stream = format!("{head}0\r\n{trailers}\r\n");
    let exact = Limits {
        head_bytes: head.len() + trailers.len(),
        headers: 4,
    };
    let error = |limits: &Limits| {
        let seen = run_whole(stream.as_bytes(), limits);
        assert_eq!(run_byte_by_byte(stream.as_bytes(), limits), seen);
        seen.error().map(|(status, reason)| (status.as_u16(), reason))
    };
    assert_eq!(error(&exact), None);
    let too_large = Some((431, Reason::TrailersTooLarge));
    assert_eq!(
        error(&Limits {
            head_bytes: exact.head_bytes - 1,
            ..exact
        }),
        too_large
    );
    assert_eq!(error(&Limits { headers: 3, ..exact }), too_large);
}

#[test]
fn chunk_extensions_share_one_limit() {
    let limits = Limits {
        head_bytes: 100,
        headers: 10,
    };
    let chunk = "1;456789\r\nx\r\n";
    let stream = |chunks: usize| chunked(&format!("{}0\r\n\r\n", chunk.repeat(chunks)));
    let (fits, exceeds) = (stream(16), stream(17));
    assert_eq!(run_whole(fits.as_bytes(), &limits).error(), None);
    let seen = run_whole(exceeds.as_bytes(), &limits);
    assert_eq!(seen.error().expect("too much").1, Reason::ChunkExtension);
    assert_eq!(run_byte_by_byte(exceeds.as_bytes(), &limits), seen);
}

#[test]
fn empty_body_of_known_length_has_no_end_event() {
    let seen = run_every_way("empty", format!("{R}Content-Length: 0\r\n\r\n").as_bytes());
    assert!(!seen.seen.iter().any(|seen| matches!(seen, Seen::End(_))));
}

#[test]
fn end_of_body_requires_no_further_input() {
    let seen = run_whole(
        format!("{R}Content-Length: 3\r\n\r\nabc").as_bytes(),
        &Limits::default(),
    );
    assert_eq!(seen.seen.last(), Some(&Seen::End(Vec::new())));
    assert_eq!(seen.body(), b"abc");
}
