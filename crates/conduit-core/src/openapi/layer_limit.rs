//! The limits of layers.

use std::time::Duration;

/// A limit of a layer on the requests that pass it; a lower one rejects more requests. A layer adds it to its description by
/// [`Operation::limit`](super::Operation::limit).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerLimit {
    /// The maximum size of a request body in bytes.
    BodyBytes(u64),
    /// The maximum number of requests of one client in a period.
    Rate {
        /// The number of requests.
        requests: u32,
        /// The period.
        period: Duration,
    },
    /// The maximum number of concurrent requests.
    ConcurrentRequests(usize),
    /// The maximum time until the head of the response.
    ResponseTime(Duration),
}
