//! The worker of this thread, for bodies and their coding.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use crate::limit::Limit;
use crate::memory::Budgets;

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn CurrentWorker>>> = const { RefCell::new(None) };
}

/// The worker of a thread.
pub trait CurrentWorker: Any {
    /// The memory budgets of its server.
    fn budgets(&self) -> &Budgets;

    /// Counts that a limit has been hit.
    fn record_limit_hit(&self, limit: Limit);

    /// The bounds of its cache of open files.
    fn file_cache(&self) -> FileCacheSettings;
}

/// The bounds of a worker's cache of open files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileCacheSettings {
    /// The maximum number of open files; 0 disables the cache.
    pub files: usize,
    /// The time for which a file is served without checking its path.
    pub check_interval: Duration,
}

impl Default for FileCacheSettings {
    fn default() -> Self {
        FileCacheSettings {
            files: 256,
            check_interval: Duration::from_secs(1),
        }
    }
}

/// Makes this the worker of this thread.
pub fn enter(worker: Rc<dyn CurrentWorker>) {
    // The earlier one is dropped after the borrow.
    drop(CURRENT.replace(Some(worker)));
}

/// The worker of this thread, if it has the type `W`.
pub fn worker<W: CurrentWorker>() -> Option<Rc<W>> {
    let worker: Rc<dyn Any> = CURRENT.with_borrow(Clone::clone)?;
    worker.downcast().ok()
}

/// Counts that a limit has been hit, if a worker runs on this thread.
#[cold]
pub fn record_limit_hit(limit: Limit) {
    CURRENT.with_borrow(|current| {
        if let Some(worker) = current {
            worker.record_limit_hit(limit);
        }
    });
}

/// The memory budgets of the server, if a worker runs on this thread.
pub fn budgets() -> Option<Budgets> {
    CURRENT.with_borrow(|current| current.as_ref().map(|worker| worker.budgets().clone()))
}

/// The bounds of the worker's cache of open files; the defaults if no worker runs on this thread.
pub fn file_cache() -> FileCacheSettings {
    CURRENT.with_borrow(|current| current.as_ref().map(|worker| worker.file_cache()).unwrap_or_default())
}
