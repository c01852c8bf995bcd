//! Known attacks on servers, with bounded memory during each.

use std::time::Duration;

use conduit_proto::h2::{ErrorCode, Http2Limits, Http2Reason};
use conduit_proto::http_date;
use http::{HeaderMap, StatusCode};

use crate::drive::{Seen, Server};
use crate::frames::*;

/// The memory limit of a connection, excluding bodies within its windows.
const MEMORY: usize = 256 * 1024;

/// Sends a frame up to `times` times, in pieces with a pause after each delay. Returns the number of frames before the
/// connection was closed, and the number of delays.
fn flood(server: &mut Server, times: usize, mut frames: impl FnMut(usize) -> Vec<u8>) -> (usize, usize) {
    let mut delays = 0;
    for sent in 0..times {
        server.receive(&frames(sent));
        while server.seen.last() == Some(&Seen::Delayed) {
            // As in a server: nothing is read for that time.
            server.seen.pop();
            delays += 1;
            server.now += Duration::from_millis(100);
            server.receive(b"");
        }
        assert!(
            server.connection.heap_bytes() <= MEMORY,
            "{}",
            server.connection.heap_bytes()
        );
        if let Some(error) = server.error() {
            assert_eq!(error.reason(), Http2Reason::Flood);
            assert_eq!(error.code(), ErrorCode::ENHANCE_YOUR_CALM);
            assert!(matches!(
                server.read().last(),
                Some(Received::GoAway(_, ErrorCode::ENHANCE_YOUR_CALM))
            ));
            return (sent, delays);
        }
        server.seen.clear();
        server.output.clear();
    }
    panic!("the connection is open after {times} frames and {delays} delays");
}

fn number(index: usize) -> u32 {
    1 + 2 * index as u32
}

/// Checks that exactly the budget and the delays were used.
fn assert_closed((sent, delays): (usize, usize)) {
    assert!((1000..1500).contains(&sent), "{sent} frames");
    assert_eq!(delays, 32);
}

#[test]
fn rapid_reset() {
    let mut server = Server::open(&Http2Limits::default());
    assert_closed(flood(&mut server, 10_000, |index| {
        [get(number(index), "/hold"), reset(number(index), ErrorCode::CANCEL)].concat()
    }));
}

#[test]
fn made_you_reset_by_window_update() {
    for increment in [0, 0x7fff_ffff] {
        let mut server = Server::open(&Http2Limits::default());
        assert_closed(flood(&mut server, 10_000, |index| {
            [get(number(index), "/hold"), window_update(number(index), increment)].concat()
        }));
    }
}

#[test]
fn made_you_reset_by_data_after_the_end() {
    let mut server = Server::open(&Http2Limits::default());
    assert_closed(flood(&mut server, 10_000, |index| {
        [get(number(index), "/hold"), last_data(number(index), b"")].concat()
    }));
}

#[test]
fn made_you_reset_by_headers_after_the_end() {
    let mut server = Server::open(&Http2Limits::default());
    assert_closed(flood(&mut server, 10_000, |index| {
        [get(number(index), "/hold"), get(number(index), "/")].concat()
    }));
}

#[test]
fn made_you_reset_by_priority() {
    for priority in [&[0; 4][..], &[0; 6]] {
        let mut server = Server::open(&Http2Limits::default());
        assert_closed(flood(&mut server, 10_000, |index| {
            [get(number(index), "/hold"), frame(PRIORITY, 0, number(index), priority)].concat()
        }));
    }
}

#[test]
fn made_you_reset_by_a_wrong_length() {
    let mut server = Server::open(&Http2Limits::default());
    assert_closed(flood(&mut server, 10_000, |index| {
        [
            post(number(index), "/hold", &[("content-length", "1")]),
            data(number(index), b"longer"),
        ]
        .concat()
    }));
}

#[test]
fn made_you_reset_by_trailers() {
    for (flags, fields) in [
        (END_HEADERS, [("a", "b")]),
        (END_HEADERS | END_STREAM, [(":path", "/")]),
        (END_HEADERS | END_STREAM, [("connection", "close")]),
    ] {
        let mut server = Server::open(&Http2Limits::default());
        assert_closed(flood(&mut server, 10_000, |index| {
            let trailers = frame(HEADERS, flags, number(index), &block(&fields));
            [post(number(index), "/hold", &[]), trailers].concat()
        }));
    }
}

/// DATA that exceeds the window of its stream, which the server has announced.
#[test]
fn made_you_reset_by_data_beyond_the_window() {
    let limits = Http2Limits {
        stream_window: 100,
        max_stream_window: 100,
        ..Http2Limits::default()
    };
    let mut server = Server::open(&limits);
    server.receive(&frame(SETTINGS, ACK, 0, &[]));
    assert_closed(flood(&mut server, 10_000, |index| {
        [post(number(index), "/unread", &[]), data(number(index), &[0; 101])].concat()
    }));
}

/// Fields without a name or a value, which were kept for the whole time of a connection (CVE-2019-9516).
#[test]
fn fields_without_names() {
    for (name, first) in [(&b""[..], 0), (b"", 0x40), (b"", 0x10)] {
        let mut server = Server::open(&Http2Limits::default());
        let mut fields = block(&pseudo("GET", "/"));
        for _ in 0..1000 {
            literal(&mut fields, first, name, b"");
        }
        assert_closed(flood(&mut server, 10_000, |index| {
            frame(HEADERS, END_HEADERS | END_STREAM, number(index), &fields)
        }));
    }
}

#[test]
fn malformed_requests() {
    let mut server = Server::open(&Http2Limits::default());
    assert_closed(flood(&mut server, 10_000, |index| {
        with_fields(number(index), &[("A", "b")])
    }));
}

#[test]
fn more_streams_than_permitted() {
    let mut server = Server::open(&Http2Limits::default());
    for index in 0..128 {
        server.receive(&get(number(index), "/hold"));
    }
    assert_eq!(server.connection.open_streams(), 128);
    server.receive(&get(number(128), "/hold"));
    assert_eq!(server.read(), [Received::Reset(257, ErrorCode::REFUSED_STREAM)]);
    assert_eq!(server.seen.pop(), Some(Seen::Rejected(Http2Reason::TooManyStreams)));
    assert_closed(flood(&mut server, 10_000, |index| get(number(129 + index), "/hold")));
}

/// Trailers of a stream that the server has reset are ignored, but decoded.
#[test]
fn trailers_of_a_reset_stream_are_decoded_and_ignored() {
    let mut server = Server::open(&Http2Limits::default());
    server.receive(&post(1, "/early", &[]));
    assert_closed(flood(&mut server, 10_000, |_| trailers(1, &[("a", "b")])));
}

#[test]
fn frames_without_a_use() {
    let frames: [(&str, Vec<u8>); 12] = [
        ("PING", ping()),
        ("PING with ACK", frame(PING, ACK, 0, b"12345678")),
        ("SETTINGS", settings(&[])),
        ("SETTINGS with ACK", frame(SETTINGS, ACK, 0, b"")),
        ("settings of the window", settings(&[(4, 1), (4, 65_535)])),
        ("PRIORITY", frame(PRIORITY, 0, 9, &[0; 5])),
        ("PRIORITY_UPDATE", frame(PRIORITY_UPDATE, 0, 0, b"\0\0\x01\x01u=1")),
        ("WINDOW_UPDATE", window_update(0, 1)),
        ("WINDOW_UPDATE of a closed stream", window_update(1, 1)),
        ("an unknown frame", frame(0x77, 0, 0, b"")),
        ("a large unknown frame", frame(0x77, 0, 0, &[0; 1000])),
        ("GOAWAY", frame(GOAWAY, 0, 0, &[0; 8])),
    ];
    for (name, frame) in frames {
        let mut server = Server::open(&Http2Limits::default());
        server.receive(&get(1, "/"));
        let (sent, delays) = flood(&mut server, 10_000, |_| frame.clone());
        assert!(
            (1000..1500).contains(&sent) && delays == 32,
            "{name}: {sent} frames, {delays} delays"
        );
    }
}

#[test]
fn empty_data() {
    for frame in [data(1, b""), data(1, b"abcd"), frame(DATA, PADDED, 1, b"\x03\0\0\0")] {
        let mut server = Server::open(&Http2Limits::default());
        server.receive(&post(1, "/", &[]));
        assert_closed(flood(&mut server, 10_000, |_| frame.clone()));
    }
}

/// A budget that counts each small DATA frame would break streams of gRPC messages.
#[test]
fn small_messages_are_not_a_flood() {
    let mut server = Server::open(&Http2Limits::default());
    server.receive(&post(1, "/", &[]));
    for _ in 0..50_000 {
        server.receive(&data(1, b"\0\0\0\0\0"));
        server.seen.clear();
        server.output.clear();
    }
    server.receive(&last_data(1, b""));
    assert_eq!(server.seen, [Seen::End(1, Vec::new())]);
}

/// Clients send PING to measure the bandwidth, and open windows, after each DATA frame.
#[test]
fn updates_in_proportion_to_sent_data_are_not_a_flood() {
    let mut server = Server::open(&Http2Limits::default());
    for index in 0..20_000 {
        let number = number(index);
        server.receive(&[get(number, "/"), window_update(0, 5), window_update(number, 5), ping()].concat());
        assert_eq!(server.seen.len(), 1);
        server.seen.clear();
        server.output.clear();
    }
}

#[test]
fn cancelled_requests_at_a_moderate_rate_are_not_a_flood() {
    let mut server = Server::open(&Http2Limits::default());
    for index in 0..20_000 {
        server.receive(&[get(number(index), "/hold"), reset(number(index), ErrorCode::CANCEL)].concat());
        assert_eq!(server.seen.len(), 2);
        server.seen.clear();
        server.output.clear();
        server.now += Duration::from_millis(31);
    }
}

#[test]
fn continuation_flood() {
    for (payload, continuations) in [(&b""[..], 8), (b"\0", 8), (&[0; 16_384], 8), (b"", u8::MAX)] {
        let mut server = Server::open(&Http2Limits {
            continuations,
            ..Http2Limits::default()
        });
        server.receive(&frame(HEADERS, 0, 1, b""));
        let mut sent = 0;
        while server.error().is_none() {
            server.receive(&frame(CONTINUATION, 0, 1, payload));
            assert!(server.connection.heap_bytes() <= MEMORY);
            sent += 1;
            assert!(sent <= usize::from(continuations) + 1, "{sent}");
        }
        assert_eq!(server.error().unwrap().code(), ErrorCode::ENHANCE_YOUR_CALM);
        assert_eq!(server.connection.heap_bytes(), 0, "memory after the error");
    }
}

/// One entry of 4 KB in the table, and a block of references to it: 32 KB on the wire, 130 MB decoded.
#[test]
fn hpack_bomb() {
    let mut server = Server::open(&Http2Limits::default());
    let mut entry = block(&pseudo("GET", "/"));
    literal(&mut entry, 0x40, b"a", &[b'x'; 4000]);
    server.receive(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &entry));
    let pseudo = block(&pseudo("GET", "/"));
    for index in 1..200 {
        let number = number(index);
        server.receive(&frame(HEADERS, END_STREAM, number, &pseudo));
        server.receive(&frame(CONTINUATION, 0, number, &[0xbe; 16_384]));
        server.receive(&frame(CONTINUATION, END_HEADERS, number, &[0xbe; 16_384]));
        assert_eq!(
            server.seen.pop(),
            Some(Seen::Refused(number, Http2Reason::HeadTooLarge))
        );
        assert!(server.connection.heap_bytes() <= MEMORY);
        // The permitted section, in a buffer that grows by doubling.
        assert!(server.head_bytes() <= 160 * 1024, "{}", server.head_bytes());
        server.output.clear();
    }
}

#[test]
fn cookie_crumbs() {
    let mut server = Server::open(&Http2Limits::default());
    let (entry, bomb) = bomb(&pseudo("GET", "/"), b"cookie", b"", 16_000);
    server.receive(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &entry));
    server.receive(&frame(HEADERS, END_HEADERS | END_STREAM, 3, &bomb));
    assert_eq!(server.seen.pop(), Some(Seen::Refused(3, Http2Reason::TooManyFields)));
}

/// A client that opens no window: response bodies remain with their callers, and the connection buffers none.
#[test]
fn empty_window_buffers_no_response() {
    let mut server = Server::open(&Http2Limits::default());
    server.receive(&settings(&[(4, 0)]));
    for index in 0..128 {
        server.receive(&get(number(index), "/"));
    }
    let received = server.read();
    assert!(!received.iter().any(|frame| matches!(frame, Received::Data { .. })));
    assert_eq!(server.connection.open_streams(), 128);
    assert!(server.connection.heap_bytes() <= MEMORY);
    assert_eq!(server.connection.next_pending(), None);
}

/// A client that accepts a response byte by byte.
#[test]
fn one_byte_windows_are_delayed() {
    let mut server = Server::open(&Http2Limits::default());
    server.receive(&[settings(&[(4, 0)]), get(1, "/hold")].concat());
    let stream = server.stream(1);
    let (status, headers, date) = (StatusCode::OK, HeaderMap::new(), http_date(0));
    let body = vec![0; 100_000];
    server
        .connection
        .write_response(&mut server.output, stream, status, &headers, &body, &date);
    server.connection.set_pending(stream, true);
    let mut sent = 0;
    while server.error().is_none() {
        server.receive(&window_update(1, 1));
        while server.seen.last() == Some(&Seen::Delayed) {
            server.seen.pop();
            server.now += Duration::from_millis(100);
            server.receive(b"");
        }
        if let Some(stream) = server.connection.next_pending() {
            sent += server
                .connection
                .write_body(&mut server.output, stream, &body, true)
                .unwrap();
        }
    }
    assert!((1000..1500).contains(&sent), "{sent} bytes");
}

/// DATA of closed streams is returned to the window of the connection; otherwise the connection would stall.
#[test]
fn connection_window_does_not_leak() {
    let mut server = Server::open(&Http2Limits::default());
    let part = [0; 16_384];
    let padded = [&[200][..], &part[..16_383]].concat();
    let mut window = 1 << 20;
    for index in 0..300 {
        let number = number(index);
        server.now += Duration::from_secs(1);
        // An early response before the rest of the body; a body that is never read; a reset.
        let path = ["/early", "/unread", "/hold"][index % 3];
        server.receive(&post(number, path, &[]));
        server.receive(&frame(DATA, PADDED, number, &padded));
        server.receive(&data(number, &part));
        if index % 3 != 0 {
            server.receive(&reset(number, ErrorCode::CANCEL));
        }
        window -= 2 * 16_384;
        for frame in server.read() {
            if let Received::WindowUpdate(0, increment) = frame {
                window += increment;
            }
        }
        assert!(window >= 1 << 18, "{window} bytes are left at request {index}");
        assert_eq!(server.error(), None);
        server.seen.clear();
    }
    assert_eq!(server.connection.open_streams(), 0);
}

#[test]
fn a_single_byte_that_exhausts_a_window_is_free_and_another_is_not() {
    let limits = Http2Limits {
        glitches: 1,
        glitches_per_second: 0,
        max_stream_window: 65_536,
        ..Http2Limits::default()
    };
    let mut server = Server::open(&limits);
    server.receive(&frame(SETTINGS, ACK, 0, &[]));
    for stream in [1, 3, 5] {
        server.receive(&post(stream, "/unread", &[]));
        for length in [16_384, 16_384, 16_384, 16_383, 1] {
            server.receive(&data(stream, &vec![b'x'; length]));
        }
        assert!(!server.seen.contains(&Seen::Delayed), "{stream}");
    }
    for stream in [7, 9] {
        server.receive(&[post(stream, "/unread", &[]), data(stream, b"x")].concat());
    }
    assert!(server.seen.contains(&Seen::Delayed));
}

/// DATA of requests after the last one of a shutdown counts for the window of the connection, which open streams share.
#[test]
fn data_of_ignored_streams_returns_to_the_window() {
    let mut server = Server::open(&Http2Limits::default());
    server.receive(&post(1, "/echo", &[]));
    server.connection.shutdown(&mut server.output);
    server.receive(&frame(PING, ACK, 0, b"shutdown"));
    assert_eq!(server.read().last(), Some(&Received::GoAway(1, ErrorCode::NO_ERROR)));
    let padded = [&[200][..], &[0; 16_383]].concat();
    let mut window = 1 << 20;
    for index in 1..200 {
        server.now += Duration::from_secs(1);
        let number = number(index);
        server.receive(&[post(number, "/", &[]), frame(DATA, PADDED, number, &padded)].concat());
        window -= 16_384;
        for frame in server.read() {
            if let Received::WindowUpdate(0, increment) = frame {
                window += increment;
            }
        }
        assert!(window >= 1 << 18, "{window} bytes are left at request {index}");
    }
    assert_eq!(server.error(), None);
    server.receive(&last_data(1, b"body"));
    assert!(server.read().iter().any(|frame| frame.status() == Some((1, "200"))));
}
