//! The events of a stream.

/// The readiness of a connection's stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Readiness {
    pub(super) readable: bool,
    /// The client has ended its half; bytes may come before the end.
    pub(super) read_closed: bool,
    pub(super) writable: bool,
    /// The client has disconnected, or the connection has failed.
    pub(super) hang_up: bool,
}
