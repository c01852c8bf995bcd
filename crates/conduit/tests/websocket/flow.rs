//! Back-pressure and memory.

#[cfg(target_os = "linux")]
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use conduit::prelude::*;
use conduit::testing::{TestClient, TestWebSocket};
use conduit::websocket::CloseCode;
use conduit::{Bytes, Limit, WebSocketUpgrade};

use crate::{echo_client, wait_for};

#[derive(Clone, Default)]
struct Sent(Arc<AtomicUsize>);

/// Sends messages without an end.
#[get("/flood")]
async fn flood(upgrade: WebSocketUpgrade, sent: State<Sent>) -> Response {
    upgrade.on_upgrade(|socket| async move {
        loop {
            socket.send(vec![0; 1000]).await?;
            sent.0.0.fetch_add(1, Ordering::Relaxed);
        }
        #[expect(unreachable_code, reason = "the type of the result")]
        Ok::<(), conduit::websocket::WebSocketClosed>(())
    })
}

#[test]
fn a_handler_waits_for_a_client_that_does_not_read() {
    let sent = Sent::default();
    let client = TestClient::new(App::new(sent.clone()).routes(routes![flood]));
    let mut socket = client.websocket("/flood").open();
    let count = || sent.0.load(Ordering::Relaxed);
    // Until the queue, the output and the pipe are full.
    let mut before = 0;
    wait_for(|| {
        client.resources();
        let is_still = count() > 0 && count() == before;
        before = count();
        is_still
    });
    assert!(client.resources().buffer_bytes < 300_000, "{:?}", client.resources());
    for _ in 0..2000 {
        assert_eq!(socket.recv().as_bytes().len(), 1000);
    }
    assert!(count() >= 2000);
}

/// A client that reads no PONG makes the server hold no more of them than its output has room for.
/// Sends bytes until the application has read none of them for a while. Returns the number of sent bytes.
fn send_until_full(client: &TestClient, socket: &mut TestWebSocket, bytes: &[u8]) -> usize {
    let (mut sent_bytes, mut rest) = (0, 0);
    wait_for(|| {
        client.resources();
        let more = socket.connection().send_now(&bytes[sent_bytes..]).expect("it is open");
        sent_bytes += more;
        rest = if more == 0 { rest + 1 } else { 0 };
        rest > 100
    });
    sent_bytes
}

#[test]
fn pings_are_read_while_there_is_room_for_their_pongs() {
    let client = echo_client();
    let mut socket = client.websocket("/echo").open();
    let ping = [&b"\x89\xfd\0\0\0\0"[..], &[b'p'; 125]].concat();
    let stream = ping.repeat(20_000);
    let sent_bytes = send_until_full(&client, &mut socket, &stream);
    assert!(sent_bytes < stream.len(), "{sent_bytes}");
    assert!(client.resources().buffer_bytes < 300_000, "{:?}", client.resources());
    // The rest of a PING, and a message after all of them.
    let left = (ping.len() - sent_bytes % ping.len()) % ping.len();
    let mut end = stream[sent_bytes..sent_bytes + left].to_vec();
    end.extend(b"\x81\x83\0\0\0\0end");
    while !end.is_empty() {
        let count = socket.connection().send_now(&end).expect("it is open");
        end.drain(..count);
        if count == 0 {
            socket.connection().read(1 << 16);
        }
    }
    wait_for(|| socket.connection().read(1 << 16).ends_with(b"\x81\x03end"));
}

const MINUTE: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(15 * 60);
const QUIET: Duration = GRACE.saturating_mul(4);
const BURST_BYTES: usize = 200_000;

/// Sends more than a connection buffers, with several graces between the messages.
#[get("/bursts")]
async fn bursts(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| async move {
        loop {
            tokio::time::sleep(QUIET).await;
            socket.send(vec![0; BURST_BYTES]).await?;
        }
        #[expect(unreachable_code, reason = "the type of the result")]
        Ok::<(), conduit::websocket::WebSocketClosed>(())
    })
}

#[test]
fn time_in_which_a_websocket_is_quiet_does_not_count_against_the_reader() {
    let app = App::new(()).routes(routes![bursts]).minimum_rate(1024, GRACE);
    // A ping precedes each message, and its pong follows the message.
    let app = app.websocket_ping_interval(QUIET / 3).websocket_timeout(10 * QUIET);
    let client = TestClient::new(app);
    let hits = || client.handle().statistics().limit_hits(Limit::WriteRate);
    let mut socket = client.websocket("/bursts").open();
    for _ in 0..3 {
        client.advance(QUIET);
        // Bytes that do not fit wait for a while, and are then read at once.
        client.advance(2 * MINUTE);
        assert_eq!(socket.recv().as_bytes().len(), BURST_BYTES);
    }
    assert_eq!(hits(), 0);
    // The quiet time gives no more than the grace to a client that reads nothing.
    client.advance(QUIET);
    assert_eq!(hits(), 0);
    client.advance(GRACE + MINUTE);
    assert_eq!(hits(), 1);
}

/// Receives a message only when the test requests it.
#[get("/slow")]
async fn slow(upgrade: WebSocketUpgrade, gate: State<Arc<tokio::sync::Notify>>) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        gate.0.notified().await;
        let mut bytes = 0;
        while let Some(message) = socket.recv().await {
            if message.as_text().is_some() {
                break;
            }
            bytes += message.as_bytes().len();
        }
        socket.send(bytes.to_string()).await
    })
}

#[test]
fn a_client_waits_for_a_handler_that_does_not_receive() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let client = TestClient::new(App::new(Arc::clone(&gate)).routes(routes![slow]));
    let mut socket = client.websocket("/slow").open();
    let frame = [&b"\x82\xfe\x27\x10\0\0\0\0"[..], &[0; 10_000]].concat();
    let stream = frame.repeat(200);
    // More than all queues hold is not read.
    let sent_bytes = send_until_full(&client, &mut socket, &stream);
    assert!(sent_bytes < stream.len(), "{sent_bytes}");
    assert!(client.resources().buffer_bytes < 300_000, "{:?}", client.resources());
    gate.notify_one();
    assert!(socket.connection().send(&stream[sent_bytes..]));
    socket.send("end");
    assert_eq!(socket.recv().as_text(), Some("2000000"));
}

#[test]
fn unfinished_messages_share_the_memory_for_bodies() {
    const BUDGET: usize = 256 * 1024;
    let app = App::new(()).routes(routes![crate::echo]).body_memory(BUDGET as u64);
    let client = TestClient::new(app);
    let open = || client.websocket("/echo").open();
    let mut sockets: Vec<_> = (0..6).map(|_| open()).collect();
    for socket in &mut sockets {
        socket.send_frame(0x02, &[b'm'; 60_000]);
        client.advance(Duration::ZERO);
        assert!(client.resources().body_memory_bytes <= BUDGET);
    }
    assert!(client.resources().body_memory_bytes > BUDGET / 2);
    for refused in &mut sockets[4..] {
        assert_eq!(refused.closed(), Some(CloseCode::TRY_AGAIN));
    }
    assert_eq!(client.handle().statistics().limit_hits(Limit::BodyMemory), 2);
    // A small message needs none of it, and the end of a message returns its part.
    let mut small = open();
    small.send_frame(0x01, b"sm");
    small.send_frame(0x80, b"all");
    assert_eq!(small.recv().as_text(), Some("small"));
    for socket in &mut sockets[..4] {
        socket.send_frame(0x80, b"");
        assert_eq!(socket.recv().as_bytes().len(), 60_000);
    }
    // The turn of the last message may not have ended.
    client.advance(Duration::ZERO);
    assert_eq!(client.resources().body_memory_bytes, 0);
    // So does the end of a WebSocket.
    small.send_frame(0x02, &[b'm'; 60_000]);
    client.advance(Duration::ZERO);
    assert!(client.resources().body_memory_bytes > 0);
    drop(small);
    client.advance(Duration::ZERO);
    assert_eq!(client.resources().body_memory_bytes, 0);
}

#[test]
fn an_idle_websocket_holds_no_buffer() {
    let client = echo_client();
    let mut sockets: Vec<_> = (0..10).map(|_| client.websocket("/echo").open()).collect();
    for socket in &mut sockets {
        for length in [10, 100_000, 500_000] {
            socket.send(Bytes::from(vec![1; length]));
            assert_eq!(socket.recv().as_bytes().len(), length);
        }
    }
    wait_for(|| client.resources().buffer_bytes == 0);
    assert_eq!(client.handle().statistics().open_websockets, 10);
}

/// Counts the messages before a text, and has room for one.
#[get("/counting")]
async fn counting(upgrade: WebSocketUpgrade) -> Response {
    upgrade.queue_limit(1).on_upgrade(|mut socket| async move {
        let mut count = 0;
        while let Some(message) = socket.recv().await {
            if message.as_text().is_some() {
                break;
            }
            count += 1;
        }
        socket.send(count.to_string()).await
    })
}

/// No further event continues a handler that is polled for each of the messages.
#[test]
fn a_handler_gets_all_messages_of_a_read_one_at_a_time() {
    let client = TestClient::new(App::new(()).routes(routes![counting]));
    let mut socket = client.websocket("/counting").open();
    let stream = [b"\x82\x81\0\0\0\0m".repeat(100), b"\x81\x83\0\0\0\0end".to_vec()].concat();
    assert!(socket.connection().send(&stream));
    assert_eq!(socket.recv().as_text(), Some("100"));
}

/// Counts the bytes of the messages, in their order, and pauses after each one.
#[cfg(target_os = "linux")]
#[get("/lagging")]
async fn lagging(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        let mut number = 0;
        while let Some(message) = socket.recv().await {
            if !message.as_bytes().iter().all(|byte| *byte == number) {
                return socket.send(format!("message {number} differs")).await;
            }
            number += 1;
            for _ in 0..number {
                tokio::task::yield_now().await;
            }
            if number == MESSAGES {
                socket.send("all").await?;
            }
        }
        Ok(())
    })
}

#[cfg(target_os = "linux")]
const MESSAGES: u8 = 64;

/// A connection in memory has no poller.
#[cfg(target_os = "linux")]
#[test]
fn messages_on_a_socket_arrive_while_the_handler_pauses_and_continues() {
    let server = crate::support::serve(App::new(()).routes(routes![lagging]));
    // The lengths are around the size of a read and the limit of the queue.
    for length in [1_000_u64, 20_000, 65_535, 65_536, 70_000, 200_000] {
        let mut stream = std::net::TcpStream::connect(server.address).expect("the server accepts");
        let opening = "GET /lagging HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
            sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let mut bytes = opening.as_bytes().to_vec();
        for number in 0..MESSAGES {
            bytes.extend([0x82, 0xff]);
            match u16::try_from(length) {
                Ok(short) => {
                    *bytes.last_mut().expect("the second byte") = 0xfe;
                    bytes.extend(short.to_be_bytes());
                }
                Err(_) => bytes.extend(length.to_be_bytes()),
            }
            bytes.extend([0; 4]);
            bytes.extend(std::iter::repeat_n(number, length as usize));
        }
        stream.write_all(&bytes).expect("the server reads all");
        let mut received = Vec::new();
        while !received.ends_with(b"\r\n\r\n\x81\x03all") {
            let mut byte = [0];
            let count = stream.read(&mut byte).expect("the connection is open");
            assert!(count == 1, "{length}: {:?}", String::from_utf8_lossy(&received));
            received.push(byte[0]);
        }
        // The end is reported, although the handler may have paused the connection last.
        stream
            .shutdown(std::net::Shutdown::Write)
            .expect("the connection is open");
        let _ = stream.read_to_end(&mut received);
    }
}
