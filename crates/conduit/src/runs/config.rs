//! The bounds of the runs of an application.

use std::time::Duration;

/// The bounds of [`Runs`](super::Runs).
#[derive(Clone, Debug)]
pub struct RunsConfig {
    /// The maximum number of runs in progress. Default: 100.
    pub runs: usize,
    /// The maximum number of runs in progress of one owner. Default: 10.
    pub runs_of_owner: usize,
    /// The time for which a client can follow a finished run. Default: 5 minutes.
    pub retention: Duration,
    /// The maximum number of finished runs that are kept; the oldest are removed first. Default: 1,000.
    pub finished_runs: usize,
    /// The maximum number of updates of a run that are kept for clients that reconnect. Default: 100.
    pub updates: usize,
}

impl Default for RunsConfig {
    fn default() -> Self {
        RunsConfig {
            runs: 100,
            runs_of_owner: 10,
            retention: Duration::from_secs(300),
            finished_runs: 1000,
            updates: 100,
        }
    }
}
