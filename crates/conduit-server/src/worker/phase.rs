//! The phase of a worker.
//!
//! ```text
//!   Serving ──stop──> Stopping ──shutdown timeout, or close──> Over
//! ```
//!
//! The worker ends when it has no connection and, unless its phase is `Over`, no handler and no task in progress.

use tokio::time::Instant;

use super::drain::Drain;
use crate::cut_off::CutOff;
use crate::exchange_id::ConnectionId;

/// The phase of a worker.
pub(super) enum Phase {
    Serving,
    Stopping(Stopping),
    /// The shutdown timeout has passed, or the server was closed, with this work in progress.
    Over(CutOff),
}

/// A stop within the shutdown timeout.
pub(super) struct Stopping {
    /// The time at which the shutdown closes the remaining connections; `None` if it is too far away to be represented.
    pub(super) deadline: Option<Instant>,
    /// The long-lived connections that have not closed.
    pub(super) drain: Option<Drain>,
}

impl Phase {
    /// The work that the end of the shutdown timeout has cut off.
    pub(super) fn cut_off(&self) -> CutOff {
        match self {
            Phase::Serving | Phase::Stopping(_) => CutOff::default(),
            Phase::Over(cut_off) => *cut_off,
        }
    }

    /// The long-lived connections that the drain closes later.
    pub(super) fn waiting(&self) -> &[ConnectionId] {
        match self {
            Phase::Stopping(stopping) => stopping.drain.as_ref().map_or(&[], Drain::waiting),
            Phase::Serving | Phase::Over(_) => &[],
        }
    }
}
