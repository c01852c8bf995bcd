//! Messages in both directions.

use std::cell::Cell;
use std::collections::BTreeMap;

use conduit::prelude::*;
use conduit::testing::{TestClient, TestFrame};
use conduit::websocket::{DeflateConfig, JsonSendError, Message};
use conduit::{Bytes, WebSocketUpgrade};
use serde_json::json;

use crate::{echo, echo_client};

#[test]
fn messages_of_each_length_are_returned() {
    let client = echo_client();
    let mut socket = client.websocket("/echo").open();
    for length in [0, 1, 125, 126, 1000, 8191, 8192, 65_535, 65_536, 300_000, 1 << 20] {
        let text = "é".repeat(length / 2);
        assert!(socket.send(text.clone()));
        assert!(socket.recv() == Message::Text(text), "{length}");
        let bytes = Bytes::from(vec![length as u8; length]);
        assert!(socket.send(bytes.clone()));
        assert!(socket.recv() == Message::Binary(bytes), "{length}");
    }
    let statistics = client.handle().statistics();
    assert_eq!((statistics.received_messages, statistics.sent_messages), (22, 22));
}

/// The frames arrive in one read, or byte by byte.
#[test]
fn messages_that_arrive_together_or_in_pieces_are_returned_in_order() {
    let client = echo_client();
    for seed in 0..20 {
        let mut socket = client.websocket("/echo").open();
        if seed > 0 {
            socket.connection().shorten_transfers(seed);
        }
        for at in 0..100 {
            assert!(socket.send(format!("message {at}")));
        }
        for at in 0..100 {
            assert_eq!(socket.recv(), Message::Text(format!("message {at}")));
        }
    }
}

#[test]
fn a_fragmented_message_with_a_ping_inside_is_one_message() {
    let client = echo_client();
    let mut socket = client.websocket("/echo").open();
    socket.send_frame(0x01, b"one ");
    socket.ping("ping");
    socket.send_frame(0x80, b"two");
    assert_eq!(socket.recv_frame(), TestFrame::Pong(Bytes::from_static(b"ping")));
    assert_eq!(socket.recv().as_text(), Some("one two"));
}

/// A client must wait for the response; one that does not loses nothing (RUSTSEC-2026-0033).
#[test]
fn frames_that_follow_the_request_at_once_belong_to_the_websocket() {
    let client = echo_client();
    let mut connection = client.connect();
    let request = b"GET /echo HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n\x81\x85\0\0\0\0first";
    assert!(connection.send(request));
    let mut received = Vec::new();
    while !received.ends_with(b"\x81\x05first") {
        let piece = connection.read(4096);
        assert!(!piece.is_empty(), "{}", String::from_utf8_lossy(&received));
        received.extend(piece);
    }
    assert!(received.starts_with(b"HTTP/1.1 101 Switching Protocols\r\n"));
}

#[get("/json")]
async fn add(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| async move {
        let mut socket = socket.json::<(i64, i64), i64>();
        while let Some(message) = socket.recv().await {
            let (a, b) = message?;
            socket.send(&(a + b)).await?;
        }
        Ok::<_, conduit::BoxError>(())
    })
}

#[test]
fn messages_as_json_are_typed() {
    let client = TestClient::new(App::new(()).routes(routes![add]));
    let mut socket = client.websocket("/json").open();
    socket.send_json(&(1, 2));
    assert_eq!(socket.recv_json(), json!(3));
    socket.send("[1, 2, 3]");
    assert_eq!(socket.closed(), Some(conduit::websocket::CloseCode::INTERNAL_ERROR));
}

/// A map whose keys are lists, so that only the empty map is JSON.
type Unwritable = BTreeMap<Vec<u8>, u8>;

#[get("/unwritable")]
async fn send_unwritable(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| async move {
        let socket = socket.json::<u8, Unwritable>();
        let value = Unwritable::from([(vec![1], 1)]);
        let error = socket.send(&value).await.expect_err("the value is not JSON");
        assert!(matches!(error, JsonSendError::NotJson(_)), "{error}");
        socket.send(&Unwritable::new()).await?;
        socket.send(&value).await
    })
}

#[test]
fn a_value_that_is_not_json_is_an_error_and_leaves_the_websocket_open() {
    let client = TestClient::new(App::new(()).routes(routes![send_unwritable]));
    let mut socket = client.websocket("/unwritable").open();
    assert_eq!(socket.recv_json(), json!({}));
    // The handler has returned the error of the last value.
    assert_eq!(socket.closed(), Some(conduit::websocket::CloseCode::INTERNAL_ERROR));
}

#[get("/halves")]
async fn halves(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|socket| async move {
        let (sender, mut receiver) = socket.split();
        let (other, count) = (sender.clone(), std::rc::Rc::new(Cell::new(0)));
        let counted = std::rc::Rc::clone(&count);
        let received = tokio::task::spawn_local(async move {
            while receiver
                .recv()
                .await
                .is_some_and(|message| message.as_text() != Some("end"))
            {
                counted.set(counted.get() + 1);
            }
        });
        sender.send("begin").await?;
        // The task cannot panic.
        let _ = received.await;
        other.send(format!("{} messages", count.get())).await
    })
}

#[test]
fn the_halves_work_in_different_tasks() {
    let client = TestClient::new(App::new(()).routes(routes![halves]));
    let mut socket = client.websocket("/halves").open();
    assert_eq!(socket.recv().as_text(), Some("begin"));
    for message in ["a", "b", "c", "end"] {
        socket.send(message);
    }
    assert_eq!(socket.recv().as_text(), Some("3 messages"));
    // The handler has ended.
    assert_eq!(socket.closed(), Some(conduit::websocket::CloseCode::NORMAL));
}

#[get("/compressed")]
async fn compressed(upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .compression(DeflateConfig::default())
        .on_upgrade(|mut socket| async move {
            let _ = socket.recv().await;
            socket.send("a".repeat(10_000)).await
        })
}

#[test]
fn messages_are_compressed_where_the_client_offers_that() {
    let client = TestClient::new(App::new(()).routes(routes![compressed, echo]));
    let offer = |path| {
        client
            .websocket(path)
            .header("sec-websocket-extensions", "permessage-deflate; client_max_window_bits")
    };
    let mut socket = offer("/compressed").open();
    let negotiated = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    assert_eq!(socket.headers()["sec-websocket-extensions"], negotiated);
    // "Hello" as in RFC 7692, section 7.2.3.1.
    socket.send_frame(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    let mut received = Vec::new();
    while received.len() < 4 {
        received.extend(socket.connection().read(4096));
    }
    assert!(received[0] == 0xc1 && received[1] < 126, "{received:x?}");
    // Off unless the handler chooses it.
    assert!(!offer("/echo").open().headers().contains_key("sec-websocket-extensions"));
    assert!(
        !client
            .websocket("/compressed")
            .open()
            .headers()
            .contains_key("sec-websocket-extensions")
    );
}

/// Compresses with a context for each WebSocket.
#[get("/own")]
async fn own(upgrade: WebSocketUpgrade) -> Response {
    let config = DeflateConfig {
        context_takeover: true,
        least_bytes: 1,
        ..DeflateConfig::default()
    };
    upgrade.compression(config).on_upgrade(crate::echo_messages)
}

#[test]
fn compressors_of_websockets_have_a_common_bound() {
    // A quarter of it is for compressors: enough for two WebSockets.
    let app = App::new(()).routes(routes![own]).body_memory(2_600_000);
    let client = TestClient::new(app);
    let open = || {
        let request = client.websocket("/own");
        let socket = request.header("sec-websocket-extensions", "permessage-deflate").open();
        let extension = socket.headers()["sec-websocket-extensions"]
            .to_str()
            .expect("text")
            .to_owned();
        (socket, extension)
    };
    let (first, second, third) = (open(), open(), open());
    assert_eq!(first.1, "permessage-deflate");
    assert_eq!(second.1, "permessage-deflate");
    assert_eq!(
        third.1,
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    );
    assert_eq!(
        client
            .handle()
            .statistics()
            .limit_hits(conduit::Limit::CompressionMemory),
        1
    );
    // The end of a WebSocket frees its part.
    drop(first);
    crate::wait_for(|| client.handle().statistics().open_websockets == 2);
    assert_eq!(open().1, "permessage-deflate");
}

#[test]
fn websockets_and_their_messages_are_counted_on_the_metrics_page() {
    let app = App::new(()).routes(routes![crate::echo, conduit::metrics::page]);
    let client = TestClient::new(app);
    let mut socket = client.websocket("/echo").open();
    for _ in 0..3 {
        socket.send("counted");
        socket.recv();
    }
    let response = client.get("/metrics").send();
    let page = response.text();
    for line in [
        "conduit_websockets_opened_total 1",
        "conduit_websockets_open 1",
        "conduit_websocket_messages_received_total 3",
        "conduit_websocket_messages_sent_total 3",
        "conduit_requests_total{method=\"GET\",route=\"/echo\",status=\"1xx\"} 1",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
}

#[get("/greeting")]
async fn greeting(upgrade: WebSocketUpgrade, request: Request) -> Response {
    let field = |name: &str| String::from_utf8_lossy(request.header(name).unwrap_or_default()).into_owned();
    let greeting = format!("{} {}", field("host"), field("cookie"));
    let mut response = upgrade.on_upgrade(async move |socket| socket.send(greeting).await);
    let cookie = HeaderValue::from_static("visit=1; path=/");
    response.headers_mut().insert("set-cookie", cookie);
    response
}

#[test]
fn test_client_sends_one_host_and_one_cookie_field_and_keeps_cookies_of_the_response() {
    let client = TestClient::new(App::new(()).routes(routes![greeting])).with_header("host", "shop.example");
    let greeting = |request: conduit::testing::TestWebSocketRequest| request.open().recv();
    assert_eq!(greeting(client.websocket("/greeting")), Message::from("shop.example "));
    let second = client.websocket("/greeting").header("cookie", "a=b");
    assert_eq!(greeting(second), Message::from("shop.example visit=1; a=b"));
}
