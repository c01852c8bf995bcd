//! The connections of a worker, with the state that they share and the buffer that they read into.

use std::net::SocketAddr;
use std::ops::ControlFlow;

use super::table::ConnectionTable;
use crate::batch::{Batch, Member};
use crate::connection::{Connection, Disposition, PeerRole};
use crate::exchange_id::ConnectionId;
use crate::limit::Limit;
use crate::link::{BUFFER_BYTES, INPUT_BYTES, InputMode};
use crate::listening::Accepted;
use crate::panics::{caught, emit};
use crate::readiness::Readiness;
use crate::shared::Shared;
use crate::transport::Transport;

/// Minimum free buffer space before a read.
const LEAST_INPUT_BYTES: usize = 16 * 1024;
/// The response to a client whose address has reached its limit of connections. The server reads nothing of its request.
const TOO_MANY_CONNECTIONS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The connections of a worker. Each call of one of them passes the shared state to it.
pub(super) struct Connections {
    pub(super) table: ConnectionTable,
    pub(super) shared: Shared,
    /// The buffer that all connections read into.
    input: Vec<u8>,
    /// The connections whose input is in the buffer, and is served together.
    batch: Batch,
}

impl Connections {
    pub(super) fn new(shared: Shared) -> Self {
        Connections {
            table: ConnectionTable::default(),
            shared,
            // The system provides the memory of the part that is used.
            input: vec![0; BUFFER_BYTES],
            batch: Batch::new(),
        }
    }

    /// Adds an accepted connection, and serves the input that has already arrived.
    pub(super) fn add(&mut self, accepted: Accepted) {
        self.shared.counts().accepted.add(1);
        let proxies = &self.shared.config.proxies;
        let peer = accepted.peer;
        let forwarding = proxies.forwarding_of(peer);
        let sends_header = proxies.sends_header(peer);
        let role = PeerRole {
            // A connection of a proxy counts for its client, if that is known.
            is_counted: !sends_header && forwarding.is_none(),
            sends_header: sends_header && !accepted.transport.is_in_memory_without_proxy(),
            forwarding,
        };
        if role.is_counted && !self.shared.peers.enter(peer.ip()) {
            return self.refuse(accepted.transport, peer);
        }
        let now = self.shared.now();
        let id = self.table.insert(|id| Connection::new(accepted, role, id, now));
        // The request has often arrived: this saves one event and one registration.
        self.with_input(id, |connection, input, shared| {
            connection.read_and_serve(input, false, shared)
        });
    }

    /// Rejects a client whose address has reached its limit of connections. This costs a few system calls and no memory.
    fn refuse(&mut self, mut transport: Transport, peer: SocketAddr) {
        let counts = self.shared.counts();
        counts.record_limit_hit(Limit::PeerConnections);
        counts.closed.add(1);
        emit(&|| tracing::debug!(%peer, "the client reached `peer_connection_limit`"));
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

    /// Begins a batch. [`serve_batch`](Self::serve_batch) follows the last event.
    pub(super) fn begin_batch(&mut self) {
        self.batch.begin();
    }

    /// The poller has reported readiness: the connection joins the batch, or is served at once.
    pub(super) fn on_ready(&mut self, id: ConnectionId, ready: Readiness) {
        if !self.add_to_batch(id, ready) {
            self.serve_batch();
            self.with_input(id, |connection, input, shared| {
                connection.on_ready(ready, input, shared)
            });
        }
    }

    /// Reads from a connection that is served together with others. Returns false if it has to be served alone.
    fn add_to_batch(&mut self, id: ConnectionId, ready: Readiness) -> bool {
        let joins = ready.readable
            && !ready.writable
            && !ready.hang_up
            && self.table.get(id).is_some_and(Connection::joins_batch);
        if !joins {
            return false;
        }
        let start = self.batch.filled;
        let mut received = 0;
        self.with_input(id, |connection, input, shared| {
            let rest = &mut input[start..INPUT_BYTES];
            match connection.read(InputMode::Batched, rest, ready.read_closed, shared) {
                ControlFlow::Continue(bytes) => {
                    received = bytes;
                    Disposition::Open
                }
                ControlFlow::Break(disposition) => disposition,
            }
        });
        if received > 0 {
            let is_full = self.batch.add(id, received);
            if is_full || INPUT_BYTES - self.batch.filled < LEAST_INPUT_BYTES {
                self.serve_batch();
            }
        }
        true
    }

    /// Serves the input of the batch, then sends the output.
    pub(super) fn serve_batch(&mut self) {
        if self.batch.members.is_empty() {
            return;
        }
        let input = std::mem::take(&mut self.input);
        let mut members = std::mem::take(&mut self.batch.members);
        for Member { id, bytes } in &members {
            let bytes = &input[bytes.clone()];
            self.with_connection(*id, |connection, shared| connection.serve(bytes, shared));
        }
        for Member { id, .. } in members.drain(..) {
            self.with_connection(id, Connection::finish);
        }
        self.input = input;
        self.batch.end(members);
    }

    /// Calls a function with the connection of this id, if it is open, and removes the connection if that closes it.
    ///
    /// A panic of the application or of the server itself closes this connection only. The buffers that it had taken from
    /// `shared` are replaced when they are missing.
    pub(super) fn with_connection(
        &mut self,
        id: ConnectionId,
        call: impl FnOnce(&mut Connection, &mut Shared) -> Disposition,
    ) {
        let (table, shared) = (&mut self.table, &mut self.shared);
        // The drop of a command for a closed connection may panic, too: it may hold a response.
        let disposition = caught(
            "a panic outside of a handler; its connection is closed",
            || match table.get_mut(id) {
                Some(connection) => call(connection, shared),
                None => {
                    drop(call);
                    Disposition::Open
                }
            },
        );
        if disposition != Some(Disposition::Open) {
            self.close(id);
        }
    }

    /// Calls a function as [`with_connection`](Self::with_connection) does, with the buffer that connections read into.
    pub(super) fn with_input(
        &mut self,
        id: ConnectionId,
        call: impl FnOnce(&mut Connection, &mut [u8], &mut Shared) -> Disposition,
    ) {
        let mut input = std::mem::take(&mut self.input);
        self.with_connection(id, |connection, shared| call(connection, &mut input, shared));
        self.input = input;
    }

    pub(super) fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.table.remove(id) {
            let shared = &mut self.shared;
            caught("a panic while a connection was closed", || connection.close(shared));
        }
    }
}
