//! Browsers load a page with 100 resources over TLS, and open a WebSocket as a stream of the same connection.
//!
//! A browser that is not installed is skipped, but never in CI.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use conduit::prelude::*;
use conduit::websocket::WebSocketClosed;
use conduit::{Tls, WebSocketUpgrade};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::chromium::Browser;
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
    const entries = performance.getEntries();
    // Firefox has an entry for the icon, too.
    const wanted = entries.filter((entry) => entry.entryType == "navigation" || entry.name.includes("/resource/"));
    const protocols = wanted.map((entry) => entry.nextHopProtocol);
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
    /// The certificate in DER.
    certificate: Vec<u8>,
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
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let app = App::new(shared)
        .routes(routes![page, resource, socket, report])
        .tls(Tls::pem(
            certificate.cert.pem(),
            certificate.signing_key.serialize_pem(),
        ))
        .workers(1);
    let running = start(
        app.listen("127.0.0.1:0")
            .expect("a port of loopback can be listened on"),
    );
    Server {
        running,
        certificate: certificate.cert.der().to_vec(),
        reports,
        streams,
    }
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
    let Some(mut browser) = Browser::start_with(profile.path(), &["--ignore-certificate-errors"]) else {
        return;
    };
    browser.open(&format!("https://{}/page", server.running.address));
    check(&server);
}

/// The preferences of a profile without a window for the first start, and without requests to servers of Mozilla.
const PREFERENCES: &str = r#"
user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.safebrowsing.update.enabled", false);
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("extensions.systemAddon.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
user_pref("toolkit.telemetry.enabled", false);
"#;

/// The process, which ends with the test.
struct Firefox(Child);

impl Firefox {
    /// Opens a page. Returns `None` where Firefox is not installed; in CI it panics.
    fn open(profile: &std::path::Path, address: &str) -> Option<Self> {
        let mut command = Command::new("firefox-esr");
        command
            .args(["--headless", "--no-remote", "--profile"])
            .arg(profile)
            .arg(address)
            .env("HOME", profile)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let firefox = command.spawn().ok().map(Firefox);
        if firefox.is_none() {
            assert!(std::env::var_os("CI").is_none(), "firefox-esr is not installed");
            eprintln!("SKIPPED: firefox-esr is not installed");
        }
        firefox
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn firefox() {
    let server = serve();
    let profile = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| std::fs::write(profile.path().join(name), text).expect("it is written");
    file("user.js", PREFERENCES);
    // The exception for this certificate: address, the identifier of SHA-256, fingerprint.
    let fingerprint: Vec<String> = Sha256::digest(&server.certificate)
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    let (address, fingerprint) = (server.running.address, fingerprint.join(":"));
    file(
        "cert_override.txt",
        &format!("{address}:\tOID.2.16.840.1.101.3.4.2.1\t{fingerprint}\t\n"),
    );
    let Some(_firefox) = Firefox::open(profile.path(), &format!("https://{address}/page")) else {
        return;
    };
    check(&server);
}
