//! A program that replaces itself at SIGUSR2 while clients use it: over TCP, TLS and a Unix socket; and what becomes of a
//! successor that is of no use.
#![cfg(all(feature = "tls", target_os = "linux"))]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{self, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use conduit::prelude::*;
use conduit::{Tls, health};
use rustix::process::{Pid, Signal, kill_process};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Marks the process as the program rather than the test; its value is the directory of the test.
const IS_PROGRAM: &str = "CONDUIT_TEST_IS_PROGRAM";
/// The time that a test waits before it fails.
const PATIENCE: Duration = Duration::from_secs(60);

#[get("/process")]
async fn process() -> String {
    std::process::id().to_string()
}

#[post("/echo")]
async fn echo(body: Bytes) -> Bytes {
    body
}

#[get("/later/{value}")]
async fn later(value: Path<String>) -> String {
    tokio::time::sleep(Duration::from_millis(3)).await;
    value.0
}

/// Not a test: the program that the tests start, which is this file run again. Without the tests it does nothing.
#[test]
fn the_program() {
    let Some(directory) = std::env::var_os(IS_PROGRAM) else {
        return;
    };
    // None of them outlives a test that has failed for long.
    std::thread::spawn(|| {
        std::thread::sleep(3 * PATIENCE);
        std::process::exit(3);
    });
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    let directory = PathBuf::from(directory);
    let mut app = App::new(()).routes(routes![process, echo, later, health::readyz]);
    if directory.join("key.pem").exists() {
        app = app.tls(Tls::files(directory.join("chain.pem"), directory.join("key.pem")));
    }
    std::process::exit(i32::from(app.run().is_err()));
}

/// A directory of a test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("conduit-restart-{name}-{}", std::process::id()));
        fs::create_dir(&path).expect("a directory");
        Directory(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The program under a separate name, so that it can be replaced.
    fn install(&self) -> PathBuf {
        let (file, new) = (self.path("app"), self.path("new"));
        let program = std::env::current_exe().expect("a test knows its file");
        if fs::hard_link(&program, &new).is_err() {
            fs::copy(&program, &new).expect("the program can be copied");
        }
        fs::rename(&new, &file).expect("the old one is replaced");
        file
    }

    /// A shell script in the program's place.
    fn install_script(&self, script: &str) {
        let new = self.path("new");
        fs::write(&new, format!("#!/bin/sh\n{script}\n")).expect("a script");
        fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).expect("it may be run");
        fs::rename(&new, self.path("app")).expect("the program is replaced");
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn program(directory: &Directory) -> Command {
    let mut command = Command::new(directory.install());
    command
        .args(["--exact", "the_program", "--nocapture"])
        .env(IS_PROGRAM, &directory.0)
        .env("CONDUIT_WORKERS", "2")
        .env("CONDUIT_ADDR", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A program that serves, and all that come after it.
struct Program {
    child: Child,
    /// The output of the program and its successors.
    log: Arc<Mutex<String>>,
    addresses: Vec<String>,
}

impl Program {
    /// Starts it, and waits until it listens on so many places.
    fn start(command: &mut Command, places: usize) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let log = Arc::new(Mutex::new(String::new()));
        collect(child.stderr.take().expect("a pipe"), &log);
        collect(child.stdout.take().expect("a pipe"), &log);
        let mut program = Program {
            child,
            log,
            addresses: Vec::new(),
        };
        let listening = |log: &str| log.matches("Listening on").count() >= places;
        program.wait_for_log("a program that listens", listening);
        let log = program.log();
        let addresses = log.lines().filter_map(|line| line.split_once("Listening on "));
        program.addresses = addresses.map(|(_, address)| address.to_owned()).collect();
        program
    }

    fn log(&self) -> String {
        self.log.lock().expect("no thread panics").clone()
    }

    fn wait_for_log(&self, what: &str, found: impl Fn(&str) -> bool) {
        wait_for(
            || found(&self.log()).then_some(()),
            || format!("{what}: {}", self.log()),
        );
    }

    /// The place where it listens whose text begins so, without it.
    fn address(&self, scheme: &str) -> &str {
        let found = self.addresses.iter().find_map(|address| address.strip_prefix(scheme));
        found.expect("it listens there")
    }

    fn tcp(&self) -> SocketAddr {
        self.address("http://").parse().expect("an address")
    }

    fn connect(&self) -> Client<TcpStream> {
        Client::new(connect(self.tcp()))
    }

    /// The process that answers a new connection.
    fn process(&self) -> u32 {
        self.connect().get("/process").parse().expect("a number")
    }

    fn signal(&self, process: u32, signal: Signal) {
        let process = Pid::from_raw(process.try_into().expect("a process")).expect("a process");
        kill_process(process, signal).expect("the process is there");
    }

    /// Asks the process for its successor, and waits until it has gone out of the way.
    fn replace(&self, process: u32) -> u32 {
        let taken_over = |log: &str| log.matches("another process has taken over").count();
        let before = taken_over(&self.log());
        self.signal(process, Signal::USR2);
        self.wait_for_log("a successor", |log| taken_over(log) > before);
        let next = || Some(self.process()).filter(|&now| now != process);
        wait_for(next, || format!("the old process accepts yet: {}", self.log()))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Successors are no children of ours.
        let log = self.log.lock().map(|log| log.clone()).unwrap_or_default();
        for (_, rest) in log.lines().filter_map(|line| line.split_once("process=")) {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let process = digits.parse().ok().and_then(Pid::from_raw);
            if let Some(process) = process.filter(|_| is_program(&digits)) {
                let _ = kill_process(process, Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns whether the process is the program, and not another process with its id.
fn is_program(process: &str) -> bool {
    fs::read(format!("/proc/{process}/cmdline"))
        .is_ok_and(|line| String::from_utf8_lossy(&line).contains("the_program"))
}

/// Returns whether the process has ended, reaped or not.
fn has_ended(process: u32) -> bool {
    match fs::read_to_string(format!("/proc/{process}/status")) {
        Ok(status) => status.contains("State:\tZ"),
        Err(_) => true,
    }
}

fn collect(pipe: impl Read + Send + 'static, log: &Arc<Mutex<String>>) {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut log = log.lock().expect("no thread panics");
            log.push_str(&line);
            log.push('\n');
        }
    });
}

fn wait_for<T>(mut found: impl FnMut() -> Option<T>, what: impl Fn() -> String) -> T {
    let patience = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < patience, "there is not {}", what());
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("no connection is refused");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// A client that takes nothing but whole and right answers.
struct Client<T> {
    stream: T,
    /// The last answer said that there is no other on this connection.
    closes: bool,
}

impl<T: Read + Write> Client<T> {
    fn new(stream: T) -> Self {
        Client { stream, closes: false }
    }

    fn get(&mut self, target: &str) -> String {
        self.ask(&format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"))
    }

    /// Sends a request and reads its answer; gives the body.
    fn ask(&mut self, request: &str) -> String {
        self.stream.write_all(request.as_bytes()).expect("the request is taken");
        let (mut answer, mut input) = (Vec::new(), [0; 4096]);
        loop {
            let read = self.stream.read(&mut input).expect("no connection is reset");
            assert!(
                read > 0,
                "the connection ends in place of an answer to {request:?}: {answer:?}"
            );
            answer.extend_from_slice(&input[..read]);
            let text = str::from_utf8(&answer).expect("the answer is text");
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length: usize = length.expect("a length").parse().expect("a number");
                if body.len() >= length {
                    assert_eq!(body.len(), length, "no more than was announced");
                    self.closes |= head.contains("\r\nconnection: close");
                    return body.to_owned();
                }
            }
        }
    }

    /// Asks in one of three ways.
    fn ask_and_check(&mut self, turn: u64) {
        let value = format!("{turn}");
        let body = match turn % 3 {
            0 => self.get(&format!("/later/{value}")),
            1 => self.ask(&format!(
                "POST /echo HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{value}",
                value.len()
            )),
            _ => {
                let process = self.get("/process");
                assert!(process.parse::<u32>().is_ok(), "{process}");
                return;
            }
        };
        assert_eq!(body, value);
    }
}

/// A client that runs until it is stopped, on one connection for as long as it stays open, or on one for each request.
fn use_it<T: Read + Write>(connect: impl Fn() -> T, keeps: bool, stop: &AtomicBool, answered: &AtomicU64) {
    let mut client: Option<Client<T>> = None;
    let mut turn = 0;
    while !stop.load(SeqCst) {
        let mut open = client.take().unwrap_or_else(|| Client::new(connect()));
        open.ask_and_check(turn);
        turn += 1;
        answered.fetch_add(1, SeqCst);
        client = Some(open).filter(|open| keeps && !open.closes);
    }
}

/// A certificate for `localhost` in the test's directory, and a client that trusts it.
fn certificate(directory: &Directory) -> Arc<ClientConfig> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let chain = made.cert.pem();
    fs::write(directory.path("chain.pem"), &chain).expect("a file");
    fs::write(directory.path("key.pem"), made.signing_key.serialize_pem()).expect("a file");
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(chain.as_bytes()).expect("PEM"))
        .expect("a root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

fn connect_tls(address: SocketAddr, config: &Arc<ClientConfig>) -> StreamOwned<ClientConnection, TcpStream> {
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::clone(config), name).expect("a client");
    StreamOwned::new(client, connect(address))
}

fn connect_unix(path: &path::Path) -> UnixStream {
    let stream = UnixStream::connect(path).expect("no connection is refused");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    stream
}

/// A number from the environment, for a larger run than that of every day.
fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |value| value.parse().expect("a number"))
}

#[test]
fn clients_see_no_refused_connection_and_no_broken_answer_while_the_server_is_replaced() {
    let directory = Directory::new("clients");
    let config = certificate(&directory);
    let path = directory.path("socket");
    let addresses = format!("http://127.0.0.1:0,https://127.0.0.1:0,unix:{}", path.display());
    let program = Program::start(program(&directory).env("CONDUIT_ADDR", addresses), 3);
    let (plain, secure) = (program.tcp(), program.address("https://").parse().expect("an address"));
    let (clients, restarts) = (number("RESTART_CLIENTS", 12), number("RESTART_TIMES", 5));
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut processes = vec![program.process()];
    std::thread::scope(|scope| {
        // A failure in this scope must not leave the clients at it for ever.
        let _stop = OnDrop(&stop);
        let mut all = Vec::new();
        for client in 0..clients {
            let (stop, answered, config, path) = (&stop, &answered, &config, &path);
            let keeps = client % 2 == 0;
            all.push(scope.spawn(move || match client % 12 {
                0 | 1 => use_it(|| connect_tls(secure, config), keeps, stop, answered),
                2 | 3 => use_it(|| connect_unix(path), keeps, stop, answered),
                _ => use_it(|| connect(plain), keeps, stop, answered),
            }));
        }
        for _ in 0..restarts {
            let before = answered.load(SeqCst);
            processes.push(program.replace(*processes.last().expect("there is one")));
            // Each process has its share of the work before it is replaced.
            let enough = || (answered.load(SeqCst) >= before + 3 * clients as u64).then_some(());
            let failed = all.iter().any(|client| client.is_finished());
            assert!(!failed, "a client has met what it must not: {}", program.log());
            wait_for(enough, || format!("an answer: {}", program.log()));
        }
        stop.store(true, SeqCst);
    });
    let different: BTreeSet<u32> = processes.iter().copied().collect();
    assert_eq!(different.len(), restarts + 1, "{processes:?}");
    let (last, gone) = processes.split_last().expect("there is one");
    for &process in gone {
        wait_for(
            || has_ended(process).then_some(()),
            || format!("an end of {process}: {}", program.log()),
        );
    }
    let answered = answered.load(SeqCst);
    // Printed with `--nocapture`.
    let _ = writeln!(
        std::io::stdout(),
        "{answered} answers of {restarts} successors to {clients} clients, all whole"
    );
    // The file of the Unix socket is the last one's, who removes it.
    assert!(path.exists());
    program.signal(*last, Signal::TERM);
    wait_for(
        || (!path.exists()).then_some(()),
        || "an end of the socket's file".to_owned(),
    );
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

#[test]
fn a_connection_that_waits_is_answered_by_the_old_process_and_sent_to_the_new_one() {
    let directory = Directory::new("waits");
    let mut program = Program::start(&mut program(&directory), 1);
    let (mut early, mut silent) = (program.connect(), program.connect());
    let old: u32 = early.get("/process").parse().expect("a number");
    assert_eq!(old, program.child.id());
    let new = program.replace(old);
    assert_ne!(new, old);
    // Neither has been closed, and neither counts as a server that wants nothing any more.
    assert_eq!(early.get("/readyz"), "ready\n");
    assert!(early.closes, "the next request is for the new process");
    let answer = silent.get("/process");
    assert!(silent.closes);
    // Which of the two has accepted it is chance.
    assert!(answer == old.to_string() || answer == new.to_string());
    assert_eq!(program.child.wait().expect("it ends").code(), Some(0));
    assert_eq!(program.process(), new);
}

#[test]
fn the_time_for_a_shutdown_ends_what_waits_on_the_old_process() {
    let directory = Directory::new("ends");
    let mut program = Program::start(program(&directory).env("CONDUIT_SHUTDOWN_TIMEOUT", "1s"), 1);
    let mut idle = program.connect();
    let old = idle.get("/process").parse().expect("a number");
    program.replace(old);
    assert_eq!(program.child.wait().expect("it ends").code(), Some(0));
    assert_eq!(idle.stream.read(&mut [0]).expect("it is closed well"), 0);
    assert!(!program.log().contains("closed at the shutdown"), "{}", program.log());
}

#[test]
fn a_signal_to_stop_ends_an_old_process_that_only_waits() {
    let directory = Directory::new("stops");
    let mut program = Program::start(&mut program(&directory), 1);
    let mut idle = program.connect();
    let old = idle.get("/process").parse().expect("a number");
    let new = program.replace(old);
    program.signal(old, Signal::TERM);
    assert_eq!(idle.stream.read(&mut [0]).expect("it is closed well"), 0);
    assert_eq!(program.child.wait().expect("it ends").code(), Some(0));
    assert_eq!(program.process(), new);
}

#[test]
fn a_successor_that_ends_at_once_changes_nothing_and_is_named() {
    let directory = Directory::new("fails");
    let program = Program::start(&mut program(&directory), 1);
    let old = program.process();
    let mut open = program.connect();
    open.get("/process");
    directory.install_script("exit 7");
    program.signal(old, Signal::USR2);
    program.wait_for_log("a word of it", |log| {
        log.contains("no other process has taken over; serving on")
    });
    let log = program.log();
    assert!(
        log.contains("ended before it served") && log.contains("exit status: 7"),
        "{log}"
    );
    assert_eq!(program.process(), old);
    assert_eq!(open.get("/readyz"), "ready\n");
    assert!(!open.closes);
    // A file that is not there is one more way to fail.
    fs::remove_file(directory.path("app")).expect("it is there");
    program.signal(old, Signal::USR2);
    program.wait_for_log("a word of it", |log| log.contains("cannot start"));
    assert_eq!(program.process(), old);
    // The next one is good: it is started by its name, so it is the current file.
    directory.install();
    assert_ne!(program.replace(old), old);
}

#[test]
fn a_successor_that_takes_too_long_is_ended() {
    let directory = Directory::new("late");
    let program = Program::start(program(&directory).env("CONDUIT_RESTART_TIMEOUT", "200ms"), 1);
    let old = program.process();
    directory.install_script("exec sleep 600");
    program.signal(old, Signal::USR2);
    program.wait_for_log("a word of it", |log| log.contains("serving on"));
    let log = program.log();
    assert!(
        log.contains("did not serve within 200ms") && log.contains("signal: 9"),
        "{log}"
    );
    assert_eq!(program.process(), old);
}

#[test]
fn a_stop_while_a_successor_starts_ends_both() {
    let directory = Directory::new("both");
    let mut program = Program::start(&mut program(&directory), 1);
    let old = program.process();
    let written = directory.path("process");
    directory.install_script(&format!(
        "echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600",
        written.display()
    ));
    program.signal(old, Signal::USR2);
    let successor = || fs::read_to_string(&written).ok()?.trim().parse::<u32>().ok();
    let successor = wait_for(successor, || format!("a successor: {}", program.log()));
    program.signal(old, Signal::TERM);
    assert_eq!(program.child.wait().expect("it ends").code(), Some(0));
    assert!(has_ended(successor), "no process is left");
}

#[test]
fn the_manager_is_told_which_process_it_has_now() {
    let directory = Directory::new("manager");
    let place = directory.path("notify");
    let manager = UnixDatagram::bind(&place).expect("a socket");
    manager.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    let hear = || {
        let mut message = [0; 200];
        let length = manager.recv(&mut message).expect("the manager is notified");
        let message = str::from_utf8(&message[..length]).expect("text");
        let fields = message.lines().filter_map(|line| line.split_once('='));
        fields
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    let mut program = Program::start(program(&directory).env("NOTIFY_SOCKET", &place), 1);
    assert_eq!(hear()["READY"], "1");
    let new = program.replace(program.process());
    let reloading = hear();
    assert_eq!(reloading["RELOADING"], "1");
    assert!(reloading["MONOTONIC_USEC"].parse::<u64>().is_ok(), "{reloading:?}");
    let ready = hear();
    assert_eq!((ready["MAINPID"].parse(), ready["READY"].as_str()), (Ok(new), "1"));
    assert_eq!(program.child.wait().expect("it ends").code(), Some(0));
    // The old one has said nothing more.
    program.signal(new, Signal::TERM);
    assert_eq!(hear(), BTreeMap::from([("STOPPING".to_owned(), "1".to_owned())]));
}
