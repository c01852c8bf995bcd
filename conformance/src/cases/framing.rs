//! `Content-Length` and `Transfer-Encoding`: where a body ends.

use crate::case::{Case, case, ok, problem};

/// The reason for rejecting an empty element of `Transfer-Encoding`.
const EMPTY_ELEMENT: &str =
    "a few empty elements are to be ignored in a list; recipients differ in them, and this list frames the message";

/// One row each: name and section, bytes, outcome. Without an outcome: 400 and a close.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("a length", "9112 6.2", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        .kept(&[ok("abc")]),
    case("a length of zero", "9112 6.2", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        .kept(&[ok("")]),
    case("a length with leading zeros", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 0003\r\n\r\nabc")
        .kept(&[ok("abc")]),
    case("a length of many zeros", "9110 8.6",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 0000000000000000000000000000003\r\n\r\nabc")
        .kept(&[ok("abc")]),
    case("a length with white space around it", "9112 5.1", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: \t3 \r\n\r\nabc")
        .kept(&[ok("abc")]),
    case("a length in HTTP/1.0", "9112 6.3", b"POST /body HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc")
        .closed(&[ok("abc")]),
    case("neither length nor coding", "9112 6.3", b"POST /body HTTP/1.1\r\nHost: a\r\n\r\n")
        .kept(&[ok("")]),
    case("no length in HTTP/1.0", "9112 6.3", b"POST /body HTTP/1.0\r\n\r\n")
        .closed(&[ok("")]),
    case("a body of CR and LF", "9112 6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n\r\n\r\n")
        .kept(&[ok("\r\n\r\n")]),
    case("a body of NULs", "9112 6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\0\0\0")
        .kept(&[ok("\0\0\0")]),
    case("an empty line after a body", "9112 2.2", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\r\n")
        .kept(&[ok("abc")]),
    case("a body with GET", "9110 9.3.1", b"GET /seen/a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        .kept(&[ok("GET /seen/a")]),
    case("a chunked body with GET", "9110 9.3.1",
        b"GET /seen/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .kept(&[ok("GET /seen/a")]),
    case("a body that does not arrive", "9112 8", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab")
        .waits(&[problem(400)])
        .choice("a server MAY respond to a truncated request; here its handler responds"),

    case("a negative length", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc"),
    case("a length with a plus sign", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"),
    case("a length in hexadecimal", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc"),
    case("a length with a letter", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3a\r\n\r\nabc"),
    case("a length with a point", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3.0\r\n\r\nabc"),
    case("a length with an exponent", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3e0\r\n\r\nabc"),
    case("a length with an underscore", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 0_3\r\n\r\nabc"),
    case("a length in quotes", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: \"3\"\r\n\r\nabc"),
    case("a length with a space in it", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3 3\r\n\r\nabc"),
    case("a length with a parameter", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3;a\r\n\r\nabc"),
    case("an empty length", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc"),
    case("a length with a NUL", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\0\r\n\r\nabc"),
    case("a length with a vertical tab", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length:\x0b3\r\n\r\nabc"),
    case("a length in digits of another script", "9110 8.6",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: \xd9\xa3\r\n\r\nabc"),
    case("a length of 2^64", "9110 8.6",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\nabc"),
    case("a length of 2^64 and 3", "9110 8.6",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551619\r\n\r\nabc"),
    case("a length of many digits", "9110 8.6",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999999999999\r\n\r\nabc"),
    case("two different lengths", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
    case("two equal lengths", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc")
        .choice("they MAY be read as one; a client that sends them is broken or hostile"),
    case("a list of equal lengths", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc")
        .choice("they MAY be read as one; a client that sends them is broken or hostile"),
    case("a list of different lengths", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 4\r\n\r\nabc"),
    case("a length and a comma", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3,\r\n\r\nabc")
        .choice("the field is not a list; a comma is rejected"),
    case("two lengths, one empty", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length:\r\nContent-Length: 3\r\n\r\nabc"),
    case("a bad length with GET", "9110 8.6", b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"),
    case("a bad length in HTTP/1.0", "9110 8.6", b"POST /body HTTP/1.0\r\nContent-Length: x\r\n\r\n"),

    case("chunked", "9112 7.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .kept(&[ok("abc")]),
    case("chunked in any case", "9112 7", b"POST /body HTTP/1.1\r\nHost: a\r\ntransfer-ENCODING: ChUnKeD\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .kept(&[ok("abc")]),
    case("chunked with white space around it", "9112 5.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\t chunked \t\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .kept(&[ok("abc")]),
    case("an unknown coding, then chunked", "9112 6.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: br, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .refused(501),
    case("gzip, then chunked", "9112 7.2",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n")
        .refused(501)
        .choice("a server need not implement gzip as a transfer coding; the response is then 501"),
    case("gzip and chunked in two fields", "9112 6.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .refused(501),
    case("a coding with a parameter, then chunked", "9112 7",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: x;q=\"y\", chunked\r\n\r\n0\r\n\r\n")
        .refused(501),
    case("identity, then chunked", "9112 7", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n")
        .refused(501),
    case("gzip alone", "9112 6.3", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n"),
    case("identity alone", "9112 6.3", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    case("chunked before gzip", "9112 6.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    case("chunked before identity", "9112 6.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    case("chunked twice in a list", "9112 6.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n0\r\n\r\n"),
    case("chunked in two fields", "9112 6.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    case("chunked with a parameter", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n")
        .choice("parameters of chunked SHOULD be treated as an error"),
    case("an empty coding", "9112 6.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"),
    case("an empty element before chunked", "9110 5.6.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .choice(EMPTY_ELEMENT),
    case("an empty element after chunked", "9110 5.6.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .choice(EMPTY_ELEMENT),
    case("empty elements around chunked", "9110 5.6.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,\t, , chunked , ,\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .choice(EMPTY_ELEMENT),
    case("nothing but empty elements", "9110 5.6.1.2", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: ,,\r\n\r\n0\r\n\r\n"),
    case("an empty line of codings before chunked", "9110 5.3",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .choice("the joined lines are a list with an empty element; recipients that read one of the lines differ"),
    case("chunked twice with an empty element between", "9112 6.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,,chunked\r\n\r\n0\r\n\r\n"),
    case("an empty element after chunked, and a length", "9112 6.3",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    case("an empty element after a length", "9110 8.6", b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3,\r\n\r\nabc"),
    case("an empty element after an expectation", "9110 10.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue,\r\n\r\nabc")
        .refused(417)
        .choice("a few empty elements are to be ignored; a client that sends one here gets 417 and repeats the request without it"),
    case("empty elements in Connection", "9110 5.6.1.2", b"GET / HTTP/1.1\r\nHost: a\r\nConnection: ,, close,\r\n\r\n")
        .closed(&[ok("root")]),
    case("empty elements in TE", "9110 5.6.1.2", b"GET / HTTP/1.1\r\nHost: a\r\nTE: ,, trailers,\r\nConnection: ,TE,\r\n\r\n")
        .kept(&[ok("root")]),
    case("chunked in HTTP/1.0", "9112 6.1", b"POST /body HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        .choice("a server MUST treat the framing as faulty and close after it; it need not respond to the request"),
    case("chunked in HTTP/1.0 with keep-alive", "9112 6.1",
        b"POST /body HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .choice("a server MUST treat the framing as faulty and close after it; it need not respond to the request"),
    case("a bad framing after a good request", "9112 9.3.2",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\nPOST /body HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n")
        .closed(&[ok("root"), problem(400)]),
    case("a content coding is not a transfer coding", "9110 8.4",
        b"POST /body HTTP/1.1\r\nHost: a\r\nContent-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc")
        .kept(&[ok("abc")]),
];
