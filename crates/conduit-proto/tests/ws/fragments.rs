//! The memory of a message in tiny fragments.

use conduit_proto::ws::{
    Codecs, DeflateConfig, WebSocketConnection, WebSocketError, WebSocketEvent, WebSocketLimits, WebSocketReason,
};
use http::{HeaderMap, HeaderValue};

use crate::frames::{CONTINUATION, FIN, RSV1, TEXT, frame, ping};

/// The memory of a message of up to 1 KiB, in a buffer that doubles.
const SMALL: usize = 4 * 1024;

/// Receives each byte separately. Returns the peak of heap memory, and the result.
fn receive(
    connection: &mut WebSocketConnection,
    stream: &[u8],
) -> (usize, Result<Vec<WebSocketEvent>, WebSocketError>) {
    let (mut codecs, mut output, mut pending) = (Codecs::new(), Vec::new(), Vec::new());
    let (mut most, mut events) = (0, Vec::new());
    for byte in stream {
        pending.push(*byte);
        loop {
            let (used, event) = match connection.handle_input(&pending, &mut codecs, &mut output) {
                Ok(result) => result,
                Err(error) => return (most, Err(error)),
            };
            pending.drain(..used);
            most = most.max(connection.heap_bytes());
            match event {
                WebSocketEvent::NeedMore | WebSocketEvent::Closed => break,
                event => events.push(event),
            }
        }
    }
    (most, Ok(events))
}

fn connections() -> [(u8, WebSocketConnection); 2] {
    let mut offers = HeaderMap::new();
    let offer = HeaderValue::from_static("permessage-deflate");
    offers.insert("sec-websocket-extensions", offer);
    let (deflate, _) = DeflateConfig::default().negotiate(&offers).expect("it is accepted");
    let limits = WebSocketLimits::default();
    [
        (TEXT, WebSocketConnection::new(limits, None)),
        (TEXT | RSV1, WebSocketConnection::new(limits, Some(deflate))),
    ]
}

/// In other implementations each fragment was an object with a buffer (CVE-2026-48779, and ws#2331 after its first fix).
#[test]
fn tiny_fragments_hold_no_more_than_their_bytes() {
    let fragments = WebSocketLimits::default().fragments as usize;
    for (first, mut connection) in connections() {
        let mut stream = frame(first, b"a");
        for _ in 1..fragments {
            stream.extend(ping(b"p"));
            stream.extend(frame(CONTINUATION, b"a"));
        }
        let (most, events) = receive(&mut connection, &stream);
        assert!(
            events
                .expect("no rule is broken")
                .iter()
                .all(|event| *event == WebSocketEvent::Ping)
        );
        assert!(most <= SMALL, "{most} bytes for {fragments} bytes in fragments");
        // Empty ones count, too.
        let (_, result) = receive(&mut connection, &frame(CONTINUATION, b""));
        assert_eq!(
            result.map_err(|error| error.reason()),
            Err(WebSocketReason::TooManyFragments)
        );
        assert_eq!(connection.heap_bytes(), 0);
    }
}

#[test]
fn empty_fragments_hold_no_more_than_their_message() {
    for (first, mut connection) in connections() {
        let mut stream = frame(first, b"");
        let (of_first, _) = receive(&mut connection, &stream);
        assert!(of_first <= SMALL, "{of_first} bytes for a message that has begun");
        stream.clear();
        for _ in 0..1_000 {
            stream.extend(frame(CONTINUATION, b""));
        }
        let (most, events) = receive(&mut connection, &stream);
        assert_eq!(events, Ok(Vec::new()));
        assert_eq!(most, of_first);
        // The compressed form of an empty message has one byte (RFC 7692, section 7.2.3.6).
        let last: &[u8] = if first & RSV1 != 0 { &[0] } else { &[] };
        let (_, events) = receive(&mut connection, &frame(FIN, last));
        assert_eq!(events, Ok(vec![WebSocketEvent::Text(String::new())]));
    }
}
