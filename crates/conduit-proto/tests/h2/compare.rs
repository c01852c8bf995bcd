//! Compares the requests, resets and errors that the engine and the crate `h2` see in the same bytes of a client.
//!
//! Both receive one frame after the other and respond to each complete request, so that their streams have the same states.
//! After each frame they have the same requests, bodies, trailers and resets. The comparison ends at the first frame that one
//! of the two rejects: the engine may reject more than `h2`; [`ENGINE_ACCEPTS`] lists the rules that only `h2` has.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use conduit_proto::h1::{BodyLength, Head};
use conduit_proto::h2::{ErrorCode, Http2Connection, Http2Event, Http2Limits, ResetCause, StreamId};
use http::{HeaderMap, Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The window of each stream and of the connection: larger than any input.
const WINDOW: u32 = 1 << 24;

/// The fields that only the head of a message may have.
const NOT_IN_TRAILERS: [&str; 16] = [
    "authorization",
    "cache-control",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "expect",
    "host",
    "if-match",
    "if-none-match",
    "max-forwards",
    "proxy-authorization",
    "range",
    "set-cookie",
    "trailer",
];

/// A request as one of the two sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Message {
    method: String,
    /// `None` for CONNECT without a protocol.
    target: Option<String>,
    authority: Option<String>,
    protocol: Option<String>,
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    trailers: Vec<(String, Vec<u8>)>,
    is_complete: bool,
    /// The code of the client's RST_STREAM.
    reset: Option<u32>,
}

/// All that one of the two has seen.
#[derive(Debug, Default)]
struct Reading {
    messages: BTreeMap<u32, Message>,
    /// The streams that it has reset or refused.
    rejected: BTreeSet<u32>,
    /// The code of its GOAWAY, which ends the connection for an error.
    go_away: Option<u32>,
    /// It has ended the connection because of the client's GOAWAY.
    is_closed: bool,
}

impl Reading {
    /// The number of rejected streams, and one more for a rejected connection.
    fn rejections(&self) -> usize {
        self.rejected.len() + usize::from(self.go_away.is_some())
    }
}

/// The relation of the two readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// Both see the same, and reject the same frame if they reject one.
    Same,
    /// The engine rejects a frame that `h2` accepts.
    EngineStops,
    /// `h2` rejects a frame that the engine accepts, for a listed reason.
    H2Stops,
}

/// Lets both read what a client sends after the preface.
///
/// # Panics
///
/// Panics if the two see different requests, or if the engine accepts a frame that `h2` rejects for an unlisted reason.
pub(crate) fn compare(input: &[u8]) -> Agreement {
    let (mut engine, mut twin) = (Engine::new(), Twin::new());
    for piece in std::iter::once(PREFACE).chain(frames(input)) {
        let before = [&engine.reading, &twin.reading].map(Reading::rejections);
        engine.receive(piece);
        twin.receive(piece);
        let (ours, theirs) = (&engine.reading, &twin.reading);
        let [only_ours, only_theirs] = [ours.rejections() > before[0], theirs.rejections() > before[1]];
        let difference = || format!("frame {piece:?}\nengine: {ours:?}\nh2: {theirs:?}");
        match (only_ours, only_theirs) {
            // One of them may end the connection and the other only the stream, which is a choice of the receiver (RFC 9113,
            // section 5.4.2).
            (true, true) if ours.rejected != theirs.rejected || ours.go_away != theirs.go_away => {
                return Agreement::Same;
            }
            (true, false) => return Agreement::EngineStops,
            // A limit of h2, such as that of CONTINUATION frames.
            (false, true) if theirs.go_away == Some(ErrorCode::ENHANCE_YOUR_CALM.0) => return Agreement::H2Stops,
            (false, true) => {
                assert!(only_h2_rejects(piece, ours), "only h2 rejects: {}", difference());
                return Agreement::H2Stops;
            }
            _ if ours.go_away.is_some() || theirs.is_closed => return Agreement::Same,
            _ => assert!(ours.messages == theirs.messages, "{}", difference()),
        }
    }
    Agreement::Same
}

/// Returns whether this is a valid frame that `h2` rejects nevertheless.
fn only_h2_rejects(frame: &[u8], engine: &Reading) -> bool {
    let has_te = |message: &Message| {
        message
            .fields
            .iter()
            .any(|(name, value)| name == "te" && value != b"trailers")
    };
    // A registered name may be percent-encoded (RFC 3986, section 3.2.2), and the crate `http` rejects it.
    let has_encoded_host = |message: &Message| matches!(&message.authority, Some(authority) if authority.contains('%'));
    match frame.get(3..5) {
        // ACK without SETTINGS; other flags are ignored (RFC 9113, section 4.1).
        Some([4, flags]) if flags & 1 != 0 => true,
        // An increment of 0 on a closed stream.
        Some([8, _]) => frame.get(9..13) == Some(&[0; 4]),
        // A frame of a stream that both have rejected: the engine ignores it (RFC 9113, section 5.1).
        _ if stream_of(frame).is_some_and(|stream| engine.rejected.contains(&stream)) => true,
        // The value of `te` is compared without case (RFC 9110, section 10.1.4).
        _ => engine
            .messages
            .values()
            .any(|message| has_te(message) || has_encoded_host(message)),
    }
}

/// The stream of a frame.
fn stream_of(frame: &[u8]) -> Option<u32> {
    let stream = frame.get(5..9)?.first_chunk()?;
    Some(u32::from_be_bytes(*stream) & 0x7fff_ffff)
}

/// The frames of an input, HEADERS together with its CONTINUATION: `h2` may reject a field block before its end, and the engine
/// does so at its end. The payload of the last frame may be incomplete; a field block without an end, an incomplete header and an
/// incomplete DATA frame are omitted: the engine returns the beginning of DATA, and `h2` waits for its end.
fn frames(mut input: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let mut end = 0;
        loop {
            let frame = &input[end..];
            let [a, b, c, kind, flags, ..] = *frame.first_chunk::<9>()?;
            let length = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
            if matches!(kind, 0 | 9) && frame.len() < length {
                return None;
            }
            end += frame.len().min(length);
            let is_block_open = matches!(kind, 1 | 9) && flags & 4 == 0;
            if !is_block_open {
                let (frames, rest) = input.split_at(end);
                input = rest;
                return Some(frames);
            }
        }
    })
}

/// The fields sorted by name, with one `cookie` (RFC 9113, section 8.2.3).
fn sorted(map: &HeaderMap) -> Vec<(String, Vec<u8>)> {
    let cookies: Vec<&[u8]> = map.get_all("cookie").iter().map(|value| value.as_bytes()).collect();
    let others = map.iter().filter(|(name, _)| *name != "cookie");
    let mut fields: Vec<_> = others
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    fields.extend((!cookies.is_empty()).then(|| ("cookie".to_owned(), cookies.join(&b"; "[..]))));
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields
}

/// Adds the resets and the GOAWAY of a server's output to its reading.
fn read_output(mut output: &[u8], reading: &mut Reading) {
    while let Some((&[a, b, c, kind, _, s1, s2, s3, s4], rest)) = output.split_first_chunk::<9>() {
        let (payload, after) = rest.split_at(u32::from_be_bytes([0, a, b, c]) as usize);
        output = after;
        let word = |at: usize| u32::from_be_bytes([payload[at], payload[at + 1], payload[at + 2], payload[at + 3]]);
        match kind {
            3 if word(0) != ErrorCode::NO_ERROR.0 => {
                reading.rejected.insert(u32::from_be_bytes([s1, s2, s3, s4]));
            }
            7 if word(4) == ErrorCode::NO_ERROR.0 => reading.is_closed = true,
            7 => reading.go_away = Some(word(4)),
            _ => {}
        }
    }
}

/// The engine, with an application that responds to each complete request.
struct Engine {
    connection: Http2Connection,
    head: Head,
    pending: Vec<u8>,
    output: Vec<u8>,
    reading: Reading,
}

impl Engine {
    fn new() -> Self {
        let limits = Http2Limits {
            stream_window: WINDOW,
            max_stream_window: WINDOW,
            connection_window: WINDOW,
            extended_connect: true,
            ..Http2Limits::default()
        };
        let mut output = Vec::new();
        Self {
            connection: Http2Connection::new(&limits, &mut output),
            head: Head::new(),
            pending: Vec::new(),
            output,
            reading: Reading::default(),
        }
    }

    fn receive(&mut self, piece: &[u8]) {
        self.pending.extend_from_slice(piece);
        let input = std::mem::take(&mut self.pending);
        let (mut at, mut now) = (0, Duration::ZERO);
        loop {
            let step = self
                .connection
                .handle_input(&input[at..], &mut self.head, &mut self.output, now);
            // GOAWAY is in the output.
            let Ok((used, event)) = step else { break };
            at += used;
            match event {
                Http2Event::NeedMore | Http2Event::Closed => break,
                Http2Event::Delayed(until) => now = until,
                Http2Event::Request(id) => {
                    let message = Message::of(&self.head);
                    let is_complete = message.is_complete;
                    self.reading.messages.insert(id.number(), message);
                    if is_complete {
                        self.respond(id);
                    }
                }
                Http2Event::Body(id, piece) => {
                    if let Some(message) = self.reading.messages.get_mut(&id.number()) {
                        message.body.extend_from_slice(piece);
                    }
                    self.connection.consumed(&mut self.output, id, piece.len());
                }
                Http2Event::End(id, trailers) => {
                    if let Some(message) = self.reading.messages.get_mut(&id.number()) {
                        message.is_complete = true;
                        message.trailers = sorted(&trailers.map(|trailers| *trailers).unwrap_or_default());
                    }
                    self.respond(id);
                }
                Http2Event::Refused(id, _) => {
                    self.reading.rejected.insert(id.number());
                    self.respond(id);
                }
                Http2Event::Reset(id, ResetCause::Peer(code)) => {
                    if let Some(message) = self.reading.messages.get_mut(&id.number()) {
                        message.reset = Some(code.0);
                    }
                }
                // RST_STREAM is in the output.
                Http2Event::Reset(_, ResetCause::Rule(_)) | Http2Event::Rejected(_) => {}
            }
        }
        self.pending = input[at..].to_vec();
        read_output(&std::mem::take(&mut self.output), &mut self.reading);
    }

    fn respond(&mut self, id: StreamId) {
        let (headers, date) = (HeaderMap::new(), conduit_proto::http_date(0));
        let output = &mut self.output;
        self.connection
            .write_response(output, id, StatusCode::NO_CONTENT, &headers, b"", &date);
    }
}

impl Message {
    /// The message of a head from the engine.
    fn of(head: &Head) -> Self {
        let is_tunnel = head.method() == Method::CONNECT && head.protocol().is_none();
        Self {
            method: head.method().to_string(),
            target: (!is_tunnel).then(|| head.target().to_owned()),
            authority: head.authority().map(str::to_owned),
            protocol: head.protocol().map(str::to_owned),
            fields: sorted(&head.header_map()),
            is_complete: head.body() == BodyLength::None,
            ..Self::default()
        }
    }
}

/// The server of the crate `h2`, with the same application.
struct Twin {
    wire: Wire,
    state: State,
    /// The requests without a response.
    exchanges: Vec<Exchange>,
    reading: Reading,
}

enum State {
    Handshake(h2::server::Handshake<Wire, Bytes>),
    Open(h2::server::Connection<Wire, Bytes>),
    Ended,
}

struct Exchange {
    body: h2::RecvStream,
    response: h2::server::SendResponse<Bytes>,
}

/// The bytes that are not read, of both directions.
#[derive(Default)]
struct Buffers {
    input: Vec<u8>,
    output: Vec<u8>,
}

/// A client that has sent the bytes of its buffer, and reads all output.
#[derive(Clone, Default)]
struct Wire(Rc<RefCell<Buffers>>);

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let input = &mut self.0.borrow_mut().input;
        if input.is_empty() {
            return Poll::Pending;
        }
        let length = input.len().min(buffer.remaining());
        buffer.put_slice(&input[..length]);
        input.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        self.0.borrow_mut().output.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Twin {
    fn new() -> Self {
        let wire = Wire::default();
        let handshake = h2::server::Builder::new()
            .initial_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_concurrent_streams(128)
            .max_header_list_size(64 * 1024)
            .enable_connect_protocol()
            .handshake(wire.clone());
        Self {
            wire,
            state: State::Handshake(handshake),
            exchanges: Vec::new(),
            reading: Reading::default(),
        }
    }

    fn receive(&mut self, piece: &[u8]) {
        self.wire.0.borrow_mut().input.extend_from_slice(piece);
        let mut context = Context::from_waker(Waker::noop());
        // Each poll reads everything; responses and returned windows need another one.
        for _ in 0..3 {
            self.poll(&mut context);
        }
        let output = std::mem::take(&mut self.wire.0.borrow_mut().output);
        read_output(&output, &mut self.reading);
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        if let State::Handshake(handshake) = &mut self.state {
            self.state = match Pin::new(handshake).poll(context) {
                Poll::Ready(Ok(connection)) => State::Open(connection),
                Poll::Ready(Err(_)) => State::Ended,
                Poll::Pending => return,
            };
        }
        while let State::Open(connection) = &mut self.state {
            match connection.poll_accept(context) {
                Poll::Ready(Some(Ok((request, response)))) => {
                    let (head, body) = request.into_parts();
                    let message = Message::of_parts(&head);
                    self.reading.messages.insert(body.stream_id().as_u32(), message);
                    self.exchanges.push(Exchange { body, response });
                }
                Poll::Ready(Some(Err(_)) | None) => self.state = State::Ended,
                Poll::Pending => break,
            }
        }
        let messages = &mut self.reading.messages;
        self.exchanges.retain_mut(|exchange| {
            let message = messages.entry(exchange.body.stream_id().as_u32()).or_default();
            exchange.continues(message, context)
        });
    }
}

impl Exchange {
    /// Reads the body and responds at its end. Returns false after that, and after a reset.
    fn continues(&mut self, message: &mut Message, context: &mut Context<'_>) -> bool {
        loop {
            let end = match self.body.poll_data(context) {
                Poll::Pending => return true,
                Poll::Ready(Some(Ok(piece))) => {
                    message.body.extend_from_slice(&piece);
                    let _ = self.body.flow_control().release_capacity(piece.len());
                    continue;
                }
                Poll::Ready(Some(Err(error))) => Err(error),
                Poll::Ready(None) => match self.body.poll_trailers(context) {
                    Poll::Pending => return true,
                    Poll::Ready(end) => end,
                },
            };
            match end {
                Ok(trailers) => {
                    message.is_complete = true;
                    message.trailers = sorted(&trailers.unwrap_or_default());
                    // The engine omits them (RFC 9110, section 6.5.1).
                    message
                        .trailers
                        .retain(|(name, _)| !NOT_IN_TRAILERS.contains(&&name[..]));
                    let mut response = http::Response::new(());
                    *response.status_mut() = StatusCode::NO_CONTENT;
                    // The client may have reset the stream.
                    let _ = self.response.send_response(response, true);
                }
                Err(error) if error.is_remote() => message.reset = error.reason().map(u32::from),
                Err(_) => {}
            }
            return false;
        }
    }
}

impl Message {
    /// The message of a head from `h2`.
    fn of_parts(head: &http::request::Parts) -> Self {
        Self {
            method: head.method.to_string(),
            target: head.uri.path_and_query().map(ToString::to_string),
            // The engine uses `host` if `:authority` is missing.
            authority: head.uri.authority().map(ToString::to_string).or_else(|| {
                let host = head.headers.get("host")?.to_str().ok()?;
                // An empty host means a target without an authority (RFC 9110, section 7.2).
                (!host.is_empty()).then(|| host.to_owned())
            }),
            protocol: head
                .extensions
                .get::<h2::ext::Protocol>()
                .map(|protocol| protocol.as_str().to_owned()),
            fields: sorted(&head.headers),
            ..Self::default()
        }
    }
}
