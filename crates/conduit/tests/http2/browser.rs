//! Browsers load a page with 100 resources over TLS, open a WebSocket as a stream of the same connection, and read events there
//! across a reconnect.
//!
//! A browser that is not installed is skipped, but never in CI.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use conduit::events::{Event, Events, LastEventId};
use conduit::prelude::*;
use conduit::websocket::WebSocketClosed;
use conduit::{Tls, WebSocketUpgrade};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::chromium::Browser;
use crate::support::{Running, start};

const RESOURCES: usize = 100;

/// The page loads its resources, sends messages, and reports the protocol of each transfer.
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
function listen() {
    return new Promise((resolve) => {
        const source = new EventSource("/events");
        const received = [];
        source.onmessage = (event) => {
            received.push(event.lastEventId + ":" + event.data);
            if (received.length < 6) return;
            source.close();
            resolve(received);
        };
    });
}
async function main() {
    await Promise.all(Array.from({ length: 100 }, (_, index) => load(index)));
    const entries = performance.getEntries();
    // Firefox has an entry for the icon, too.
    const wanted = entries.filter((entry) => entry.entryType == "navigation" || entry.name.includes("/resource/"));
    const protocols = wanted.map((entry) => entry.nextHopProtocol);
    const socket = await exchange();
    const events = await listen();
    return { loaded, protocols, socket, events };
}
main().catch((error) => ({ error: String(error), loaded, protocols: [], socket: { received: [], code: 0, clean: false }, events: [] }))
    .then((report) => fetch("/report", { method: "POST", body: JSON.stringify(report), headers: { "content-type": "application/json" } }));
</script>"#;

#[derive(Debug, Deserialize)]
struct Report {
    error: Option<String>,
    loaded: usize,
    protocols: Vec<String>,
    socket: SocketReport,
    events: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct SocketReport {
    received: Vec<String>,
    code: u16,
    clean: bool,
}

#[derive(Clone)]
struct PageState {
    reports: Sender<Report>,
    /// The WebSockets and event streams that were opened as streams of HTTP/2.
    streams: Arc<AtomicUsize>,
}

impl PageState {
    fn count(&self, request: &Request) {
        if request.version() == http::Version::HTTP_2 {
            self.streams.fetch_add(1, Ordering::Relaxed);
        }
    }
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
async fn socket(upgrade: WebSocketUpgrade, request: Request, shared: State<PageState>) -> Response {
    shared.count(&request);
    upgrade.on_upgrade(|mut socket| async move {
        while let Some(message) = socket.recv().await {
            socket.send(message).await?;
        }
        Ok::<_, WebSocketClosed>(())
    })
}

/// Sends three events after the client's last one; the client reconnects for the next ones.
#[get("/events")]
async fn events(last: LastEventId, request: Request, shared: State<PageState>) -> Events<u64> {
    shared.count(&request);
    let first = last.parse::<u64>().map_or(1, |last| last + 1);
    let events = Events::generate(async move |events| {
        for number in first..first + 3 {
            events.send(Event::new(number).id(number)).await?;
        }
        Ok::<_, conduit::BoxError>(())
    });
    events.retry(Duration::from_millis(10))
}

#[post("/report")]
fn report(report: Json<Report>, shared: State<PageState>) {
    // The test may have failed.
    let _ = shared.reports.send(report.0);
}

struct PageServer {
    running: Running,
    /// The certificate in DER.
    certificate: Vec<u8>,
    reports: Receiver<Report>,
    streams: Arc<AtomicUsize>,
}

fn serve() -> PageServer {
    let (sender, reports) = channel();
    let shared = PageState {
        reports: sender,
        streams: Arc::default(),
    };
    let streams = Arc::clone(&shared.streams);
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let app = App::new(shared)
        .routes(routes![page, resource, socket, events, report])
        .tls(Tls::pem(
            certificate.cert.pem(),
            certificate.signing_key.serialize_pem(),
        ))
        .workers(1);
    let running = start(
        app.listen("127.0.0.1:0")
            .expect("a port of loopback can be listened on"),
    );
    PageServer {
        running,
        certificate: certificate.cert.der().to_vec(),
        reports,
        streams,
    }
}

#[track_caller]
fn check(server: &PageServer) {
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
    assert_eq!(report.events, ["1:1", "2:2", "3:3", "4:4", "5:5", "6:6"]);
    assert_eq!(
        server.streams.load(Ordering::Relaxed),
        3,
        "the WebSocket and two event streams are streams of HTTP/2"
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

/// The preferences of a profile without a first-run window and without requests to servers of Mozilla.
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

/// The process of the browser, which ends with the test.
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
