//! The turns of a worker: it takes a batch of events from the poller, and serves its connections directly.

use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
#[cfg(feature = "websocket")]
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use conduit_net::{AsyncPoller, Events};
use conduit_proto::http_date;
#[cfg(feature = "websocket")]
use tokio::task::coop::has_budget_remaining;
use tokio::time::Instant;

use super::Worker;
use super::connections::FIRST_CONNECTION_KEY;
use crate::batch::{BATCH_LIMIT, Member};
use crate::clock;
#[cfg(feature = "websocket")]
use crate::commands::Command;
use crate::connection::{Connection, Disposition};
use crate::cut_off::CutOff;
use crate::exchange_id::ConnectionId;
use crate::link::{INPUT_BYTES, InputMode};
use crate::live;
use crate::panics::caught;
use crate::readiness::Readiness;
use crate::shared::Shared;
use crate::transport::PORTABLE_POLLER;

/// Minimum free buffer space before a read.
const LEAST_INPUT_BYTES: usize = 16 * 1024;

/// The number of woken handlers of WebSockets that are polled in a row.
#[cfg(feature = "websocket")]
const HANDLERS_A_TURN: usize = 128;

/// The task that runs a worker.
pub(super) struct Driver {
    pub(super) worker: Worker,
    pub(super) poller: AsyncPoller,
    pub(super) events: Events,
}

impl Future for Driver {
    type Output = io::Result<CutOff>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<CutOff>> {
        let Driver { worker, poller, events } = self.get_mut();
        worker.shared.commands.register(context.waker());
        worker.begin_turn();
        #[cfg(feature = "websocket")]
        worker.begin_handlers(context);
        // Before the commands: a connection whose share of this turn they use up continues in the next turn, not in this one.
        #[cfg(feature = "http2")]
        worker.continue_connections();
        worker.deliver_commands();
        #[cfg(feature = "testing")]
        worker.serve_in_process(context.waker());
        loop {
            let ready = poller.poll_ready(context)?;
            if ready.is_pending() && !worker.shared.poll_again {
                break;
            }
            worker.shared.poll_again = false;
            let count = worker.shared.poller.wait(events, Some(Duration::ZERO))?;
            if count > 0 {
                // Skipped without events, because an iteration of the portable poller allocates.
                worker.batch.begin();
                events.iter().for_each(|event| worker.handle_event(event));
                worker.serve_batch();
            }
            worker.shared.poll_again |= count == events.capacity();
            if worker.shared.poll_again {
                break;
            }
            // All events are taken. Without tokio's readiness the next poll registers the waker.
            if let Poll::Ready(mut guard) = ready {
                guard.clear_ready();
            }
        }
        #[cfg(feature = "websocket")]
        worker.poll_woken_handlers(context);
        #[cfg(feature = "http2")]
        {
            worker.shared.poll_again |= !worker.shared.continuing.is_empty();
        }
        worker.acceptor.resume(worker.connections.len(), &worker.shared);
        #[cfg(feature = "testing")]
        worker.report_resources();
        if worker.has_ended(context) {
            return Poll::Ready(Ok(worker.phase.cut_off()));
        }
        if worker.shared.poll_again {
            // A turn may be long: tokio runs ready tasks and checks its sockets and timers before the next one.
            let _ = pin!(tokio::task::yield_now()).poll(context);
        }
        Poll::Pending
    }
}

impl Worker {
    /// The work of a turn that does not come from the poller.
    fn begin_turn(&mut self) {
        #[cfg(feature = "http2")]
        {
            self.shared.turn += 1;
        }
        let now = Instant::now();
        if now >= self.next_second {
            self.new_second(now);
        }
        if self.handle.is_stopping() {
            self.stop(now);
        }
        self.acceptor.resume(self.connections.len(), &self.shared);
    }

    fn new_second(&mut self, now: Instant) {
        let unix_time = clock::since_epoch();
        self.shared.date = http_date(unix_time.as_secs());
        // The next turn at or after the next second of the wall clock changes the date again.
        self.next_second = now + Duration::from_nanos(1_000_000_000 - u64::from(unix_time.subsec_nanos()));
        let second = self.clock.update(now, std::time::Instant::now());
        self.shared.environment.now = second;
        live::tick(second);
        for id in self.shared.wheel.advance(second) {
            self.with_input(id, Connection::check_deadline);
        }
    }

    /// Delivers the commands of a turn. The output of a connection is sent once for several commands.
    fn deliver_commands(&mut self) {
        // Commands that these lead to follow in the next turn, so that a turn has an end.
        let mut commands = self.shared.commands.take(std::mem::take(&mut self.spare_commands));
        if commands.is_empty() {
            self.spare_commands = commands;
            return;
        }
        for (exchange, command) in commands.drain(..) {
            let id = exchange.connection;
            let is_commanded = self.commanded.contains(&id);
            self.with_connection(id, |connection, shared| {
                if is_commanded && !connection.defers_output() && connection.finish(shared) == Disposition::Closed {
                    return Disposition::Closed;
                }
                connection.on_command(exchange, command, shared)
            });
            if !is_commanded {
                self.commanded.push(id);
            }
            if self.commanded.len() == BATCH_LIMIT {
                self.finish_commanded();
            }
        }
        self.finish_commanded();
        self.spare_commands = commands;
    }

    /// Polls the handlers that the last turn has left: its events may have spent its budget, as those of this turn may.
    #[cfg(feature = "websocket")]
    fn begin_handlers(&mut self, context: &Context<'_>) {
        if !self.has_handlers() {
            return;
        }
        if std::mem::take(&mut self.leaves_handlers) {
            self.poll_woken_handlers(context);
        }
        // Those that are woken from here on are polled before the turn ends.
        self.shared.woken_handlers.begin_turn();
    }

    /// Returns whether there is a handler of a WebSocket.
    #[cfg(feature = "websocket")]
    fn has_handlers(&self) -> bool {
        Arc::strong_count(&self.shared.woken_handlers) > 1
    }

    /// Has connections poll the handlers of their WebSockets that an event other than a message has woken, while the turn has
    /// budget left.
    #[cfg(feature = "websocket")]
    fn poll_woken_handlers(&mut self, context: &Context<'_>) {
        if !self.has_handlers() {
            return;
        }
        let mut polls = 0;
        loop {
            if polls == HANDLERS_A_TURN || !has_budget_remaining() {
                self.leaves_handlers = true;
                self.shared.poll_again = true;
                break;
            }
            let Some(exchange) = self.shared.woken_handlers.next(context) else {
                break;
            };
            let id = exchange.connection;
            self.with_connection(id, |connection, shared| {
                connection.on_command(exchange, Command::Socket, shared)
            });
            // A connection that is woken twice is finished twice, unless the handlers of its streams follow each other.
            if self.commanded.last() != Some(&id) {
                self.commanded.push(id);
            }
            polls += 1;
            if self.commanded.len() == BATCH_LIMIT {
                self.finish_commanded();
            }
        }
        self.finish_commanded();
    }

    /// Sends more of the responses whose connections have had their share of the last turn.
    #[cfg(feature = "http2")]
    fn continue_connections(&mut self) {
        // They may have had their share again, and continue in the next turn.
        for _ in 0..self.shared.continuing.len() {
            let Some(id) = self.shared.continuing.pop_front() else {
                break;
            };
            self.with_connection(id, Connection::finish);
        }
    }

    /// Sends the output of the connections that commands have reached.
    fn finish_commanded(&mut self) {
        let mut commanded = std::mem::take(&mut self.commanded);
        for id in commanded.drain(..) {
            self.with_connection(id, Connection::finish);
        }
        self.commanded = commanded;
    }

    fn handle_event(&mut self, event: conduit_net::Event) {
        if event.key < FIRST_CONNECTION_KEY {
            self.serve_batch();
            self.shared.poll_again |= self.accept(event.key as usize);
            return;
        }
        // One read takes the bytes or the end, and the portable poller does not report that the other is left.
        self.shared.poll_again |= event.readable && PORTABLE_POLLER;
        let ready = Readiness {
            readable: event.readable,
            read_closed: event.read_closed,
            writable: event.writable,
            hang_up: event.hang_up || event.error,
        };
        if !self.add_to_batch(event.key, ready) {
            self.serve_batch();
            self.with_input(event.key, |connection, input, shared| {
                connection.on_ready(ready, input, shared)
            });
        }
    }

    /// Reads from a connection that is served together with others. Returns false if it has to be served alone.
    fn add_to_batch(&mut self, id: ConnectionId, ready: Readiness) -> bool {
        let joins = ready.readable
            && !ready.writable
            && !ready.hang_up
            && self.connections.get(id).is_some_and(Connection::joins_batch);
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

    /// Serves the input of a batch, then sends the output.
    fn serve_batch(&mut self) {
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
        let (connections, shared) = (&mut self.connections, &mut self.shared);
        // The drop of a command for a closed connection may panic, too: it may hold a response.
        let disposition = caught(
            "a panic outside of a handler; its connection is closed",
            || match connections.get_mut(id) {
                Some(connection) => call(connection, shared),
                None => {
                    drop(call);
                    Disposition::Open
                }
            },
        );
        if disposition != Some(Disposition::Open) {
            self.close_connection(id);
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

    pub(super) fn close_connection(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.remove(id) {
            let shared = &mut self.shared;
            caught("a panic while a connection was closed", || connection.close(shared));
        }
    }
}
