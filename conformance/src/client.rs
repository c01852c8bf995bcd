//! A client that sends exactly the given bytes and parses responses strictly.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use crate::case::{Answer, Framing};
use crate::server::PROBE;

/// The time without a byte after which a test fails; nothing else depends on it.
const TIMEOUT: Duration = Duration::from_secs(20);

/// One connection.
pub struct Client {
    stream: TcpStream,
    /// The TLS session on the stream, after its handshake.
    session: Option<Box<ClientConnection>>,
    received: Vec<u8>,
}

impl Client {
    /// Connects, with `TCP_NODELAY`.
    ///
    /// # Panics
    ///
    /// Panics if the server does not accept the connection.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_nodelay(true).expect("TCP_NODELAY can be set");
        Self::on(stream)
    }

    /// Connects to a Unix socket.
    ///
    /// # Panics
    ///
    /// Panics if the server does not accept the connection.
    #[must_use]
    pub fn connect_unix(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("the server accepts");
        // All further calls are the same for both kinds of sockets.
        Self::on(TcpStream::from(OwnedFd::from(stream)))
    }

    /// Connects and completes the handshake of TLS.
    ///
    /// # Panics
    ///
    /// Panics if the server does not accept the connection, or if the handshake fails.
    #[must_use]
    pub fn connect_tls(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let name = ServerName::try_from("localhost").expect("a name");
        let mut session = ClientConnection::new(Arc::clone(config), name).expect("a session");
        let mut client = Self::connect(address);
        while session.is_handshaking() {
            session.complete_io(&mut client.stream).expect("a handshake");
        }
        client.session = Some(Box::new(session));
        client
    }

    fn on(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout can be set");
        stream.set_write_timeout(Some(TIMEOUT)).expect("a timeout can be set");
        Self {
            stream,
            session: None,
            received: Vec::new(),
        }
    }

    /// The socket.
    #[must_use]
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends as many bytes as the server accepts, over TLS in a separate record. Returns false if the server has closed.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        let sealed = self.seal(bytes);
        self.stream.write_all(sealed.as_deref().unwrap_or(bytes)).is_ok()
    }

    /// Sends as [`send`](Self::send) does, with each byte on the wire separately: over TLS this splits the record, not its content.
    pub fn send_bytewise(&mut self, bytes: &[u8]) -> bool {
        let sealed = self.seal(bytes);
        let wire = sealed.as_deref().unwrap_or(bytes);
        wire.iter().all(|byte| self.stream.write_all(&[*byte]).is_ok())
    }

    /// Returns the encrypted form of these bytes, over TLS.
    fn seal(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let session = self.session.as_mut()?;
        session.set_buffer_limit(None);
        session
            .writer()
            .write_all(bytes)
            .expect("without a limit all bytes are accepted");
        Some(outgoing(session))
    }

    /// Ends the client's half of the stream.
    pub fn end(&mut self) {
        // The server may have closed the connection already.
        if let Some(session) = &mut self.session {
            session.send_close_notify();
            let _ = self.stream.write_all(&outgoing(session));
        }
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Sends a request to which a working server responds with [`PROBE`], and reads the response.
    ///
    /// # Panics
    ///
    /// Panics if the response differs.
    pub fn probe(&mut self) {
        assert!(
            self.send(b"GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n"),
            "the server has closed"
        );
        self.read_until(PROBE.as_bytes()).expect("the server answers");
        assert!(self.received.starts_with(b"HTTP/1.1 200 OK\r\n"));
        self.received.clear();
    }

    /// Reads until the received bytes contain these bytes.
    ///
    /// # Errors
    ///
    /// Returns the received bytes if the server closes early.
    pub fn read_until(&mut self, wanted: &[u8]) -> Result<(), String> {
        while !self.received.windows(wanted.len()).any(|window| window == wanted) {
            if !self.more()? {
                return Err(format!("closed after {}", escape(&self.received)));
            }
        }
        Ok(())
    }

    /// Returns all bytes until the server closes, including those that were read before.
    ///
    /// # Errors
    ///
    /// Returns an error if the server neither sends bytes nor closes.
    pub fn rest(&mut self) -> Result<Vec<u8>, String> {
        while self.more()? {}
        Ok(std::mem::take(&mut self.received))
    }

    fn more(&mut self) -> Result<bool, String> {
        let mut buffer = [0; 16 * 1024];
        let read = match &mut self.session {
            Some(session) => read_session(session, &mut self.stream, &mut buffer),
            None => self.stream.read(&mut buffer),
        };
        match read {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.received.extend_from_slice(&buffer[..count]);
                Ok(true)
            }
            // The server closed with unread bytes; the client has read everything sent before.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(format!("the server waits after {}", escape(&self.received)))
            }
            Err(error) => Err(format!("{error} after {}", escape(&self.received))),
        }
    }
}

/// The pending output of a session.
fn outgoing(session: &mut ClientConnection) -> Vec<u8> {
    let mut wire = Vec::new();
    while session.wants_write() {
        session.write_tls(&mut wire).expect("memory takes all");
    }
    wire
}

/// The next bytes of a session, empty at its end. A stream that ends without a `close_notify` is an error, because it may be
/// truncated (RFC 8446, section 6.1).
fn read_session(session: &mut ClientConnection, stream: &mut TcpStream, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match session.reader().read(buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
        session.read_tls(stream)?;
        session.process_new_packets().map_err(std::io::Error::other)?;
    }
}

/// Removes the expected responses from the front of `bytes`; responses with status 1xx before them are skipped.
///
/// # Errors
///
/// Returns a description of the first difference.
pub fn expect_answers(mut bytes: &[u8], answers: &[Answer]) -> Result<(), String> {
    for (number, answer) in answers.iter().enumerate() {
        bytes = expect_answer(bytes, answer)
            .map_err(|what| format!("answer {}: {what}, in {}", number + 1, escape(bytes)))?;
    }
    match bytes {
        [] => Ok(()),
        more => Err(format!("one more answer: {}", escape(more))),
    }
}

fn expect_answer<'a>(mut bytes: &'a [u8], answer: &Answer) -> Result<&'a [u8], String> {
    let (head, mut rest) = loop {
        let (head, rest) = split_head(bytes)?;
        if !(100..200).contains(&head.status) {
            break (head, rest);
        }
        bytes = rest;
    };
    if head.status != answer.status {
        return Err(format!("status {} and not {}", head.status, answer.status));
    }
    head.check_fields(answer)?;
    let body = match answer.framing {
        Framing::Bodiless => Vec::new(),
        Framing::UntilClose => {
            if head.has("content-length") || head.has("transfer-encoding") {
                return Err("a body that should end with the stream is delimited".to_owned());
            }
            std::mem::take(&mut rest).to_vec()
        }
        Framing::Delimited => {
            let body;
            (body, rest) = head.body(rest)?;
            body
        }
    };
    match answer.body {
        Some(expected) if body != expected.as_bytes() => Err(format!("body {} and not {expected:?}", escape(&body))),
        _ => Ok(rest),
    }
}

struct Head<'a> {
    status: u16,
    fields: Vec<(&'a str, &'a str)>,
}

/// Parses the head of a response as strictly as RFC 9112, section 4, specifies.
fn split_head(bytes: &[u8]) -> Result<(Head<'_>, &[u8]), String> {
    let length = find(bytes, b"\r\n\r\n").ok_or("no response, or an incomplete one")?;
    let text = str::from_utf8(&bytes[..length]).map_err(|_| "a head that is not ASCII")?;
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default();
    let status = line
        .strip_prefix("HTTP/1.1 ")
        .and_then(|line| line.split_once(' '))
        .filter(|(code, _)| code.len() == 3)
        .and_then(|(code, _)| code.parse().ok())
        .ok_or("not a status line")?;
    let fields = lines
        .map(|line| line.split_once(": ").filter(|(name, _)| is_token(name)))
        .collect::<Option<_>>()
        .ok_or("not a field line")?;
    Ok((Head { status, fields }, &bytes[length + 4..]))
}

impl<'a> Head<'a> {
    fn values(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let named = self
            .fields
            .iter()
            .filter(move |field| field.0.eq_ignore_ascii_case(name));
        named.map(|field| field.1)
    }

    fn has(&self, name: &str) -> bool {
        self.values(name).next().is_some()
    }

    /// The requirements of every response, and of this one.
    fn check_fields(&self, answer: &Answer) -> Result<(), String> {
        if self.values("date").count() != 1 {
            return Err("not one Date".to_owned());
        }
        if self.values("content-length").count() + self.values("transfer-encoding").count() > 1 {
            return Err("more than one framing".to_owned());
        }
        if self.status == 204 && (self.has("content-length") || self.has("transfer-encoding")) {
            return Err("a 204 with framing (RFC 9110, section 8.6)".to_owned());
        }
        for (name, value) in answer.fields {
            if !self.values(name).eq([*value]) {
                return Err(format!("{name} is not {value:?}"));
            }
        }
        match answer.absent.iter().find(|name| self.has(name)) {
            Some(name) => Err(format!("there is a {name}")),
            None => Ok(()),
        }
    }

    fn body<'b>(&self, bytes: &'b [u8]) -> Result<(Vec<u8>, &'b [u8]), String> {
        if self.values("transfer-encoding").eq(["chunked"]) {
            return chunked(bytes);
        }
        let length = self.values("content-length").next().ok_or("a body without a length")?;
        let length: usize = length.parse().map_err(|_| "a length that is not a number")?;
        let body = bytes.get(..length).ok_or("a truncated body")?;
        Ok((body.to_vec(), &bytes[length..]))
    }
}

fn chunked(mut bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), String> {
    let mut body = Vec::new();
    loop {
        let line = find(bytes, b"\r\n").ok_or("a chunk without a size")?;
        let size = str::from_utf8(&bytes[..line])
            .ok()
            .and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.ok_or("a chunk size that is not a number")?;
        let data = bytes.get(line + 2..line + 4 + size).ok_or("a truncated chunk")?;
        body.extend_from_slice(data.strip_suffix(b"\r\n").ok_or("a chunk without an end")?);
        bytes = &bytes[line + 4 + size..];
        if size == 0 {
            return Ok((body, bytes));
        }
    }
}

fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

/// Formats bytes for a report.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    const SHOWN: usize = 600;
    let shown = bytes[..bytes.len().min(SHOWN)].escape_ascii();
    match bytes.len() {
        0..=SHOWN => format!("\"{shown}\""),
        length => format!("\"{shown}\"... ({length} bytes)"),
    }
}
