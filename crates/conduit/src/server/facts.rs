//! What is known of a connection beside its client's address, shared by the requests that come on it.

use crate::extract::UnixPeer;

/// Facts about a connection. One that has none of them, such as plain TCP, holds no memory for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The process at the other end of a Unix socket.
    pub(crate) unix: Option<UnixPeer>,
}
