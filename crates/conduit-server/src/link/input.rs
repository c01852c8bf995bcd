//! The way in which a connection reads, and the result.

/// The number of bytes that a worker reads at a time, in all modes but one: a body or message of 64 KiB has a head before it.
pub(crate) const INPUT_BYTES: usize = 68 * 1024;
/// The size of the buffer that a worker reads into: four messages of 64 KiB, if a connection may read so much.
pub(crate) const BUFFER_BYTES: usize = if cfg!(feature = "websocket") {
    260 * 1024
} else {
    INPUT_BYTES
};

/// The way in which a protocol reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum InputMode {
    /// Reads little at a time: a worker reads from several connections before it serves them.
    Batched,
    /// Reads much at a time, into the part of the worker's buffer that a batch has.
    Alone,
    /// Reads as much as the worker's buffer has room for.
    #[cfg(feature = "websocket")]
    Bulk,
    /// Reads raw bytes, below TLS.
    Raw,
    /// Reads raw bytes, below TLS, which stay until [`Link::discard_raw`](super::Link::discard_raw) takes them.
    Peeked,
}

/// The result of a read.
pub(crate) struct Arrived {
    pub(crate) bytes: usize,
    /// The TLS handshake is complete, and the application protocol is known.
    pub(crate) negotiated: bool,
}
