//! Work that outlives the request that starts it: the response is a 202 with a `location`, at which the client follows the
//! progress as an event stream, reconnects without a gap, or cancels. Requires the feature `hub`.
//!
//! # Example
//!
//! Exports, each of which belongs to the user who started it:
//!
//! ```
//! use conduit::events::LastEventId;
//! use conduit::prelude::*;
//! use conduit::runs::{Accepted, RunEvents, Runs};
//! use conduit::testing::TestClient;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Progress {
//!     percent: u8,
//! }
//!
//! // The authenticated user, in a real service.
//! const USER: &str = "ada";
//!
//! #[post("/exports")]
//! async fn start(runs: State<Runs<Progress>>) -> Result<Accepted, Problem> {
//!     let run = runs.start(USER, "export", async |run| {
//!         for percent in [50, 100] {
//!             run.report(&Progress { percent }).await?;
//!         }
//!         Ok::<_, conduit::BoxError>(())
//!     });
//!     Ok(Accepted::at(format!("/exports/{}", run.await?.id())))
//! }
//!
//! #[get("/exports/{id}")]
//! async fn follow(id: Path<String>, runs: State<Runs<Progress>>, last: LastEventId) -> Result<RunEvents<Progress>, Problem> {
//!     runs.find(USER, &id)?.events(last).await
//! }
//!
//! #[delete("/exports/{id}")]
//! async fn cancel(id: Path<String>, runs: State<Runs<Progress>>) -> Result<NoContent, Problem> {
//!     runs.find(USER, &id)?.cancel().await?;
//!     Ok(NoContent)
//! }
//!
//! let client = TestClient::new(App::new(Runs::new()).routes(routes![start, follow, cancel]));
//! let started = client.post("/exports").send();
//! started.assert_status(202);
//! let location = started.header("location").expect("a location").to_owned();
//! let mut progress = client.get(&location).stream();
//! let mut next = || progress.event().map(|event| event.data);
//! assert_eq!(next().as_deref(), Some(r#"{"state":"running","progress":{"percent":50}}"#));
//! assert_eq!(next().as_deref(), Some(r#"{"state":"running","progress":{"percent":100}}"#));
//! assert_eq!(next().as_deref(), Some(r#"{"state":"succeeded"}"#));
//! assert_eq!(next(), None);
//! ```
//!
//! # Guarantees
//!
//! - **Owner**: a run can be found only by the owner that started it; for others it does not exist (404).
//! - **Bounds**: [`RunsConfig`] limits the runs in progress, in total and per owner, and the time for which a finished run
//!   is kept.
//! - **Shutdown**: a shutdown waits for runs as it does for [`Tasks`], and logs the name and age of each run that it aborts. A run
//!   ends with its process: keep work that must survive it in a database.
//! - **Processes**: with [an engine](Runs::with_engine), the clients of a run may use any process.
//! - **End**: the stream ends after the last update. A client that reconnects after that receives a 204, so that `EventSource`
//!   stops reconnecting.

mod config;
mod events;
mod registry;
mod shared;
mod update;

use std::fmt;
use std::future::{Future, poll_fn};
use std::marker::PhantomData;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use conduit_core::internal::response::leading_to;
use http::StatusCode;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::config::RunsConfig;
#[cfg(feature = "mcp")]
pub(crate) use self::events::FollowsRun;
pub use self::events::RunEvents;
use self::events::RunFamily;
use self::registry::{LastUpdate, Registry, RunRecord, not_found};
use self::shared::CancelFamily;
pub use self::update::RunUpdate;
use crate::body::Body;
use crate::events::{Event, EventsOutcome, LastEventId};
use crate::extract::Tasks;
use crate::hub::{Hub, HubConfig, HubEngine, HubError, StartFrom, Topic};
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::response::{IntoResponse, Response};

/// The runs of an application, with progress of type `P`. Clones share the runs: store one in the application's state.
pub struct Runs<P> {
    registry: Arc<Registry>,
    hub: Hub,
    _progress: PhantomData<fn() -> P>,
}

impl<P: Serialize + DeserializeOwned + 'static> Runs<P> {
    /// Creates runs with the default bounds.
    pub fn new() -> Self {
        Runs::with(RunsConfig::default())
    }

    /// Creates runs with these bounds.
    pub fn with(config: RunsConfig) -> Self {
        let hub = Hub::with(hub_config(&config, config.updates));
        Runs::on(config, hub)
    }

    /// Creates runs that clients can follow and cancel through all processes with this engine. A run belongs to the process that
    /// started it, and the bounds of runs in progress apply per process. When that process ends, the last update of the run is
    /// [`RunUpdate::CutOff`]. At least one update of each run is kept.
    pub fn with_engine(config: RunsConfig, engine: impl HubEngine) -> Self {
        let hub = Hub::with_engine(hub_config(&config, config.updates.max(1)), engine);
        Runs::on(config, hub)
    }

    fn on(config: RunsConfig, hub: Hub) -> Self {
        Runs {
            registry: Arc::new(Registry::new(config)),
            hub,
            _progress: PhantomData,
        }
    }

    /// Starts work on this worker, which continues without its client. The log contains `name`. [`find`](Self::find) requires the
    /// same `owner`, such as the ID of the authenticated user. The work need not be `Send`.
    ///
    /// The work returns `()` or a `Result`, whose error is logged. Cancellation drops the work at its current `await`.
    ///
    /// # Errors
    ///
    /// Returns a 429 if the owner has too many runs in progress, and a 503 if there are too many in total, or if the engine is
    /// unreachable.
    ///
    /// # Panics
    ///
    /// Panics outside a `LocalRuntime` and a `LocalSet`; each worker of a server has one.
    pub async fn start<F, W>(&self, owner: &str, name: &'static str, work: F) -> Result<Run<P>, Problem>
    where
        F: FnOnce(RunReporter<P>) -> W,
        W: Future + 'static,
        W::Output: EventsOutcome,
    {
        let record = self.registry.start(owner)?;
        let run = self.run(owner, record.id(), Some(Arc::clone(&record)))?;
        let reporter = RunReporter {
            topic: run.topic.clone(),
            is_delivered: AtomicBool::new(true),
        };
        let end = RunEnd {
            registry: Arc::clone(&self.registry),
            record,
            topic: run.topic.clone(),
            is_shared: run.cancels.is_some(),
            last: None,
        };
        let work = work(reporter);
        let tasks = Tasks::of_this_worker();
        match run.cancels.clone() {
            None => drop(tasks.spawn(name, drive(work, name, end))),
            Some(cancels) => {
                // A client that knows the run finds it in all processes. The end of the run is the drop of `end`.
                let presence = run.topic.join(shared::IN_PROGRESS).await?;
                let control = shared::control(presence, cancels, Arc::clone(&end.record), name);
                drop(tasks.spawn(name, shared::drive_shared(drive(work, name, end), control)));
            }
        }
        Ok(run)
    }

    /// Returns the run with this ID if this owner started it.
    ///
    /// # Errors
    ///
    /// Returns a 404 for an unknown run, for a run of another owner, and for one that ended longer ago than
    /// [`RunsConfig::retention`]. With an engine, another process may have the run, and [`Run::events`] and [`Run::cancel`] return
    /// the 404 instead.
    pub fn find(&self, owner: &str, id: &str) -> Result<Run<P>, Problem> {
        let record = self.registry.find(owner, id);
        let is_identity = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if record.is_none() && !(self.hub.has_engine() && is_identity) {
            return Err(not_found());
        }
        Ok(self.run(owner, id, record)?)
    }

    /// The number of runs in progress.
    pub fn in_progress(&self) -> usize {
        self.registry.in_progress()
    }

    fn run(&self, owner: &str, id: &str, record: Option<Arc<RunRecord>>) -> Result<Run<P>, HubError> {
        let (topic, cancels) = match self.hub.has_engine() {
            true => {
                let key = shared::key(owner, id);
                (self.hub.trusted(&key)?, Some(self.hub.trusted(&key)?))
            }
            // The registry checks the owner.
            false => (self.hub.trusted(id)?, None),
        };
        Ok(Run {
            id: id.into(),
            record,
            topic,
            cancels,
        })
    }
}

fn hub_config(config: &RunsConfig, updates: usize) -> HubConfig {
    HubConfig {
        history_messages: updates,
        history_time: config.retention,
        ..HubConfig::default()
    }
}

/// Polls the work until its end, or until it is cancelled.
async fn drive<P, W>(work: W, name: &'static str, mut end: RunEnd<P>)
where
    P: Serialize + DeserializeOwned + 'static,
    W: Future,
    W::Output: EventsOutcome,
{
    let record = Arc::clone(&end.record);
    let mut cancelled = pin!(record.cancelled());
    let mut work = pin!(work);
    let outcome = poll_fn(|context| match cancelled.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(context).map(Some),
    });
    let last = match outcome.await.map(EventsOutcome::into_result) {
        None => RunUpdate::Cancelled,
        Some(Ok(())) => RunUpdate::Succeeded,
        Some(Err(error)) => {
            tracing::error!(run = name, id = record.id(), %error, "a run has failed");
            RunUpdate::Failed
        }
    };
    end.last = Some(last);
}

/// Publishes the last update when the task of a run ends: by its return, a panic or a drop.
struct RunEnd<P: Serialize + DeserializeOwned + 'static> {
    registry: Arc<Registry>,
    record: Arc<RunRecord>,
    topic: Topic<RunFamily<P>>,
    is_shared: bool,
    last: Option<RunUpdate<P>>,
}

impl<P: Serialize + DeserializeOwned + 'static> Drop for RunEnd<P> {
    fn drop(&mut self) {
        let last = self.last.take().unwrap_or(match std::thread::panicking() {
            true => RunUpdate::Failed,
            false => RunUpdate::CutOff,
        });
        match self.is_shared {
            true => self.queue_last(&last),
            false => self.publish_last(&last),
        }
        self.registry.end(&self.record);
    }
}

impl<P: Serialize + DeserializeOwned + 'static> RunEnd<P> {
    fn publish_last(&self, last: &RunUpdate<P>) {
        // A stream that has missed the update reads it from the record, so the record has it before the topic.
        let published = self.topic.publish_value(last, |update| {
            self.record.set_last(LastUpdate {
                position: Some(update.position()),
                event: update.event(),
            });
        });
        if published.is_err() {
            self.set_last_without_position(last);
        }
    }

    /// Queues the last update for the engine, which delivers it to all processes.
    fn queue_last(&self, last: &RunUpdate<P>) {
        self.set_last_without_position(last);
        if let Err(error) = self.topic.queue(last).map(drop) {
            tracing::error!(id = self.record.id(), %error, "the last update of a run cannot be published");
        }
    }

    fn set_last_without_position(&self, last: &RunUpdate<P>) {
        self.record.set_last(LastUpdate {
            position: None,
            event: Event::new(last).encode().unwrap_or_default(),
        });
    }
}

impl<P: Serialize + DeserializeOwned + 'static> Default for Runs<P> {
    fn default() -> Self {
        Runs::new()
    }
}

impl<P> Clone for Runs<P> {
    fn clone(&self) -> Self {
        Runs {
            registry: Arc::clone(&self.registry),
            hub: self.hub.clone(),
            _progress: PhantomData,
        }
    }
}

impl<P> fmt::Debug for Runs<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runs")
            .field("in_progress", &self.registry.in_progress())
            .finish_non_exhaustive()
    }
}

/// A handle to a run, for its owner.
pub struct Run<P: Serialize + DeserializeOwned + 'static> {
    id: Box<str>,
    /// The record, if this process has started the run.
    record: Option<Arc<RunRecord>>,
    topic: Topic<RunFamily<P>>,
    /// The requests of other processes to cancel the run, with an engine.
    cancels: Option<Topic<CancelFamily>>,
}

impl<P: Serialize + DeserializeOwned + 'static> Run<P> {
    /// Returns the ID: 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns whether the run has ended; false for a run of another process.
    pub fn has_ended(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.last().is_some())
    }

    /// Cancels the run if it has not ended: drops its future at the current `await`. A request for a run of another process
    /// reaches that process through the engine.
    ///
    /// # Errors
    ///
    /// Never fails for a run of this process. For a run of another process, returns a 404 if no process has it, and a 503 if the
    /// engine cannot deliver the request.
    pub async fn cancel(&self) -> Result<(), Problem> {
        match (&self.record, &self.cancels) {
            (Some(record), _) => record.cancel(),
            (None, Some(cancels)) => shared::cancel(&self.topic, cancels).await?,
            (None, None) => {}
        }
        Ok(())
    }

    /// The updates as an event stream: all that are kept, or those after the last event of the client. It ends after the last
    /// update of the run, which is kept as long as the run, even if [`RunsConfig::updates`] is 0.
    ///
    /// # Errors
    ///
    /// Returns a 503 if there are too many subscriptions. With an engine, also returns a 404 for a run that no process has, and a
    /// 503 while the engine is unreachable.
    pub async fn events(&self, last: LastEventId) -> Result<RunEvents<P>, Problem> {
        let Some(record) = self.record.as_ref().filter(|_| self.cancels.is_none()) else {
            return shared::events(&self.topic, last).await;
        };
        let known = last.parse();
        let end = record.last().and_then(|last| last.position);
        if let (Some(known), Some(end)) = (known, end)
            && known >= end
        {
            return Ok(RunEvents::ended());
        }
        let from = known.map_or(StartFrom::History, StartFrom::After);
        let updates = self.topic.subscribe(from).await?;
        Ok(RunEvents::of(updates, Arc::clone(record)))
    }
}

impl<P: Serialize + DeserializeOwned + 'static> fmt::Debug for Run<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("id", &self.id())
            .field("has_ended", &self.has_ended())
            .finish()
    }
}

/// Reports the progress of a run to its clients.
pub struct RunReporter<P: Serialize + DeserializeOwned + 'static> {
    topic: Topic<RunFamily<P>>,
    /// Set if the hub has accepted the latest progress.
    is_delivered: AtomicBool,
}

impl<P: Serialize + DeserializeOwned + 'static> RunReporter<P> {
    /// Reports progress, whether or not a client follows the run.
    ///
    /// A full hub or an unavailable engine does not fail the run: this method logs a warning, the clients do not receive this
    /// progress, and the next report replaces it. An engine may first wait for its server, by default for 10 s.
    ///
    /// # Errors
    ///
    /// [`HubError::LongMessage`] for progress of more than 64 KiB as JSON, and [`HubError::NotJson`].
    pub async fn report(&self, progress: &P) -> Result<(), HubError> {
        let published = self.topic.publish_json(&RunUpdate::Running { progress }).await;
        let was_delivered = self.is_delivered.swap(published.is_ok(), Ordering::Relaxed);
        match published {
            Err(error @ (HubError::Unavailable | HubError::Full { .. })) => {
                if was_delivered {
                    tracing::warn!(run = self.topic.key(), %error, "the clients of a run do not receive its progress");
                }
                Ok(())
            }
            published => published.map(drop),
        }
    }
}

impl<P: Serialize + DeserializeOwned + 'static> fmt::Debug for RunReporter<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RunReporter").field(&self.topic.key()).finish()
    }
}

/// A 202 with the `location` at which the client follows the work that it started (RFC 9110, section 15.3.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    location: String,
}

impl Accepted {
    /// Creates the response with this URI reference, such as a path. Bytes that a URI cannot hold are percent-encoded.
    pub fn at(location: impl Into<String>) -> Self {
        Accepted {
            location: location.into(),
        }
    }
}

#[diagnostic::do_not_recommend]
impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        leading_to(Response::new(Body::empty()), StatusCode::ACCEPTED, &self.location)
    }

    fn describe(operation: &mut Operation) {
        operation.at_status(StatusCode::ACCEPTED, |operation| {
            operation
                .response_without_body()
                .response_description("The work has begun.")
                .response_header("location", "The URL of its progress.");
        });
    }
}
