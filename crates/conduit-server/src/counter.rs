//! A counter of one worker.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A counter that one thread adds to and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds; only the one writing thread may call it.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(count), Relaxed);
    }
    /// Replaces the value; only the one writing thread may call it.
    pub fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }
    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
