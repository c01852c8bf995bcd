//! One worker: a thread with its own poller, connections and tokio runtime.
//!
//! The poller's descriptor is registered with a tokio runtime of this thread. When a connection is
//! ready, tokio wakes the driver task, which takes a whole batch of events and serves the connections
//! directly: no task and no waker for each of them. Handlers run in place; a pending one continues as a separate
//! task. So every tokio library works in a handler, on the same thread as the connections.

mod acceptor;
mod connections;
mod drain;
#[cfg(feature = "testing")]
mod in_process;
mod phase;
pub(super) mod start;
mod stop;
mod ticker;
mod turn;

use std::net::SocketAddr;
use std::ops::ControlFlow;

use tokio::time::Instant;

use self::acceptor::Acceptor;
use self::connections::ConnectionTable;
use self::phase::Phase;
use crate::batch::Batch;
use crate::clock::WorkerClock;
use crate::commands::Command;
use crate::connection::{Connection, PeerRole};
use crate::exchange_id::{ConnectionId, ExchangeId};
use crate::handle::ServerHandle;
use crate::limit::Limit;
use crate::link::BUFFER_BYTES;
use crate::listening::{Accepted, Listener};
use crate::panics::emit;
use crate::shared::Shared;
use crate::transport::Transport;

/// The number of connections that a turn accepts, so that a rush of new ones does not delay open ones.
const ACCEPTS_A_TURN: usize = 64;
/// The maximum number of connections that a worker accepts from each listening socket when it stops: clients that continue to
/// connect must not prevent the stop.
const LAST_ACCEPTS: usize = 4096;
/// The response to a client whose address has reached its limit of connections. The server reads nothing of its request.
const TOO_MANY_CONNECTIONS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

pub(super) struct Worker {
    shared: Shared,
    connections: ConnectionTable,
    acceptor: Acceptor,
    /// The buffer that all connections read into.
    input: Vec<u8>,
    batch: Batch,
    /// The memory of the last turn's commands.
    spare_commands: Vec<(ExchangeId, Command)>,
    /// The connections that have received commands since the last send: at most [`BATCH_LIMIT`](crate::batch::BATCH_LIMIT).
    commanded: Vec<ConnectionId>,
    /// The last turn has not polled all of the handlers of WebSockets that were woken.
    #[cfg(feature = "websocket")]
    leaves_handlers: bool,
    handle: ServerHandle,
    clock: WorkerClock,
    /// The time at which the second and the date change next.
    next_second: Instant,
    /// [`Shared::stopping`] is true from `Stopping` on.
    phase: Phase,
}

impl Worker {
    pub(super) fn new(shared: Shared, listeners: Vec<Listener>, connection_limit: usize, handle: ServerHandle) -> Self {
        let started = Instant::now();
        Worker {
            shared,
            connections: ConnectionTable::default(),
            acceptor: Acceptor::new(listeners, connection_limit),
            // The system provides the memory of the part that is used.
            input: vec![0; BUFFER_BYTES],
            batch: Batch::new(),
            spare_commands: Vec::new(),
            commanded: Vec::new(),
            #[cfg(feature = "websocket")]
            leaves_handlers: false,
            handle,
            clock: WorkerClock::new(started),
            next_second: started,
            phase: Phase::Serving,
        }
    }

    /// Accepts connections from a listening socket, and returns whether there may be more.
    fn accept(&mut self, listener: usize) -> bool {
        for _ in 0..ACCEPTS_A_TURN {
            let is_full = self.acceptor.is_full(self.connections.len());
            let leaves = is_full
                .then(|| self.connections.longest_idle(self.shared.now()))
                .flatten();
            if is_full && leaves.is_none() {
                self.acceptor.wait_for_room(&self.shared);
                return false;
            }
            let accepted = match self.acceptor.accept(listener, &self.shared) {
                ControlFlow::Continue(Some(accepted)) => accepted,
                ControlFlow::Continue(None) => continue,
                ControlFlow::Break(()) => return false,
            };
            if let Some(id) = leaves {
                self.shared.counts().record_limit_hit(Limit::IdleConnections);
                emit(&|| tracing::debug!("closed an idle connection for a new one"));
                self.close_connection(id);
            }
            self.add_accepted(accepted);
        }
        true
    }

    /// Accepts the connections that wait in the kernel's queues, which closing a listening socket resets: requests may
    /// have been sent on them.
    fn accept_last(&mut self) {
        for listener in 0..self.acceptor.listeners() {
            for _ in 0..LAST_ACCEPTS / ACCEPTS_A_TURN {
                if !self.accept(listener) {
                    break;
                }
            }
        }
    }

    /// Adds an accepted connection, and serves the input that has already arrived.
    fn add_accepted(&mut self, accepted: Accepted) {
        self.shared.counts().accepted.add(1);
        let proxies = &self.shared.config.proxies;
        let peer = accepted.peer;
        let forwarding = proxies.forwarding_of(peer);
        let sends_header = proxies.send_header(peer);
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
        let id = self.connections.insert(|id| Connection::new(accepted, role, id, now));
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
}
