//! The chunked coding: sizes, extensions, data, trailers.

use crate::case::{Case, case, ok, problem, repeated};

/// One row each: name and section, bytes, outcome. Without an outcome: 400 and a close.
#[rustfmt::skip]
pub const CASES: &[Case] = &[
    case("two chunks", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        .kept(&[ok("abcde")]),
    case("no chunk but the last", "9112 7.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        .kept(&[ok("")]),
    case("a size in capitals", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n")
        .kept(&[ok("0123456789")]),
    case("a size in small letters", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n")
        .kept(&[ok("0123456789")]),
    case("a size with leading zeros", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0003\r\nabc\r\n000\r\n\r\n")
        .kept(&[ok("abc")]),
    case("a size of sixteen digits", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0000000000000003\r\nabc\r\n0\r\n\r\n")
        .kept(&[ok("abc")]),
    case("data that looks like a last chunk", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n0\r\n\r\n")
        .kept(&[ok("0\r\n\r\n")]),
    case("data that looks like a request", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n12\r\nGET / HTTP/1.1\r\n\r\n\r\n0\r\n\r\n")
        .kept(&[ok("GET / HTTP/1.1\r\n\r\n")]),
    case("an extension", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\n\r\n")
        .kept(&[ok("abc")]),
    case("an extension without a value", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\r\nabc\r\n0;b\r\n\r\n")
        .kept(&[ok("abc")]),
    case("an extension in quotes", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b;c\"\r\nabc\r\n0\r\n\r\n")
        .kept(&[ok("abc")]),
    case("several extensions", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b;c;d=\"e\"\r\nabc\r\n0\r\n\r\n")
        .kept(&[ok("abc")]),
    case("white space around the parts of an extension", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 ; a = b\r\nabc\r\n0\t;\tc\r\n\r\n")
        .kept(&[ok("abc")]),
    case("an extension of obs-text", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"\xe9\"\r\nabc\r\n0\r\n\r\n")
        .kept(&[ok("abc")]),
    case("an extension without a name", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;\r\nabc\r\n0\r\n\r\n"),
    case("a second extension without a name", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a;\r\nabc\r\n0\r\n\r\n"),
    case("an extension of white space", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3; \t\r\nabc\r\n0\r\n\r\n"),
    case("an extension with a value and no name", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;=a\r\nabc\r\n0\r\n\r\n"),
    case("an extension with an equals sign and no value", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\r\nabc\r\n0\r\n\r\n"),
    case("an extension whose name is not a token", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;bad[=x\r\nabc\r\n0\r\n\r\n"),
    case("an extension whose value is not a token", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b[c]\r\nabc\r\n0\r\n\r\n"),
    case("an extension in quotes that do not end", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"b\r\nabc\r\n0\r\n\r\n"),
    case("white space after an extension", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b \r\nabc\r\n0\r\n\r\n"),
    case("two names in an extension", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a b\r\nabc\r\n0\r\n\r\n"),

    case("a trailer", "9112 7.1.2",
        b"POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-A: b\r\n\r\n")
        .kept(&[ok("abc|[x-a=b]")]),
    case("two trailers", "9112 7.1.2",
        b"POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: b\r\nX-C:d\r\n\r\n")
        .kept(&[ok("|[x-a=b][x-c=d]")]),
    case("a framing trailer is omitted", "9110 6.5.1",
        b"POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 5\r\nX-A: b\r\n\r\n")
        .kept(&[ok("|[x-a=b]")]),
    case("a trailer Transfer-Encoding is omitted", "9110 6.5.1",
        b"POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n")
        .kept(&[ok("|")]),
    case("a trailer Host is omitted", "9110 6.5.1",
        b"POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: b\r\n\r\n")
        .kept(&[ok("|")]),
    case("a trailer Connection does not close", "9110 6.5.1",
        b"POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nConnection: close\r\n\r\n")
        .kept(&[ok("|")]),
    case("a trailer Authorization is omitted", "9110 6.5.1",
        b"POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nAuthorization: Basic eA==\r\n\r\n")
        .kept(&[ok("|")]),
    case("a trailer Cookie is omitted", "9110 6.5.1",
        b"POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nCookie: a=b\r\n\r\n")
        .kept(&[ok("|")]),
    case("a trailer Content-Type is omitted", "9110 6.5.1",
        b"POST /trailers HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Type: a/b\r\n\r\n")
        .kept(&[ok("|")]),
    case("trailers of an ignored body", "9112 7.1.2",
        b"POST /ignore HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-A: b\r\n\r\n")
        .kept(&[ok("ignored")]),
    case("a trailer without a colon", "9112 5", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A\r\n\r\n"),
    case("a trailer with a space before the colon", "9112 5.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A : b\r\n\r\n"),
    case("a folded trailer", "9112 5.2",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: b\r\n c\r\n\r\n"),
    case("a trailer with a NUL", "9110 5.5",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: \0\r\n\r\n"),
    case("a trailer that ends in LF", "9112 2.2",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-A: b\n\r\n"),
    case("trailers that end in LF", "9112 2.2", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\n"),
    case("a trailer that is a request line", "9112 7.1.2",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    case("trailers without their end", "9112 8",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n")
        .waits(&[problem(400)])
        .choice("a server MAY respond to a truncated request; here its handler responds"),
    case("no last chunk", "9112 8", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        .waits(&[problem(400)])
        .choice("a server MAY respond to a truncated request; here its handler responds"),

    case("no size", "9112 7.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n"),
    case("no size before an extension", "9112 7.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n;a\r\n0\r\n\r\n"),
    case("a size that is not a number", "9112 7.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nabc\r\n0\r\n\r\n"),
    case("a size with 0x", "9112 7.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"),
    case("a negative size", "9112 7.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\nabc\r\n0\r\n\r\n"),
    case("a size with a plus sign", "9112 7.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n"),
    case("a space before a size", "9112 7.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n 3\r\nabc\r\n0\r\n\r\n"),
    case("a space after a size", "9112 7.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n")
        .choice("the grammar has white space only before a semicolon"),
    case("a tab after a size", "9112 7.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\t\r\nabc\r\n0\r\n\r\n")
        .choice("the grammar has white space only before a semicolon"),
    case("a space in a size", "9112 7.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0 3\r\nabc\r\n0\r\n\r\n"),
    case("an underscore in a size", "9112 7.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0_3\r\nabc\r\n0\r\n\r\n"),
    case("a comma in a size", "9112 7.1", b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3,3\r\nabc\r\n0\r\n\r\n"),
    case("a size of seventeen digits", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000003\r\nabc\r\n0\r\n\r\n")
        .choice("any number of digits is in the grammar, and a recipient MUST guard against overflow: sixteen at most"),
    case("a size of 2^64 and 3", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000003\r\nabc\r\n0\r\n\r\n"),
    case("a size of 2^64 less 1", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc\r\n0\r\n\r\n")
        .choice("a size that no body can have is rejected"),
    case("a size of 2^63", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8000000000000000\r\nabc\r\n0\r\n\r\n")
        .choice("a size that no body can have is rejected"),
    case("an LF without CR after a size", "9112 2.2",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"),
    case("an LF without CR after the last size", "9112 2.2",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\n\r\n"),
    case("a CR without LF after a size", "9112 2.2",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\rabc\r\n0\r\n\r\n"),
    case("an LF without CR after data", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n"),
    case("a CR without LF after data", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r0\r\n\r\n"),
    case("nothing after data", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc0\r\n\r\n"),
    case("data longer than its size", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"),
    case("data shorter than its size", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabc\r\n0\r\n\r\n"),
    case("a NUL after a size", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\0\r\nabc\r\n0\r\n\r\n"),
    case("a NUL in an extension", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\0\r\nabc\r\n0\r\n\r\n"),
    case("an LF in an extension", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\nabc\r\n0\r\n\r\n"),
    case("a CR in an extension", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a\rb\r\nabc\r\n0\r\n\r\n"),
    case("a quoted CR and LF end the line", "9112 7.1.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n"),
    case("two chunks with an empty line between", "9112 7.1",
        b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n\r\n0\r\n\r\n"),
    repeated("a body of 100 chunks of a byte", "9112 7.1",
        &[(b"POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 1), (b"1\r\na\r\n", 100), (b"0\r\n\r\n", 1)])
        .kept(&[ok("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]),
];
