//! The largest memory of one connection with the default limits, as docs/security.md states it.

use std::io::{ErrorKind, Write as _};
use std::time::Duration;

use conduit::prelude::*;
use conduit::websocket::WebSocketClosed;
use conduit::{Limit, WebSocketUpgrade};
use conduit_proto::h2::ErrorCode;

use crate::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PREFACE, block, bomb, data, frame, opening, ping, post, pseudo,
    reset,
};
use crate::support::{Running, serve, wait_for};
use crate::{LIVE_BYTES, Relaxed, alone};

const KIB: usize = 1024;
const STREAMS: usize = 128;
/// The heads and trailers of all requests in progress. A long head has no spare capacity.
const HEADS: usize = 1024 * KIB;
/// The window of a connection. A buffer doubles, so that it may have twice the capacity.
const BODIES: usize = 2 * 1024 * KIB;
/// The connection, its streams, tasks of handlers, and buffers of the worker.
const REST: usize = 512 * KIB;

/// Holds the request and never reads its body.
#[post("/held", disconnect = "finish")]
async fn held(request: Request) -> String {
    std::future::pending::<()>().await;
    request.path().to_owned()
}

/// Receives messages and never responds.
#[get("/socket")]
async fn socket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        while socket.recv().await.is_some() {}
        Ok::<_, WebSocketClosed>(())
    })
}

/// Returns each message.
#[get("/echo")]
async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        while let Some(message) = socket.recv().await {
            socket.send(message).await?;
        }
        Ok::<_, WebSocketClosed>(())
    })
}

/// Never receives.
#[get("/deaf")]
async fn deaf(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| async move {
        let _socket = socket;
        std::future::pending::<Result<(), WebSocketClosed>>().await
    })
}

/// The growth of memory after the server has received these bytes on a connection, which remains open.
fn growth(server: &Running, opening: &[u8], bytes: &[u8]) -> usize {
    let mut client = server.connect();
    let received = || server.handle().statistics().received_bytes;
    let start = received();
    client.send(opening);
    wait_for(|| received() >= start + opening.len() as u64);
    let before = LIVE_BYTES.load(Relaxed);
    client.send(bytes);
    wait_for(|| received() >= start + (opening.len() + bytes.len()) as u64);
    if opening.starts_with(PREFACE) {
        // The server has processed the bytes before it responds.
        client.send(ping());
        assert!(client.received("pingping"));
    } else {
        // The only worker has processed the bytes before it serves another connection: no buffer is growing.
        let mut other = server.connect();
        other.send("GET /nothing HTTP/1.1\r\nhost: localhost\r\n\r\n");
        assert_eq!(other.response().status, 404);
    }
    LIVE_BYTES.load(Relaxed).saturating_sub(before)
}

/// In development, the error format keeps a copy of each head.
fn server() -> Running {
    serve(
        App::new(())
            .workers(1)
            .development(false)
            .routes(routes![held, socket, echo, deaf]),
    )
}

/// HEADERS and CONTINUATION of a request with these fields.
fn request(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let block = block(fields);
    let mut pieces = block.chunks(16_000).enumerate().peekable();
    let mut bytes = Vec::new();
    while let Some((index, piece)) = pieces.next() {
        let kind = if index == 0 { HEADERS } else { CONTINUATION };
        let flags = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        bytes.extend(frame(kind, flags, stream, piece));
    }
    bytes
}

/// A request with 64 KiB of a body that has no end.
fn upload(stream: u32) -> Vec<u8> {
    [post(stream, "/held", &[]), data(stream, &[0; 16 * KIB]).repeat(4)].concat()
}

/// Requests with the same fields on all streams.
fn requests(fields: &[(&str, &str)]) -> Vec<u8> {
    (0..STREAMS as u32)
        .flat_map(|index| request(2 * index + 1, fields))
        .collect()
}

#[test]
fn http2_connection_holds_its_heads_and_a_window_of_bodies() {
    let _alone = alone();
    let server = server();
    // All of the connection's window: 64 KiB for each of 16 streams.
    let mut bytes = Vec::new();
    for index in 0..16 {
        bytes.extend(upload(2 * index + 1));
    }
    // 15 fields of 4 KiB are below the limit of a head.
    let value = "v".repeat(4 * KIB);
    let fields = [&pseudo("POST", "/held"), &[("x-large", &value[..]); 15][..]].concat();
    for index in 16..STREAMS as u32 {
        bytes.extend(request(2 * index + 1, &fields));
    }
    let grown = growth(&server, &opening(), &bytes);
    assert!(grown >= HEADS / 3, "{grown} bytes: the requests are not held");
    assert!(grown <= HEADS + BODIES + REST, "{grown} bytes");
}

#[test]
fn http2_connection_holds_a_joined_cookie_once() {
    let _alone = alone();
    let server = server();
    let half = "v".repeat(31 * KIB);
    let fields = [&pseudo("POST", "/held")[..], &[("cookie", &half[..]); 2]].concat();
    let grown = growth(&server, &opening(), &requests(&fields));
    assert!(grown >= HEADS / 3, "{grown} bytes: the requests are not held");
    assert!(grown <= HEADS + REST, "{grown} bytes");
}

/// A head that is refused leaves a large buffer to the next request.
#[test]
fn http2_connection_holds_no_buffer_of_a_refused_head() {
    let _alone = alone();
    let server = server();
    // Above the limit of a head, and below the limit of its block.
    let (value, small) = ("v".repeat(24 * KIB), pseudo("POST", "/held"));
    let refused = [&small[..], &[("x-large", &value[..]); 3]].concat();
    let bytes: Vec<u8> = (0..STREAMS as u32 - 1)
        .flat_map(|index| [request(4 * index + 1, &refused), request(4 * index + 3, &small)].concat())
        .collect();
    let grown = growth(&server, &opening(), &bytes);
    assert!(grown <= STREAMS * 4 * KIB + REST, "{grown} bytes");
}

/// An entry of 4 KB in the table, and blocks that refer to it once per byte.
#[test]
fn http2_connection_holds_at_most_2_mib_under_an_hpack_bomb() {
    let _alone = alone();
    let server = server();
    let flags = END_HEADERS | END_STREAM;
    let (entry, bomb) = bomb(&pseudo("POST", "/held"), b"x-bomb", &[b'b'; 4000], 16_000);
    let mut bytes = frame(HEADERS, flags, 1, &entry);
    for index in 1..4 * STREAMS as u32 {
        bytes.extend(frame(HEADERS, flags, 2 * index + 1, &bomb));
    }
    let grown = growth(&server, &opening(), &bytes);
    assert!(grown <= 2 * 1024 * KIB, "{grown} bytes");
}

/// A request with an entry of 3 KB for the table, and requests that refer to it 19 times, which is below the limit of a head, each
/// with the frames after it.
fn small_bombs(streams: u32, after: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    let (entry, bomb) = bomb(&pseudo("POST", "/held"), b"x-bomb", &[b'b'; 3000], 19);
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &entry);
    for index in 1..streams {
        let stream = 2 * index + 1;
        bytes.extend(frame(HEADERS, END_HEADERS, stream, &bomb));
        bytes.extend(after(stream));
    }
    bytes
}

#[test]
fn http2_connection_holds_at_most_2_mib_under_bombs_below_the_limit_of_a_head() {
    let _alone = alone();
    let server = server();
    let bytes = small_bombs(STREAMS as u32, |_| Vec::new());
    let grown = growth(&server, &opening(), &bytes);
    assert!(grown >= HEADS / 3, "{grown} bytes: the requests are not held");
    assert!(grown <= 2 * 1024 * KIB, "{grown} bytes");
    assert!(server.handle().statistics().limit_hits(Limit::HeadBytes) > 0);
}

/// Handlers of reset streams continue, and hold their requests.
#[test]
fn http2_connection_holds_at_most_2_mib_under_bombs_that_are_reset() {
    let _alone = alone();
    let server = server();
    let bytes = small_bombs(2 * STREAMS as u32, |stream| {
        // As many handlers without a stream as are permitted while frames are read.
        match stream < 2 * STREAMS as u32 {
            true => reset(stream, ErrorCode::CANCEL),
            false => Vec::new(),
        }
    });
    let grown = growth(&server, &opening(), &bytes);
    assert!(grown >= HEADS / 3, "{grown} bytes: the requests are not held");
    assert!(grown <= 2 * 1024 * KIB, "{grown} bytes");
}

/// Handlers of reset streams continue, and cannot complete their bodies. The worker keeps freed buffers.
#[test]
fn http2_connection_holds_a_window_of_bodies_after_resets() {
    let _alone = alone();
    let server = server();
    let mut bytes = Vec::new();
    for round in 0..7 {
        let streams = (0..16).map(|index| 32 * round + 2 * index + 1);
        for stream in streams.clone() {
            bytes.extend(upload(stream));
        }
        for stream in streams {
            bytes.extend(reset(stream, ErrorCode::CANCEL));
        }
    }
    let grown = growth(&server, &opening(), &bytes);
    assert!(grown <= BODIES + REST, "{grown} bytes");
}

/// Trailers wait for a handler that does not read the body.
#[test]
fn http2_connection_holds_at_most_2_mib_under_bombs_in_trailers() {
    let _alone = alone();
    let server = server();
    let mut bytes = small_bombs(1, |_| Vec::new());
    for index in 1..STREAMS as u32 {
        let stream = 2 * index + 1;
        bytes.extend(post(stream, "/held", &[]));
        bytes.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, &[0xbe; 20]));
    }
    let grown = growth(&server, &opening(), &bytes);
    assert!(grown <= 2 * 1024 * KIB, "{grown} bytes");
}

/// The request that opens a WebSocket.
fn handshake(path: &str) -> Vec<u8> {
    let head = "host: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13";
    format!("GET {path} HTTP/1.1\r\n{head}\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").into_bytes()
}

#[test]
fn websocket_holds_one_message() {
    let _alone = alone();
    let server = server();
    // A frame of 1 MiB whose last byte is missing.
    let head = [&[0x82, 0xff][..], &(1024 * KIB as u64).to_be_bytes(), &[0; 4]].concat();
    let bytes = [head, vec![0; 1024 * KIB - 1]].concat();
    let grown = growth(&server, &handshake("/socket"), &bytes);
    assert!(grown >= 1000 * KIB, "{grown} bytes: the message is not held");
    assert!(grown <= 2 * 1024 * KIB + REST, "{grown} bytes");
}

/// The memory of a WebSocket that has received as many messages of this length as it accepts, from a client that reads nothing.
fn growth_of_unread_messages(path: &str, length: u16) -> usize {
    let _alone = alone();
    let server = server();
    let mut client = server.connect();
    let received = || server.handle().statistics().received_bytes;
    let opening = handshake(path);
    client.send(&opening);
    wait_for(|| received() >= opening.len() as u64);
    let head = [&[0x82, 0xfe][..], &length.to_be_bytes(), &[0; 4]].concat();
    let message = [head, vec![0; length.into()]].concat();
    let messages = message.repeat(8 * 1024 * KIB / message.len());
    let mut socket = client.duplicate();
    socket.set_nonblocking(true).expect("the socket is open");
    let before = LIVE_BYTES.load(Relaxed);
    let (mut sent, mut most, mut rest) = (0, 0, 0);
    // The kernel buffers the bytes that the server does not read. A slow server may not have read anything yet.
    while rest < 50 || most < 64 * KIB && rest < 15_000 {
        rest += 1;
        match socket.write(&messages[sent..]) {
            Ok(more) => (sent, rest) = ((sent + more) % messages.len(), 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(2)),
            Err(error) => panic!("the server has closed: {error}"),
        }
        most = most.max(LIVE_BYTES.load(Relaxed).saturating_sub(before));
    }
    most
}

#[test]
fn websocket_holds_few_messages_that_are_not_read() {
    for path in ["/echo", "/deaf"] {
        for length in [200, 8 * 1024, 60 * 1024] {
            let most = growth_of_unread_messages(path, length);
            assert!(
                most >= 64 * KIB,
                "{path}, {length}: {most} bytes: the messages are not held"
            );
            assert!(most <= REST, "{path}, {length}: {most} bytes");
        }
    }
}
