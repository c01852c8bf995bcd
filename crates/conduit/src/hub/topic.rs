//! The handle of a topic, and the presence of members.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;

use super::engine::EngineFuture;
use super::error::HubError;
use super::family::{Access, TopicFamily};
use super::local::Subscriber;
use super::message::{Position, Published, StartFrom};
use super::shared::SharedTopics;
use super::subscription::Subscription;
use crate::events::Events;

/// The maximum length of a key and of a member's name, in bytes.
const KEY_BYTES: usize = 512;

/// A topic that a client may use. Clones are the same topic.
pub struct Topic<F: TopicFamily> {
    shared: Arc<SharedTopics>,
    name: Arc<str>,
    access: Access,
    _family: PhantomData<fn() -> F>,
}

impl<F: TopicFamily> Topic<F> {
    pub(super) fn new(shared: Arc<SharedTopics>, key: &str, access: Access) -> Result<Self, HubError> {
        Ok(Topic {
            shared,
            // NUL ends the name of the family, so that no key leads to a topic of another family.
            name: [F::NAME, "\0", checked(key)?].concat().into(),
            access,
            _family: PhantomData,
        })
    }

    /// The key.
    pub fn key(&self) -> &str {
        &self.name[F::NAME.len() + 1..]
    }

    /// Publishes a message to all subscribers. The JSON of a message must deserialize as a message: serde serializes a `NaN`
    /// or an infinite number as `null`, which does not deserialize as a number. Validate the values of clients before you
    /// publish them.
    ///
    /// # Errors
    ///
    /// [`HubError::NotPermitted`] for a client that may only subscribe, [`HubError::LongMessage`], [`HubError::NotJson`],
    /// and [`HubError::Full`] if the topic does not exist and the hub has reached its limit of topics. With an engine also
    /// [`HubError::Unavailable`].
    pub async fn publish(&self, message: &F::Message) -> Result<Position, HubError> {
        self.publish_json(message).await
    }

    /// Publishes a value that has the JSON of a message.
    pub(crate) async fn publish_json(&self, message: &impl Serialize) -> Result<Position, HubError> {
        match &self.shared.engine {
            None => self.publish_value(message, |_| ()),
            Some(_) => self.queue(message)?.await,
        }
    }

    /// Queues a value that has the JSON of a message, for an engine, which publishes it even if the future is dropped.
    pub(crate) fn queue(&self, message: &impl Serialize) -> Result<EngineFuture<Position>, HubError> {
        let json = self.encode(message)?;
        let engine = self.shared.engine.as_ref().ok_or(HubError::Unavailable)?;
        Ok(engine.publish(Arc::clone(&self.name), json))
    }

    /// Publishes a value that has the JSON of a message. Calls `note` with it under the lock of the topic, before any
    /// subscriber receives it.
    pub(crate) fn publish_value(
        &self,
        message: &impl Serialize,
        note: impl FnOnce(&Published<F::Message>),
    ) -> Result<Position, HubError> {
        let json = self.encode(message)?;
        self.shared.publish(&self.name, json, |message| {
            note(&Published::new(Arc::clone(message)));
        })
    }

    /// The JSON of a message that the client may publish.
    fn encode(&self, message: &impl Serialize) -> Result<Arc<str>, HubError> {
        self.check_publish()?;
        let json = serde_json::to_string(message).map_err(|_| HubError::NotJson)?;
        let limit_bytes = self.shared.config.message_bytes;
        match json.len() > limit_bytes {
            true => Err(HubError::LongMessage { limit_bytes }),
            false => Ok(json.into()),
        }
    }

    fn check_publish(&self) -> Result<(), HubError> {
        match self.access {
            Access::PublishAndSubscribe => Ok(()),
            Access::Subscribe => Err(HubError::NotPermitted),
        }
    }

    /// Subscribes on this worker.
    ///
    /// # Errors
    ///
    /// [`HubError::Full`] if the hub has reached its limit of topics or of subscriptions. With an engine also
    /// [`HubError::Unavailable`], and `Full` if too many new subscribers and members wait for it.
    ///
    /// # Panics
    ///
    /// Panics outside a `LocalRuntime` and a `LocalSet`; each worker of a server has one.
    pub async fn subscribe(&self, from: impl Into<StartFrom>) -> Result<Subscription<F>, HubError> {
        // The topic stays in the replica until the worker subscribes.
        let _pin = self.shared.follow(&self.name).await?;
        let (subscriber, replay) = Subscriber::new(&self.shared, &self.name, from.into())?;
        Ok(Subscription::new(subscriber, replay))
    }

    /// Subscribes, and returns the updates as an event stream: [`Subscription::into_events`].
    ///
    /// # Errors
    ///
    /// Returns the errors of [`subscribe`](Self::subscribe).
    pub async fn events(&self, from: impl Into<StartFrom>) -> Result<Events<F::Message>, HubError> {
        Ok(self.subscribe(from).await?.into_events())
    }

    /// Adds a member until the returned value is dropped. Subscribers [with presence](Subscription::with_presence) receive
    /// the arrival of a member at its first `join`, and its departure at the drop of its last presence. A client that
    /// subscribes before it joins receives its own arrival, too.
    ///
    /// # Errors
    ///
    /// [`HubError::NotPermitted`] for a client that may only subscribe, [`HubError::LongKey`] for a name of more than 512
    /// bytes, and [`HubError::Full`] if the topic has reached its limit of members, or the hub its limit of topics. With an
    /// engine also [`HubError::Unavailable`], and `Full` if too many new subscribers and members wait for it.
    pub async fn join(&self, member: &str) -> Result<Presence, HubError> {
        self.check_publish()?;
        let member: Arc<str> = checked(member)?.into();
        let Some(engine) = &self.shared.engine else {
            self.shared.join(&self.name, &member)?;
            return Ok(self.presence(member));
        };
        let joined = self.shared.join_engine(&**engine, &self.name, &member)?;
        // Dropping it after an error ends the presence.
        let presence = self.presence(member);
        joined.await?;
        Ok(presence)
    }

    fn presence(&self, member: Arc<str>) -> Presence {
        Presence {
            shared: Arc::clone(&self.shared),
            topic: Arc::clone(&self.name),
            member,
        }
    }

    /// The present members, in the order of their names. A subscriber [with presence](Subscription::with_presence) that has
    /// received the arrival of a member finds it here.
    ///
    /// # Errors
    ///
    /// Returns [`HubError::Unavailable`] if the engine cannot start to follow a topic that this process does not follow yet, and
    /// [`HubError::Full`] if the hub has reached its limit of topics, or if too many new subscribers and members wait for the
    /// engine.
    pub async fn present(&self) -> Result<Vec<String>, HubError> {
        let _pin = self.shared.follow(&self.name).await?;
        Ok(self.shared.present(&self.name))
    }
}

fn checked(text: &str) -> Result<&str, HubError> {
    match text.len() <= KEY_BYTES {
        true => Ok(text),
        false => Err(HubError::LongKey { limit_bytes: KEY_BYTES }),
    }
}

impl<F: TopicFamily> Clone for Topic<F> {
    fn clone(&self) -> Self {
        Topic {
            shared: Arc::clone(&self.shared),
            name: Arc::clone(&self.name),
            access: self.access,
            _family: PhantomData,
        }
    }
}

impl<F: TopicFamily> fmt::Debug for Topic<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topic")
            .field("family", &F::NAME)
            .field("key", &self.key())
            .field("access", &self.access)
            .finish()
    }
}

/// The presence of a member in a topic, which ends when this value is dropped.
#[must_use = "the member leaves when this is dropped"]
pub struct Presence {
    shared: Arc<SharedTopics>,
    topic: Arc<str>,
    member: Arc<str>,
}

impl Presence {
    /// The name of the member.
    pub fn member(&self) -> &str {
        &self.member
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.shared.leave(&self.topic, &self.member);
    }
}

impl fmt::Debug for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Presence").field(&self.member).finish()
    }
}
