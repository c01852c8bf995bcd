//! The way in which a connection reads, and the result.

/// The way in which a protocol reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputMode {
    /// Little at a time: a worker reads from several connections before it serves them.
    Batched,
    /// Much at a time, with all of the worker's buffer.
    Alone,
    /// Below any encryption.
    Raw,
    /// Below any encryption, and the bytes stay until [`Link::discard_raw`](super::Link::discard_raw) takes them.
    Peeked,
}

/// The result of a read.
pub(crate) struct Arrived {
    pub(crate) bytes: usize,
    /// The TLS handshake is complete, and the application protocol is known.
    pub(crate) negotiated: bool,
}
