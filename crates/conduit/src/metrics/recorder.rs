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

use super::numbers::{NUMBERS, Number, NumberKind, numbers, seconds, totals_of_routes};
use crate::limit::Limit;
use crate::server::ServerHandle;
use crate::server::counts::Statistics;
use crate::server::latency::{BOUNDS_MICROS, RouteTotals};
use conduit_core::internal::panics::caught;

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

/// The sum of each amount over all servers in this process, as last forwarded.
static AMOUNTS: [AtomicI64; NUMBERS] = [const { AtomicI64::new(0) }; NUMBERS];

/// Forwards a server's metrics to the program's recorder; forwards the last changes when dropped.
pub(super) struct Forwarding {
    server: ServerHandle,
    /// The forwarded values.
    sent_numbers: [u64; NUMBERS],
    sent: Statistics,
    sent_routes: Vec<RouteTotals>,
}

impl Forwarding {
    pub(super) fn new(server: ServerHandle) -> Self {
        caught("the recorder of metrics panicked", || describe(&server));
        let routes = server.definitions().len() + 1;
        Forwarding {
            server,
            sent_numbers: [0; NUMBERS],
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
        for (index, number) in numbers(&self.server, &now).into_iter().enumerate() {
            let Number { name, kind, value, .. } = number;
            let Some(value) = value else { continue };
            let sent = std::mem::replace(&mut self.sent_numbers[index], value);
            match kind {
                NumberKind::Counter if value > sent => counter!(name).increment(value - sent),
                NumberKind::Counter => {}
                NumberKind::ProcessCounter => counter!(name).absolute(value),
                NumberKind::Amount => {
                    let change = value as i64 - sent as i64;
                    let total = AMOUNTS[index].fetch_add(change, Ordering::Relaxed) + change;
                    gauge!(name).set(total as f64);
                }
                NumberKind::Time => gauge!(name).set(value as f64),
            }
        }
        for limit in Limit::ALL {
            let hits = now.limit_hits(limit) - self.sent.limit_hits(limit);
            if hits > 0 {
                counter!("conduit_limit_hits_total", "limit" => limit.name()).increment(hits);
            }
        }
        self.sent = now;
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

fn describe(server: &ServerHandle) {
    for number in numbers(server, &server.statistics()) {
        let Number { name, help, .. } = number;
        match (number.kind.name(), Unit::from_string(number.unit)) {
            ("counter", Some(unit)) => describe_counter!(name, unit, help),
            ("counter", None) => describe_counter!(name, help),
            (_, Some(unit)) => describe_gauge!(name, unit, help),
            (_, None) => describe_gauge!(name, help),
        }
    }
    describe_counter!("conduit_limit_hits_total", "Hits of each limit or deadline.");
    describe_gauge!(
        "conduit_loop_lag_seconds",
        Unit::Seconds,
        "Delay of the last one-second tick of the worker's event loop."
    );
    describe_counter!(
        "conduit_requests_total",
        "Responses, by route and class of status; without method and route where no route matched."
    );
    describe_counter!(
        "conduit_request_duration_seconds_bucket",
        "Requests with at most le seconds from the end of the head to the end of the response."
    );
    describe_counter!(
        "conduit_request_duration_seconds_count",
        "Requests whose duration is known."
    );
    describe_counter!(
        "conduit_request_duration_nanoseconds_sum",
        Unit::Nanoseconds,
        "The sum of the durations of these requests, in nanoseconds."
    );
}
