//! Load at a fixed rate. Each request has a time at which it is due, from which its latency is measured: a server that stalls
//! delays all requests that are due meanwhile, and the figures include each of them. A generator that waits for a response before
//! it sends the next request would hide them (coordinated omission).

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll;
use rustix::time::Timespec;

use crate::Result;
use crate::rows::Question;

/// The connections of the load, for each protocol.
const CONNECTIONS: usize = 64;
const HTTP2_CONNECTIONS: usize = 8;
/// The concurrent streams of each connection of HTTP/2.
const STREAMS: usize = 64;
/// The time after the last request is due in which its response must arrive.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The latencies of one run, in µs.
pub(crate) struct Latencies {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
}

/// Sends `rate` requests a second for `seconds`.
///
/// # Errors
///
/// Returns an error for a response other than 200, if a connection ends, or if responses are missing after five seconds.
pub(crate) fn run(question: &Question, address: SocketAddr, rate: u64, seconds: u32, http2: bool) -> Result<Latencies> {
    let poller = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| format!("cannot poll: {error}"))?;
    let count = if http2 { HTTP2_CONNECTIONS } else { CONNECTIONS };
    let mut clients = Vec::with_capacity(count);
    for index in 0..count {
        let stream = TcpStream::connect(address).map_err(|error| format!("refused a connection: {error}"))?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_nonblocking(true))
            .map_err(|error| format!("cannot prepare a connection: {error}"))?;
        epoll::add(
            &poller,
            &stream,
            epoll::EventData::new_u64(index as u64),
            epoll::EventFlags::IN,
        )
        .map_err(|error| format!("cannot poll a connection: {error}"))?;
        clients.push(PacedClient::new(stream, question, http2)?);
    }

    let total = rate * u64::from(seconds);
    let mut latencies = Vec::with_capacity(total as usize);
    let mut waiting: VecDeque<Instant> = VecDeque::new();
    let start = Instant::now();
    let due = |number: u64| start + Duration::from_nanos((number as f64 / rate as f64 * 1e9) as u64);
    let last = due(total) + TIMEOUT;
    let (mut next, mut turn) = (0, 0);
    let mut events = Vec::with_capacity(count);
    while latencies.len() < total as usize {
        let now = Instant::now();
        if now > last {
            return Err(format!(
                "{} of {total} responses are missing after {TIMEOUT:?}",
                total as usize - latencies.len()
            ));
        }
        while next < total && due(next) <= now {
            waiting.push_back(due(next));
            next += 1;
        }
        // Connections take turns, so that each has a part of the load.
        for _ in 0..count {
            turn = (turn + 1) % count;
            if !waiting.is_empty() {
                clients[turn].take(&mut waiting, count);
            }
        }
        for client in &mut clients {
            client.flush()?;
        }
        // The loop does not sleep: a sleep would end after the next request is due.
        events.clear();
        epoll::wait(
            &poller,
            rustix::buffer::spare_capacity(&mut events),
            Some(&Timespec::default()),
        )
        .map_err(|error| format!("cannot poll: {error}"))?;
        for event in &events {
            clients[event.data.u64() as usize].receive(&mut latencies)?;
        }
    }
    latencies.sort_unstable();
    let at = |part: f64| latencies[((latencies.len() - 1) as f64 * part) as usize].as_nanos() as f64 / 1e3;
    Ok(Latencies {
        p50_us: at(0.5),
        p99_us: at(0.99),
        p999_us: at(0.999),
    })
}

/// One connection.
struct PacedClient {
    stream: TcpStream,
    request: Request,
    /// The requests in progress, in the order of their streams, by the time at which each was due.
    due: VecDeque<(u32, Instant)>,
    input: Vec<u8>,
    output: Vec<u8>,
}

enum Request {
    Http1(Vec<u8>),
    /// The header block, and the next stream.
    Http2(Vec<u8>, u32),
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
/// ACK of SETTINGS and PING, END_STREAM of DATA and HEADERS.
const FIRST_FLAG: u8 = 1;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;
/// `:status: 200` (RFC 7541, appendix A).
const STATUS_200: u8 = 0x88;

impl PacedClient {
    fn new(stream: TcpStream, question: &Question, http2: bool) -> Result<Self> {
        let path = question.path;
        let mut output = Vec::new();
        let request = if http2 {
            output.extend(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
            output.extend([0, 0, 0, SETTINGS, 0, 0, 0, 0, 0]);
            // The window of the connection for all responses: 2^31 - 1 bytes.
            output.extend([0, 0, 4, 8, 0, 0, 0, 0, 0]);
            output.extend((u32::MAX / 2 - 65_535).to_be_bytes());
            // GET, http; the path and the authority as literals without indexing.
            let mut block = vec![0x82, 0x86, 0x04, path.len() as u8];
            block.extend(path.bytes());
            block.extend([0x01, 9]);
            block.extend(b"localhost");
            Request::Http2(block, 1)
        } else {
            Request::Http1(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes())
        };
        Ok(PacedClient {
            stream,
            request,
            due: VecDeque::new(),
            input: Vec::new(),
            output,
        })
    }

    /// Takes this connection's share of the requests that are due; `clients` share them.
    fn take(&mut self, waiting: &mut VecDeque<Instant>, clients: usize) {
        let share = waiting.len().div_ceil(clients);
        let room = match self.request {
            Request::Http1(_) => 1,
            Request::Http2(..) => STREAMS,
        };
        for _ in 0..share.min(room - self.due.len()) {
            let Some(due) = waiting.pop_front() else { return };
            match &mut self.request {
                Request::Http1(text) => {
                    self.output.extend_from_slice(text);
                    self.due.push_back((0, due));
                }
                Request::Http2(block, stream) => {
                    // END_STREAM and END_HEADERS.
                    self.output.extend([0, 0, block.len() as u8, HEADERS, 0x05]);
                    self.output.extend(stream.to_be_bytes());
                    self.output.extend_from_slice(block);
                    self.due.push_back((*stream, due));
                    *stream += 2;
                }
            }
        }
    }

    fn flush(&mut self) -> Result<()> {
        if self.output.is_empty() {
            return Ok(());
        }
        match self.stream.write(&self.output) {
            Ok(sent) => {
                self.output.drain(..sent);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(format!("took no request: {error}")),
        }
    }

    /// Reads once, and adds the latencies of the responses that are complete.
    fn receive(&mut self, latencies: &mut Vec<Duration>) -> Result<()> {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err("closed a connection".into()),
            Ok(received) => self.input.extend_from_slice(&buffer[..received]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(format!("did not answer: {error}")),
        }
        let now = Instant::now();
        let mut used = 0;
        loop {
            let input = &self.input[used..];
            let length = match self.request {
                Request::Http1(_) => self.response(input, now, latencies)?,
                Request::Http2(..) => match Frame::at_start_of(input) {
                    Some(frame) => {
                        let length = frame.length;
                        handle(frame, input, &mut self.output, &mut self.due, now, latencies)?;
                        Some(length)
                    }
                    None => None,
                },
            };
            match length {
                Some(length) => used += length,
                None => break,
            }
            if let Request::Http1(_) = self.request {
                self.due.pop_front();
            }
        }
        self.input.drain(..used);
        Ok(())
    }

    /// The length of the response of HTTP/1.1 at the start of the input, if it is complete.
    fn response(&self, input: &[u8], now: Instant, latencies: &mut Vec<Duration>) -> Result<Option<usize>> {
        let Some(end) = input.windows(4).position(|bytes| bytes == b"\r\n\r\n") else {
            return Ok(None);
        };
        let head = String::from_utf8_lossy(&input[..end]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 200") {
            return Err(format!("answers with {:?}", head.lines().next().unwrap_or_default()));
        }
        let length = head.split("\r\n").find_map(|line| line.strip_prefix("content-length:"));
        let length: Option<usize> = length.and_then(|length| length.trim().parse().ok());
        let length = end + 4 + length.ok_or("sent no Content-Length")?;
        if input.len() < length {
            return Ok(None);
        }
        let (_, due) = self.due.front().ok_or("sent a response without a request")?;
        latencies.push(now - *due);
        Ok(Some(length))
    }
}

/// A frame of HTTP/2 (RFC 9113, section 4.1).
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    /// The length, including the head of nine bytes.
    length: usize,
}

impl Frame {
    fn at_start_of(input: &[u8]) -> Option<Self> {
        let head: &[u8; 9] = input.first_chunk()?;
        let frame = Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes([head[5], head[6], head[7], head[8]]),
            length: 9 + u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize,
        };
        (input.len() >= frame.length).then_some(frame)
    }
}

/// Handles a frame: acknowledges it, checks the status of a response, or ends its stream.
fn handle(
    frame: Frame,
    input: &[u8],
    output: &mut Vec<u8>,
    due: &mut VecDeque<(u32, Instant)>,
    now: Instant,
    latencies: &mut Vec<Duration>,
) -> Result<()> {
    let payload = &input[9..frame.length];
    let has_flag = frame.flags & FIRST_FLAG != 0;
    match frame.kind {
        SETTINGS if !has_flag => output.extend([0, 0, 0, SETTINGS, FIRST_FLAG, 0, 0, 0, 0]),
        PING if !has_flag => {
            output.extend([0, 0, 8, PING, FIRST_FLAG, 0, 0, 0, 0]);
            output.extend_from_slice(payload);
        }
        RST_STREAM | GOAWAY => {
            return Err(format!(
                "sent a frame of type {} for stream {}",
                frame.kind, frame.stream
            ));
        }
        HEADERS => {
            let skipped = usize::from(frame.flags & PADDED != 0) + if frame.flags & PRIORITY != 0 { 5 } else { 0 };
            // A change of the table's size may come first (RFC 7541, section 6.3).
            let first = payload.iter().skip(skipped).find(|byte| **byte & 0xe0 != 0x20);
            if first != Some(&STATUS_200) {
                return Err(format!("answers stream {} with another status than 200", frame.stream));
            }
        }
        _ => {}
    }
    if has_flag && (frame.kind == DATA || frame.kind == HEADERS) {
        let index = due.iter().position(|(stream, _)| *stream == frame.stream);
        let request = index.and_then(|index| due.remove(index));
        let (_, due) = request.ok_or_else(|| format!("ends the unknown stream {}", frame.stream))?;
        latencies.push(now - due);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;
    use crate::rows::PLAINTEXT;

    /// A server that answers each read with one response, after a pause at the first.
    fn serve(listener: TcpListener, pause: Duration) {
        for stream in listener.incoming().take(CONNECTIONS) {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut is_first = true;
                while stream.read(&mut [0; 1024]).is_ok_and(|received| received > 0) {
                    if is_first {
                        thread::sleep(pause);
                        is_first = false;
                    }
                    stream
                        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                        .unwrap();
                }
            });
        }
    }

    #[test]
    fn requests_that_are_due_during_a_stall_have_its_latency() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pause = Duration::from_millis(200);
        thread::spawn(move || serve(listener, pause));
        let latencies = run(&PLAINTEXT, address, 640, 1, false).unwrap();
        // The pause delays the first request of each connection: a tenth of all.
        assert!(latencies.p99_us >= 200_000.0, "{}", latencies.p99_us);
    }

    #[test]
    fn a_status_other_than_200_is_an_error() {
        let frame = [0, 0, 1, HEADERS, 0x05, 0, 0, 0, 1, 0x8d];
        let head = Frame::at_start_of(&frame).unwrap();
        let mut due = VecDeque::from([(1, Instant::now())]);
        assert!(handle(head, &frame, &mut Vec::new(), &mut due, Instant::now(), &mut Vec::new()).is_err());
    }
}
