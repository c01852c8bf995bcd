//! The requests of a hub to the task of a remote engine, and their bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::error::HubError;
use super::message::Position;
use super::topic_server::RemoteEngineConfig;

pub(super) type Reply<T> = oneshot::Sender<Result<T, HubError>>;

/// The maximum number of new subscribers and members that wait: enough for the clients of a process that connect again at
/// once.
const WAITING_REQUESTS: usize = 32 * 1024;

pub(super) enum Request {
    Publish(PublishRequest),
    Follow(
        Arc<str>,
        Pending<()>,
        #[expect(dead_code, reason = "dropping it frees the slot")] Permit,
    ),
    Unfollow(Arc<str>),
    Join(Membership, Pending<()>, Permit),
    Leave(Membership),
}

/// A member of a topic.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Membership {
    pub(super) topic: Arc<str>,
    pub(super) member: Arc<str>,
}

/// A caller that waits until its deadline while the server is unavailable.
pub(super) struct Pending<T> {
    reply: Option<Reply<T>>,
    pub(super) deadline: Instant,
}

pub(super) struct PublishRequest {
    pub(super) topic: Arc<str>,
    pub(super) json: Arc<str>,
    /// Identifies the message among those of all processes.
    pub(super) number: u64,
    /// The request was sent, and its result is unknown.
    pub(super) was_sent: bool,
    pub(super) pending: Pending<Position>,
    pub(super) _permit: Permit,
}

impl<T> Pending<T> {
    pub(super) fn new(reply: Reply<T>, deadline: Instant) -> Self {
        Pending {
            reply: Some(reply),
            deadline,
        }
    }

    /// Returns whether the caller was dropped.
    pub(super) fn is_abandoned(&self) -> bool {
        self.reply.as_ref().is_none_or(Reply::is_closed)
    }

    pub(super) fn end(&mut self, result: Result<T, HubError>) {
        if let Some(reply) = self.reply.take() {
            // The caller may have been dropped.
            let _ = reply.send(result);
        }
    }
}

impl Request {
    /// Fails a request for whose deadline `is_over` returns true. Returns whether it has failed.
    pub(super) fn end_if(&mut self, is_over: impl Fn(Instant) -> bool) -> bool {
        match self {
            Request::Publish(PublishRequest { pending, .. }) if is_over(pending.deadline) => {
                pending.end(Err(HubError::Unavailable));
                true
            }
            Request::Follow(_, pending, _) | Request::Join(_, pending, _) if is_over(pending.deadline) => {
                pending.end(Err(HubError::Unavailable));
                true
            }
            _ => false,
        }
    }
}

/// The requests that wait.
#[derive(Default)]
pub(super) struct WaitingRequests {
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

/// The slot of a request in the queue, freed on drop.
pub(super) struct Permit {
    waiting: Arc<WaitingRequests>,
    bytes: usize,
}

impl WaitingRequests {
    pub(super) fn enter(self: &Arc<Self>, bytes: usize, config: &RemoteEngineConfig) -> Result<Permit, HubError> {
        let limits = (config.waiting_messages, config.waiting_bytes);
        self.enter_within(bytes, limits, "waiting messages")
    }

    /// Enters a subscriber or a member.
    pub(super) fn enter_topic(self: &Arc<Self>) -> Result<Permit, HubError> {
        self.enter_within(0, (WAITING_REQUESTS, 0), "waiting requests")
    }

    fn enter_within(
        self: &Arc<Self>,
        bytes: usize,
        (most, most_bytes): (usize, usize),
        what: &'static str,
    ) -> Result<Permit, HubError> {
        let messages = self.messages.fetch_add(1, Ordering::Relaxed);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let permit = Permit {
            waiting: Arc::clone(self),
            bytes,
        };
        // Dropping it after an error frees the slot.
        if messages >= most || before + bytes > most_bytes {
            return Err(HubError::Full { what });
        }
        Ok(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.waiting.messages.fetch_sub(1, Ordering::Relaxed);
        self.waiting.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
