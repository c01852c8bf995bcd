//! The part of a hub that all workers share: the histories, the members, and the workers with subscribers.

use std::cmp::Reverse;
use std::collections::binary_heap::{BinaryHeap, PeekMut};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::config::HubConfig;
use super::engine::HubEngine;
use super::error::HubError;
use super::message::{self, Change, Message, Notice, Position, StartFrom};
use crate::server::clock;

/// The number of parts, each with a lock.
const SHARDS: usize = 16;
/// The maximum number of bytes of notices that wait for a worker, except for one that waits alone. A blocked worker loses
/// further ones, and its subscribers lag.
const INBOX_BYTES: usize = 16 * 1024 * 1024;

/// The numbers of notices in a millisecond: more than a topic can have in the time between two epochs.
const NOTICE_BITS: u32 = 20;

pub(super) struct SharedTopics {
    pub(super) config: HubConfig,
    /// Transfers messages between processes. Without an engine, all messages stay in this process.
    pub(super) engine: Option<Arc<dyn HubEngine>>,
    /// Identifies the hub on each thread.
    pub(super) number: u64,
    hasher: RandomState,
    pub(super) shards: Box<[Mutex<TopicShard>]>,
    topics: AtomicUsize,
    /// The epoch of the newest topic, so that no two topics of the same name share an epoch.
    last_epoch: AtomicU64,
    history_bytes: AtomicUsize,
}

#[derive(Default)]
pub(super) struct TopicShard {
    pub(super) topics: HashMap<Arc<str>, SharedTopic>,
    /// The times at which a message leaves a history, or an unused topic is removed. Each topic is listed at most once.
    pub(super) due: DueTopics,
}

pub(super) type DueTopics = BinaryHeap<Reverse<(Instant, Arc<str>)>>;

pub(super) struct SharedTopic {
    pub(super) last: Position,
    /// The number of the last notice. The first ones have the epoch in which this process created the topic.
    notices: u64,
    history: VecDeque<Arc<Message>>,
    history_bytes: usize,
    /// The last position whose message the history lacks: a replay from an earlier position has a gap.
    complete_after: Position,
    workers: Vec<Arc<Inbox>>,
    /// The members, and the number of their connections to this process.
    members: BTreeMap<Arc<str>, usize>,
    pub(super) replica: ReplicaState,
    /// The time of the last operation.
    last_used: Instant,
    is_listed_as_due: bool,
}

/// The part of a topic that only an engine uses.
#[derive(Default)]
pub(super) struct ReplicaState {
    /// The engine has sent a snapshot, and updates follow it.
    pub(super) is_followed: bool,
    /// The number of operations in progress that require the topic.
    pub(super) pins: usize,
    /// The members, each with the processes that have added it.
    pub(super) present: BTreeMap<Arc<str>, Vec<u64>>,
}

/// The queue of notices to a worker.
pub(super) struct Inbox {
    sender: mpsc::UnboundedSender<(Arc<str>, Notice)>,
    waiting_bytes: AtomicUsize,
    /// The number of dropped notices. The worker reports a loss to all of its subscribers.
    pub(super) dropped: AtomicU64,
}

impl Inbox {
    pub(super) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<(Arc<str>, Notice)>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let inbox = Inbox {
            sender,
            waiting_bytes: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
        };
        (Arc::new(inbox), receiver)
    }

    fn send(&self, topic: &Arc<str>, notice: Notice) {
        let cost = notice.cost();
        let before = self.waiting_bytes.fetch_add(cost, Ordering::Relaxed);
        if before > 0 && before + cost > INBOX_BYTES {
            self.waiting_bytes.fetch_sub(cost, Ordering::Relaxed);
            self.dropped.fetch_add(1, Ordering::Release);
            return;
        }
        // Sending fails when the worker has ended.
        let _ = self.sender.send((Arc::clone(topic), notice));
    }

    pub(super) fn has_taken(&self, notice: &Notice) {
        self.waiting_bytes.fetch_sub(notice.cost(), Ordering::Relaxed);
    }
}

/// The messages that a new subscriber receives first.
pub(super) struct Replay {
    pub(super) messages: VecDeque<Arc<Message>>,
    /// Messages before these are lost.
    pub(super) has_gap: bool,
    /// Notices up to this number precede the subscription.
    pub(super) last_notice: u64,
    /// The position of the last message before the subscription.
    pub(super) last: Position,
}

impl SharedTopics {
    pub(super) fn new(config: HubConfig, engine: Option<Arc<dyn HubEngine>>) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        SharedTopics {
            config,
            engine,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            hasher: RandomState::new(),
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            topics: AtomicUsize::new(0),
            last_epoch: AtomicU64::new(0),
            history_bytes: AtomicUsize::new(0),
        }
    }

    pub(super) fn topics(&self) -> usize {
        self.topics.load(Ordering::Relaxed)
    }

    pub(super) fn shard(&self, name: &str) -> MutexGuard<'_, TopicShard> {
        let at = self.hasher.hash_one(name) as usize % self.shards.len();
        Self::locked(&self.shards[at])
    }

    pub(super) fn locked(shard: &Mutex<TopicShard>) -> MutexGuard<'_, TopicShard> {
        // No code of the application runs under the lock.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls a function with a topic, which is created if it does not exist. Expired messages and topics of its shard are
    /// removed.
    pub(super) fn with<T>(
        &self,
        name: &Arc<str>,
        call: impl FnOnce(&mut SharedTopic) -> Result<T, HubError>,
    ) -> Result<T, HubError> {
        let now = Instant::now();
        let mut shard = self.shard(name);
        self.remove_expired(&mut shard, now);
        if !shard.topics.contains_key(name) {
            if self.topics.fetch_add(1, Ordering::Relaxed) >= self.config.topics {
                self.topics.fetch_sub(1, Ordering::Relaxed);
                return Err(HubError::Full { what: "topics" });
            }
            let start = Position {
                epoch: self.next_epoch(),
                number: 0,
            };
            let topic = SharedTopic {
                last: start,
                // Notices of an earlier topic of this name may wait for a worker: they have lower numbers.
                notices: start.epoch << NOTICE_BITS,
                history: VecDeque::new(),
                history_bytes: 0,
                complete_after: start,
                workers: Vec::new(),
                members: BTreeMap::new(),
                replica: ReplicaState::default(),
                last_used: now,
                is_listed_as_due: false,
            };
            shard.topics.insert(Arc::clone(name), topic);
        }
        let TopicShard { topics, due } = &mut *shard;
        let Some(topic) = topics.get_mut(name) else {
            return Err(HubError::Full { what: "topics" });
        };
        self.trim(topic, 0, now);
        topic.last_used = now;
        let result = call(topic);
        topic.list_as_due(due, name, self.config.history_time);
        result
    }

    fn next_epoch(&self) -> u64 {
        let now = u64::try_from(clock::since_epoch().as_millis()).unwrap_or(u64::MAX);
        let next = |last: u64| Some(now.max(last.saturating_add(1)));
        let last = self.last_epoch.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        let last = last.unwrap_or_else(|last| last);
        now.max(last.saturating_add(1))
    }

    /// Removes expired messages and unused topics. A topic is removed when it has been unused for the time of the history,
    /// or at once if it never had a message.
    fn remove_expired(&self, shard: &mut TopicShard, now: Instant) {
        while let Some(name) = shard.take_due(now) {
            let Some(topic) = shard.topics.get_mut(&name) else {
                continue;
            };
            self.trim(topic, 0, now);
            let due = topic.due(self.config.history_time);
            topic.is_listed_as_due = due.is_some_and(|at| at > now);
            match due {
                Some(at) if at > now => shard.due.push(Reverse((at, name))),
                Some(_) => {
                    shard.topics.remove(&name);
                    self.topics.fetch_sub(1, Ordering::Relaxed);
                    if let Some(engine) = &self.engine {
                        engine.unfollow(&name);
                    }
                }
                None => {}
            }
        }
    }

    /// Removes expired messages of all shards if a further message of this size would exceed the memory of the histories.
    pub(super) fn make_room(&self, further_bytes: usize) {
        if self.history_bytes.load(Ordering::Relaxed) + further_bytes <= self.config.memory_bytes {
            return;
        }
        self.remove_all_expired();
    }

    /// Removes expired messages and unused topics of all shards.
    pub(super) fn remove_all_expired(&self) {
        let now = Instant::now();
        for shard in &self.shards {
            self.remove_expired(&mut Self::locked(shard), now);
        }
    }

    /// Removes expired messages, and the oldest messages until a further message of this size fits.
    fn trim(&self, topic: &mut SharedTopic, further_bytes: usize, now: Instant) {
        let config = &self.config;
        let further = usize::from(further_bytes > 0);
        while let Some(oldest) = topic.history.front() {
            let is_old = now.saturating_duration_since(oldest.published) >= config.history_time;
            let is_over = topic.history.len() + further > config.history_messages
                || topic.history_bytes + further_bytes > config.history_bytes
                || self.history_bytes.load(Ordering::Relaxed) + further_bytes > config.memory_bytes;
            let is_removed = is_old || (further_bytes > 0 && is_over);
            if !is_removed {
                break;
            }
            let cost = oldest.cost();
            topic.complete_after = oldest.position;
            topic.history.pop_front();
            topic.history_bytes -= cost;
            self.history_bytes.fetch_sub(cost, Ordering::Relaxed);
        }
    }

    /// Calls `note` with the message, keeps it in the history, and sends it to all workers with a subscriber.
    pub(super) fn publish(
        &self,
        name: &Arc<str>,
        json: Arc<str>,
        note: impl FnOnce(&Arc<Message>),
    ) -> Result<Position, HubError> {
        self.make_room(message::cost(&json));
        self.with(name, |topic| {
            let now = Instant::now();
            let position = Position {
                number: topic.last.number + 1,
                ..topic.last
            };
            let message = Arc::new(Message::new(position, json, now));
            note(&message);
            self.append(topic, name, message, now);
            Ok(position)
        })
    }

    /// Appends a message to the history, and sends it to the workers.
    pub(super) fn append(&self, topic: &mut SharedTopic, name: &Arc<str>, message: Arc<Message>, now: Instant) {
        let cost = message.cost();
        self.trim(topic, cost, now);
        let fits = self.config.history_messages > 0
            && cost <= self.config.history_bytes
            && self.history_bytes.load(Ordering::Relaxed) + cost <= self.config.memory_bytes;
        if fits {
            topic.history.push_back(Arc::clone(&message));
            topic.history_bytes += cost;
            self.history_bytes.fetch_add(cost, Ordering::Relaxed);
        } else {
            topic.complete_after = message.position;
        }
        topic.last = message.position;
        topic.notify(name, Change::Message(message));
    }

    /// Removes all messages of a topic, and sets its last position.
    pub(super) fn clear_history(&self, topic: &mut SharedTopic, after: Position) {
        self.history_bytes.fetch_sub(topic.history_bytes, Ordering::Relaxed);
        topic.history_bytes = 0;
        topic.history.clear();
        topic.complete_after = after;
        topic.last = after;
    }

    /// Subscribes a worker unless it is subscribed already, and returns the messages from this position on.
    pub(super) fn subscribe(&self, name: &Arc<str>, inbox: &Arc<Inbox>, from: StartFrom) -> Result<Replay, HubError> {
        self.with(name, |topic| {
            if !topic.workers.iter().any(|known| Arc::ptr_eq(known, inbox)) {
                topic.workers.push(Arc::clone(inbox));
            }
            let (after, has_gap) = match from {
                StartFrom::Now => (topic.last, false),
                StartFrom::History => (Position::default(), false),
                StartFrom::After(position) => {
                    let is_known = position >= topic.complete_after && position <= topic.last;
                    (if is_known { position } else { Position::default() }, !is_known)
                }
            };
            let later = topic.history.iter().filter(|message| message.position > after);
            Ok(Replay {
                messages: later.cloned().collect(),
                has_gap,
                last_notice: topic.notices,
                last: topic.last,
            })
        })
    }

    /// Unsubscribes a worker whose last subscriber of a topic was dropped.
    pub(super) fn unsubscribe(&self, name: &Arc<str>, inbox: &Arc<Inbox>) {
        // The topic exists.
        let _ = self.with(name, |topic| {
            topic.workers.retain(|known| !Arc::ptr_eq(known, inbox));
            Ok(())
        });
    }

    pub(super) fn join(&self, name: &Arc<str>, member: &Arc<str>) -> Result<(), HubError> {
        self.with(name, |topic| {
            if topic.count_member(member, self.config.members)? {
                topic.notify(name, Change::Joined(Arc::clone(member)));
            }
            Ok(())
        })
    }

    pub(super) fn leave(&self, name: &Arc<str>, member: &Arc<str>) {
        // The topic exists.
        let _ = self.with(name, |topic| {
            if let Some(count) = topic.members.get_mut(member) {
                *count -= 1;
                if *count == 0 {
                    topic.members.remove(member);
                    match &self.engine {
                        Some(engine) => engine.leave(name, member),
                        None => topic.notify(name, Change::Left(Arc::clone(member))),
                    }
                }
            }
            Ok(())
        });
    }

    /// The members that are present, in the order of their names.
    pub(super) fn present(&self, name: &str) -> Vec<String> {
        let shard = self.shard(name);
        let topic = shard.topics.get(name);
        let text = |member: &Arc<str>| member.to_string();
        match topic {
            None => Vec::new(),
            Some(topic) if self.engine.is_some() => topic.replica.present.keys().map(text).collect(),
            Some(topic) => topic.members.keys().map(text).collect(),
        }
    }
}

impl TopicShard {
    /// Removes the next topic that is due from the list, and returns its name.
    fn take_due(&mut self, now: Instant) -> Option<Arc<str>> {
        let next = self.due.peek_mut().filter(|next| next.0.0 <= now)?;
        let Reverse((_, name)) = PeekMut::pop(next);
        Some(name)
    }
}

impl SharedTopic {
    /// Counts a connection of a member. Returns whether it is the first one.
    pub(super) fn count_member(&mut self, member: &Arc<str>, limit: usize) -> Result<bool, HubError> {
        if let Some(count) = self.members.get_mut(member) {
            *count += 1;
            return Ok(false);
        }
        if self.members.len() >= limit {
            return Err(HubError::Full { what: "members" });
        }
        self.members.insert(Arc::clone(member), 1);
        Ok(true)
    }

    /// The time at which the oldest message leaves the history, or the topic may be removed if it is unused.
    fn due(&self, history_time: Duration) -> Option<Instant> {
        match self.history.front() {
            Some(oldest) => oldest.published.checked_add(history_time),
            // Removing a topic without a message loses nothing, and keys that clients invent do not exhaust the limit of
            // topics.
            None if self.is_unused() && self.last.number == 0 => Some(self.last_used),
            None if self.is_unused() => self.last_used.checked_add(history_time),
            None => None,
        }
    }

    /// Lists the time at which the topic is due next, if it is not listed.
    pub(super) fn list_as_due(&mut self, due: &mut DueTopics, name: &Arc<str>, history_time: Duration) {
        if !self.is_listed_as_due
            && let Some(at) = self.due(history_time)
        {
            self.is_listed_as_due = true;
            due.push(Reverse((at, Arc::clone(name))));
        }
    }

    fn is_unused(&self) -> bool {
        self.workers.is_empty() && self.members.is_empty() && self.replica.pins == 0
    }

    /// Sends a notice to each worker with a subscriber. The lock of the shard keeps the order.
    pub(super) fn notify(&mut self, name: &Arc<str>, change: Change) {
        self.notices += 1;
        let notice = Notice {
            number: self.notices,
            change,
        };
        for inbox in &self.workers {
            inbox.send(name, notice.clone());
        }
    }
}
