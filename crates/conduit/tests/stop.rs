//! A separate program that calls `App::run`: its addresses, signals and end.

mod support;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio, Termination};
use std::time::{Duration, Instant};

use conduit::Tasks;
use conduit::prelude::*;
use rustix::process::{Pid, Signal, kill_process};
use support::Client;

/// Marks the process as the program rather than the test.
const IS_PROGRAM: &str = "CONDUIT_TEST_IS_PROGRAM";

#[get("/worker")]
async fn worker() -> String {
    std::thread::current().name().unwrap_or_default().to_owned()
}

/// Continues as long as the client sends.
#[post("/length")]
async fn length(body: Bytes) -> String {
    body.len().to_string()
}

fn announce() {
    writeln!(std::io::stdout(), "stuck").expect("the test reads");
}

/// Blocks its worker for longer than a test waits.
#[get("/block")]
async fn block() {
    announce();
    std::thread::sleep(Duration::from_secs(600));
}

/// Logs more than the pipe of standard error holds.
#[get("/log")]
async fn log() {
    announce();
    for _ in 0..64 {
        tracing::error!("{}", "x".repeat(16 * 1024));
    }
}

/// Spawns two tasks that a shutdown waits for, and one that is not registered.
#[get("/tasks")]
async fn tasks(tasks: Tasks) {
    tasks.spawn("first mail", std::future::pending::<()>());
    tasks.spawn("second mail", std::future::pending::<()>());
    tokio::task::spawn_local(std::future::pending::<()>());
}

/// Stops the clock of the worker: no timer fires from now on.
#[cfg(feature = "testing")]
#[get("/stop-clock")]
async fn stop_clock() {
    tokio::time::pause();
    // Tokio moves a stopped clock to the next timer, unless a blocking call is in progress.
    tokio::task::spawn_blocking(|| {
        loop {
            std::thread::park();
        }
    });
}

#[cfg(feature = "testing")]
const CLOCK: Routes = routes![stop_clock];
#[cfg(not(feature = "testing"))]
const CLOCK: Routes = routes![];

/// Not a test: the program that the tests start, which is this file run again.
#[test]
#[ignore = "a program of the tests"]
fn the_program() {
    assert!(std::env::var_os(IS_PROGRAM).is_some(), "the tests set it");
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    // As the end of a `main` that returns this.
    let code = App::new(())
        .routes(routes![worker, length, block, log, tasks, CLOCK])
        .run()
        .report();
    std::process::exit(if code == ExitCode::SUCCESS { 0 } else { 1 });
}

fn program() -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the path of the test is known"));
    command
        .args(["--ignored", "--exact", "the_program", "--nocapture"])
        .env(IS_PROGRAM, "1")
        .env_remove("CONDUIT_WORKERS")
        .env("CONDUIT_ADDR", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A program that listens; it is killed if the test fails before its end.
struct Program {
    child: Child,
    /// Kept open, so that the program can print.
    output: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let mut output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
        let address = loop {
            let mut line = String::new();
            let length = output.read_line(&mut line).expect("its output is text");
            assert!(length > 0, "it ended before it listened: {}", errors(&mut child));
            // After the output of the test harness.
            if let Some((_, address)) = line.split_once("Listening on http://") {
                break address.trim_end().parse().expect("it prints an address");
            }
        };
        Program { child, output, address }
    }

    fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the program is there");
    }

    /// Waits until no listener is left: the signal was received.
    fn wait_until_refused(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.address).is_ok() {
            assert!(Instant::now() < deadline, "it still listens");
            std::thread::yield_now();
        }
    }

    /// Waits until a handler has announced that it blocks its worker.
    fn wait_until_stuck(&mut self) {
        let mut line = String::new();
        while line != "stuck\n" {
            line.clear();
            let length = self.output.read_line(&mut line).expect("its output is text");
            assert!(length > 0, "it ended before a handler ran: {}", errors(&mut self.child));
        }
    }

    /// Waits for the end; gives the exit code.
    fn end(mut self) -> Option<i32> {
        self.child.wait().expect("the program ends").code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn errors(child: &mut Child) -> String {
    let mut errors = String::new();
    let mut pipe = child.stderr.take().expect("its errors are a pipe");
    pipe.read_to_string(&mut errors).expect("its errors are text");
    errors
}

/// Asserts that a log contains all of these texts.
#[track_caller]
fn assert_logged(log: &str, texts: &[&str]) {
    for text in texts {
        assert!(log.contains(text), "{text:?} is not in: {log}");
    }
}

/// The exit code and the errors of a program that must not listen.
fn failure(command: &mut Command) -> (Option<i32>, String) {
    let mut child = command.spawn().expect("the program starts");
    let output = BufReader::new(child.stdout.take().expect("its output is a pipe"));
    for line in output.lines() {
        let line = line.expect("its output is text");
        if line.contains("Listening on") {
            child.kill().expect("the program is there");
            panic!("{command:?} serves: {line}");
        }
    }
    let errors = errors(&mut child);
    (child.wait().expect("the program ends").code(), errors)
}

const WORKER: &str = "GET /worker HTTP/1.1\r\nhost: test\r\n\r\n";

/// A request whose handler waits for its body.
fn start_request(program: &Program) -> Client {
    let mut client = program.connect();
    client.send("POST /length HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n");
    assert_eq!(client.response().status, 100, "the handler requests its body");
    client
}

#[test]
fn signal_finishes_requests_and_exits_with_success() {
    for signal in [Signal::INT, Signal::TERM] {
        let program = Program::start(&mut program());
        let mut idle = program.connect();
        idle.send(WORKER);
        assert_eq!(idle.response().status, 200);
        let mut busy = start_request(&program);
        program.signal(signal);
        program.wait_until_refused();
        assert!(idle.is_closed(), "a client with no pending request is disconnected");
        busy.send("Hello");
        let response = busy.response();
        assert_eq!((response.text(), response.header("connection")), ("5", Some("close")));
        assert!(busy.is_closed());
        assert_eq!(program.end(), Some(0));
    }
}

#[test]
fn a_second_signal_ends_the_program_at_once() {
    for (first, second) in [
        (Signal::INT, Signal::INT),
        (Signal::TERM, Signal::INT),
        (Signal::INT, Signal::TERM),
    ] {
        let program = Program::start(&mut program());
        let mut busy = start_request(&program);
        program.signal(first);
        program.wait_until_refused();
        program.signal(second);
        assert!(busy.is_closed(), "there is no answer");
        assert_eq!(program.end(), Some(0));
    }
}

/// The time after the second signal at which the program ends without a stuck worker.
const STUCK_AFTER: Duration = Duration::from_secs(2);

/// A program with a stuck worker, for which it would wait for an hour.
fn stuck(target: &str) -> (Program, Client) {
    let mut program = Program::start(
        program()
            .env("CONDUIT_WORKERS", "1")
            .env("CONDUIT_SHUTDOWN_TIMEOUT", "1h"),
    );
    let mut client = program.connect();
    client.send(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"));
    program.wait_until_stuck();
    (program, client)
}

#[test]
fn clients_that_keep_their_connections_do_not_delay_the_end() {
    // A connection that lingered longer would be cut off by the shutdown timeout, which has a log message.
    let mut program = Program::start(program().env("CONDUIT_SHUTDOWN_TIMEOUT", "1s"));
    let mut clients: Vec<_> = (0..20).map(|_| program.connect()).collect();
    for client in &mut clients {
        client.send(WORKER);
        assert_eq!(client.response().status, 200);
        client.send("GET /worker HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        assert_eq!(client.response().status, 200);
    }
    program.signal(Signal::TERM);
    let log = errors(&mut program.child);
    assert_logged(&log, &["stopped cut_connections=0"]);
    assert_eq!(program.end(), Some(0));
    drop(clients);
}

#[cfg(all(feature = "testing", target_os = "linux"))]
#[test]
fn an_idle_server_without_clients_stops_without_waiting() {
    let mut command = program();
    // A worker that waited for a timer would be stuck, which ends the program with 1 after this time.
    command
        .env("CONDUIT_WORKERS", "1")
        .env("CONDUIT_SHUTDOWN_TIMEOUT", "1s");
    let mut program = Program::start(&mut command);
    let directory = format!("/proc/{}/fd", program.child.id());
    let descriptors = || std::fs::read_dir(&directory).expect("the program runs").count();
    let before = descriptors();
    let mut client = program.connect();
    client.send("GET /stop-clock HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
    assert_eq!(client.response().status, 200);
    drop(client);
    support::wait_for(|| descriptors() == before);
    program.signal(Signal::TERM);
    let log = errors(&mut program.child);
    assert_logged(
        &log,
        &[
            "stopping; finishing the requests in progress connections=0",
            "stopped cut_connections=0",
        ],
    );
    assert_eq!(program.end(), Some(0));
}

#[test]
fn second_signal_ends_program_whose_worker_is_stuck() {
    for target in ["/block", "/log"] {
        let (program, _client) = stuck(target);
        program.signal(Signal::TERM);
        let begin = Instant::now();
        program.signal(Signal::INT);
        assert_eq!(program.end(), Some(1), "{target}");
        assert!(begin.elapsed() >= STUCK_AFTER, "its workers have time to end: {target}");
    }
}

#[test]
fn third_signal_ends_program_whose_worker_is_stuck_at_once() {
    let ends_at_once = |_| {
        let (mut program, _client) = stuck("/block");
        let mut log = BufReader::new(program.child.stderr.take().expect("its errors are a pipe")).lines();
        program.signal(Signal::TERM);
        // Signals of one kind that arrive together are one signal.
        let stopping =
            |line: std::io::Result<String>| line.expect("its errors are text").contains("stopping; finishing");
        assert!(log.any(stopping), "the first signal stops the program");
        let begin = Instant::now();
        program.signal(Signal::INT);
        program.signal(Signal::TERM);
        assert_eq!(program.end(), Some(1));
        begin.elapsed() < STUCK_AFTER
    };
    // After two signals no attempt ends so early. A machine under load may delay one.
    assert!((0..5).any(ends_at_once));
}

#[test]
fn shutdown_timeout_ends_program_whose_worker_is_stuck() {
    let mut command = program();
    command
        .env("CONDUIT_SHUTDOWN_TIMEOUT", "100ms")
        .env("CONDUIT_WORKERS", "1");
    let mut program = Program::start(&mut command);
    let mut client = program.connect();
    client.send("GET /block HTTP/1.1\r\nhost: test\r\n\r\n");
    program.wait_until_stuck();
    program.signal(Signal::TERM);
    let log = errors(&mut program.child);
    assert_logged(
        &log,
        &[
            "stopping; finishing the requests in progress connections=1",
            "this handler blocks its worker worker=0 method=\"GET\" route=\"/block\"",
            "a worker is stuck; ending the process without it exit_code=1",
        ],
    );
    assert_eq!(program.end(), Some(1));
}

#[test]
fn begin_and_end_of_shutdown_are_logged_with_counts() {
    let mut program = Program::start(program().env("CONDUIT_SHUTDOWN_TIMEOUT", "100ms"));
    let _busy = start_request(&program);
    program.signal(Signal::TERM);
    let log = errors(&mut program.child);
    assert_logged(
        &log,
        &[
            "stopping; finishing the requests in progress connections=1",
            "stopped cut_connections=1 cut_handlers=1 cut_tasks=0",
        ],
    );
    assert_eq!(program.end(), Some(0));
}

#[test]
fn tasks_that_are_cut_off_are_named_and_others_are_counted() {
    let mut program = Program::start(program().env("CONDUIT_SHUTDOWN_TIMEOUT", "100ms"));
    let mut client = program.connect();
    client.send("GET /tasks HTTP/1.1\r\nhost: test\r\n\r\n");
    assert_eq!(client.response().status, 200);
    program.signal(Signal::TERM);
    let log = errors(&mut program.child);
    for name in ["first mail", "second mail"] {
        let message = format!("cut off a task at the shutdown task=\"{name}\" seconds=");
        assert_logged(&log, &[&message]);
    }
    assert_logged(
        &log,
        &["stopped cut_connections=0 cut_handlers=0 cut_tasks=2 uncounted_tasks=1"],
    );
    assert_eq!(program.end(), Some(0));
}

#[test]
fn conduit_addr_sets_the_address() {
    for (value, host) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("localhost:0", "")] {
        let program = Program::start(program().env("CONDUIT_ADDR", value));
        assert_ne!(program.address.port(), 0, "the port that the system chose");
        assert!(program.address.ip().is_loopback());
        assert!(
            host.is_empty() || program.address.ip().to_string() == host,
            "{}",
            program.address
        );
        let mut client = program.connect();
        client.send(WORKER);
        assert_eq!(client.response().status, 200);
    }
}

#[test]
fn conduit_workers_sets_the_number_of_workers() {
    for count in [1, 3] {
        let program = Program::start(program().env("CONDUIT_WORKERS", count.to_string()));
        let mut workers = BTreeSet::new();
        let mut connections = 0;
        // The kernel spreads connections by a hash of their ports.
        while workers.len() < count || connections < 64 {
            let mut client = program.connect();
            client.send(WORKER);
            workers.insert(client.response().text().to_owned());
            connections += 1;
            assert!(connections < 10_000, "only {workers:?} serve");
        }
        assert_eq!(workers.len(), count, "{workers:?}");
    }
}

#[test]
fn a_value_that_cannot_be_used_is_named_and_ends_the_program_with_1() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a port of loopback can be listened on");
    let taken = holder.local_addr().expect("it has an address").to_string();
    let not_text = OsStr::from_bytes(b"caf\xe9");
    let cases: [(&str, &OsStr, &[&str]); 13] = [
        (
            "CONDUIT_ADDR",
            OsStr::new("nonsense"),
            &["\"nonsense\"", "127.0.0.1:8080"],
        ),
        ("CONDUIT_ADDR", OsStr::new("8080"), &["\"8080\"", "127.0.0.1:8080"]),
        ("CONDUIT_ADDR", OsStr::new("127.0.0.1:65536"), &["\"127.0.0.1:65536\""]),
        ("CONDUIT_ADDR", OsStr::new(""), &["\"\"", "127.0.0.1:8080"]),
        ("CONDUIT_ADDR", OsStr::new(&taken), &[&taken, "in use"]),
        ("CONDUIT_ADDR", not_text, &["caf", "127.0.0.1:8080"]),
        ("CONDUIT_WORKERS", OsStr::new("0"), &["\"0\"", "from 1 up"]),
        ("CONDUIT_WORKERS", OsStr::new("many"), &["\"many\"", "from 1 up"]),
        ("CONDUIT_WORKERS", OsStr::new(""), &["\"\"", "from 1 up"]),
        ("CONDUIT_WORKERS", not_text, &["caf", "from 1 up"]),
        (
            "CONDUIT_WORKERS",
            OsStr::new("1000000000"),
            &["cannot start 1000000000 workers", " descriptors, ", "(ulimit -n)"],
        ),
        ("CONDUIT_HEAD_LIMIT", OsStr::new("1"), &["\"1\"", "bytes from 16 up"]),
        (
            "CONDUIT_HTTP2_HEAD_LIMIT",
            OsStr::new("117"),
            &["\"117\"", "bytes from 118 up"],
        ),
    ];
    for (name, value, parts) in cases {
        let (code, errors) = failure(program().env(name, value));
        assert_eq!(code, Some(1), "{name}={value:?}: {errors}");
        assert!(errors.contains(name), "{name}={value:?} is not named: {errors}");
        for part in parts {
            assert!(errors.contains(part), "{name}={value:?}: no {part} in: {errors}");
        }
    }
}

#[test]
fn unknown_variables_are_warnings_in_the_log() {
    let mut command = program();
    command.env("CONDUIT_WORKER", "4").env("CONDUIT_XYZ", "1");
    let mut program = Program::start(&mut command);
    program.signal(Signal::TERM);
    let log = errors(&mut program.child);
    assert_eq!(program.end(), Some(0), "{log}");
    let warnings = [
        "unknown environment variable CONDUIT_WORKER: did you mean CONDUIT_WORKERS?",
        "unknown environment variable CONDUIT_XYZ: Conduit does not read it",
    ];
    for warning in warnings {
        assert_eq!(log.matches(warning).count(), 1, "{log}");
    }
}

#[test]
fn second_program_on_the_same_address_fails_with_any_number_of_workers() {
    for workers in ["1", "2"] {
        let first = Program::start(program().env("CONDUIT_WORKERS", workers));
        let address = first.address.to_string();
        let (code, errors) = failure(program().env("CONDUIT_WORKERS", workers).env("CONDUIT_ADDR", &address));
        assert_eq!(code, Some(1), "{errors}");
        let expected = format!(
            "cannot listen on {address}: address in use (EADDRINUSE); another socket uses the port: stop its program, or choose \
             another port (the address comes from the environment variable CONDUIT_ADDR)"
        );
        assert!(errors.contains(&expected), "{errors}");
    }
}

#[test]
fn manager_receives_start_and_stop() {
    let path = std::env::temp_dir().join(format!("conduit-notify-{}", std::process::id()));
    // A killed process with this id may have left it.
    let _ = std::fs::remove_file(&path);
    let manager = std::os::unix::net::UnixDatagram::bind(&path).expect("a socket");
    manager
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a time-out");
    let mut message = [0; 100];
    let mut hear = || {
        let length = manager.recv(&mut message).expect("the manager is notified");
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    let program = Program::start(program().env("NOTIFY_SOCKET", &path));
    assert_eq!(hear(), "READY=1");
    program.signal(Signal::TERM);
    assert_eq!(hear(), "STOPPING=1");
    assert_eq!(program.end(), Some(0));
    std::fs::remove_file(&path).expect("the socket's file");
}

/// The program with this process's socket as its third descriptor, as a manager starts it.
fn program_with(socket: impl Into<std::os::fd::OwnedFd>) -> Command {
    program_of_a_shell("exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"", socket)
}

fn program_of_a_shell(script: &str, socket: impl Into<std::os::fd::OwnedFd>) -> Command {
    let program = program();
    let mut command = Command::new("sh");
    command
        .args(["-c", script])
        .arg(program.get_program())
        .args(program.get_args());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .env("LISTEN_FDS", "1")
        .stdin(socket.into())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[test]
fn socket_for_any_process_survives_each_build_of_the_program() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    for _ in 0..3 {
        // It connects while no program runs, as a browser does during a build.
        let mut client = Client::connect(address);
        let copy = socket.try_clone().expect("a descriptor");
        let program = Program::start(&mut program_of_a_shell(
            "exec 3<&0 </dev/null; exec \"$0\" \"$@\"",
            copy,
        ));
        assert_eq!(program.address, address);
        client.send(WORKER);
        assert_eq!(client.response().status, 200);
        program.signal(Signal::TERM);
        assert_eq!(program.end(), Some(0));
    }
}

#[test]
fn a_socket_that_the_manager_passes_is_listened_on_by_all_workers_and_outlives_them() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address");
    // It waits in the socket's queue before the program begins.
    let mut early = Client::connect(address);
    let copy = socket.try_clone().expect("a descriptor");
    let program = Program::start(program_with(copy).env("CONDUIT_WORKERS", "2"));
    assert_eq!(program.address, address);
    for _ in 0..10 {
        early.send(WORKER);
        assert!(early.response().text().starts_with("conduit-"));
    }
    for _ in 0..20 {
        let mut client = program.connect();
        client.send(WORKER);
        assert_eq!(client.response().status, 200);
    }
    drop(early);
    program.signal(Signal::TERM);
    assert_eq!(program.end(), Some(0));
    // The manager still has the socket: new clients wait for the next program.
    let mut late = Client::connect(address);
    let program = Program::start(&mut program_with(socket));
    late.send(WORKER);
    assert_eq!(late.response().status, 200);
    drop(program);
}

#[test]
fn a_descriptor_of_the_manager_that_does_not_listen_is_named() {
    let (_one, other) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let (code, errors) = failure(program_with(other).env("LISTEN_FDNAMES", "web"));
    assert_eq!(code, Some(1), "{errors}");
    assert!(
        errors.contains("descriptor 3 (\"web\") is a stream socket that does not listen"),
        "{errors}"
    );
}

#[test]
fn a_socket_that_was_passed_to_another_process_is_not_taken() {
    let program = Program::start(program().env("LISTEN_FDS", "1").env("LISTEN_PID", "1"));
    let mut client = program.connect();
    client.send(WORKER);
    assert_eq!(client.response().status, 200);
}
