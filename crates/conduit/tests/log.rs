//! Serving while the output of the log fails or stalls.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use conduit::prelude::*;
use conduit::{AccessLog, log, metrics};
use rustix::process::{Pid, Signal, kill_process};

/// If set, this test file is the program that the tests start; the value names the writer of the program's subscriber.
const WRITER: &str = "CONDUIT_TEST_WRITER";
/// The replacement of the program's output: `full` or `closed`.
const OUTPUT: &str = "CONDUIT_TEST_OUTPUT";
/// The address of a program whose output is not readable.
const ADDRESS: &str = "CONDUIT_TEST_ADDRESS";
/// The time after which the program ends if its test has failed.
const LIFETIME: Duration = Duration::from_secs(180);

#[get("/")]
async fn home() -> &'static str {
    "home"
}

/// Blocks its worker for longer than a test waits.
#[get("/block")]
async fn block() {
    tracing::info!("the worker blocks");
    std::thread::sleep(LIFETIME);
}

#[get("/panic")]
async fn panics() -> &'static str {
    panic!("a panic of a handler");
}

/// Not a test: the program.
#[test]
#[ignore = "a program of the tests"]
fn the_program() {
    let writer = std::env::var_os(WRITER).expect("the tests set it");
    std::thread::spawn(|| {
        std::thread::sleep(LIFETIME);
        std::process::exit(3);
    });
    // The test harness has already printed to the original output.
    if let Some(output) = std::env::var_os(OUTPUT) {
        let output = if output == "full" { full() } else { closed() };
        rustix::stdio::dup2_stdout(&output).expect("a descriptor");
        rustix::stdio::dup2_stderr(&output).expect("a descriptor");
    }
    let subscriber = tracing_subscriber::fmt().with_ansi(false);
    match writer.to_str() {
        Some("conduit") => {
            log::set_panic_hook();
            subscriber.with_writer(log::stderr).init();
            tracing::info!("the program starts");
        }
        Some("stderr") => subscriber.with_writer(io::stderr).init(),
        _ => subscriber.init(),
    }
    let address = std::env::var(ADDRESS).unwrap_or_else(|_| "127.0.0.1:0".to_owned());
    let app = App::new(())
        .routes(routes![home, panics, block, metrics::page])
        .access_log(AccessLog::Combined)
        .workers(1)
        .listen(&address[..]);
    std::process::exit(i32::from(app.and_then(|server| server.run()).is_err()));
}

fn program(writer: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of the test is known"));
    command
        .args(["--ignored", "--exact", "the_program", "--nocapture"])
        .env(WRITER, writer);
    command
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).expect("the program is there");
}

/// The address that the program prints.
fn listening(child: &mut Child) -> String {
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let address = lines.find_map(|line| {
        let line = line.expect("a text");
        let (_, address) = line.split_once("Listening on http://")?;
        Some(address.to_owned())
    });
    address.expect("the program listens")
}

/// A process that ends with its test.
struct Ended(Child);

struct Program {
    _child: Ended,
    connection: BufReader<TcpStream>,
}

impl Program {
    fn start(writer: &str, stderr: impl Into<Stdio>) -> Self {
        let mut child = program(writer)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the program starts");
        let address = listening(&mut child);
        let connection = BufReader::new(TcpStream::connect(address).expect("a connection"));
        Program {
            _child: Ended(child),
            connection,
        }
    }

    /// The body of the response to the next request of the connection.
    fn get(&mut self, path: &str) -> (String, String) {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        self.connection
            .get_mut()
            .write_all(request.as_bytes())
            .expect("a request");
        self.answer()
    }

    fn answer(&mut self) -> (String, String) {
        let mut status = String::new();
        self.connection.read_line(&mut status).expect("a status line");
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.connection.read_line(&mut line).expect("a field");
            let Some((name, value)) = line.trim_end().split_once(": ") else {
                break;
            };
            if name == "content-length" {
                length = value.parse().expect("a number");
            }
        }
        let mut body = vec![0; length];
        self.connection.read_exact(&mut body).expect("a body");
        (status, String::from_utf8(body).expect("a text"))
    }

    fn dropped(&mut self) -> u64 {
        let (_, page) = self.get("/metrics");
        let line = page
            .lines()
            .find_map(|line| line.strip_prefix("conduit_log_lines_dropped_total "));
        line.expect("the counter").parse().expect("a number")
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An output that accepts no bytes.
fn full() -> OwnedFd {
    let device = std::fs::File::options().write(true).open("/dev/full");
    device.expect("a device").into()
}

/// An output with a closed reader.
fn closed() -> OwnedFd {
    let (_, writer) = io::pipe().expect("a pipe");
    writer.into()
}

#[test]
fn each_request_is_served_while_the_log_cannot_be_written() {
    for stderr in [full(), closed()] {
        let mut program = Program::start("conduit", stderr);
        for _ in 0..100 {
            assert_eq!(program.get("/").1, "home");
        }
        assert!(program.get("/panic").0.contains(" 500 "));
        assert!(program.dropped() >= 100);
        assert_eq!(program.get("/").1, "home");
    }
}

#[test]
fn each_request_is_served_with_a_subscriber_that_panics() {
    let mut program = Program::start("stderr", closed());
    for _ in 0..100 {
        assert_eq!(program.get("/").1, "home");
    }
}

#[test]
fn stalled_reader_of_the_log_blocks_no_request_and_receives_the_count_of_dropped_lines() {
    let (reader, writer) = io::pipe().expect("a pipe");
    let mut program = Program::start("conduit", writer);
    let batch = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(100);
    for _ in 0..200 {
        program
            .connection
            .get_mut()
            .write_all(batch.as_bytes())
            .expect("requests");
        for _ in 0..100 {
            assert_eq!(program.answer().1, "home");
        }
    }
    assert!(program.dropped() > 0);
    let mut lines = BufReader::new(reader).lines();
    let is_warning = |line: io::Result<String>| line.expect("a text").contains("dropped lines of the log");
    assert!(lines.any(is_warning));
}

/// A subscriber of `tracing_subscriber` that cannot write reports that to standard error, and panics if that fails too.
#[test]
fn program_starts_serves_and_stops_without_a_usable_output() {
    for (at, writer) in ["stdout", "stderr"].into_iter().enumerate() {
        for output in ["full", "closed"] {
            let address = format!("@conduit-test-log-{}-{at}-{output}", std::process::id());
            let child = program(writer)
                .env(ADDRESS, format!("unix:{address}"))
                // A setting of the environment is logged at the start.
                .env("CONDUIT_HEAD_TIMEOUT", "9s")
                .env(OUTPUT, output)
                .spawn()
                .expect("the program starts");
            let mut child = Ended(child);
            let name = SocketAddr::from_abstract_name(&address[1..]).expect("a name");
            let mut connection = loop {
                if let Ok(connection) = UnixStream::connect_addr(&name) {
                    break connection;
                }
                let ended = child.0.try_wait().expect("a child");
                assert_eq!(ended, None, "{writer}: it ended before it listened");
                std::thread::yield_now();
            };
            let request = "GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
            connection.write_all(request.as_bytes()).expect("a request");
            let mut answer = String::new();
            connection.read_to_string(&mut answer).expect("an answer");
            assert!(answer.ends_with("home"), "{writer}: {answer}");
            signal(&child.0, Signal::TERM);
            assert_eq!(child.0.wait().expect("its end").code(), Some(0), "{writer}");
        }
    }
}

#[test]
fn last_messages_are_written_before_the_process_ends_without_its_workers() {
    let mut child = program("conduit")
        .env("CONDUIT_SHUTDOWN_TIMEOUT", "10ms")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map(Ended)
        .expect("the program starts");
    let address = listening(&mut child.0);
    let mut connection = TcpStream::connect(address).expect("a connection");
    let request = "GET /block HTTP/1.1\r\nhost: localhost\r\n\r\n";
    connection.write_all(request.as_bytes()).expect("a request");
    let mut log = BufReader::new(child.0.stderr.take().expect("a pipe"));
    let mut line = String::new();
    while !line.contains("the worker blocks") {
        line.clear();
        assert!(
            log.read_line(&mut line).expect("a text") > 0,
            "it ended before the handler ran"
        );
    }
    signal(&child.0, Signal::TERM);
    let mut rest = String::new();
    log.read_to_string(&mut rest).expect("a text");
    for message in [
        "this handler blocks its worker",
        "a worker is stuck; ending the process without it",
    ] {
        assert!(rest.contains(message), "{rest}");
    }
}

#[test]
fn the_last_event_of_a_server_is_in_the_log_when_its_process_has_ended() {
    // They compete for the processor.
    let mut programs: Vec<Child> = (0..16)
        .map(|_| {
            let program = program("conduit").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
            program.expect("the program starts")
        })
        .collect();
    for program in &mut programs {
        listening(program);
    }
    programs.iter().for_each(|program| signal(program, Signal::TERM));
    for program in programs {
        let output = program.wait_with_output().expect("the program ends");
        let log = String::from_utf8(output.stderr).expect("text");
        assert!(log.contains("stopped cut_connections=0"), "{log}");
    }
}
