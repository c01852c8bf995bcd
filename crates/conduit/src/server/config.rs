//! What a server allows, and for how long it waits. Every limit is on unless it is changed.

use std::time::Duration;

use conduit_proto::h1::Limits;

/// The settings of a server; each is documented at the method of [`App`](crate::App) that sets it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    pub(crate) workers: Option<usize>,
    pub(crate) head: Limits,
    pub(crate) body_bytes: u64,
    pub(crate) head_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) minimum_rate: u64,
    pub(crate) rate_grace: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) connections: Option<usize>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            workers: None,
            head: Limits::default(),
            body_bytes: 2 * 1024 * 1024,
            head_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            minimum_rate: 1024,
            rate_grace: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(30),
            connections: None,
        }
    }
}
