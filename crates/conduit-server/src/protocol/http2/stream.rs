//! One stream: its exchange, and the part of its response that is not written.

use bytes::Bytes;
use conduit_proto::h2;

#[cfg(feature = "websocket")]
use super::websocket::SocketStream;
use crate::exchange::Exchange;
use crate::file::FilePart;
use crate::link::TransferRate;
use crate::request::Request;

/// A slot of the connection's table. It keeps its memory for the next stream.
pub(super) struct Stream {
    /// `None` while the slot is free.
    pub(super) id: Option<h2::StreamId>,
    pub(super) exchange: Exchange,
    /// The request, while its body in the current input is not received.
    pub(super) arriving: Option<Request>,
    /// The number of bytes of the request's body that the handler had not taken at the last check.
    pub(super) unread_bytes: usize,
    /// The bytes of the head and of the trailers that the handler may hold.
    pub(super) held_bytes: usize,
    pub(super) outgoing: Outgoing,
    /// The rate of the transfer that the stream waits for.
    pub(super) rate: TransferRate,
    /// Set from the request for a WebSocket on.
    #[cfg(feature = "websocket")]
    pub(super) socket: Option<Box<SocketStream>>,
}

/// The part of a response that is ready and not written.
pub(super) enum Outgoing {
    /// No part is ready.
    Nothing,
    /// The rest of a body in memory, which ends the response.
    Last(Bytes),
    /// The rest of a piece of the response's stream.
    Piece(Bytes),
    /// The rest of a file, which ends the response.
    File(FilePart),
    /// The same, while a thread reads the next of it.
    Loading(FilePart),
}

impl Stream {
    pub(super) fn new() -> Self {
        Stream {
            id: None,
            exchange: Exchange::new(),
            arriving: None,
            unread_bytes: 0,
            held_bytes: 0,
            outgoing: Outgoing::Nothing,
            rate: TransferRate::default(),
            #[cfg(feature = "websocket")]
            socket: None,
        }
    }

    /// Returns whether it is a WebSocket, or a request for one: the DATA of its client is not a body.
    #[cfg(feature = "websocket")]
    pub(super) fn is_socket(&self) -> bool {
        self.socket.is_some()
    }

    #[cfg(not(feature = "websocket"))]
    pub(super) fn is_socket(&self) -> bool {
        false
    }

    /// The number of bytes in memory.
    #[cfg(feature = "testing")]
    pub(super) fn buffer_bytes(&self) -> usize {
        let bytes = self.exchange.buffer_bytes() + self.outgoing.memory_bytes();
        #[cfg(feature = "websocket")]
        let bytes = bytes + self.socket.as_ref().map_or(0, |socket| socket.buffer_bytes());
        bytes
    }

    /// Begins the stream in a free slot.
    pub(super) fn open(&mut self, id: h2::StreamId) {
        debug_assert!(self.id.is_none(), "the slot of an open stream");
        self.id = Some(id);
        self.unread_bytes = 0;
        self.rate = TransferRate::default();
    }
}

impl Outgoing {
    /// Returns whether bytes wait for a window or for room.
    pub(super) fn is_pending(&self) -> bool {
        !matches!(self, Outgoing::Nothing | Outgoing::Loading(_))
    }

    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Outgoing::Nothing)
    }

    /// The number of bytes that are recorded as sent and not written.
    pub(super) fn left_bytes(&self) -> u64 {
        match self {
            Outgoing::Nothing => 0,
            Outgoing::Last(bytes) | Outgoing::Piece(bytes) => bytes.len() as u64,
            Outgoing::File(part) | Outgoing::Loading(part) => part.left(),
        }
    }

    /// The number of bytes in memory.
    #[cfg(feature = "testing")]
    pub(super) fn memory_bytes(&self) -> usize {
        match self {
            Outgoing::Last(bytes) | Outgoing::Piece(bytes) => bytes.len(),
            Outgoing::Nothing | Outgoing::File(_) | Outgoing::Loading(_) => 0,
        }
    }
}
