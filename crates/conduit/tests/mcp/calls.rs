//! A call is a request with the credentials of its caller.

use std::time::Duration;

use conduit::layer::{ConcurrencyLimit, RateLimit};
use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::{AccessLog, ApiKey, Auth, Authenticate, Bearer, Key, KeyPlace};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{call, log, message, result};

struct User;

impl Authenticate<()> for User {
    type Credentials = Bearer;

    async fn authenticate(bearer: Bearer, _: &()) -> Result<User, Problem> {
        match bearer.token.reveal() {
            "secret" => Ok(User),
            _ => Err(Bearer::refused("the token is unknown")),
        }
    }
}

struct Visit;

impl Key for Visit {
    const PLACE: KeyPlace = KeyPlace::Cookie("visit");
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Note {
    id: u32,
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct NewNote {
    text: String,
}

/// Add a note.
#[post("/notes", tool = "add_note")]
async fn add(_: Auth<User>, new: Json<NewNote>) -> Created<Json<Note>> {
    tokio::task::yield_now().await;
    Created::at(
        "/notes/1",
        Json(Note {
            id: 1,
            text: new.0.text,
        }),
    )
}

/// Find a note.
#[get("/notes/{id}", tool = "find_note")]
fn find(id: Path<u32>) -> Result<Json<Note>, Problem> {
    match *id {
        1 => Ok(Json(Note {
            id: 1,
            text: "one".to_owned(),
        })),
        id => Err(Problem::not_found(format!("no note has the id {id}"))),
    }
}

#[get("/notes", tool = "list_notes")]
fn list() -> Json<Vec<Note>> {
    Json(Vec::new())
}

#[delete("/notes/{id}")]
fn unmarked(id: Path<u32>) -> String {
    id.to_string()
}

#[post("/visits", tool = "visit")]
fn visit(visit: ApiKey<Visit>, peer: PeerAddr) -> String {
    format!("{} from {}", visit.key.reveal(), peer.0.ip())
}

#[post("/sign-in", tool = "sign_in")]
fn sign_in() -> impl IntoResponse {
    ([("set-cookie", "session=new; Path=/")], "signed in")
}

#[get("/limited", tool = "limited")]
fn limited() -> &'static str {
    "not yet"
}

#[get("/panic", tool = "fail")]
fn fail() -> String {
    panic!("a mistake")
}

/// Takes precedence over no endpoint.
#[post("/{name}")]
fn any(name: Path<String>) -> String {
    name.0
}

fn app() -> App<(), Routes> {
    App::new(())
        .routes(routes![
            add,
            find,
            list,
            unmarked,
            visit,
            sign_in,
            #[layer(RateLimit::new(1, Duration::from_secs(3600)).named("calls"))]
            limited,
            fail,
            any
        ])
        .development(false)
        .mcp("/mcp")
}

#[test]
fn only_marked_handlers_are_tools() {
    let client = TestClient::new(app());
    let listed = result(&message(&client, "tools/list", json!({})).send());
    let tools = listed["tools"].as_array().expect("a list");
    let names: Vec<&str> = tools.iter().filter_map(|tool| tool["name"].as_str()).collect();
    assert_eq!(
        names,
        [
            "add_note",
            "list_notes",
            "find_note",
            "visit",
            "sign_in",
            "limited",
            "fail"
        ]
    );
    assert_eq!(tools[0]["description"], "Add a note.");
    assert_eq!(tools[0]["inputSchema"]["required"], json!(["text"]));
    assert_eq!(
        tools[0]["annotations"],
        json!({ "readOnlyHint": false, "destructiveHint": true, "idempotentHint": false })
    );
    assert_eq!(
        tools[2]["annotations"],
        json!({ "readOnlyHint": true, "destructiveHint": false, "idempotentHint": true })
    );
    let unknown: Value = call(&client, "unmarked", json!({ "id": 1 })).send().json();
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
}

#[test]
fn a_result_is_text_and_structured() {
    let client = TestClient::new(app());
    let found = result(&call(&client, "find_note", json!({ "id": 1 })).send());
    assert_eq!(found["structuredContent"], json!({ "id": 1, "text": "one" }));
    assert_eq!(found["content"][0]["text"], r#"{"id":1,"text":"one"}"#);
    let listed = result(&call(&client, "list_notes", json!({})).send());
    assert_eq!(listed["structuredContent"], json!({ "result": [] }));
}

#[test]
fn an_error_is_a_tool_error_with_the_problem() {
    let client = TestClient::new(app());
    for (tool, arguments, status) in [
        ("find_note", json!({ "id": 2 }), 404),
        ("find_note", json!({ "id": "x" }), 400),
        ("fail", json!({}), 500),
    ] {
        let failed = result(&call(&client, tool, arguments).send());
        assert_eq!(failed["isError"], true);
        let problem: Value =
            serde_json::from_str(failed["content"][0]["text"].as_str().expect("a text")).expect("a problem");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(!problem.to_string().contains("mistake"), "{problem}");
    }
    let failed = result(&call(&client, "find_note", json!({ "other": 2 })).send());
    assert_eq!(failed["content"][0]["text"], "the argument `id` is missing");
}

#[test]
fn a_caller_without_credentials_is_rejected_as_in_rest() {
    let client = TestClient::new(app());
    let rest = client.post("/notes").json(&json!({ "text": "a" })).send();
    rest.assert_status(401);
    let failed = result(&call(&client, "add_note", json!({ "text": "a" })).send());
    assert_eq!(failed["isError"], true);
    let problem: Value =
        serde_json::from_str(failed["content"][0]["text"].as_str().expect("a text")).expect("a problem");
    assert_eq!(problem, rest.problem());
    let added = result(
        &call(&client, "add_note", json!({ "text": "a" }))
            .bearer("secret")
            .send(),
    );
    assert_eq!(added["structuredContent"], json!({ "id": 1, "text": "a" }));
    let refused = result(&call(&client, "add_note", json!({ "text": "a" })).bearer("other").send());
    assert_eq!(refused["isError"], true);
}

#[test]
fn a_call_has_the_cookies_and_the_address_of_its_caller() {
    let client = TestClient::new(app()).with_peer_address(([192, 0, 2, 7], 1));
    let visited = result(&call(&client, "visit", json!({})).cookie("visit", "v1").send());
    assert_eq!(visited["content"][0]["text"], "v1 from 192.0.2.7");
}

#[test]
fn the_response_to_a_message_has_the_cookies_of_its_call() {
    let client = TestClient::new(app());
    let signed_in = result(&call(&client, "sign_in", json!({})).send());
    assert_eq!(signed_in["isError"], false, "{signed_in}");
    assert_eq!(client.cookie("session").as_deref(), Some("new"));
}

#[test]
fn a_call_shares_the_slot_of_its_message() {
    let client = TestClient::new(app().layer(ConcurrencyLimit::new(1)));
    for _ in 0..2 {
        let found = result(&call(&client, "find_note", json!({ "id": 1 })).send());
        assert_eq!(found["isError"], false, "{found}");
    }
}

#[test]
fn a_page_of_another_origin_calls_no_tool() {
    let client = TestClient::new(app().trusted_origin("https://trusted.example"));
    for (origin, host, status) in [
        ("https://evil.example", "localhost", 403),
        // The attacker's name resolves to this machine, so the origins are equal.
        ("http://evil.example", "evil.example", 403),
        ("null", "localhost", 403),
        ("http://localhost:3000", "evil.example", 403),
        ("http://localhost:3000", "localhost:8080", 200),
        ("https://trusted.example", "api.example", 200),
    ] {
        let sent = message(&client, "ping", json!({}))
            .header("origin", origin)
            .header("host", host)
            .send();
        sent.assert_status(status);
    }
}

#[test]
fn the_limits_of_a_route_count_its_calls() {
    let client = TestClient::new(app());
    let first = result(&call(&client, "limited", json!({})).send());
    assert_eq!(first["isError"], false);
    let second = result(&call(&client, "limited", json!({})).send());
    assert_eq!(second["isError"], true);
    client.get("/limited").send().assert_status(429);
}

#[test]
fn the_endpoint_takes_precedence_over_a_parameter() {
    let client = TestClient::new(app());
    client.post("/other").send().assert_text("other");
    client.get("/mcp").send().assert_status(405);
    client.post("/mcp").undocumented().send().assert_status(406);
}

#[test]
fn the_endpoint_rejects_methods_that_the_protocol_does_not_use() {
    let app = App::new(()).routes(routes![find]).mcp("/mcp");
    let client = TestClient::new(app.fallback(async || "the fallback"));
    for method in ["PUT", "PATCH", "HEAD"] {
        let response = client.request(method, "/mcp").undocumented().send();
        response.assert_status(405).assert_header("allow", "POST, OPTIONS");
    }
    let options = client.options("/mcp").undocumented().send();
    options.assert_status(204).assert_header("allow", "POST, OPTIONS");
}

#[test]
fn allow_lists_the_methods_of_the_endpoint_and_of_the_routes_at_its_path() {
    #[get("/{name}")]
    fn show(name: Path<String>) -> String {
        name.0
    }
    #[put("/{name}")]
    fn replace(name: Path<String>) -> String {
        name.0
    }
    #[delete("/{name}")]
    fn remove(name: Path<String>) -> String {
        name.0
    }
    let app = App::new(()).routes(routes![find, show, replace, remove]).mcp("/mcp");
    let client = TestClient::new(app);
    client.get("/other").send().assert_text("other");
    client.put("/mcp").send().assert_text("mcp");
    for (method, status) in [
        ("GET", 405),
        ("HEAD", 405),
        ("DELETE", 405),
        ("PATCH", 405),
        ("OPTIONS", 204),
    ] {
        let response = client.request(method, "/mcp").undocumented().send();
        response
            .assert_status(status)
            .assert_header("allow", "PUT, POST, OPTIONS");
    }
}

#[test]
fn a_rejected_message_has_an_error_that_clients_can_parse() {
    let client = TestClient::new(app());
    let send = |content_type: &str, body: &str| {
        let request = client
            .post("/mcp")
            .header("accept", "application/json, text/event-stream");
        request
            .header("content-type", content_type)
            .undocumented()
            .body(body.to_owned())
            .send()
    };
    for (body, code) in [
        ("{\"jsonrpc\":", -32700),
        ("\u{16}\u{3}", -32700),
        ("{\"id\":1}", -32600),
        ("[]", -32600),
    ] {
        let response = send("application/json", body);
        response.assert_status(400);
        let error: Value = response.json();
        assert_eq!(error["error"]["code"], code, "{body}: {error}");
        assert_eq!(error["id"], Value::Null);
    }
    let problem = |response: &conduit::testing::TestResponse, status: u16| {
        response
            .assert_status(status)
            .assert_header("content-type", "application/problem+json");
    };
    problem(&send("text/plain", "{}"), 415);
    problem(&client.post("/mcp").undocumented().send(), 406);
    problem(
        client
            .get("/mcp")
            .undocumented()
            .send()
            .assert_header("allow", "POST, OPTIONS"),
        405,
    );
}

#[test]
fn a_call_has_a_line_in_the_access_log() {
    log::listen();
    let client = TestClient::new(app().access_log(AccessLog::Combined));
    result(
        &call(&client, "find_note", json!({ "id": 1 }))
            .header("user-agent", "a-model")
            .send(),
    );
    drop(client);
    let log = log::text();
    let lines = log.lines().filter(|line| line.contains("a-model"));
    let lines: Vec<&str> = lines
        .filter(|line| line.contains("GET /notes/1 ") || line.contains("POST /mcp "))
        .collect();
    assert_eq!(lines.len(), 2, "{log}");
}

#[post("/conflicts/{text}", tool)]
fn conflict(text: Path<String>, new: Json<NewNote>) -> String {
    text.0 + &new.0.text
}

#[test]
fn two_inputs_of_one_name_abort_the_start() {
    let started = App::new(()).routes(routes![conflict]).mcp("/mcp").listen("127.0.0.1:0");
    let error = started.err().expect("the names conflict").to_string();
    assert!(
        error.contains("`text`, a parameter of the path and a member of the body"),
        "{error}"
    );
    assert!(error.contains("calls.rs:"), "{error}");
}

#[get("/mcp")]
fn taken() {}

#[test]
fn a_route_with_the_path_of_the_endpoint_aborts_the_start() {
    let started = App::new(()).routes(routes![taken]).mcp("/mcp").listen("127.0.0.1:0");
    assert!(started.err().expect("the path is taken").to_string().contains("/mcp"));
}

#[derive(Deserialize, JsonSchema)]
struct Parcel {
    items: Vec<ParcelItem>,
}

#[derive(Deserialize, JsonSchema)]
struct ParcelItem {
    id: u32,
    colours: Vec<String>,
}

/// Send a parcel.
#[post("/parcels", tool = "send_parcel")]
fn send_parcel(parcel: Form<Parcel>) -> String {
    let items = parcel
        .items
        .iter()
        .map(|item| format!("{} {:?}", item.id, item.colours));
    items.collect::<Vec<_>>().join(", ")
}

#[test]
fn list_of_structs_arrives_in_a_form() {
    let client = TestClient::new(App::new(()).routes(routes![send_parcel]).mcp("/mcp"));
    let items = json!([{ "id": 1, "colours": ["red", "blue"] }, { "id": 2, "colours": ["green"] }]);
    let called = result(&call(&client, "send_parcel", json!({ "items": items })).send());
    let text = &called["content"][0]["text"];
    assert_eq!(text, r#"1 ["red", "blue"], 2 ["green"]"#, "{called}");
}

#[derive(Deserialize, JsonSchema)]
struct Labels {
    id: u32,
    #[serde(flatten)]
    others: serde_json::Map<String, Value>,
}

/// Set labels.
#[put("/labels", tool = "set_labels")]
fn set_labels(labels: Json<Labels>) -> String {
    format!("{} {:?}", labels.id, labels.others)
}

#[test]
fn body_with_fields_of_any_name_is_one_argument() {
    let client = TestClient::new(App::new(()).routes(routes![set_labels]).mcp("/mcp"));
    let labels = json!({ "body": { "id": 1, "colour": "red" } });
    let called = result(&call(&client, "set_labels", labels).send());
    assert_eq!(
        called["content"][0]["text"], r#"1 {"colour": String("red")}"#,
        "{called}"
    );
}

mod versioned {
    use super::*;

    /// Show the version of the shelf.
    #[get("/shelf/{id}", tool = "{prefix}_shelf")]
    pub(super) fn shelf(id: Path<u32>, uri: Uri) -> String {
        format!("{} at {}", *id, uri.path())
    }

    pub(super) const ROUTES: Routes = routes![shelf];
}

#[test]
fn handler_under_two_prefixes_is_two_tools() {
    let list = routes!["/v1" => versioned::ROUTES, "/api/v2" => versioned::ROUTES, versioned::shelf];
    let client = TestClient::new(App::new(()).routes(list).mcp("/mcp"));
    let tools = result(&message(&client, "tools/list", json!({})).send());
    let names = tools["tools"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|tool| &tool["name"]);
    assert_eq!(names.collect::<Vec<_>>(), ["v1_shelf", "api_v2_shelf", "shelf"]);
    for (name, path) in [
        ("v1_shelf", "/v1/shelf/7"),
        ("api_v2_shelf", "/api/v2/shelf/7"),
        ("shelf", "/shelf/7"),
    ] {
        let called = result(&call(&client, name, json!({ "id": 7 })).send());
        assert_eq!(called["content"][0]["text"], format!("7 at {path}"), "{called}");
    }
}

/// Return a text of this length.
#[post("/texts", tool = "text_of")]
fn text_of(length: Json<Length>) -> String {
    "x".repeat(length.bytes)
}

#[derive(Deserialize, JsonSchema)]
struct Length {
    bytes: usize,
}

#[test]
fn long_results_are_tool_errors_and_long_messages_are_rejected() {
    const MIB: usize = 1024 * 1024;
    let client = |body_limit| {
        let app = App::new(()).routes(routes![text_of]).mcp("/mcp");
        TestClient::new(app.body_limit(body_limit))
    };
    let standard = client(2 * MIB as u64);
    for (bytes, is_error) in [(4 * MIB, false), (4 * MIB + 1, true)] {
        let called = result(&call(&standard, "text_of", json!({ "bytes": bytes })).send());
        assert_eq!(called["isError"], is_error, "{bytes}");
    }
    for (client, length) in [(standard, 2 * MIB), (client(16 * MIB as u64), 4 * MIB)] {
        let long = json!({ "bytes": 1, "ignored": "x".repeat(length) });
        call(&client, "text_of", long).send().assert_status(413);
    }
}

#[test]
fn the_log_has_no_line_that_a_client_forged_and_no_long_text_of_a_client() {
    log::listen();
    let client = TestClient::new(app());
    let long = "x".repeat(100_000);
    let tail = "forged\nERROR";
    for (message, code, detail) in [
        (
            json!({ "id": format!("1{tail}"), "method": "foo" }),
            -32600,
            "the id \"1forged\\nERROR\" contains a control character",
        ),
        (
            json!({ "id": "1forged\u{9b}", "method": "tools/call", "params": { "name": "none" } }),
            -32600,
            "contains a control character",
        ),
        (
            json!({ "id": long, "method": "foo" }),
            -32600,
            "an id has at most 256 bytes, this one has 100000",
        ),
        (
            json!({ "method": "notifications/cancelled", "params": { "requestId": tail } }),
            -32600,
            "contains a control character",
        ),
        (
            json!({ "method": "notifications/progress", "params": { "progressToken": long, "progress": 1 } }),
            -32600,
            "a message other than a call of a tool has at most 65536 bytes",
        ),
        (
            json!({ "id": 1, "method": "y".repeat(60_000) }),
            -32601,
            "no method has the name \"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy…\"",
        ),
        (
            json!({ "id": 1, "method": "tools/call", "params": { "name": 5 } }),
            -32602,
            "the parameters of \"tools/call\" are invalid",
        ),
    ] {
        let mut message = message;
        message["jsonrpc"] = "2.0".into();
        let response = client
            .post("/mcp")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-11-25")
            .json(&message)
            .send();
        let error = response.json::<Value>()["error"].clone();
        assert_eq!(error["code"], code, "{error}");
        assert!(
            error["message"]
                .to_string()
                .replace("\\\"", "\"")
                .replace("\\\\", "\\")
                .contains(detail),
            "{error}"
        );
    }
    // The event of the last message is in the log.
    log::line(|line| line["fields"]["error"].to_string().contains("the parameters of"));
    for line in log::text().lines().filter(|line| line.contains("rmcp")) {
        assert!(
            line.len() < 70_000
                && !line.contains("forged")
                && !line.contains("yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"),
            "{line}"
        );
    }
}
