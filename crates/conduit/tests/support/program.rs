//! A program that a test starts, which is the file of the test run again, and its successors.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Marks the process as the program rather than the test; its value is the directory of the test.
pub(crate) const IS_PROGRAM: &str = "CONDUIT_TEST_IS_PROGRAM";
/// The time that a test waits before it fails.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);

/// Begins the program that a test starts, which is its own file run again. Returns the directory of the test. The program logs
/// to its error output, and ends if it outlives its test, which has failed.
pub(crate) fn begin_program() -> PathBuf {
    let directory = std::env::var_os(IS_PROGRAM).expect("the test sets it");
    std::thread::spawn(|| {
        std::thread::sleep(3 * TIMEOUT);
        std::process::exit(3);
    });
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(std::io::stderr)
        .init();
    PathBuf::from(directory)
}

/// A directory of a test's own, removed at its end.
pub(crate) struct Directory(pub(crate) PathBuf);

impl Directory {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("conduit-restart-{name}-{}", std::process::id()));
        // A killed process with this id may have left it.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("a directory");
        Directory(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The program under a separate name, so that it can be replaced.
    pub(crate) fn install(&self) -> PathBuf {
        let (file, new) = (self.path("app"), self.path("new"));
        let program = std::env::current_exe().expect("the path of the test is known");
        if fs::hard_link(&program, &new).is_err() {
            fs::copy(&program, &new).expect("the program can be copied");
        }
        fs::rename(&new, &file).expect("the old one is replaced");
        file
    }

    /// A shell script in place of the program.
    pub(crate) fn install_script(&self, script: &str) {
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

/// A serving program and all its successors.
pub(crate) struct Program {
    pub(crate) child: Child,
    /// The output of the program and its successors.
    log: Arc<Mutex<String>>,
    addresses: Vec<String>,
}

impl Program {
    /// Starts the program, and waits until it listens on this number of addresses.
    pub(crate) fn start(command: &mut Command, places: usize) -> Self {
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

    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no thread panics").clone()
    }

    pub(crate) fn wait_for_log(&self, what: &str, found: impl Fn(&str) -> bool) {
        wait_for(
            || found(&self.log()).then_some(()),
            || format!("{what}: {}", self.log()),
        );
    }

    /// The listening address with this prefix, without the prefix.
    pub(crate) fn address(&self, scheme: &str) -> &str {
        let found = self.addresses.iter().find_map(|address| address.strip_prefix(scheme));
        found.expect("it listens there")
    }

    pub(crate) fn tcp(&self) -> SocketAddr {
        self.address("http://").parse().expect("an address")
    }

    pub(crate) fn connect(&self) -> ProgramClient<TcpStream> {
        ProgramClient::new(connect(self.tcp()))
    }

    /// The process that answers a new connection.
    pub(crate) fn process(&self) -> u32 {
        self.connect().get("/process").parse().expect("a number")
    }

    pub(crate) fn signal(&self, process: u32, signal: Signal) {
        let process = Pid::from_raw(process.try_into().expect("a process")).expect("a process");
        kill_process(process, signal).expect("the process is there");
    }

    /// Waits for the end of the first process.
    #[track_caller]
    pub(crate) fn assert_ends_well(&mut self) {
        let code = self.child.wait().expect("it ends").code();
        assert_eq!(code, Some(0), "{}", self.log());
    }

    /// Starts a successor of the process, and waits until the process has stopped accepting.
    pub(crate) fn replace(&self, process: u32) -> u32 {
        let taken_over = |log: &str| log.matches("another process has taken over").count();
        let before = taken_over(&self.log());
        self.signal(process, Signal::USR2);
        self.wait_for_log("a successor", |log| taken_over(log) > before);
        let next = || Some(self.process()).filter(|&now| now != process);
        wait_for(next, || format!("the old process still accepts: {}", self.log()))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Successors are not children of this process.
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
pub(crate) fn has_ended(process: u32) -> bool {
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

pub(crate) fn wait_for<T>(mut found: impl FnMut() -> Option<T>, what: impl Fn() -> String) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < deadline, "there is not {}", what());
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("no connection is refused");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a time-out");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// A client that accepts only complete and correct responses.
pub(crate) struct ProgramClient<T> {
    pub(crate) stream: T,
    /// The last response closes the connection.
    pub(crate) closes: bool,
}

impl<T: Read + Write> ProgramClient<T> {
    pub(crate) fn new(stream: T) -> Self {
        ProgramClient { stream, closes: false }
    }

    pub(crate) fn get(&mut self, target: &str) -> String {
        self.ask(&format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"))
    }

    /// As [`get`](Self::get), and `None` if the connection ends before the first byte of a response.
    pub(crate) fn try_get(&mut self, target: &str) -> Option<String> {
        let request = format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n");
        self.stream.write_all(request.as_bytes()).ok()?;
        let mut first = [0];
        match self.stream.read(&mut first) {
            Ok(1) => Some(self.read_response(&request, first.to_vec())),
            Ok(_) => None,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("no response to {request:?}: {error}"),
        }
    }

    /// Sends a request and reads its response. Returns the body.
    pub(crate) fn ask(&mut self, request: &str) -> String {
        self.stream.write_all(request.as_bytes()).expect("the request is taken");
        self.read_response(request, Vec::new())
    }

    /// Reads the response whose first bytes are `answer`. Returns its body.
    fn read_response(&mut self, request: &str, mut answer: Vec<u8>) -> String {
        let mut input = [0; 4096];
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
                    assert_eq!(body.len(), length, "no more than declared");
                    self.closes |= head.contains("\r\nconnection: close");
                    return body.to_owned();
                }
            }
        }
    }
}

/// A client that runs until it is stopped, on one connection for as long as it stays open, or on one for each request.
pub(crate) fn use_it<T: Read + Write>(
    connect: impl Fn() -> T,
    ask: impl Fn(&mut ProgramClient<T>, u64),
    keeps: bool,
    stop: &AtomicBool,
    answered: &AtomicU64,
) {
    let mut client: Option<ProgramClient<T>> = None;
    let mut turn = 0;
    while !stop.load(SeqCst) {
        let mut open = client.take().unwrap_or_else(|| ProgramClient::new(connect()));
        ask(&mut open, turn);
        turn += 1;
        answered.fetch_add(1, SeqCst);
        client = Some(open).filter(|open| keeps && !open.closes);
    }
}

/// The program, in the directory of the test.
pub(crate) fn program(directory: &Directory) -> Command {
    let mut command = Command::new(directory.install());
    command
        .args(["--ignored", "--exact", "the_program", "--nocapture"])
        .env(IS_PROGRAM, &directory.0)
        .env("CONDUIT_WORKERS", "2")
        .env("CONDUIT_ADDR", "127.0.0.1:0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Sets the flag when it is dropped, so that a failed test ends its clients.
pub(crate) struct OnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}
