//! WebSockets of an application, by the test client.

mod browser_rules;
mod closing;
mod flow;
#[path = "../support/log.rs"]
mod log;
mod messages;
mod polls;
#[cfg(target_os = "linux")]
mod restart;
#[path = "../support/mod.rs"]
mod support;

use conduit::prelude::*;
use conduit::testing::TestClient;
use conduit::{WebSocket, WebSocketUpgrade};
use support::wait_for;

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
#[ignore = "a program of the tests"]
fn the_program() {
    restart::run_program();
}
