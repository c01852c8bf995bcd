//! The listening sockets of a worker: it watches and accepts from them while there is room and the system has resources.

use std::ops::ControlFlow;

use conduit_net::Interest;

use crate::deadlines::Second;
use crate::exchange_id::ConnectionId;
use crate::limit::Limit;
use crate::listening::{AcceptError, Accepted, Listener};
use crate::panics::emit;
use crate::shared::Shared;

/// The listening sockets, the limit of connections, and the pauses after errors and at the limit.
pub(super) struct Acceptor {
    /// Empty once the server stops.
    listeners: Vec<Listener>,
    /// The limit of open connections.
    connection_limit: usize,
    /// True if the poller watches the listeners: while there is room for another connection.
    is_watching: bool,
    /// The second from which on the listeners may be watched, after an error of `accept`.
    accept_from: Second,
    /// The second of the next search for a connection that makes room at the limit.
    full_until: Second,
}

impl Acceptor {
    /// The poller watches the listeners from the first [`resume`](Self::resume) on.
    pub(super) fn new(listeners: Vec<Listener>, connection_limit: usize) -> Self {
        Acceptor {
            listeners,
            connection_limit,
            is_watching: false,
            accept_from: 0,
            full_until: 0,
        }
    }

    /// The number of listeners. Their indices are their keys in the poller.
    pub(super) fn listeners(&self) -> usize {
        self.listeners.len()
    }

    /// Returns whether this number of open connections has reached the limit: another one has to close for a new one.
    pub(super) fn is_full(&self, open_connections: usize) -> bool {
        open_connections >= self.connection_limit
    }

    /// Accepts a connection from a listener. Continues without one if its client has closed it while it waited, and breaks if no
    /// further one waits, or if none can be accepted now.
    pub(super) fn accept(&mut self, listener: usize, shared: &Shared) -> ControlFlow<(), Option<Accepted>> {
        // A stop may have closed it since the event.
        let Some(listener) = self.listeners.get(listener) else {
            return ControlFlow::Break(());
        };
        match listener.accept() {
            Ok(accepted) => ControlFlow::Continue(Some(accepted)),
            Err(AcceptError::Empty) => ControlFlow::Break(()),
            Err(AcceptError::Client) => ControlFlow::Continue(None),
            Err(AcceptError::System(error)) => {
                // No descriptor or no memory is left (EMFILE, ENFILE, ENOBUFS, ENOMEM): clients wait in the queue until
                // the next second, and open connections continue.
                emit(&|| tracing::warn!(%error, "cannot accept connections; trying again in a second"));
                self.pause(shared);
                self.accept_from = shared.now() + 1;
                ControlFlow::Break(())
            }
        }
    }

    /// Waits for the next second, or for a connection that closes: no connection can make room at the limit.
    pub(super) fn wait_for_room(&mut self, shared: &Shared) {
        if self.listeners.is_empty() {
            return;
        }
        shared.counts().record_limit_hit(Limit::Connections);
        emit(&|| {
            tracing::debug!(
                limit = self.connection_limit,
                "the worker reached `connection_limit`; new clients wait"
            )
        });
        self.pause(shared);
        self.full_until = shared.now() + 1;
    }

    /// Watches the listeners if there may be room for another connection.
    pub(super) fn resume(&mut self, open_connections: usize, shared: &Shared) {
        let room = !self.is_full(open_connections) || shared.now() >= self.full_until;
        let room = room && shared.now() >= self.accept_from;
        if !room || self.is_watching || self.listeners.is_empty() {
            return;
        }
        self.is_watching = true;
        for (index, listener) in self.listeners.iter().enumerate() {
            if let Err(error) = shared
                .links
                .poller
                .add(&*listener.socket, index as ConnectionId, Interest::READABLE)
            {
                emit(&|| tracing::error!(%error, "cannot watch a listening socket; trying again in a second"));
                self.pause(shared);
                self.accept_from = shared.now() + 1;
                return;
            }
        }
    }

    /// Stops watching the listeners. A close alone is not enough: another process may have them too, and then the kernel continues
    /// to report them.
    fn pause(&mut self, shared: &Shared) {
        self.is_watching = false;
        for listener in &self.listeners {
            // The poller does not know a socket that was not watched.
            let _ = shared.links.poller.remove(&*listener.socket);
        }
    }

    /// Closes the listeners: the server stops.
    pub(super) fn close(&mut self, shared: &Shared) {
        self.pause(shared);
        self.listeners = Vec::new();
    }
}
