//! Field blocks (RFC 7541; RFC 9113, section 4.3).

use conduit_proto::h2::ErrorCode as E;

use super::Expect::{Connection, Request, Seen, Status, Stream};
use super::{Case, case, served};
use crate::drive;
use crate::frames::hex;
use crate::frames::*;

/// HEADERS on stream 1 with END_STREAM: `GET / https` from the static table, the authority `a`, and the rest of a
/// block.
fn headers(rest: &str) -> Vec<u8> {
    raw(1, &format!("828487 410161 {rest}"))
}

fn raw(stream: u32, block: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &hex(block))
}

/// Expects a response to both requests.
fn both() -> super::Expect {
    Status(vec![(1, "200"), (3, "200")])
}

/// Returns whether the request on stream 3 has the field of the dynamic table.
fn has_field(seen: &[drive::Seen]) -> bool {
    let has = |seen: &drive::Seen| match seen {
        drive::Seen::Request(3, request) => request.headers == [("x".to_owned(), b"y".to_vec())],
        _ => false,
    };
    seen.iter().any(has)
}

pub(super) fn cases() -> Vec<Case> {
    let error = || Connection(E::COMPRESSION_ERROR);
    let mut cases = vec![
        case(
            "RFC 7541, 6.1",
            "the static table",
            headers(""),
            Request(1, |request| request.authority.as_deref() == Some("a")),
        ),
        case(
            "RFC 7541, 6.1",
            "the dynamic table",
            [headers("4001780179"), raw(3, "828487bfbe")],
            Request(3, |request| request.headers == [("x".to_owned(), b"y".to_vec())]),
        ),
        case("RFC 7541, 6.1", "index 0", headers("80"), error()),
        case(
            "RFC 7541, 6.1",
            "an index after the empty table",
            headers("bf"),
            error(),
        ),
        case(
            "RFC 7541, 2.3.3",
            "an index after the table",
            [headers("4001780179"), raw(3, "828487bfc0")],
            error(),
        ),
        case("RFC 7541, 6.1", "a huge index", headers("ffffffffff0f"), error()),
        case(
            "RFC 7541, 6.2.1",
            "a literal with indexing",
            headers("4001780179"),
            served(1),
        ),
        case(
            "RFC 7541, 6.2.1",
            "an indexed name",
            headers("5a0179"),
            Request(1, |request| request.headers[0].0 == "content-encoding"),
        ),
        case(
            "RFC 7541, 6.2.1",
            "an indexed name after the table",
            headers("7f0079"),
            error(),
        ),
        case(
            "RFC 7541, 6.2.2",
            "a literal without indexing",
            [headers("0001780179"), raw(3, "828487be")],
            both(),
        ),
        case(
            "RFC 7541, 6.2.3",
            "a literal never indexed",
            [headers("1001780179"), raw(3, "828487be")],
            both(),
        ),
        case(
            "RFC 7541, 6.2.2",
            "a name of the dynamic table",
            [headers("4001780179"), raw(3, "828487bf0f2f017a")],
            Request(3, |request| request.headers == [("x".to_owned(), b"z".to_vec())]),
        ),
        case(
            "RFC 7541, 6.3",
            "the size of the table first",
            raw(1, "20828487410161"),
            served(1),
        ),
        case(
            "RFC 7541, 4.2",
            "two sizes first",
            raw(1, "203fe11f828487410161"),
            served(1),
        ),
        case(
            "RFC 7541, 6.3",
            "the largest size",
            raw(1, "3fe11f828487410161"),
            served(1),
        ),
        case(
            "RFC 7541, 6.3",
            "a size above the limit",
            raw(1, "3fe21f828487410161"),
            error(),
        ),
        case(
            "RFC 7541, 4.2",
            "a size after a field",
            raw(1, "8220 8487410161"),
            error(),
        ),
        case(
            "RFC 7541, 4.3",
            "a smaller table evicts",
            [headers("4001780179"), raw(3, "20828487410161be")],
            error(),
        ),
        case(
            "RFC 7541, 4.4",
            "an entry larger than the table",
            [raw(1, "3f01828487410161 40017801790001610162"), raw(3, "828487be")],
            error(),
        ),
        case(
            "RFC 7541, 5.2",
            "Huffman",
            headers("40 82f3e7 82f3e7"),
            Request(1, |request| request.headers.len() == 1),
        ),
        case("RFC 7541, 5.2", "an empty string", headers("00017800"), served(1)),
        case(
            "RFC 7541, 5.2",
            "an empty Huffman string",
            headers("00017880"),
            served(1),
        ),
        case(
            "RFC 7541, 5.2",
            "padding of 7 bits",
            headers("000178 840000007f"),
            Request(1, |request| request.headers == [("x".to_owned(), b"00000".to_vec())]),
        ),
        case(
            "8.2.1",
            "an upper-case name in Huffman",
            headers("0081 87 0179"),
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "RFC 7541, 4.2",
            "a size after a field of trailers",
            [post(1, "/", &[]), raw(1, "00017801 79 20")],
            error(),
        ),
        case(
            "RFC 7541, 6.3",
            "a size before trailers",
            [post(1, "/", &[]), raw(1, "20 0001780179")],
            served(1),
        ),
        case(
            "RFC 7541, 2.3.2",
            "a duplicate entry",
            [headers("4001780179 4001780179"), raw(3, "828487c0 bf")],
            Request(3, |request| request.headers == [("x".to_owned(), b"y".to_vec())]),
        ),
        case("RFC 7541, 5.2", "EOS", headers("000178 84ffffffff"), error()),
        case(
            "RFC 7541, 5.2",
            "EOS after a symbol",
            headers("000178 851fffffffff"),
            error(),
        ),
        case("RFC 7541, 5.2", "padding of 8 bits", headers("000178 821fff"), error()),
        case("RFC 7541, 5.2", "padding of zeros", headers("000178 8118"), error()),
        case("RFC 7541, 5.2", "padding with a zero", headers("000178 811e"), error()),
        case(
            "RFC 7541, 5.2",
            "only one byte of padding",
            headers("000178 81ff"),
            error(),
        ),
        case(
            "4.3",
            "an error in trailers",
            [post(1, "/", &[]), raw(1, "80")],
            error(),
        ),
        case(
            "4.3",
            "an error of a stream that is reset",
            [post(1, "/early", &[]), raw(1, "80")],
            error(),
        ),
        case(
            "4.3",
            "an error of a request that is malformed",
            raw(1, "82 82 80"),
            error(),
        ),
        case(
            "4.3",
            "a block that was ignored changes the table",
            [post(1, "/early", &[]), raw(1, "4001780179"), raw(3, "828487 010161 be")],
            Seen(has_field),
        ),
        case(
            "4.3",
            "a malformed request changes the table",
            [raw(1, "82824001780179"), raw(3, "828487 010161 be")],
            Seen(has_field),
        ),
    ];
    for (name, rest) in [
        ("an index", "ff"),
        ("a longer index", "ff80"),
        ("the length of a name", "40"),
        ("the longer length of a name", "407f"),
        ("a name", "400378"),
        ("a value", "4001780379"),
        ("the length of a value", "400178"),
        ("a Huffman string", "000178 83f3"),
        ("an indexed name without value", "44"),
        ("the size of the table", "3f"),
    ] {
        cases.push(case(
            "RFC 7541, 5.1",
            format!("the block ends within {name}"),
            headers(rest),
            error(),
        ));
    }
    for (name, rest) in [
        ("an index of six bytes", "ff8080808080 00"),
        ("a length of 33 bits", "0001787fffffffff1f"),
        ("a length of ten bytes", "0001787fffffffffffffffffff01"),
        ("an index padded with zeros", "ff80808080808000"),
    ] {
        cases.push(case("RFC 7541, 5.1", name, headers(rest), error()));
    }
    cases.push(case(
        "RFC 7541, 5.1",
        "a length padded with zeros",
        headers("0f808000 0161"),
        Status(vec![(1, "200")]),
    ));
    cases
}
