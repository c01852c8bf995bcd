//! One worker: a thread with its own poller, connections and tokio runtime.
//!
//! The poller's descriptor is registered with a tokio runtime of this thread. When a connection is
//! ready, tokio wakes the driver task, which takes a whole batch of events and serves the connections
//! directly: no task and no waker for each of them. Handlers run in place; a pending one continues as a separate
//! task. So every tokio library works in a handler, on the same thread as the connections.
//!
//! - [`start`] runs the thread; this module has the [`Driver`], whose polls are the turns of the worker.
//! - [`acceptor`] accepts connections, [`connections`] serves them, and [`table`] has those that are open.
//! - [`delivery`] delivers the commands of tasks, and [`handlers`] polls the handlers of WebSockets.
//! - [`stop`] advances the [`phase`], and [`drain`] closes long-lived connections one after the other.
//! - [`ticker`] wakes the worker each second.

mod acceptor;
mod connections;
mod delivery;
mod drain;
#[cfg_attr(not(feature = "websocket"), path = "without_handlers.rs")]
mod handlers;
#[cfg(feature = "testing")]
mod in_process;
mod phase;
pub(super) mod start;
mod stop;
mod table;
mod ticker;

use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use conduit_net::{AsyncPoller, Events};
use conduit_proto::http_date;
use tokio::time::Instant;

use self::acceptor::Acceptor;
use self::connections::Connections;
use self::delivery::CommandDelivery;
use self::handlers::HandlerPolls;
use self::phase::Phase;
use self::table::FIRST_CONNECTION_KEY;
use crate::clock::{self, WorkerClock};
use crate::connection::Connection;
use crate::cut_off::CutOff;
use crate::handle::ServerHandle;
use crate::limit::Limit;
use crate::listening::Listener;
use crate::live;
use crate::panics::emit;
use crate::readiness::Readiness;
use crate::shared::Shared;
use crate::transport::PORTABLE_POLLER;

/// The number of connections that a turn accepts, so that a rush of new ones does not delay open ones.
const ACCEPTS_PER_TURN: usize = 64;
/// The maximum number of connections that a worker accepts from each listening socket when it stops: clients that continue to
/// connect must not prevent the stop.
const LAST_ACCEPTS: usize = 4096;

/// The task that runs a worker: each poll is a turn.
struct Driver {
    worker: Worker,
    poller: AsyncPoller,
    events: Events,
}

struct Worker {
    connections: Connections,
    acceptor: Acceptor,
    delivery: CommandDelivery,
    handlers: HandlerPolls,
    handle: ServerHandle,
    clock: WorkerClock,
    /// The time at which the second and the date change next.
    next_second: Instant,
    /// [`Shared::is_stopping`] is true from `Stopping` on.
    phase: Phase,
}

impl Future for Driver {
    type Output = io::Result<CutOff>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<CutOff>> {
        let Driver { worker, poller, events } = self.get_mut();
        worker.begin_turn(context);
        worker.serve_ready(poller, events, context)?;
        worker.end_turn(context);
        if worker.has_ended(context) {
            return Poll::Ready(Ok(worker.phase.cut_off()));
        }
        if worker.connections.shared.links.poll_again {
            // A turn may be long: tokio runs ready tasks and checks its sockets and timers before the next one.
            let _ = pin!(tokio::task::yield_now()).poll(context);
        }
        Poll::Pending
    }
}

impl Worker {
    fn new(shared: Shared, listeners: Vec<Listener>, connection_limit: usize, handle: ServerHandle) -> Self {
        let started = Instant::now();
        Worker {
            connections: Connections::new(shared),
            acceptor: Acceptor::new(listeners, connection_limit),
            delivery: CommandDelivery::default(),
            handlers: HandlerPolls::default(),
            handle,
            clock: WorkerClock::new(started),
            next_second: started,
            phase: Phase::Serving,
        }
    }

    /// The work of a turn that does not come from the poller.
    fn begin_turn(&mut self, context: &mut Context<'_>) {
        self.connections.shared.commands.register(context.waker());
        self.connections.shared.turn += 1;
        let now = Instant::now();
        if now >= self.next_second {
            self.new_second(now);
        }
        if self.handle.is_stopping() {
            self.stop(now);
        }
        self.resume_accepting();
        self.handlers
            .begin_turn(&mut self.connections, &mut self.delivery, context);
        // Before the commands: a connection whose share of this turn they use up continues in the next turn, not in this one.
        self.continue_connections();
        self.delivery.deliver(&mut self.connections);
        #[cfg(feature = "testing")]
        self.connections.serve_in_process(context.waker());
    }

    /// Serves the connections and the listening sockets that the poller reports.
    ///
    /// # Errors
    /// An error of the system.
    fn serve_ready(&mut self, poller: &AsyncPoller, events: &mut Events, context: &mut Context<'_>) -> io::Result<()> {
        loop {
            let ready = poller.poll_ready(context)?;
            let shared = &mut self.connections.shared;
            if ready.is_pending() && !shared.links.poll_again {
                return Ok(());
            }
            shared.links.poll_again = false;
            let count = shared.links.poller.wait(events, Some(Duration::ZERO))?;
            if count > 0 {
                // Skipped without events, because an iteration of the portable poller allocates.
                self.connections.begin_batch();
                events.iter().for_each(|event| self.handle_event(event));
                self.connections.serve_batch();
            }
            let shared = &mut self.connections.shared;
            shared.links.poll_again |= count == events.capacity();
            if shared.links.poll_again {
                return Ok(());
            }
            // All events are taken. Without tokio's readiness the next poll registers the waker.
            if let Poll::Ready(mut guard) = ready {
                guard.clear_ready();
            }
        }
    }

    fn end_turn(&mut self, context: &mut Context<'_>) {
        self.handlers
            .poll_woken(&mut self.connections, &mut self.delivery, context);
        let shared = &mut self.connections.shared;
        shared.links.poll_again |= !shared.continuing.is_empty();
        self.resume_accepting();
        #[cfg(feature = "testing")]
        self.connections.report_resources(&self.handle);
    }

    fn resume_accepting(&mut self) {
        self.acceptor
            .resume(self.connections.table.len(), &self.connections.shared);
    }

    fn new_second(&mut self, now: Instant) {
        let unix_time = clock::since_epoch();
        // The next turn at or after the next second of the wall clock changes the date again.
        self.next_second = now + Duration::from_nanos(1_000_000_000 - u64::from(unix_time.subsec_nanos()));
        let second = self.clock.update(now, clock::real_now());
        let shared = &mut self.connections.shared;
        shared.date = http_date(unix_time.as_secs());
        shared.set_now(second);
        live::tick(second);
        for id in self.connections.shared.links.wheel.advance(second) {
            self.connections.with_input(id, Connection::check_deadline);
        }
    }

    /// Sends more of the responses whose connections have had their share of the last turn.
    fn continue_connections(&mut self) {
        // They may have had their share again, and continue in the next turn.
        for _ in 0..self.connections.shared.continuing.len() {
            let Some(id) = self.connections.shared.continuing.pop_front() else {
                break;
            };
            self.connections.with_connection(id, Connection::finish);
        }
    }

    fn handle_event(&mut self, event: conduit_net::Event) {
        if event.key < FIRST_CONNECTION_KEY {
            self.connections.serve_batch();
            let may_have_more = self.accept(event.key as usize);
            self.connections.shared.links.poll_again |= may_have_more;
            return;
        }
        // One read takes the bytes or the end, and the portable poller does not report that the other is left.
        self.connections.shared.links.poll_again |= event.readable && PORTABLE_POLLER;
        let ready = Readiness {
            readable: event.readable,
            read_closed: event.read_closed,
            writable: event.writable,
            hang_up: event.hang_up || event.error,
        };
        self.connections.on_ready(event.key, ready);
    }

    /// Accepts connections from a listening socket, and returns whether there may be more.
    fn accept(&mut self, listener: usize) -> bool {
        let connections = &mut self.connections;
        for _ in 0..ACCEPTS_PER_TURN {
            let is_full = self.acceptor.is_full(connections.table.len());
            let now = connections.shared.now();
            let leaves = is_full.then(|| connections.table.longest_idle(now)).flatten();
            if is_full && leaves.is_none() {
                self.acceptor.wait_for_room(&connections.shared);
                return false;
            }
            let accepted = match self.acceptor.accept(listener, &connections.shared) {
                ControlFlow::Continue(Some(accepted)) => accepted,
                ControlFlow::Continue(None) => continue,
                ControlFlow::Break(()) => return false,
            };
            if let Some(id) = leaves {
                connections.shared.counts().record_limit_hit(Limit::IdleConnections);
                emit(&|| tracing::debug!("closed an idle connection for a new one"));
                connections.close(id);
            }
            connections.add(accepted);
        }
        true
    }

    /// Accepts the connections that wait in the kernel's queues, which closing a listening socket resets: requests may
    /// have been sent on them.
    fn accept_last(&mut self) {
        for listener in 0..self.acceptor.listeners() {
            for _ in 0..LAST_ACCEPTS / ACCEPTS_PER_TURN {
                if !self.accept(listener) {
                    break;
                }
            }
        }
    }
}
