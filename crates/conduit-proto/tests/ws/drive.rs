//! A server without sockets: feeds pieces of a stream to a connection, and records everything observable.

use conduit_proto::ws::{Codecs, Deflate, WebSocketConnection, WebSocketError, WebSocketEvent, WebSocketLimits};

pub(crate) struct Server {
    pub(crate) connection: WebSocketConnection,
    pub(crate) codecs: Codecs,
    pending: Vec<u8>,
    pub(crate) events: Vec<WebSocketEvent>,
    pub(crate) error: Option<WebSocketError>,
    pub(crate) output: Vec<u8>,
}

impl Server {
    pub(crate) fn new(limits: WebSocketLimits, deflate: Option<Deflate>) -> Self {
        Self {
            connection: WebSocketConnection::new(limits, deflate),
            codecs: Codecs::new(),
            pending: Vec::new(),
            events: Vec::new(),
            error: None,
            output: Vec::new(),
        }
    }

    pub(crate) fn receive(&mut self, piece: &[u8]) {
        self.pending.extend_from_slice(piece);
        let input = std::mem::take(&mut self.pending);
        let mut at = 0;
        loop {
            let step = self
                .connection
                .handle_input(&input[at..], &mut self.codecs, &mut self.output);
            match step {
                Ok((used, event)) => {
                    at += used;
                    match event {
                        WebSocketEvent::NeedMore => break,
                        WebSocketEvent::Closed => {
                            assert_eq!(at, input.len());
                            break;
                        }
                        event => self.events.push(event),
                    }
                }
                Err(error) => {
                    assert!(self.connection.is_finished());
                    self.error = Some(error);
                }
            }
        }
        self.pending = input[at..].to_vec();
        assert!(self.pending.len() <= 130, "{} bytes are left over", self.pending.len());
    }
}
