//! The rows of the conformance table.

use conduit_proto::ws::{CloseCode, WebSocketEvent as Event};

use crate::frames::*;

/// One row: the bytes after the handshake, and the expected result.
pub(crate) struct Case {
    /// The section of RFC 6455, unless it names another RFC.
    pub(crate) section: &'static str,
    pub(crate) name: String,
    /// The offer of extensions, which the server accepts.
    pub(crate) extensions: Option<&'static str>,
    pub(crate) input: Vec<u8>,
    pub(crate) expect: Expect,
}

pub(crate) enum Expect {
    /// An error, and Close with this code.
    Error(u16),
    /// These events, after which the connection is closed.
    Closed(Vec<Event>),
    /// These events and these frames of the server; the connection continues.
    Events(Vec<Event>, Vec<ServerFrame>),
}
use Expect::{Closed, Error, Events};

fn case(section: &'static str, name: impl Into<String>, input: impl Into<Vec<u8>>, expect: Expect) -> Case {
    Case {
        section,
        name: name.into(),
        extensions: None,
        input: input.into(),
        expect,
    }
}

fn is_text(text: &str) -> Expect {
    Events(vec![Event::Text(text.to_owned())], Vec::new())
}

fn is_binary(bytes: &[u8]) -> Expect {
    Events(vec![Event::Binary(bytes.to_vec())], Vec::new())
}

pub(crate) fn all() -> Vec<Case> {
    [
        framing(),
        fragments(),
        control(),
        closing(),
        utf8(),
        limits(),
        deflate(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn framing() -> Vec<Case> {
    let mut cases = vec![
        case("5.2", "an empty text", text(""), is_text("")),
        case("5.2", "an empty binary", binary(b""), is_binary(b"")),
        case("5.7", "the example of the RFC", text("Hello"), is_text("Hello")),
        case("5.1", "no mask", b"\x81\x05Hello", Error(1002)),
        case("5.1", "a ping without a mask", b"\x89\x00", Error(1002)),
        case("5.3", "a mask of zeros", b"\x82\x84\0\0\0\0abcd", is_binary(b"abcd")),
        case(
            "5.2",
            "126 in 8 bytes",
            [&b"\x82\xff\0\0\0\0\0\0\0\x7e"[..], &masked(&[0; 126])].concat(),
            Error(1002),
        ),
        case(
            "5.2",
            "65535 in 8 bytes",
            [&b"\x82\xff\0\0\0\0\0\0\xff\xff"[..], &MASK].concat(),
            Error(1002),
        ),
        case(
            "5.2",
            "125 in 2 bytes",
            [&b"\x82\xfe\0\x7d"[..], &masked(&[0; 125])].concat(),
            Error(1002),
        ),
        case(
            "5.2",
            "0 in 2 bytes",
            [&b"\x82\xfe\0\0"[..], &MASK].concat(),
            Error(1002),
        ),
        case(
            "5.2",
            "a length of 2^63",
            [&b"\x82\xff\x80\0\0\0\0\0\0\0"[..], &MASK].concat(),
            Error(1002),
        ),
        case(
            "5.2",
            "a length of 2^64-1",
            [&b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"[..], &MASK].concat(),
            Error(1002),
        ),
        case(
            "5.2",
            "a length of 2^63-1",
            [&b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff"[..], &MASK].concat(),
            Error(1009),
        ),
    ];
    for length in [1, 4, 15, 16, 17, 31, 125, 126, 127, 128, 255, 256, 800] {
        let bytes: Vec<u8> = (0..length).map(|at| at as u8).collect();
        cases.push(case(
            "5.2",
            format!("{length} bytes"),
            binary(&bytes),
            is_binary(&bytes),
        ));
    }
    for opcode in [3, 4, 5, 6, 7, 0xb, 0xc, 0xd, 0xe, 0xf] {
        cases.push(case(
            "5.2",
            format!("the opcode {opcode}"),
            frame(FIN | opcode, b""),
            Error(1002),
        ));
    }
    for bits in 1..8 {
        let first = FIN | bits << 4 | TEXT;
        cases.push(case(
            "5.2",
            format!("the reserved bits {bits}"),
            frame(first, b"a"),
            Error(1002),
        ));
        let first = FIN | bits << 4 | PING;
        cases.push(case(
            "5.2",
            format!("a ping with the reserved bits {bits}"),
            frame(first, b"a"),
            Error(1002),
        ));
    }
    cases
}

fn fragments() -> Vec<Case> {
    let two = [frame(TEXT, b"one "), frame(FIN, b"two")].concat();
    vec![
        case("5.4", "two fragments", two.clone(), is_text("one two")),
        case(
            "5.4",
            "three fragments of binary",
            [frame(BINARY, b"a"), frame(CONTINUATION, b"b"), frame(FIN, b"c")].concat(),
            is_binary(b"abc"),
        ),
        case(
            "5.4",
            "empty fragments",
            [frame(TEXT, b""), frame(CONTINUATION, b""), frame(FIN, b"")].concat(),
            is_text(""),
        ),
        case(
            "5.4",
            "an empty fragment at the end",
            [frame(TEXT, b"a"), frame(FIN, b"")].concat(),
            is_text("a"),
        ),
        case("5.4", "a continuation at first", frame(FIN, b"a"), Error(1002)),
        case(
            "5.4",
            "a continuation at first, not final",
            frame(CONTINUATION, b"a"),
            Error(1002),
        ),
        case(
            "5.4",
            "a continuation after a message",
            [text("a"), frame(FIN, b"b")].concat(),
            Error(1002),
        ),
        case(
            "5.4",
            "a text within a text",
            [frame(TEXT, b"a"), text("b")].concat(),
            Error(1002),
        ),
        case(
            "5.4",
            "a binary within a text",
            [frame(TEXT, b"a"), binary(b"b")].concat(),
            Error(1002),
        ),
        case(
            "5.4",
            "two beginnings",
            [frame(TEXT, b"a"), frame(TEXT, b"b")].concat(),
            Error(1002),
        ),
        case(
            "5.4",
            "a ping within a message",
            [frame(TEXT, b"a"), ping(b"p"), frame(FIN, b"b")].concat(),
            Events(
                vec![Event::Ping, Event::Text("ab".to_owned())],
                vec![(FIN | PONG, b"p".to_vec())],
            ),
        ),
        case(
            "5.4",
            "pings between all fragments",
            [
                frame(TEXT, b"a"),
                ping(b"1"),
                frame(CONTINUATION, b"b"),
                ping(b"2"),
                frame(FIN, b"c"),
            ]
            .concat(),
            Events(
                vec![Event::Ping, Event::Ping, Event::Text("abc".to_owned())],
                vec![(FIN | PONG, b"1".to_vec()), (FIN | PONG, b"2".to_vec())],
            ),
        ),
        case(
            "5.4",
            "a close within a message",
            [frame(TEXT, b"a"), close(1000, b"")].concat(),
            Closed(vec![Event::Close(Some(CloseCode::NORMAL), String::new())]),
        ),
        case(
            "5.4",
            "two messages, each in fragments",
            [two.clone(), two].concat(),
            Events(vec![Event::Text("one two".to_owned()); 2], Vec::new()),
        ),
    ]
}

fn control() -> Vec<Case> {
    let pong = |payload: &[u8]| Events(vec![Event::Ping], vec![(FIN | PONG, payload.to_vec())]);
    vec![
        case("5.5.2", "an empty ping", ping(b""), pong(b"")),
        case("5.5.2", "a ping with text", ping(b"hello"), pong(b"hello")),
        case(
            "5.5.2",
            "a ping with bytes",
            ping(b"\x00\xff\xfe"),
            pong(b"\x00\xff\xfe"),
        ),
        case("5.5", "a ping of 125 bytes", ping(&[7; 125]), pong(&[7; 125])),
        case("5.5", "a ping of 126 bytes", ping(&[7; 126]), Error(1002)),
        case("5.5", "a pong of 126 bytes", frame(FIN | PONG, &[7; 126]), Error(1002)),
        case("5.5", "a close of 126 bytes", close(1000, &[b'a'; 124]), Error(1002)),
        case("5.5", "a ping without FIN", frame(PING, b""), Error(1002)),
        case("5.5", "a pong without FIN", frame(PONG, b""), Error(1002)),
        case("5.5", "a close without FIN", frame(CLOSE, b"\x03\xe8"), Error(1002)),
        case(
            "5.5.3",
            "a pong",
            frame(FIN | PONG, b"x"),
            Events(vec![Event::Pong], Vec::new()),
        ),
        case(
            "5.5.2",
            "ten pings",
            ping(b"p").repeat(10),
            Events(vec![Event::Ping; 10], vec![(FIN | PONG, b"p".to_vec()); 10]),
        ),
    ]
}

fn closing() -> Vec<Case> {
    let closed = |code: Option<u16>, reason: &str| Closed(vec![Event::Close(code.map(CloseCode), reason.to_owned())]);
    let mut cases = vec![
        case(
            "5.5.1",
            "a close without a code",
            frame(FIN | CLOSE, b""),
            closed(None, ""),
        ),
        case(
            "5.5.1",
            "a close with one byte",
            frame(FIN | CLOSE, b"\x03"),
            Error(1002),
        ),
        case(
            "5.5.1",
            "a close with a reason",
            close(1000, b"bye"),
            closed(Some(1000), "bye"),
        ),
        case(
            "5.5",
            "a reason of 123 bytes",
            close(1000, &[b'a'; 123]),
            closed(Some(1000), &"a".repeat(123)),
        ),
        case("5.5.1", "a reason that is not UTF-8", close(1000, b"\xff"), Error(1007)),
        case(
            "5.5.1",
            "a reason that ends in a character",
            close(1000, "é".as_bytes().split_at(1).0),
            Error(1007),
        ),
        case(
            "5.5.1",
            "a message after the close",
            [close(1000, b""), text("late")].concat(),
            closed(Some(1000), ""),
        ),
        case(
            "5.5.1",
            "a ping after the close",
            [close(1000, b""), ping(b"late")].concat(),
            closed(Some(1000), ""),
        ),
        case(
            "5.5.1",
            "two closes",
            [close(1000, b""), close(1001, b"")].concat(),
            closed(Some(1000), ""),
        ),
        case(
            "5.5.1",
            "garbage after the close",
            [close(1000, b""), vec![0xff; 40]].concat(),
            closed(Some(1000), ""),
        ),
        case(
            "5.5.1",
            "a close after a message",
            [text("a"), close(1000, b"")].concat(),
            Closed(vec![
                Event::Text("a".to_owned()),
                Event::Close(Some(CloseCode::NORMAL), String::new()),
            ]),
        ),
    ];
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999,
    ] {
        cases.push(case(
            "7.4",
            format!("the code {code}"),
            close(code, b""),
            closed(Some(code), ""),
        ));
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        cases.push(case("7.4", format!("the code {code}"), close(code, b""), Error(1002)));
    }
    cases
}

fn utf8() -> Vec<Case> {
    let mut cases = vec![
        case(
            "5.6",
            "a character in two fragments",
            [frame(TEXT, b"\xe2\x82"), frame(FIN, b"\xac")].concat(),
            is_text("€"),
        ),
        case(
            "5.6",
            "a byte in each fragment",
            [
                frame(TEXT, b"\xf0"),
                frame(CONTINUATION, b"\x9d"),
                frame(CONTINUATION, b"\x84"),
                frame(FIN, b"\x9e"),
            ]
            .concat(),
            is_text("𝄞"),
        ),
        case(
            "8.1",
            "a message that ends in a character",
            frame(FIN | TEXT, b"\xe2\x82"),
            Error(1007),
        ),
        case(
            "8.1",
            "fragments that end in a character",
            [frame(TEXT, b"\xe2\x82"), frame(FIN, b"")].concat(),
            Error(1007),
        ),
        case(
            "8.1",
            "a character that begins within another",
            [frame(TEXT, b"\xe2\x82"), frame(FIN, b"a")].concat(),
            Error(1007),
        ),
        // The rest of the message is irrelevant.
        case("8.1", "an invalid first fragment", frame(TEXT, b"a\xff"), Error(1007)),
        case(
            "8.1",
            "an invalid beginning of a frame that has not arrived",
            frame(TEXT, b"\xed\xa0\x80aaaaaaaaaa"),
            Error(1007),
        ),
        case(
            "8.1",
            "any bytes as binary",
            binary(b"\xff\xfe\x80"),
            is_binary(b"\xff\xfe\x80"),
        ),
    ];
    for valid in [
        "κόσμε",
        "\u{0}",
        "\u{7f}\u{80}\u{7ff}\u{800}\u{ffff}",
        "\u{10000}\u{10ffff}",
        "\u{fffe}\u{feff}",
    ] {
        cases.push(case("8.1", format!("the text {valid:?}"), text(valid), is_text(valid)));
    }
    let invalid: [&[u8]; 16] = [
        b"\x80",
        b"\xbf",
        b"\xc0\x80",
        b"\xc1\xbf",
        b"\xe0\x80\x80",
        b"\xe0\x9f\xbf",
        b"\xf0\x80\x80\x80",
        b"\xf0\x8f\xbf\xbf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\xf5\x80\x80\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xfe",
        b"\xff",
    ];
    for bytes in invalid {
        let whole = frame(FIN | TEXT, bytes);
        cases.push(case("8.1", format!("the text {bytes:x?}"), whole, Error(1007)));
        let pieces: Vec<u8> = bytes.iter().enumerate().fold(Vec::new(), |mut stream, (at, byte)| {
            stream.extend(frame(if at == 0 { TEXT } else { CONTINUATION }, &[*byte]));
            stream
        });
        if bytes.len() < 6 {
            let pieces = [pieces, frame(FIN, b"")].concat();
            cases.push(case(
                "8.1",
                format!("the text {bytes:x?} in fragments"),
                pieces,
                Error(1007),
            ));
        }
    }
    cases
}

/// 1000 bytes a message, 800 a frame, 6 frames a message.
fn limits() -> Vec<Case> {
    let fragments = |count: usize, payload: &[u8]| {
        let mut stream = frame(BINARY, payload);
        for _ in 2..count {
            stream.extend(frame(CONTINUATION, payload));
        }
        [stream, frame(FIN, payload)].concat()
    };
    vec![
        case("10.4", "a frame at the limit", binary(&[1; 800]), is_binary(&[1; 800])),
        case("10.4", "a frame above the limit", binary(&[1; 801]), Error(1009)),
        // Without its payload: the header is enough.
        case(
            "10.4",
            "the header of a frame above the limit",
            binary(&[1; 801])[..8].to_vec(),
            Error(1009),
        ),
        case(
            "10.4",
            "a message at the limit",
            fragments(2, &[1; 500]),
            is_binary(&[1; 1000]),
        ),
        case(
            "10.4",
            "a message above the limit",
            [fragments(2, &[1; 501])].concat(),
            Error(1009),
        ),
        case(
            "10.4",
            "as many fragments as permitted",
            fragments(6, b"a"),
            is_binary(b"aaaaaa"),
        ),
        case("10.4", "more fragments than permitted", fragments(7, b"a"), Error(1008)),
        case(
            "10.4",
            "more empty fragments than permitted",
            fragments(7, b""),
            Error(1008),
        ),
    ]
}

/// Messages of permessage-deflate. The compressed forms are those of RFC 7692, section 7.2.3.
fn deflate() -> Vec<Case> {
    let hello: &[u8] = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    let compressed = |name: &str, input: Vec<u8>, expect| Case {
        extensions: Some("permessage-deflate"),
        ..case("RFC 7692 7.2.3", name, input, expect)
    };
    let hellos = |count| Events(vec![Event::Text("Hello".to_owned()); count], Vec::new());
    vec![
        compressed("one frame", frame(FIN | RSV1 | TEXT, hello), hellos(1)),
        compressed(
            "two fragments",
            [frame(RSV1 | TEXT, &hello[..3]), frame(FIN, &hello[3..])].concat(),
            hellos(1),
        ),
        compressed(
            "the context is kept",
            [
                frame(FIN | RSV1 | TEXT, hello),
                frame(FIN | RSV1 | TEXT, b"\xf2\x00\x11\x00\x00"),
            ]
            .concat(),
            hellos(2),
        ),
        compressed(
            "a block without compression",
            frame(FIN | RSV1 | TEXT, b"\x00\x05\x00\xfa\xffHello\x00"),
            hellos(1),
        ),
        compressed(
            "a block with BFINAL",
            frame(FIN | RSV1 | TEXT, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"),
            hellos(1),
        ),
        compressed(
            "two blocks",
            frame(
                FIN | RSV1 | TEXT,
                b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
            ),
            hellos(1),
        ),
        compressed("an empty message", frame(FIN | RSV1 | TEXT, b"\x00"), is_text("")),
        compressed("a message without compression", text("Hello"), hellos(1)),
        compressed(
            "a ping within a message",
            [frame(RSV1 | TEXT, &hello[..3]), ping(b""), frame(FIN, &hello[3..])].concat(),
            Events(
                vec![Event::Ping, Event::Text("Hello".to_owned())],
                vec![(FIN | PONG, Vec::new())],
            ),
        ),
        compressed(
            "RSV1 in a continuation",
            [frame(RSV1 | TEXT, &hello[..3]), frame(FIN | RSV1, &hello[3..])].concat(),
            Error(1002),
        ),
        compressed("RSV1 in a ping", frame(FIN | RSV1 | PING, b""), Error(1002)),
        compressed("RSV2", frame(FIN | 0x20 | TEXT, b""), Error(1002)),
        compressed(
            "a last block without data, and another message",
            [frame(FIN | RSV1 | TEXT, b"\x01"), frame(FIN | RSV1 | TEXT, hello)].concat(),
            Events(
                vec![Event::Text(String::new()), Event::Text("Hello".to_owned())],
                Vec::new(),
            ),
        ),
        compressed(
            "a block without compression that lacks its end",
            frame(FIN | RSV1 | BINARY, b"\x00\x06\x00\xf9\xffHe"),
            Error(1007),
        ),
        compressed(
            "a compressed block that lacks its end",
            frame(FIN | RSV1 | TEXT, &hello[..5]),
            Error(1007),
        ),
        compressed("no block", frame(FIN | RSV1 | TEXT, b""), Error(1007)),
        compressed(
            "a message with the tail",
            frame(FIN | RSV1 | TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff"),
            Error(1007),
        ),
        compressed(
            "bytes that no compressor produces",
            frame(FIN | RSV1 | TEXT, b"\xff\xff\xff\xff"),
            Error(1007),
        ),
        compressed(
            "a distance before the beginning",
            frame(FIN | RSV1 | TEXT, b"\xf2\x00\x11\x00\x00"),
            Error(1007),
        ),
        compressed(
            "a text that is not UTF-8",
            frame(FIN | RSV1 | TEXT, b"\x00\x01\x00\xfe\xff\xff\x00"),
            Error(1007),
        ),
    ]
}
