//! Properties of a connection besides its client's address, shared by its requests.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::networks::Forwarding;

/// Information about a connection. A connection without any, such as plain TCP, holds no memory for it.
#[derive(Clone, Debug, Default)]
pub struct ConnectionInfo {
    /// The process at the other end of a Unix socket.
    pub unix: Option<PeerProcess>,
    /// The results of the TLS handshake; present on each connection with TLS.
    pub tls: Option<TlsInfo>,
    /// The client.
    pub origin: Origin,
    /// The field in which the nearest hop names the clients of requests, where that hop is a trusted proxy.
    pub forwarding: Option<Arc<Forwarding>>,
}

/// The client of a connection.
#[derive(Clone, Copy, Debug, Default)]
pub enum Origin {
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
pub struct TlsInfo {
    /// The client's certificates, the leaf first; empty if the client sent none.
    pub certificates: Vec<Box<[u8]>>,
}

/// The process at the other end of a Unix socket at the time of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerProcess {
    /// The process ID; 0 for a process of another container.
    pub process: u32,
    /// The effective user ID.
    pub user: u32,
    /// The effective group ID.
    pub group: u32,
}
