//! The streams of a connection: the exchange of each, and the part of its response that is not written.

use std::ops::{Index, IndexMut, Range};

use bytes::Bytes;
use conduit_proto::h2;

#[cfg(feature = "websocket")]
use super::socket::SocketStream;
use crate::commands::CommandSender;
use crate::exchange::Exchange;
use crate::exchange_id::{ExchangeId, StreamId};
use crate::file::FilePart;
use crate::link::Link;
use crate::link::timer::TransferRate;
use crate::request::Request;
use crate::shared::Shared;

/// The table of the streams, by their slots. The index of a stream returns its slot, which is empty after the end of the stream.
pub(super) struct StreamTable {
    slots: Vec<Stream>,
}

impl StreamTable {
    pub(super) fn new() -> Self {
        StreamTable { slots: Vec::new() }
    }

    /// Begins a stream in its slot.
    pub(super) fn open(&mut self, id: h2::StreamId) {
        if self.slots.is_empty() {
            // A connection that waits after one request holds no more than its slot.
            self.slots.reserve_exact(1);
        }
        while self.slots.len() <= id.slot() {
            self.slots.push(Stream::new());
        }
        self.slots[id.slot()].open(id);
    }

    /// The state of an open stream.
    pub(super) fn get(&mut self, id: h2::StreamId) -> Option<&mut Stream> {
        self.slots.get_mut(id.slot()).filter(|stream| stream.id == Some(id))
    }

    /// The stream that a command is for, if it is open.
    pub(super) fn find(&self, exchange: ExchangeId) -> Option<h2::StreamId> {
        let id = self.slots.get(exchange.stream.slot())?.id?;
        (id.number() == exchange.generation).then_some(id)
    }

    /// The slots, for a loop that ends streams: [`open_at`](Self::open_at) returns the stream of each.
    pub(super) fn slots(&self) -> Range<usize> {
        0..self.slots.len()
    }

    /// The open stream in a slot.
    pub(super) fn open_at(&self, slot: usize) -> Option<h2::StreamId> {
        self.slots[slot].id
    }

    /// The open streams.
    pub(super) fn iter(&self) -> impl Iterator<Item = (h2::StreamId, &Stream)> {
        self.slots.iter().filter_map(|stream| Some((stream.id?, stream)))
    }

    /// Frees the memory of the slots. No stream is open.
    pub(super) fn release_memory(&mut self) {
        debug_assert!(self.iter().next().is_none(), "the memory of an open stream");
        self.slots = Vec::new();
    }
}

impl Index<h2::StreamId> for StreamTable {
    type Output = Stream;

    fn index(&self, id: h2::StreamId) -> &Stream {
        &self.slots[id.slot()]
    }
}

impl IndexMut<h2::StreamId> for StreamTable {
    fn index_mut(&mut self, id: h2::StreamId) -> &mut Stream {
        &mut self.slots[id.slot()]
    }
}

/// The sender for tasks and bodies of a stream. [`StreamTable::find`] returns the stream of its commands.
pub(super) fn sender(id: h2::StreamId, link: &Link, shared: &Shared) -> CommandSender {
    let exchange = ExchangeId {
        connection: link.id,
        stream: StreamId::at(id.slot() as u32),
        generation: id.number(),
    };
    CommandSender::new(shared.commands.clone(), exchange)
}

/// A slot of the table. It keeps its memory for the next stream.
pub(super) struct Stream {
    /// `None` while the slot is free.
    id: Option<h2::StreamId>,
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
    fn new() -> Self {
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

    /// Begins the stream in a free slot.
    fn open(&mut self, id: h2::StreamId) {
        debug_assert!(self.id.is_none(), "the slot of an open stream");
        debug_assert!(
            !self.exchange.is_serving() && self.held_bytes == 0,
            "the slot of a stream that has not ended"
        );
        self.id = Some(id);
    }

    /// Frees the slot, and drops the parts that the caller has not taken. The caller ends the exchange, and releases the held bytes.
    pub(super) fn close(&mut self) {
        self.id = None;
        self.arriving = None;
        self.unread_bytes = 0;
        self.outgoing = Outgoing::Nothing;
        self.rate = TransferRate::default();
        #[cfg(feature = "websocket")]
        {
            debug_assert!(self.socket.is_none(), "a WebSocket that is counted as open");
            self.socket = None;
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
    fn memory_bytes(&self) -> usize {
        match self {
            Outgoing::Last(bytes) | Outgoing::Piece(bytes) => bytes.len(),
            Outgoing::Nothing | Outgoing::File(_) | Outgoing::Loading(_) => 0,
        }
    }
}
