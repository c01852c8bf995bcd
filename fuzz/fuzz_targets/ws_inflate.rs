//! Any compressed message ends below the limit, with the same result for a connection with a decompressor, one that shares it, and a
//! naive decompressor; a message that the server compresses inflates to itself.
#![no_main]

#[path = "../../crates/conduit-proto/tests/ws/naive_inflate.rs"]
mod naive_inflate;

use conduit_proto::ws::{
    CloseCode, Codecs, DeflateConfig, WebSocketConnection, WebSocketError, WebSocketEvent, WebSocketLimits,
};
use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;

const LIMITS: WebSocketLimits = WebSocketLimits {
    message_bytes: 100_000,
    frame_bytes: 100_000,
    fragments: 8,
};

fn connection(context_takeover: bool) -> WebSocketConnection {
    let config = DeflateConfig {
        context_takeover,
        least_bytes: 1,
        ..DeflateConfig::default()
    };
    let mut headers = HeaderMap::new();
    let offer = HeaderValue::from_static("permessage-deflate");
    headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, offer);
    let deflate = config.negotiate(&headers).expect("the offer is accepted").0;
    WebSocketConnection::new(LIMITS, Some(deflate))
}

/// A compressed binary frame with a mask of zeros.
fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xc2, 0xff];
    frame.extend_from_slice(&(payload.len() as u64).to_be_bytes());
    if payload.len() < 65_536 {
        frame.truncate(1);
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | length as u8),
            length => {
                frame.push(0xfe);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn receive(
    connection: &mut WebSocketConnection,
    codecs: &mut Codecs,
    payload: &[u8],
) -> Result<WebSocketEvent, WebSocketError> {
    let event = connection.handle_input(&frame(payload), codecs, &mut Vec::new())?.1;
    if let WebSocketEvent::Binary(message) = &event {
        assert!(message.len() <= LIMITS.message_bytes as usize);
    }
    Ok(event)
}

fuzz_target!(|input: &[u8]| {
    let mut codecs = Codecs::new();
    let (mut own, mut shared) = (connection(true), connection(false));
    let first = receive(&mut own, &mut codecs, input);
    assert_eq!(first, receive(&mut shared, &mut codecs, input));
    let expected = match &first {
        Err(error) if error.code() == CloseCode::TOO_BIG => None,
        _ => Some(naive_inflate::expected(input)),
    };
    if let Some(expected) = expected {
        assert_eq!(first.clone().ok(), expected.map(WebSocketEvent::Binary));
    }
    if first.is_ok() {
        // The second one has a context.
        let _ = receive(&mut own, &mut codecs, input);
    }
    for context_takeover in [true, false] {
        let (mut sender, mut receiver) = (connection(context_takeover), connection(context_takeover));
        for _ in 0..2 {
            let mut out = Vec::new();
            sender.write_binary(input, &mut codecs, &mut out);
            let header = match out[1] {
                126 => 4,
                127 => 10,
                _ => 2,
            };
            let payload = &out[header..];
            if out[0] == 0xc2 {
                let event = receive(&mut receiver, &mut codecs, payload);
                assert_eq!(event, Ok(WebSocketEvent::Binary(input.to_vec())));
            }
        }
    }
});
