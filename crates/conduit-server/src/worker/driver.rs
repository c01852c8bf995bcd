//! The task of a worker: its turns, and the clock that wakes it.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use conduit_net::{AsyncPoller, Events};

use super::{STOPPING_TICK, Worker};
use crate::commands::CommandQueue;
use crate::cut_off::CutOff;
use crate::handle::ServerHandle;
use crate::observer::Observer;
use crate::panics::caught;
#[cfg(feature = "testing")]
use crate::{
    connection::Connection, in_process::Resources, listening::Accepted, transport::Transport, work::WorkCounts,
};

#[cfg(feature = "testing")]
impl Worker {
    /// Accepts the connections of a test client, and serves the ready ones.
    fn serve_in_process(&mut self, waker: &std::task::Waker) {
        let Some(process) = self.shared.config.in_process.clone() else {
            return;
        };
        for (end, peer) in process.begin_turn(waker) {
            let transport = Transport::Memory(end);
            self.welcome(Accepted {
                transport,
                peer,
                info: None,
            });
        }
        let ready = |(_, connection): (usize, &Connection)| Some((connection.id(), connection.memory_readiness()?));
        let ready: Vec<_> = self.connections.iter().filter_map(ready).collect();
        if !ready.is_empty() {
            // They are asked again, until none is ready.
            waker.wake_by_ref();
        }
        for (id, ready) in ready {
            self.with_input(id, |connection, input, shared| {
                connection.on_ready(ready, input, shared)
            });
        }
    }

    /// Reports the resources to a test client.
    fn report_resources(&self) {
        let Some(process) = &self.shared.config.in_process else {
            return;
        };
        let WorkCounts { handlers, tasks } = self.shared.environment.handlers.counts();
        let mut resources = Resources::default();
        for (_, connection) in &self.connections {
            let bytes = connection.buffer_bytes();
            resources.buffer_bytes += bytes;
            if connection.idle_since().is_some() {
                resources.idle_connections += 1;
                resources.idle_buffer_bytes += bytes;
            }
        }
        resources.handlers = handlers;
        resources.tasks = tasks;
        resources.body_memory_bytes = self.handle.budgets().bodies.used_bytes();
        process.end_turn(resources);
    }
}

/// The task that a worker is.
pub(super) struct Driver {
    pub(super) worker: Worker,
    pub(super) readiness: AsyncPoller,
    pub(super) events: Events,
}

impl Future for Driver {
    type Output = io::Result<CutOff>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<CutOff>> {
        let Driver {
            worker,
            readiness,
            events,
        } = self.get_mut();
        worker.shared.commands.register(context.waker());
        worker.begin_turn();
        worker.deliver_commands();
        #[cfg(feature = "testing")]
        worker.serve_in_process(context.waker());
        loop {
            let ready = readiness.poll_ready(context)?;
            if ready.is_pending() && !worker.shared.more {
                break;
            }
            worker.shared.more = false;
            let count = worker.shared.poller.wait(events, Some(Duration::ZERO))?;
            if count > 0 {
                // The portable poller allocates to iterate, so not for nothing.
                worker.batch.begin();
                events.iter().for_each(|event| worker.handle_event(event));
                worker.serve_batch();
            }
            worker.shared.more |= count == events.capacity();
            if worker.shared.more {
                break;
            }
            // Nothing was left: asking again registers the waker.
            if let Poll::Ready(mut guard) = ready {
                guard.clear_ready();
            }
        }
        worker.resume_accepting();
        #[cfg(feature = "testing")]
        worker.report_resources();
        if worker.has_ended(context) {
            return Poll::Ready(Ok(worker.cut_off));
        }
        if worker.shared.more {
            // A turn may be long: tokio runs ready tasks and checks its sockets and timers before the next one.
            let _ = pin!(tokio::task::yield_now()).poll(context);
        }
        Poll::Pending
    }
}

/// Wakes the worker at each second for its deadlines, and when the server stops. Records the delay of the
/// second, which is the time that the worker was kept from its loop.
pub(super) async fn wake_every_second(
    commands: Rc<CommandQueue>,
    handle: ServerHandle,
    observer: Arc<dyn Observer>,
    worker: usize,
) {
    let counts = Arc::clone(handle.counts());
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut changed = std::pin::pin!(handle.changed());
    loop {
        let stopped = std::future::poll_fn(|context| {
            let stopped = changed.as_mut().poll(context).is_ready();
            match second.poll_tick(context) {
                Poll::Ready(due) => {
                    let lag = due.elapsed().as_micros();
                    counts[worker].lag_micros.set(lag.try_into().unwrap_or(u64::MAX));
                    if worker == 0 {
                        caught("an observer panicked", || observer.every_second());
                    }
                    Poll::Ready(stopped)
                }
                Poll::Pending if stopped => Poll::Ready(stopped),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
        if stopped {
            changed.set(handle.changed());
            if handle.is_stopping() {
                second = tokio::time::interval(STOPPING_TICK);
                second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            }
        }
        commands.wake();
    }
}
