//! The beginnings and ends of handlers, counted for the test.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use tokio::sync::Semaphore;

/// Counters that handlers and the test share.
#[derive(Clone)]
pub(crate) struct HandlerCounts {
    pub(crate) started: Arc<AtomicU32>,
    pub(crate) finished: Arc<AtomicU32>,
    pub(crate) aborted: Arc<AtomicU32>,
    /// The event that handlers await: one permit for each.
    pub(crate) go: Arc<Semaphore>,
}

impl Default for HandlerCounts {
    fn default() -> Self {
        HandlerCounts {
            started: Arc::default(),
            finished: Arc::default(),
            aborted: Arc::default(),
            go: Arc::new(Semaphore::new(0)),
        }
    }
}
