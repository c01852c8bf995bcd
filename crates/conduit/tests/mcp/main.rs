//! Handlers as tools of language models, over HTTP.

#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../support/npm.rs"]
mod npm;
#[path = "../support/packages.rs"]
mod packages;
#[path = "../support/mod.rs"]
mod support;

mod calls;
mod conformance;
mod disconnect;
#[path = "../support/log.rs"]
mod log;
mod records;
mod runs;

use conduit::testing::{TestClient, TestRequest, TestResponse};
use serde_json::{Value, json};

/// A call in the revision 2026-07-28.
fn call_of_2026(client: &TestClient, name: &str, arguments: Value, progress_token: Option<&str>) -> TestRequest {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    if let Some(token) = progress_token {
        meta["progressToken"] = token.into();
    }
    let params = json!({ "name": name, "arguments": arguments, "_meta": meta });
    client
        .post("/mcp")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", name)
        .json(&json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params }))
}

/// A message of a client.
fn message(client: &TestClient, method: &str, params: Value) -> TestRequest {
    client
        .post("/mcp")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-11-25")
        .json(&json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }))
}

/// A call of a tool.
fn call(client: &TestClient, name: &str, arguments: Value) -> TestRequest {
    message(client, "tools/call", json!({ "name": name, "arguments": arguments }))
}

#[track_caller]
fn result(response: &TestResponse) -> Value {
    response.assert_status(200);
    let response: Value = response.json();
    assert!(response.get("result").is_some(), "{response}");
    response["result"].clone()
}
