//! The floor: the cost of the kernel alone. A bare, level-triggered epoll loop that parses nothing: it counts the blank lines that
//! end requests, and sends the same number of canned responses. One `recv` and one `send` per turn; no allocation, no clock, no
//! limits, no timeouts. It is a reference, not a lower bound: a loop with edge-triggered events and a faster search for the blank
//! lines costs less.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, accept_with, recv, send};

/// The maximum number of requests in one `recv`: the size of the buffer divided by the shortest request that a load generator
/// sends.
const LONGEST_BATCH: usize = 1024;
const END_OF_HEAD: &[u8; 4] = b"\r\n\r\n";

struct Connection {
    socket: OwnedFd,
    /// The number of bytes of the blank line at the end of the last `recv`: `0 <= matched < 4`.
    matched: u8,
}

struct Answer {
    /// `LONGEST_BATCH` copies, so that one `send` of one slice responds to a pipelined batch.
    copies: Vec<u8>,
    length: usize,
    close: bool,
}

impl Answer {
    fn canned(kind: &str) -> Self {
        let (content_type, body, connection) = match kind {
            "plaintext" => ("text/plain", "Hello, World!", ""),
            "close" => ("text/plain", "Hello, World!", "connection: close\r\n"),
            "json" => ("application/json", r#"{"message":"Hello, World!"}"#, ""),
            "user" => ("text/plain", "42", ""),
            other => panic!("no canned answer is called {other}: use plaintext, close, json or user"),
        };
        let one = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n{connection}date: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n{body}",
            body.len()
        );
        Self {
            copies: one.repeat(LONGEST_BATCH).into_bytes(),
            length: one.len(),
            close: kind == "close",
        }
    }
}

impl Connection {
    /// Reads once and sends once. Returns `false` when the connection has ended.
    fn turn(&mut self, buffer: &mut [u8], answer: &Answer) -> bool {
        let received = match recv(&self.socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => return false,
            Ok((received, _)) => received,
            Err(Errno::AGAIN | Errno::INTR) => return true,
            Err(_) => return false,
        };
        let mut requests = 0;
        for byte in &buffer[..received] {
            self.matched = match *byte == END_OF_HEAD[usize::from(self.matched)] {
                true => self.matched + 1,
                false => u8::from(*byte == b'\r'),
            };
            if self.matched == 4 {
                self.matched = 0;
                requests += 1;
            }
        }
        if requests == 0 {
            return true;
        }
        let answers = &answer.copies[..requests.min(LONGEST_BATCH) * answer.length];
        // A response that does not fit into the socket's buffer ends the connection, which the harness reports as an error.
        send(&self.socket, answers, SendFlags::NOSIGNAL) == Ok(answers.len()) && !answer.close
    }
}

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let address: SocketAddr = arguments
        .next()
        .and_then(|address| address.parse().ok())
        .expect("usage: bench-floor ADDRESS [plaintext|close|json|user]");
    let answer = Answer::canned(arguments.next().as_deref().unwrap_or("plaintext"));

    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let listener_key = u64::MAX;
    epoll::add(&epoll, &listener, EventData::new_u64(listener_key), EventFlags::IN)?;

    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut events = Vec::with_capacity(1024);
    loop {
        events.clear();
        match epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            let key = event.data.u64();
            if key == listener_key {
                let Ok(socket) = accept_with(&listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) else {
                    continue;
                };
                let index = socket.as_raw_fd() as usize;
                epoll::add(&epoll, &socket, EventData::new_u64(index as u64), EventFlags::IN)?;
                if connections.len() <= index {
                    connections.resize_with(index + 1, || None);
                }
                connections[index] = Some(Connection { socket, matched: 0 });
                continue;
            }
            let slot = &mut connections[key as usize];
            if let Some(connection) = slot
                && !connection.turn(&mut buffer, &answer)
            {
                // Closing the descriptor removes it from the epoll set.
                *slot = None;
            }
        }
    }
}
