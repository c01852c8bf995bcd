//! A timer of the kernel, which the code under test does not use.

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_gettime,
    timerfd_settime,
};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// A timer that runs once.
pub(crate) struct KernelTimer(OwnedFd);

impl KernelTimer {
    /// Starts a timer of this length, which is not zero.
    pub(crate) fn start(length: Duration) -> Self {
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC).unwrap();
        let once = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: length.try_into().unwrap(),
        };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &once).unwrap();
        KernelTimer(timer)
    }

    /// Returns whether the kernel reports no remaining time.
    pub(crate) fn has_expired(&self) -> bool {
        let left = timerfd_gettime(&self.0).unwrap().it_value;
        (left.tv_sec, left.tv_nsec) == (0, 0)
    }
}
