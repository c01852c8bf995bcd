//! Calls of tools whose client disconnects.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use conduit::Disconnect;
use conduit::prelude::*;
use conduit::testing::{TestClient, TestRequest};
use conduit_server::internal::clock;
use serde_json::json;
use tokio::sync::Notify;

use crate::{call, call_of_2026, log, message, support};

/// Sends the end of a handler to the test.
struct EndReport(Sender<&'static str>, &'static str);

impl Drop for EndReport {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.0.send(self.1);
    }
}

/// The events of a handler, and the event that it awaits.
#[derive(Clone)]
struct CallState {
    events: Sender<&'static str>,
    go: Arc<Notify>,
}

async fn work(state: CallState) -> &'static str {
    let mut report = EndReport(state.events, "dropped");
    let _ = report.0.send("started");
    state.go.notified().await;
    report.1 = "finished";
    "done"
}

#[post("/usual", tool = "usual")]
async fn usual(state: State<CallState>) -> &'static str {
    work(state.0).await
}

#[post("/finish", disconnect = "finish", tool = "finish")]
async fn finish(state: State<CallState>) -> &'static str {
    work(state.0).await
}

#[post("/abort", disconnect = "abort", tool = "abort")]
async fn abort(state: State<CallState>) -> &'static str {
    work(state.0).await
}

/// A route that also matches the path of the endpoint, with a method that the endpoint does not take.
#[put("/{name}", disconnect = "abort")]
async fn replace(_name: Path<String>, state: State<CallState>) -> &'static str {
    work(state.0).await
}

/// Returns how the handler of a tool ends after its client has disconnected.
fn end_of(tool: &str, disconnect: Disconnect, revision: &str) -> &'static str {
    end_of_request(disconnect, |client| match revision {
        "2026-07-28" => call_of_2026(client, tool, json!({}), None),
        _ => call(client, tool, json!({})),
    })
}

/// Returns how the handler of a request ends after its client has disconnected.
fn end_of_request(disconnect: Disconnect, request: impl FnOnce(&TestClient) -> TestRequest) -> &'static str {
    let (sender, events) = channel();
    let go = Arc::new(Notify::new());
    let state = CallState {
        events: sender,
        go: Arc::clone(&go),
    };
    let app = App::new(state)
        .routes(routes![usual, finish, abort, replace])
        .disconnect(disconnect)
        .mcp("/mcp");
    let client = TestClient::new(app);
    let call = request(&client).start();
    let event = || {
        events
            .recv_timeout(Duration::from_secs(30))
            .expect("an event of the handler")
    };
    assert_eq!(event(), "started");
    call.disconnect();
    // The worker processes the disconnect before the handler may finish.
    client.advance(Duration::ZERO);
    go.notify_one();
    event()
}

#[test]
fn a_disconnect_cancels_a_call_of_the_revision_2026_07_28() {
    // The call ends. The route's setting, or that of the application, then decides whether its handler is dropped.
    for (tool, disconnect, end) in [
        ("usual", Disconnect::Finish, "finished"),
        ("finish", Disconnect::Finish, "finished"),
        ("abort", Disconnect::Finish, "dropped"),
        ("usual", Disconnect::Abort, "dropped"),
        ("finish", Disconnect::Abort, "finished"),
        ("abort", Disconnect::Abort, "dropped"),
    ] {
        assert_eq!(end_of(tool, disconnect, "2026-07-28"), end, "{tool}, {disconnect:?}");
    }
}

#[test]
fn only_the_setting_of_the_application_cancels_a_call_of_an_older_revision_at_a_disconnect() {
    for (tool, disconnect, end) in [
        ("usual", Disconnect::Finish, "finished"),
        ("finish", Disconnect::Finish, "finished"),
        ("abort", Disconnect::Finish, "finished"),
        ("usual", Disconnect::Abort, "dropped"),
        ("finish", Disconnect::Abort, "finished"),
        ("abort", Disconnect::Abort, "dropped"),
    ] {
        assert_eq!(end_of(tool, disconnect, "2025-11-25"), end, "{tool}, {disconnect:?}");
    }
}

#[test]
fn a_route_at_the_path_of_the_endpoint_keeps_its_setting_for_other_methods() {
    assert_eq!(
        end_of_request(Disconnect::Finish, |client| client.put("/mcp")),
        "dropped"
    );
}

/// Stalls its worker for this time, by which deadlines are extended: it passes on the clock of the runtime and on that of the system.
const STALL: Duration = Duration::from_secs(60);

#[post("/block", tool = "block")]
async fn block() {
    clock::stall(STALL);
    support::advance_clock(STALL);
}

#[post("/endless", tool = "endless")]
async fn endless(events: State<Sender<&'static str>>) {
    let _ = events.0.send("started");
    std::future::pending().await
}

/// The seconds of deadlines exclude a stall of the worker, and a call of a tool has another clock.
#[test]
fn the_log_of_a_stop_has_the_age_of_a_call_also_after_a_stall() {
    log::listen();
    let (sender, events) = channel();
    let app = App::new(sender)
        .routes(routes![block, endless])
        .shutdown_timeout(Duration::from_secs(10))
        .mcp("/mcp");
    let client = TestClient::new(app);
    message(&client, "tools/call", json!({ "name": "block", "arguments": {} })).send();
    let call = message(&client, "tools/call", json!({ "name": "endless", "arguments": {} })).start();
    assert_eq!(events.recv_timeout(Duration::from_secs(30)), Ok("started"));
    client.handle().stop();
    // The clock also runs by itself, and then the server ends.
    for _ in 0..9 {
        client.advance(Duration::from_secs(1));
    }
    let line = log::line(|line| {
        let fields = &line["fields"];
        fields["message"] == "cut off a handler at the shutdown" && fields["route"] == "/endless"
    });
    let seconds = line["fields"]["seconds"].as_u64().expect("an age");
    assert!((10..20).contains(&seconds), "{line}");
    call.disconnect();
}
