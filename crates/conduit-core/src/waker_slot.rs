//! The waker of one task that waits.

use std::task::Waker;

/// Stores the waker of the task that waits. A waker of the same task stays: its clone would cost an atomic operation.
pub fn register(slot: &mut Option<Waker>, waker: &Waker) {
    match slot {
        Some(known) => known.clone_from(waker),
        None => *slot = Some(waker.clone()),
    }
}
