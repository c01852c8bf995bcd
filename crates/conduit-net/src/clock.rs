//! Deadlines of waits.

use core::time::Duration;

/// A time of the monotonic clock. Reading the clock is not a system call (vdso(7)).
#[derive(Clone, Copy)]
pub(crate) struct Deadline(Duration);

impl Deadline {
    /// Returns `None` if the time is too far away to be represented, which means no limit.
    pub(crate) fn after(limit: Duration) -> Option<Deadline> {
        now().checked_add(limit).map(Deadline)
    }

    pub(crate) fn left(self) -> Duration {
        self.0.saturating_sub(now())
    }
}

pub(crate) fn now() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the timespec is live and writable. The call cannot fail for this clock; if it did, zero is a valid time.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
