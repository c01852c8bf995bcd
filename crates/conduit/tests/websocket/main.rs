//! WebSockets of an application, by the test client.

mod browser_rules;
mod closing;
mod flow;
mod messages;
mod polls;
#[cfg(target_os = "linux")]
mod restart;
#[cfg(target_os = "linux")]
#[path = "../support/mod.rs"]
mod support;

use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::{WebSocket, WebSocketUpgrade};

/// Returns each message.
async fn echo_messages(mut socket: WebSocket) -> Result<(), conduit::websocket::WebSocketClosed> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

#[get("/echo")]
async fn echo(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(echo_messages)
}

fn echo_client() -> TestClient {
    TestClient::new(App::new(()).routes(routes![echo]))
}

/// Not a test: the program that a test starts.
#[cfg(target_os = "linux")]
#[test]
fn the_program() {
    restart::run_program();
}

/// Waits for a condition that the worker's next turns bring about.
fn wait_for(mut condition: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !condition() {
        assert!(
            std::time::Instant::now() < deadline,
            "the condition does not come about"
        );
        std::thread::yield_now();
    }
}
