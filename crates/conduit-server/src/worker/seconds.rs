//! The clock that wakes a worker.

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use crate::commands::CommandQueue;
use crate::handle::ServerHandle;
use crate::observer::Observer;
use crate::panics::caught;

/// The interval at which a stopping worker checks its deadline, and for clients that have received their last response.
const STOPPING_TICK: Duration = Duration::from_millis(50);

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
