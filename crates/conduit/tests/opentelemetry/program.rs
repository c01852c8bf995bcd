//! The observed program: this test run again as a separate process, since the subscriber and the
//! environment belong to a process. It exports its spans at its end, unless a test requests it earlier.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::pin::Pin;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use conduit::opentelemetry::{OpenTelemetry, init, inject};
use conduit::prelude::*;
use rustix::process::{Pid, Signal, kill_process};
use tracing::Instrument as _;
use tracing_subscriber::prelude::*;

use crate::support::{Client, Response, wake_from_other_threads};

/// Marks the process as the program rather than the test.
const IS_PROGRAM: &str = "CONDUIT_TEST_IS_PROGRAM";
/// Has the program bring its own subscriber, which takes spans from the level `DEBUG` on.
pub(crate) const OWN_SUBSCRIBER: &str = "CONDUIT_TEST_OWN_SUBSCRIBER";
/// The time that a test waits before it fails.
const TIMEOUT: Duration = Duration::from_secs(60);

type Sending = Arc<OpenTelemetry>;

#[get("/users/{id}")]
async fn user(id: Path<u64>) -> Result<String, Problem> {
    match *id {
        0 => Err(Problem::not_found("no user has the id 0")),
        id => Ok(format!("user {id}")),
    }
}

/// Calls another service in a separate span; returns the fields that it would send.
#[get("/nested")]
async fn nested() -> String {
    let load = async {
        wake_from_other_threads(1).await;
        tracing::info!(rows = 3, "loaded");
        let _detail = tracing::debug_span!("detail").entered();
        let mut headers = HeaderMap::new();
        inject(&mut headers);
        let lines = headers
            .iter()
            .map(|(name, value)| format!("{name}: {}\n", value.to_str().expect("ASCII")));
        lines.collect::<String>()
    };
    load.instrument(tracing::info_span!("load", table = "users")).await
}

#[get("/fails")]
async fn fails() -> Result<(), Problem> {
    Err(std::io::Error::other("the disk is full"))?
}

#[get("/panics")]
async fn panics() {
    panic!("as it should")
}

#[get("/never", disconnect = "abort")]
async fn never() {
    std::future::pending().await
}

/// A stream of three pieces, which may end before the last.
struct Pieces {
    given: u8,
    breaks: bool,
}

impl futures_core::Stream for Pieces {
    type Item = Result<Bytes, conduit::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.given += 1;
        Poll::Ready(match self.given {
            1 | 2 => Some(Ok(Bytes::from_static(b"four"))),
            3 if self.breaks => Some(Err("no more".into())),
            3 => Some(Ok(Bytes::from_static(b"four"))),
            _ => None,
        })
    }
}

#[get("/streamed")]
async fn streamed() -> Body {
    Body::from_stream(Pieces {
        given: 0,
        breaks: false,
    })
}

#[get("/breaks")]
async fn breaks() -> Body {
    Body::from_stream(Pieces { given: 0, breaks: true })
}

/// The memory of the process, in KiB.
#[get("/memory")]
async fn memory() -> String {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.expect("it is there").trim_end_matches("kB").trim().to_owned()
}

#[post("/flush")]
async fn flush(sending: State<Sending>) -> Result<(), Problem> {
    tokio::task::spawn_blocking(move || sending.flush().map_err(|error| error.to_string())).await??;
    Ok(())
}

/// Not a test: the program that the tests start.
#[test]
#[ignore = "a program of the tests"]
fn the_program() {
    assert!(std::env::var_os(IS_PROGRAM).is_some(), "the tests set it");
    // None of them outlives a test that has failed for long.
    std::thread::spawn(|| {
        std::thread::sleep(3 * TIMEOUT);
        std::process::exit(3);
    });
    match serve() {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}

fn serve() -> conduit::Result {
    let sending = if std::env::var_os(OWN_SUBSCRIBER).is_some() {
        let sending = OpenTelemetry::from_env()?;
        tracing_subscriber::registry()
            .with(tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr))
            .with(sending.layer_from(tracing::level_filters::LevelFilter::DEBUG))
            .init();
        sending
    } else {
        init()?
    };
    App::new(Sending::new(sending))
        .routes(routes![
            user, nested, fails, panics, never, streamed, breaks, memory, flush
        ])
        .trusted_proxies(["127.0.0.1"])
        .run()
}

/// The program, while it runs.
pub(crate) struct Program {
    child: Child,
    log: Arc<Mutex<String>>,
    readers: Vec<std::thread::JoinHandle<()>>,
}

impl Program {
    /// Starts it with these variables, and waits until it listens.
    pub(crate) fn start(collector: &str, variables: &[(&str, &str)]) -> Self {
        let program = Program::spawn(collector, variables);
        let deadline = Instant::now() + TIMEOUT;
        while !program.log().contains("Listening on") {
            assert!(Instant::now() < deadline, "it does not listen: {}", program.log());
            std::thread::sleep(Duration::from_millis(5));
        }
        program
    }

    pub(crate) fn spawn(collector: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("the path of the test is known"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OTEL_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(["--ignored", "--exact", "program::the_program", "--nocapture"])
            .env(IS_PROGRAM, "1")
            .env("CONDUIT_WORKERS", "1")
            .env("CONDUIT_ADDR", "127.0.0.1:0")
            // The log is independent of the export.
            .env("RUST_LOG", "warn")
            .env("OTEL_SERVICE_NAME", "shop")
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
            .env("OTEL_BSP_SCHEDULE_DELAY", "3600000")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let log = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            collect(child.stdout.take().expect("a pipe"), &log),
            collect(child.stderr.take().expect("a pipe"), &log),
        ];
        Program { child, log, readers }
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no thread panics").clone()
    }

    pub(crate) fn address(&self) -> SocketAddr {
        let log = self.log();
        let address = log.lines().find_map(|line| line.split_once("Listening on http://"));
        address.expect("it listens").1.parse().expect("an address")
    }

    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    pub(crate) fn get(&self, target: &str, fields: &str) -> Response {
        let mut client = self.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nhost: shop.example\r\n{fields}\r\n"));
        client.response()
    }

    /// Ends it with SIGTERM and waits. Returns its log.
    pub(crate) fn end(mut self) -> String {
        let process = Pid::from_raw(self.child.id().try_into().expect("a process")).expect("a process");
        kill_process(process, Signal::TERM).expect("the process is there");
        let (succeeded, log) = self.wait();
        assert!(succeeded, "{log}");
        log
    }

    /// Waits for its end. Returns its success and its log.
    pub(crate) fn wait(&mut self) -> (bool, String) {
        let status = self.child.wait().expect("the process is ours");
        for reader in self.readers.drain(..) {
            reader.join().expect("reading does not panic");
        }
        (status.success(), self.log())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(pipe: impl Read + Send + 'static, log: &Arc<Mutex<String>>) -> std::thread::JoinHandle<()> {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut log = log.lock().expect("no thread panics");
            log.push_str(&line);
            log.push('\n');
        }
    })
}

/// A collector that is there, and neither takes anything nor refuses it.
pub(crate) fn silent() -> (std::net::TcpListener, String) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    let url = format!("http://{}", listener.local_addr().expect("it has one"));
    (listener, url)
}

/// The address of this end of a connection.
pub(crate) fn local(stream: &TcpStream) -> SocketAddr {
    stream.local_addr().expect("it is connected")
}
