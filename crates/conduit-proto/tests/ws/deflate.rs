//! Compressed messages: both directions, the limit of decompression, and connections that share a compressor.

use std::sync::Arc;

use conduit_proto::ws::{
    CloseCode, Codecs, Deflate, DeflateConfig, MessageKind, WebSocketConnection, WebSocketEvent, WebSocketLimits,
    write_compressed_header,
};
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;

use crate::drive::Server;
use crate::frames::*;

pub(crate) fn deflate(config: DeflateConfig, offer: &'static str) -> Deflate {
    let mut headers = HeaderMap::new();
    headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(offer));
    config.negotiate(&headers).expect("the offer is accepted").0
}

pub(crate) fn config(context_takeover: bool) -> DeflateConfig {
    DeflateConfig {
        context_takeover,
        least_bytes: 1,
        level: 6,
        ..DeflateConfig::default()
    }
}

/// A client's compressor and decompressor.
struct Client {
    compress: Compress,
    decompress: Decompress,
    keeps_context: bool,
}

impl Client {
    fn new(keeps_context: bool) -> Self {
        Self {
            compress: Compress::new(Compression::default(), false),
            decompress: Decompress::new(false),
            keeps_context,
        }
    }

    fn deflate(&mut self, message: &[u8]) -> Vec<u8> {
        // RFC 7692, section 7.2.3.6. After a flush, a second flush without input writes nothing.
        if message.is_empty() {
            return vec![0];
        }
        let mut out = Vec::with_capacity(message.len() + message.len() / 8 + 64);
        self.compress
            .compress_vec(message, &mut out, FlushCompress::Sync)
            .expect("the stream is open");
        assert!(out.len() < out.capacity());
        if !self.keeps_context {
            self.compress.reset();
        }
        let end = out.strip_suffix(b"\x00\x00\xff\xff").expect("the end of a flush").len();
        out.truncate(end);
        out
    }

    fn inflate(&mut self, compressed: &[u8], length: usize) -> Vec<u8> {
        let input = [compressed, b"\x00\x00\xff\xff"].concat();
        let mut out = Vec::with_capacity(length + 64);
        self.decompress
            .decompress_vec(&input, &mut out, FlushDecompress::Sync)
            .expect("a valid stream");
        if !self.keeps_context {
            self.decompress.reset(false);
        }
        out
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn messages_round_trip_with_and_without_context(
        messages in prop::collection::vec("[a-c]{0,600}|\\PC{0,300}", 1..6),
        keeps_context: bool,
        cut in 1usize..100,
    ) {
        let mut server = Server::new(WebSocketLimits::default(), Some(deflate(config(keeps_context), "permessage-deflate")));
        let mut client = Client::new(keeps_context);
        for message in messages {
            let compressed = client.deflate(message.as_bytes());
            for piece in frame(FIN | RSV1 | TEXT, &compressed).chunks(cut) {
                server.receive(piece);
            }
            prop_assert_eq!(server.events.pop(), Some(WebSocketEvent::Text(message.clone())));
            server.connection.write_text(&message, &mut server.codecs, &mut server.output);
            let frames = parse(&std::mem::take(&mut server.output));
            prop_assert_eq!(frames.len(), 1);
            let (first, payload) = &frames[0];
            if message.is_empty() {
                prop_assert_eq!((*first, payload.len()), (FIN | TEXT, 0));
            } else {
                prop_assert_eq!(*first, FIN | RSV1 | TEXT);
                prop_assert_eq!(client.inflate(payload, message.len()), message.as_bytes());
            }
        }
    }
}

#[test]
fn each_negotiated_window_is_respected() {
    let message: Vec<u8> = (0..60_000u32).flat_map(|at| (at % 2000).to_le_bytes()).collect();
    for (bits, offer) in [
        (9, "permessage-deflate; server_max_window_bits=9"),
        (10, "permessage-deflate; server_max_window_bits=10"),
        (12, "permessage-deflate; server_max_window_bits=12"),
        (15, "permessage-deflate; server_max_window_bits=15"),
    ] {
        for context_takeover in [false, true] {
            let deflate = deflate(config(context_takeover), offer);
            let mut server = Server::new(WebSocketLimits::default(), Some(deflate));
            let mut client = Client::new(context_takeover);
            client.decompress = Decompress::new_with_window_bits(false, bits);
            for _ in 0..2 {
                server
                    .connection
                    .write_binary(&message, &mut server.codecs, &mut server.output);
                let frames = parse(&std::mem::take(&mut server.output));
                let input = [&frames[0].1[..], b"\x00\x00\xff\xff"].concat();
                let mut out = Vec::with_capacity(message.len() + 64);
                client
                    .decompress
                    .decompress_vec(&input, &mut out, FlushDecompress::Sync)
                    .expect("no distance is beyond the window");
                assert!(out == message, "{bits} bits");
                if !context_takeover {
                    client.decompress = Decompress::new_with_window_bits(false, bits);
                }
            }
        }
    }
}

/// Decompression of a message that inflates to a thousand times its size stops at the limit.
#[test]
fn decompression_ends_at_the_limit_of_a_message() {
    let bomb = Client::new(true).deflate(&vec![0; 64 << 20]);
    assert!(bomb.len() < 100_000);
    let limits = WebSocketLimits::default();
    let mut server = Server::new(limits, Some(deflate(config(false), "permessage-deflate")));
    server.receive(&frame(FIN | RSV1 | BINARY, &bomb));
    assert_eq!(server.error.map(|error| error.code()), Some(CloseCode::TOO_BIG));
    let limit = limits.message_bytes as usize;
    for (length, is_accepted) in [(limit, true), (limit + 1, false)] {
        let mut server = Server::new(limits, Some(deflate(config(false), "permessage-deflate")));
        server.receive(&frame(
            FIN | RSV1 | BINARY,
            &Client::new(true).deflate(&vec![7; length]),
        ));
        assert_eq!(server.error.is_none(), is_accepted, "{length}");
    }
}

#[test]
fn bytes_that_cannot_be_compressed_are_accepted_up_to_the_limit() {
    let mut state = 1u32;
    let noise: Vec<u8> = (0..WebSocketLimits::default().message_bytes)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let compressed = Client::new(true).deflate(&noise);
    assert!(compressed.len() > noise.len());
    let mut server = Server::new(
        WebSocketLimits::default(),
        Some(deflate(config(false), "permessage-deflate")),
    );
    server.receive(&frame(FIN | RSV1 | BINARY, &compressed));
    assert!(server.events == [WebSocketEvent::Binary(noise)]);
}

/// The limit of a compressed frame was that of a frame plus a share of the limit of a message.
#[test]
fn compressed_frame_exceeds_the_limit_of_a_frame_by_little() {
    let limits = WebSocketLimits {
        message_bytes: 16 << 20,
        frame_bytes: 16 << 10,
        ..WebSocketLimits::default()
    };
    let most = limits.frame_bytes as usize + 64 + limits.frame_bytes as usize / 512;
    for (length, is_accepted) in [(most, true), (most + 1, false)] {
        let mut server = Server::new(limits, Some(deflate(config(false), "permessage-deflate")));
        // Without its payload: the header is enough.
        server.receive(&frame(FIN | RSV1 | BINARY, &vec![0; length])[..8]);
        assert_eq!(server.error.is_none(), is_accepted, "{length}");
    }
}

/// A shared compressor does not refer to messages of another connection.
#[test]
fn connections_that_share_a_compressor_share_no_context() {
    let secret = "the secret of another user, the secret of another user";
    let mut first = Server::new(
        WebSocketLimits::default(),
        Some(deflate(config(false), "permessage-deflate")),
    );
    first
        .connection
        .write_text(secret, &mut first.codecs, &mut first.output);
    let alone = std::mem::take(&mut first.output);
    let mut second = Server::new(
        WebSocketLimits::default(),
        Some(deflate(config(false), "permessage-deflate")),
    );
    second
        .connection
        .write_text(secret, &mut first.codecs, &mut second.output);
    assert_eq!(second.output, alone);
    // The same holds for the decompressor: this message refers to the one before it.
    let mut client = Client::new(true);
    let one = client.deflate(secret.as_bytes());
    let two = client.deflate(secret.as_bytes());
    first.receive(&frame(FIN | RSV1 | TEXT, &one));
    assert_eq!(first.events.pop(), Some(WebSocketEvent::Text(secret.to_owned())));
    first.receive(&frame(FIN | RSV1 | TEXT, &two));
    assert_eq!(first.error.map(|error| error.code()), Some(CloseCode::INVALID_PAYLOAD));
}

#[test]
fn short_messages_are_not_compressed() {
    let config = DeflateConfig::default();
    let mut server = Server::new(WebSocketLimits::default(), Some(deflate(config, "permessage-deflate")));
    for (length, first) in [(127, FIN | TEXT), (128, FIN | RSV1 | TEXT)] {
        server
            .connection
            .write_text(&"a".repeat(length), &mut server.codecs, &mut server.output);
        assert_eq!(parse(&std::mem::take(&mut server.output))[0].0, first);
    }
}

/// A connection without context takeover holds nothing between messages.
#[test]
fn an_idle_connection_holds_no_buffer() {
    for deflate in [None, Some(deflate(config(false), "permessage-deflate"))] {
        let mut server = Server::new(WebSocketLimits::default(), deflate);
        let empty = server.connection.heap_bytes();
        let large = vec![b'a'; 100_000];
        for piece in [frame(TEXT, &large), ping(b"1"), frame(FIN, &large)]
            .concat()
            .chunks(999)
        {
            server.receive(piece);
        }
        assert!(
            matches!(&server.events[..], [WebSocketEvent::Ping, WebSocketEvent::Text(text)] if text.len() == 200_000)
        );
        assert_eq!(server.connection.heap_bytes(), empty);
        // The length of a frame that has not arrived reserves little.
        let [header, _] = [&frame(FIN | BINARY, &vec![0; 1 << 20])[..20], &[]];
        server.receive(header);
        assert!(server.connection.heap_bytes() <= empty + 65 * 1024);
    }
}

fn connection(context_takeover: bool, offer: &'static str) -> WebSocketConnection {
    WebSocketConnection::new(
        WebSocketLimits::default(),
        Some(deflate(config(context_takeover), offer)),
    )
}

#[test]
fn text_that_connections_share_is_compressed_once() {
    let text: Arc<str> = "a message for all subscribers ".repeat(10).into();
    let mut codecs = Codecs::new();
    let mut connections: Vec<_> = (0..100).map(|_| connection(false, "permessage-deflate")).collect();
    let mut forms = connections.iter_mut().map(|connection| {
        connection
            .compress_shared(&text, &mut codecs)
            .expect("a compressed form")
    });
    let first = forms.next().expect("a form");
    assert!(forms.all(|form| form.as_ptr() == first.as_ptr()), "a copy");
    assert_eq!(codecs.compressions(), 1);
    assert_eq!(Client::new(false).inflate(&first, text.len()), text.as_bytes());
    // The compressed form for another window differs, and so does that of an equal text at another address.
    let mut small = connection(false, "permessage-deflate; server_max_window_bits=9");
    let equal = Arc::from(&*text);
    assert!(small.compress_shared(&text, &mut codecs).is_some());
    assert_eq!(codecs.compressions(), 2);
    assert!(connections[0].compress_shared(&equal, &mut codecs).is_some());
    assert_eq!(codecs.compressions(), 3);
    // The first form is still cached.
    assert!(connections[1].compress_shared(&text, &mut codecs).is_some());
    assert_eq!(codecs.compressions(), 3);
}

#[test]
fn connection_with_a_compressor_or_after_close_shares_no_form() {
    let text: Arc<str> = "a message for all subscribers".into();
    let mut codecs = Codecs::new();
    let mut own = connection(true, "permessage-deflate");
    assert_eq!(own.compress_shared(&text, &mut codecs), None);
    let mut closed = connection(false, "permessage-deflate");
    closed.close(None, "", &mut Vec::new());
    assert_eq!(closed.compress_shared(&text, &mut codecs), None);
    assert_eq!(codecs.compressions(), 0);
}

#[test]
fn few_shared_texts_are_cached() {
    let mut codecs = Codecs::new();
    let mut connection = connection(false, "permessage-deflate");
    for bytes in [100, 60_000, 300_000] {
        let texts: Vec<Arc<str>> = (0..100).map(|_| "x".repeat(bytes).into()).collect();
        for text in &texts {
            assert!(connection.compress_shared(text, &mut codecs).is_some());
        }
        let kept: usize = texts
            .iter()
            .filter(|text| Arc::strong_count(text) > 1)
            .map(|text| text.len())
            .sum();
        assert!(kept >= bytes && kept <= bytes.max(256 * 1024).min(8 * bytes), "{kept}");
    }
}

/// The frames of a hundred similar messages for one of ten subscribers, and the memory and the work for them.
#[test]
fn context_takeover_trades_memory_and_work_per_subscriber_for_bytes() {
    let messages: Vec<Arc<str>> = (0..100_u32)
        .map(|number| {
            let (x, y) = (number * 37 % 1000, number * 91 % 1000);
            let text = "the board was changed by one of its users";
            format!(r#"{{"kind":"moved","user":"ada","at":{{"x":{x},"y":{y}}},"number":{number},"text":"{text}"}}"#)
                .into()
        })
        .collect();
    let offer = "permessage-deflate";
    let mut measured = Vec::new();
    for (name, config) in [
        ("none", None),
        ("shared", Some(config(false))),
        ("own", Some(config(true))),
    ] {
        let deflate = || config.map(|config| deflate(config, offer));
        let memory = deflate().map_or(0, |deflate| deflate.own_bytes());
        let subscriber = || WebSocketConnection::new(WebSocketLimits::default(), deflate());
        let mut subscribers: Vec<_> = (0..10).map(|_| subscriber()).collect();
        let (mut codecs, mut bytes) = (Codecs::new(), 0);
        for text in &messages {
            for subscriber in &mut subscribers {
                let mut output = Vec::new();
                match subscriber.compress_shared(text, &mut codecs) {
                    Some(compressed) => {
                        write_compressed_header(MessageKind::Text, compressed.len(), &mut output);
                        output.extend_from_slice(&compressed);
                    }
                    None => assert!(subscriber.write_text(text, &mut codecs, &mut output)),
                }
                bytes += output.len();
            }
        }
        let each = bytes / (subscribers.len() * messages.len());
        eprintln!(
            "{name}: {each} bytes a delivery, {memory} bytes of memory a subscriber, {} compressions",
            codecs.compressions()
        );
        measured.push((each, memory, codecs.compressions()));
    }
    let [none, shared, own] = measured[..] else {
        panic!("three kinds")
    };
    assert!(own.0 < shared.0 && shared.0 < none.0, "{measured:?}");
    assert!(shared.1 == 0 && own.1 > 0, "{measured:?}");
    // A message is compressed once for all subscribers, or once for each.
    assert_eq!((none.2, shared.2, own.2), (0, 100, 1000));
}
