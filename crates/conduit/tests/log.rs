//! Serving while the output of the log fails or stalls.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use conduit::prelude::*;
use conduit::{AccessLog, log, metrics};

/// Makes this test file the program that the tests start; its value names the writer of the program's subscriber.
const WRITER: &str = "CONDUIT_TEST_WRITER";
/// The time after which a program that a failed test has left ends.
const LIFETIME: Duration = Duration::from_secs(180);

#[get("/")]
async fn home() -> &'static str {
    "home"
}

#[get("/panic")]
async fn panics() -> &'static str {
    panic!("a panic of a handler");
}

/// Not a test: the program. Without its variable it does nothing.
#[test]
fn the_program() {
    let Some(writer) = std::env::var_os(WRITER) else {
        return;
    };
    std::thread::spawn(|| {
        std::thread::sleep(LIFETIME);
        std::process::exit(3);
    });
    let subscriber = tracing_subscriber::fmt().with_ansi(false);
    if writer == "conduit" {
        log::set_panic_hook();
        subscriber.with_writer(log::stderr).init();
        tracing::info!("the program starts");
    } else {
        subscriber.with_writer(io::stderr).init();
    }
    let app = App::new(())
        .routes(routes![home, panics, metrics::page])
        .access_log(AccessLog::Combined)
        .workers(1)
        .listen("127.0.0.1:0");
    std::process::exit(i32::from(app.and_then(|server| server.run()).is_err()));
}

struct Program {
    child: Child,
    connection: BufReader<TcpStream>,
}

impl Program {
    fn start(writer: &str, stderr: impl Into<Stdio>) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a test knows its file"))
            .args(["the_program", "--exact", "--nocapture"])
            .env(WRITER, writer)
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let address = lines
            .find_map(|line| {
                line.expect("a text")
                    .split_once("Listening on ")
                    .map(|(_, address)| address.to_owned())
            })
            .expect("the program listens");
        let address = address.trim_start_matches("http://");
        let connection = BufReader::new(TcpStream::connect(address).expect("a connection"));
        Program { child, connection }
    }

    /// The body of the answer to the next request of the connection.
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

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn full() -> Stdio {
    std::fs::File::options()
        .write(true)
        .open("/dev/full")
        .expect("a device")
        .into()
}

/// Standard error whose reader has gone.
fn closed() -> Stdio {
    let (_, writer) = io::pipe().expect("a pipe");
    writer.into()
}

#[test]
fn each_request_is_answered_while_the_log_cannot_be_written() {
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
fn each_request_is_answered_with_a_subscriber_that_panics() {
    let mut program = Program::start("std", closed());
    for _ in 0..100 {
        assert_eq!(program.get("/").1, "home");
    }
}

#[test]
fn reader_of_the_log_that_stalls_stops_no_request_and_learns_of_dropped_lines() {
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
