//! The time of the day as a worker tells it: the system's, unless a test has moved the clock of the worker's runtime.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// How long it is since 1970.
pub(crate) fn since_epoch() -> Duration {
    (SystemTime::now() + ahead())
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// By how much the clock of this thread's runtime is ahead of the system's: only a test moves it.
pub(super) fn ahead() -> Duration {
    Instant::now()
        .into_std()
        .saturating_duration_since(std::time::Instant::now())
}
