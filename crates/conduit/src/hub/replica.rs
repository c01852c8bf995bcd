//! The topics of an engine in the memory of this process, and its updates.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::engine::{EngineFuture, HubEngine, TopicSnapshot};
use super::error::HubError;
use super::message::{self, Change, Message, Position};
use super::shared::{SharedTopic, SharedTopics, TopicShard};

/// Keeps a topic in the replica until it is dropped.
pub(super) struct TopicPin<'a> {
    shared: &'a SharedTopics,
    name: &'a Arc<str>,
}

impl Drop for TopicPin<'_> {
    fn drop(&mut self) {
        // The topic exists.
        let _ = self.shared.with(self.name, |topic| {
            topic.replica.pins -= 1;
            Ok(())
        });
    }
}

impl SharedTopics {
    /// Waits until the replica has a topic. Returns `None` without an engine.
    pub(super) async fn follow<'a>(&'a self, name: &'a Arc<str>) -> Result<Option<TopicPin<'a>>, HubError> {
        let Some(engine) = &self.engine else {
            return Ok(None);
        };
        let is_followed = self.with(name, |topic| {
            topic.replica.pins += 1;
            Ok(topic.replica.is_followed)
        })?;
        let pin = TopicPin { shared: self, name };
        if !is_followed {
            engine.follow(Arc::clone(name)).await?;
        }
        Ok(Some(pin))
    }

    /// Counts a connection of a member, and follows the topic. The future resolves when the engine has added the member; its
    /// requests are queued before this function returns.
    pub(super) fn join_engine(
        &self,
        engine: &dyn HubEngine,
        name: &Arc<str>,
        member: &Arc<str>,
    ) -> Result<EngineFuture<()>, HubError> {
        self.with(name, |topic| {
            topic.count_member(member, self.config.members)?;
            let followed = (!topic.replica.is_followed).then(|| engine.follow(Arc::clone(name)));
            // The lock orders the calls of `join` and `leave`.
            let joined = engine.join(Arc::clone(name), Arc::clone(member));
            Ok(Box::pin(async move {
                if let Some(followed) = followed {
                    followed.await?;
                }
                joined.await
            }) as EngineFuture<()>)
        })
    }

    pub(super) fn synchronize(&self, name: &str, snapshot: TopicSnapshot) {
        let now = Instant::now();
        self.make_room(
            snapshot
                .messages
                .iter()
                .map(|message| message::cost(&message.json))
                .sum(),
        );
        self.update(name, |name, topic| {
            let continues = (snapshot.complete_after..=snapshot.last).contains(&topic.last);
            if !(topic.replica.is_followed && continues) {
                self.clear_history(topic, snapshot.complete_after);
                if topic.replica.is_followed {
                    topic.notify(name, Change::Missed);
                }
            }
            topic.replica.is_followed = true;
            for message in snapshot.messages {
                if message.position > topic.last {
                    let published = now.checked_sub(message.age).unwrap_or(now);
                    let message = Message::new(message.position, message.json, published);
                    self.append(topic, name, Arc::new(message), now);
                }
            }
            topic.last = snapshot.last;
            let mut present: BTreeMap<Arc<str>, Vec<u64>> = BTreeMap::new();
            for (process, member) in snapshot.members {
                present.entry(member).or_default().push(process);
            }
            let is_new = |member: &&Arc<str>| !topic.replica.present.contains_key(*member);
            let joined: Vec<Arc<str>> = present.keys().filter(is_new).cloned().collect();
            let before = std::mem::replace(&mut topic.replica.present, present);
            for member in before.into_keys() {
                if !topic.replica.present.contains_key(&member) {
                    topic.notify(name, Change::Left(member));
                }
            }
            for member in joined {
                topic.notify(name, Change::Joined(member));
            }
        });
    }

    pub(super) fn receive(&self, name: &str, position: Position, json: Arc<str>) {
        self.make_room(message::cost(&json));
        self.update(name, |name, topic| {
            if topic.replica.is_followed && position > topic.last {
                let now = Instant::now();
                self.append(topic, name, Arc::new(Message::new(position, json, now)), now);
            }
        });
    }

    pub(super) fn joined(&self, name: &str, process: u64, member: Arc<str>) {
        self.update(name, |name, topic| {
            let processes = topic.replica.present.entry(Arc::clone(&member)).or_default();
            if processes.contains(&process) {
                return;
            }
            processes.push(process);
            if processes.len() == 1 {
                topic.notify(name, Change::Joined(member));
            }
        });
    }

    pub(super) fn left(&self, name: &str, process: u64, member: &str) {
        self.update(name, |name, topic| {
            let present = &mut topic.replica.present;
            let Some(processes) = present.get_mut(member) else {
                return;
            };
            processes.retain(|&known| known != process);
            if processes.is_empty()
                && let Some((member, _)) = present.remove_entry(member)
            {
                topic.notify(name, Change::Left(member));
            }
        });
    }

    /// The members of a topic, each with its process.
    pub(super) fn members(&self, name: &str) -> Vec<(u64, Arc<str>)> {
        let shard = self.shard(name);
        let present = shard.topics.get(name).map(|topic| &topic.replica.present);
        let members = present.into_iter().flatten();
        members
            .flat_map(|(member, processes)| processes.iter().map(|&process| (process, Arc::clone(member))))
            .collect()
    }

    pub(super) fn process_left(&self, process: u64) {
        for shard in &self.shards {
            let mut shard = Self::locked(shard);
            for (name, topic) in &mut shard.topics {
                topic.end_presences(name, process);
            }
        }
    }

    /// Calls a function with a topic of the replica.
    fn update(&self, name: &str, call: impl FnOnce(&Arc<str>, &mut SharedTopic)) {
        let mut shard = self.shard(name);
        let TopicShard { topics, due } = &mut *shard;
        let known = topics.get_key_value(name).map(|(name, _)| Arc::clone(name));
        if let Some(name) = known
            && let Some(topic) = topics.get_mut(&name)
        {
            call(&name, topic);
            topic.list_as_due(due, &name, self.config.history_time);
        }
    }
}

impl SharedTopic {
    /// Removes all members that a process has added.
    fn end_presences(&mut self, name: &Arc<str>, process: u64) {
        let mut left = Vec::new();
        self.replica.present.retain(|member, processes| {
            processes.retain(|&known| known != process);
            if processes.is_empty() {
                left.push(Arc::clone(member));
            }
            !processes.is_empty()
        });
        for member in left {
            self.notify(name, Change::Left(member));
        }
    }
}
