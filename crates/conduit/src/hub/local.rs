//! The part of a hub on one worker: its subscribers, and the task that forwards notices to them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use slab::Slab;
use tokio::sync::mpsc::UnboundedReceiver;

use super::error::HubError;
use super::message::{Notice, StartFrom};
use super::ring::{Next, Ring};
use super::shared::{Inbox, Replay, SharedTopics};

thread_local! {
    /// The hubs with subscribers on this thread, by their numbers.
    static HUBS: RefCell<HashMap<u64, Rc<LocalHub>>> = RefCell::default();
}

/// The subscribers of a hub on this thread.
pub(super) struct LocalHub {
    shared: Arc<SharedTopics>,
    inbox: Arc<Inbox>,
    topics: RefCell<HashMap<Arc<str>, Rc<LocalTopic>>>,
    subscriptions: Cell<usize>,
}

struct LocalTopic {
    name: Arc<str>,
    ring: RefCell<Ring>,
    /// The waker of each subscriber, which wakes nothing unless the subscriber waits.
    wakers: RefCell<Slab<Waker>>,
}

/// A subscriber of a topic on this thread.
pub(super) struct Subscriber {
    hub: Rc<LocalHub>,
    topic: Rc<LocalTopic>,
    key: usize,
    cursor: u64,
}

impl LocalHub {
    /// Returns the hub on this thread. The first subscriber creates it; its task ends when the last subscriber is dropped.
    fn of(shared: &Arc<SharedTopics>) -> Rc<Self> {
        let number = shared.number;
        if let Some(local) = HUBS.with_borrow(|hubs| hubs.get(&number).cloned()) {
            return local;
        }
        let (inbox, receiver) = Inbox::new();
        let local = Rc::new(LocalHub {
            shared: Arc::clone(shared),
            inbox,
            topics: RefCell::default(),
            subscriptions: Cell::new(0),
        });
        HUBS.with_borrow_mut(|hubs| hubs.insert(number, Rc::clone(&local)));
        tokio::task::spawn_local(forward(Rc::downgrade(&local), receiver));
        local
    }

    fn deliver(&self, topic: &str, notice: Notice) {
        self.inbox.has_taken(&notice);
        let topic = self.topics.borrow().get(topic).cloned();
        if let Some(topic) = topic {
            let config = &self.shared.config;
            topic
                .ring
                .borrow_mut()
                .push(notice, config.lag_messages, config.history_bytes);
            topic.wake();
        }
    }

    /// Marks all subscribers as lagging, because notices of an unknown topic were dropped.
    fn lag(&self) {
        for topic in self.topics.borrow().values() {
            topic.ring.borrow_mut().clear();
            topic.wake();
        }
    }
}

/// Forwards the notices of other threads to the subscribers of this thread.
async fn forward(hub: std::rc::Weak<LocalHub>, mut notices: UnboundedReceiver<(Arc<str>, Notice)>) {
    while let Some((topic, notice)) = notices.recv().await {
        let Some(hub) = hub.upgrade() else { return };
        hub.deliver(&topic, notice);
        if hub.inbox.dropped.swap(0, Ordering::Acquire) > 0 {
            tracing::warn!(
                "a worker had more than 16 MiB of undelivered messages, and its subscribers missed some: do not block the worker"
            );
            hub.lag();
        }
    }
}

impl LocalTopic {
    fn wake(&self) {
        for (_, waker) in &mut *self.wakers.borrow_mut() {
            std::mem::replace(waker, Waker::noop().clone()).wake();
        }
    }
}

impl Subscriber {
    /// Subscribes on this thread.
    pub(super) fn new(
        shared: &Arc<SharedTopics>,
        name: &Arc<str>,
        from: StartFrom,
    ) -> Result<(Self, Replay), HubError> {
        let hub = LocalHub::of(shared);
        if hub.subscriptions.get() >= hub.shared.config.worker_subscriptions {
            return Err(HubError::Full { what: "subscriptions" });
        }
        let topic = {
            let mut topics = hub.topics.borrow_mut();
            let topic = topics.entry(Arc::clone(name)).or_insert_with(|| {
                Rc::new(LocalTopic {
                    name: Arc::clone(name),
                    ring: RefCell::default(),
                    wakers: RefCell::default(),
                })
            });
            Rc::clone(topic)
        };
        hub.subscriptions.set(hub.subscriptions.get() + 1);
        let cursor = topic.ring.borrow_mut().enter();
        let key = topic.wakers.borrow_mut().insert(Waker::noop().clone());
        let subscriber = Subscriber {
            cursor,
            key,
            topic,
            hub,
        };
        // Dropping it after an error unsubscribes.
        let replay = subscriber.hub.shared.subscribe(name, &subscriber.hub.inbox, from)?;
        Ok((subscriber, replay))
    }

    /// Returns the next notice; `None` if notices are lost.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Notice>> {
        match self.topic.ring.borrow_mut().take(&mut self.cursor) {
            Next::Notice(notice) => Poll::Ready(Some(notice)),
            Next::Lagged => Poll::Ready(None),
            Next::Empty => {
                if let Some(waker) = self.topic.wakers.borrow_mut().get_mut(self.key) {
                    waker.clone_from(context.waker());
                }
                Poll::Pending
            }
        }
    }

    /// Returns whether a message follows the last one that was taken.
    pub(super) fn has_later_message(&self) -> bool {
        self.topic.ring.borrow().has_later_message(self.cursor)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let has_others = self.topic.ring.borrow_mut().leave(self.cursor);
        drop(self.topic.wakers.borrow_mut().try_remove(self.key));
        let hub = &self.hub;
        hub.subscriptions.set(hub.subscriptions.get() - 1);
        if has_others {
            return;
        }
        hub.topics.borrow_mut().remove(&self.topic.name);
        hub.shared.unsubscribe(&self.topic.name, &hub.inbox);
        if hub.topics.borrow().is_empty() {
            // The hub holds the last sender: its drop ends the task.
            let number = hub.shared.number;
            drop(HUBS.try_with(|hubs| hubs.borrow_mut().remove(&number)));
        }
    }
}
