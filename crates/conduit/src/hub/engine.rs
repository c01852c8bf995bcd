//! The interface of engines, which transfer the messages of a hub between processes.

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

/// Transfers the messages and the members of a hub's topics between processes:
/// [`Hub::with_engine`](super::Hub::with_engine). A hub without an engine serves one process.
///
/// The engine assigns the [`Position`]s and keeps the history of all topics. The hub of each process has a [`Replica`] of
/// the topics that the process follows: topics with a subscriber or a member, and topics that had one within the time of the
/// history. Subscriptions, replays after a position, and the delivery to workers use the replica alone. The engine updates
/// it from a separate task or thread: first with a [`TopicSnapshot`], then with each message. After a loss of its
/// connection, it sends another snapshot of each topic. Subscribers then receive the messages that they lack. They first
/// receive [`Update::Missed`](super::Update::Missed) if the snapshot lacks some of these messages.
///
/// No call blocks. The calls take effect in their order: an engine queues a request in the call, not when its future is
/// first polled. The hub holds a lock during some calls, so an engine must not use the replica inside a call. The queues are
/// bounded: a request fails with [`HubError::Full`] if its queue is full, and with [`HubError::Unavailable`] if the engine
/// cannot execute it.
pub trait HubEngine: Send + Sync + 'static {
    /// Starts to update this replica. The hub calls it once, before the other methods.
    fn start(&self, replica: Replica);

    /// Publishes a message to the replicas of all processes that follow the topic, and keeps it in the history within [the
    /// bounds of the hub](Replica::config).
    fn publish(&self, topic: Arc<str>, json: Arc<str>) -> EngineFuture<Position>;

    /// Starts the updates of a topic. The future resolves after the call of [`Replica::synchronize`]. Following a followed
    /// topic is not an error.
    fn follow(&self, topic: Arc<str>) -> EngineFuture<()>;

    /// Ends the updates of a topic.
    fn unfollow(&self, topic: &Arc<str>);

    /// Adds a member to a topic that this process follows. The member is present until [`leave`](Self::leave), or until this
    /// process loses contact with the engine. The future resolves after the call of [`Replica::joined`]. Adding a present
    /// member is not an error.
    fn join(&self, topic: Arc<str>, member: Arc<str>) -> EngineFuture<()>;

    /// Removes a member that this process has added.
    fn leave(&self, topic: &Arc<str>, member: &Arc<str>);
}

/// The copy of the topics that a process follows, which the engine updates. Updates of other topics, and updates after the
/// drop of the hub, have no effect.
#[derive(Clone)]
pub struct Replica {
    shared: Weak<SharedTopics>,
    config: HubConfig,
}

/// The state of a topic in an engine.
#[derive(Clone, Debug, Default)]
pub struct TopicSnapshot {
    /// The position of the last message; for a topic without a message, its epoch with the number 0.
    pub last: Position,
    /// The position after which the snapshot has all messages: the position directly before the oldest message, or `last` if
    /// the snapshot has no message. A snapshot may omit the messages that the replica already has.
    pub complete_after: Position,
    /// The messages, in the order of their positions.
    pub messages: Vec<EngineMessage>,
    /// The members, each with the process that has added it. The number of a process is arbitrary, and unique among the
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

    /// Returns whether the hub was dropped. The engine should then end.
    pub fn is_dropped(&self) -> bool {
        self.shared.strong_count() == 0
    }

    /// Sets the state of a topic that is followed. Subscribers receive the messages after those that the replica has, and the
    /// members that have joined and left. They receive [`Update::Missed`](super::Update::Missed) first if messages are missing
    /// between the replica and the snapshot, or if the replica is ahead of it.
    pub fn synchronize(&self, topic: &str, snapshot: TopicSnapshot) {
        self.with(|shared| shared.synchronize(topic, snapshot));
    }

    /// Appends a message. The replica ignores a message that it already has.
    pub fn receive(&self, topic: &str, position: Position, json: Arc<str>) {
        self.with(|shared| shared.receive(topic, position, json));
    }

    /// Records that a process has added a member.
    pub fn joined(&self, topic: &str, process: u64, member: Arc<str>) {
        self.with(|shared| shared.joined(topic, process, member));
    }

    /// Records that a process has removed a member.
    pub fn left(&self, topic: &str, process: u64, member: &str) {
        self.with(|shared| shared.left(topic, process, member));
    }

    /// Removes the members of a process that has lost contact with the engine.
    pub fn process_left(&self, process: u64) {
        self.with(|shared| shared.process_left(process));
    }

    /// The members of a topic, each with its process.
    pub(super) fn members(&self, topic: &str) -> Vec<(u64, Arc<str>)> {
        let shared = self.shared.upgrade();
        shared.map(|shared| shared.members(topic)).unwrap_or_default()
    }

    /// Removes expired messages and unused topics.
    pub(super) fn remove_expired(&self) {
        self.with(SharedTopics::remove_all_expired);
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
