//! The API, through the client for tests.

use conduit::testing::{TestClient, TestWebSocket};
use conduit::websocket::CloseCode;
use serde_json::{Value, json};

use crate::{Board, app};

fn client() -> TestClient {
    TestClient::new(app(Board::from_env().expect("the environment selects no engine")))
}

/// The next message of this type.
#[track_caller]
fn next(socket: &mut TestWebSocket, kind: &str) -> Value {
    loop {
        let message = socket.recv_json();
        if message["type"] == kind {
            return message;
        }
    }
}

#[test]
fn clients_share_messages_cursors_and_presence() {
    let client = client();
    let mut ada = client.websocket("/socket?name=ada").open();
    assert_eq!(next(&mut ada, "present")["names"], json!(["ada"]));
    let mut bob = client.websocket("/socket?name=bob").open();
    assert_eq!(next(&mut ada, "present")["names"], json!(["ada", "bob"]));
    ada.send_json(&json!({ "type": "write", "id": "1", "text": "hello" }));
    let note = json!({ "id": "1", "name": "ada", "text": "hello" });
    assert_eq!(next(&mut bob, "note")["note"], note);
    let position = next(&mut ada, "note")["position"]
        .as_str()
        .expect("a position")
        .to_owned();
    bob.send_json(&json!({ "type": "move", "at": { "x": 0.5, "y": 0.25 } }));
    let cursor = next(&mut ada, "cursor");
    assert_eq!(
        cursor["cursor"],
        json!({ "name": "bob", "at": { "x": 0.5, "y": 0.25 } })
    );
    drop(bob);
    assert_eq!(next(&mut ada, "present")["names"], json!(["ada"]));
    // A client that reconnects continues after its last message, and a new one receives all of them.
    ada.send_json(&json!({ "type": "write", "id": "2", "text": "next" }));
    let mut again = client.websocket(&format!("/socket?name=bob&after={position}")).open();
    assert_eq!(next(&mut again, "note")["note"]["text"], "next");
    let mut carol = client.websocket("/socket?name=carol").open();
    assert_eq!(next(&mut carol, "note")["note"], note);
    // A position of an earlier process.
    let mut old = client.websocket("/socket?name=old&after=1-7").open();
    next(&mut old, "missed");
    assert_eq!(next(&mut old, "note")["note"], note);
}

#[test]
fn points_outside_of_the_board_are_rejected_and_readers_stay_connected() {
    let client = client();
    let mut ada = client.websocket("/socket?name=ada").open();
    let mut bob = client.websocket("/socket?name=bob").open();
    for x in ["1e39", "-1e39", "1.5", "-0.1", "null", "\"0\""] {
        bob.send(format!(r#"{{"type":"move","at":{{"x":{x},"y":0.5}}}}"#));
        let rejected = next(&mut bob, "rejected");
        assert!(rejected["reason"].is_string(), "{x}: {rejected}");
    }
    bob.send_json(&json!({ "type": "move", "at": { "x": 0.5, "y": 1 } }));
    let cursor = next(&mut ada, "cursor");
    assert_eq!(cursor["cursor"], json!({ "name": "bob", "at": { "x": 0.5, "y": 1.0 } }));
}

#[test]
fn feed_has_the_whole_activity() {
    let client = client();
    let socket = client.websocket("/socket?name=ada").open();
    let mut feed = client.get("/feed").stream();
    let mut next = || {
        let event = feed.event().expect("an event");
        serde_json::from_str::<Value>(&event.data).expect("JSON")["activity"].clone()
    };
    assert_eq!(next(), "has joined");
    let shared = client.post("/files?name=ada").body(vec![7; 100_000]).send();
    shared.assert_status(201);
    let location = shared.header("location").expect("a location");
    assert_eq!(next(), "has shared a file of 100000 bytes");
    drop(socket);
    assert_eq!(next(), "has left");
    let file = client.get(location).send();
    file.assert_header("content-disposition", "attachment");
    assert_eq!(file.bytes().len(), 100_000);
    client.get("/files/1").send().assert_status(404);
    // A process does not serve a file of another process under the same path.
    crate::tests::client().get(location).send().assert_status(404);
}

#[test]
fn names_and_sizes_have_rules() {
    let client = client();
    for name in ["", "a-name-of-more-than-20-characters", "%07"] {
        let refused = client.post(&format!("/files?name={name}")).body("text").send();
        refused.assert_status(403);
    }
    let large = vec![0; 4 * 1024 * 1024 + 1];
    client.post("/files?name=ada").body(large).send().assert_status(413);
    let mut socket = client.websocket("/socket?name=ada").open();
    // The WebSocket of a client that makes mistakes stays open, and no error is logged for them.
    for (id, text) in [("1", "a".repeat(1001)), (&"1".repeat(65), "a".to_owned())] {
        socket.send_json(&json!({ "type": "write", "id": id, "text": text }));
        let rejected = next(&mut socket, "rejected");
        assert!(
            rejected["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("too long"))
        );
    }
    socket.send_json(&json!({ "type": "write", "id": "1", "text": "a".repeat(1000) }));
    assert_eq!(next(&mut socket, "note")["note"]["id"], "1");
    socket.send("a".repeat(1024 * 1024 + 1));
    assert_eq!(socket.closed(), Some(CloseCode::TOO_BIG));
}

#[test]
fn invented_event_ids_replay_nothing_else_and_disconnect_no_reader() {
    let client = client();
    let socket = client.websocket("/socket?name=ada").open();
    let shared = client.post("/files?name=ada").body("text").send();
    shared.assert_status(201);
    for id in [
        "",
        "0",
        "1-7",
        "x",
        "-1",
        "18446744073709551616-1",
        "\u{e9}",
        "' OR 1=1 --",
    ] {
        let mut feed = client.get("/feed").header("last-event-id", id).stream();
        feed.head().assert_status(200);
        let mut activities = Vec::new();
        while activities.last() != Some(&json!("has shared a file of 4 bytes")) {
            let event = feed.event().expect("an event");
            if event.event == "missed" {
                activities.push(json!("missed"));
                continue;
            }
            let activity: Value = serde_json::from_str(&event.data).expect("JSON");
            activities.push(activity["activity"].clone());
        }
        let history = [json!("has joined"), json!("has shared a file of 4 bytes")];
        assert!(
            activities.ends_with(&history) && activities.len() <= 3,
            "{id}: {activities:?}"
        );
    }
    drop(socket);
}
