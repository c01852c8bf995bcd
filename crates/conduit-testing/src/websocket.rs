//! A WebSocket to the application.

use std::fmt;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Serialize;
use serde_json::Value;

use super::connection::TestConnection;
use super::request::TestRequest;
use super::session::Session;
use conduit_server::internal::in_process::Opening;
use conduit_server::internal::websocket::{CloseCode, Message};

/// The key of each handshake, and the value that a server returns for it (RFC 6455, section 1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The mask of each frame. A client must choose it at random only to protect proxies (RFC 6455, section 10.3).
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const CONTINUATION: u8 = 0x0;
const TEXT: u8 = 0x1;
const BINARY: u8 = 0x2;
const CLOSE: u8 = 0x8;
const PING: u8 = 0x9;
const PONG: u8 = 0xa;
const FIN: u8 = 0x80;

/// A request that opens a WebSocket; [`TestClient::websocket`](super::TestClient::websocket) makes it.
#[must_use = "the WebSocket is opened by `open`"]
pub struct TestWebSocketRequest {
    request: TestRequest,
}

impl TestWebSocketRequest {
    pub(super) fn new(session: Session, target: &str) -> Self {
        TestWebSocketRequest {
            request: TestRequest::new(session, Method::GET, target),
        }
    }

    /// Adds a header field, such as `origin`.
    #[track_caller]
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Offers a subprotocol.
    #[track_caller]
    pub fn subprotocol(self, name: &str) -> Self {
        self.header("sec-websocket-protocol", name)
    }

    /// Opens the WebSocket.
    ///
    /// # Panics
    ///
    /// Panics if the application responds with a status other than 101. Send such a request with
    /// [`TestClient::get`](super::TestClient::get).
    #[track_caller]
    pub fn open(self) -> TestWebSocket {
        let TestRequest { session, target, .. } = &self.request;
        let mut connection = session.connect(Opening::Raw);
        let head = self.request.head(&format!(
            "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n"
        ));
        assert!(connection.send(&head), "the server has closed the connection");
        let (response, rest) = read_head(&mut connection);
        let status = response.split(' ').nth(1).unwrap_or_default();
        assert_eq!(status, "101", "GET {target} does not open a WebSocket: {response}");
        let headers = parse_fields(&response);
        let now = session.now();
        session.jar().keep(&headers, self.request.path(), now);
        let accept = headers.get("sec-websocket-accept").map(HeaderValue::as_bytes);
        assert_eq!(accept, Some(ACCEPT.as_bytes()), "{response}");
        TestWebSocket {
            connection,
            received: rest,
            headers,
            message: None,
            is_closing: false,
        }
    }
}

#[track_caller]
fn read_head(connection: &mut TestConnection) -> (String, Vec<u8>) {
    let mut received = Vec::new();
    loop {
        if let Some(at) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let rest = received.split_off(at + 4);
            return (String::from_utf8_lossy(&received).into_owned(), rest);
        }
        let piece = connection.read(4096);
        assert!(
            !piece.is_empty(),
            "the server has closed the connection without a response"
        );
        received.extend_from_slice(&piece);
    }
}

fn parse_fields(head: &str) -> HeaderMap {
    let lines = head.split("\r\n").skip(1);
    let field = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((
            name.parse::<HeaderName>().ok()?,
            value.trim().parse::<HeaderValue>().ok()?,
        ))
    };
    lines.filter_map(field).collect()
}

/// An open WebSocket of a test. Dropping it closes the connection without a Close frame.
///
/// It responds to the server's pings and Close while it waits for a message.
///
/// # Example
///
/// See `conduit::websocket`.
pub struct TestWebSocket {
    connection: TestConnection,
    received: Vec<u8>,
    headers: HeaderMap,
    /// A message in fragments.
    message: Option<(u8, Vec<u8>)>,
    is_closing: bool,
}

/// A frame of the server, as [`TestWebSocket::recv_frame`] returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TestFrame {
    /// A whole message.
    Message(Message),
    /// A ping, to which the client has responded.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// Close: its code, if it has one, and the reason. The client has responded.
    Close(Option<CloseCode>, String),
    /// The end of the connection.
    End,
}

impl TestWebSocket {
    /// The fields of the response with 101.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The subprotocol that the application has chosen.
    pub fn subprotocol(&self) -> Option<&str> {
        self.headers.get("sec-websocket-protocol")?.to_str().ok()
    }

    /// Sends a message. Returns false if the server has closed the connection.
    pub fn send(&mut self, message: impl Into<Message>) -> bool {
        match message.into() {
            Message::Text(text) => self.send_frame(FIN | TEXT, text.as_bytes()),
            Message::Binary(bytes) => self.send_frame(FIN | BINARY, &bytes),
        }
    }

    /// Sends a value as JSON in a text message.
    #[track_caller]
    pub fn send_json(&mut self, value: &impl Serialize) -> bool {
        match serde_json::to_string(value) {
            Ok(text) => self.send(text),
            Err(error) => panic!("the value cannot be written as JSON: {error}"),
        }
    }

    /// Sends a ping.
    pub fn ping(&mut self, payload: impl AsRef<[u8]>) -> bool {
        self.send_frame(FIN | PING, payload.as_ref())
    }

    /// Sends Close.
    pub fn close(&mut self, code: CloseCode, reason: &str) -> bool {
        self.is_closing = true;
        let payload = [&code.0.to_be_bytes(), reason.as_bytes()].concat();
        self.send_frame(FIN | CLOSE, &payload)
    }

    /// Sends a frame with this first byte and a mask.
    pub fn send_frame(&mut self, first: u8, payload: &[u8]) -> bool {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&MASK);
        let masked = payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        frame.extend(masked);
        self.connection.send(frame)
    }

    /// The raw connection, for invalid bytes.
    pub fn connection(&mut self) -> &mut TestConnection {
        &mut self.connection
    }

    /// Waits for a message.
    ///
    /// # Panics
    ///
    /// Panics if the WebSocket ends before a message arrives.
    #[track_caller]
    pub fn recv(&mut self) -> Message {
        loop {
            match self.recv_frame() {
                TestFrame::Message(message) => return message,
                TestFrame::Ping(_) | TestFrame::Pong(_) => {}
                TestFrame::Close(code, reason) => panic!("no message: the server closes with {code:?}, {reason:?}"),
                TestFrame::End => panic!("no message: the connection has ended"),
            }
        }
    }

    /// Waits for a text message, and reads it as JSON.
    #[track_caller]
    pub fn recv_json(&mut self) -> Value {
        let message = self.recv();
        match serde_json::from_slice(message.as_bytes()) {
            Ok(value) => value,
            Err(error) => panic!("{message:?} is not JSON: {error}"),
        }
    }

    /// Waits for Close, and discards messages before it; `None` if it has no code.
    ///
    /// # Panics
    ///
    /// Panics if the connection ends without Close.
    #[track_caller]
    pub fn closed(&mut self) -> Option<CloseCode> {
        loop {
            match self.recv_frame() {
                TestFrame::Close(code, _) => return code,
                TestFrame::End => panic!("the connection has ended without Close"),
                _ => {}
            }
        }
    }

    /// Waits for the next message or control frame.
    #[track_caller]
    pub fn recv_frame(&mut self) -> TestFrame {
        loop {
            while let Some((first, payload)) = self.take_frame() {
                if let Some(frame) = self.interpret(first, payload) {
                    return frame;
                }
            }
            let piece = self.connection.read(64 * 1024);
            if piece.is_empty() {
                return TestFrame::End;
            }
            self.received.extend_from_slice(&piece);
        }
    }

    fn take_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, second, rest @ ..] = &self.received[..] else {
            return None;
        };
        let (length, header) = match second {
            126 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), 4),
            127 => (u64::from_be_bytes(*rest.first_chunk()?) as usize, 10),
            _ => (usize::from(*second), 2),
        };
        let payload = self.received.get(header..header + length)?.to_vec();
        let first = *first;
        self.received.drain(..header + length);
        Some((first, payload))
    }

    #[track_caller]
    fn interpret(&mut self, first: u8, payload: Vec<u8>) -> Option<TestFrame> {
        match first & 0x0f {
            PING => {
                self.send_frame(FIN | PONG, &payload);
                Some(TestFrame::Ping(payload.into()))
            }
            PONG => Some(TestFrame::Pong(payload.into())),
            CLOSE => {
                if !self.is_closing {
                    self.is_closing = true;
                    self.send_frame(FIN | CLOSE, &payload);
                }
                let code = payload.first_chunk().map(|code| CloseCode(u16::from_be_bytes(*code)));
                let reason = String::from_utf8_lossy(payload.get(2..).unwrap_or_default()).into_owned();
                Some(TestFrame::Close(code, reason))
            }
            opcode @ (CONTINUATION | TEXT | BINARY) => {
                let (_, message) = self.message.get_or_insert((opcode, Vec::new()));
                message.extend_from_slice(&payload);
                if first & FIN == 0 {
                    return None;
                }
                let (opcode, message) = self.message.take()?;
                Some(TestFrame::Message(match opcode {
                    TEXT => {
                        Message::Text(String::from_utf8(message).expect("a text message of the server is valid UTF-8"))
                    }
                    _ => Message::Binary(message.into()),
                }))
            }
            opcode => panic!("the server has sent a frame with the opcode {opcode}"),
        }
    }
}

impl fmt::Debug for TestWebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestWebSocket")
            .field("is_closing", &self.is_closing)
            .finish_non_exhaustive()
    }
}
