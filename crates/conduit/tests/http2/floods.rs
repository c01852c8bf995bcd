//! Floods and attacks: their cost is bounded and counted.

use std::time::Duration;

use conduit::Limit;
use conduit::testing::TestClient;
use conduit_proto::h2::ErrorCode;

use crate::client::Client;
use crate::frames::{self, Received, data, frame, get, post};
use crate::{DEADLINE, app, server};

/// An idle timeout of connections that outlive the handlers of their reset streams: without a stream a connection is idle.
const LONG: Duration = Duration::from_secs(24 * 60 * 60);

fn hits(server: &TestClient, limit: Limit) -> u64 {
    server.handle().statistics().limit_hits(limit)
}

/// Sends the same frames once a second until the server closes the connection. Returns the number of rounds.
fn flood(server: &TestClient, client: &mut Client, mut frames: impl FnMut(usize) -> Vec<u8>) -> usize {
    for round in 0..200 {
        // The server may read none of it.
        client.offer(&frames(round));
        server.advance(Duration::from_secs(1));
        client.take_in();
        assert!(server.resources().buffer_bytes < 2 * 1024 * 1024);
        if client.connection.is_closed() {
            return round;
        }
    }
    panic!("the flood is not stopped");
}

#[test]
fn floods_are_delayed_and_then_closed() {
    let repeat = |frame: Vec<u8>| move |_: usize| frame.repeat(2000);
    for (name, frames) in [
        (
            "ping",
            Box::new(repeat(frames::ping())) as Box<dyn FnMut(usize) -> Vec<u8>>,
        ),
        ("settings", Box::new(repeat(frames::settings(&[(4, 1000)])))),
        (
            "priority",
            Box::new(repeat(frame(frames::PRIORITY, 0, 1, &[0, 0, 0, 3, 16]))),
        ),
        ("window updates", Box::new(repeat(frames::window_update(0, 1)))),
        ("unknown frames", Box::new(repeat(frame(0xfe, 0, 0, b"x")))),
    ] {
        let server = server();
        let mut client = Client::open(&server);
        let rounds = flood(&server, &mut client, frames);
        assert!(rounds >= 10, "{name}: closed at once");
        assert!(hits(&server, Limit::Http2Glitches) > 10, "{name}");
        let goaway = |frame: &Received| matches!(frame, Received::GoAway(_, ErrorCode::ENHANCE_YOUR_CALM));
        assert!(client.rest().iter().any(goaway), "{name}");
    }
}

#[test]
fn rapid_resets_run_no_more_handlers_than_streams() {
    let server = TestClient::new(app().http2_stream_limit(10));
    let mut client = Client::open(&server);
    let mut next = 1;
    for _ in 0..100 {
        let mut burst = Vec::new();
        for _ in 0..10 {
            burst.extend(get(next, "/slow"));
            burst.extend(frames::reset(next, ErrorCode::CANCEL));
            next += 2;
        }
        client.offer(&burst);
        server.advance(Duration::ZERO);
        assert!(server.resources().handlers <= 20, "{}", server.resources().handlers);
    }
    assert!(hits(&server, Limit::Http2Streams) >= 1);
    // The handlers end, and the connection continues.
    while server.resources().handlers > 0 {
        server.advance(DEADLINE);
        client.offer(&[]);
    }
    client.offer(&get(next, "/"));
    assert_eq!(client.response(next).status, 200);
}

/// A handler of a reset stream is always running; the heads of ended handlers do not count.
#[test]
fn heads_of_reset_streams_count_while_their_handlers_run() {
    let server = TestClient::new(app());
    let mut client = Client::open(&server);
    let value = "v".repeat(15_000);
    let mut fields = frames::pseudo("GET", "/slow").to_vec();
    fields.push(("x-large", &value));
    for round in 0..200 {
        let stream = 2 * round + 1;
        client.send(&frames::request(stream, &fields));
        client.send(&frames::reset(stream, ErrorCode::CANCEL));
        server.advance(DEADLINE / 2);
        assert!(server.resources().handlers > 0, "round {round}");
    }
    assert_eq!(client.get(1001, "/").status, 200);
    assert_eq!(hits(&server, Limit::HeadBytes), 0);
}

/// A field of 3,000 bytes that enters the HPACK table, and a section with references of one byte each to it.
fn bomb(path: &str, references: usize) -> (Vec<u8>, Vec<u8>) {
    frames::bomb(&frames::pseudo("GET", path), b"x-bomb", &[b'b'; 3000], references)
}

/// The head of a request without a body.
fn head(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(frames::HEADERS, frames::END_STREAM | frames::END_HEADERS, stream, block)
}

/// Advances the clock until all handlers have ended and the server has read all offered bytes.
fn end_handlers(server: &TestClient, client: &mut Client) {
    while server.resources().handlers > 0 || !client.is_sent() {
        server.advance(DEADLINE);
        client.offer(&[]);
    }
}

/// The bound of a connection is no bound for many of them: with HPACK each holds 1 MiB for a few KiB of traffic.
#[test]
fn heads_of_all_connections_share_the_memory_for_bodies() {
    const BUDGET: usize = 256 * 1024;
    let server = TestClient::new(app().body_memory(BUDGET as u64).idle_timeout(LONG));
    let (entry, bomb) = bomb("/slow", 20);
    let mut clients: Vec<Client> = (0..8).map(|_| Client::open(&server)).collect();
    for client in &mut clients {
        client.send(&head(1, &entry));
        for stream in (3..9).step_by(2) {
            client.send(&head(stream, &bomb));
        }
        server.advance(Duration::ZERO);
        assert!(server.resources().body_memory_bytes <= BUDGET);
    }
    assert_eq!(hits(&server, Limit::HeadBytes), 0, "no connection is at its bound");
    // 24 heads of 60 KiB, of which the memory holds four. The other clients may repeat their requests.
    assert_eq!(hits(&server, Limit::BodyMemory), 20);
    let refused = |stream| move |frame: &Received| *frame == Received::Reset(stream, ErrorCode::REFUSED_STREAM);
    clients[7].read_until(refused(7));
    assert_eq!(
        clients[7].get(9, "/").status,
        200,
        "a small head needs no memory of the budget"
    );
    while server.resources().handlers > 0 {
        server.advance(DEADLINE);
    }
    assert_eq!(server.resources().body_memory_bytes, 0);
    clients[7].send(&head(11, &bomb));
    server.advance(DEADLINE);
    assert_eq!(clients[7].response(11).status, 200);
}

/// The heads of requests use up the bytes that a connection may hold, so that trailers reset their streams.
#[test]
fn refused_trailers_run_no_more_handlers_than_streams() {
    let server = TestClient::new(app().http2_stream_limit(30).idle_timeout(LONG));
    let mut client = Client::open(&server);
    let (entry, bomb) = bomb("/slow", 20);
    client.send(&head(1, &entry));
    for stream in (3..43).step_by(2) {
        client.send(&head(stream, &bomb));
    }
    server.advance(Duration::ZERO);
    assert!(hits(&server, Limit::HeadBytes) >= 1, "the heads have room");
    let mut next = 43;
    for _ in 0..100 {
        // The handler has begun before the trailers arrive.
        client.offer(&post(next, "/unread", &[]));
        server.advance(Duration::ZERO);
        client.offer(&head(next, &[0xbe; 20]));
        server.advance(Duration::ZERO);
        next += 2;
        assert!(server.resources().handlers <= 60, "{}", server.resources().handlers);
    }
    assert!(hits(&server, Limit::Http2Streams) >= 1);
    end_handlers(&server, &mut client);
    assert_eq!(client.get(next, "/").status, 200);
}

#[test]
fn refused_heads_are_glitches() {
    let server = server();
    let mut client = Client::open(&server);
    let (entry, bomb) = bomb("/slow", 20);
    client.send(&head(1, &entry));
    for stream in (3..2403).step_by(2) {
        client.offer(&head(stream, &bomb));
        server.advance(Duration::ZERO);
        client.take_in();
    }
    assert!(hits(&server, Limit::HeadBytes) > 0);
    assert!(hits(&server, Limit::Http2Glitches) > 0);
}

/// The handler of a reset stream may still read a complete body. Further streams could send the same amount again.
#[test]
fn complete_bodies_of_reset_streams_use_up_the_bytes_of_a_connection() {
    let server = TestClient::new(app().idle_timeout(LONG));
    let mut client = Client::open(&server);
    let mut next = 1;
    for _ in 0..100 {
        client.offer(&post(next, "/unread", &[]));
        for _ in 0..3 {
            client.offer(&data(next, &[0; 16 * 1024]));
        }
        client.offer(&frames::last_data(next, &[0; 16 * 1024]));
        server.advance(Duration::ZERO);
        client.offer(&frames::reset(next, ErrorCode::CANCEL));
        server.advance(Duration::ZERO);
        next += 2;
        // Each one holds 64 KiB.
        assert!(server.resources().handlers <= 17, "{}", server.resources().handlers);
    }
    assert_eq!(hits(&server, Limit::Http2Windows), 1);
    end_handlers(&server, &mut client);
    assert_eq!(client.get(next, "/").status, 200);
}

#[test]
fn provoked_resets_run_no_more_handlers_than_streams() {
    let server = TestClient::new(app().http2_stream_limit(10));
    let mut client = Client::open(&server);
    let mut next = 1;
    for _ in 0..50 {
        let mut burst = Vec::new();
        for _ in 0..10 {
            burst.extend(get(next, "/slow"));
            burst.extend(frames::window_update(next, 0));
            next += 2;
        }
        client.offer(&burst);
        server.advance(Duration::ZERO);
        assert!(server.resources().handlers <= 20);
    }
    assert!(hits(&server, Limit::Http2Streams) >= 1);
}

#[test]
fn more_streams_than_the_limit_are_refused() {
    let server = TestClient::new(app().http2_stream_limit(3));
    let mut client = Client::open(&server);
    client.send(&[get(1, "/slow"), get(3, "/slow"), get(5, "/slow"), get(7, "/")].concat());
    client.read_until(|frame| *frame == Received::Reset(7, ErrorCode::REFUSED_STREAM));
    assert_eq!(hits(&server, Limit::Http2Streams), 1);
    server.advance(DEADLINE);
    assert_eq!(client.get(9, "/").status, 200);
}

#[test]
fn a_continuation_flood_is_closed() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&frame(frames::HEADERS, frames::END_STREAM, 1, b""));
    client.send(&frame(frames::CONTINUATION, 0, 1, b"").repeat(9));
    let frames = client.rest();
    assert!(
        frames.contains(&Received::GoAway(0, ErrorCode::ENHANCE_YOUR_CALM)),
        "{frames:?}"
    );
    assert_eq!(hits(&server, Limit::Http2Continuations), 1);
}

#[test]
fn an_hpack_bomb_uses_no_memory() {
    let server = server();
    let mut client = Client::open(&server);
    let (mut entry, bomb) = bomb("/", 16_000);
    entry.extend([0xbe; 10_000]);
    client.send(&head(1, &entry));
    assert_eq!(client.response(1).status, 431);
    for stream in (3..200).step_by(2) {
        client.send(&head(stream, &bomb));
        assert_eq!(client.response(stream).status, 431);
        assert!(server.resources().buffer_bytes < 2 * 1024 * 1024);
    }
    assert_eq!(hits(&server, Limit::HeadBytes) + hits(&server, Limit::Headers), 100);
}

#[test]
fn empty_data_is_a_glitch_and_small_data_of_grpc_is_not() {
    let server = server();
    let mut client = Client::open(&server);
    client.send(&post(1, "/echo", &[]));
    for _ in 0..3000 {
        client.send(&data(1, b"12345"));
    }
    server.advance(Duration::ZERO);
    assert_eq!(hits(&server, Limit::Http2Glitches), 0);
    let rounds = flood(&server, &mut client, |_| data(1, b"").repeat(2000));
    assert!(rounds >= 10);
}

#[test]
fn windows_of_zero_buffer_at_most_one_piece_of_each_stream() {
    let server = server();
    let mut client = Client::with_settings(&server, &[(4, 0)]);
    for stream in (1..200).step_by(2) {
        client.send(&get(stream, "/stream/100"));
    }
    server.advance(Duration::ZERO);
    assert!(server.resources().buffer_bytes < 100 * 10_000 + 64 * 1024);
    server.advance(DEADLINE + Duration::from_secs(60));
    server.advance(Duration::from_secs(60));
    assert_eq!(server.resources().buffer_bytes, 0);
    client.take_in();
    let resets = client
        .frames
        .iter()
        .filter(|frame| matches!(frame, Received::Reset(..)));
    assert_eq!(resets.count(), 100);
}
