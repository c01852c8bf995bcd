//! WebSockets with other implementations: all cases of Autobahn by kosoku, the clients of Python and Node.js, `tungstenite`,
//! and `wsproto` with `h2` on streams of HTTP/2 (RFC 8441). Browsers are in `tests/http2/browser.rs` and `examples/board`.
//!
//! Each is installed below the target directory. Without Python, Node.js or the network a test prints that and passes,
//! but never in CI.

#[path = "../support/judges.rs"]
mod judges;
#[path = "../support/packages.rs"]
mod packages;
#[path = "../support/mod.rs"]
mod support;

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use conduit::prelude::*;
use conduit::websocket::{DeflateConfig, WebSocketClosed};
use conduit::{WebSocket, WebSocketUpgrade};
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

use support::Running;

/// The packages of Python.
const ENVIRONMENT: &str = "websocket-clients";

/// Autobahn sends messages of 16 MiB, in frames of 64 bytes.
const AUTOBAHN_MESSAGE: usize = 16 * 1024 * 1024;
const AUTOBAHN_FRAGMENTS: u32 = 65_536;

async fn echo(mut socket: WebSocket) -> Result<(), WebSocketClosed> {
    while let Some(message) = socket.recv().await {
        socket.send(message).await?;
    }
    Ok(())
}

/// With a compressor for each WebSocket.
#[get("/own")]
async fn own(upgrade: WebSocketUpgrade) -> Response {
    let config = DeflateConfig {
        context_takeover: true,
        least_bytes: 1,
        ..DeflateConfig::default()
    };
    upgrade.compression(config).on_upgrade(echo)
}

/// With the compressor of the worker.
#[get("/shared")]
async fn shared(upgrade: WebSocketUpgrade) -> Response {
    let config = DeflateConfig {
        least_bytes: 1,
        ..DeflateConfig::default()
    };
    upgrade.subprotocols(["echo"]).compression(config).on_upgrade(echo)
}

fn serve() -> Running {
    let app = App::new(())
        .routes(routes![own, shared])
        .websocket_message_limit(AUTOBAHN_MESSAGE)
        .websocket_fragment_limit(AUTOBAHN_FRAGMENTS);
    support::serve(app)
}

/// Runs the cases that these arguments select, and checks the report. Returns the number of cases.
fn run_cases(folder: &Path, address: SocketAddr, path: &str, selection: &[&str]) -> usize {
    let reports = folder.join(format!("reports-{path}{}", selection.concat().replace('*', "")));
    let mut command = Command::new(folder.join("bin/kosoku"));
    command.arg("--outdir").arg(&reports).args(["--parallelism", "4"]);
    let output = command.args(selection).arg(format!("ws://{address}/{path}")).output();
    judges::assert_success(&output.expect("kosoku runs"));
    let index = std::fs::read(reports.join("index.json")).expect("kosoku has written a report");
    let index: serde_json::Value = serde_json::from_slice(&index).expect("JSON");
    let mut count = 0;
    for (case, result) in index
        .as_object()
        .into_iter()
        .flat_map(|agents| agents.values())
        .flat_map(cases_of)
    {
        for behavior in ["behavior", "behaviorClose"] {
            let found = result[behavior].as_str().unwrap_or_default();
            let passes = matches!(found, "OK" | "INFORMATIONAL" | "NON-STRICT");
            assert!(passes, "{path}, case {case}: {result}");
        }
        count += 1;
    }
    count
}

fn cases_of(agent: &serde_json::Value) -> impl Iterator<Item = (&String, &serde_json::Value)> {
    agent.as_object().into_iter().flatten()
}

/// 517 cases, some of which exchange thousands of large messages. The client is slower than the server, and one process of it
/// uses one core: two of them share the cases.
#[test]
#[ignore = "takes a minute; conformance/autobahn runs it"]
fn all_cases_of_autobahn_pass() {
    let Some(folder) = packages::installed(ENVIRONMENT) else {
        return;
    };
    let server = serve();
    let (folder, address) = (&folder, server.address);
    let counts = std::thread::scope(|scope| {
        let first = scope.spawn(move || {
            let largest = run_cases(folder, address, "own", &["--include", "13.*"]);
            // The other cases do not depend on the compressor.
            let shared = run_cases(
                folder,
                address,
                "shared",
                &["--include", "12.1.*", "--include", "12.5.*"],
            );
            (largest, shared)
        });
        let others = run_cases(folder, address, "own", &["--exclude", "13.*"]);
        let (largest, shared) = first.join().expect("the cases pass");
        (largest + others, shared)
    });
    assert_eq!(counts, (517, 36));
}

/// A server with TLS. A client without ALPN gets HTTP/1.1.
fn serve_tls() -> Running {
    let app = App::new(()).routes(routes![own, shared]).tls_self_signed().workers(1);
    support::start(
        app.listen("127.0.0.1:0")
            .expect("a port of loopback can be listened on"),
    )
}

/// The path of a script in this directory.
macro_rules! script {
    ($name:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/tests/websocket_clients/", $name)
    };
}

#[test]
fn the_client_of_python_exchanges_messages_with_and_without_tls() {
    let (server, secure) = (serve(), serve_tls());
    let urls = [format!("ws://{}", server.address), format!("wss://{}", secure.address)];
    judges::run_python(ENVIRONMENT, script!("client.py"), &urls);
}

#[test]
fn clients_of_python_exchange_messages_on_streams_of_one_connection_of_http2() {
    let (server, secure) = (serve(), serve_tls());
    let urls = [
        format!("http://{}", server.address),
        format!("https://{}", secure.address),
    ];
    judges::run_python(ENVIRONMENT, script!("streams.py"), &urls);
}

#[test]
fn the_client_of_node_exchanges_messages() {
    let server = serve();
    let address = format!("ws://{}", server.address);
    judges::run_node("websocket-node", script!("client.js"), &[address]);
}

#[test]
fn tungstenite_exchanges_messages() {
    let server = serve();
    for path in ["own", "shared"] {
        let stream = TcpStream::connect(server.address).expect("the server accepts");
        let url = format!("ws://{}/{path}", server.address);
        let (mut socket, response) = tungstenite::client(url, stream).expect("a WebSocket");
        assert_eq!(response.status(), 101);
        for length in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
            for message in [Message::text("x".repeat(length)), Message::binary(vec![7; length])] {
                socket.send(message.clone()).expect("it is sent");
                assert!(socket.read().expect("a message") == message, "{length}");
            }
        }
        socket.send(Message::Ping("payload".into())).expect("it is sent");
        assert_eq!(socket.read().expect("a message"), Message::Pong("payload".into()));
        let code = CloseCode::Library(4001);
        let reason = "done".into();
        socket.close(Some(CloseFrame { code, reason })).expect("it is sent");
        let closed = socket.read().expect("a message");
        assert!(
            matches!(&closed, Message::Close(Some(frame)) if frame.code == code),
            "{closed}"
        );
        assert!(matches!(socket.read(), Err(tungstenite::Error::ConnectionClosed)));
    }
}
