//! The tools through the client for tests.

use conduit::testing::TestClient;
use serde_json::{Value, json};

use super::app;

#[test]
fn each_user_finds_their_own_notes() {
    let client = TestClient::new(app());
    let call = |user: &str, name: &str, arguments: Value| -> Value {
        let params = json!({ "name": name, "arguments": arguments });
        let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        let request = client
            .post("/mcp")
            .header("accept", "application/json, text/event-stream")
            .bearer(user);
        let response: Value = request.json(&message).send().json();
        response["result"].clone()
    };
    assert_eq!(call("ada", "add_note", json!({ "text": "engine" }))["isError"], false);
    let found = call("ada", "find_notes", json!({ "text": "eng" }));
    assert_eq!(found["structuredContent"]["result"][0]["text"], "engine");
    assert_eq!(
        call("grace", "find_notes", json!({}))["structuredContent"]["result"],
        json!([])
    );
    assert_eq!(call("grace", "show_note", json!({ "id": 0 }))["isError"], true);
    assert_eq!(call("eve", "find_notes", json!({}))["isError"], true);
}
