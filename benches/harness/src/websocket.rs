//! WebSocket (RFC 6455): the handshake, the client's frames, and the load of an echo.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::event::epoll;

use crate::Result;
use crate::load::Report;

/// The key of the example in section 1.3, and the response of a server to it.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The offer of a client without context takeover.
const OFFER: &str =
    "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
/// The connections of an echo's load.
const CONNECTIONS: usize = 64;
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);
const FINAL: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
const TEXT: u8 = 1;
const MASKED: u8 = 0x80;

/// The load of an echo: this number of texts of this length at once on each of 64 connections.
pub(crate) struct Echo {
    pub(crate) bytes: usize,
    pub(crate) pipeline: usize,
}

/// An open connection, and whether compression was negotiated.
pub(crate) struct Opened {
    pub(crate) stream: TcpStream,
    pub(crate) is_compressed: bool,
}

/// Opens a WebSocket.
///
/// # Errors
///
/// Returns an error if the server does not accept it.
pub(crate) fn open(stream: TcpStream, path: &str, offers_compression: bool) -> Result<Opened> {
    let offer = if offers_compression { OFFER } else { "" };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{offer}\r\n"
    );
    let (head, rest) = exchange_head(&stream, request.as_bytes())?;
    let fields = head.to_ascii_lowercase();
    if !fields.starts_with("http/1.1 101 ") || !head.contains(ACCEPT) {
        return Err(format!("answers {path} with {:?}, not 101", head.lines().next()));
    }
    if !rest.is_empty() {
        return Err(format!("sent {} bytes before any message", rest.len()));
    }
    Ok(Opened {
        stream,
        is_compressed: fields.contains("\r\nsec-websocket-extensions: permessage-deflate"),
    })
}

/// Sends a request, and reads the head of the response and the bytes that arrive with it.
///
/// # Errors
///
/// Returns an error if no head arrives within the timeout.
pub(crate) fn exchange_head(mut stream: &TcpStream, request: &[u8]) -> Result<(String, Vec<u8>)> {
    stream
        .set_nodelay(true)
        .and_then(|()| stream.set_read_timeout(Some(TIMEOUT)))
        .and_then(|()| stream.write_all(request))
        .map_err(|error| format!("took no request: {error}"))?;
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return Err("closed the connection in place of a response".into()),
            Ok(count) => received.extend_from_slice(&buffer[..count]),
            Err(error) => return Err(format!("did not answer: {error}")),
        }
        if let Some(end) = received.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let rest = received.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&received).into_owned(), rest));
        }
    }
}

/// The header of a frame with a text.
fn header(first: u8, length: usize, mask: u8, out: &mut Vec<u8>) {
    out.push(first);
    match length {
        0..126 => out.push(mask | length as u8),
        126..65_536 => {
            out.push(mask | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(mask | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// The frame of a client with a text.
fn masked_frame(text: &[u8], mask: [u8; 4], out: &mut Vec<u8>) {
    header(FINAL | TEXT, text.len(), MASKED, out);
    out.extend_from_slice(&mask);
    out.extend(text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// The frame of a server with a text.
pub(crate) fn frame(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    header(FINAL | TEXT, text.len(), 0, &mut out);
    out.extend_from_slice(text);
    out
}

/// The length of the frame at the start of the input, with its header, if all of it has arrived.
pub(crate) fn frame_bytes(input: &[u8]) -> Option<usize> {
    let (start, length) = match input.get(1)? & !MASKED {
        126 => (4, usize::from(u16::from_be_bytes(*input.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*input.get(2..)?.first_chunk()?) as usize),
        length => (2, usize::from(length)),
    };
    (input.len() >= start + length).then_some(start + length)
}

/// The text of a server's frame, inflated if it is compressed.
///
/// # Errors
///
/// Returns an error if it is not a text, or if its compressed form is invalid.
pub(crate) fn text_of(frame: &[u8]) -> Result<Vec<u8>> {
    let start = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let payload = &frame[start..];
    match frame[0] {
        first if first == FINAL | TEXT => Ok(payload.to_vec()),
        first if first == FINAL | COMPRESSED | TEXT => {
            let mut text = Vec::with_capacity(64 * 1024);
            let ended = [payload, &[0, 0, 0xff, 0xff]].concat();
            flate2::Decompress::new(false)
                .decompress_vec(&ended, &mut text, flate2::FlushDecompress::Sync)
                .map_err(|error| format!("sent an invalid compressed message: {error}"))?;
            Ok(text)
        }
        first => Err(format!(
            "sent a frame with the first byte {first:#04x} in place of a text"
        )),
    }
}

impl Echo {
    /// The frames of a batch, with different masks, and the frames that come back.
    fn batch(&self) -> (Vec<u8>, Vec<u8>) {
        let text: Vec<u8> = (0..self.bytes).map(|index| b'a' + (index % 26) as u8).collect();
        let (mut sent, mut expected) = (Vec::new(), Vec::new());
        for number in 0..self.pipeline as u32 {
            let mask = 0x9e37_79b9_u32.wrapping_mul(number + 1).to_be_bytes();
            masked_frame(&text, mask, &mut sent);
            expected.extend(frame(&text));
        }
        (sent, expected)
    }

    /// Exchanges one batch on an open WebSocket.
    ///
    /// # Errors
    ///
    /// Returns an error if the response differs.
    pub(crate) fn once(&self, mut stream: &TcpStream) -> Result<()> {
        let (sent, expected) = self.batch();
        let mut answer = vec![0; expected.len()];
        stream
            .write_all(&sent)
            .and_then(|()| stream.read_exact(&mut answer))
            .map_err(|error| format!("did not echo {} bytes: {error}", self.bytes))?;
        match answer == expected {
            true => Ok(()),
            false => Err(format!("does not echo a text of {} bytes correctly", self.bytes)),
        }
    }
}

/// One connection of the load.
struct WebSocketClient {
    stream: TcpStream,
    /// The parts of the batch that are sent and received.
    sent: usize,
    received: usize,
    began: Instant,
    /// The socket has no room for the rest of the batch.
    is_blocked: bool,
}

/// Sends the load to a server for `seconds`. Each byte of each response is compared.
///
/// # Errors
///
/// Returns an error if a response differs, or if a connection ends.
pub(crate) fn run(echo: &Echo, address: SocketAddr, seconds: u32) -> Result<Report> {
    let (batch, expected) = echo.batch();
    let poller = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|error| format!("cannot poll: {error}"))?;
    let mut clients = Vec::with_capacity(CONNECTIONS);
    let start = Instant::now();
    for index in 0..CONNECTIONS as u64 {
        let stream = TcpStream::connect(address).map_err(|error| format!("refused a connection: {error}"))?;
        let stream = open(stream, "/echo", false)?.stream;
        stream
            .set_nonblocking(true)
            .map_err(|error| format!("cannot prepare a connection: {error}"))?;
        epoll::add(
            &poller,
            &stream,
            epoll::EventData::new_u64(index),
            epoll::EventFlags::IN,
        )
        .map_err(|error| format!("cannot poll a connection: {error}"))?;
        clients.push(WebSocketClient {
            stream,
            sent: 0,
            received: 0,
            began: Instant::now(),
            is_blocked: false,
        });
    }
    let end = Instant::now() + Duration::from_secs(seconds.into());
    let mut times = Vec::new();
    let mut busy = clients.len();
    let mut buffer = vec![0; 256 * 1024];
    let mut events = Vec::with_capacity(CONNECTIONS);
    for (index, client) in clients.iter_mut().enumerate() {
        client.send(&batch, &poller, index as u64)?;
    }
    while busy > 0 {
        events.clear();
        epoll::wait(&poller, rustix::buffer::spare_capacity(&mut events), None)
            .map_err(|error| format!("cannot poll: {error}"))?;
        for event in &events {
            let index = event.data.u64();
            let client = &mut clients[index as usize];
            if client.is_blocked {
                client.send(&batch, &poller, index)?;
            }
            if !client.receive(&expected, &mut buffer)? {
                continue;
            }
            let now = Instant::now();
            times.push((now - client.began).as_micros() as u64);
            if now >= end {
                busy -= 1;
                continue;
            }
            (client.sent, client.received, client.began) = (0, 0, now);
            client.send(&batch, &poller, index)?;
        }
    }
    let messages = times.len() as u64 * echo.pipeline as u64;
    Ok(report(messages, start.elapsed(), times))
}

/// A report without errors; the percentiles are those of `times`, in µs.
pub(crate) fn report(requests: u64, elapsed: Duration, mut times: Vec<u64>) -> Report {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len().saturating_sub(1) * part / 100).copied();
    let microseconds = elapsed.as_micros() as u64;
    Report::clean(
        requests,
        microseconds,
        at(50).unwrap_or_default(),
        at(99).unwrap_or_default(),
    )
}

impl WebSocketClient {
    fn send(&mut self, batch: &[u8], poller: &impl std::os::fd::AsFd, key: u64) -> Result<()> {
        while self.sent < batch.len() {
            match self.stream.write(&batch[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("took no message: {error}")),
            }
        }
        let is_blocked = self.sent < batch.len();
        if is_blocked != self.is_blocked {
            self.is_blocked = is_blocked;
            let out = if is_blocked {
                epoll::EventFlags::OUT
            } else {
                epoll::EventFlags::empty()
            };
            let interest = epoll::EventFlags::IN | out;
            epoll::modify(poller, &self.stream, epoll::EventData::new_u64(key), interest)
                .map_err(|error| format!("cannot poll a connection: {error}"))?;
        }
        Ok(())
    }

    /// Reads once. Returns whether the answer to the whole batch has arrived.
    fn receive(&mut self, expected: &[u8], buffer: &mut [u8]) -> Result<bool> {
        let count = match self.stream.read(buffer) {
            Ok(0) => return Err("closed a WebSocket".into()),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(format!("did not answer: {error}")),
        };
        if expected.get(self.received..self.received + count) != Some(&buffer[..count]) {
            return Err(format!("echoes other bytes after {} bytes of a batch", self.received));
        }
        self.received += count;
        Ok(self.received == expected.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_all_lengths_round_trip() {
        for length in [0, 125, 126, 65_535, 65_536] {
            let text = vec![b'x'; length];
            let frame = frame(&text);
            assert_eq!(frame_bytes(&frame), Some(frame.len()));
            assert_eq!(frame_bytes(&frame[..frame.len() - 1]), None);
            assert_eq!(text_of(&frame), Ok(text));
        }
    }

    #[test]
    fn masked_text_is_the_example_of_the_rfc() {
        let mut out = Vec::new();
        masked_frame(b"Hello", [0x37, 0xfa, 0x21, 0x3d], &mut out);
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn compressed_text_is_the_example_of_the_rfc() {
        let frame = [0xc1, 0x07, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(text_of(&frame), Ok(b"Hello".to_vec()));
        assert!(text_of(&[0x88, 0x00]).is_err());
    }
}
