//! The addresses of exchanges.

/// Identifies a connection of a worker. The lower half is its index, the upper half the number of connections before it, so
/// that no two connections of a worker have the same.
pub type ConnectionId = u64;

/// Identifies a stream of a connection. HTTP/1.1 has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamId(u32);

impl StreamId {
    /// The stream of a protocol that has no others.
    pub const ONLY: StreamId = StreamId(0);

    /// The stream in this slot of its connection's table.
    pub const fn at(slot: u32) -> Self {
        StreamId(slot)
    }

    /// The slot of the stream in its connection's table.
    pub const fn slot(self) -> usize {
        self.0 as usize
    }
}

/// Identifies an exchange: the address of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ExchangeId {
    /// The connection of the worker.
    pub connection: ConnectionId,
    /// The stream of the connection.
    pub stream: StreamId,
    /// The number that distinguishes the exchanges of a slot. HTTP/1.1: the number of requests so far, this one included,
    /// which may wrap around. HTTP/2: the number of the stream in its frames.
    pub generation: u32,
}
