//! The attacked server, in a separate process.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use conduit::layer::{Compression, Decompression, Idempotency};
use conduit::prelude::*;
use conduit::{AccessLog, MultipartForm, Tls, UploadedFile, log};
use conduit_conformance::certificate::{Certificate, Files};
use futures_core::Stream;

use crate::SETTINGS;

/// The time that a client waits for bytes, and for the release of connections.
const TIMEOUT: Duration = Duration::from_secs(60);
/// The files of the certificate, for the process that serves.
const CERTIFICATE: [&str; 2] = ["CONDUIT_MEMORY_CHAIN", "CONDUIT_MEMORY_KEY"];

/// The length of the responses that are stored for idempotency keys: all of an attack are four times its bound.
const PAYMENT_BYTES: usize = 32 * 1024;

/// A piece, and then nothing.
struct Quiet(bool);

impl Stream for Quiet {
    type Item = Result<&'static [u8], Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match std::mem::replace(&mut self.0, true) {
            false => Poll::Ready(Some(Ok(b"piece"))),
            true => Poll::Pending,
        }
    }
}

#[get("/")]
fn home() -> &'static str {
    "home"
}

#[get("/events")]
fn events() -> ([(HeaderName, HeaderValue); 1], Body) {
    let headers = [(
        HeaderName::from_static("content-type"),
        HeaderValue::from_static("text/event-stream"),
    )];
    (headers, Body::from_stream(Quiet(false)))
}

#[post("/length")]
async fn length(body: Bytes) -> String {
    body.len().to_string()
}

#[post("/number")]
async fn number(number: Json<u8>) -> String {
    number.to_string()
}

#[derive(serde::Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Order {
    number: u8,
}

#[post("/order")]
async fn order(order: Json<Order>) -> String {
    order.number.to_string()
}

#[post("/form")]
async fn form(form: Form<BTreeMap<String, String>>) -> String {
    form.len().to_string()
}

#[derive(serde::Deserialize, JsonSchema)]
struct Album {
    files: Vec<UploadedFile>,
}

#[post("/album")]
async fn album(form: MultipartForm<Album>) -> String {
    form.0.files.len().to_string()
}

#[post("/pay")]
async fn pay(_order: Bytes) -> String {
    "x".repeat(PAYMENT_BYTES)
}

/// A payment that never ends.
#[post("/hang", disconnect = "abort")]
async fn hang(_order: Bytes) {
    std::future::pending().await
}

/// Serves until the process is killed.
pub(crate) fn serve() -> conduit::Result {
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(log::stderr)
        .init();
    log::set_panic_hook();
    let [chain, key] = CERTIFICATE.map(|name| PathBuf::from(std::env::var_os(name).unwrap_or_default()));
    App::new(())
        .routes(routes![
            home,
            events,
            length,
            number,
            order,
            form,
            album,
            #[layer(Idempotency::new())]
            [pay, hang]
        ])
        .layer(Compression::new())
        .layer(Decompression::new())
        .access_log(AccessLog::Combined)
        // A client chooses its address by `x-forwarded-for`.
        .trusted_proxies(["127.0.0.1"])
        .tls(Tls::files(chain, key))
        .workers(2)
        .peer_connection_limit(10_000)
        .listen(["http://127.0.0.1:0", "https://127.0.0.1:0"])?
        .run()
}

/// The destination of the log.
#[derive(Clone, Copy)]
pub(crate) enum Output {
    /// A pipe without a reader.
    ClosedPipe,
    /// `/dev/full`, which fails as a full disk does.
    FullDisk,
    /// A pipe with a reader that never reads.
    Unread,
}

pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    pub(crate) certificate: Files,
}

impl Server {
    pub(crate) fn start(output: Output) -> Self {
        let certificate = Certificate::make().files();
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.arg("serve").stdout(Stdio::piped());
        for (name, value) in SETTINGS {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        for (name, file) in CERTIFICATE.into_iter().zip([certificate.chain(), certificate.key()]) {
            command.env(name, file);
        }
        let mut child = match output {
            Output::ClosedPipe | Output::Unread => command.stderr(Stdio::piped()),
            Output::FullDisk => command.stderr(File::create("/dev/full").expect("Linux has it")),
        }
        .spawn()
        .expect("this program starts");
        if let Output::ClosedPipe = output {
            drop(child.stderr.take());
        }
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"))
            .lines()
            .map_while(Result::ok);
        let address = lines.find_map(|line| line.split_once("http://")?.1.parse().ok());
        Server {
            child,
            address: address.expect("an address"),
            certificate,
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
        stream
    }

    /// Returns whether a simple request on a new connection has the right response.
    pub(crate) fn answers(&self) -> bool {
        let mut stream = self.connect();
        let request = b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n";
        let mut response = String::new();
        let is_read = stream.write_all(request).is_ok() && stream.read_to_string(&mut response).is_ok();
        is_read && response.starts_with("HTTP/1.1 200 ") && response.ends_with("home")
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let process = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(process, signal).expect("the server runs");
    }

    /// A value of `/proc/PID/status` in MiB.
    pub(crate) fn mebibytes(&self, name: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes: f64 = line
            .and_then(|line| line.split_whitespace().next()?.parse().ok())
            .expect("a number");
        kibibytes / 1024.0
    }

    /// Waits until the peak of the memory has been the same for a second.
    pub(crate) fn settle(&self) {
        let mut peak = 0.0;
        while self.mebibytes("VmHWM:") > peak {
            peak = self.mebibytes("VmHWM:");
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    pub(crate) fn descriptors(&self) -> usize {
        let directory = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(directory).expect("the server runs").count()
    }

    /// Waits until the process has at most this number of descriptors. Returns whether it has.
    pub(crate) fn wait_for_descriptors(&self, count: usize) -> bool {
        let deadline = Instant::now() + TIMEOUT;
        while self.descriptors() > count {
            if Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        true
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
