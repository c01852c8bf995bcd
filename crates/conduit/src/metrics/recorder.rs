//! The recorder of the `metrics` crate: Conduit itself where nobody else is, or one that the program has set, such as an
//! exporter to StatsD, which the server's own numbers are passed on to.
//!
//! They are not counted through that crate: it looks a metric up by its labels for each request, and recorders keep every
//! sample of a histogram until somebody asks. Once a second what has come about since the last time is passed on.

use std::convert::Infallible;
use std::sync::OnceLock;
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::time::MissedTickBehavior;

use super::totals_of_routes;
use crate::server::ServerHandle;
use crate::server::counts::{Limit, Statistics};
use crate::server::latency::{BOUNDS_MICROS, RouteTotals};

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Becomes the recorder, unless the program has set one itself.
pub(crate) fn install() {
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        match metrics::set_global_recorder(recorder) {
            Ok(()) => Some(handle),
            Err(_) => {
                tracing::debug!("the program has a recorder of its own: its metrics are not on the page");
                None
            }
        }
    });
}

/// To be called now and then: samples of histograms wait in memory until then.
pub(crate) fn run_upkeep() {
    if let Some(Some(handle)) = HANDLE.get() {
        handle.run_upkeep();
    }
}

/// What the program has counted, if Conduit is the recorder.
pub(super) fn render() -> String {
    match HANDLE.get() {
        Some(Some(handle)) => handle.render(),
        _ => String::new(),
    }
}

/// Passes a server's numbers on to the recorder that the program has set, and the last of them when it is dropped.
pub(super) struct Forwarding {
    server: ServerHandle,
    /// What has been passed on.
    sent: Statistics,
    sent_routes: Vec<RouteTotals>,
}

impl Forwarding {
    /// Nothing where Conduit is the recorder, on whose page the numbers stand already.
    pub(super) fn new(server: ServerHandle) -> Option<Self> {
        if let Some(Some(_)) = HANDLE.get() {
            return None;
        }
        describe();
        Some(Forwarding {
            sent_routes: server.definitions().iter().map(|_| RouteTotals::default()).collect(),
            sent: Statistics::default(),
            server,
        })
    }

    pub(super) async fn run(mut self) -> Infallible {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            second.tick().await;
            self.pass_on();
        }
    }

    /// Only what has changed, by how much: another server of this process may count in the same metrics.
    fn pass_on(&mut self) {
        let now = self.server.statistics();
        let since = |name: &'static str, now: u64, sent: u64| {
            if now > sent {
                counter!(name).increment(now - sent);
            }
        };
        let sent = &self.sent;
        since(
            "conduit_connections_accepted_total",
            now.accepted_connections,
            sent.accepted_connections,
        );
        since("conduit_received_bytes_total", now.received_bytes, sent.received_bytes);
        since("conduit_sent_bytes_total", now.sent_bytes, sent.sent_bytes);
        let opened = now.open_connections as f64 - sent.open_connections as f64;
        gauge!("conduit_connections_open").increment(opened);
        for limit in Limit::ALL {
            let struck = now.struck(limit) - sent.struck(limit);
            if struck > 0 {
                counter!("conduit_limits_struck_total", "limit" => limit.name()).increment(struck);
            }
        }
        for (worker, counts) in self.server.counts().iter().enumerate() {
            let lag = Duration::from_micros(counts.lag_micros.get());
            gauge!("conduit_loop_lag_seconds", "worker" => worker.to_string()).set(lag);
        }
        self.sent = now;
        let totals = totals_of_routes(&self.server);
        self.sent_routes.resize_with(totals.len(), RouteTotals::default);
        let definitions = self.server.definitions().iter();
        let labels = definitions
            .map(|definition| (definition.method, definition.path))
            .chain([("", "")]);
        for ((method, route), (now, sent)) in labels.zip(totals.iter().zip(&self.sent_routes)) {
            for (status, (now, sent)) in CLASSES.into_iter().zip(now.classes.iter().zip(&sent.classes)) {
                if now > sent {
                    counter!("conduit_requests_total", "method" => method, "route" => route, "status" => status)
                        .increment(now - sent);
                }
            }
            for (place, (now, sent)) in now.buckets.iter().zip(&sent.buckets).enumerate() {
                if now > sent {
                    let count = usize::try_from(now - sent).unwrap_or(usize::MAX);
                    histogram!("conduit_request_duration_seconds", "method" => method, "route" => route)
                        .record_many(duration(place), count);
                }
            }
        }
        self.sent_routes = totals;
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.pass_on();
    }
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What stands for a duration in this bucket: the bucket's bound, and twice the last one above that.
fn duration(bucket: usize) -> Duration {
    let last = BOUNDS_MICROS[BOUNDS_MICROS.len() - 1];
    Duration::from_micros(BOUNDS_MICROS.get(bucket).copied().unwrap_or(2 * last))
}

fn describe() {
    describe_counter!("conduit_connections_accepted_total", "Connections accepted.");
    describe_gauge!("conduit_connections_open", "Connections open.");
    describe_counter!("conduit_received_bytes_total", Unit::Bytes, "Bytes received.");
    describe_counter!("conduit_sent_bytes_total", Unit::Bytes, "Bytes sent.");
    describe_counter!(
        "conduit_limits_struck_total",
        "How often each limit or deadline has struck."
    );
    describe_gauge!(
        "conduit_loop_lag_seconds",
        Unit::Seconds,
        "How late the last second was heard of by the worker's loop."
    );
    describe_counter!(
        "conduit_requests_total",
        "Requests answered, by route and class of status; no route has those that none is for."
    );
    describe_histogram!(
        "conduit_request_duration_seconds",
        Unit::Seconds,
        "From a request's head to the end of its answer."
    );
}
