//! The server whose worker runs on this thread.

use std::cell::RefCell;

use super::ServerHandle;
use super::counts::Limit;
use super::work::Work;

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

struct Current {
    server: ServerHandle,
    worker: usize,
    work: Work,
}

/// Makes this thread the worker with this number.
pub(super) fn enter(server: ServerHandle, worker: usize, work: Work) {
    CURRENT.set(Some(Current { server, worker, work }));
}

/// The server, if a worker runs on this thread.
pub(crate) fn server() -> Option<ServerHandle> {
    CURRENT.with_borrow(|current| current.as_ref().map(|current| current.server.clone()))
}

/// The handlers and tasks of this thread's worker.
pub(crate) fn work() -> Option<Work> {
    CURRENT.with_borrow(|current| current.as_ref().map(|current| current.work.clone()))
}

/// Counts that a limit has struck, if a worker runs on this thread.
#[cold]
pub(crate) fn strike(limit: Limit) {
    CURRENT.with_borrow(|current| {
        if let Some(current) = current {
            current.server.counts()[current.worker].strike(limit);
        }
    });
}
