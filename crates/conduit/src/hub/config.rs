//! The bounds of a hub.

use std::time::Duration;

/// The bounds of a [`Hub`](super::Hub).
#[derive(Clone, Debug)]
pub struct HubConfig {
    /// The maximum number of topics with a subscriber, a member or a message. Default: 100,000.
    pub topics: usize,
    /// The maximum number of subscriptions of a worker. Default: 100,000.
    pub worker_subscriptions: usize,
    /// The maximum number of members of a topic. Default: 10,000.
    pub members: usize,
    /// The maximum number of messages in the history of a topic; 0 keeps no history. Default: 100.
    pub history_messages: usize,
    /// The maximum number of bytes in the history of a topic, and of the messages of a topic that slow subscribers on a
    /// worker have not received. A subscriber that begins with messages of the history holds these in addition until it has
    /// received them. Default: 256 KiB.
    pub history_bytes: usize,
    /// The time after which a message leaves the history. A later operation on a topic frees its memory, or with an engine the
    /// next renewal of the lease. Default: 5 minutes.
    pub history_time: Duration,
    /// The maximum number of bytes in the histories of all topics. Default: 64 MiB.
    pub memory_bytes: usize,
    /// The maximum length of a message in bytes. Default: 64 KiB.
    pub message_bytes: usize,
    /// The number of messages by which a subscriber may lag before its [`LagPolicy`](super::LagPolicy) applies. Default:
    /// 256.
    pub lag_messages: usize,
}

impl Default for HubConfig {
    fn default() -> Self {
        HubConfig {
            topics: 100_000,
            worker_subscriptions: 100_000,
            members: 10_000,
            history_messages: 100,
            history_bytes: 256 * 1024,
            history_time: Duration::from_secs(300),
            memory_bytes: 64 * 1024 * 1024,
            message_bytes: 64 * 1024,
            lag_messages: 256,
        }
    }
}
