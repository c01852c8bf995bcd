//! The settings of an engine.

use std::time::Duration;

use conduit::hub::remote::RemoteEngineConfig;

/// The settings of a [`RedisEngine`](crate::RedisEngine).
#[derive(Clone, Debug)]
pub struct RedisEngineConfig {
    /// The prefix of all keys. Services that share a server need different prefixes. Default: `conduit`.
    pub prefix: String,
    /// The time for which a publisher, a new subscriber and a new member wait while the server is unavailable; then they
    /// receive [`HubError::Unavailable`](conduit::hub::HubError::Unavailable). With zero, they fail at once. Default: 10 s.
    pub queue_timeout: Duration,
    /// The maximum number of messages that wait. Further messages fail with [`HubError::Full`](conduit::hub::HubError::Full).
    /// Default: 1,000.
    pub waiting_messages: usize,
    /// The maximum number of bytes of messages that wait. Default: 8 MiB.
    pub waiting_bytes: usize,
    /// The time for which the members of a process remain present after its last sign of life. Default: 15 s.
    pub lease: Duration,
    /// The maximum time to wait for a response of the server; then the engine reconnects. Default: 5 s.
    pub response_timeout: Duration,
}

impl Default for RedisEngineConfig {
    fn default() -> Self {
        let RemoteEngineConfig {
            queue_timeout,
            waiting_messages,
            waiting_bytes,
            lease,
            response_timeout,
        } = RemoteEngineConfig::default();
        RedisEngineConfig {
            prefix: "conduit".to_owned(),
            queue_timeout,
            waiting_messages,
            waiting_bytes,
            lease,
            response_timeout,
        }
    }
}
