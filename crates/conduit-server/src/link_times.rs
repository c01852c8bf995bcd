//! The times and the rate by which a link measures its client.

use std::time::Duration;

use crate::config::Config;

/// The times of a link. It does not depend on the protocol: the head of a request and a frame of HTTP/2 are messages.
pub(crate) struct LinkTimes {
    /// The time between two messages, and the time for the server after the client has ended its half of the stream.
    pub(crate) idle: Duration,
    /// The time for the rest of a message that has begun.
    pub(crate) message: Duration,
    /// The minimum rate of transfers, in bytes a second.
    pub(crate) minimum_rate: u64,
    /// The time for which a client may be below the minimum rate, and in which it must acknowledge sent bytes.
    pub(crate) rate_grace: Duration,
}

impl LinkTimes {
    /// The times that the configuration sets.
    pub(crate) fn of(config: &Config) -> Self {
        LinkTimes {
            idle: config.idle_timeout,
            message: config.head_timeout,
            minimum_rate: config.minimum_rate,
            rate_grace: config.rate_grace,
        }
    }
}
