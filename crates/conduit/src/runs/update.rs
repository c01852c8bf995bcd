//! The updates of a run, which are the data of its events.

use serde::{Deserialize, Serialize};

/// An update of a run: the data of its events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum RunUpdate<P> {
    /// The run has reported its progress.
    Running {
        /// The progress.
        progress: P,
    },
    /// The run has ended without an error.
    Succeeded,
    /// The run has returned an error or has panicked. The log has the cause.
    Failed,
    /// The run was cancelled by its client.
    Cancelled,
    /// The server has stopped before the end of the run.
    CutOff,
}

impl<P> RunUpdate<P> {
    /// Returns whether it is the last update.
    pub fn is_last(&self) -> bool {
        !matches!(self, RunUpdate::Running { .. })
    }
}
