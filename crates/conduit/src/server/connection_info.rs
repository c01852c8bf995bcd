//! Properties of a connection besides its client's address, shared by its requests.

use std::net::SocketAddr;
use std::sync::Arc;

use super::proxies::Forwarding;
use crate::extract::UnixPeer;

/// Information about a connection. One that has none, such as plain TCP, holds no memory for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionInfo {
    /// The process at the other end of a Unix socket.
    pub(crate) unix: Option<UnixPeer>,
    /// The results of the TLS handshake; present on each connection with TLS.
    pub(crate) tls: Option<TlsInfo>,
    pub(crate) origin: Origin,
    /// The field in which the nearest hop names the clients of requests, where that hop is a trusted proxy.
    pub(crate) forwarding: Option<Arc<Forwarding>>,
}

/// The client of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Origin {
    /// The socket's peer.
    #[default]
    Peer,
    /// A client that the PROXY header does not name.
    Unknown,
    /// The client that the PROXY header names.
    Address(SocketAddr),
}

/// The results of a TLS handshake.
#[derive(Clone, Debug)]
pub(crate) struct TlsInfo {
    /// The client's certificates, its own first; none where it showed none.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "no handshake is made"))]
    pub(crate) certificates: Vec<Box<[u8]>>,
}
