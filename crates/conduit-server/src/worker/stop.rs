//! The stop of a worker. Each turn of a stop calls [`Worker::stop`], which advances the [`Phase`].

use std::collections::HashSet;
use std::task::Context;

use tokio::time::Instant;

use super::Worker;
use super::drain::Drain;
use super::phase::{Phase, Stopping};
use crate::connection::{Connection, Disposition};
use crate::cut_off::CutOff;
use crate::exchange_id::ConnectionId;
use crate::panics::emit;
use crate::shared::StopState;

impl Worker {
    /// Begins or continues the stop.
    pub(super) fn stop(&mut self, now: Instant) {
        let state = match self.handle.keeps_idle() {
            true => StopState::KeepingIdle,
            false => StopState::Closing,
        };
        match &self.phase {
            Phase::Serving => self.begin_stop(state, now),
            Phase::Stopping(_) => self.continue_stop(state, now),
            Phase::Over(_) => {}
        }
        let is_over = match &self.phase {
            Phase::Serving => false,
            Phase::Stopping(stopping) => stopping.deadline.is_some_and(|deadline| now >= deadline),
            Phase::Over(_) => true,
        };
        if is_over || self.handle.is_closing() {
            self.cut_off();
        }
    }

    /// Accepts no further connections, and lets the others end after their requests.
    fn begin_stop(&mut self, state: StopState, now: Instant) {
        let timeout = self.connections.shared.config.shutdown_timeout;
        self.connections.shared.stop_state = state;
        if state == StopState::Closing {
            self.accept_last();
        }
        self.acceptor.close(&self.connections.shared);
        let lives_long = |connection: &Connection| connection.lives_long().then(|| connection.id());
        let sockets = self.connections.table.iter().filter_map(lives_long).collect();
        self.phase = Phase::Stopping(Stopping {
            deadline: now.checked_add(timeout),
            drain: Some(Drain::begin(sockets, now, timeout)),
        });
        self.continue_drain(now);
        self.stop_connections();
    }

    fn continue_stop(&mut self, state: StopState, now: Instant) {
        self.continue_drain(now);
        if state != self.connections.shared.stop_state {
            self.connections.shared.stop_state = state;
            return self.stop_connections();
        }
        let lingering = |connection: &Connection| connection.is_lingering().then(|| connection.id());
        let lingering: Vec<ConnectionId> = self.connections.table.iter().filter_map(lingering).collect();
        for id in lingering {
            self.connections.with_input(id, Connection::on_shutdown);
        }
    }

    /// Closes the long-lived connections that are due.
    fn continue_drain(&mut self, now: Instant) {
        let Phase::Stopping(stopping) = &mut self.phase else {
            return;
        };
        let Some(drain) = &mut stopping.drain else { return };
        let sockets = drain.take_due(now);
        if drain.is_over() {
            stopping.drain = None;
        }
        for id in sockets {
            self.connections.with_input(id, Connection::on_shutdown);
        }
    }

    /// Notifies the connections of the stop, except those that the drain closes later.
    fn stop_connections(&mut self) {
        let waiting: HashSet<ConnectionId> = self.phase.waiting().iter().copied().collect();
        for id in self.ids() {
            if !waiting.contains(&id) {
                self.connections.with_input(id, Connection::on_shutdown);
            }
        }
    }

    /// Closes the connections that are left, and logs the work in progress.
    fn cut_off(&mut self) {
        self.connections.shared.stop_state = StopState::Closing;
        for id in self.ids() {
            self.connections.with_input(id, Connection::on_shutdown);
        }
        let work = self.connections.shared.environment.handlers.counts();
        let connections = self.connections.table.len();
        // A test client may connect after the first time.
        self.phase = Phase::Over(self.phase.cut_off().plus(CutOff {
            connections,
            work,
            uncounted_tasks: 0,
        }));
        if connections + work.handlers + work.tasks > 0 {
            emit(&|| {
                tracing::warn!(
                    connections,
                    handlers = work.handlers,
                    tasks = work.tasks,
                    "shutdown timeout: closing unfinished connections"
                )
            });
        }
        self.connections.shared.environment.handlers.name_in_log();
        for id in self.ids() {
            self.connections.with_connection(id, |connection, shared| {
                connection.log_cut_off(shared);
                Disposition::Closed
            });
        }
    }

    /// Returns whether the worker has stopped, and registers the waker for the end of the last handler or task.
    pub(super) fn has_ended(&self, context: &mut Context<'_>) -> bool {
        self.connections.table.is_empty()
            && match &self.phase {
                Phase::Serving => false,
                // A handler whose client has disconnected still runs to its end.
                Phase::Stopping(_) => self
                    .connections
                    .shared
                    .environment
                    .handlers
                    .poll_finished(context)
                    .is_ready(),
                Phase::Over(_) => true,
            }
    }

    fn ids(&self) -> Vec<ConnectionId> {
        self.connections.table.iter().map(Connection::id).collect()
    }
}
