//! The connections that a worker accepts, within its limits.

use std::net::SocketAddr;

use conduit_net::Interest;

use super::{Worker, index_of};
use crate::connection::{Connection, PeerRole};
use crate::exchange_id::ConnectionId;
use crate::limit::Limit;
use crate::listening::{AcceptError, Accepted};
use crate::panics::emit;
use crate::transport::Transport;

/// The number of connections that a turn accepts, so that a rush of new ones does not delay open ones.
const ACCEPTS_A_TURN: usize = 64;
/// The maximum number of connections that a worker accepts from each listening socket when it stops: clients that continue to
/// connect must not prevent the stop.
const LAST_ACCEPTS: usize = 4096;
/// The response to a client whose address has reached its limit of connections. The server reads nothing of its request.
const TOO_MANY_CONNECTIONS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

impl Worker {
    /// Accepts connections, and returns whether there may be more.
    pub(super) fn accept(&mut self, place: usize) -> bool {
        for _ in 0..ACCEPTS_A_TURN {
            let is_full = self.connections.len() >= self.connection_limit;
            let leaves = is_full.then(|| self.longest_idle()).flatten();
            // A stop may have closed it since the event.
            let Some(listener) = self.listeners.get(place) else {
                return false;
            };
            if is_full && leaves.is_none() {
                self.shared.counts().record_limit_hit(Limit::Connections);
                emit(|| {
                    tracing::debug!(
                        limit = self.connection_limit,
                        "the worker reached `connection_limit`; new clients wait"
                    )
                });
                self.pause_accepting();
                self.full_until = self.shared.now() + 1;
                return false;
            }
            match listener.accept() {
                Ok(accepted) => {
                    if let Some(key) = leaves {
                        self.shared.counts().record_limit_hit(Limit::IdleConnections);
                        emit(|| tracing::debug!("closed an idle connection for a new one"));
                        self.close_connection(key);
                    }
                    self.add_accepted(accepted);
                }
                Err(AcceptError::Empty) => return false,
                // The client has closed the connection while it waited.
                Err(AcceptError::Client) => {}
                Err(AcceptError::System(error)) => {
                    // No descriptor or no memory is left (EMFILE, ENFILE, ENOBUFS, ENOMEM): clients wait in the queue until
                    // the next second, and open connections continue.
                    emit(|| tracing::warn!(%error, "cannot accept connections; trying again in a second"));
                    self.pause_accepting();
                    self.accept_from = self.shared.now() + 1;
                    return false;
                }
            }
        }
        true
    }

    /// Accepts the connections that wait in the kernel's queues, which closing a listening socket resets: requests may
    /// have been sent on them.
    pub(super) fn accept_last(&mut self) {
        for place in 0..self.listeners.len() {
            for _ in 0..LAST_ACCEPTS / ACCEPTS_A_TURN {
                if !self.accept(place) {
                    break;
                }
            }
        }
    }

    /// Adds an accepted connection, and serves the input that has already arrived.
    pub(super) fn add_accepted(&mut self, accepted: Accepted) {
        self.shared.counts().accepted.add(1);
        let proxies = &self.shared.config.proxies;
        let peer = accepted.peer;
        let forwarding = proxies.forwarding_of(peer);
        let sends_header = proxies.send_header(peer);
        let role = PeerRole {
            // A connection of a proxy counts for its client, if that is known.
            is_counted: !sends_header && forwarding.is_none(),
            sends_header,
            forwarding,
        };
        if role.is_counted && !self.shared.peers.enter(peer.ip()) {
            return self.refuse(accepted.transport, peer);
        }
        // 0 in the upper half is for listeners.
        self.accepted = self.accepted.wrapping_add(1).max(1);
        let entry = self.connections.vacant_entry();
        let key = ConnectionId::from(self.accepted) << 32 | entry.key() as ConnectionId;
        entry.insert(Connection::new(accepted, role, key, self.shared.now()));
        // The request has often arrived: this saves one event and one registration.
        self.with_input(key, |connection, input, shared| {
            connection.read_and_serve(input, false, shared)
        });
    }

    /// Rejects a client whose address has reached its limit of connections. This costs a few system calls and no memory.
    fn refuse(&mut self, mut transport: Transport, peer: SocketAddr) {
        let counts = self.shared.counts();
        counts.record_limit_hit(Limit::PeerConnections);
        counts.closed.add(1);
        emit(|| tracing::debug!(%peer, "the client reached `peer_connection_limit`"));
        if transport.is_secure() {
            // A response would need the handshake, which costs more than serving it.
            return;
        }
        // One read takes the received bytes of the request, because a close with unread bytes would reset the connection
        // before the client reads the response. Errors have no effect here.
        let _ = transport.recv(&mut self.input);
        let _ = transport.send(TOO_MANY_CONNECTIONS);
        let _ = transport.shutdown();
    }

    /// The connection that makes room for a new one at the limit, if one has been idle for long enough.
    fn longest_idle(&mut self) -> Option<ConnectionId> {
        let connections = &self.connections;
        let all = || {
            let each = connections.iter();
            each.filter_map(|(_, connection)| Some((connection.idle_since()?, connection.id())))
        };
        self.idle.longest(self.shared.now(), all, |key| {
            let connection = connections.get(index_of(key));
            let connection = connection.filter(|connection| connection.id() == key)?;
            // If its next request is in the kernel already, another one closes.
            connection.idle_since().filter(|_| !connection.has_unread_input())
        })
    }

    /// Watches the listening sockets if there may be room for another connection.
    pub(super) fn resume_accepting(&mut self) {
        let room = self.connections.len() < self.connection_limit || self.shared.now() >= self.full_until;
        let room = room && self.shared.now() >= self.accept_from;
        if !room || self.accepting || self.listeners.is_empty() {
            return;
        }
        self.accepting = true;
        for (place, listener) in self.listeners.iter().enumerate() {
            if let Err(error) = self
                .shared
                .poller
                .add(&*listener.socket, place as ConnectionId, Interest::READABLE)
            {
                emit(|| tracing::error!(%error, "cannot watch a listening socket; trying again in a second"));
                self.pause_accepting();
                self.accept_from = self.shared.now() + 1;
                return;
            }
        }
    }

    /// Stops watching the listening sockets. A close alone is not enough: another process may have them too, and then the
    /// kernel continues to report them.
    pub(super) fn pause_accepting(&mut self) {
        self.accepting = false;
        for listener in &self.listeners {
            // The poller does not know a socket that was not watched.
            let _ = self.shared.poller.remove(&*listener.socket);
        }
    }
}
