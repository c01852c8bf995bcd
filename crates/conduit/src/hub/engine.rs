//! The interface of engines, which carry the messages of a hub between processes.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::config::HubConfig;
use super::error::HubError;
use super::message::Position;
use super::shared::SharedTopics;

/// The result of a request to an engine.
pub type EngineFuture<T> = Pin<Box<dyn Future<Output = Result<T, HubError>> + Send>>;

/// Carries the messages and the members of a hub's topics between processes: [`Hub::with_engine`](super::Hub::with_engine).
/// A hub without an engine serves one process.
///
/// The engine assigns the [`Position`]s and has the history of all topics. The hub of each process has a [`Replica`] of the
/// topics that the process follows: those with a subscriber or a member, and those that had one within the time of the history.
/// Subscriptions, replays after a position, and the delivery to workers use the replica alone. The engine updates it from a
/// separate task or thread: first with a [`TopicSnapshot`], then with each message. After a loss of its connection, it
/// sends another snapshot of each topic. Subscribers then receive the messages that they lack, or first
/// [`Update::Missed`](super::Update::Missed) if the snapshot does not have all of these.
///
/// All calls return at once. Their order is that of their effects: an engine queues its requests in the call, and not when a
/// future is first polled. The hub makes some calls while it holds a lock, so an engine uses the replica in none of them. The
/// queues are bounded: a request that does not fit is [`HubError::Full`], and one that the engine cannot carry out is
/// [`HubError::Unavailable`].
pub trait HubEngine: Send + Sync + 'static {
    /// Begins to update this replica. The hub calls it once, first.
    fn start(&self, replica: Replica);

    /// Publishes a message, which the replicas of all processes that follow the topic receive. Keeps it in the history within
    /// [the bounds of the hub](Replica::config).
    fn publish(&self, topic: Arc<str>, json: Arc<str>) -> EngineFuture<Position>;

    /// Follows a topic. The future is ready after [`Replica::synchronize`]. A topic that is already followed is not an error.
    fn follow(&self, topic: Arc<str>) -> EngineFuture<()>;

    /// Ends the updates of a topic.
    fn unfollow(&self, topic: &Arc<str>);

    /// Makes a member present in a topic that this process follows, as long as this process has contact with the engine. The
    /// future is ready after [`Replica::joined`]. A member that is already present is not an error.
    fn join(&self, topic: Arc<str>, member: Arc<str>) -> EngineFuture<()>;

    /// Ends the presence of a member that this process has made present.
    fn leave(&self, topic: &Arc<str>, member: &Arc<str>);
}

/// The topics of a hub that its process follows. An engine updates it; updates of other topics, and of a hub that was dropped,
/// have no effect.
#[derive(Clone)]
pub struct Replica {
    shared: Weak<SharedTopics>,
    config: HubConfig,
}

/// The state of a topic in an engine.
#[derive(Clone, Debug, Default)]
pub struct TopicSnapshot {
    /// The position of the last message; without a message, the epoch of the topic with the number 0.
    pub last: Position,
    /// The snapshot has all messages after this position: at most one before the oldest, and the last position if it has none.
    /// A snapshot for a replica that has earlier messages may begin after its last one.
    pub complete_after: Position,
    /// The messages, in the order of their positions.
    pub messages: Vec<EngineMessage>,
    /// The members, each with the process that has made it present. The number of a process is arbitrary, and unique among the
    /// processes.
    pub members: Vec<(u64, Arc<str>)>,
}

/// A message in the history of an engine.
#[derive(Clone, Debug)]
pub struct EngineMessage {
    /// The position.
    pub position: Position,
    /// The message.
    pub json: Arc<str>,
    /// The time since it was published.
    pub age: Duration,
}

impl Replica {
    pub(super) fn new(shared: &Arc<SharedTopics>) -> Self {
        Replica {
            shared: Arc::downgrade(shared),
            config: shared.config.clone(),
        }
    }

    /// The bounds of the hub.
    pub fn config(&self) -> &HubConfig {
        &self.config
    }

    /// Returns whether the hub was dropped. The engine then ends.
    pub fn is_dropped(&self) -> bool {
        self.shared.strong_count() == 0
    }

    /// Sets the state of a topic that is followed. Subscribers receive the messages after those that the replica has, and the
    /// members that have joined and left. They receive [`Update::Missed`](super::Update::Missed) first if messages are missing
    /// between the replica and the snapshot, or if the replica is ahead of it.
    pub fn synchronize(&self, topic: &str, snapshot: TopicSnapshot) {
        self.with(|shared| shared.synchronize(topic, snapshot));
    }

    /// Adds the message after the last one. A message that the replica already has is ignored.
    pub fn receive(&self, topic: &str, position: Position, json: Arc<str>) {
        self.with(|shared| shared.receive(topic, position, json));
    }

    /// Records that a process has made a member present.
    pub fn joined(&self, topic: &str, process: u64, member: Arc<str>) {
        self.with(|shared| shared.joined(topic, process, member));
    }

    /// Records that a process has ended the presence of a member.
    pub fn left(&self, topic: &str, process: u64, member: &str) {
        self.with(|shared| shared.left(topic, process, member));
    }

    /// Removes the members of a process that has lost contact with the engine.
    pub fn process_left(&self, process: u64) {
        self.with(|shared| shared.process_left(process));
    }

    fn with(&self, update: impl FnOnce(&SharedTopics)) {
        if let Some(shared) = self.shared.upgrade() {
            update(&shared);
        }
    }
}

impl fmt::Debug for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replica").finish_non_exhaustive()
    }
}
