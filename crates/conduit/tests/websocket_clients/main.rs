//! WebSockets as other implementations see them: all cases of Autobahn by kosoku, and the clients of Python and Node.js.
//!
//! Each is installed below the target directory. Without Python, Node.js or the network a test prints that and passes,
//! but never in CI.

#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Mutex, PoisonError};

use conduit::prelude::*;
use conduit::websocket::{DeflateConfig, WebSocketClosed};
use conduit::{WebSocket, WebSocketUpgrade};

use support::Running;

const PACKAGES: [&str; 2] = ["kosoku==0.1.0", "websockets==17.4"];
const NODE_PACKAGE: &str = "ws@8";

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

/// Reports that a judge is missing.
fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what} could not be installed");
    eprintln!("SKIPPED: {what} could not be installed, so that it has not tried the server");
}

/// The environment of Python, if the packages can be installed.
fn python() -> Option<PathBuf> {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("websocket-clients");
    let python = folder.join("bin/python");
    if folder.join("bin/kosoku").exists() {
        return Some(folder);
    }
    let run = |program: &Path, arguments: &[&str]| Command::new(program).args(arguments).output();
    let made = run(Path::new("python3"), &["-m", "venv", &folder.to_string_lossy()]).and_then(|_| {
        let install = ["-m", "pip", "install", "--quiet", PACKAGES[0], PACKAGES[1]];
        run(&python, &install)
    });
    if made.is_ok_and(|output| output.status.success()) {
        return Some(folder);
    }
    skip(&PACKAGES.join(" and "));
    None
}

fn assert_success(output: &Output) {
    let (out, error) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}{error}");
}

/// Runs the cases that these arguments select, and checks the report. Returns the number of cases.
fn judge(folder: &Path, address: SocketAddr, path: &str, selection: &[&str]) -> usize {
    let reports = folder.join(format!("reports-{path}{}", selection.concat().replace('*', "")));
    let mut command = Command::new(folder.join("bin/kosoku"));
    command.arg("--outdir").arg(&reports).args(["--parallelism", "4"]);
    let output = command.args(selection).arg(format!("ws://{address}/{path}")).output();
    assert_success(&output.expect("kosoku runs"));
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
    let Some(folder) = python() else { return };
    let server = serve();
    let (folder, address) = (&folder, server.address);
    let counts = std::thread::scope(|scope| {
        let largest = scope.spawn(move || judge(folder, address, "own", &["--include", "13.*"]));
        let others = judge(folder, address, "own", &["--exclude", "13.*"]);
        // The other cases do not depend on the compressor.
        let shared = judge(
            folder,
            address,
            "shared",
            &["--include", "12.1.*", "--include", "12.5.*"],
        );
        (largest.join().expect("the cases pass") + others, shared)
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

#[test]
fn the_client_of_python_exchanges_messages_with_and_without_tls() {
    let Some(folder) = python() else { return };
    let (server, secure) = (serve(), serve_tls());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/websocket_clients/client.py");
    let output = Command::new(folder.join("bin/python"))
        .arg(script)
        .arg(format!("ws://{}", server.address))
        .arg(format!("wss://{}", secure.address))
        .output();
    assert_success(&output.expect("Python runs"));
}

#[test]
fn the_client_of_node_exchanges_messages() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("websocket-node");
    if !folder.join("node_modules/ws").exists() {
        std::fs::create_dir_all(&folder).expect("the directory can be created");
        let installed = Command::new("npm")
            .args(["install", "--silent", "--no-save", "--prefix"])
            .arg(&folder)
            .arg(NODE_PACKAGE)
            .output();
        if !installed.is_ok_and(|output| output.status.success()) {
            return skip_node();
        }
    }
    let server = serve();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/websocket_clients/client.js");
    let output = Command::new("node")
        .env("NODE_PATH", folder.join("node_modules"))
        .arg(script)
        .arg(format!("ws://{}", server.address))
        .output();
    assert_success(&output.expect("Node.js runs"));
}

/// Node.js is not among the tools of CI.
fn skip_node() {
    eprintln!("SKIPPED: {NODE_PACKAGE} could not be installed, so that it has not tried the server");
}
