//! WebSockets on streams (RFC 8441): an extended CONNECT, whose stream has the frames in DATA.
//!
//! The handler of the route of the `GET` accepts it with a response of 101, as in HTTP/1.1; the client gets 200. Frames that
//! arrive are used as the handler takes messages, and the window of the stream opens with their use. Frames to the client are
//! gathered for a turn and become DATA; what the windows or the connection do not take is the rest of a piece, like that of a
//! response, with its order and its rate.

use std::net::SocketAddr;

use bytes::Bytes;
use conduit_proto::h1::BodyLength;
use conduit_proto::h2::{self, ErrorCode};
use http::StatusCode;
use http::header::SEC_WEBSOCKET_ACCEPT;

use super::Http2;
use super::response::{PIECE_BYTES, is_filled};
use super::stream::Outgoing;
use crate::deadlines::Second;
use crate::limit::Limit;
use crate::link::{Deadline, Link, Timer, keep_output};
use crate::panics::discard;
use crate::problem::Problem;
use crate::protocol::websocket::{Socket, SocketInput, SocketOutput};
use crate::protocol_timer::ProtocolTimer;
use crate::request::Request;
use crate::response::{IntoResponse as _, Response};
use crate::shared::Shared;
use crate::websocket::Ticket;

/// While this number of bytes is not passed on, no more frames are read or written.
const OUTPUT_BYTES: usize = 16 * 1024;

/// The WebSockets of a connection.
#[derive(Default)]
pub(super) struct Sockets {
    /// The number of open ones.
    pub(super) open: usize,
    /// The second of the next deadline of one of them, if there is any.
    due: Option<Second>,
}

impl Sockets {
    /// The timer of the next deadline.
    pub(super) fn timer(&self) -> Option<Timer> {
        self.due.map(Timer::At)
    }

    /// Adds the deadline of one of them.
    fn expect(&mut self, second: Second) {
        self.due = Some(self.due.map_or(second, |due| due.min(second)));
    }
}

/// A stream that is a WebSocket, or becomes one.
pub(super) struct SocketStream {
    /// `None` until the handler has accepted it.
    socket: Option<Socket>,
    /// Received and not used: at most the window of the stream.
    received: Vec<u8>,
    output: StreamOutput,
    /// The client has ended its half of the stream.
    has_ended: bool,
    deadline: Deadline,
}

/// Frames that are not passed on to the connection.
struct StreamOutput {
    bytes: Vec<u8>,
    /// A payload that follows them. Nothing may follow it before it is passed on.
    payload: Option<Bytes>,
    peer: SocketAddr,
}

impl SocketOutput for StreamOutput {
    fn has_room(&self) -> bool {
        self.payload.is_none() && self.bytes.len() < OUTPUT_BYTES
    }

    fn begin(&mut self, shared: &mut Shared) {
        if self.bytes.capacity() == 0 {
            self.bytes = shared.outputs.pop().unwrap_or_default();
        }
    }

    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    fn put(&mut self, payload: Bytes) {
        self.payload = Some(payload);
    }

    fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl StreamOutput {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.payload.is_none()
    }

    /// Returns the memory to the worker, if nothing is there.
    fn release(&mut self, shared: &mut Shared) {
        if self.bytes.is_empty() && self.bytes.capacity() > 0 {
            keep_output(std::mem::take(&mut self.bytes), shared);
        }
    }
}

impl SocketStream {
    /// Uses bytes in the order of their arrival. Returns the number of used ones.
    fn read(&mut self, fresh: &[u8], shared: &mut Shared) -> usize {
        let Some(socket) = &mut self.socket else {
            self.received.extend_from_slice(fresh);
            return 0;
        };
        if self.received.is_empty() {
            let mut input = fresh;
            socket.receive(&mut input, &mut self.output, shared);
            self.received.extend_from_slice(input);
            return fresh.len() - input.len();
        }
        self.received.extend_from_slice(fresh);
        let mut input = &self.received[..];
        socket.receive(&mut input, &mut self.output, shared);
        let used = self.received.len() - input.len();
        self.received.drain(..used);
        // The window is open for the used bytes; their memory is not kept.
        if used > 0 {
            self.received.shrink_to_fit();
        }
        used
    }

    /// Returns whether both sides have closed it, or the client has ended the stream without Close.
    fn is_over(&self) -> bool {
        let Some(socket) = &self.socket else { return false };
        let is_used = self.received.is_empty() || socket.input() == SocketInput::NeedsMore;
        self.output.is_empty() && (socket.is_finished() || self.has_ended && is_used)
    }

    #[cfg(feature = "testing")]
    pub(super) fn buffer_bytes(&self) -> usize {
        let socket = self.socket.as_ref().map_or(0, Socket::buffer_bytes);
        socket + self.received.capacity() + self.output.bytes.capacity()
    }
}

impl Http2 {
    /// Begins the exchange of an extended CONNECT. Returns the request if it is another one.
    pub(super) fn begin_socket(
        &mut self,
        id: h2::StreamId,
        mut request: Request,
        link: &mut Link,
        shared: &mut Shared,
    ) -> Option<Request> {
        let is_websocket = match request.head().protocol() {
            None => return Some(request),
            Some(protocol) => protocol.eq_ignore_ascii_case("websocket"),
        };
        let has_ended = request.head().body() == BodyLength::None;
        request.head_mut().tunnel_as_get();
        request.arrived(link.peer(), link.info.as_ref());
        let stream = &mut self.streams[id.slot()];
        if !is_websocket {
            let detail = "this protocol of an extended CONNECT is not supported: send ':protocol: websocket'";
            let problem = Problem::new(StatusCode::NOT_IMPLEMENTED).with_detail(detail);
            self.refuse(id, problem, link, shared);
            return None;
        }
        stream.socket = Some(Box::new(SocketStream {
            socket: None,
            received: Vec::new(),
            output: StreamOutput {
                bytes: Vec::new(),
                payload: None,
                peer: link.peer(),
            },
            has_ended,
            deadline: Deadline::new(Timer::Off, shared.now()),
        }));
        self.begin(id, request, link, shared);
        None
    }

    /// Opens the WebSocket of a stream with the response of its handler. Returns the response of a handler that has not
    /// accepted it: a 2xx would open a WebSocket for the client, and becomes 501.
    pub(super) fn open_socket(
        &mut self,
        id: h2::StreamId,
        mut response: Response,
        link: &mut Link,
        shared: &mut Shared,
    ) -> Option<Response> {
        let accepted = match response.status() {
            StatusCode::SWITCHING_PROTOCOLS => response.extensions().get::<Ticket>().and_then(Ticket::redeem),
            _ => None,
        };
        let stream = &mut self.streams[id.slot()];
        let Some(pending) = accepted else {
            stream.socket = None;
            let status = response.status();
            if !status.is_success() && !status.is_informational() {
                return Some(response);
            }
            discard(response);
            let problem = Problem::new(StatusCode::NOT_IMPLEMENTED)
                .with_detail("the handler of this path does not accept WebSockets");
            return Some(shared.environment.application.show(problem.into_response()));
        };
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
        stream.exchange.record_head(&response);
        self.release(id);
        let (output, headers) = (&mut link.output, response.headers());
        self.engine
            .write_head(output, id, StatusCode::OK, headers, BodyLength::Chunked, &shared.date);
        discard(response);
        let sender = Self::sender(id, link, shared);
        let stream = &mut self.streams[id.slot()];
        let socket = Socket::start(pending, &mut stream.exchange, sender, link, shared);
        if let Some(state) = &mut stream.socket {
            state.socket = Some(socket);
            self.sockets.open += 1;
        }
        self.drive_socket(id, link, shared);
        None
    }

    /// Takes the bytes of a WebSocket. Returns whether the stream is one.
    pub(super) fn take_socket_bytes(
        &mut self,
        id: h2::StreamId,
        piece: &[u8],
        link: &mut Link,
        shared: &mut Shared,
    ) -> bool {
        let Some(state) = self.stream(id).and_then(|stream| stream.socket.as_mut()) else {
            return false;
        };
        if !piece.is_empty() {
            state.deadline.restart();
            if let Some(socket) = &mut state.socket {
                socket.end_ping();
            }
        }
        let used = state.read(piece, shared);
        self.engine.consumed(&mut link.output, id, used);
        true
    }

    /// The client has ended its half of the stream. Returns whether the stream is a WebSocket.
    pub(super) fn end_socket_input(&mut self, id: h2::StreamId) -> bool {
        let Some(state) = self.stream(id).and_then(|stream| stream.socket.as_mut()) else {
            return false;
        };
        state.has_ended = true;
        true
    }

    /// The handler of a WebSocket has queued or taken messages.
    pub(super) fn resume_socket(&mut self, id: h2::StreamId, link: &mut Link, shared: &mut Shared) {
        if let Some(state) = self.stream(id).and_then(|stream| stream.socket.as_mut())
            && let Some(socket) = &mut state.socket
        {
            socket.poll_woken(shared);
            self.drive_socket(id, link, shared);
        }
    }

    /// Continues all WebSockets after a turn's input, or with the room after its output.
    pub(super) fn drive_sockets(&mut self, link: &mut Link, shared: &mut Shared) {
        if self.sockets.open == 0 {
            return;
        }
        for slot in 0..self.streams.len() {
            if let Some(id) = self.streams[slot].id {
                self.drive_socket(id, link, shared);
            }
        }
        if self.sockets.due.is_some_and(|due| due <= shared.now()) {
            self.check_sockets(link, shared);
        }
    }

    /// Uses the input of a WebSocket and writes its messages, as far as there is room; and ends its stream after Close.
    fn drive_socket(&mut self, id: h2::StreamId, link: &mut Link, shared: &mut Shared) {
        let Some(mut state) = self
            .stream(id)
            .and_then(|stream| stream.socket.take_if(|state| state.socket.is_some()))
        else {
            return;
        };
        loop {
            if !state.received.is_empty() {
                let used = state.read(&[], shared);
                if used > 0 {
                    link.begin_output(shared);
                    self.engine.consumed(&mut link.output, id, used);
                }
            }
            if !self.streams[id.slot()].outgoing.is_nothing() || is_filled(link) {
                break;
            }
            if let Some(socket) = &mut state.socket {
                socket.write_queued(&mut state.output, shared);
            }
            if state.output.is_empty() {
                break;
            }
            self.pass_on(id, &mut state.output, link, shared);
        }
        state.output.release(shared);
        let is_written = self.streams[id.slot()].outgoing.is_nothing();
        if is_written && state.is_over() {
            self.sockets.open -= 1;
            if let Some(socket) = &mut state.socket {
                socket.lose(state.output.peer, shared);
            }
            link.begin_output(shared);
            // No length is declared that could be missed.
            let _ = self.engine.write_end(&mut link.output, id, None);
            return self.free(id, shared);
        }
        let timer = match &state.socket {
            // The rate of the output has its own deadline.
            Some(socket) if is_written => socket.timer(shared),
            _ => Timer::Off,
        };
        state.deadline.set(timer, shared.now(), &shared.config);
        if let Some(second) = state.deadline.second(&shared.config) {
            self.sockets.expect(second);
        }
        self.streams[id.slot()].socket = Some(state);
    }

    /// Writes frames as DATA. The rest waits as a piece of a response does.
    fn pass_on(&mut self, id: h2::StreamId, output: &mut StreamOutput, link: &mut Link, shared: &mut Shared) {
        link.begin_output(shared);
        let part = &output.bytes[..output.bytes.len().min(PIECE_BYTES)];
        // No length is declared that could be exceeded.
        let taken = self
            .engine
            .write_body(&mut link.output, id, part, false)
            .unwrap_or(part.len());
        self.record_written(id, taken, shared);
        let rest = &output.bytes[taken..];
        let payload = output.payload.take();
        if !rest.is_empty() {
            let mut piece = Vec::with_capacity(rest.len() + payload.as_ref().map_or(0, Bytes::len));
            piece.extend_from_slice(rest);
            if let Some(payload) = payload {
                piece.extend_from_slice(&payload);
                discard(payload);
            }
            self.set_outgoing(id, Outgoing::Piece(piece.into()));
        } else if let Some(payload) = payload {
            self.write_piece(id, payload, link, shared);
        }
        output.bytes.clear();
    }

    /// Enforces the deadlines of WebSockets that are over.
    #[cold]
    pub(super) fn check_sockets(&mut self, link: &mut Link, shared: &mut Shared) {
        self.sockets.due = None;
        for slot in 0..self.streams.len() {
            let stream = &mut self.streams[slot];
            let (Some(id), Some(state)) = (stream.id, &mut stream.socket) else {
                continue;
            };
            let Some(second) = state.deadline.second(&shared.config) else {
                continue;
            };
            if second > shared.now() {
                self.sockets.expect(second);
                continue;
            }
            link.begin_output(shared);
            match (&mut state.socket, state.deadline.timer) {
                (Some(socket), Timer::Protocol(ProtocolTimer::Quiet, _)) => {
                    socket.ping(&mut state.output, shared);
                    self.drive_socket(id, link, shared);
                }
                (_, timer) => {
                    if let Timer::Protocol(ProtocolTimer::Pong, _) = timer {
                        shared.counts().record_limit_hit(Limit::WebSocketTime);
                    }
                    tracing::debug!(peer = %link.peer(), stream = id.number(), ?timer, "reset a WebSocket");
                    self.engine.reset(&mut link.output, id, ErrorCode::CANCEL);
                    self.cancel_stream(id, shared);
                }
            }
        }
    }

    /// Closes the WebSockets of a server that stops, after the queued messages.
    pub(super) fn close_sockets(&mut self, link: &mut Link, shared: &mut Shared) {
        for slot in 0..self.streams.len() {
            let stream = &self.streams[slot];
            if let (Some(id), Some(state)) = (stream.id, &stream.socket)
                && let Some(socket) = &state.socket
            {
                socket.close_for_stop(shared);
                self.drive_socket(id, link, shared);
            }
        }
    }

    /// The stream of a WebSocket is lost.
    pub(super) fn lose_socket(&mut self, state: SocketStream, shared: &mut Shared) {
        if let Some(mut socket) = state.socket {
            self.sockets.open -= 1;
            socket.lose(state.output.peer, shared);
        }
    }
}
