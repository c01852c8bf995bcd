//! The wall-clock time of a worker: the system's, unless a test has moved the clock of the worker's runtime.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::deadlines::Second;

/// A worker looks at its clock once a second. It has been stalled if this has passed since its last look.
const STALL: Duration = Duration::from_secs(2);

/// The seconds that deadlines are counted in. They stop while the worker is stalled (a handler that blocks, SIGSTOP, a
/// machine without a free core): that time is not the client's, so each deadline is extended by it.
pub(super) struct WorkerClock {
    /// The start of the worker, later by all stalls since.
    started: Instant,
    looked: Instant,
    /// The time of the last look on a clock that no test moves.
    looked_real: std::time::Instant,
}

impl WorkerClock {
    pub(super) fn new(now: Instant) -> Self {
        WorkerClock {
            started: now,
            looked: now,
            looked_real: std::time::Instant::now(),
        }
    }

    /// The current second, counted from 1.
    pub(super) fn update(&mut self, now: Instant, now_real: std::time::Instant) -> Second {
        // A test moves the first clock and stops it, but does not stall the worker.
        let passed = (now - self.looked).min(now_real - self.looked_real);
        if passed > STALL {
            self.started += passed - Duration::from_secs(1);
        }
        (self.looked, self.looked_real) = (now, now_real);
        (now - self.started).as_secs() as Second + 1
    }
}

/// The time since 1970.
pub fn since_epoch() -> Duration {
    (SystemTime::now() + ahead())
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// By how much the clock of this thread's runtime is ahead of the system's: only a test moves it.
pub(super) fn ahead() -> Duration {
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
        clock.looked_real = start_real;
        let mut look = |after: u64| clock.update(start + seconds(after), start_real + seconds(after));
        assert_eq!(
            [look(1), look(2), look(4)],
            [2, 3, 5],
            "a look that is a second late is no stall"
        );
        assert_eq!(look(104), 6, "100 s of stall are 1 s");
        assert_eq!(look(105), 7);
    }

    #[test]
    fn a_clock_that_a_test_moves_or_stops_is_no_stall() {
        let (start, start_real) = (Instant::now(), std::time::Instant::now());
        let mut clock = WorkerClock::new(start);
        clock.looked_real = start_real;
        assert_eq!(clock.update(start + seconds(100), start_real), 101);
        assert_eq!(clock.update(start + seconds(101), start_real + seconds(100)), 102);
    }
}
