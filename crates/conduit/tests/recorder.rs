//! A program with its own recorder receives the server's metrics. One test, since a process has one recorder.

mod support;

use std::time::{Duration, Instant};

use conduit::prelude::*;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use support::serve;

/// The time that a test waits for a number before it fails.
const TIMEOUT: Duration = Duration::from_secs(30);

#[get("/users/{id}")]
async fn user(id: Path<u64>) -> String {
    ::metrics::counter!("users_shown_total").increment(1);
    format!("user {}", *id)
}

/// Waits until a line is recorded, which happens once a second.
fn wait_for(recorded: &PrometheusHandle, line: &str) {
    let since = Instant::now();
    while !recorded.render().lines().any(|recorded| recorded == line) {
        assert!(since.elapsed() < TIMEOUT, "{line} is not in\n{}", recorded.render());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn recorder_of_the_program_receives_the_counters_of_the_server() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let recorded = recorder.handle();
    ::metrics::set_global_recorder(recorder).expect("no recorder is set");

    // Two servers of one process count in the same metrics.
    for servers in 1..=2 {
        let server = serve(App::new(()).routes(routes![user]).record_metrics());
        let mut client = server.connect();
        for requests in 1..=2 {
            client.send("GET /users/7 HTTP/1.1\r\nhost: test\r\n\r\n");
            assert_eq!(client.response().status, 200);
            // Each value is recorded once, although earlier ones were already recorded.
            let total = 2 * (servers - 1) + requests;
            let labels = "method=\"GET\",route=\"/users/{id}\",status=\"2xx\"";
            wait_for(&recorded, &format!("conduit_requests_total{{{labels}}} {total}"));
            wait_for(&recorded, "conduit_connections_open 1");
        }
        for target in ["/users/x", "/nowhere"] {
            server.get(target);
        }
        server.request(format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(1000)));
        server.handle().stop();
        server.wait().expect("the server ends well");
    }

    let text = recorded.render();
    for expected in [
        "users_shown_total 4",
        "conduit_requests_total{method=\"GET\",route=\"/users/{id}\",status=\"2xx\"} 4",
        "conduit_requests_total{method=\"GET\",route=\"/users/{id}\",status=\"4xx\"} 2",
        "conduit_requests_total{method=\"\",route=\"\",status=\"4xx\"} 2",
        "conduit_request_duration_seconds_bucket{method=\"GET\",route=\"/users/{id}\",le=\"5\"} 6",
        "conduit_request_duration_seconds_bucket{method=\"GET\",route=\"/users/{id}\",le=\"+Inf\"} 6",
        "conduit_request_duration_seconds_count{method=\"GET\",route=\"/users/{id}\"} 6",
        "conduit_connections_accepted_total 8",
        "conduit_connections_open 0",
        "conduit_body_memory_bytes 0",
        "conduit_log_lines_dropped_total 0",
        "conduit_limit_hits_total{limit=\"headers\"} 2",
        "# HELP conduit_received_bytes_total Bytes received.",
    ] {
        assert!(
            text.lines().any(|line| line == expected),
            "{expected} is not in\n{text}"
        );
    }
    for begins in [
        "conduit_loop_lag_seconds{worker=\"0\"} ",
        "conduit_request_duration_nanoseconds_sum{method=\"GET\",route=\"/users/{id}\"} ",
    ] {
        assert!(
            text.lines().any(|line| line.starts_with(begins)),
            "{begins} is not in\n{text}"
        );
    }
}
