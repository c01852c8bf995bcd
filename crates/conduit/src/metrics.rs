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

mod numbers;
#[cfg(feature = "metrics")]
pub(crate) mod recorder;

use std::convert::Infallible;
use std::fmt::Write as _;
use std::future::pending;

use conduit_macros::get;
use http::HeaderValue;
use http::header::CONTENT_TYPE;

use self::numbers::{Number, numbers, seconds, totals_of_routes};
use crate::limit::Limit;
use crate::route::{Definition, Route};
use crate::server::ServerHandle;
use crate::server::current;
use crate::server::latency::{BOUNDS_MICROS, RouteTotals};

/// Returns the page of metrics for Prometheus.
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

fn write_server(server: &ServerHandle, text: &mut String) {
    let now = server.statistics();
    for number in numbers(server, &now) {
        let Number {
            name,
            kind,
            help,
            value: Some(value),
            ..
        } = number
        else {
            continue;
        };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}",
            kind = kind.name()
        );
    }
    text.push_str(
        "# HELP conduit_limit_hits_total Hits of each limit or deadline.\n\
         # TYPE conduit_limit_hits_total counter\n",
    );
    for limit in Limit::ALL {
        let _ = writeln!(
            text,
            "conduit_limit_hits_total{{limit=\"{}\"}} {}",
            limit.name(),
            now.limit_hits(limit)
        );
    }
    text.push_str(
        "# HELP conduit_loop_lag_seconds Delay of the last one-second tick of the worker's event loop.\n\
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
        "# HELP conduit_requests_total Responses, by route and class of status; without method and route where no route matched.\n\
         # TYPE conduit_requests_total counter\n",
    );
    for (labels, totals) in labels.iter().zip(&totals) {
        for (class, count) in (1..).zip(totals.classes).filter(|&(_, count)| count > 0) {
            let _ = writeln!(text, "conduit_requests_total{{{labels},status=\"{class}xx\"}} {count}");
        }
    }
    text.push_str(
        "# HELP conduit_request_duration_seconds Time from the end of a request's head to the end of its response.\n\
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

/// Escapes a label value.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
