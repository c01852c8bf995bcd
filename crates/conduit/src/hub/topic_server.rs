//! The interface of a server that keeps the topics of an engine.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::config::HubConfig;
use super::engine::TopicSnapshot;
use super::error::HubError;
use super::message::Position;

/// The bounds of the queues of a [`RemoteEngine`](super::remote::RemoteEngine), and its times.
#[derive(Clone, Debug)]
pub struct RemoteEngineConfig {
    /// The time for which a publisher, a new subscriber and a new member wait while the server is unavailable; then they
    /// receive [`HubError::Unavailable`]. With zero, they fail at once; at most a hundred years. Default: 10 s.
    pub queue_timeout: Duration,
    /// The maximum number of messages that wait. Further messages fail with [`HubError::Full`]. Default: 1,000.
    pub waiting_messages: usize,
    /// The maximum number of bytes of messages that wait. Default: 8 MiB.
    pub waiting_bytes: usize,
    /// The time for which the members of a process remain present after it has last renewed its lease, at most a hundred
    /// years. Default: 15 s.
    pub lease: Duration,
    /// The maximum time for a response of the server, after which the engine reconnects. Default: 5 s.
    pub response_timeout: Duration,
}

impl Default for RemoteEngineConfig {
    fn default() -> Self {
        RemoteEngineConfig {
            queue_timeout: Duration::from_secs(10),
            waiting_messages: 1000,
            waiting_bytes: 8 * 1024 * 1024,
            lease: Duration::from_secs(15),
            response_timeout: Duration::from_secs(5),
        }
    }
}

/// The maximum time to live, and the maximum of the times of an engine, a hundred years: the sum with the current time is in the
/// range of every server.
pub(super) const LONGEST_TIME: Duration = Duration::from_secs(100 * 366 * 24 * 3600);

/// The time for which a server keeps a topic that no process follows: twice the time of the history, at least a minute and
/// at most a hundred years.
pub fn time_to_live(config: &HubConfig) -> Duration {
    let twice = config.history_time.saturating_mul(2);
    twice.clamp(Duration::from_secs(60), LONGEST_TIME)
}

/// A server that keeps the topics of an engine.
pub trait TopicServer: Send + 'static {
    /// The connections of an engine to the server, which end when one is lost.
    type Session: TopicSession;

    /// The name of the server in the log.
    const NAME: &'static str;

    /// The line of [`readyz`](fn@crate::health::readyz) while there is no connection.
    const NOT_CONNECTED: &'static str;

    /// Connects, for a hub and an engine with these bounds. The engine tries again after an error.
    fn open(
        &self,
        hub: &HubConfig,
        engine: &RemoteEngineConfig,
    ) -> impl Future<Output = Result<Self::Session, SessionError>> + 'static;
}

/// The requests of an engine to its server. All futures run on the thread of the engine, one at a time, and to completion
/// except for [`update`](Self::update).
///
/// Each request is atomic with respect to all processes. If the session is lost during a request, the next session repeats
/// it.
pub trait TopicSession {
    /// Set if the session reports messages as [`RemoteUpdate::Published`], which may be lost. Default: false.
    const SENDS_HINTS: bool = false;

    /// Waits for the next update of a topic that this session has subscribed to.
    ///
    /// # Cancel safety
    ///
    /// The engine drops the future when it has another request; the update must then be the result of the next call.
    fn update(&mut self) -> impl Future<Output = Result<RemoteUpdate, SessionError>>;

    /// Subscribes to topics: later changes are updates of this session.
    fn subscribe(&mut self, topics: &[Arc<str>]) -> impl Future<Output = Result<(), SessionError>>;

    /// Ends the updates of a topic.
    fn unsubscribe(&mut self, topic: &Arc<str>) -> impl Future<Output = Result<(), SessionError>>;

    /// Reads topics, and creates missing ones. Each snapshot has at least the messages after the given position, which is
    /// the last one of this process, within the bounds of the history. A topic whose last position precedes the given one
    /// has lost messages: the server creates it again with a larger epoch. The server reads the members at the same time as
    /// the messages or earlier, so that the departure of a member follows its messages. The engine reads at most 16 topics
    /// at once.
    fn read(
        &mut self,
        topics: &[(Arc<str>, Option<Position>)],
    ) -> impl Future<Output = Result<Vec<Result<TopicSnapshot, String>>, SessionError>>;

    /// Reads the messages after these positions, in the order of each topic: all, or the first ones, for at most 16 topics.
    /// The engine calls it after [`RemoteUpdate::Published`], and periodically if the session [sends
    /// hints](Self::SENDS_HINTS).
    fn read_after(
        &mut self,
        topics: &[(Arc<str>, Position)],
    ) -> impl Future<Output = Result<LaterMessages, SessionError>> {
        let _ = topics;
        std::future::ready(Ok(LaterMessages::default()))
    }

    /// Removes a bounded part of the expired state. Returns whether more may remain: the engine then calls it again soon.
    fn remove_expired(&mut self) -> impl Future<Output = Result<bool, SessionError>> {
        std::future::ready(Ok(false))
    }

    /// Publishes messages in their order. A retry of a published message returns its original position. The result has a
    /// position or an error for each message.
    fn publish(
        &mut self,
        messages: &[RemoteMessage],
    ) -> impl Future<Output = Result<Vec<Result<Position, String>>, SessionError>>;

    /// Applies the changes to the members of this process in their order. Returns [`HubError::Full`] for a topic that has
    /// reached its limit of members.
    fn change_members(
        &mut self,
        process: u64,
        changes: &[MemberChange],
    ) -> impl Future<Output = Result<Vec<Result<(), HubError>>, SessionError>>;

    /// Renews the lease of this process, and checks that the connection for updates responds.
    fn renew_lease(
        &mut self,
        process: u64,
        lease: Duration,
    ) -> impl Future<Output = Result<ProcessLease, SessionError>>;

    /// Extends the time to live of topics to the full [`time_to_live`].
    fn refresh(&mut self, topics: &[Arc<str>]) -> impl Future<Output = Result<(), SessionError>>;
}

/// An update of topics that a session has subscribed to.
#[derive(Clone, Debug)]
pub enum RemoteUpdate {
    /// A message.
    Message(Arc<str>, Position, Arc<str>),
    /// A process has added a member.
    Joined(Arc<str>, u64, Arc<str>),
    /// A process has removed a member.
    Left(Arc<str>, u64, Arc<str>),
    /// Topics have new messages. The engine [reads them](TopicSession::read_after).
    Published(Vec<Arc<str>>),
    /// Topics have changed. The engine [reads them](TopicSession::read).
    Changed(Vec<Arc<str>>),
}

/// Messages that follow those of a replica.
#[derive(Clone, Debug, Default)]
pub struct LaterMessages {
    /// The topic, the position and the JSON of each.
    pub messages: Vec<(Arc<str>, Position, Arc<str>)>,
    /// More messages may follow these.
    pub has_more: bool,
}

/// A message that an engine publishes.
#[derive(Clone, Debug)]
pub struct RemoteMessage {
    /// The topic.
    pub topic: Arc<str>,
    /// The message.
    pub json: Arc<str>,
    /// Identifies the message among those of all processes.
    pub token: String,
    /// An earlier attempt may have published the message.
    pub is_retry: bool,
}

/// The change of a member of this process.
#[derive(Clone, Debug)]
pub struct MemberChange {
    /// The change.
    pub kind: MemberChangeKind,
    /// The topic.
    pub topic: Arc<str>,
    /// The member.
    pub member: Arc<str>,
}

/// The kind of a [`MemberChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberChangeKind {
    /// The member joins.
    Join,
    /// The member is present already; the server or the other processes may have lost it.
    Announce,
    /// The member leaves.
    Leave,
}

/// The result of a renewed lease.
#[derive(Clone, Debug)]
pub struct ProcessLease {
    /// The lease had expired, and the server has removed the members of this process.
    pub had_ended: bool,
    /// The processes with a lease.
    pub live: Vec<u64>,
}

/// The error of a request to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionError {
    /// The connection was lost or does not respond. The next session repeats the request.
    Lost(String),
    /// The server rejects the request, for example because it is full.
    Refused(String),
}

impl fmt::Display for SessionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionError::Lost(error) | SessionError::Refused(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for SessionError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_to_live_has_bounds() {
        let of = |history_time| {
            time_to_live(&HubConfig {
                history_time,
                ..HubConfig::default()
            })
        };
        assert_eq!(of(Duration::ZERO), Duration::from_secs(60));
        assert_eq!(of(Duration::from_secs(100)), Duration::from_secs(200));
        assert_eq!(of(Duration::MAX), LONGEST_TIME);
    }
}
