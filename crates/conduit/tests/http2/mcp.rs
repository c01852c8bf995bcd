//! The endpoint of MCP over HTTP/2, in which `:authority` names the host.

use conduit::prelude::*;
use conduit::testing::TestClient;

use crate::client::Client;
use crate::frames::{END_HEADERS, HEADERS, block, frame, last_data};

#[get("/greeting", tool)]
fn greeting() -> String {
    "hello".to_owned()
}

#[test]
fn pages_of_this_machine_call_tools_of_this_machine() {
    let server = TestClient::new(App::new(()).routes(routes![greeting]).mcp("/mcp"));
    let mut client = Client::open(&server);
    let cases = [
        ("https://localhost:3000", "localhost:8443", 200),
        ("http://127.0.0.1", "[::1]:8443", 200),
        ("https://localhost:3000", "evil.example", 403),
        ("https://localhost:3000", "localhost.evil.example:8443", 403),
        ("https://evil.example", "localhost:8443", 403),
        // The attacker's name resolves to this machine, so the origins are equal.
        ("https://evil.example", "evil.example", 403),
    ];
    for ((origin, authority, status), stream) in cases.into_iter().zip((1..).step_by(2)) {
        let fields = [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", "/mcp"),
            (":authority", authority),
            ("origin", origin),
            ("accept", "application/json, text/event-stream"),
            ("content-type", "application/json"),
            ("mcp-protocol-version", "2025-11-25"),
        ];
        client.send(&frame(HEADERS, END_HEADERS, stream, &block(&fields)));
        client.send(&last_data(
            stream,
            br#"{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}"#,
        ));
        let response = client.response(stream);
        assert_eq!(response.status, status, "{origin} to {authority}: {}", response.text());
    }
}
