//! Stream states, flow control, and messages (RFC 9113, sections 5, 6.9 and 8.1).

use conduit_proto::h2::ErrorCode as E;

use super::Expect::{Connection, Seen as Events, Sent, Status, Stream};
use super::{Case, case, ignored, served};
use crate::drive::Seen;
use crate::frames::*;

/// The fields of a request with this content length.
fn length(value: &str) -> [(&'static str, &str); 1] {
    [("content-length", value)]
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        case(
            "5.1",
            "two requests",
            [get(1, "/"), get(3, "/")],
            Status(vec![(1, "200"), (3, "200")]),
        ),
        case(
            "5.1",
            "numbers with gaps",
            [get(5, "/"), get(101, "/")],
            Status(vec![(5, "200"), (101, "200")]),
        ),
        case(
            "5.1",
            "requests whose bodies alternate",
            [
                post(1, "/", &[]),
                post(3, "/", &[]),
                data(1, b"hello"),
                last_data(3, b"other"),
                last_data(1, b""),
            ],
            Status(vec![(3, "200"), (1, "200")]),
        ),
        case(
            "5.1",
            "DATA after END_STREAM of HEADERS",
            [get(1, "/hold"), data(1, b"body!")],
            Stream(1, E::STREAM_CLOSED),
        ),
        case(
            "5.1",
            "DATA after END_STREAM of DATA",
            [post(1, "/hold", &[]), last_data(1, b"body!"), last_data(1, b"")],
            Stream(1, E::STREAM_CLOSED),
        ),
        case(
            "5.1",
            "HEADERS after END_STREAM",
            [get(1, "/hold"), get(1, "/")],
            Stream(1, E::STREAM_CLOSED),
        ),
        case(
            "5.1",
            "trailers after END_STREAM of DATA",
            [post(1, "/hold", &[]), last_data(1, b""), trailers(1, &[])],
            Stream(1, E::STREAM_CLOSED),
        ),
        case(
            "5.1",
            "WINDOW_UPDATE after END_STREAM",
            [get(1, "/hold"), window_update(1, 1)],
            ignored(),
        ),
        case(
            "5.1",
            "RST_STREAM after END_STREAM",
            [get(1, "/hold"), reset(1, E::CANCEL)],
            ignored(),
        ),
        case(
            "5.1",
            "PRIORITY after END_STREAM",
            [get(1, "/hold"), frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1])],
            ignored(),
        ),
        case(
            "5.1",
            "DATA on a closed stream",
            [get(1, "/"), data(1, b"body!")],
            Connection(E::STREAM_CLOSED),
        ),
        case(
            "5.1",
            "HEADERS on a closed stream",
            [get(1, "/"), get(1, "/")],
            Connection(E::STREAM_CLOSED),
        ),
        case(
            "5.1",
            "WINDOW_UPDATE on a closed stream",
            [get(1, "/"), window_update(1, 1)],
            served(1),
        ),
        case(
            "5.1",
            "WINDOW_UPDATE by 0 on a closed stream",
            [get(1, "/"), window_update(1, 0)],
            served(1),
        ),
        case(
            "5.1",
            "DATA after RST_STREAM of the client",
            [post(1, "/", &[]), reset(1, E::CANCEL), data(1, b"body!")],
            Connection(E::STREAM_CLOSED),
        ),
        case(
            "5.1",
            "HEADERS after RST_STREAM of the client",
            [post(1, "/", &[]), reset(1, E::CANCEL), trailers(1, &[])],
            Connection(E::STREAM_CLOSED),
        ),
        case(
            "5.1",
            "WINDOW_UPDATE after RST_STREAM of the client",
            [post(1, "/", &[]), reset(1, E::CANCEL), window_update(1, 9)],
            ignored(),
        ),
        case(
            "5.1",
            "DATA after RST_STREAM of the server",
            [post(1, "/", &length("1")), data(1, b"22222"), last_data(1, b"333")],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "5.1",
            "trailers after RST_STREAM of the server",
            [
                post(1, "/", &length("1")),
                data(1, b"22222"),
                trailers(1, &[("a", "b")]),
            ],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "5.1",
            "RST_STREAM after RST_STREAM of the server",
            [post(1, "/", &length("1")), data(1, b"22222"), reset(1, E::CANCEL)],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "5.1",
            "WINDOW_UPDATE after RST_STREAM of the server",
            [post(1, "/", &length("1")), data(1, b"22222"), window_update(1, 8)],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "5.1",
            "WINDOW_UPDATE on an idle stream",
            window_update(1, 1),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "5.1",
            "WINDOW_UPDATE on a stream of the server",
            window_update(2, 1),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "5.1.1",
            "a lower number that was skipped",
            [get(5, "/"), get(3, "/")],
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "5.1.1",
            "a lower number that was skipped before other requests",
            [get(1, "/"), get(9, "/"), get(11, "/"), get(7, "/")],
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "5.1.1",
            "a lower number that was not skipped",
            [get(3, "/"), get(9, "/"), get(3, "/")],
            Connection(E::STREAM_CLOSED),
        ),
        case(
            "5.1.1",
            "DATA on a number that was skipped",
            [get(5, "/"), data(3, b"body!")],
            Connection(E::STREAM_CLOSED),
        ),
        case(
            "5.1.1",
            "RST_STREAM on a number that was skipped",
            [get(5, "/"), reset(3, E::CANCEL)],
            served(5),
        ),
        case(
            "5.1.1",
            "the largest number but two",
            get(0x7fff_ffef, "/"),
            served(0x7fff_ffef),
        ),
        case(
            "5.1.2",
            "more requests than SETTINGS_MAX_CONCURRENT_STREAMS",
            [
                (0..129).flat_map(|index| get(2 * index + 1, "/hold")).collect(),
                reset(1, E::CANCEL),
            ],
            Stream(257, E::REFUSED_STREAM),
        ),
        case(
            "5.1.2",
            "closed streams do not count for the limit",
            (0..130)
                .flat_map(|index| [get(2 * index + 1, "/hold"), reset(2 * index + 1, E::CANCEL)].concat())
                .collect::<Vec<u8>>(),
            ignored(),
        ),
        case(
            "5.4.1",
            "a connection error with an open stream",
            [post(1, "/", &[]), data(0, b"")],
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.9",
            "WINDOW_UPDATE by 0",
            [post(1, "/", &[]), window_update(1, 0)],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "6.9",
            "WINDOW_UPDATE by 0 of the connection",
            window_update(0, 0),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.9.1",
            "the largest window",
            [
                post(1, "/", &[]),
                window_update(1, 0x7fff_ffff - 65_535),
                last_data(1, b""),
            ],
            served(1),
        ),
        case(
            "6.9.1",
            "a window too large by one",
            [post(1, "/", &[]), window_update(1, 0x7fff_ffff - 65_534)],
            Stream(1, E::FLOW_CONTROL_ERROR),
        ),
        case(
            "6.9.1",
            "a window too large by two updates",
            [post(1, "/", &[]), window_update(1, 0x7fff_0000), window_update(1, 1)],
            Stream(1, E::FLOW_CONTROL_ERROR),
        ),
        case(
            "6.9.1",
            "the largest window of the connection",
            window_update(0, 0x7fff_ffff - 65_535),
            ignored(),
        ),
        case(
            "6.9.1",
            "a window of the connection too large by one",
            window_update(0, 0x7fff_ffff - 65_534),
            Connection(E::FLOW_CONTROL_ERROR),
        ),
        case(
            "6.9.1",
            "DATA beyond the window",
            [unread(1, 65_536), data(1, b"body!")],
            Stream(1, E::FLOW_CONTROL_ERROR),
        ),
        case(
            "6.9.1",
            "padding beyond the window",
            [unread(1, 65_531), frame(DATA, PADDED, 1, b"\x04x\0\0\0\0")],
            Stream(1, E::FLOW_CONTROL_ERROR),
        ),
        case(
            "6.9.1",
            "empty DATA in an empty window",
            [unread(1, 65_536), last_data(1, b"")],
            served(1),
        ),
        case(
            "6.9.1",
            "a consumed body far beyond the first window",
            [post(1, "/", &[]), full_frames(1, 20), last_data(1, b"")],
            served(1),
        ),
        case(
            "8.1",
            "a body in many frames",
            [
                post(1, "/", &[]),
                data(1, b"hello "),
                data(1, b"world"),
                last_data(1, b"!"),
            ],
            Events(|seen| {
                seen.contains(&Seen::Body(1, b"hello world!".to_vec())) && seen.contains(&Seen::End(1, Vec::new()))
            }),
        ),
        case(
            "8.1",
            "trailers",
            [post(1, "/", &[]), data(1, b"hello"), trailers(1, &[("x-sum", "7")])],
            Events(|seen| seen.contains(&Seen::End(1, vec![("x-sum".to_owned(), b"7".to_vec())]))),
        ),
        case(
            "8.1",
            "trailers without a body",
            [post(1, "/", &[]), trailers(1, &[("x-sum", "7")])],
            served(1),
        ),
        case(
            "8.1",
            "empty trailers",
            [post(1, "/", &[]), data(1, b"hello"), trailers(1, &[])],
            served(1),
        ),
        case(
            "8.1",
            "trailers without END_STREAM",
            [post(1, "/", &[]), frame(HEADERS, END_HEADERS, 1, &block(&[("a", "b")]))],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.1",
            "a pseudo-header field in trailers",
            [post(1, "/", &[]), trailers(1, &[(":path", "/")])],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.1",
            "a status in trailers",
            [post(1, "/", &[]), trailers(1, &[(":status", "200")])],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.1",
            "a connection-specific field in trailers",
            [post(1, "/", &[]), trailers(1, &[("connection", "close")])],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.1",
            "an upper-case name in trailers",
            [post(1, "/", &[]), trailers(1, &[("X-Sum", "7")])],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.1",
            "a line break in trailers",
            [post(1, "/", &[]), trailers(1, &[("a", "b\nc")])],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.2.2",
            "transfer-encoding in trailers",
            [post(1, "/", &[]), trailers(1, &[("transfer-encoding", "chunked")])],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.2.1",
            "surrounding white space in trailers",
            [post(1, "/", &[]), trailers(1, &[("a", " b")])],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.1",
            "DATA after trailers",
            [post(1, "/hold", &[]), trailers(1, &[("a", "b")]), data(1, b"body!")],
            Stream(1, E::STREAM_CLOSED),
        ),
        case(
            "RFC 9110, 6.5.1",
            "the length of a body in trailers is omitted",
            [
                post(1, "/", &[]),
                data(1, b"hello"),
                trailers(1, &[("content-length", "7"), ("a", "b")]),
            ],
            Events(|seen| seen.contains(&Seen::End(1, vec![("a".to_owned(), b"b".to_vec())]))),
        ),
        case(
            "8.1",
            "a response begins with :status and has no connection-specific field",
            get(1, "/"),
            Sent(|frames| {
                let head = frames.iter().find_map(|frame| match frame {
                    Received::Head { stream: 1, fields, .. } => Some(fields),
                    _ => None,
                });
                head.is_some_and(|fields| {
                    let is_misplaced = |(name, _): &(String, String)| {
                        name.starts_with(':') || ["connection", "transfer-encoding", "keep-alive"].contains(&&name[..])
                    };
                    fields[0] == (":status".to_owned(), "200".to_owned()) && !fields[1..].iter().any(is_misplaced)
                })
            }),
        ),
        case(
            "RFC 9110, 6.5.1",
            "a framing field in trailers is omitted",
            [post(1, "/", &[]), trailers(1, &[("host", "a"), ("a", "b")])],
            Events(|seen| seen.contains(&Seen::End(1, vec![("a".to_owned(), b"b".to_vec())]))),
        ),
        case(
            "8.1",
            "a response before the end of the request",
            post(1, "/early", &[]),
            Stream(1, E::NO_ERROR),
        ),
        case(
            "8.1",
            "DATA after an early response",
            [post(1, "/early", &[]), data(1, b"body!"), last_data(1, b"end")],
            Stream(1, E::NO_ERROR),
        ),
        case(
            "8.1",
            "trailers after an early response",
            [post(1, "/early", &[]), trailers(1, &[("a", "b")])],
            Stream(1, E::NO_ERROR),
        ),
        case(
            "8.1",
            "RST_STREAM after an early response",
            [post(1, "/early", &[]), reset(1, E::NO_ERROR)],
            Stream(1, E::NO_ERROR),
        ),
        case(
            "8.1.1",
            "the declared length",
            [post(1, "/", &length("5")), last_data(1, b"hello")],
            served(1),
        ),
        case(
            "8.1.1",
            "the declared length in two frames",
            [post(1, "/", &length("5")), data(1, b"hello"), last_data(1, b"")],
            served(1),
        ),
        case(
            "8.1.1",
            "the declared length, with padding",
            [
                post(1, "/", &length("5")),
                frame(DATA, PADDED | END_STREAM, 1, b"\x02hello\0\0"),
            ],
            served(1),
        ),
        case(
            "8.1.1",
            "the declared length before trailers",
            [
                post(1, "/", &length("5")),
                data(1, b"hello"),
                trailers(1, &[("a", "b")]),
            ],
            served(1),
        ),
        case(
            "8.1.1",
            "a declared length of 0",
            [post(1, "/", &length("0")), last_data(1, b"")],
            served(1),
        ),
        case(
            "8.1.1",
            "a declared length of 0 with END_STREAM",
            with_fields(1, &length("0")),
            served(1),
        ),
        case(
            "8.1.1",
            "fewer bytes than declared",
            [post(1, "/", &length("5")), last_data(1, b"four")],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.1.1",
            "fewer bytes than declared before trailers",
            [post(1, "/", &length("6")), data(1, b"hello"), trailers(1, &[])],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.1.1",
            "more bytes than declared",
            [post(1, "/", &length("5")), last_data(1, b"sixsix")],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.1.1",
            "more bytes than declared in a later frame",
            [post(1, "/", &length("5")), data(1, b"hello"), last_data(1, b"!")],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.1.1",
            "a declared length without a body",
            with_fields(1, &length("5")),
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.1.1",
            "bytes after a declared length of 0",
            [post(1, "/", &length("0")), last_data(1, b"x")],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "8.5",
            "a connected stream",
            [connect(1), data(1, b"bytes"), last_data(1, b"")],
            served(1),
        ),
        case(
            "8.5",
            "trailers before the connection",
            [connect(1), trailers(1, &[])],
            served(1),
        ),
    ];
    for value in ["", "-1", "+1", "1a", " 1", "1,1", "0x5", "18446744073709551616"] {
        let input = [post(1, "/", &length(value)), last_data(1, b"x")];
        cases.push(case(
            "RFC 9110, 8.6",
            format!("content-length: {value:?}"),
            input,
            Stream(1, E::PROTOCOL_ERROR),
        ));
    }
    let repeated = [length("1"), length("1")].concat();
    cases.push(case(
        "RFC 9110, 8.6",
        "content-length twice",
        [post(1, "/", &repeated), last_data(1, b"x")],
        Stream(1, E::PROTOCOL_ERROR),
    ));
    cases
}

/// CONNECT.
fn connect(stream: u32) -> Vec<u8> {
    let fields = [(":method", "CONNECT"), (":authority", "example.org:443")];
    frame(HEADERS, END_HEADERS, stream, &block(&fields))
}

/// A request with this number of body bytes, which are not consumed.
fn unread(stream: u32, bytes: usize) -> Vec<u8> {
    let mut input = post(stream, "/unread", &[]);
    for part in vec![b'x'; bytes].chunks(16_384) {
        input.extend(data(stream, part));
    }
    input
}

fn full_frames(stream: u32, count: usize) -> Vec<u8> {
    data(stream, &[b'x'; 16_384]).repeat(count)
}
