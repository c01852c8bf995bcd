//! Metrics for Prometheus: those of the server, and with the feature `metrics` those that the program records with the
//! [`metrics`](https://docs.rs/metrics) crate.
//!
//! [`page`](fn@page) is an ordinary route. The server counts by route if the page is in the application's list, or with
//! `App::record_metrics`; otherwise it reads no clock for a request.
//!
//! # Example
//!
//! The metrics under `/metrics`:
//!
//! ```
//! use conduit::prelude::*;
//!
//! #[get("/")]
//! fn home() -> &'static str {
//!     "home"
//! }
//!
//! let app = App::new(()).routes(routes![home, conduit::metrics::page]);
//! ```

#[cfg(feature = "metrics")]
pub(crate) mod recorder;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::pending;
use std::time::{SystemTime, UNIX_EPOCH};

use conduit_macros::get;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use crate::limit::Limit;
use crate::route::{Definition, Route};
use crate::server::ServerHandle;
use crate::server::current;
use crate::server::latency::{BOUNDS_MICROS, RouteTotals};

/// The metrics for Prometheus.
///
/// They are in its [text format](https://prometheus.io/docs/instrumenting/exposition_formats/), and reveal how the application
/// is used: restrict access with a layer or a proxy.
#[get("/metrics")]
pub fn page() -> ([(http::HeaderName, HeaderValue); 1], String) {
    let mut text = String::with_capacity(16 * 1024);
    if let Some(server) = current::server() {
        write_server(&server, &mut text);
        write_routes(&server, &mut text);
    }
    #[cfg(feature = "metrics")]
    text.push_str(&recorder::render());
    let form = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(CONTENT_TYPE, form)], text)
}

/// Returns whether the page is among the routes.
pub(crate) fn is_wanted(definitions: &[Definition]) -> bool {
    definitions
        .iter()
        .any(|definition| definition.handler == page::DEFINITION.handler)
}

/// Forwards the server's metrics to the program's recorder while it is polled, if `wanted`.
#[cfg_attr(not(feature = "metrics"), expect(unused_variables, reason = "there is no recorder"))]
pub(crate) async fn forward(server: ServerHandle, wanted: bool) -> Infallible {
    #[cfg(feature = "metrics")]
    if wanted {
        return recorder::Forwarding::new(server).run().await;
    }
    pending().await
}

/// The metrics of each route over all workers, followed by those of requests without a route.
fn totals_of_routes(server: &ServerHandle) -> Vec<RouteTotals> {
    let total = |route| {
        let mut totals = RouteTotals::default();
        for routes in server.counts().iter().filter_map(|counts| counts.routes.get(route)) {
            totals.add(routes);
        }
        totals
    };
    (0..=server.definitions().len()).map(total).collect()
}

/// Appends a metric without labels, with its help text.
fn write_number(text: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
}

fn seconds_since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn write_server(server: &ServerHandle, text: &mut String) {
    let now = server.statistics();
    let numbers = [
        (
            "conduit_connections_accepted_total",
            "counter",
            "Connections accepted.",
            now.accepted_connections,
        ),
        (
            "conduit_connections_open",
            "gauge",
            "Connections open.",
            now.open_connections,
        ),
        (
            "conduit_tls_handshakes_failed_total",
            "counter",
            "TLS handshakes that failed.",
            now.failed_handshakes,
        ),
        (
            "conduit_received_bytes_total",
            "counter",
            "Bytes received.",
            now.received_bytes,
        ),
        ("conduit_sent_bytes_total", "counter", "Bytes sent.", now.sent_bytes),
        (
            "conduit_websockets_opened_total",
            "counter",
            "WebSockets opened.",
            now.opened_websockets,
        ),
        (
            "conduit_websockets_open",
            "gauge",
            "WebSockets open.",
            now.open_websockets,
        ),
        (
            "conduit_websocket_messages_received_total",
            "counter",
            "Messages of WebSockets received.",
            now.received_messages,
        ),
        (
            "conduit_websocket_messages_sent_total",
            "counter",
            "Messages of WebSockets sent.",
            now.sent_messages,
        ),
        (
            "conduit_body_memory_bytes",
            "gauge",
            "Memory of request bodies in buffers.",
            server.budgets().bodies.used_bytes() as u64,
        ),
        (
            "conduit_log_lines_dropped_total",
            "counter",
            "Lines of the log that were dropped.",
            crate::log::dropped_lines(),
        ),
    ];
    for (name, kind, help, value) in numbers {
        write_number(text, name, kind, help, value);
    }
    if let Some(not_after) = now.certificates_not_after {
        write_number(
            text,
            "conduit_tls_certificate_reloads_failed_total",
            "counter",
            "Certificates that were read again and not used.",
            now.failed_certificate_reloads,
        );
        write_number(
            text,
            "conduit_tls_certificate_not_after_seconds",
            "gauge",
            "The end of the validity that ends first, in seconds since 1970.",
            seconds_since_1970(not_after),
        );
    }
    text.push_str(
        "# HELP conduit_limits_struck_total How often each limit or deadline has struck.\n\
         # TYPE conduit_limits_struck_total counter\n",
    );
    for limit in Limit::ALL {
        let _ = writeln!(
            text,
            "conduit_limits_struck_total{{limit=\"{}\"}} {}",
            limit.name(),
            now.limit_hits(limit)
        );
    }
    text.push_str(
        "# HELP conduit_loop_lag_seconds Delay of the last one-second tick of the worker's loop.\n\
         # TYPE conduit_loop_lag_seconds gauge\n",
    );
    for (worker, counts) in server.counts().iter().enumerate() {
        let lag = seconds(u128::from(counts.lag_micros.get()) * 1000);
        let _ = writeln!(text, "conduit_loop_lag_seconds{{worker=\"{worker}\"}} {lag}");
    }
}

fn write_routes(server: &ServerHandle, text: &mut String) {
    let definitions = server.definitions();
    let totals = totals_of_routes(server);
    let labels: Vec<String> = definitions
        .iter()
        .map(|definition| {
            format!(
                "method=\"{}\",route=\"{}\"",
                definition.method,
                escaped(definition.path)
            )
        })
        .chain(["method=\"\",route=\"\"".to_owned()])
        .collect();
    text.push_str(
        "# HELP conduit_requests_total Requests answered, by route and class of status; no route has those that none is for.\n\
         # TYPE conduit_requests_total counter\n",
    );
    for (labels, totals) in labels.iter().zip(&totals) {
        for (class, count) in (1..).zip(totals.classes).filter(|&(_, count)| count > 0) {
            let _ = writeln!(text, "conduit_requests_total{{{labels},status=\"{class}xx\"}} {count}");
        }
    }
    text.push_str(
        "# HELP conduit_request_duration_seconds From a request's head to the end of its answer.\n\
         # TYPE conduit_request_duration_seconds histogram\n",
    );
    for (labels, totals) in labels.iter().zip(&totals) {
        write_histogram(labels, totals, text);
    }
}

/// Appends a histogram, unless it is empty: unused routes are not on the page.
fn write_histogram(labels: &str, totals: &RouteTotals, text: &mut String) {
    let count: u64 = totals.buckets.iter().sum();
    if count == 0 {
        return;
    }
    let name = "conduit_request_duration_seconds";
    let mut below = 0;
    for (bound, bucket) in BOUNDS_MICROS.iter().zip(totals.buckets) {
        below += bucket;
        let bound = seconds(u128::from(*bound) * 1000);
        let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
    }
    let sum = seconds(u128::from(totals.sum_nanos));
    let _ = writeln!(
        text,
        "{name}_bucket{{{labels},le=\"+Inf\"}} {count}\n{name}_sum{{{labels}}} {sum}\n{name}_count{{{labels}}} {count}"
    );
}

/// Nanoseconds as seconds.
fn seconds(nanos: u128) -> f64 {
    nanos as f64 / 1e9
}

/// Escapes a label value.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
