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
mod turn;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use conduit_net::{AsyncPoller, Events, Poller};
use http::HeaderValue;
use slab::Slab;
use tokio::time::Instant;

use self::drain::Drain;
use self::seconds::wake_every_second;
use self::turn::Driver;
use crate::batch::Batch;
use crate::clock::WorkerClock;
use crate::cohort::Cohort;
use crate::commands::{Command, CommandQueue};
use crate::config::Config;
use crate::connection::{Connection, Disposition};
use crate::current;
use crate::cut_off::CutOff;
use crate::deadlines::Second;
use crate::dispatch::Plan;
use crate::error::{Error, Result};
use crate::exchange::Environment;
use crate::exchange_id::{ConnectionId, ExchangeId};
use crate::handle::{ServerHandle, StopOnDrop};
use crate::idle::Idle;
use crate::link::BUFFER_BYTES;
use crate::listening::Listener;
use crate::live;
use crate::panics::emit;
use crate::peers::Peers;
use crate::shared::Shared;
use crate::state::OpenState;
use crate::watch::Watch;
use crate::work::{Work, WorkCounts};

/// The number of events that a turn takes from the poller; then tokio has its turn.
const EVENTS_A_TURN: usize = 1024;
/// The interval at which a stopping worker checks its deadline, and for clients that have received their last response.
const STOPPING_TICK: Duration = Duration::from_millis(50);

/// Keys below this are the indices of listening sockets. The upper half of a connection's identifier counts from 1.
const CONNECTIONS: ConnectionId = 1 << 32;

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
    commands: Vec<(ExchangeId, Command)>,
    /// The connections that have received commands since the last send: at most [`TOGETHER`].
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

/// The configuration and the shared parts that a worker starts with.
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
            .map_err(|cause| Error::system("create a tokio runtime", cause))?;
        let ended = runtime.block_on(async {
            let (cohort, stop) = (start.cohort.clone(), StopOnDrop(start.handle.clone()));
            let served = Worker::serve(start).await;
            // The other workers stop, too, before this one waits for them.
            drop(stop);
            cohort.leave().await;
            let (mut cut_off, work) = served?;
            // The runtime drops the remaining tasks.
            let WorkCounts { handlers, tasks } = work.counts();
            cut_off.uncounted_tasks = runtime.metrics().num_alive_tasks().saturating_sub(handlers + tasks);
            Ok(cut_off)
        });
        // The shutdown timeout does not cover calls on blocking threads.
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
        let ticker = wake_every_second(Rc::clone(&commands), handle.clone(), observer, number);
        let ticker = tokio::task::spawn_local(ticker);
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
        #[cfg(feature = "tower")]
        let internal = config.takes_internal.then(|| {
            let environment = environment.of_process(Watch::new(Arc::clone(&config.observer), counts_routes));
            let taking = crate::jobs::take_internal(environment, config.clone(), handle.clone());
            tokio::task::spawn_local(taking)
        });
        let shared = Shared::new(
            Rc::clone(&poller),
            commands,
            environment,
            config,
            limits.peers,
            limits.hsts,
        );
        let worker = Worker::new(shared, listeners, limits.connections, handle);
        let readiness = AsyncPoller::new(poller).map_err(failed)?;
        worker.handle.worker_started();
        let driver = Driver {
            worker,
            readiness,
            events: Events::with_capacity(EVENTS_A_TURN),
        };
        // As a task, not as the future of `block_on`: a task that is woken on its own thread costs no system call.
        let served = tokio::task::spawn_local(driver).await;
        ticker.abort();
        // An aborted task counts as alive until it is awaited.
        let _ = ticker.await;
        #[cfg(feature = "tower")]
        if let Some(internal) = internal {
            internal.abort();
            let _ = internal.await;
        }
        let cut_off = served
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
            .map_err(failed)?;
        Ok((cut_off, work))
    }

    fn new(shared: Shared, listeners: Vec<Listener>, connection_limit: usize, handle: ServerHandle) -> Self {
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
            commands: Vec::new(),
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
            self.begin_drain(now);
        } else {
            self.continue_drain(now);
        }
        if first || keeps_idle != self.shared.keeps_idle {
            self.shared.keeps_idle = keeps_idle;
            let draining = self.draining();
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

    fn keys(&self) -> Vec<ConnectionId> {
        self.connections.iter().map(|(_, connection)| connection.id()).collect()
    }
}
