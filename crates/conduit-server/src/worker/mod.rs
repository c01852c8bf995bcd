//! One worker: a thread with its own poller, connections and tokio runtime.
//!
//! The poller's descriptor is registered with a tokio runtime of this thread. When a connection is
//! ready, tokio wakes the driver task, which takes a whole batch of events and serves the connections
//! directly: no task and no waker for each of them. Handlers run in place; a pending one continues as a separate
//! task. So every tokio library works in a handler, on the same thread as the connections.

mod drain;
mod driver;

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::time::Duration;

use conduit_net::{AsyncPoller, Events, Interest, Poller};
use conduit_proto::http_date;
#[cfg(feature = "websocket")]
use conduit_proto::ws::Codecs;
use http::HeaderValue;
use slab::Slab;
use tokio::time::Instant;

use self::drain::Drain;
use self::driver::{Driver, wake_every_second};
use crate::batch::{Batch, Member, TOGETHER};
use crate::clock::{self, WorkerClock};
use crate::cohort::Cohort;
use crate::commands::{Command, CommandQueue};
use crate::config::Config;
use crate::connection::{Connection, Disposition, PeerRole};
use crate::current;
use crate::cut_off::CutOff;
use crate::deadlines::{Second, Wheel};
use crate::dispatch::Plan;
use crate::error::{Error, Result};
use crate::exchange::Environment;
use crate::exchange_id::{ConnectionId, ExchangeId};
use crate::handle::{ServerHandle, StopOnDrop};
use crate::idle::Idle;
use crate::limit::Limit;
use crate::listening::{AcceptError, Accepted, Listener};
use crate::live;
use crate::panics::{caught, emit};
use crate::peers::Peers;
use crate::readiness::Readiness;
use crate::request::Request;
use crate::shared::Shared;
use crate::state::OpenState;
use crate::transport::{PORTABLE_POLLER, Transport};
use crate::watch::Watch;
use crate::work::{Work, WorkCounts};

/// The number of events that a turn takes from the poller; then tokio has its turn.
const EVENTS_A_TURN: usize = 1024;
/// The number of connections that a turn accepts, so that a rush of new ones does not delay open ones.
const ACCEPTS_A_TURN: usize = 64;
/// The number of connections that a worker accepts at most from each listening socket when it stops. Clients that go on
/// connecting must not keep it from that.
const LAST_ACCEPTS: usize = 4096;
/// The size of the buffer that all connections of a worker read into.
const INPUT_BYTES: usize = 64 * 1024;
/// Minimum free buffer space before a read.
const LEAST_INPUT_BYTES: usize = 16 * 1024;
/// The interval at which a stopping worker checks its deadline, and for clients that have received their last response.
const STOPPING_TICK: Duration = Duration::from_millis(50);

/// Keys below this are the indices of listening sockets. The upper half of a connection's identifier counts from 1.
const CONNECTIONS: ConnectionId = 1 << 32;

/// The answer to a client whose address has its limit of connections; nothing was read of its request.
const TOO_MANY_CONNECTIONS: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

/// The limits on open connections.
pub(super) struct Limits {
    /// On one worker.
    pub(super) connections: usize,
    /// From one peer address, on all workers.
    pub(super) peers: Arc<Peers>,
    /// The HSTS value for connections with TLS, and the redirect of the others.
    pub(super) hsts: Option<HeaderValue>,
    pub(super) redirect: Option<u16>,
}

pub(super) struct Worker {
    shared: Shared,
    connections: Slab<Connection>,
    /// Counts connections; it is the upper half of their identifiers.
    accepted: u32,
    /// None any more once the server stops.
    listeners: Vec<Listener>,
    /// True if the poller watches the listeners: not while there is no room for another connection.
    accepting: bool,
    /// The second from which on it may be watched again.
    accept_from: Second,
    connection_limit: usize,
    /// The second from which on it is looked again whether a connection makes room at the limit.
    full_until: Second,
    idle: Idle,
    input: Vec<u8>,
    batch: Batch,
    /// The memory of the last turn's commands.
    commands: Vec<(ExchangeId, Command)>,
    /// The connections that have received commands since the last send: at most [`TOGETHER`].
    commanded: Vec<ConnectionId>,
    handle: ServerHandle,
    clock: WorkerClock,
    /// When the second, and the date, change next.
    next_second: Instant,
    /// The time when the shutdown closes the rest; `None` if it is too far away to be represented.
    stop_by: Option<Instant>,
    /// The long-lived connections that have not closed, once the server stops.
    drain: Option<Drain>,
    /// The time for the shutdown is over.
    over: bool,
    cut_off: CutOff,
}

/// Everything that a worker needs to serve.
pub(super) struct WorkerStart<S: 'static> {
    pub(super) number: usize,
    pub(super) listeners: Vec<Listener>,
    pub(super) state: Box<dyn OpenState<S>>,
    pub(super) plan: Plan<S>,
    pub(super) config: Config,
    pub(super) limits: Limits,
    pub(super) handle: ServerHandle,
    pub(super) cohort: Cohort,
}

impl Worker {
    /// Serves on this thread until the server stops, and then drives the runtime until all workers have finished.
    pub(super) fn run<S: 'static>(start: WorkerStart<S>) -> Result<CutOff> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(tokio::runtime::LocalOptions::default())
            .map_err(|cause| Error::system("make a tokio runtime", cause))?;
        let ended = runtime.block_on(async {
            let (cohort, stop) = (start.cohort.clone(), StopOnDrop(start.handle.clone()));
            let served = Worker::serve(start).await;
            // The others stop, too, before they are waited for.
            drop(stop);
            cohort.leave().await;
            let (mut cut_off, work) = served?;
            // Everything that is left is dropped with the runtime.
            let WorkCounts { handlers, tasks } = work.counts();
            cut_off.uncounted_tasks = runtime.metrics().num_alive_tasks().saturating_sub(handlers + tasks);
            Ok(cut_off)
        });
        // Calls on blocking threads have no part in the shutdown's deadline.
        runtime.shutdown_background();
        ended
    }

    async fn serve<S: 'static>(start: WorkerStart<S>) -> Result<(CutOff, Work)> {
        let WorkerStart {
            number,
            listeners,
            state,
            plan,
            config,
            limits,
            handle,
            cohort,
        } = start;
        let work = Work::default();
        current::enter(handle.clone(), number, work.clone(), config.files);
        live::enter();
        #[cfg(feature = "websocket")]
        crate::websocket::enter();
        let Some(state) = cohort.open(state, number, &handle).await? else {
            return Ok((CutOff::default(), work));
        };
        drop(cohort);
        let failed = |cause| Error::system("serve", cause);
        let counts_routes = !handle.counts()[number].routes.is_empty();
        let poller = Rc::new(Poller::new().map_err(failed)?);
        let commands = Rc::new(CommandQueue::default());
        let observer = Arc::clone(&config.observer);
        let bell = wake_every_second(Rc::clone(&commands), handle.clone(), observer, number);
        let bell = tokio::task::spawn_local(bell);
        let environment = Environment {
            application: plan.connect(state),
            counts: Arc::clone(handle.counts()),
            worker: number,
            handlers: work.clone(),
            watch: Watch::new(Arc::clone(&config.observer), counts_routes),
            disconnect: config.disconnect,
            redirect: limits.redirect,
            now: 1,
        };
        let shared = Shared {
            poller: Rc::clone(&poller),
            environment,
            config,
            commands,
            wheel: Wheel::new(),
            peers: limits.peers,
            date: [0; 29],
            request: Request::blank(),
            outputs: Vec::new(),
            hsts: limits.hsts,
            stopping: false,
            keeps_idle: false,
            more: false,
            #[cfg(feature = "http2")]
            turn: 0,
            #[cfg(feature = "websocket")]
            codecs: Codecs::default(),
        };
        let started = Instant::now();
        let worker = Worker {
            shared,
            connections: Slab::new(),
            accepted: 0,
            listeners,
            accepting: false,
            accept_from: 0,
            connection_limit: limits.connections,
            full_until: 0,
            idle: Idle::default(),
            input: vec![0; INPUT_BYTES],
            batch: Batch::new(),
            commands: Vec::new(),
            commanded: Vec::new(),
            handle,
            clock: WorkerClock::new(started),
            next_second: started,
            stop_by: None,
            drain: None,
            over: false,
            cut_off: CutOff::default(),
        };
        let readiness = AsyncPoller::new(poller).map_err(failed)?;
        worker.handle.worker_started();
        let driver = Driver {
            worker,
            readiness,
            events: Events::with_capacity(EVENTS_A_TURN),
        };
        // As a task, not as the future of `block_on`: a task that is woken on its own thread costs no system call.
        let served = tokio::task::spawn_local(driver).await;
        bell.abort();
        // Its end is awaited so that it is not counted; it was aborted.
        let _ = bell.await;
        let cut_off = served
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
            .map_err(failed)?;
        Ok((cut_off, work))
    }

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
        self.resume_accepting();
    }

    fn new_second(&mut self, now: Instant) {
        let unix_time = clock::since_epoch();
        self.shared.date = http_date(unix_time.as_secs());
        // The next turn at or after the wall clock's next second changes the date again.
        self.next_second = now + Duration::from_nanos(1_000_000_000 - u64::from(unix_time.subsec_nanos()));
        let second = self.clock.look(now, std::time::Instant::now());
        self.shared.environment.now = second;
        live::tick(second);
        for key in self.shared.wheel.advance(second) {
            self.with_input(key, Connection::check_deadline);
        }
    }

    /// Calls what happens on the connection with this key, if it is still there, and removes it if that was its end.
    ///
    /// A panic on the way, of the application's code where nothing else has caught it or of our own, costs the connection
    /// and nothing else: it may have taken buffers from `shared`, which are replaced when they are missing.
    fn with_connection(
        &mut self,
        key: ConnectionId,
        happens: impl FnOnce(&mut Connection, &mut Shared) -> Disposition,
    ) {
        let index = key as u32 as usize;
        let (connections, shared) = (&mut self.connections, &mut self.shared);
        // The values of `happens` are dropped here too if the connection has closed: a command may hold a response.
        let disposition = caught(
            "a panic outside of a handler; its connection is closed",
            || match connections.get_mut(index).filter(|connection| connection.id() == key) {
                Some(connection) => happens(connection, shared),
                None => {
                    drop(happens);
                    Disposition::Open
                }
            },
        );
        if disposition != Some(Disposition::Open) {
            self.close_connection(key);
        }
    }

    /// As [`with_connection`](Self::with_connection), with the buffer that connections read into.
    fn with_input(
        &mut self,
        key: ConnectionId,
        happens: impl FnOnce(&mut Connection, &mut [u8], &mut Shared) -> Disposition,
    ) {
        let mut input = std::mem::take(&mut self.input);
        self.with_connection(key, |connection, shared| happens(connection, &mut input, shared));
        self.input = input;
    }

    fn close_connection(&mut self, key: ConnectionId) {
        let index = key as u32 as usize;
        if self
            .connections
            .get(index)
            .is_some_and(|connection| connection.id() == key)
        {
            let connection = self.connections.remove(index);
            let shared = &mut self.shared;
            caught("a panic while a connection was closed", || connection.close(shared));
        }
    }

    /// Delivers the commands of a turn. The output of a connection is sent once for several commands.
    fn deliver_commands(&mut self) {
        // A command can lead to others, which follow in the next turn: so a turn has an end.
        let mut commands = self.shared.commands.take(std::mem::take(&mut self.commands));
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
            if self.commanded.len() == TOGETHER {
                self.finish_commanded();
            }
        }
        self.finish_commanded();
        self.commands = commands;
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
        if event.key < CONNECTIONS {
            self.serve_batch();
            self.shared.more |= self.accept(event.key as usize);
            return;
        }
        // There may be more than one read takes: the bytes and the end. The portable poller does not report that.
        self.shared.more |= event.readable && PORTABLE_POLLER;
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

    /// Reads from a connection that is served together with others; `false` if it has to be served by itself.
    fn add_to_batch(&mut self, id: ConnectionId, ready: Readiness) -> bool {
        let joins = ready.readable
            && !ready.writable
            && !ready.hang_up
            && self
                .connections
                .get(id as u32 as usize)
                .is_some_and(Connection::joins_batch);
        if !joins {
            return false;
        }
        let start = self.batch.filled;
        let mut received = 0;
        self.with_input(id, |connection, input, shared| {
            match connection.read(&mut input[start..], ready.read_closed, shared) {
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

    /// Accepts connections, and returns whether there may be more.
    fn accept(&mut self, place: usize) -> bool {
        for _ in 0..ACCEPTS_A_TURN {
            let is_full = self.connections.len() >= self.connection_limit;
            let leaves = is_full.then(|| self.longest_idle()).flatten();
            // It may have been closed since the event came.
            let Some(listener) = self.listeners.get(place) else {
                return false;
            };
            if is_full && leaves.is_none() {
                self.shared.counts().record_limit_hit(Limit::Connections);
                emit(|| {
                    tracing::debug!(
                        limit = self.connection_limit,
                        "the worker has its limit of connections; others wait"
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
                    self.welcome(accepted);
                }
                Err(AcceptError::Nobody) => return false,
                // The client has closed the connection while it waited.
                Err(AcceptError::Client) => {}
                Err(AcceptError::System(error)) => {
                    // No descriptor or no memory left (EMFILE, ENFILE, ENOBUFS, ENOMEM): the clients wait in the queue
                    // until the next second, and those that are connected go on.
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
    fn accept_last(&mut self) {
        for place in 0..self.listeners.len() {
            for _ in 0..LAST_ACCEPTS / ACCEPTS_A_TURN {
                if !self.accept(place) {
                    break;
                }
            }
        }
    }

    /// Turns a client away whose address has its limit of connections, at the cost of a few system calls: nothing is
    /// kept, and nothing waits for it.
    fn refuse(&mut self, mut transport: Transport, peer: SocketAddr) {
        let counts = self.shared.counts();
        counts.record_limit_hit(Limit::PeerConnections);
        counts.closed.add(1);
        emit(|| tracing::debug!(%peer, "the peer has its limit of connections"));
        if transport.is_secure() {
            // A response would need the handshake, which costs more than serving it.
            return;
        }
        // The received bytes of its request are read first, as far as one read goes: a close with unread bytes would
        // reset the connection, and the client would not see the response. Failures do not matter here.
        let _ = transport.recv(&mut self.input);
        let _ = transport.send(TOO_MANY_CONNECTIONS);
        let _ = transport.shutdown();
    }

    /// Adds an accepted connection, and serves the input that has already arrived.
    fn welcome(&mut self, accepted: Accepted) {
        self.shared.counts().accepted.add(1);
        let proxies = &self.shared.config.proxies;
        let peer = accepted.peer;
        let forwarding = proxies.forwarding_of(peer);
        let sends_header = proxies.send_header(peer);
        let role = PeerRole {
            // A connection of a proxy counts for its client, if that is known.
            counted: (!sends_header && forwarding.is_none()).then(|| peer.ip()),
            sends_header,
            forwarding,
        };
        if role.counted.is_some_and(|address| !self.shared.peers.enter(address)) {
            return self.refuse(accepted.transport, peer);
        }
        // The upper half 0 is the listeners'.
        self.accepted = self.accepted.wrapping_add(1).max(1);
        let entry = self.connections.vacant_entry();
        let key = ConnectionId::from(self.accepted) << 32 | entry.key() as ConnectionId;
        entry.insert(Connection::new(accepted, role, key, self.shared.now()));
        // Its request is often there already: then one event and one registration are saved.
        self.with_input(key, |connection, input, shared| {
            connection.read_and_serve(input, false, shared)
        });
    }

    /// The connection that makes room for a new one at the limit, if one has been idle for long enough.
    fn longest_idle(&mut self) -> Option<ConnectionId> {
        let connections = &self.connections;
        let all = || {
            let each = connections.iter();
            each.filter_map(|(_, connection)| Some((connection.idle_since()?, connection.id())))
        };
        self.idle.longest(self.shared.now(), all, |key| {
            let connection = connections.get(key as u32 as usize);
            let connection = connection.filter(|connection| connection.id() == key)?;
            // Its next request may be in the kernel already: then another one goes.
            connection.idle_since().filter(|_| !connection.has_unread_input())
        })
    }

    /// Watches the listening sockets again when there is room for a connection again, or may be.
    fn resume_accepting(&mut self) {
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

    /// Stops watching the listening sockets. They must not be forgotten by closing alone: another process may have them
    /// too, and then the kernel continues to report them.
    fn pause_accepting(&mut self) {
        self.accepting = false;
        for listener in &self.listeners {
            // One that was not watched is not there to be removed.
            let _ = self.shared.poller.remove(&*listener.socket);
        }
    }

    /// The changes of a stop, at its first turn and at later ones.
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
            self.begin_drain(now);
        } else {
            self.continue_drain(now);
        }
        if first || keeps_idle != self.shared.keeps_idle {
            self.shared.keeps_idle = keeps_idle;
            for key in self.keys() {
                if !self.is_draining(key) {
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
                        "closing what was not finished at the shutdown"
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

    fn keys(&self) -> Vec<ConnectionId> {
        self.connections.iter().map(|(_, connection)| connection.id()).collect()
    }

    fn has_ended(&self, context: &mut Context<'_>) -> bool {
        // A handler whose client has gone is finished all the same.
        self.shared.stopping
            && self.connections.is_empty()
            && (self.over || self.shared.environment.handlers.poll_finished(context).is_ready())
    }
}
