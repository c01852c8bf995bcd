//! A connection has the same events for any split of its input, equal to those of the naive twin; its memory is bounded, and its
//! output consists of frames.
//!
//! The first byte determines the split of the rest.
#![no_main]

use conduit_proto::ws::{Codecs, WebSocketConnection, WebSocketEvent, WebSocketLimits};
use libfuzzer_sys::fuzz_target;

#[path = "../../crates/conduit-proto/tests/ws/naive.rs"]
mod naive;

use naive::Naive;

const LIMITS: WebSocketLimits = WebSocketLimits {
    message_bytes: 2000,
    frame_bytes: 1500,
    fragments: 8,
};

const PING: u8 = 0x9;
const PONG: u8 = 0xa;

fn run<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Naive> {
    let mut connection = WebSocketConnection::new(LIMITS, None);
    let (mut codecs, mut out) = (Codecs::new(), Vec::new());
    let (mut pending, mut events) = (Vec::new(), Vec::new());
    for piece in pieces {
        pending.extend_from_slice(piece);
        let mut at = 0;
        loop {
            let start = out.len();
            match connection.handle_input(&pending[at..], &mut codecs, &mut out) {
                Err(error) => {
                    assert!(connection.is_finished());
                    events.push(Naive::Error(error.code().0));
                }
                Ok((used, event)) => {
                    at += used;
                    match event {
                        WebSocketEvent::NeedMore | WebSocketEvent::Closed => break,
                        WebSocketEvent::Text(text) => events.push(Naive::Message(true, text.into_bytes())),
                        WebSocketEvent::Binary(bytes) => events.push(Naive::Message(false, bytes)),
                        WebSocketEvent::Ping => events.push(Naive::Control(PING, out[start + 2..].to_vec())),
                        WebSocketEvent::Pong => events.push(Naive::Control(PONG, Vec::new())),
                        WebSocketEvent::Close(code, reason) => {
                            events.push(Naive::Close(code.map(|code| code.0), reason.into_bytes()));
                        }
                    }
                }
            }
        }
        pending.drain(..at);
        assert!(pending.len() <= 130);
        assert!(connection.heap_bytes() <= 2 * LIMITS.message_bytes as usize);
    }
    check_frames(&out);
    events
}

fn check_frames(mut out: &[u8]) {
    while let [first, length, rest @ ..] = out {
        assert!(matches!(first, 0x88 | 0x8a) && *length <= 125);
        out = &rest[usize::from(*length)..];
    }
    assert!(out.is_empty());
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, stream)) = input.split_first() else {
        return;
    };
    let mut expected = naive::events(stream, &LIMITS);
    for event in &mut expected {
        if let Naive::Control(PONG, payload) = event {
            payload.clear();
        }
    }
    assert_eq!(run([stream].into_iter()), expected);
    assert_eq!(run(stream.chunks(usize::from(cut) + 1)), expected);
});
