//! The runs in progress, and the finished runs that are kept.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::config::RunsConfig;
use crate::hub::Position;
use crate::problem::Problem;

pub(super) struct Registry {
    config: RunsConfig,
    random: [RandomState; 2],
    started: AtomicU64,
    state: Mutex<RegistryState>,
}

#[derive(Default)]
struct RegistryState {
    records: HashMap<Arc<str>, Arc<RunRecord>>,
    in_progress: usize,
    of_owners: HashMap<Arc<str>, usize>,
    /// The finished runs in the order of their end, each with the end of its retention; `None` if the clock does not reach it.
    ended: VecDeque<(Option<Instant>, Arc<str>)>,
}

/// A run.
pub(super) struct RunRecord {
    id: Arc<str>,
    owner: Arc<str>,
    cancelled: Notify,
    last: OnceLock<LastUpdate>,
}

/// The last update of a run, which the record keeps even if the hub has removed it.
pub(super) struct LastUpdate {
    /// The position; `None` if the hub has rejected the update, or if an engine publishes it.
    pub(super) position: Option<Position>,
    /// The bytes of the event.
    pub(super) event: Bytes,
}

impl RunRecord {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The last update, after the end.
    pub(super) fn last(&self) -> Option<&LastUpdate> {
        self.last.get()
    }

    pub(super) fn set_last(&self, last: LastUpdate) {
        // Only the end of the run sets it, once.
        let _ = self.last.set(last);
    }

    pub(super) fn cancel(&self) {
        // The permit is kept until the task waits for it.
        self.cancelled.notify_one();
    }

    pub(super) async fn cancelled(&self) {
        self.cancelled.notified().await;
    }
}

impl Registry {
    pub(super) fn new(config: RunsConfig) -> Self {
        Registry {
            config,
            random: [RandomState::new(), RandomState::new()],
            started: AtomicU64::new(0),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, RegistryState> {
        // No code of the application runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn in_progress(&self) -> usize {
        self.lock().in_progress
    }

    /// Adds a run in progress.
    pub(super) fn start(&self, owner: &str) -> Result<Arc<RunRecord>, Problem> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let [high, low] = self.random.each_ref().map(|random| random.hash_one(number));
        let mut state = self.lock();
        self.forget(&mut state);
        if state.in_progress >= self.config.runs {
            return Err(full(StatusCode::SERVICE_UNAVAILABLE)
                .with_detail("the server has reached its limit of runs in progress; try again later"));
        }
        if state.of_owners.get(owner).copied().unwrap_or(0) >= self.config.runs_of_owner {
            return Err(full(StatusCode::TOO_MANY_REQUESTS)
                .with_detail("you have reached the limit of runs in progress; wait for one of them, or cancel it"));
        }
        let record = Arc::new(RunRecord {
            id: format!("{high:016x}{low:016x}").into(),
            owner: owner.into(),
            cancelled: Notify::new(),
            last: OnceLock::new(),
        });
        state.in_progress += 1;
        *state.of_owners.entry(Arc::clone(&record.owner)).or_default() += 1;
        state.records.insert(Arc::clone(&record.id), Arc::clone(&record));
        Ok(record)
    }

    pub(super) fn find(&self, owner: &str, id: &str) -> Option<Arc<RunRecord>> {
        let mut state = self.lock();
        self.forget(&mut state);
        state.records.get(id).filter(|record| *record.owner == *owner).cloned()
    }

    /// Records the end of a run.
    pub(super) fn end(&self, record: &RunRecord) {
        let mut state = self.lock();
        state.in_progress -= 1;
        if let Some(count) = state.of_owners.get_mut(&record.owner) {
            *count -= 1;
            if *count == 0 {
                state.of_owners.remove(&record.owner);
            }
        }
        let until = Instant::now().checked_add(self.config.retention);
        state.ended.push_back((until, Arc::clone(&record.id)));
        self.forget(&mut state);
    }

    /// Removes the finished runs after their retention, and the oldest of too many.
    fn forget(&self, state: &mut RegistryState) {
        let now = Instant::now();
        while let Some((until, id)) = state.ended.front()
            && (until.is_some_and(|until| until <= now) || state.ended.len() > self.config.finished_runs)
        {
            state.records.remove(id);
            state.ended.pop_front();
        }
    }
}

/// The problem of a limit: the end of a run is unknown, so that a client tries again every second.
fn full(status: StatusCode) -> Problem {
    Problem::new(status).with_header(RETRY_AFTER, HeaderValue::from_static("1"))
}

/// The problem for a run that does not exist, and for one of another owner.
pub(super) fn not_found() -> Problem {
    Problem::not_found("this run does not exist, or has ended too long ago")
}
