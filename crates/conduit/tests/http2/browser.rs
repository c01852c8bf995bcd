//! Browsers load a page with 100 resources over TLS, and open a WebSocket as a stream of the same connection.
//!
//! Chromium is skipped where it is not installed, but never in CI; Firefox is optional.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use conduit::WebSocketUpgrade;
use conduit::prelude::*;
use conduit::websocket::WebSocketClosed;
use serde::Deserialize;

use crate::support::{Running, start};

const RESOURCES: usize = 100;

/// The page loads its resources, sends messages, and reports the protocols by which the browser got everything.
const PAGE: &str = r#"<!doctype html><title>page</title><body><script>
let loaded = 0;
function load(index) {
    return new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.onload = resolve;
        script.onerror = () => reject("resource " + index);
        script.src = "/resource/" + index;
        document.body.append(script);
    });
}
function exchange() {
    return new Promise((resolve, reject) => {
        const socket = new WebSocket("wss://" + location.host + "/socket");
        const received = [];
        socket.onopen = () => { for (let index = 0; index < 10; index++) socket.send("message " + index); };
        socket.onmessage = (event) => {
            received.push(event.data);
            if (received.length == 10) socket.close(4000, "enough");
        };
        socket.onclose = (event) => resolve({ received, code: event.code, clean: event.wasClean });
    });
}
async function main() {
    await Promise.all(Array.from({ length: 100 }, (_, index) => load(index)));
    const entries = performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"));
    const protocols = entries.map((entry) => entry.nextHopProtocol);
    const socket = await exchange();
    return { loaded, protocols, socket };
}
main().catch((error) => ({ error: String(error), loaded, protocols: [], socket: { received: [], code: 0, clean: false } }))
    .then((report) => fetch("/report", { method: "POST", body: JSON.stringify(report), headers: { "content-type": "application/json" } }));
</script>"#;

#[derive(Debug, Deserialize)]
struct Report {
    error: Option<String>,
    loaded: usize,
    protocols: Vec<String>,
    socket: SocketReport,
}

#[derive(Debug, Deserialize)]
struct SocketReport {
    received: Vec<String>,
    code: u16,
    clean: bool,
}

#[derive(Clone)]
struct Shared {
    reports: Sender<Report>,
    /// The WebSockets that were opened as streams of HTTP/2.
    streams: Arc<AtomicUsize>,
}

#[get("/page")]
fn page() -> ([(&'static str, &'static str); 1], &'static str) {
    ([("content-type", "text/html; charset=utf-8")], PAGE)
}

#[get("/resource/{index}")]
fn resource(index: Path<usize>) -> ([(&'static str, &'static str); 1], String) {
    // Of different lengths, up to 200 KB.
    let filler = " ".repeat(*index % 10 * 20_000);
    ([("content-type", "text/javascript")], format!("loaded += 1;{filler}"))
}

#[get("/socket")]
async fn socket(upgrade: WebSocketUpgrade, request: Request, shared: State<Shared>) -> Response {
    if request.version() == http::Version::HTTP_2 {
        shared.streams.fetch_add(1, Ordering::Relaxed);
    }
    upgrade.on_upgrade(|mut socket| async move {
        while let Some(message) = socket.recv().await {
            socket.send(message).await?;
        }
        Ok::<_, WebSocketClosed>(())
    })
}

#[post("/report")]
fn report(report: Json<Report>, shared: State<Shared>) {
    // The test may have failed.
    let _ = shared.reports.send(report.0);
}

struct Server {
    running: Running,
    reports: Receiver<Report>,
    streams: Arc<AtomicUsize>,
}

fn serve() -> Server {
    let (sender, reports) = channel();
    let shared = Shared {
        reports: sender,
        streams: Arc::default(),
    };
    let streams = Arc::clone(&shared.streams);
    let app = App::new(shared)
        .routes(routes![page, resource, socket, report])
        .tls_self_signed()
        .workers(1);
    let running = start(
        app.listen("127.0.0.1:0")
            .expect("a port of loopback can be listened on"),
    );
    Server {
        running,
        reports,
        streams,
    }
}

/// A browser, which ends with the test.
struct Browser(Child);

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(mut command: Command) -> Option<Browser> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().ok().map(Browser)
}

#[track_caller]
fn check(server: &Server) {
    let report = server
        .reports
        .recv_timeout(Duration::from_secs(60))
        .expect("the page reports");
    assert_eq!(
        (report.error.as_deref(), report.loaded),
        (None, RESOURCES),
        "{report:?}"
    );
    assert_eq!(report.protocols.len(), RESOURCES + 1);
    assert!(report.protocols.iter().all(|protocol| protocol == "h2"), "{report:?}");
    let expected: Vec<String> = (0..10).map(|index| format!("message {index}")).collect();
    let SocketReport { received, code, clean } = report.socket;
    assert_eq!((received, code, clean), (expected, 4000, true));
    assert_eq!(
        server.streams.load(Ordering::Relaxed),
        1,
        "the WebSocket is a stream of HTTP/2"
    );
}

#[test]
fn chromium() {
    let server = serve();
    let profile = tempfile::tempdir().expect("a directory");
    let mut command = Command::new("chromium");
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
        ])
        .args([
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args(["--ignore-certificate-errors", "--remote-debugging-port=0"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("https://{}/page", server.running.address));
    let Some(_browser) = spawn(command) else {
        assert!(std::env::var_os("CI").is_none(), "chromium is not installed");
        eprintln!("SKIPPED: chromium is not installed");
        return;
    };
    check(&server);
}
