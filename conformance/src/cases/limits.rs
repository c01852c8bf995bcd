//! Limits: a head of 1,024 bytes, 20 fields, a body of 1,000 bytes.

use crate::case::{Case, ok, problem, repeated, status};

const OPEN: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n";
const CHUNKED: &[u8] = b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

/// One row each: name and section, bytes as pieces with repetitions, outcome. Without an outcome: 400 and a close.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    repeated("a head as long as the limit", "9110 5.4", &[(OPEN, 1), (b"X: ", 1), (b"v", 992), (b"\r\n\r\n", 1)])
        .kept(&[ok("root")]),
    repeated("a head one byte over the limit", "9110 5.4", &[(OPEN, 1), (b"X: ", 1), (b"v", 993), (b"\r\n\r\n", 1)])
        .refused(431),
    repeated("a head without an end", "9110 5.4", &[(OPEN, 1), (b"X: ", 1), (b"v", 3000)])
        .refused(431),
    repeated("a field's name without an end", "9110 5.4", &[(OPEN, 1), (b"n", 3000)])
        .refused(431),
    repeated("fields without an end", "9110 5.4", &[(OPEN, 1), (b"X-Long-Name: a long value, as sent, unchanged\r\n", 60)])
        .refused(431),
    repeated("white space without an end", "9110 5.4", &[(OPEN, 1), (b"X:", 1), (b" ", 3000)])
        .refused(431),
    repeated("as many fields as the limit", "9110 5.4", &[(OPEN, 1), (b"X: y\r\n", 19), (b"\r\n", 1)])
        .kept(&[ok("root")]),
    repeated("one field over the limit", "9110 5.4", &[(OPEN, 1), (b"X: y\r\n", 20), (b"\r\n", 1)])
        .refused(431),
    repeated("200 fields", "9110 5.4", &[(OPEN, 1), (b"a:\r\n", 200), (b"\r\n", 1)])
        .refused(431),
    repeated("the limit applies to each head separately", "9110 5.4", &[(OPEN, 1), (b"X: ", 1), (b"v", 900), (b"\r\n\r\n", 1), (OPEN, 1), (b"X: ", 1), (b"v", 900), (b"\r\n\r\n", 1)])
        .kept(&[ok("root"), ok("root")]),
    repeated("a target of 900 bytes", "9112 3", &[(b"GET /seen/", 1), (b"a", 900), (b" HTTP/1.1\r\nHost: a\r\n\r\n", 1)])
        .kept(&[status(200)]),
    repeated("a target over the limit", "9110 15.5.15", &[(b"GET /", 1), (b"a", 1100), (b" HTTP/1.1\r\nHost: a\r\n\r\n", 1)])
        .refused(414),
    repeated("a target without an end", "9110 15.5.15", &[(b"GET /", 1), (b"a", 3000)])
        .refused(414),
    repeated("a query over the limit", "9110 15.5.15", &[(b"GET /?", 1), (b"a=b&", 300), (b" HTTP/1.1\r\nHost: a\r\n\r\n", 1)])
        .refused(414),
    repeated("a method without an end", "9112 3", &[(b"G", 3000)])
        .refused(501),
    repeated("a method of 900 bytes", "9110 9.1", &[(b"M", 900), (b" / HTTP/1.1\r\nHost: a\r\n\r\n", 1)])
        .kept(&[status(501)]),
    repeated("empty lines without an end", "9112 2.2", &[(b"\r\n", 500)]),

    repeated("a body as long as the limit", "9110 15.5.14",
        &[(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n", 1), (b"b", 1000)])
        .kept(&[status(200).with(&[("content-length", "1000")])]),
    repeated("a body declared over the limit", "9110 15.5.14",
        &[(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n", 1), (b"b", 2000)])
        .refused(413),
    repeated("a body with an excessive declared length", "9110 15.5.14",
        &[(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551615\r\n\r\n", 1), (b"b", 2000)])
        .refused(413),
    repeated("a body declared over the limit and awaited", "9110 10.1.1",
        &[(b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\nExpect: 100-continue\r\n\r\n", 1)])
        .refused(413),
    repeated("a chunk over the limit", "9110 15.5.14", &[(CHUNKED, 1), (b"ffffff\r\n", 1), (b"b", 2000)])
        .refused(413),
    repeated("chunks that are over the limit together", "9110 15.5.14", &[(CHUNKED, 1), (b"64\r\n", 1), (b"b", 100), (b"\r\n12c\r\n", 1), (b"b", 300), (b"\r\nfffff\r\n", 1), (b"b", 2000)])
        .refused(413),
    repeated("chunked as long as the limit", "9110 15.5.14", &[(CHUNKED, 1), (b"3e8\r\n", 1), (b"b", 1000), (b"\r\n0\r\n\r\n", 1)])
        .kept(&[status(200).with(&[("content-length", "1000")])]),
    repeated("an ignored body over the limit", "9112 9.3",
        &[(b"POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n", 1), (b"b", 5000)])
        .kept(&[ok("ignored")]),
    repeated("an ignored body that is too long to skip", "9112 9.3",
        &[(b"POST /ignore HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n", 1), (b"b", 100)])
        .closed(&[ok("ignored").with(&[("connection", "close")])])
        .choice("a server reads the rest of a body or closes; above 64 KiB it closes"),

    repeated("an extension as long as the limit", "9112 7.1.1", &[(CHUNKED, 1), (b"1;", 1), (b"e", 1024), (b"\r\na\r\n0\r\n\r\n", 1)])
        .kept(&[ok("a")]),
    repeated("an extension over the limit", "9112 7.1.1", &[(CHUNKED, 1), (b"1;", 1), (b"e", 1025), (b"\r\na\r\n0\r\n\r\n", 1)]),
    repeated("an extension without an end", "9112 7.1.1", &[(CHUNKED, 1), (b"1;", 1), (b"e", 3000)]),
    repeated("extensions that are over the limit together", "9112 7.1.1", &[(CHUNKED, 1), (b"1;eeeeeeeeee\r\na\r\n", 200), (b"0\r\n\r\n", 1)]),
    repeated("endless white space after a size", "9112 7.1.1", &[(CHUNKED, 1), (b"1", 1), (b" ", 3000)]),
    repeated("zeros without an end", "9112 7.1", &[(CHUNKED, 1), (b"0", 3000)]),
    repeated("a trailer without an end", "9112 7.1.2", &[(CHUNKED, 1), (b"0\r\nX: ", 1), (b"v", 3000)])
        .refused(431),
    repeated("trailers without an end", "9112 7.1.2", &[(CHUNKED, 1), (b"0\r\n", 1), (b"X: a value that is not short\r\n", 100)])
        .refused(431),
    repeated("trailers count as fields", "9112 7.1.2", &[(CHUNKED, 1), (b"0\r\n", 1), (b"X: y\r\n", 19), (b"\r\n", 1)])
        .refused(431),
    repeated("as many trailers as the limit", "9112 7.1.2", &[(CHUNKED, 1), (b"0\r\n", 1), (b"X: y\r\n", 18), (b"\r\n", 1)])
        .kept(&[ok("")]),
    repeated("a head over the limit after a good request", "9112 9.3.2", &[(OPEN, 1), (b"\r\n", 1), (OPEN, 1), (b"X: ", 1), (b"v", 3000)])
        .closed(&[ok("root"), problem(431)]),
];
