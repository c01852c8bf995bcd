//! The preface and single frames (RFC 9113, sections 3, 4 and 6).

use conduit_proto::h2::ErrorCode as E;

use super::Expect::{Connection, Sent, Stream};
use super::{Case, bare, case, ignored, served};
use crate::drive::Seen;
use crate::frames::*;

pub(super) fn cases() -> Vec<Case> {
    let mut cases = vec![
        bare("3.4", "preface and SETTINGS", opening(), ignored()),
        bare(
            "3.4",
            "another preface",
            [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX".to_vec(), settings(&[])],
            Connection(E::PROTOCOL_ERROR),
        ),
        bare(
            "3.4",
            "HTTP/1.1",
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
            Connection(E::PROTOCOL_ERROR),
        ),
        bare("3.4", "no preface", settings(&[]), Connection(E::PROTOCOL_ERROR)),
        bare(
            "3.4",
            "the first frame is PING",
            [PREFACE.to_vec(), ping()],
            Connection(E::PROTOCOL_ERROR),
        ),
        bare(
            "3.4",
            "the first frame is HEADERS",
            [PREFACE.to_vec(), get(1, "/")],
            Connection(E::PROTOCOL_ERROR),
        ),
        bare(
            "3.4",
            "the first frame is WINDOW_UPDATE",
            [PREFACE.to_vec(), window_update(0, 1)],
            Connection(E::PROTOCOL_ERROR),
        ),
        bare(
            "3.4",
            "the first frame is unknown",
            [PREFACE.to_vec(), frame(0x77, 0, 0, b"")],
            Connection(E::PROTOCOL_ERROR),
        ),
        bare(
            "3.4",
            "the first frame acknowledges",
            [PREFACE.to_vec(), frame(SETTINGS, ACK, 0, b"")],
            Connection(E::PROTOCOL_ERROR),
        ),
        bare(
            "3.4",
            "the preface twice",
            [opening(), PREFACE.to_vec()],
            Connection(E::FRAME_SIZE_ERROR),
        ),
        case(
            "4.1",
            "an unknown type is ignored",
            frame(0x0b, 0xff, 0, b"unknown"),
            ignored(),
        ),
        case(
            "4.1",
            "an unknown type on a stream is ignored",
            frame(0xff, 0, 77, &[0; 300]),
            ignored(),
        ),
        case(
            "4.1",
            "an empty unknown frame is ignored",
            frame(0x42, 0, 2, b""),
            ignored(),
        ),
        case(
            "4.1",
            "unknown flags of PING are ignored",
            frame(PING, 0xfe, 0, b"12345678"),
            ignored(),
        ),
        case(
            "4.1",
            "unknown flags of HEADERS are ignored",
            frame(HEADERS, 0xd2 | END_HEADERS | END_STREAM, 1, &block(&pseudo("GET", "/"))),
            served(1),
        ),
        case(
            "4.1",
            "the reserved bit is ignored",
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                1 << 31 | 1,
                &block(&pseudo("GET", "/")),
            ),
            served(1),
        ),
        case(
            "4.1",
            "the reserved bit of WINDOW_UPDATE is ignored",
            [post(1, "/", &[]), window_update(1, 1 << 31 | 5), last_data(1, b"")],
            served(1),
        ),
        case(
            "4.2",
            "DATA of the maximum length",
            [post(1, "/", &[]), last_data(1, &[b'x'; 16_384])],
            served(1),
        ),
        case(
            "4.2",
            "an unknown frame of the maximum length",
            frame(0x99, 0, 0, &[0; 16_384]),
            ignored(),
        ),
        case("6.1", "DATA on stream 0", data(0, b"x"), Connection(E::PROTOCOL_ERROR)),
        case(
            "6.1",
            "DATA on an idle stream",
            data(1, b"x"),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.1",
            "DATA on a stream of the server",
            data(2, b"x"),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.1",
            "padding",
            [post(1, "/", &[]), frame(DATA, PADDED | END_STREAM, 1, b"\x03abc\0\0\0")],
            super::Expect::Seen(|seen| seen.contains(&Seen::Body(1, b"abc".to_vec()))),
        ),
        case(
            "6.1",
            "padding alone",
            [post(1, "/", &[]), frame(DATA, PADDED | END_STREAM, 1, b"\x02\0\0")],
            served(1),
        ),
        case(
            "6.1",
            "a length of padding alone",
            [post(1, "/", &[]), frame(DATA, PADDED | END_STREAM, 1, b"\0")],
            served(1),
        ),
        case(
            "6.1",
            "padding that is not zero",
            [post(1, "/", &[]), frame(DATA, PADDED | END_STREAM, 1, b"\x02aXX")],
            served(1),
        ),
        case(
            "6.1",
            "padding as long as the payload",
            [post(1, "/", &[]), frame(DATA, PADDED, 1, b"\x03ab")],
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.1",
            "padding longer than the payload",
            [post(1, "/", &[]), frame(DATA, PADDED, 1, b"\xffab")],
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.1",
            "PADDED without a length",
            [post(1, "/", &[]), frame(DATA, PADDED, 1, b"")],
            Connection(E::FRAME_SIZE_ERROR),
        ),
        case("6.2", "HEADERS on stream 0", get(0, "/"), Connection(E::PROTOCOL_ERROR)),
        case(
            "6.2",
            "HEADERS with an even number",
            get(2, "/"),
            Connection(E::PROTOCOL_ERROR),
        ),
        case("6.2", "padding", headers_with(PADDED, b"\x04", b"\0\0\0\0"), served(1)),
        case(
            "6.2",
            "padding of all the rest",
            frame(HEADERS, END_HEADERS | END_STREAM | PADDED, 1, b"\x02\0\0"),
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "6.2",
            "padding longer than the payload",
            headers_with(PADDED, b"\xff", b""),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.2",
            "PADDED without a length",
            frame(HEADERS, END_HEADERS | PADDED, 1, b""),
            Connection(E::FRAME_SIZE_ERROR),
        ),
        case(
            "6.2",
            "a deprecated priority",
            headers_with(WITH_PRIORITY, &[0, 0, 0, 0, 15], b""),
            served(1),
        ),
        case(
            "6.2",
            "an exclusive dependency",
            headers_with(WITH_PRIORITY, &[0x80, 0, 0, 9, 255], b""),
            served(1),
        ),
        case(
            "6.2",
            "priority and padding",
            headers_with(WITH_PRIORITY | PADDED, &[2, 0, 0, 0, 0, 15], b"\0\0"),
            served(1),
        ),
        case(
            "6.2",
            "an incomplete priority",
            frame(HEADERS, END_HEADERS | WITH_PRIORITY, 1, b"\0\0\0\0"),
            Connection(E::FRAME_SIZE_ERROR),
        ),
        case(
            "6.2",
            "the padding reaches into the priority",
            frame(HEADERS, END_HEADERS | WITH_PRIORITY | PADDED, 1, b"\x04\0\0\0\0\0\0"),
            Connection(E::FRAME_SIZE_ERROR),
        ),
        case(
            "RFC 7540, 5.3.1",
            "HEADERS depend on themselves",
            headers_with(WITH_PRIORITY, &[0, 0, 0, 1, 15], b""),
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "6.3",
            "PRIORITY of an idle stream",
            frame(PRIORITY, 0, 7, &[0, 0, 0, 0, 1]),
            ignored(),
        ),
        case(
            "6.3",
            "PRIORITY of a closed stream",
            [get(1, "/"), frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1])],
            served(1),
        ),
        case(
            "6.3",
            "PRIORITY of an open stream",
            [
                post(1, "/", &[]),
                frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 1]),
                last_data(1, b""),
            ],
            served(1),
        ),
        case(
            "6.3",
            "PRIORITY on stream 0",
            frame(PRIORITY, 0, 0, &[0, 0, 0, 1, 1]),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "RFC 7540, 5.3.1",
            "PRIORITY depends on itself",
            [post(1, "/", &[]), frame(PRIORITY, 0, 1, &[0, 0, 0, 1, 1])],
            Stream(1, E::PROTOCOL_ERROR),
        ),
        case(
            "6.4",
            "RST_STREAM on stream 0",
            reset(0, E::CANCEL),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.4",
            "RST_STREAM on an idle stream",
            reset(5, E::CANCEL),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.4",
            "RST_STREAM on a stream of the server",
            reset(2, E::CANCEL),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.4",
            "RST_STREAM on a closed stream",
            [get(1, "/"), reset(1, E::CANCEL)],
            served(1),
        ),
        case(
            "6.4",
            "RST_STREAM twice",
            [post(1, "/", &[]), reset(1, E::CANCEL), reset(1, E::CANCEL)],
            ignored(),
        ),
        case(
            "6.4",
            "RST_STREAM with an unknown code",
            [post(1, "/", &[]), reset(1, E(0xdead_beef))],
            ignored(),
        ),
        case(
            "6.6",
            "PUSH_PROMISE",
            [
                post(1, "/", &[]),
                frame(
                    PUSH_PROMISE,
                    END_HEADERS,
                    1,
                    &[&[0, 0, 0, 2][..], &block(&pseudo("GET", "/"))].concat(),
                ),
            ],
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.6",
            "PUSH_PROMISE on stream 0",
            frame(PUSH_PROMISE, END_HEADERS, 0, &[0, 0, 0, 2]),
            Connection(E::PROTOCOL_ERROR),
        ),
        case("6.7", "PING", ping(), ignored()),
        case(
            "6.7",
            "the response to PING has its payload",
            frame(PING, 0, 0, b"\0\xff234567"),
            Sent(|frames| frames.contains(&Received::Pong(b"\0\xff234567".to_vec()))),
        ),
        case(
            "6.7",
            "PING with ACK without a PING of the server",
            frame(PING, ACK, 0, b"12345678"),
            ignored(),
        ),
        case(
            "6.7",
            "PING on a stream",
            frame(PING, 0, 1, b"12345678"),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.8",
            "GOAWAY",
            [post(1, "/", &[]), frame(GOAWAY, 0, 0, &[0; 8]), last_data(1, b"")],
            served(1),
        ),
        case(
            "6.8",
            "GOAWAY with debug data",
            [post(1, "/", &[]), frame(GOAWAY, 0, 0, &[7; 400]), last_data(1, b"")],
            served(1),
        ),
        case(
            "7",
            "GOAWAY with an unknown code",
            [
                post(1, "/", &[]),
                frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff]),
                last_data(1, b""),
            ],
            served(1),
        ),
        case(
            "6.8",
            "GOAWAY on a stream",
            frame(GOAWAY, 0, 1, &[0; 8]),
            Connection(E::PROTOCOL_ERROR),
        ),
        case("6.10", "CONTINUATION", split(2), served(1)),
        case(
            "4.1",
            "unknown flags of CONTINUATION are ignored",
            [
                frame(HEADERS, END_STREAM, 1, b""),
                frame(CONTINUATION, 0xfb | END_HEADERS, 1, &block(&pseudo("GET", "/"))),
            ],
            served(1),
        ),
        case(
            "4.1",
            "unknown flags of DATA are ignored",
            [post(1, "/", &[]), frame(DATA, 0xf6 | END_STREAM, 1, b"x")],
            served(1),
        ),
        case(
            "4.1",
            "unknown flags of SETTINGS are ignored",
            frame(SETTINGS, 0xfe, 0, b""),
            ignored(),
        ),
        case(
            "4.1",
            "flags of WINDOW_UPDATE are ignored",
            frame(WINDOW_UPDATE, 0xff, 0, &[0, 0, 0, 1]),
            ignored(),
        ),
        case(
            "4.1",
            "flags of RST_STREAM are ignored",
            [post(1, "/", &[]), frame(RST_STREAM, 0xff, 1, &[0, 0, 0, 8])],
            ignored(),
        ),
        bare(
            "4.2",
            "the first SETTINGS are longer than SETTINGS_MAX_FRAME_SIZE",
            [PREFACE.to_vec(), frame(SETTINGS, 0, 0, &[0; 16_386])],
            Connection(E::FRAME_SIZE_ERROR),
        ),
        case("6.10", "eight CONTINUATION frames", split(9), served(1)),
        case(
            "6.10",
            "nine CONTINUATION frames",
            split(10),
            Connection(E::ENHANCE_YOUR_CALM),
        ),
        case(
            "6.10",
            "an empty CONTINUATION",
            [
                frame(HEADERS, END_STREAM, 1, &block(&pseudo("GET", "/"))),
                frame(CONTINUATION, END_HEADERS, 1, b""),
            ],
            served(1),
        ),
        case(
            "6.10",
            "empty HEADERS before CONTINUATION",
            [
                frame(HEADERS, END_STREAM, 1, b""),
                frame(CONTINUATION, END_HEADERS, 1, &block(&pseudo("GET", "/"))),
            ],
            served(1),
        ),
        case(
            "6.10",
            "trailers with CONTINUATION",
            [
                post(1, "/", &[]),
                frame(HEADERS, END_STREAM, 1, b"\0\x01a"),
                frame(CONTINUATION, END_HEADERS, 1, b"\x01b"),
            ],
            served(1),
        ),
        case(
            "6.10",
            "CONTINUATION first",
            frame(CONTINUATION, END_HEADERS, 1, &block(&pseudo("GET", "/"))),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.10",
            "CONTINUATION after END_HEADERS",
            [post(1, "/", &[]), frame(CONTINUATION, END_HEADERS, 1, b"")],
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.10",
            "CONTINUATION on stream 0",
            [frame(HEADERS, 0, 1, b""), frame(CONTINUATION, END_HEADERS, 0, b"")],
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "6.10",
            "CONTINUATION of another stream",
            [frame(HEADERS, 0, 1, b""), frame(CONTINUATION, END_HEADERS, 3, b"")],
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "RFC 9218, 7.1",
            "PRIORITY_UPDATE",
            [
                post(1, "/", &[]),
                frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=1, i"),
                last_data(1, b""),
            ],
            served(1),
        ),
        case(
            "RFC 9218, 7.1",
            "PRIORITY_UPDATE of an idle stream",
            [frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=1"), get(1, "/")],
            served(1),
        ),
        case(
            "RFC 9218, 7.1",
            "PRIORITY_UPDATE of a closed stream",
            [get(1, "/"), frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01u=1")],
            served(1),
        ),
        case(
            "RFC 9218, 7.1",
            "PRIORITY_UPDATE without a value",
            frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01"),
            ignored(),
        ),
        case(
            "RFC 9218, 7.1",
            "PRIORITY_UPDATE on a stream",
            frame(PRIORITY_UPDATE, 0, 1, b"\0\0\0\x01u=1"),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "RFC 9218, 7.1",
            "PRIORITY_UPDATE of stream 0",
            frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\0u=1"),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "RFC 9218, 7.1",
            "PRIORITY_UPDATE of a stream of the server",
            frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x02u=1"),
            Connection(E::PROTOCOL_ERROR),
        ),
        case(
            "RFC 9218, 7.1",
            "PRIORITY_UPDATE without a stream",
            frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0"),
            Connection(E::FRAME_SIZE_ERROR),
        ),
    ];
    for (name, kind) in [
        ("DATA", DATA),
        ("HEADERS", HEADERS),
        ("PRIORITY", PRIORITY),
        ("RST_STREAM", RST_STREAM),
        ("SETTINGS", SETTINGS),
        ("PING", PING),
        ("GOAWAY", GOAWAY),
        ("WINDOW_UPDATE", WINDOW_UPDATE),
        ("an unknown frame", 0x50),
    ] {
        let stream = if matches!(kind, SETTINGS | PING | GOAWAY) { 0 } else { 1 };
        let input = [post(1, "/", &[]), frame(kind, END_HEADERS, stream, &[0; 16_385])];
        cases.push(case(
            "4.2",
            format!("{name} longer than SETTINGS_MAX_FRAME_SIZE"),
            input,
            Connection(E::FRAME_SIZE_ERROR),
        ));
    }
    for length in [0, 3, 5, 8] {
        let input = [post(1, "/", &[]), frame(RST_STREAM, 0, 1, &[0; 8][..length])];
        cases.push(case(
            "6.4",
            format!("RST_STREAM of {length} bytes"),
            input,
            Connection(E::FRAME_SIZE_ERROR),
        ));
        let input = [post(1, "/", &[]), frame(WINDOW_UPDATE, 0, 1, &[1; 8][..length])];
        cases.push(case(
            "6.9",
            format!("WINDOW_UPDATE of {length} bytes"),
            input,
            Connection(E::FRAME_SIZE_ERROR),
        ));
        let input = frame(WINDOW_UPDATE, 0, 0, &[1; 8][..length]);
        cases.push(case(
            "6.9",
            format!("WINDOW_UPDATE of the connection of {length} bytes"),
            input,
            Connection(E::FRAME_SIZE_ERROR),
        ));
    }
    for length in [0, 4, 6] {
        let input = [post(1, "/", &[]), frame(PRIORITY, 0, 1, &[0; 8][..length])];
        cases.push(case(
            "6.3",
            format!("PRIORITY of {length} bytes"),
            input,
            Stream(1, E::FRAME_SIZE_ERROR),
        ));
    }
    for length in [0, 7, 9] {
        cases.push(case(
            "6.7",
            format!("PING of {length} bytes"),
            frame(PING, 0, 0, &[0; 9][..length]),
            Connection(E::FRAME_SIZE_ERROR),
        ));
    }
    for length in [0, 7] {
        cases.push(case(
            "6.8",
            format!("GOAWAY of {length} bytes"),
            frame(GOAWAY, 0, 0, &[0; 9][..length]),
            Connection(E::FRAME_SIZE_ERROR),
        ));
    }
    for (name, between) in [
        ("DATA", data(1, b"x")),
        ("HEADERS", get(1, "/")),
        ("HEADERS of another stream", get(3, "/")),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0; 5])),
        ("RST_STREAM", reset(1, E::CANCEL)),
        ("SETTINGS", settings(&[])),
        ("PING", ping()),
        ("GOAWAY", frame(GOAWAY, 0, 0, &[0; 8])),
        ("WINDOW_UPDATE", window_update(0, 1)),
        ("an unknown frame", frame(0x44, 0, 0, b"")),
        ("PRIORITY_UPDATE", frame(PRIORITY_UPDATE, 0, 0, b"\0\0\0\x01")),
    ] {
        let input = [frame(HEADERS, END_STREAM, 1, b""), between];
        cases.push(case(
            "6.10",
            format!("{name} within a field block"),
            input,
            Connection(E::PROTOCOL_ERROR),
        ));
    }
    cases
}

/// `GET /` on stream 1 with additional flags, and bytes before and after the field block.
fn headers_with(flags: u8, before: &[u8], after: &[u8]) -> Vec<u8> {
    let payload = [before, &block(&pseudo("GET", "/")), after].concat();
    frame(HEADERS, END_HEADERS | END_STREAM | flags, 1, &payload)
}

/// `GET /` on stream 1, divided into this number of frames.
fn split(frames: usize) -> Vec<u8> {
    let block = block(&pseudo("GET", "/"));
    let length = block.len() / frames;
    let mut input = frame(HEADERS, END_STREAM, 1, &block[..length]);
    for index in 1..frames {
        let is_last = index + 1 == frames;
        let end = if is_last { block.len() } else { (index + 1) * length };
        let flags = if is_last { END_HEADERS } else { 0 };
        input.extend(frame(CONTINUATION, flags, 1, &block[index * length..end]));
    }
    input
}
