//! The numbers of a server and of its routes, for the page and for the program's recorder.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::server::ServerHandle;
use crate::server::counts::Statistics;
use crate::server::latency::RouteTotals;

/// The number of rows in the table.
pub(super) const NUMBERS: usize = 13;

/// A metric without labels.
pub(super) struct Number {
    pub(super) name: &'static str,
    pub(super) kind: NumberKind,
    /// The unit by its name in the crate `metrics`; empty for a count.
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "only a recorder has units"))]
    pub(super) unit: &'static str,
    pub(super) help: &'static str,
    /// `None` if the server does not have this number, such as one of TLS in a server without TLS.
    pub(super) value: Option<u64>,
}

/// The meaning of a number, which determines the sum of several servers in one process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberKind {
    /// Counts events of the server.
    Counter,
    /// Counts events of the process.
    ProcessCounter,
    /// An amount, such as connections.
    Amount,
    /// A time, which has no sum.
    Time,
}

impl NumberKind {
    /// The type of the metric in Prometheus' text format.
    pub(super) fn name(self) -> &'static str {
        match self {
            NumberKind::Counter | NumberKind::ProcessCounter => "counter",
            NumberKind::Amount | NumberKind::Time => "gauge",
        }
    }
}

/// The table, always with the same rows.
#[rustfmt::skip]
pub(super) fn numbers(server: &ServerHandle, now: &Statistics) -> [Number; NUMBERS] {
    use NumberKind::{Amount, Counter, ProcessCounter, Time};

    let row = |name, kind, unit, help, value| Number { name, kind, unit, help, value };
    let some = |name, kind, unit, help, value| row(name, kind, unit, help, Some(value));
    let not_after = now.certificates_not_after;
    let failed_reloads = not_after.map(|_| now.failed_certificate_reloads);
    let body_bytes = server.budgets().bodies.used_bytes() as u64;
    [
        some("conduit_connections_accepted_total", Counter, "", "Connections accepted.", now.accepted_connections),
        some("conduit_connections_open", Amount, "", "Connections open.", now.open_connections),
        some("conduit_tls_handshakes_failed_total", Counter, "", "TLS handshakes that failed.", now.failed_handshakes),
        some("conduit_received_bytes_total", Counter, "bytes", "Bytes received.", now.received_bytes),
        some("conduit_sent_bytes_total", Counter, "bytes", "Bytes sent.", now.sent_bytes),
        some("conduit_websockets_opened_total", Counter, "", "WebSockets opened.", now.opened_websockets),
        some("conduit_websockets_open", Amount, "", "WebSockets open.", now.open_websockets),
        some("conduit_websocket_messages_received_total", Counter, "", "Messages of WebSockets received.",
            now.received_messages),
        some("conduit_websocket_messages_sent_total", Counter, "", "Messages of WebSockets sent.", now.sent_messages),
        some("conduit_body_memory_bytes", Amount, "bytes",
            "Memory of request bodies in buffers, large heads and unfinished messages.", body_bytes),
        some("conduit_log_lines_dropped_total", ProcessCounter, "", "Lines of the log that were dropped.",
            crate::log::dropped_lines()),
        row("conduit_tls_certificate_reloads_failed_total", Counter, "",
            "Failed reloads of changed certificates.", failed_reloads),
        row("conduit_tls_certificate_not_after_seconds", Time, "seconds",
            "The time at which the first certificate in use expires, in seconds since 1970.",
            not_after.map(seconds_since_1970)),
    ]
}

/// The metrics of each route over all workers, followed by those of requests without a route.
pub(super) fn totals_of_routes(server: &ServerHandle) -> Vec<RouteTotals> {
    let total = |route| {
        let mut totals = RouteTotals::default();
        for routes in server.counts().iter().filter_map(|counts| counts.routes.get(route)) {
            totals.add(routes);
        }
        totals
    };
    (0..=server.definitions().len()).map(total).collect()
}

/// Nanoseconds as seconds.
pub(super) fn seconds(nanos: u128) -> f64 {
    nanos as f64 / 1e9
}

fn seconds_since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
