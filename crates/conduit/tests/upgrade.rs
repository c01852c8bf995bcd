//! A response with status 101 switches the connection to another protocol.

use conduit::prelude::*;
use conduit::testing::{TestClient, TestConnection};
use http::header::UPGRADE;

#[get("/echo")]
async fn echo() -> Response {
    (StatusCode::SWITCHING_PROTOCOLS, [(UPGRADE, "conduit-test-echo")], ()).into_response()
}

/// Switches after a task has completed, so that the response is a command.
#[get("/echo-later")]
async fn echo_later() -> Response {
    tokio::task::yield_now().await;
    echo().await
}

#[get("/other")]
async fn other() -> Response {
    (StatusCode::SWITCHING_PROTOCOLS, [(UPGRADE, "other")], ()).into_response()
}

#[test]
fn a_response_with_101_switches_to_the_protocol_that_it_names() {
    let client = TestClient::new(App::new(()).routes(routes![echo, echo_later, other]));
    for target in ["/echo", "/echo-later"] {
        let mut connection = client.connect();
        // The first bytes of the other protocol follow the request at once.
        let request = format!(
            "GET {target} HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: conduit-test-echo\r\n\r\nfirst"
        );
        assert!(connection.send(request));
        assert_eq!(read_until(&mut connection, "first").matches("HTTP/1.1 101 ").count(), 1);
        assert!(connection.send("GET / HTTP/1.1\r\n\r\n"));
        assert_eq!(read_until(&mut connection, "\r\n\r\n"), "GET / HTTP/1.1\r\n\r\n");
        connection.end();
        assert!(connection.rest().is_empty());
    }
    let mut connection = client.connect();
    assert!(connection.send("GET /other HTTP/1.1\r\nhost: a\r\nupgrade: other\r\n\r\n"));
    assert!(read_until(&mut connection, "\r\n\r\n").starts_with("HTTP/1.1 500 "));
}

fn read_until(connection: &mut TestConnection, end: &str) -> String {
    let mut received = String::new();
    while !received.contains(end) {
        received += &String::from_utf8(connection.read(4096)).expect("text");
        assert!(received.len() < 4096, "{received:?}");
    }
    received
}
