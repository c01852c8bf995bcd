//! The handshake: rejections, origins, subprotocols, layers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use conduit::layer::{Compression, Conditional, Cors, RequestIds, SecurityHeaders, Timeout};
use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::{AccessLog, WebSocketUpgrade};
use http::HeaderValue;
use http::header::UPGRADE;

use crate::{echo, echo_client, echo_messages};

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

fn fields() -> [(&'static str, &'static str); 4] {
    [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", KEY),
    ]
}

#[test]
fn requests_that_open_no_websocket_are_rejected_with_the_remedy() {
    let client = echo_client();
    client
        .get("/echo")
        .send()
        .assert_status(426)
        .assert_header("upgrade", "websocket")
        .assert_header("sec-websocket-version", "13");
    for (name, value, status, detail) in [
        ("upgrade", "h2c", 426, "send 'upgrade: websocket'"),
        ("connection", "keep-alive", 426, "'connection: upgrade'"),
        ("sec-websocket-version", "12", 426, "send 'sec-websocket-version: 13'"),
        ("sec-websocket-key", "short", 400, "16 bytes in base64"),
    ] {
        let mut request = client.get("/echo");
        for (other, valid) in fields() {
            request = request.header(other, if other == name { value } else { valid });
        }
        let response = request.send();
        response.assert_status(status);
        assert!(response.text().contains(detail), "{}", response.text());
    }
    client.post("/echo").send().assert_status(405);
}

/// The bytes after such a head are content, and no frames (RFC 9110, section 7.8).
#[test]
fn a_request_with_content_opens_no_websocket() {
    let frame = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    let chunks = [b"b\r\n", &frame[..], b"\r\n0\r\n\r\n"].concat();
    for (framing, content) in [
        ("content-length: 11", &frame[..]),
        ("transfer-encoding: chunked", &chunks),
        ("content-length: 11\r\nexpect: 100-continue", frame),
    ] {
        for is_separate in [false, true] {
            let client = echo_client();
            let mut connection = client.connect();
            let fields = fields().map(|(name, value)| format!("{name}: {value}\r\n")).concat();
            let mut request =
                format!("GET /echo HTTP/1.1\r\nhost: localhost\r\n{fields}{framing}\r\n\r\n").into_bytes();
            if is_separate {
                assert!(connection.send(&request));
                client.advance(Duration::ZERO);
                request.clear();
            }
            request.extend_from_slice(content);
            assert!(connection.send(&request));
            connection.end();
            let received = String::from_utf8_lossy(&connection.rest()).into_owned();
            let statuses: Vec<_> = received.matches("HTTP/1.1 ").collect();
            assert!(
                received.starts_with("HTTP/1.1 400 "),
                "{framing}, {is_separate}: {received}"
            );
            assert_eq!(statuses.len(), 1, "{framing}, {is_separate}: {received}");
            assert!(received.contains("has content"), "{received}");
        }
    }
}

#[get("/news")]
async fn news(upgrade: WebSocketUpgrade) -> Response {
    upgrade.allow_origins(["https://example.org"]).on_upgrade(echo_messages)
}

#[get("/public")]
async fn public(upgrade: WebSocketUpgrade) -> Response {
    upgrade.allow_any_origin().on_upgrade(echo_messages)
}

#[test]
fn pages_of_other_origins_are_refused_unless_they_are_permitted() {
    let client = TestClient::new(App::new(()).routes(routes![echo, news, public]));
    for (path, origin, status) in [
        ("/echo", "http://localhost", 101),
        ("/echo", "https://localhost", 101),
        ("/echo", "http://localhost:8080", 403),
        ("/echo", "https://example.org", 403),
        ("/echo", "null", 403),
        ("/news", "http://localhost", 101),
        ("/news", "https://example.org", 101),
        ("/news", "http://example.org", 403),
        ("/news", "https://evil.example.org", 403),
        ("/public", "https://example.com", 101),
        ("/public", "null", 101),
    ] {
        if status == 101 {
            client.websocket(path).header("origin", origin).open();
            continue;
        }
        let mut request = client.get(path).header("origin", origin);
        for (name, value) in fields() {
            request = request.header(name, value);
        }
        request.send().assert_status(status);
    }
}

#[get("/mistake/{origin}")]
async fn mistake(origin: Path<String>, upgrade: WebSocketUpgrade) -> String {
    let panic = catch_unwind(AssertUnwindSafe(|| {
        upgrade.allow_any_origin().allow_origins([origin.0])
    }));
    let panic = panic.expect_err("it is not an origin");
    panic.downcast_ref::<String>().expect("a text").clone()
}

/// No browser sends such an origin, so it would permit no page.
#[test]
fn text_that_is_not_an_origin_panics_with_the_remedy() {
    let client = TestClient::new(App::new(()).routes(routes![mistake]));
    for (target, message) in [
        (
            "/mistake/https:%2F%2Fexample.org%2F",
            "`https://example.org/` is not an origin: write scheme, host and port",
        ),
        (
            "/mistake/https:%2F%2FExample.org",
            "`https://Example.org` is not an origin",
        ),
        ("/mistake/example.org", "`example.org` is not an origin"),
    ] {
        let mut request = client.get(target).undocumented();
        for (name, value) in fields() {
            request = request.header(name, value);
        }
        request.send().assert_status(200).assert_text_contains(message);
    }
}

/// The proxy sends the host that the browser requested.
#[test]
fn the_host_of_a_trusted_proxy_is_the_own_origin() {
    let client = TestClient::new(App::new(()).routes(routes![echo]).trusted_proxies(["127.0.0.1"]));
    client
        .websocket("/echo")
        .header("x-forwarded-host", "example.org")
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-for", "192.0.2.1")
        .header("origin", "https://example.org")
        .open();
}

#[get("/chat")]
async fn chat(upgrade: WebSocketUpgrade) -> Response {
    let upgrade = upgrade.subprotocols(["chat.v2", "chat.v1"]);
    let chosen = upgrade.subprotocol().unwrap_or("none").to_owned();
    upgrade.on_upgrade(|socket| async move { socket.send(chosen).await })
}

#[test]
fn the_first_supported_subprotocol_is_chosen() {
    let client = TestClient::new(App::new(()).routes(routes![chat]));
    for (offers, chosen) in [
        (&["chat.v1, chat.v2"][..], Some("chat.v2")),
        (&["chat.v1", "chat.v3"], Some("chat.v1")),
        (&["chat.v3"], None),
        (&[], None),
    ] {
        let mut request = client.websocket("/chat");
        for offer in offers {
            request = request.subprotocol(offer);
        }
        let mut socket = request.open();
        assert_eq!(socket.subprotocol(), chosen);
        assert_eq!(socket.recv().as_text(), Some(chosen.unwrap_or("none")));
    }
}

#[test]
fn the_document_describes_the_upgrade() {
    let routes: Routes<()> = routes![echo];
    let document = routes.openapi(conduit::openapi::Info::new("Echo", "1.0.0"));
    assert!(document.gaps().is_empty(), "{:?}", document.gaps());
    let document = serde_json::to_value(&document).expect("a document is JSON");
    let responses = &document["paths"]["/echo"]["get"]["responses"];
    for status in ["101", "400", "403", "426"] {
        assert!(responses[status].is_object(), "{status}: {responses}");
    }
}

/// A route for WebSockets and other requests.
#[get("/either")]
async fn either(upgrade: Option<WebSocketUpgrade>) -> Response {
    match upgrade {
        Some(upgrade) => upgrade.on_upgrade(echo_messages),
        None => "a page".into_response(),
    }
}

#[test]
fn an_optional_upgrade_is_absent_for_other_requests() {
    let client = TestClient::new(App::new(()).routes(routes![either]));
    client.get("/either").send().assert_status(200).assert_text("a page");
    // Some clients offer HTTP/2 without TLS in each request.
    let offer = client.get("/either").header("connection", "Upgrade, HTTP2-Settings");
    let offer = offer.header("http2-settings", "AAMAAABkAAQAoAAAAAIAAAAA");
    let offer = offer.header("upgrade", "h2c").send();
    offer.assert_status(200).assert_text("a page");
    client.websocket("/either").open();
    let incomplete = client.get("/either").header("upgrade", "h2c, WebSocket").send();
    incomplete.assert_status(426);
}

#[test]
fn layers_do_not_change_a_response_with_101() {
    let app = App::new(())
        .routes(routes![echo])
        .layer(Compression::new())
        .layer(Conditional::default())
        .layer(Cors::new())
        .layer(SecurityHeaders::new())
        .layer(RequestIds::default())
        .layer(Timeout::new(Duration::from_secs(5)))
        .access_log(AccessLog::Fields);
    let client = TestClient::new(app);
    let mut socket = client
        .websocket("/echo")
        .header("accept-encoding", "gzip, br")
        .header("origin", "http://localhost")
        .open();
    // The handler is not a part of the response that the timeout waits for.
    client.advance(Duration::from_secs(20));
    socket.send("hello");
    assert_eq!(socket.recv().as_text(), Some("hello"));
    assert!(!socket.headers().contains_key("content-encoding"));
    assert!(!socket.headers().contains_key("content-length"));
}

/// Writes the name of the protocol as some clients do.
async fn capitalize(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
    response
}

/// Names of protocols are case-insensitive (RFC 9110, section 7.8).
#[test]
fn a_layer_may_change_the_case_of_the_accepted_protocol() {
    let client = TestClient::new(App::new(()).routes(routes![echo]).layer(capitalize));
    let mut socket = client.websocket("/echo").open();
    assert_eq!(socket.headers()["upgrade"], "WebSocket");
    socket.send("hello");
    assert_eq!(socket.recv().as_text(), Some("hello"));
}
