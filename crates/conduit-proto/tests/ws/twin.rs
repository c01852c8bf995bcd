//! The engine agrees with its naive twin on random frames with any split, and exchanges messages with tungstenite.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use conduit_proto::ws::{MessageKind, WebSocketEvent, WebSocketLimits};
use proptest::prelude::*;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role};
use tungstenite::{Message, WebSocket};

use crate::drive::Server;
use crate::frames::*;
use crate::naive::{self, Naive};

const SMALL: WebSocketLimits = WebSocketLimits {
    message_bytes: 300,
    frame_bytes: 200,
    fragments: 4,
};

/// The engine's events as those of the twin, with the payloads of pings from its pongs.
fn run<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Naive> {
    let mut server = Server::new(SMALL, None);
    for piece in pieces {
        server.receive(piece);
    }
    let mut pongs: VecDeque<_> = parse(&server.output)
        .into_iter()
        .filter(|(first, _)| *first == FIN | PONG)
        .map(|(_, payload)| payload)
        .collect();
    let mut events: Vec<_> = server
        .events
        .into_iter()
        .map(|event| match event {
            WebSocketEvent::Text(text) => Naive::Message(true, text.into_bytes()),
            WebSocketEvent::Binary(bytes) => Naive::Message(false, bytes),
            WebSocketEvent::Ping => Naive::Control(PING, pongs.pop_front().expect("a pong for each ping")),
            // The engine does not report the payload.
            WebSocketEvent::Pong => Naive::Control(PONG, Vec::new()),
            WebSocketEvent::Close(code, reason) => Naive::Close(code.map(|code| code.0), reason.into_bytes()),
            event => panic!("{event:?}"),
        })
        .collect();
    events.extend(server.error.map(|error| Naive::Error(error.code().0)));
    events
}

fn expected(stream: &[u8]) -> Vec<Naive> {
    let mut events = naive::events(stream, &SMALL);
    for event in &mut events {
        if let Naive::Control(PONG, payload) = event {
            payload.clear();
        }
    }
    events
}

/// Frames that are mostly valid, so that streams become long.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        4 => "\\PC{0,12}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..8),
        1 => (120usize..260).prop_map(|length| vec![b'a'; length]),
        1 => Just("é€𝄞".as_bytes()[..8].to_vec()),
    ];
    let first = prop_oneof![
        4 => Just(FIN | TEXT),
        2 => Just(TEXT),
        4 => Just(FIN),
        2 => Just(CONTINUATION),
        2 => Just(FIN | BINARY),
        2 => Just(FIN | PING),
        1 => Just(FIN | PONG),
        1 => Just(FIN | CLOSE),
        1 => any::<u8>(),
    ];
    (first, payload, 0u8..40).prop_map(|(first, payload, fault)| {
        let mut bytes = frame(first, &payload);
        match fault {
            0 => bytes[1] ^= 0x80,
            1 => bytes.truncate(bytes.len() / 2),
            2 => bytes[1] = 0xfe,
            3 => bytes[1] = 0xff,
            _ => {}
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn the_engine_agrees_with_the_naive_twin_for_every_split(
        frames in prop::collection::vec(any_frame(), 1..12),
        length in 1usize..40,
    ) {
        let stream = frames.concat();
        let expected = expected(&stream);
        prop_assert_eq!(&run([&stream[..]]), &expected);
        prop_assert_eq!(&run(stream.chunks(length)), &expected);
    }
}

/// The client's half of a stream in memory.
#[derive(Default)]
struct Pipe {
    to_client: VecDeque<u8>,
    to_server: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.to_client.is_empty() {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => self.to_client.read(buffer),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.to_server.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn tungstenite_as_the_client_exchanges_messages_of_each_length_and_closes() {
    let mut client = WebSocket::from_raw_socket(Pipe::default(), Role::Client, None);
    let mut server = Server::new(WebSocketLimits::default(), None);
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_001] {
        let (text, bytes) = ("x".repeat(length), vec![7; length]);
        for message in [
            Message::from(text),
            Message::from(bytes),
            Message::Ping(b"ping".to_vec().into()),
        ] {
            client.send(message.clone()).expect("the pipe takes everything");
            for piece in std::mem::take(&mut client.get_mut().to_server).chunks(1000) {
                server.receive(piece);
            }
            for event in std::mem::take(&mut server.events) {
                let (kind, payload) = match event {
                    WebSocketEvent::Text(text) => (MessageKind::Text, text.into_bytes()),
                    WebSocketEvent::Binary(bytes) => (MessageKind::Binary, bytes),
                    event => {
                        assert_eq!(event, WebSocketEvent::Ping);
                        continue;
                    }
                };
                let (codecs, output) = (&mut server.codecs, &mut server.output);
                assert!(server.connection.write_message(kind, &payload, codecs, output));
            }
            client.get_mut().to_client.extend(std::mem::take(&mut server.output));
            let returned = client.read().expect("a message");
            match message {
                Message::Ping(payload) => assert_eq!(returned, Message::Pong(payload)),
                message => assert_eq!(returned, message),
            }
        }
    }
    let frame = CloseFrame {
        code: CloseCode::Normal,
        reason: "done".into(),
    };
    client.close(Some(frame)).expect("the pipe takes everything");
    let sent = std::mem::take(&mut client.get_mut().to_server);
    server.receive(&sent);
    assert!(server.connection.is_finished());
    client.get_mut().to_client.extend(std::mem::take(&mut server.output));
    assert!(matches!(client.read(), Ok(Message::Close(Some(frame))) if frame.code == CloseCode::Normal));
}
