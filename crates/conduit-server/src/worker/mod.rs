//! One worker: a thread with its own poller, connections and tokio runtime.
//!
//! The poller's descriptor is registered with a tokio runtime of this thread. When a connection is
//! ready, tokio wakes the driver task, which takes a whole batch of events and serves the connections
//! directly: no task and no waker for each of them. Handlers run in place; a pending one continues as a separate
//! task. So every tokio library works in a handler, on the same thread as the connections.

mod accept;
mod drain;
#[cfg(feature = "testing")]
mod in_process;
mod seconds;
pub(super) mod start;
mod turn;

use std::collections::HashSet;

use slab::Slab;
use tokio::time::Instant;

use self::drain::Drain;
use crate::batch::Batch;
use crate::clock::WorkerClock;
use crate::commands::Command;
use crate::connection::{Connection, Disposition};
use crate::cut_off::CutOff;
use crate::deadlines::Second;
use crate::exchange_id::{ConnectionId, ExchangeId};
use crate::handle::ServerHandle;
use crate::idle::Idle;
use crate::link::BUFFER_BYTES;
use crate::listening::Listener;
use crate::panics::emit;
use crate::shared::Shared;

/// Keys below this are the indices of listening sockets. The upper half of a connection's identifier counts from 1.
const FIRST_CONNECTION_KEY: ConnectionId = 1 << 32;

/// The index of a connection in the slab: the lower half of its identifier.
fn index_of(key: ConnectionId) -> usize {
    key as u32 as usize
}

pub(super) struct Worker {
    shared: Shared,
    connections: Slab<Connection>,
    /// Counts connections; it is the upper half of their identifiers.
    accepted: u32,
    /// Empty once the server stops.
    listeners: Vec<Listener>,
    /// True if the poller watches the listeners: while there is room for another connection.
    accepting: bool,
    /// The second from which on the listeners may be watched, after an error of `accept`.
    accept_from: Second,
    connection_limit: usize,
    /// The second of the next search for a connection that makes room at the limit.
    full_until: Second,
    idle: Idle,
    /// The buffer that all connections read into.
    input: Vec<u8>,
    batch: Batch,
    /// The memory of the last turn's commands.
    spare_commands: Vec<(ExchangeId, Command)>,
    /// The connections that have received commands since the last send: at most [`BATCH_LIMIT`].
    commanded: Vec<ConnectionId>,
    /// The last turn has not polled all of the handlers of WebSockets that were woken.
    #[cfg(feature = "websocket")]
    leaves_handlers: bool,
    handle: ServerHandle,
    clock: WorkerClock,
    /// The time at which the second and the date change next.
    next_second: Instant,
    /// The time at which the shutdown closes the remaining connections; `None` if it is too far away to be represented.
    stop_by: Option<Instant>,
    /// The long-lived connections that have not closed, once the server stops.
    drain: Option<Drain>,
    /// The shutdown timeout has passed.
    over: bool,
    cut_off: CutOff,
}

impl Worker {
    pub(super) fn new(shared: Shared, listeners: Vec<Listener>, connection_limit: usize, handle: ServerHandle) -> Self {
        let started = Instant::now();
        Worker {
            shared,
            connections: Slab::new(),
            accepted: 0,
            listeners,
            accepting: false,
            accept_from: 0,
            connection_limit,
            full_until: 0,
            idle: Idle::default(),
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
            stop_by: None,
            drain: None,
            over: false,
            cut_off: CutOff::default(),
        }
    }

    /// Stops the worker: the first turn of a stop, and each later one.
    fn stop(&mut self, now: Instant) {
        let keeps_idle = self.handle.keeps_idle();
        let first = !self.shared.stopping;
        if first {
            self.stop_by = now.checked_add(self.shared.config.shutdown_timeout);
            self.shared.stopping = true;
            self.shared.keeps_idle = keeps_idle;
            if !keeps_idle {
                self.accept_last();
            }
            self.pause_accepting();
            self.listeners = Vec::new();
            let lives_long = |(_, connection): (usize, &Connection)| connection.lives_long().then(|| connection.id());
            let sockets = self.connections.iter().filter_map(lives_long).collect();
            self.drain = Some(Drain::begin(sockets, now, self.shared.config.shutdown_timeout));
        }
        self.continue_drain(now);
        if first || keeps_idle != self.shared.keeps_idle {
            self.shared.keeps_idle = keeps_idle;
            let waiting = self.drain.iter().flat_map(Drain::waiting);
            let draining: HashSet<ConnectionId> = waiting.copied().collect();
            for key in self.keys() {
                if !draining.contains(&key) {
                    self.with_input(key, Connection::on_shutdown);
                }
            }
        } else {
            let lingering = |(_, connection): (usize, &Connection)| connection.is_lingering().then(|| connection.id());
            let lingering: Vec<ConnectionId> = self.connections.iter().filter_map(lingering).collect();
            for key in lingering {
                self.with_input(key, Connection::on_shutdown);
            }
        }
        if self.handle.is_closing() || self.stop_by.is_some_and(|deadline| now >= deadline) {
            self.over = true;
            self.shared.keeps_idle = false;
            for key in self.keys() {
                self.with_input(key, Connection::on_shutdown);
            }
            let work = self.shared.environment.handlers.counts();
            let connections = self.connections.len();
            self.cut_off = self.cut_off.plus(CutOff {
                connections,
                work,
                uncounted_tasks: 0,
            });
            if connections + work.handlers + work.tasks > 0 {
                emit(|| {
                    tracing::warn!(
                        connections,
                        handlers = work.handlers,
                        tasks = work.tasks,
                        "shutdown timeout: closing unfinished connections"
                    )
                });
            }
            self.shared.environment.handlers.name_in_log(self.shared.now());
            for key in self.keys() {
                self.with_connection(key, |connection, shared| {
                    connection.log_cut_off(shared);
                    Disposition::Closed
                });
            }
        }
    }

    /// Closes the long-lived connections that are due.
    fn continue_drain(&mut self, now: Instant) {
        let Some(drain) = &mut self.drain else { return };
        let sockets = drain.take_due(now);
        if drain.is_over() {
            self.drain = None;
        }
        for key in sockets {
            self.with_input(key, Connection::on_shutdown);
        }
    }

    fn keys(&self) -> Vec<ConnectionId> {
        self.connections.iter().map(|(_, connection)| connection.id()).collect()
    }
}
