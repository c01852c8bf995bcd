//! The work that the end of a shutdown interrupted.

use std::time::Duration;

use crate::panics::emit;
use crate::work::WorkCounts;

/// The numbers of one worker, or of all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CutOff {
    pub(super) connections: usize,
    pub(super) work: WorkCounts,
    /// Tasks of tokio that nothing waited for: those of `spawn_local`, and of libraries.
    pub(super) uncounted_tasks: usize,
}

impl CutOff {
    pub(super) fn plus(self, other: Self) -> Self {
        CutOff {
            connections: self.connections + other.connections,
            work: WorkCounts {
                handlers: self.work.handlers + other.work.handlers,
                tasks: self.work.tasks + other.work.tasks,
            },
            uncounted_tasks: self.uncounted_tasks + other.uncounted_tasks,
        }
    }

    /// Logs the end of a server that ran for this long.
    pub(super) fn log(self, uptime: Duration) {
        let CutOff {
            connections,
            work,
            uncounted_tasks,
        } = self;
        emit(&|| {
            tracing::info!(
                cut_connections = connections,
                cut_handlers = work.handlers,
                cut_tasks = work.tasks,
                uncounted_tasks,
                uptime_seconds = uptime.as_secs(),
                "stopped"
            )
        });
    }
}
