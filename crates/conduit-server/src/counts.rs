//! The counters of a server: connections, requests, bytes, and hits of each limit.
//!
//! Each worker is the only writer of its counters: an addition is a load and a store, without a lock and
//! without another core's cache line. Readers sum them up.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::counter::Counter;
use crate::latency::RouteCounts;
use crate::limit::Limit;
use crate::running::Running;

/// The counters of one worker. Aligned so that no two workers write to one cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counts {
    /// Connections that were accepted.
    pub accepted: Counter,
    /// Connections that have closed.
    pub closed: Counter,
    /// TLS handshakes that failed.
    pub failed_handshakes: Counter,
    /// Requests whose exchange has begun.
    pub requests: Counter,
    /// WebSockets that were opened.
    pub websockets_opened: Counter,
    /// WebSockets that have closed.
    pub websockets_closed: Counter,
    /// Messages of WebSockets that were received.
    pub received_messages: Counter,
    /// Messages of WebSockets that were sent.
    pub sent_messages: Counter,
    /// Bytes that were received, without those of TLS.
    pub received_bytes: Counter,
    /// Bytes that were sent, without those of TLS.
    pub sent_bytes: Counter,
    /// The delay of the worker's last one-second tick, in microseconds.
    pub lag_micros: Counter,
    /// The current poll of the worker; see `blocking`.
    pub(crate) running: Running,
    /// One for each route, in the order of the table, and one for requests without a route. Empty if they are not
    /// counted.
    pub routes: Box<[RouteCounts]>,
    limit_hits: [Counter; Limit::ALL.len()],
}

/// The counters of all workers, and the index of one of them.
#[derive(Clone)]
pub(crate) struct WorkerCounts {
    all: Arc<[Counts]>,
    worker: u32,
}

impl WorkerCounts {
    pub(crate) fn new(all: Arc<[Counts]>, worker: usize) -> Self {
        // No server has as many workers.
        let worker = u32::try_from(worker).unwrap_or_default();
        WorkerCounts { all, worker }
    }

    #[inline]
    pub(crate) fn of_worker(&self) -> &Counts {
        &self.all[self.worker as usize]
    }
}

impl Counts {
    /// The counters of a worker, with those of `routes` routes unless routes are not counted.
    pub fn new(routes: Option<usize>) -> Self {
        Counts {
            routes: (0..routes.map_or(0, |routes| routes + 1))
                .map(|_| RouteCounts::default())
                .collect(),
            ..Counts::default()
        }
    }

    /// Counts a response of the route at this index.
    pub fn record_response(&self, route: Option<usize>, status: u16, took: Duration) {
        let place = route.unwrap_or(self.routes.len().wrapping_sub(1));
        if let Some(counts) = self.routes.get(place) {
            counts.add(status, took);
        }
    }

    /// Counts a hit of a limit.
    #[cold]
    pub fn record_limit_hit(&self, limit: Limit) {
        self.limit_hits[limit as usize].add(1);
    }
}

/// The statistics of a server, of all workers; from [`ServerHandle::statistics`](crate::ServerHandle::statistics).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Statistics {
    /// Connections that were accepted.
    pub accepted_connections: u64,
    /// Connections that are open.
    pub open_connections: u64,
    /// TLS handshakes that failed: the client or the server rejected the other, or the client closed in the middle. The cause
    /// of each is logged at debug level. Those that stalled count as [`Limit::HandshakeTime`] instead.
    pub failed_handshakes: u64,
    /// The number of failed reloads of certificate files: a file was damaged, or the new certificate was not valid while the
    /// previous one was.
    pub failed_certificate_reloads: u64,
    /// The time at which the first of the certificates in use expires; `None` without TLS.
    pub certificates_not_after: Option<SystemTime>,
    /// Requests that were served. The head is valid, and so is the part of the body that was read with it.
    pub requests: u64,
    /// WebSockets that were opened.
    pub opened_websockets: u64,
    /// WebSockets that are open.
    pub open_websockets: u64,
    /// Messages of WebSockets that were received.
    pub received_messages: u64,
    /// Messages of WebSockets that were sent.
    pub sent_messages: u64,
    /// Bytes that were received, without those of TLS.
    pub received_bytes: u64,
    /// Bytes that were sent, without those of TLS.
    pub sent_bytes: u64,
    /// The delay of the latest one-second tick, in microseconds; the maximum of all workers. While a handler blocks its
    /// worker, the worker's previous value counts.
    pub loop_lag_micros: u64,
    limit_hits: [u64; Limit::ALL.len()],
}

impl Statistics {
    pub(crate) fn of(workers: &[Counts]) -> Self {
        let mut sum = Statistics::default();
        for counts in workers {
            // Closed first: a connection between the two reads counts as open, so the difference is never negative.
            let closed = counts.closed.get();
            let accepted = counts.accepted.get();
            sum.accepted_connections += accepted;
            sum.open_connections += accepted.saturating_sub(closed);
            let closed = counts.websockets_closed.get();
            let opened = counts.websockets_opened.get();
            sum.opened_websockets += opened;
            sum.open_websockets += opened.saturating_sub(closed);
            sum.received_messages += counts.received_messages.get();
            sum.sent_messages += counts.sent_messages.get();
            sum.failed_handshakes += counts.failed_handshakes.get();
            sum.requests += counts.requests.get();
            sum.received_bytes += counts.received_bytes.get();
            sum.sent_bytes += counts.sent_bytes.get();
            sum.loop_lag_micros = sum.loop_lag_micros.max(counts.lag_micros.get());
            for (sum, hits) in sum.limit_hits.iter_mut().zip(&counts.limit_hits) {
                *sum += hits.get();
            }
        }
        sum
    }

    /// The number of hits of this limit.
    pub fn limit_hits(&self, limit: Limit) -> u64 {
        self.limit_hits[limit as usize]
    }
}
