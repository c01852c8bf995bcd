//! The server whose worker runs on this thread.

use std::rc::Rc;

use crate::ServerHandle;
use crate::limit::Limit;
use crate::memory::Budgets;
use crate::work::Work;
use conduit_core::internal::current::{self, CurrentWorker, FileCacheSettings};

struct Current {
    server: ServerHandle,
    worker: usize,
    work: Work,
    files: FileCacheSettings,
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
pub(super) fn enter(server: ServerHandle, worker: usize, work: Work, files: FileCacheSettings) {
    current::enter(Rc::new(Current {
        server,
        worker,
        work,
        files,
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
