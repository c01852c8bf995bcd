//! The clock that wakes a worker.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::commands::CommandQueue;
use crate::handle::ServerHandle;
use crate::observer::Observer;
use crate::panics::caught;

/// The interval at which a stopping worker checks its deadline, and for clients that have received their last response.
const STOPPING_TICK: Duration = Duration::from_millis(50);

/// Wakes the worker at each second for its deadlines, when the server stops, and then at each [`STOPPING_TICK`]. At each second it
/// records the delay of the second, which is the time that the worker was kept from its loop, and the first worker calls the
/// observer.
pub(super) async fn wake_worker(
    commands: Rc<CommandQueue>,
    handle: ServerHandle,
    observer: Arc<dyn Observer>,
    worker: usize,
) {
    let counts = Arc::clone(handle.counts());
    let mut second = ticks(Duration::from_secs(1));
    let mut stop_tick = None;
    let mut changed = pin!(handle.changed());
    loop {
        // The server may have stopped before the first poll.
        if handle.is_stopping() {
            stop_tick.get_or_insert_with(|| ticks(STOPPING_TICK));
        }
        let has_changed = poll_fn(|context| {
            let has_changed = changed.as_mut().poll(context).is_ready();
            let second = second.poll_tick(context);
            if let Poll::Ready(due) = second {
                let lag = due.elapsed().as_micros();
                counts[worker].lag_micros.set(lag.try_into().unwrap_or(u64::MAX));
                if worker == 0 {
                    caught("an observer panicked", || observer.every_second());
                }
            }
            let stop_tick = stop_tick.as_mut().map(|tick: &mut Interval| tick.poll_tick(context));
            if has_changed || second.is_ready() || stop_tick.is_some_and(|tick| tick.is_ready()) {
                Poll::Ready(has_changed)
            } else {
                Poll::Pending
            }
        })
        .await;
        if has_changed {
            changed.set(handle.changed());
        }
        commands.wake();
    }
}

/// Ticks that a delay of the worker skips.
fn ticks(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
    use std::task::{Wake, Waker};

    use super::*;
    use crate::config::Config;
    use crate::server::new_handle;

    #[derive(Debug, Default)]
    struct Count(AtomicU32);

    impl Count {
        fn take(&self) -> u32 {
            self.0.swap(0, SeqCst)
        }
    }

    impl Observer for Count {
        fn every_second(&self) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_wakes_the_worker_more_often_and_calls_the_observer_once_a_second() {
        let handle = new_handle(1, &Config::default(), &[], None);
        let (wakes, seconds) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let commands = Rc::new(CommandQueue::default());
        commands.register(&Waker::from(Arc::clone(&wakes)));
        let mut ticker = pin!(wake_worker(commands, handle.clone(), Arc::clone(&seconds) as _, 0));
        let ten_seconds = Duration::from_millis(9_990);
        assert!(tokio::time::timeout(ten_seconds, &mut ticker).await.is_err());
        assert_eq!((wakes.take(), seconds.take()), (10, 10));
        handle.stop();
        assert!(tokio::time::timeout(ten_seconds, &mut ticker).await.is_err());
        assert_eq!(seconds.take(), 10);
        assert!((200..=211).contains(&wakes.take()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_before_the_first_poll_wakes_the_worker_more_often_too() {
        let handle = new_handle(1, &Config::default(), &[], None);
        let wakes = Arc::new(Count::default());
        let commands = Rc::new(CommandQueue::default());
        commands.register(&Waker::from(Arc::clone(&wakes)));
        let ticker = wake_worker(commands, handle.clone(), Arc::new(Count::default()), 0);
        handle.stop();
        let ten_seconds = Duration::from_millis(9_990);
        assert!(tokio::time::timeout(ten_seconds, ticker).await.is_err());
        assert!((200..=211).contains(&wakes.take()));
    }
}
