//! Subscriptions: the updates of a topic that a subscriber receives.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;

use super::family::TopicFamily;
use super::local::Subscriber;
use super::message::{Change, Message, Position, Published};
use super::shared::Replay;
use crate::BoxError;
use crate::events::Events;

/// The policy for a slow subscriber: a subscriber that lags by more than
/// [`HubConfig::lag_messages`](super::HubConfig::lag_messages) or
/// [`HubConfig::history_bytes`](super::HubConfig::history_bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LagPolicy {
    /// The oldest messages are dropped, and the subscriber receives [`Update::Missed`].
    #[default]
    DropOldest,
    /// The subscriber receives only the latest of its waiting messages, and [`Update::Missed`] only if that message may be
    /// lost.
    KeepLatest,
    /// The subscription ends. A client of an event stream connects again and continues from the history.
    Close,
}

/// An update of a topic.
#[derive(Debug)]
pub enum Update<M> {
    /// A message.
    Message(Published<M>),
    /// A member is present, after [`Subscription::with_presence`].
    Joined(Arc<str>),
    /// A member is no longer present, after [`Subscription::with_presence`].
    Left(Arc<str>),
    /// Messages are lost: the subscriber was too slow, or the history no longer has the messages after its position. The
    /// subscriber must read the state that these messages have changed from its source, such as a database.
    Missed,
}

/// The updates of a topic, also as a [`Stream`]. A subscription belongs to the worker that has created it.
pub struct Subscription<F: TopicFamily> {
    subscriber: Subscriber,
    /// The messages of the history that come first.
    #[expect(clippy::box_collection, reason = "one word once they are taken")]
    replay: Option<Box<VecDeque<Arc<Message>>>>,
    has_gap: bool,
    /// The number of the last notice before the subscription.
    last_notice: u64,
    /// The position of the last message before the subscription.
    last: Position,
    policy: LagPolicy,
    has_presence: bool,
    is_closed: bool,
    _family: PhantomData<fn() -> F>,
}

impl<F: TopicFamily> Subscription<F> {
    pub(super) fn new(subscriber: Subscriber, replay: Replay) -> Self {
        Subscription {
            subscriber,
            replay: (!replay.messages.is_empty()).then(|| Box::new(replay.messages)),
            has_gap: replay.has_gap,
            last_notice: replay.last_notice,
            last: replay.last,
            policy: LagPolicy::default(),
            has_presence: false,
            is_closed: false,
            _family: PhantomData,
        }
    }

    /// Sets the policy for this subscriber when it is slow. Default: [`LagPolicy::DropOldest`].
    pub fn on_lag(mut self, policy: LagPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Also receives [`Update::Joined`] and [`Update::Left`]. Default: off.
    pub fn with_presence(mut self) -> Self {
        self.has_presence = true;
        self
    }

    /// The next update; `None` after the end by [`LagPolicy::Close`].
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready, as in `tokio::select!`, consumes no update.
    pub async fn next(&mut self) -> Option<Update<F::Message>> {
        poll_fn(|context| self.poll_update(context)).await
    }

    /// Returns whether the subscription began after the message at this position: only the replay can have it.
    pub(crate) fn begins_after(&self, position: Position) -> bool {
        position <= self.last
    }

    /// The position of the last message before the subscription.
    pub(crate) fn last(&self) -> Position {
        self.last
    }

    /// Converts the updates to an event stream. A message is an event with its position as the ID. [`Update::Missed`] is an
    /// event `missed` with the data `null`; the arrival and the departure of a member are events `joined` and `left` with
    /// the name as JSON.
    pub fn into_events(self) -> Events<F::Message> {
        Events::from_encoded(EncodedUpdates(self))
    }

    fn poll_update(&mut self, context: &mut Context<'_>) -> Poll<Option<Update<F::Message>>> {
        if self.is_closed {
            return Poll::Ready(None);
        }
        if std::mem::take(&mut self.has_gap) {
            return Poll::Ready(Some(Update::Missed));
        }
        if let Some(message) = self.replay.as_mut().and_then(|messages| messages.pop_front()) {
            self.replay.take_if(|messages| messages.is_empty());
            return Poll::Ready(Some(Update::Message(Published::new(message))));
        }
        loop {
            let notice = ready!(self.subscriber.poll_next(context));
            if notice.as_ref().is_some_and(|notice| notice.number <= self.last_notice) {
                // The replay contains it.
                continue;
            }
            let change = notice.map_or(Change::Missed, |notice| notice.change);
            let is_outdated = || self.policy == LagPolicy::KeepLatest && self.subscriber.has_later_message();
            return Poll::Ready(Some(match change {
                Change::Missed if self.policy == LagPolicy::Close => {
                    self.is_closed = true;
                    return Poll::Ready(None);
                }
                Change::Missed | Change::Message(_) if is_outdated() => continue,
                Change::Missed => Update::Missed,
                Change::Message(message) => Update::Message(Published::new(message)),
                Change::Joined(_) | Change::Left(_) if !self.has_presence => continue,
                Change::Joined(member) => Update::Joined(member),
                Change::Left(member) => Update::Left(member),
            }));
        }
    }
}

impl<F: TopicFamily> Unpin for Subscription<F> {}

impl<F: TopicFamily> Stream for Subscription<F> {
    type Item = Update<F::Message>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_update(context)
    }
}

impl<F: TopicFamily> fmt::Debug for Subscription<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("family", &F::NAME)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// The updates as the bytes of events.
struct EncodedUpdates<F: TopicFamily>(Subscription<F>);

impl<F: TopicFamily> Stream for EncodedUpdates<F> {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let update = ready!(self.0.poll_update(context));
        Poll::Ready(update.map(encoded))
    }
}

/// An update as the bytes of an event.
pub(crate) fn encoded<M>(update: Update<M>) -> Result<Bytes, BoxError> {
    match update {
        Update::Message(message) => Ok(message.event()),
        Update::Missed => Ok(Bytes::from_static(b"event: missed\ndata: null\n\n")),
        Update::Joined(member) => named("joined", &member),
        Update::Left(member) => named("left", &member),
    }
}

fn named(name: &'static str, member: &Arc<str>) -> Result<Bytes, BoxError> {
    Ok(crate::events::Event::new(&**member).name(name).encode()?)
}
