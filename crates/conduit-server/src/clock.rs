//! The clocks of a worker: the seconds of deadlines, and the wall-clock time, which is the system's unless a test has moved
//! the clock of the worker's runtime or set the time.

#[cfg(feature = "testing")]
use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::deadlines::Second;

/// A worker reads its clock once a second. It was stalled if this time has passed since the last read.
const STALL: Duration = Duration::from_secs(2);

/// The seconds that deadlines are counted in. They stop while the worker is stalled (by a handler that blocks, by SIGSTOP, on
/// a machine without a free core): a stall is not the fault of clients, so it extends each deadline.
pub(super) struct WorkerClock {
    /// The start of the worker, plus all stalls since.
    started: Instant,
    read: Instant,
    /// The time of the last read on a clock that no test moves.
    read_real: std::time::Instant,
}

impl WorkerClock {
    pub(super) fn new(now: Instant) -> Self {
        WorkerClock {
            started: now,
            read: now,
            read_real: real_now(),
        }
    }

    /// The current second, counted from 1.
    pub(super) fn update(&mut self, now: Instant, now_real: std::time::Instant) -> Second {
        // A test moves the first clock and stops it, but does not stall the worker.
        let passed = (now - self.read).min(now_real - self.read_real);
        if passed > STALL {
            self.started += passed - Duration::from_secs(1);
        }
        (self.read, self.read_real) = (now, now_real);
        (now - self.started).as_secs() as Second + 1
    }
}

#[cfg(feature = "testing")]
thread_local! {
    /// The wall-clock time that a test has set on this thread, and the time of the runtime's clock when it did.
    static SET: Cell<Option<(Duration, Instant)>> = const { Cell::new(None) };

    /// The time of the stalls that a test has simulated on this thread.
    static STALLED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The time on a clock that no test moves, after the stalls that a test has simulated on this thread.
pub(super) fn real_now() -> std::time::Instant {
    #[cfg(feature = "testing")]
    return std::time::Instant::now() + STALLED.get();
    #[cfg(not(feature = "testing"))]
    std::time::Instant::now()
}

/// Simulates a part of a stall of this thread's worker: the time that passes on the system's clock. The caller advances the clock of
/// the runtime by the same time.
#[cfg(feature = "testing")]
pub fn stall(time: Duration) {
    STALLED.set(STALLED.get() + time);
}

/// The time since 1970.
pub fn since_epoch() -> Duration {
    #[cfg(feature = "testing")]
    if let Some((time, at)) = SET.get() {
        return time + Instant::now().saturating_duration_since(at);
    }
    (SystemTime::now() + ahead())
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Sets the wall-clock time of this thread, as the time since 1970. From then on it follows the clock of the runtime alone: while
/// that is paused, a test determines it. The worker's `date` follows at the end of its second.
#[cfg(feature = "testing")]
pub fn set(time: Duration) {
    SET.set(Some((time, Instant::now())));
}

/// The time by which the clock of this thread's runtime is ahead of the system's; only a test moves it.
fn ahead() -> Duration {
    Instant::now()
        .into_std()
        .saturating_duration_since(std::time::Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn a_stall_stops_the_seconds_of_deadlines() {
        let (start, start_real) = (Instant::now(), std::time::Instant::now());
        let mut clock = WorkerClock::new(start);
        clock.read_real = start_real;
        let mut second = |after: u64| clock.update(start + seconds(after), start_real + seconds(after));
        assert_eq!(
            [second(1), second(2), second(4)],
            [2, 3, 5],
            "an update that is a second late is no stall"
        );
        assert_eq!(second(104), 6, "100 s of stall are 1 s");
        assert_eq!(second(105), 7);
    }

    #[test]
    fn a_clock_that_a_test_moves_or_stops_is_no_stall() {
        let (start, start_real) = (Instant::now(), std::time::Instant::now());
        let mut clock = WorkerClock::new(start);
        clock.read_real = start_real;
        assert_eq!(clock.update(start + seconds(100), start_real), 101);
        assert_eq!(clock.update(start + seconds(101), start_real + seconds(100)), 102);
    }
}
