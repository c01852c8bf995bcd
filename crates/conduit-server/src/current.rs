//! The server whose worker runs on this thread.

#[cfg(feature = "tower")]
use std::cell::OnceCell;
use std::rc::Rc;

#[cfg(feature = "tower")]
use tokio::sync::mpsc;

use crate::ServerHandle;
#[cfg(feature = "tower")]
use crate::job::Job;
use crate::limit::Limit;
use crate::memory::Budgets;
use crate::work::Work;
use conduit_core::internal::current::{self, CurrentWorker, FileCacheSettings};

/// The work of a worker.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Serves {
    Connections,
    /// Requests that another server has read.
    #[cfg(feature = "tower")]
    Requests,
}

struct Current {
    server: ServerHandle,
    worker: usize,
    work: Work,
    files: FileCacheSettings,
    #[cfg(feature = "websocket")]
    serves: Serves,
    /// Sends requests of the process to the application of the worker; unset if it takes none.
    #[cfg(feature = "tower")]
    jobs: OnceCell<mpsc::WeakUnboundedSender<Job>>,
}

impl CurrentWorker for Current {
    fn budgets(&self) -> &Budgets {
        self.server.budgets()
    }

    fn record_limit_hit(&self, limit: Limit) {
        self.server.counts()[self.worker].record_limit_hit(limit);
    }

    fn file_cache(&self) -> FileCacheSettings {
        self.files
    }
}

/// Makes this thread the worker with this number.
pub(super) fn enter(server: ServerHandle, worker: usize, work: Work, files: FileCacheSettings, serves: Serves) {
    #[cfg(not(feature = "websocket"))]
    let _ = serves;
    current::enter(Rc::new(Current {
        server,
        worker,
        work,
        files,
        #[cfg(feature = "websocket")]
        serves,
        #[cfg(feature = "tower")]
        jobs: OnceCell::new(),
    }));
}

/// The server, if a worker runs on this thread.
pub fn server() -> Option<ServerHandle> {
    current::worker::<Current>().map(|current| current.server.clone())
}

/// The handlers and tasks of this thread's worker.
pub fn work() -> Option<Work> {
    current::worker::<Current>().map(|current| current.work.clone())
}

/// Returns whether the worker of this thread serves connections.
#[cfg(feature = "websocket")]
pub(super) fn serves_connections() -> bool {
    current::worker::<Current>().is_some_and(|current| current.serves == Serves::Connections)
}

/// Makes this the sender of the process's own requests to the worker of this thread.
#[cfg(feature = "tower")]
pub(super) fn set_jobs(jobs: mpsc::WeakUnboundedSender<Job>) {
    if let Some(current) = current::worker::<Current>() {
        // A worker has one sender as long as it runs.
        let _ = current.jobs.set(jobs);
    }
}

/// The sender of the process's own requests to the worker of this thread; `None` if it takes none.
#[cfg(feature = "tower")]
pub(super) fn jobs() -> Option<mpsc::UnboundedSender<Job>> {
    current::worker::<Current>()?.jobs.get()?.upgrade()
}
