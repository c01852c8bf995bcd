//! The load of a topic: each message is published when all subscribers have received the one before.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::time::Timespec;

use crate::Result;
use crate::load::Report;
use crate::process::Process;
use crate::websocket::{self, TIMEOUT};

/// The bytes of the published text.
const TEXT_BYTES: usize = 240;

/// The kind of the subscribers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Subscribers {
    WebSockets { compressed: bool },
    EventStreams,
}

/// A server, its subscribers, and a connection that publishes.
pub(crate) struct Broadcast {
    publisher: TcpStream,
    subscribers: Vec<Subscriber>,
    poller: rustix::fd::OwnedFd,
    message: Vec<u8>,
    kind: Subscribers,
    /// The frame of the message, or the text that each event contains.
    expected: Vec<u8>,
}

struct Subscriber {
    stream: TcpStream,
    /// Bytes of an incomplete message.
    partial: Vec<u8>,
    has_received: bool,
}

/// A server without compression, which does not count as a failure.
pub(crate) const UNCOMPRESSED: &str = "does not compress messages";

impl Broadcast {
    /// Opens the publisher's connection and one subscriber.
    ///
    /// # Errors
    ///
    /// Returns an error if the server refuses a connection, and [`UNCOMPRESSED`] if it does not compress.
    pub(crate) fn new(server: &mut Process, kind: Subscribers) -> Result<Self> {
        let publisher = server.connect_when_ready()?;
        publisher
            .set_nodelay(true)
            .and_then(|()| publisher.set_read_timeout(Some(TIMEOUT)))
            .map_err(|error| error.to_string())?;
        let text: String = (0..TEXT_BYTES / 12)
            .map(|number| format!("message {number:03} "))
            .collect();
        let message = format!("{{\"text\":\"{text}\"}}").into_bytes();
        let expected = match kind {
            Subscribers::EventStreams => [b"data: ", &message[..], b"\n"].concat(),
            // The first compressed frame is inflated, and then expected of all.
            Subscribers::WebSockets { .. } => websocket::frame(&message),
        };
        let mut broadcast = Broadcast {
            publisher,
            subscribers: Vec::new(),
            poller: epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| format!("cannot poll: {error}"))?,
            message,
            kind,
            expected,
        };
        broadcast.subscribe(server)?;
        Ok(broadcast)
    }

    /// Adds a subscriber.
    pub(crate) fn subscribe(&mut self, server: &Process) -> Result<()> {
        let number = self.subscribers.len();
        let refused = |error| format!("refused subscriber {number}: {error}");
        let stream = TcpStream::connect(server.address).map_err(|error| refused(error.to_string()))?;
        let (stream, partial) = match self.kind {
            Subscribers::WebSockets { compressed } => {
                let opened = websocket::open(stream, "/topic", compressed).map_err(refused)?;
                if compressed && !opened.is_compressed {
                    return Err(UNCOMPRESSED.into());
                }
                (opened.stream, Vec::new())
            }
            Subscribers::EventStreams => {
                let request = b"GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
                let (head, rest) = websocket::exchange_head(&stream, request).map_err(refused)?;
                let fields = head.to_ascii_lowercase();
                if !fields.starts_with("http/1.1 200 ") || !fields.contains("\r\ncontent-type: text/event-stream") {
                    return Err(format!("answers /events with {:?}", head.lines().next()));
                }
                (stream, rest)
            }
        };
        stream
            .set_nonblocking(true)
            .map_err(|error| refused(error.to_string()))?;
        let key = epoll::EventData::new_u64(number as u64);
        epoll::add(&self.poller, &stream, key, epoll::EventFlags::IN).map_err(|error| refused(error.to_string()))?;
        self.subscribers.push(Subscriber {
            stream,
            partial,
            has_received: false,
        });
        Ok(())
    }

    /// Publishes once, and waits until all subscribers have the message.
    ///
    /// # Errors
    ///
    /// Returns an error if a message differs or is missing.
    pub(crate) fn round(&mut self) -> Result<()> {
        let head = format!(
            "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.message.len()
        );
        self.publisher
            .write_all(&[head.as_bytes(), &self.message].concat())
            .map_err(|error| format!("took no message: {error}"))?;
        let last = Instant::now() + TIMEOUT;
        let mut missing = self.subscribers.len();
        let mut buffer = vec![0; 64 * 1024];
        let mut events = Vec::with_capacity(1024);
        while missing > 0 {
            events.clear();
            let pause = Timespec { tv_sec: 1, tv_nsec: 0 };
            epoll::wait(&self.poller, rustix::buffer::spare_capacity(&mut events), Some(&pause))
                .map_err(|error| format!("cannot poll: {error}"))?;
            for event in &events {
                let subscriber = &mut self.subscribers[event.data.u64() as usize];
                if subscriber.receive(self.kind, &mut self.expected, &self.message, &mut buffer)? {
                    missing -= 1;
                }
            }
            if Instant::now() > last {
                return Err(format!("{missing} subscribers lack a message after {TIMEOUT:?}"));
            }
        }
        for subscriber in &mut self.subscribers {
            subscriber.has_received = false;
        }
        let mut answer = Vec::new();
        while !answer.ends_with(b"ok") {
            match self.publisher.read(&mut buffer) {
                Ok(count) if count > 0 => answer.extend_from_slice(&buffer[..count]),
                other => return Err(format!("does not answer the publisher: {other:?}")),
            }
        }
        match answer.starts_with(b"HTTP/1.1 200 ") {
            true => Ok(()),
            false => Err(format!(
                "answers the publisher with {:?}",
                String::from_utf8_lossy(&answer)
            )),
        }
    }

    /// Publishes for `seconds`, and counts deliveries.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`round`](Self::round).
    pub(crate) fn run(&mut self, seconds: u32) -> Result<Report> {
        let start = Instant::now();
        let mut times = Vec::new();
        while start.elapsed() < Duration::from_secs(seconds.into()) {
            let began = Instant::now();
            self.round()?;
            times.push(began.elapsed().as_micros() as u64);
        }
        let deliveries = times.len() as u64 * self.subscribers.len() as u64;
        Ok(websocket::report(deliveries, start.elapsed(), times))
    }
}

impl Subscriber {
    /// Reads once. Returns whether the message is complete now.
    fn receive(
        &mut self,
        kind: Subscribers,
        expected: &mut Vec<u8>,
        message: &[u8],
        buffer: &mut [u8],
    ) -> Result<bool> {
        let count = match self.stream.read(buffer) {
            Ok(0) => return Err("closed the connection of a subscriber".into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(format!("closed the connection within a message: {error}")),
        };
        // A message almost always arrives in one read.
        let mut input = &buffer[..count];
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(input);
            input = &self.partial;
        }
        let used = match kind {
            Subscribers::EventStreams => event_end(input, expected),
            Subscribers::WebSockets { .. } => frame_end(input, expected, message)?,
        };
        let Some(used) = used else {
            self.partial = input.to_vec();
            return Ok(false);
        };
        // The end of an event's chunk may follow, but no second message.
        let rest = &input[used..];
        if self.has_received || (rest.len() >= expected.len() && kind != Subscribers::EventStreams) {
            return Err("delivers a message twice".into());
        }
        self.partial = match kind {
            Subscribers::EventStreams => Vec::new(),
            Subscribers::WebSockets { .. } => rest.to_vec(),
        };
        self.has_received = true;
        Ok(true)
    }
}

/// The end of the line with the data.
fn event_end(input: &[u8], line: &[u8]) -> Option<usize> {
    let start = input.windows(line.len()).position(|bytes| bytes == line)?;
    Some(start + line.len())
}

/// The end of the frame at the start. A frame that differs from the expected one may have the same text in another form.
fn frame_end(input: &[u8], expected: &mut Vec<u8>, message: &[u8]) -> Result<Option<usize>> {
    if input.starts_with(expected) {
        return Ok(Some(expected.len()));
    }
    let Some(length) = websocket::frame_bytes(input) else {
        return Ok(None);
    };
    let frame = &input[..length];
    if websocket::text_of(frame)? != message {
        return Err("delivers another message than the published one".into());
    }
    *expected = frame.to_vec();
    Ok(Some(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_of_an_event_is_found_within_a_chunk() {
        assert_eq!(event_end(b"12\r\nid: 7\ndata: {}\n\n\r\n", b"data: {}\n"), Some(19));
        assert_eq!(event_end(b"12\r\nid: 7\ndata: {", b"data: {}\n"), None);
    }

    #[test]
    fn frame_with_another_text_is_an_error() {
        let mut expected = websocket::frame(b"one");
        assert_eq!(frame_end(&expected.clone(), &mut expected, b"one"), Ok(Some(5)));
        assert!(frame_end(&websocket::frame(b"two"), &mut expected, b"one").is_err());
        assert_eq!(frame_end(b"\x81\x03on", &mut expected, b"one"), Ok(None));
    }
}
