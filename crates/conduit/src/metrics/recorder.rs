//! The recorder of the `metrics` crate: Conduit's recorder, or one that the program has installed, such as an exporter to
//! StatsD, which receives the server's metrics.
//!
//! The server does not count through that crate, which looks up a metric by its labels for each request. Instead it forwards
//! the changes once a second. Durations are forwarded as counters, one per bucket: a histogram of that crate stores each sample
//! until it is read.

use std::convert::Infallible;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::time::MissedTickBehavior;

use super::{seconds, seconds_since_1970, totals_of_routes};
use crate::limit::Limit;
use crate::server::ServerHandle;
use crate::server::counts::Statistics;
use crate::server::latency::{BOUNDS_MICROS, RouteTotals};
use conduit_core::panics::caught;

static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();

/// Installs Conduit's recorder, unless the program has installed one.
pub(crate) fn install() {
    HANDLE.get_or_init(|| {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        match metrics::set_global_recorder(recorder) {
            Ok(()) => Some(handle),
            Err(_) => {
                tracing::debug!("the program has installed a recorder: its metrics are not on the page");
                None
            }
        }
    });
}

/// Drains the samples of histograms, which accumulate in memory. Call it periodically.
pub(crate) fn run_upkeep() {
    if let Some(Some(handle)) = HANDLE.get() {
        handle.run_upkeep();
    }
}

/// The program's metrics, if Conduit is the recorder.
pub(super) fn render() -> String {
    match HANDLE.get() {
        Some(Some(handle)) => handle.render(),
        _ => String::new(),
    }
}

/// Returns whether Conduit is the recorder, so that its page already has the metrics.
fn is_ours() -> bool {
    matches!(HANDLE.get(), Some(Some(_)))
}

/// The connections of all servers in this process, as last forwarded.
static OPEN_CONNECTIONS: AtomicI64 = AtomicI64::new(0);
/// The open WebSockets, as last forwarded.
static OPEN_WEBSOCKETS: AtomicI64 = AtomicI64::new(0);

/// Forwards a server's metrics to the program's recorder; forwards the last changes when dropped.
pub(super) struct Forwarding {
    server: ServerHandle,
    /// The forwarded values.
    sent: Statistics,
    sent_routes: Vec<RouteTotals>,
}

impl Forwarding {
    pub(super) fn new(server: ServerHandle) -> Self {
        caught("the recorder of metrics panicked", describe);
        let routes = server.definitions().len() + 1;
        Forwarding {
            server,
            sent: Statistics::default(),
            sent_routes: (0..routes).map(|_| RouteTotals::default()).collect(),
        }
    }

    pub(super) async fn run(mut self) -> Infallible {
        let mut second = tokio::time::interval(Duration::from_secs(1));
        second.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            second.tick().await;
            self.pass_on();
        }
    }

    fn pass_on(&mut self) {
        if !is_ours() {
            caught("the recorder of metrics panicked", || {
                self.pass_on_server();
                self.pass_on_routes();
            });
        }
    }

    /// Forwards differences: another server of this process may use the same counters.
    fn pass_on_server(&mut self) {
        let now = self.server.statistics();
        let sent = std::mem::replace(&mut self.sent, now.clone());
        for (name, now, sent) in [
            (
                "conduit_connections_accepted_total",
                now.accepted_connections,
                sent.accepted_connections,
            ),
            (
                "conduit_tls_handshakes_failed_total",
                now.failed_handshakes,
                sent.failed_handshakes,
            ),
            (
                "conduit_tls_certificate_reloads_failed_total",
                now.failed_certificate_reloads,
                sent.failed_certificate_reloads,
            ),
            ("conduit_received_bytes_total", now.received_bytes, sent.received_bytes),
            ("conduit_sent_bytes_total", now.sent_bytes, sent.sent_bytes),
            (
                "conduit_websockets_opened_total",
                now.opened_websockets,
                sent.opened_websockets,
            ),
            (
                "conduit_websocket_messages_received_total",
                now.received_messages,
                sent.received_messages,
            ),
            (
                "conduit_websocket_messages_sent_total",
                now.sent_messages,
                sent.sent_messages,
            ),
        ] {
            if now > sent {
                counter!(name).increment(now - sent);
            }
        }
        let opened = now.open_connections as i64 - sent.open_connections as i64;
        let open = OPEN_CONNECTIONS.fetch_add(opened, Ordering::Relaxed) + opened;
        gauge!("conduit_connections_open").set(open as f64);
        let opened = now.open_websockets as i64 - sent.open_websockets as i64;
        let open = OPEN_WEBSOCKETS.fetch_add(opened, Ordering::Relaxed) + opened;
        gauge!("conduit_websockets_open").set(open as f64);
        if let Some(not_after) = now.certificates_not_after {
            gauge!("conduit_tls_certificate_not_after_seconds").set(seconds_since_1970(not_after) as f64);
        }
        for limit in Limit::ALL {
            let hits = now.limit_hits(limit) - sent.limit_hits(limit);
            if hits > 0 {
                counter!("conduit_limits_struck_total", "limit" => limit.name()).increment(hits);
            }
        }
        for (worker, counts) in self.server.counts().iter().enumerate() {
            let lag = Duration::from_micros(counts.lag_micros.get());
            gauge!("conduit_loop_lag_seconds", "worker" => worker.to_string()).set(lag);
        }
    }

    fn pass_on_routes(&mut self) {
        let now = totals_of_routes(&self.server);
        let sent = std::mem::replace(&mut self.sent_routes, now.clone());
        let definitions = self.server.definitions().iter();
        let labels = definitions
            .map(|definition| (definition.method, definition.path))
            .chain([("", "")]);
        for ((method, route), (now, sent)) in labels.zip(now.iter().zip(&sent)) {
            for (status, (now, sent)) in CLASSES.into_iter().zip(now.classes.iter().zip(&sent.classes)) {
                if now > sent {
                    counter!("conduit_requests_total", "method" => method, "route" => route, "status" => status)
                        .increment(now - sent);
                }
            }
            let mut below = 0;
            for (place, (now, sent)) in now.buckets.iter().zip(&sent.buckets).enumerate() {
                below += now - sent;
                if below > 0 {
                    let bound = BOUNDS_MICROS.get(place).map(|bound| seconds(u128::from(*bound) * 1000));
                    let bound = bound.map_or_else(|| "+Inf".to_owned(), |bound| bound.to_string());
                    let name = "conduit_request_duration_seconds_bucket";
                    counter!(name, "method" => method, "route" => route, "le" => bound).increment(below);
                }
            }
            if below > 0 {
                counter!("conduit_request_duration_seconds_count", "method" => method, "route" => route)
                    .increment(below);
                // Counters of this crate are whole numbers.
                counter!("conduit_request_duration_nanoseconds_sum", "method" => method, "route" => route)
                    .increment(now.sum_nanos.wrapping_sub(sent.sum_nanos));
            }
        }
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        self.pass_on();
    }
}

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

fn describe() {
    describe_counter!("conduit_connections_accepted_total", "Connections accepted.");
    describe_gauge!("conduit_connections_open", "Connections open.");
    describe_counter!("conduit_tls_handshakes_failed_total", "TLS handshakes that failed.");
    describe_counter!(
        "conduit_tls_certificate_reloads_failed_total",
        "Certificates that were read again and not used."
    );
    describe_gauge!(
        "conduit_tls_certificate_not_after_seconds",
        Unit::Seconds,
        "The end of the validity that ends first, in seconds since 1970."
    );
    describe_counter!("conduit_received_bytes_total", Unit::Bytes, "Bytes received.");
    describe_counter!("conduit_sent_bytes_total", Unit::Bytes, "Bytes sent.");
    describe_counter!("conduit_websockets_opened_total", "WebSockets opened.");
    describe_gauge!("conduit_websockets_open", "WebSockets open.");
    describe_counter!(
        "conduit_websocket_messages_received_total",
        "Messages of WebSockets received."
    );
    describe_counter!("conduit_websocket_messages_sent_total", "Messages of WebSockets sent.");
    describe_counter!("conduit_limits_struck_total", "Hits of each limit or deadline.");
    describe_gauge!(
        "conduit_loop_lag_seconds",
        Unit::Seconds,
        "Delay of the last one-second tick of the worker's loop."
    );
    describe_counter!(
        "conduit_requests_total",
        "Requests answered, by route and class of status; no route has those that none is for."
    );
    describe_counter!(
        "conduit_request_duration_seconds_bucket",
        "Requests that took no longer than le seconds from their head to the end of their answer."
    );
    describe_counter!(
        "conduit_request_duration_seconds_count",
        "Requests whose duration is known."
    );
    describe_counter!(
        "conduit_request_duration_nanoseconds_sum",
        Unit::Nanoseconds,
        "The sum of their durations."
    );
}
