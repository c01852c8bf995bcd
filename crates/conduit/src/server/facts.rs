//! What is known of a connection beside its client's address, shared by the requests that come on it.

use std::net::SocketAddr;
use std::sync::Arc;

use super::proxies::Forwarding;
use crate::extract::UnixPeer;

/// Facts about a connection. One that has none of them, such as plain TCP, holds no memory for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// The process at the other end of a Unix socket.
    pub(crate) unix: Option<UnixPeer>,
    /// What the handshake of TLS has told; present on each connection with TLS.
    pub(crate) tls: Option<TlsFacts>,
    /// Whose connection it is.
    pub(crate) origin: Origin,
    /// How its requests tell their clients, where the nearest hop is a trusted proxy.
    pub(crate) forwarding: Option<Arc<Forwarding>>,
}

/// Whose connection it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Origin {
    /// That of the socket's peer.
    #[default]
    Peer,
    /// That of somebody whom the PROXY header does not name.
    Unknown,
    /// That of the client that the PROXY header names.
    Address(SocketAddr),
}

/// What the handshake of TLS has told.
#[derive(Clone, Debug)]
pub(crate) struct TlsFacts {
    /// The client's certificates, its own first; none where it showed none.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "no handshake is made"))]
    pub(crate) certificates: Vec<Box<[u8]>>,
}
