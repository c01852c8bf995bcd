//! A tool that starts a run: progress, the end, and cancellation.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll};
use std::time::Duration;

use conduit::AccessLog;
use conduit::events::{Events, LastEventId};
use conduit::prelude::*;
use conduit::runs::{Accepted, RunEvents, Runs, RunsConfig};
use conduit::testing::{TestClient, TestRequest, TestStream};
use futures_core::Stream;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{call_of_2026, log, message};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Progress {
    percent: u32,
}

#[derive(Clone, FromRef)]
struct Jobs {
    runs: Runs<Progress>,
    ends: Sender<&'static str>,
}

/// Reports the end of a run or a stream, as this text.
struct Ended(Sender<&'static str>, &'static str);

impl Drop for Ended {
    fn drop(&mut self) {
        // The test may have ended.
        let _ = self.0.send(self.1);
    }
}

/// Export in steps of a second.
#[post("/exports/{steps}", tool = "export")]
async fn start(
    steps: Path<u32>,
    runs: State<Runs<Progress>>,
    ends: State<Sender<&'static str>>,
) -> Result<Accepted, Problem> {
    let run = runs
        .start("ada", "export", async move |run| {
            let mut ended = Ended(ends.0, "dropped");
            for step in 1..=*steps {
                tokio::time::sleep(Duration::from_secs(1)).await;
                run.report(&Progress {
                    percent: 100 * step / *steps,
                })
                .await?;
            }
            ended.1 = "finished";
            if *steps == 3 {
                Err(conduit::BoxError::from("a secret cause"))
            } else {
                Ok(())
            }
        })
        .await?;
    Ok(Accepted::at(format!("/exports/{}", run.id())))
}

/// Reports more updates at once than the run retains.
#[post("/bursts", tool = "burst")]
async fn burst(runs: State<Runs<Progress>>) -> Result<Accepted, Problem> {
    let run = runs
        .start("ada", "burst", async move |run| {
            tokio::time::sleep(Duration::from_secs(1)).await;
            for percent in 0..5000 {
                run.report(&Progress { percent }).await?;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            Ok::<(), conduit::BoxError>(())
        })
        .await?;
    Ok(Accepted::at(format!("/exports/{}", run.id())))
}

#[get("/exports/{id}")]
async fn follow(
    id: Path<String>,
    runs: State<Runs<Progress>>,
    last: LastEventId,
) -> Result<RunEvents<Progress>, Problem> {
    runs.find("ada", &id)?.events(last).await
}

#[delete("/exports/{id}")]
async fn cancel(id: Path<String>, runs: State<Runs<Progress>>) -> Result<NoContent, Problem> {
    runs.find("ada", &id)?.cancel().await?;
    Ok(NoContent)
}

/// Place an order, whose location has events and is not a run.
#[post("/orders", tool = "order")]
fn order() -> Accepted {
    Accepted::at("/orders/7")
}

/// An event stream of the handler, which does not end.
struct OrderEvents {
    _ended: Ended,
    has_begun: bool,
}

impl Stream for OrderEvents {
    type Item = Result<&'static str, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match std::mem::replace(&mut self.has_begun, true) {
            false => Poll::Ready(Some(Ok(
                "data: {\"state\":\"running\",\"progress\":{\"percent\":1}}\n\n",
            ))),
            true => Poll::Pending,
        }
    }
}

#[get("/orders/{id}")]
fn show_order(_id: Path<u32>, ends: State<Sender<&'static str>>) -> ([(&'static str, &'static str); 1], Body) {
    let events = OrderEvents {
        _ended: Ended(ends.0, "dropped"),
        has_begun: false,
    };
    ([("content-type", "text/event-stream")], Body::from_stream(events))
}

/// Print a receipt, whose location has an event stream with an end and is not a run.
#[post("/receipts", tool = "receipt")]
fn print() -> Accepted {
    Accepted::at("/receipts/7")
}

#[get("/receipts/{id}")]
fn show_receipt(_id: Path<u32>) -> Events<Value> {
    Events::generate(async |events| {
        events.send(json!({ "state": "running", "progress": 1 })).await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        events.send(json!({ "state": "succeeded" })).await
    })
}

/// Wait in silence: the event stream of the location has no events.
#[post("/silence", tool = "silence")]
fn keep_silent() -> Accepted {
    Accepted::at("/silence/7")
}

#[get("/silence/{id}")]
fn silence(_id: Path<u32>, ends: State<Sender<&'static str>>) -> ([(&'static str, &'static str); 1], Body) {
    let events = OrderEvents {
        _ended: Ended(ends.0, "dropped"),
        has_begun: true,
    };
    ([("content-type", "text/event-stream")], Body::from_stream(events))
}

#[delete("/orders/{id}")]
fn remove_order(_id: Path<u32>, ends: State<Sender<&'static str>>) -> NoContent {
    let _ = ends.0.send("removed");
    NoContent
}

fn setup() -> (TestClient, std::sync::mpsc::Receiver<&'static str>) {
    setup_with(Runs::new())
}

fn setup_with(runs: Runs<Progress>) -> (TestClient, std::sync::mpsc::Receiver<&'static str>) {
    let (sender, ends) = channel();
    let jobs = Jobs { runs, ends: sender };
    let app = App::new(jobs)
        .routes(routes![
            start,
            burst,
            follow,
            cancel,
            order,
            show_order,
            remove_order,
            print,
            show_receipt,
            keep_silent,
            silence
        ])
        .access_log(AccessLog::Fields)
        .mcp("/mcp");
    (TestClient::new(app).skip_waiting(), ends)
}

fn export(client: &TestClient, steps: u32) -> TestStream {
    let params = json!({ "name": "export", "arguments": { "steps": steps }, "_meta": { "progressToken": "p" } });
    message(client, "tools/call", params).stream()
}

#[track_caller]
fn next(stream: &mut TestStream) -> Value {
    loop {
        let event = stream.event().expect("an event");
        if let Ok(message) = serde_json::from_str(&event.data) {
            return message;
        }
    }
}

#[test]
fn the_progress_of_a_run_is_that_of_its_call() {
    let (client, _ends) = setup();
    let mut stream = export(&client, 2);
    for percent in [50.0, 100.0] {
        let progress = next(&mut stream);
        assert_eq!(progress["method"], "notifications/progress", "{progress}");
        assert_eq!(progress["params"]["progress"].as_f64(), Some(percent), "{progress}");
        assert_eq!(progress["params"]["total"].as_f64(), Some(100.0), "{progress}");
    }
    let end = next(&mut stream);
    assert_eq!(end["result"]["isError"], false, "{end}");
    assert_eq!(end["result"]["content"][0]["text"], r#"{"state":"succeeded"}"#);
}

#[test]
fn a_call_continues_after_missed_updates() {
    let (client, _ends) = setup_with(Runs::with(RunsConfig {
        updates: 1,
        ..RunsConfig::default()
    }));
    let params = json!({ "name": "burst", "arguments": {}, "_meta": { "progressToken": "p" } });
    let mut stream = message(&client, "tools/call", params).stream();
    let (mut updates, mut message) = (0, next(&mut stream));
    while message["method"] == "notifications/progress" {
        updates += 1;
        message = next(&mut stream);
    }
    assert!(updates < 5000, "no update is missed");
    assert_eq!(message["result"]["isError"], false, "{message}");
    assert_eq!(message["result"]["content"][0]["text"], r#"{"state":"succeeded"}"#);
}

#[test]
fn the_request_that_follows_a_run_to_its_end_is_complete_in_the_access_log() {
    log::listen();
    let (client, _ends) = setup();
    let params = json!({ "name": "export", "arguments": { "steps": 1 }, "_meta": { "progressToken": "p" } });
    let followed = message(&client, "tools/call", params).header("user-agent", "follows-a-run");
    let mut stream = followed.stream();
    while next(&mut stream).get("result").is_none() {}
    let line = log::line(|line| line["fields"]["user_agent"] == "follows-a-run" && line["fields"]["method"] == "GET");
    let fields = &line["fields"];
    assert_eq!(fields["complete"], true, "{fields}");
    assert!(fields["bytes"].as_u64() > Some(0), "{fields}");
}

#[test]
fn a_failed_run_is_a_tool_error_without_its_cause() {
    let (client, _ends) = setup();
    let mut stream = export(&client, 3);
    let end = loop {
        let message = next(&mut stream);
        if message.get("result").is_some() {
            break message;
        }
    };
    assert_eq!(end["result"]["isError"], true, "{end}");
    assert!(!end.to_string().contains("secret"), "{end}");
}

#[test]
fn a_disconnect_in_the_revision_2026_07_28_cancels_the_run() {
    let (client, ends) = setup();
    let mut stream = call_of_2026(&client, "export", json!({ "steps": 1_000_000 }), Some("p")).stream();
    next(&mut stream);
    stream.disconnect();
    assert_eq!(ends.recv_timeout(Duration::from_secs(30)), Ok("dropped"));
}

#[test]
fn a_run_of_an_older_revision_continues_after_a_disconnect() {
    let (client, ends) = setup();
    let mut stream = export(&client, 5);
    next(&mut stream);
    stream.disconnect();
    assert_eq!(ends.recv_timeout(Duration::from_secs(30)), Ok("finished"));
}

#[test]
fn a_cancelled_call_removes_no_resource_that_is_not_a_run() {
    let of_2026 = |client: &_| call_of_2026(client, "order", json!({}), Some("p"));
    let of_2025 = |client: &_| {
        let params = json!({ "name": "order", "arguments": {}, "_meta": { "progressToken": "p" } });
        message(client, "tools/call", params)
    };
    // In older revisions a run continues after a disconnect, and the stream of another resource ends.
    for call in [of_2026 as fn(&TestClient) -> TestRequest, of_2025] {
        let (client, ends) = setup();
        let mut stream = call(&client).stream();
        assert_eq!(next(&mut stream)["method"], "notifications/progress");
        stream.disconnect();
        assert_eq!(ends.recv_timeout(Duration::from_secs(30)), Ok("dropped"));
        // A request that the cancelled call sends comes before the last of these.
        for _ in 0..10 {
            client.get("/exports/unknown").send().assert_status(404);
        }
        assert!(ends.try_recv().is_err());
    }
}

/// A call of the revision 2025-11-25.
fn old_call(client: &TestClient, name: &str, progress_token: Option<&str>) -> TestRequest {
    let mut params = json!({ "name": name, "arguments": {} });
    if let Some(token) = progress_token {
        params["_meta"] = json!({ "progressToken": token });
    }
    message(client, "tools/call", params)
}

#[test]
fn a_call_that_follows_an_endless_stream_ends_with_its_client_before_any_progress() {
    for (name, progress_token) in [("order", None), ("silence", None), ("silence", Some("p"))] {
        let (client, ends) = setup();
        let stream = old_call(&client, name, progress_token).stream();
        stream.disconnect();
        assert_eq!(ends.recv_timeout(Duration::from_secs(30)), Ok("dropped"), "{name}");
    }
}

#[test]
fn a_call_that_follows_an_endless_stream_ends_with_a_client_that_sends_no_more() {
    let (client, ends) = setup();
    let body =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "order", "arguments": {} } });
    let body = body.to_string();
    let mut connection = client.connect();
    let head = format!(
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\naccept: application/json, text/event-stream\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    assert!(connection.send(head.as_bytes()) && connection.send(body.as_bytes()));
    assert!(connection.read(4096).starts_with(b"HTTP/1.1 200"));
    connection.end();
    assert_eq!(ends.recv_timeout(Duration::from_secs(30)), Ok("dropped"));
}

#[test]
fn a_call_that_follows_a_stream_with_an_end_has_its_result() {
    let (client, _ends) = setup();
    for progress_token in [None, Some("p")] {
        let mut stream = old_call(&client, "receipt", progress_token).stream();
        if progress_token.is_some() {
            assert_eq!(next(&mut stream)["method"], "notifications/progress");
        }
        let end = next(&mut stream);
        assert_eq!(end["result"]["content"][0]["text"], r#"{"state":"succeeded"}"#, "{end}");
    }
}
