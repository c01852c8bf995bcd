//! A running server, and a client that sends exactly the given bytes.
#![allow(dead_code, reason = "each test file uses its part")]

pub(crate) mod handler_counts;
#[cfg(target_os = "linux")]
pub(crate) mod program;
#[cfg(target_os = "linux")]
pub(crate) mod service;

#[cfg(feature = "testing")]
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
#[cfg(feature = "testing")]
use std::task::{Context, Waker};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use conduit::{App, Routes, Server, ServerHandle};

/// The time that a test waits for bytes before it fails.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Waits until the condition is true.
#[track_caller]
pub(crate) fn wait_for(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < deadline, "the condition is still false");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Returns in a later turn of the worker, after other threads have woken it this number of times.
pub(crate) async fn wake_from_other_threads(times: usize) {
    for _ in 0..times {
        tokio::task::spawn_blocking(|| ()).await.expect("it does not panic");
    }
}

/// Advances the clock of this thread's runtime, on which all deadlines of its worker depend.
#[cfg(feature = "testing")]
pub(crate) fn advance_clock(duration: Duration) {
    tokio::time::pause();
    // The first poll advances the clock.
    let advance = std::pin::pin!(tokio::time::advance(duration));
    let _ = advance.poll(&mut Context::from_waker(Waker::noop()));
    tokio::time::resume();
}

/// Advances the clock of this thread's runtime beyond all deadlines in each turn, until the task is dropped.
#[cfg(feature = "testing")]
pub(crate) async fn pass_deadlines() -> ! {
    loop {
        advance_clock(Duration::from_secs(3600));
        tokio::task::yield_now().await;
    }
}

/// Advances the clock of its worker by this number of seconds.
#[cfg(feature = "testing")]
#[conduit::get("/later/{seconds}")]
pub(crate) async fn later(seconds: conduit::Path<u64>) {
    advance_clock(Duration::from_secs(*seconds));
}

/// Blocks its worker until the test lets it continue, and then advances the clock of the worker by half an hour.
#[cfg(feature = "testing")]
#[conduit::get("/stall")]
pub(crate) async fn stall(barrier: conduit::State<std::sync::Arc<std::sync::Barrier>>) -> &'static str {
    barrier.wait();
    barrier.wait();
    advance_clock(Duration::from_secs(30 * 60));
    "stalled"
}

/// A server on a free port, stopped when dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    handle: ServerHandle,
    thread: Option<JoinHandle<conduit::Result>>,
}

/// Serves the application on one worker.
pub(crate) fn serve<S: 'static>(app: App<S, Routes<S>>) -> Running {
    start(
        app.workers(1)
            .listen("127.0.0.1:0")
            .expect("a port of loopback can be listened on"),
    )
}

pub(crate) fn start(server: Server) -> Running {
    let (address, handle) = (server.address(), server.handle());
    Running {
        address,
        handle,
        thread: Some(std::thread::spawn(move || server.serve())),
    }
}

impl Running {
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.address)
    }

    /// The response to one request on a new connection.
    pub(crate) fn request(&self, request: impl AsRef<[u8]>) -> Response {
        let mut client = self.connect();
        client.send(request);
        client.response()
    }

    pub(crate) fn get(&self, target: &str) -> Response {
        self.request(format!("GET {target} HTTP/1.1\r\nhost: test\r\n\r\n"))
    }

    pub(crate) fn handle(&self) -> ServerHandle {
        self.handle.clone()
    }

    /// Waits for the server's end after a stop.
    pub(crate) fn wait(mut self) -> conduit::Result {
        self.thread
            .take()
            .expect("waited for once")
            .join()
            .expect("the server does not panic")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.handle.close();
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.expect("the server does not panic").expect("the server ends well");
            }
        }
    }
}

pub(crate) struct Client {
    stream: TcpStream,
    pending: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
        Client {
            stream,
            pending: Vec::new(),
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream
            .write_all(bytes.as_ref())
            .expect("the server accepts the bytes");
    }

    /// Sends as much as the server accepts, which may be less than all if it has closed.
    pub(crate) fn send_what_is_taken(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// A second handle on the stream, to write from another thread.
    pub(crate) fn duplicate(&self) -> TcpStream {
        self.stream.try_clone().expect("a descriptor can be duplicated")
    }

    pub(crate) fn end(&mut self) {
        self.stream.shutdown(Shutdown::Write).expect("the stream can be ended");
    }

    /// The next response, whose body ends as its head declares.
    pub(crate) fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    pub(crate) fn response_to(&mut self, method: &str) -> Response {
        let head_length = loop {
            if let Some(place) = find(&self.pending, b"\r\n\r\n") {
                break place + 4;
            }
            assert!(
                self.more(),
                "the server closed in a head: {:?}",
                String::from_utf8_lossy(&self.pending)
            );
        };
        let head = String::from_utf8(self.pending.drain(..head_length).collect()).expect("heads are ASCII here");
        let mut lines = head.split("\r\n");
        let status_line = lines.next().expect("a status line");
        assert!(status_line.starts_with("HTTP/1.1 "), "{status_line}");
        let status = status_line[9..12].parse().expect("three digits");
        let headers = lines
            .take_while(|line| !line.is_empty())
            .map(|line| line.split_once(": ").expect("a name, a colon and a space"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut response = Response {
            status,
            headers,
            body: Vec::new(),
        };
        if method == "HEAD" || status < 200 || status == 204 || status == 304 {
            return response;
        }
        if response.header("transfer-encoding") == Some("chunked") {
            response.body = self.chunks();
        } else if let Some(length) = response.header("content-length") {
            let length = length.parse().expect("a number");
            self.need(length);
            response.body = self.pending.drain(..length).collect();
        } else {
            while self.more() {}
            response.body = std::mem::take(&mut self.pending);
        }
        response
    }

    fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.line();
            let size = usize::from_str_radix(&line, 16).expect("a chunk's size");
            if size == 0 {
                // The trailer section.
                while !self.line().is_empty() {}
                return body;
            }
            self.need(size + 2);
            body.extend(self.pending.drain(..size));
            assert_eq!(self.pending.drain(..2).as_slice(), b"\r\n");
        }
    }

    fn line(&mut self) -> String {
        loop {
            if let Some(place) = find(&self.pending, b"\r\n") {
                let line = self.pending.drain(..place + 2).take(place).collect();
                return String::from_utf8(line).expect("ASCII");
            }
            assert!(self.more(), "the server closed in a line");
        }
    }

    fn need(&mut self, length: usize) {
        while self.pending.len() < length {
            assert!(
                self.more(),
                "the server closed {} bytes early",
                length - self.pending.len()
            );
        }
    }

    /// Reads once. Returns false at the end of the stream, or if the server has reset it.
    fn more(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.pending.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => false,
            Err(error) => panic!("the server sends nothing: {error}"),
        }
    }

    /// Reads until this text has arrived. Returns false if the server closes before.
    pub(crate) fn received(&mut self, text: &str) -> bool {
        while find(&self.pending, text.as_bytes()).is_none() {
            if !self.more() {
                return false;
            }
        }
        true
    }

    /// The head of the next response, which remains unread.
    pub(crate) fn head(&mut self) -> String {
        assert!(self.received("\r\n\r\n"), "the server closes without a response");
        let end = find(&self.pending, b"\r\n\r\n").expect("it was received");
        String::from_utf8_lossy(&self.pending[..end + 2]).into_owned()
    }

    /// Returns whether the server has closed without further bytes.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.pending.is_empty() && !self.more()
    }

    /// All bytes until the server closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.pending)
    }
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> &str {
        str::from_utf8(&self.body).expect("the body is text")
    }

    /// Parses the body as a problem, and checks its form (RFC 9457).
    pub(crate) fn problem(&self) -> serde_json::Value {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem: serde_json::Value = serde_json::from_slice(&self.body).expect("a problem is JSON");
        assert_eq!(problem["status"], self.status);
        problem
    }
}
