//! The tokio runtime of a worker or of a thread of a service.

use std::future::Future;
use std::io;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

use crate::cohort::Cohort;
use crate::handle::{ServerHandle, StopOnDrop};

/// The runtime of this thread.
pub(crate) struct ThreadRuntime(LocalRuntime);

impl ThreadRuntime {
    /// Creates the runtime.
    ///
    /// # Errors
    ///
    /// Returns an error of the system.
    pub(crate) fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build_local(LocalOptions::default());
        runtime.map(ThreadRuntime)
    }

    /// Drives the runtime until the future is ready, and then until all threads of the cohort have finished. `end` receives the
    /// output of the future and the number of tasks that are dropped with the runtime.
    pub(crate) fn run<S, T>(
        self,
        cohort: Cohort,
        handle: ServerHandle,
        serving: impl Future<Output = S>,
        end: impl FnOnce(S, usize) -> T,
    ) -> T {
        let ThreadRuntime(runtime) = self;
        let served = runtime.block_on(async {
            let stop = StopOnDrop(handle);
            let served = serving.await;
            // The other threads stop, too, before this one waits for them.
            drop(stop);
            cohort.leave().await;
            served
        });
        let ended = end(served, runtime.metrics().num_alive_tasks());
        // The shutdown timeout does not cover calls on blocking threads.
        runtime.shutdown_background();
        ended
    }
}
