//! Flow control, back-pressure, the order of responses, and cancellation.

use std::collections::HashMap;
use std::time::Duration;

use conduit_proto::h2::ErrorCode;

use crate::client::Client;
use crate::frames::{self, Received, data, get, last_data, post};
use crate::{DEADLINE, LARGE, server};

/// The bytes that a client may send on a stream before the server has read any.
const WINDOW: usize = 64 * 1024;

fn window_updates(client: &mut Client, stream: u32) -> u32 {
    client.take_in();
    let updates = client.frames.iter().filter_map(|frame| match frame {
        Received::WindowUpdate(other, increment) if *other == stream => Some(*increment),
        _ => None,
    });
    updates.sum()
}

#[test]
fn a_window_grows_only_as_the_handler_reads() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&post(1, "/unread", &[]));
    client.send(&post(3, "/length", &[]));
    for _ in 0..WINDOW / 16_384 {
        client.send(&data(1, &[b'u'; 16_384]));
        client.send(&data(3, &[b'r'; 16_384]));
    }
    // The handler reads the last piece in a later turn, and needs the whole body.
    while window_updates(&mut client, 3) < WINDOW as u32 {
        server.advance(Duration::ZERO);
    }
    assert_eq!(window_updates(&mut client, 1), 0, "the body is unread");
    assert!(server.resources().buffer_bytes >= WINDOW);
    client.send(&data(1, b"x"));
    client.read_until(|frame| *frame == Received::Reset(1, ErrorCode::FLOW_CONTROL_ERROR));
    client.send(&last_data(3, b""));
    assert_eq!(client.response(3).text(), format!("{WINDOW} bytes"));
    assert_eq!(server.handle().statistics().limit_hits(conduit::Limit::Http2Windows), 1);
}

/// The handler of `/echo` returns the body at once, and the response reads it.
#[test]
fn a_window_grows_as_a_response_reads_the_body() {
    let server = server();
    let mut client = Client::open(&server);
    let pieces = [b'e'; 3 * 16_384];
    let mut input = post(1, "/echo", &[]);
    pieces.chunks(16_384).for_each(|piece| input.extend(data(1, piece)));
    client.send(&input);
    for _ in 0..100 {
        if window_updates(&mut client, 1) >= pieces.len() as u32 {
            return;
        }
        server.advance(Duration::ZERO);
    }
    panic!("the body is read, and its window stays closed");
}

#[test]
fn a_body_that_the_handler_drops_is_discarded() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&post(1, "/dropped", &[]));
    for _ in 0..8 {
        for _ in 0..WINDOW / 2 / 16_384 {
            client.send(&data(1, &[b'u'; 16_384]));
        }
        server.advance(Duration::ZERO);
    }
    while window_updates(&mut client, 1) < 4 * WINDOW as u32 {
        server.advance(Duration::ZERO);
    }
    assert_eq!(server.resources().body_memory_bytes, 0);
}

#[test]
fn a_body_whose_handler_does_not_begin_leaves_no_memory() {
    let server = server();
    let mut client = Client::open(&server);
    let body = [0; 16_384];
    // One read receives the whole body, after which the handler would begin.
    client.send(&[post(1, "/echo", &[]), data(1, &body), data(1, &body)].concat());
    client.send(&frames::reset(1, ErrorCode::CANCEL));
    client.send(&[post(3, "/nowhere", &[]), data(3, &body), last_data(3, &body)].concat());
    assert_eq!(client.response(3).status, 404);
    assert_eq!(client.get(5, "/").status, 200);
    let resources = server.resources();
    assert_eq!((resources.buffer_bytes, resources.body_memory_bytes), (0, 0));
}

#[test]
fn a_body_that_is_read_later_opens_the_window_of_the_connection_then() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&post(1, "/later", &[]));
    client.send(&last_data(1, &[b'u'; 10_000]));
    assert_eq!(client.get(3, "/").status, 200);
    server.advance(DEADLINE);
    assert_eq!(client.response(1).text(), "10000 bytes");
    // Far more than the connection's window in total.
    for stream in (5..).step_by(2).take(200) {
        client.send(&[post(stream, "/length", &[]), last_data(stream, &[b'u'; 10_000])].concat());
        assert_eq!(client.response(stream).text(), "10000 bytes");
    }
}

#[test]
fn a_stream_is_polled_only_while_its_window_has_room() {
    let server = server();
    let mut client = Client::with_settings(&server, &[(4, 25_000)]);
    client.send(&get(1, "/stream/100"));
    server.advance(Duration::ZERO);
    client.take_in();
    let received: usize = client.frames.iter().map(data_bytes).sum();
    assert_eq!(received, 25_000);
    assert!(server.resources().buffer_bytes <= 10_000, "a piece waits");
    client.send(&[frames::window_update(1, 1 << 20), frames::window_update(0, 1 << 20)].concat());
    assert_eq!(client.response(1).body.len(), 1_000_000);
}

/// The end of a response needs no window (RFC 9113, section 6.9.1).
#[test]
fn a_stream_that_fills_a_window_exactly_ends_without_more_window() {
    let server = server();
    // The window of the stream, and that of the connection.
    for (settings, bytes) in [((4, 10_000), 10_000), ((4, 1 << 20), 65_535)] {
        let mut client = Client::with_settings(&server, &[settings]);
        // With a declared length, and without one: the first pieces are written with the head, or by a task.
        for (stream, path) in [(1, "sized"), (3, "unsized"), (5, "late-unsized")] {
            let response = client.get(stream, &format!("/{path}/{bytes}"));
            assert_eq!(response.body.len(), bytes, "{path}");
            client.send(&frames::window_update(0, bytes as u32));
        }
    }
    assert_eq!(server.handle().statistics().limit_hits(conduit::Limit::WriteRate), 0);
}

/// Its next piece may be its end: the client cannot know that it has to open the window.
#[test]
fn a_quiet_stream_that_has_filled_a_window_exactly_is_not_late() {
    let server = server();
    // The window of the stream, and that of the connection.
    for (settings, bytes) in [((4, 10_000), 10_000), ((4, 1 << 20), 65_535)] {
        let mut client = Client::with_settings(&server, &[settings]);
        client.send(&get(1, &format!("/quiet/{bytes}")));
        for _ in 0..7 {
            server.advance(DEADLINE / 2);
            client.take_in();
        }
        let response = client.response(1);
        assert_eq!(response.body.len(), bytes);
    }
    assert_eq!(server.handle().statistics().limit_hits(conduit::Limit::WriteRate), 0);
}

#[test]
fn a_stream_that_exceeds_its_length_is_reset_without_more_window() {
    let server = server();
    let mut client = Client::with_settings(&server, &[(4, 25_000)]);
    client.send(&get(1, "/wrong-length"));
    let is_reset = |frame: &Received| matches!(frame, Received::Reset(1, _));
    assert_eq!(
        client.read_until(is_reset),
        Received::Reset(1, ErrorCode::INTERNAL_ERROR)
    );
    assert_eq!(server.handle().statistics().limit_hits(conduit::Limit::WriteRate), 0);
}

fn data_bytes(frame: &Received) -> usize {
    match frame {
        Received::Data { bytes, .. } => bytes.len(),
        _ => 0,
    }
}

#[test]
fn large_responses_do_not_starve_small_ones() {
    let server = server();
    let mut client = Client::open(&server);
    for stream in [1, 3, 5] {
        client.send(&get(stream, "/large"));
    }
    client.send(&get(7, "/file"));
    client.send(&get(9, "/"));
    let mut before = HashMap::new();
    loop {
        let frame =
            client.read_until(|frame| matches!(frame, Received::Data { .. } | Received::Head { stream: 9, .. }));
        match frame {
            Received::Data { stream: 9, .. } => unreachable!("a head comes first"),
            Received::Data { stream, bytes, .. } => *before.entry(stream).or_default() += bytes.len(),
            _ => break,
        }
    }
    // The capacity of the pipe in memory and of the output buffer.
    let first: usize = before.values().sum();
    assert!(first <= LARGE / 2, "{first} bytes of large responses arrived first");
    for stream in [1, 3, 5] {
        let earlier = before.get(&stream).copied().unwrap_or(0);
        assert_eq!(client.response(stream).body.len() + earlier, LARGE);
    }
}

#[test]
fn an_urgent_response_comes_first() {
    let server = server();
    let mut client = Client::with_settings(&server, &[(4, 0)]);
    let with_priority = |stream, priority| {
        frames::request(
            stream,
            &[&frames::pseudo("GET", "/large"), &[("priority", priority)][..]].concat(),
        )
    };
    client.send(
        &[
            with_priority(1, "u=5"),
            with_priority(3, "u=1"),
            with_priority(5, "u=3"),
        ]
        .concat(),
    );
    server.advance(Duration::ZERO);
    // The window of the connection is smaller than a response.
    client.send(&frames::settings(&[(4, 1 << 20)]));
    server.advance(Duration::ZERO);
    client.take_in();
    let streams: Vec<u32> = client
        .frames
        .iter()
        .filter_map(|frame| match frame {
            Received::Data { stream, .. } => Some(*stream),
            _ => None,
        })
        .collect();
    assert!(
        !streams.is_empty() && streams.iter().all(|stream| *stream == 3),
        "{streams:?}"
    );
}

#[test]
fn a_reset_ends_the_handler_as_its_route_specifies() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&[get(1, "/slow"), get(3, "/aborted")].concat());
    server.advance(Duration::ZERO);
    assert_eq!(server.resources().handlers, 2);
    client.send(&[frames::reset(1, ErrorCode::CANCEL), frames::reset(3, ErrorCode::CANCEL)].concat());
    server.advance(Duration::ZERO);
    server.advance(Duration::ZERO);
    assert_eq!(server.resources().handlers, 1);
    server.advance(DEADLINE);
    assert_eq!(server.resources().handlers, 0);
    assert_eq!(client.get(5, "/").status, 200);
}

#[test]
fn a_reset_ends_the_streams_of_both_bodies() {
    let server = server();
    let mut client = Client::with_settings(&server, &[(4, 1000)]);
    client.send(
        &[
            get(1, "/stream/100"),
            get(3, "/large"),
            get(5, "/file"),
            post(7, "/echo", &[]),
        ]
        .concat(),
    );
    client.send(&data(7, &[b'e'; 5000]));
    server.advance(Duration::ZERO);
    for stream in [1, 3, 5, 7] {
        client.send(&frames::reset(stream, ErrorCode::CANCEL));
    }
    server.advance(Duration::ZERO);
    server.advance(Duration::ZERO);
    assert_eq!(server.resources().buffer_bytes, 0);
    assert_eq!(client.get(9, "/").status, 200);
}
