//! A program with a recorder of its own: it is given the server's numbers. One test, since a process has one recorder.

mod support;

use conduit::prelude::*;
use metrics_exporter_prometheus::PrometheusBuilder;
use support::serve;

#[get("/users/{id}")]
async fn user(id: Path<u64>) -> String {
    ::metrics::counter!("users_shown_total").increment(1);
    format!("user {}", *id)
}

#[test]
fn the_programs_recorder_is_given_what_the_server_counts() {
    let recorder = PrometheusBuilder::new()
        .set_buckets(&[0.5, 60.0])
        .expect("there are buckets")
        .build_recorder();
    let recorded = recorder.handle();
    ::metrics::set_global_recorder(recorder).expect("nobody has set one");

    // Two servers of one process count in the same metrics.
    for _ in 0..2 {
        let server = serve(App::new(()).routes(routes![user]).record_metrics());
        for target in ["/users/1", "/users/2", "/users/x", "/nowhere"] {
            server.get(target);
        }
        server.request("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n");
        server.request(format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(1000)));
        server.handle().stop();
        server.wait().expect("the server ends well");
    }

    let text = recorded.render();
    for expected in [
        "users_shown_total 4\n",
        "conduit_requests_total{method=\"GET\",route=\"/users/{id}\",status=\"2xx\"} 4\n",
        "conduit_requests_total{method=\"GET\",route=\"/users/{id}\",status=\"4xx\"} 2\n",
        "conduit_requests_total{method=\"\",route=\"\",status=\"4xx\"} 2\n",
        "conduit_request_duration_seconds_count{method=\"GET\",route=\"/users/{id}\"} 6\n",
        "conduit_request_duration_seconds_bucket{method=\"GET\",route=\"/users/{id}\",le=\"60\"} 6\n",
        "conduit_connections_accepted_total 12\n",
        "conduit_connections_open 0\n",
        "conduit_limits_struck_total{limit=\"headers\"} 2\n",
        "conduit_loop_lag_seconds{worker=\"0\"} ",
        "# TYPE conduit_request_duration_seconds histogram\n",
        "# HELP conduit_received_bytes_total Bytes received.\n",
    ] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
}
