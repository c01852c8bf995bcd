//! Fields and pseudo-header fields of requests (RFC 9113, sections 8.2 and 8.3; RFC 8441).

use conduit_proto::h1::BodyLength;
use conduit_proto::h2::ErrorCode as E;

use super::Expect::{Request, Status, Stream};
use super::{Case, case, served};
use crate::frames::*;

type Fields<'a> = &'a [(&'a str, &'a str)];

const GET: (&str, &str) = (":method", "GET");
const CONNECT: (&str, &str) = (":method", "CONNECT");
const SCHEME: (&str, &str) = (":scheme", "https");
const PATH: (&str, &str) = (":path", "/");
const AUTHORITY: (&str, &str) = (":authority", "example.org");

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "8.3.1",
            "method, target, path, query and authority",
            request(1, &pseudo("PATCH", "/a/b?c=d?e")),
            Request(1, |request| {
                request.method == "PATCH"
                    && request.target == "/a/b?c=d?e"
                    && request.path == "/a/b"
                    && request.query.as_deref() == Some("c=d?e")
                    && request.authority.as_deref() == Some("example.org")
                    && request.headers.is_empty()
                    && request.body == BodyLength::None
            }),
        ),
        case(
            "8.3.1",
            "pseudo-header fields in another order",
            request(1, &[PATH, AUTHORITY, SCHEME, GET]),
            Request(1, |request| request.path == "/"),
        ),
        case(
            "8.3.1",
            "OPTIONS of the server",
            request(1, &pseudo("OPTIONS", "*")),
            Request(1, |request| request.path == "*"),
        ),
        case(
            "8.3.1",
            "host in place of :authority",
            request(1, &[GET, SCHEME, PATH, ("host", "a:80")]),
            Request(1, |request| request.authority.as_deref() == Some("a:80")),
        ),
        case(
            "8.3.1",
            "host equal to :authority",
            with_fields(1, &[("host", "example.ORG")]),
            Request(1, |request| request.authority.as_deref() == Some("example.org")),
        ),
        case(
            "8.3.1",
            "host that differs from :authority",
            with_fields(1, &[("host", "example.net")]),
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.3.1",
            "host twice",
            request(1, &[GET, SCHEME, PATH, ("host", "a"), ("host", "a")]),
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.3.1",
            "an empty host",
            request(1, &[GET, SCHEME, PATH, ("host", "")]),
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.3.1",
            "an unknown scheme without an authority",
            request(1, &[GET, (":scheme", "app+x"), PATH]),
            served(1),
        ),
        case(
            "8.3.1",
            "the length of a body",
            [post(1, "/", &[("content-length", "5")]), last_data(1, b"hello")],
            Request(1, |request| request.body == BodyLength::Exact(5)),
        ),
        case(
            "8.3.1",
            "a body of unknown length",
            [post(1, "/", &[]), last_data(1, b"hello")],
            Request(1, |request| request.body == BodyLength::Chunked),
        ),
        case(
            "8.2.1",
            "fields keep order and repetitions",
            with_fields(1, &[("b", "1"), ("a", "2"), ("b", "3")]),
            Request(1, |request| {
                let names: Vec<_> = request
                    .headers
                    .iter()
                    .map(|(name, value)| (&name[..], &value[..]))
                    .collect();
                names == [("b", &b"1"[..]), ("a", b"2"), ("b", b"3")]
            }),
        ),
        case("8.2.1", "an empty value", with_fields(1, &[("a", "")]), served(1)),
        case(
            "8.2.1",
            "white space within a value",
            with_fields(1, &[("a", "b \t c")]),
            served(1),
        ),
        case(
            "8.2.1",
            "bytes above 0x7f in a value",
            with_fields(1, &[("a", "ü")]),
            Request(1, |request| request.headers[0].1 == "ü".as_bytes()),
        ),
        case(
            "8.2.2",
            "te: trailers",
            with_fields(1, &[("te", "trailers")]),
            served(1),
        ),
        case(
            "8.2.2",
            "te: Trailers",
            with_fields(1, &[("te", "Trailers")]),
            served(1),
        ),
        case(
            "RFC 9218, 4",
            "an invalid priority is ignored",
            with_fields(1, &[("priority", "u=9, i=2, \"")]),
            served(1),
        ),
        case(
            "8.2.3",
            "the parts of a cookie are joined",
            with_fields(
                1,
                &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")],
            ),
            Request(1, |request| {
                request.headers
                    == [
                        ("x".to_owned(), b"y".to_vec()),
                        ("cookie".to_owned(), b"a=1; b=2; c=3".to_vec()),
                    ]
            }),
        ),
        case(
            "8.2.3",
            "empty parts of a cookie are joined",
            with_fields(1, &[("cookie", ""), ("cookie", "a=1"), ("cookie", "")]),
            Request(1, |request| {
                request.headers == [("cookie".to_owned(), b"; a=1; ".to_vec())]
            }),
        ),
        case(
            "8.2.3",
            "a whole cookie",
            with_fields(1, &[("cookie", "a=1; b=2"), ("x", "y")]),
            Request(1, |request| request.headers[0].1 == b"a=1; b=2"),
        ),
        case(
            "8.2.3",
            "host after the parts of a cookie",
            request(
                1,
                &[
                    GET,
                    SCHEME,
                    PATH,
                    ("cookie", "a=1"),
                    ("cookie", "b=2"),
                    ("host", "h"),
                    ("x", "y"),
                ],
            ),
            Request(1, |request| {
                request.authority.as_deref() == Some("h") && request.headers[2].1 == b"a=1; b=2"
            }),
        ),
        case(
            "8.5",
            "CONNECT",
            [
                frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &block(&[CONNECT, (":authority", "a.example:443")]),
                ),
                last_data(1, b"bytes"),
            ],
            Request(1, |request| {
                request.method == "CONNECT"
                    && request.path.is_empty()
                    && request.target == "a.example:443"
                    && request.authority.as_deref() == Some("a.example:443")
            }),
        ),
        case(
            "RFC 8441, 4",
            "extended CONNECT",
            [
                frame(
                    HEADERS,
                    END_HEADERS,
                    1,
                    &block(&[
                        CONNECT,
                        (":protocol", "websocket"),
                        SCHEME,
                        (":path", "/chat?a"),
                        AUTHORITY,
                    ]),
                ),
                last_data(1, b"bytes"),
            ],
            Request(1, |request| {
                request.method == "CONNECT"
                    && request.path == "/chat"
                    && request.protocol.as_deref() == Some("websocket")
            }),
        ),
        case(
            "RFC 9110, 10.1.1",
            "expect: 100-Continue without a body",
            with_fields(1, &[("expect", "100-Continue")]),
            served(1),
        ),
        case(
            "RFC 9110, 10.1.1",
            "an unknown expectation",
            with_fields(1, &[("expect", "tea")]),
            Status(vec![(1, "417")]),
        ),
        case(
            "RFC 9110, 10.1.1",
            "an unknown expectation before 100-continue, and a body",
            [
                post(1, "/", &[("expect", "tea"), ("expect", "100-continue")]),
                last_data(1, b"hello"),
            ],
            Status(vec![(1, "417")]),
        ),
        case(
            "RFC 9110, 10.1.1",
            "an unknown expectation of a malformed request",
            with_fields(1, &[("expect", "tea"), ("connection", "close")]),
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "RFC 9110, 6.5.1",
            "an expectation in trailers",
            [post(1, "/", &[]), trailers(1, &[("expect", "tea")])],
            served(1),
        ),
        case("10.5.1", "100 fields", many_fields(100), served(1)),
        case("10.5.1", "101 fields", many_fields(101), Status(vec![(1, "431")])),
        case(
            "10.5.1",
            "101 parts of a cookie",
            with_fields(1, &[("cookie", "a"); 101]),
            Status(vec![(1, "431")]),
        ),
        case(
            "10.5.1",
            "a field section of 65 KiB",
            large_field(65_600, true),
            Status(vec![(1, "431")]),
        ),
        case(
            "10.5.1",
            "a field section of 64 KB",
            large_field(64_000, true),
            served(1),
        ),
        case(
            "10.5.1",
            "a body after 431 is skipped",
            [large_field(65_600, false), data(1, b"hello"), last_data(1, b"")],
            Status(vec![(1, "431")]),
        ),
        case(
            "10.5.1",
            "a path longer than the limit of the section",
            with_path_length(65_536),
            Status(vec![(1, "431")]),
        ),
    ];
    let malformed: [(&str, &str, Fields); 38] = [
        (
            "8.3",
            "an unknown pseudo-header field",
            &[GET, SCHEME, PATH, AUTHORITY, (":unknown", "x")],
        ),
        (
            "8.3",
            "a pseudo-header field of responses",
            &[GET, SCHEME, PATH, AUTHORITY, (":status", "200")],
        ),
        ("8.3", "a colon alone", &[GET, SCHEME, PATH, AUTHORITY, (":", "x")]),
        (
            "8.3",
            "an upper-case pseudo-header field",
            &[(":Method", "GET"), SCHEME, PATH, AUTHORITY],
        ),
        (
            "8.3",
            "a pseudo-header field after a field",
            &[GET, SCHEME, PATH, ("a", "b"), AUTHORITY],
        ),
        ("8.3", ":method twice", &[GET, GET, SCHEME, PATH, AUTHORITY]),
        ("8.3", ":scheme twice", &[GET, SCHEME, SCHEME, PATH, AUTHORITY]),
        ("8.3", ":path twice", &[GET, SCHEME, PATH, PATH, AUTHORITY]),
        ("8.3", ":authority twice", &[GET, SCHEME, PATH, AUTHORITY, AUTHORITY]),
        ("8.3.1", "no fields", &[]),
        ("8.3.1", "no :method", &[SCHEME, PATH, AUTHORITY]),
        ("8.3.1", "no :scheme", &[GET, PATH, AUTHORITY]),
        ("8.3.1", "no :path", &[GET, SCHEME, AUTHORITY]),
        ("8.3.1", "no authority", &[GET, SCHEME, PATH]),
        ("8.3.1", "no authority with http", &[GET, (":scheme", "http"), PATH]),
        ("8.3.1", "an empty :method", &[(":method", ""), SCHEME, PATH, AUTHORITY]),
        ("8.3.1", "an empty :scheme", &[GET, (":scheme", ""), PATH, AUTHORITY]),
        ("8.3.1", "an empty :authority", &[GET, SCHEME, PATH, (":authority", "")]),
        (
            "8.3.1",
            "an empty :authority of another scheme",
            &[GET, (":scheme", "app"), PATH, (":authority", "")],
        ),
        (
            "8.3.1",
            "no authority with HTTPS in capitals",
            &[GET, (":scheme", "HTTPS"), PATH],
        ),
        (
            "8.5",
            "CONNECT with user information",
            &[CONNECT, (":authority", "user@a:443")],
        ),
        (
            "RFC 8441, 4",
            "extended CONNECT with the path *",
            &[CONNECT, (":protocol", "websocket"), SCHEME, (":path", "*"), AUTHORITY],
        ),
        (
            "8.3.1",
            "a space in :method",
            &[(":method", "GE T"), SCHEME, PATH, AUTHORITY],
        ),
        (
            "8.3.1",
            "an invalid scheme",
            &[GET, (":scheme", "1http"), PATH, AUTHORITY],
        ),
        (
            "8.3.1",
            "a scheme with a colon",
            &[GET, (":scheme", "http:"), PATH, AUTHORITY],
        ),
        (
            "8.5",
            "CONNECT with :scheme",
            &[CONNECT, SCHEME, (":authority", "a:443")],
        ),
        ("8.5", "CONNECT with :path", &[CONNECT, PATH, (":authority", "a:443")]),
        ("8.5", "CONNECT without :authority", &[CONNECT]),
        ("8.5", "CONNECT with host alone", &[CONNECT, ("host", "a:443")]),
        ("8.5", "CONNECT without a port", &[CONNECT, (":authority", "a")]),
        (
            "8.5",
            "CONNECT with an invalid port",
            &[CONNECT, (":authority", "a:65536")],
        ),
        (
            "RFC 8441, 4",
            "GET with :protocol",
            &[GET, (":protocol", "websocket"), SCHEME, PATH, AUTHORITY],
        ),
        (
            "RFC 8441, 4",
            "extended CONNECT without :path",
            &[CONNECT, (":protocol", "websocket"), SCHEME, AUTHORITY],
        ),
        (
            "RFC 8441, 4",
            "extended CONNECT without :scheme",
            &[CONNECT, (":protocol", "websocket"), PATH, AUTHORITY],
        ),
        (
            "RFC 8441, 4",
            "extended CONNECT without an authority",
            &[CONNECT, (":protocol", "websocket"), SCHEME, PATH],
        ),
        (
            "RFC 8441, 4",
            "an empty :protocol",
            &[CONNECT, (":protocol", ""), SCHEME, PATH, AUTHORITY],
        ),
        (
            "RFC 8441, 4",
            "a :protocol that is not a token",
            &[CONNECT, (":protocol", "web socket"), SCHEME, PATH, AUTHORITY],
        ),
        (
            "RFC 8441, 4",
            ":protocol twice",
            &[CONNECT, (":protocol", "a"), (":protocol", "a"), SCHEME, PATH, AUTHORITY],
        ),
    ];
    for (section, name, fields) in malformed {
        cases.push(case(section, name, request(1, fields), Stream(1, E::PROTOCOL_ERROR)));
    }
    for path in [
        "",
        "a",
        "*",
        "?a",
        "/a b",
        "/a#b",
        "/a\tb",
        "/ü",
        "/<",
        "//\0",
        "http://a/",
        "/a\r\nb: c",
        "/?<",
    ] {
        cases.push(case(
            "8.3.1",
            format!("the path {path:?}"),
            request(1, &pseudo("GET", path)),
            Stream(1, E::PROTOCOL_ERROR),
        ));
    }
    for path in ["//a", "/%2f", "/;a,b=c", "/[x]", "/a?b?c", "/?", "/..", "/a%zz"] {
        cases.push(case(
            "8.3.1",
            format!("the path {path:?}"),
            request(1, &pseudo("GET", path)),
            served(1),
        ));
    }
    for authority in [
        "user@a",
        "user:password@a",
        "a/b",
        "a b",
        "a:b",
        "a:65536",
        "[::1",
        "[x]",
        "a?b",
        "a,b\r\n",
        "a:1:2",
    ] {
        let fields = [GET, SCHEME, PATH, (":authority", authority)];
        cases.push(case(
            "8.3.1",
            format!("the authority {authority:?}"),
            request(1, &fields),
            Stream(1, E::PROTOCOL_ERROR),
        ));
    }
    for authority in ["a", "a:", "a:8080", "[::1]", "[::1]:443", "127.0.0.1", "xn--a.example"] {
        let fields = [GET, SCHEME, PATH, (":authority", authority)];
        cases.push(case(
            "8.3.1",
            format!("the authority {authority:?}"),
            request(1, &fields),
            served(1),
        ));
    }
    for name in [
        "", "A", "Accept", "aB", "a b", "a:", "a\0", "a\n", "a\r", "a\t", "ü", "a\x7f", "a(", "a,", "a/", "a@",
    ] {
        cases.push(case(
            "8.2.1",
            format!("the name {name:?}"),
            with_fields(1, &[(name, "x")]),
            Stream(1, E::PROTOCOL_ERROR),
        ));
    }
    for value in [
        "a\0", "a\nb", "a\rb", "a\r\n b", " a", "a ", "\ta", "a\t", " ", "a\x01", "a\x7f", "a\x1b",
    ] {
        cases.push(case(
            "8.2.1",
            format!("the value {value:?}"),
            with_fields(1, &[("a", value)]),
            Stream(1, E::PROTOCOL_ERROR),
        ));
    }
    for (name, value) in [
        ("connection", "close"),
        ("connection", "keep-alive"),
        ("proxy-connection", "close"),
        ("keep-alive", "5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
        ("te", ""),
    ] {
        let input = with_fields(1, &[(name, value)]);
        cases.push(case(
            "8.2.2",
            format!("{name}: {value}"),
            input,
            Stream(1, E::PROTOCOL_ERROR),
        ));
    }
    cases
}

fn many_fields(count: usize) -> Vec<u8> {
    with_fields(1, &vec![("a", "b"); count])
}

/// A request whose section has about this number of bytes.
fn large_field(bytes: usize, end_stream: bool) -> Vec<u8> {
    let value = "x".repeat(bytes / 8 - 32 - 1);
    let mut fields = pseudo("GET", "/").to_vec();
    fields.extend([("a", &value[..]); 8]);
    in_frames(&block(&fields), end_stream)
}

fn with_path_length(length: usize) -> Vec<u8> {
    let path = format!("/{}", "x".repeat(length - 1));
    in_frames(&block(&pseudo("GET", &path)), true)
}

/// HEADERS on stream 1, and CONTINUATION.
fn in_frames(block: &[u8], end_stream: bool) -> Vec<u8> {
    let parts: Vec<_> = block.chunks(16_384).collect();
    let mut input = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let end_headers = if index + 1 == parts.len() { END_HEADERS } else { 0 };
        match index {
            0 => input.extend(frame(HEADERS, end_headers | u8::from(end_stream), 1, part)),
            _ => input.extend(frame(CONTINUATION, end_headers, 1, part)),
        }
    }
    input
}
