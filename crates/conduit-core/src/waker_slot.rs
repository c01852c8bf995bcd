//! The waker of one task that waits.

use std::task::Waker;

use crate::panics::caught;

/// Wakes a task. The waker may be the application's, whose panic must not end its caller, which serves other tasks too.
pub fn wake(waker: Waker) {
    caught("a waker panicked", || waker.wake());
}

/// Stores the waker of the task that waits. A waker of the same task stays: its clone would cost an atomic operation.
pub fn register(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(known) => known.clone_from(waker),
        None => *slot = Some(waker.clone()),
    }
}
