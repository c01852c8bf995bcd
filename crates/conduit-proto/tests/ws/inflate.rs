//! The decompressor of connections against the naive one.

use conduit_proto::ws::{CloseCode, WebSocketEvent, WebSocketLimits};
use flate2::{Compress, Compression, FlushCompress};
use proptest::prelude::*;

use crate::deflate::{config, deflate};
use crate::drive::Server;
use crate::frames::*;
use crate::naive_inflate::{TAIL, expected};

#[track_caller]
fn check(compressed: &[u8]) {
    let expected = expected(compressed);
    for context_takeover in [false, true] {
        let deflate = deflate(config(context_takeover), "permessage-deflate");
        let mut server = Server::new(WebSocketLimits::default(), Some(deflate));
        server.receive(&frame(FIN | RSV1 | BINARY, compressed));
        match &expected {
            Some(message) => assert_eq!(
                server.events,
                [WebSocketEvent::Binary(message.clone())],
                "{compressed:?}"
            ),
            None => assert_eq!(
                server.error.map(|error| error.code()),
                Some(CloseCode::INVALID_PAYLOAD),
                "{compressed:?}"
            ),
        }
    }
}

/// A whole stream or a flushed one, without the tail.
fn compressed(message: &[u8], level: u32, flush: FlushCompress) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 * message.len() + 64);
    let mut compress = Compress::new(Compression::new(level), false);
    compress
        .compress_vec(message, &mut out, flush)
        .expect("the stream is open");
    assert!(out.len() < out.capacity());
    match flush {
        FlushCompress::Finish => out.push(0),
        _ => out.truncate(out.strip_suffix(TAIL).expect("the end of a flush").len()),
    }
    out
}

#[test]
fn number_of_streams_in_a_message_is_bounded() {
    const EMPTY_STREAM: &[u8] = b"\x03\x00";
    for count in [1, 16, 17, 18, 19, 600, 100_000] {
        check(&EMPTY_STREAM.repeat(count));
        // Longer streams are permitted in a larger number.
        let stream = compressed(&text(400), 0, FlushCompress::Finish);
        check(&stream[..stream.len() - 1].repeat(count.min(40)));
    }
}

/// Words of a small alphabet, whose best form is a dynamic block.
fn text(words: u32) -> Vec<u8> {
    let mut state = 1_u32;
    (0..words)
        .flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            format!("{} ", state >> 16 & 0xfff).into_bytes()
        })
        .collect()
}

#[test]
fn every_prefix_of_a_compressed_message_is_rejected_or_ends_with_a_block() {
    let mut accepted = 0;
    for (message, level) in [(text(60), 9), (text(60), 1), (text(3), 9), (text(2), 0)] {
        for flush in [FlushCompress::Sync, FlushCompress::Finish] {
            let whole = compressed(&message, level, flush);
            assert_eq!(expected(&whole).as_deref(), Some(&message[..]));
            // A second message in the same form: its prefixes begin with a whole one.
            let again = [&whole, TAIL, &whole].concat();
            let streams = match flush {
                FlushCompress::Finish => &[whole][..],
                _ => &[whole, again][..],
            };
            for stream in streams {
                for length in 0..=stream.len() {
                    check(&stream[..length]);
                    accepted += usize::from(expected(&stream[..length]).is_some());
                }
            }
        }
    }
    assert!(accepted >= 12, "{accepted} prefixes are whole");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_changed_message_is_rejected_or_ends_with_a_block(
        words in 1..60_u32,
        level in 0..=9_u32,
        length: prop::sample::Index,
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 0..3),
    ) {
        let mut stream = compressed(&text(words), level, FlushCompress::Sync);
        stream.truncate(length.index(stream.len() + 1));
        for (place, bit) in changes {
            if !stream.is_empty() {
                let place = place.index(stream.len());
                stream[place] ^= 1 << bit;
            }
        }
        check(&stream);
    }
}
