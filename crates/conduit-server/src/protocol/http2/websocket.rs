//! WebSockets on streams (RFC 8441): an extended CONNECT, whose stream has the frames in DATA.
//!
//! The handler of the route of the `GET` accepts it with a response of 101, as in HTTP/1.1; the client gets 200. Frames that
//! arrive are used as the handler takes messages, and the window of the stream opens with their use. Frames to the client are
//! gathered for a turn and become DATA; what the windows or the connection do not take is the rest of a piece, like that of a
//! response, with its order and its rate.

use bytes::Bytes;
use conduit_proto::h1::BodyLength;
use conduit_proto::h2::{self, ErrorCode};
use http::StatusCode;
use http::header::SEC_WEBSOCKET_ACCEPT;

use super::multiplexer::{Multiplexer, PIECE_BYTES, is_filled};
use super::socket::{SocketStream, StreamOutput};
use super::stream::{Outgoing, StreamTable, sender};
use crate::limit::Limit;
use crate::link::{Link, Timer};
use crate::panics::discard;
use crate::problem::Problem;
use crate::protocol::websocket::Socket;
use crate::protocol_timer::ProtocolTimer;
use crate::request::Request;
use crate::response::{IntoResponse as _, Response};
use crate::shared::Shared;
use crate::upgrade::Upgrade;

/// Makes an extended CONNECT the `GET` of a WebSocket, and its stream one that becomes a WebSocket.
///
/// # Errors
/// The response to an extended CONNECT for another protocol.
pub(super) fn prepare(
    streams: &mut StreamTable,
    id: h2::StreamId,
    request: &mut Request,
    link: &Link,
    shared: &Shared,
) -> Result<(), Problem> {
    let protocol = request.head().protocol();
    let is_websocket = protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"));
    let has_ended = request.head().body() == BodyLength::None;
    request.head_mut().tunnel_as_get();
    request.arrived(link.peer(), link.info.as_ref());
    if !is_websocket {
        let detail = "this protocol of an extended CONNECT is not supported: send ':protocol: websocket'";
        return Err(Problem::new(StatusCode::NOT_IMPLEMENTED).with_detail(detail));
    }
    let state = SocketStream::new(has_ended, link.peer(), shared.now());
    streams[id].socket = Some(Box::new(state));
    Ok(())
}

/// Opens the WebSocket of a stream with the response of its handler. Returns the response of a handler that has not
/// accepted it: a 2xx would open a WebSocket for the client, and becomes 501.
pub(super) fn open(
    multiplexer: &mut Multiplexer,
    id: h2::StreamId,
    mut response: Response,
    link: &mut Link,
    shared: &mut Shared,
) -> Option<Response> {
    let stream = &mut multiplexer.streams[id];
    let Some(Upgrade::WebSocket(pending)) = Upgrade::of(&response) else {
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
    multiplexer.budget.release(stream);
    let (output, headers) = (&mut link.output.buffer, response.headers());
    let engine = &mut multiplexer.engine;
    engine.write_head(output, id, StatusCode::OK, headers, BodyLength::Chunked, &shared.date);
    discard(response);
    let sender = sender(id, link, shared);
    let socket = Socket::start(*pending, &mut stream.exchange, sender, link, shared);
    if let Some(state) = &mut stream.socket {
        multiplexer.sockets.open(state, socket);
    }
    drive(multiplexer, id, link, shared);
    None
}

/// Takes the bytes of a WebSocket. Returns whether the stream is one.
pub(super) fn take_bytes(
    multiplexer: &mut Multiplexer,
    id: h2::StreamId,
    piece: &[u8],
    link: &mut Link,
    shared: &mut Shared,
) -> bool {
    let Some(state) = find(&mut multiplexer.streams, id) else {
        return false;
    };
    let used = state.receive(piece, shared);
    multiplexer.engine.consumed(&mut link.output.buffer, id, used);
    true
}

/// The client has ended its half of the stream. Returns whether the stream is a WebSocket.
pub(super) fn end_input(streams: &mut StreamTable, id: h2::StreamId) -> bool {
    let Some(state) = find(streams, id) else {
        return false;
    };
    state.end_input();
    true
}

/// The handler of a WebSocket has queued or taken messages.
pub(super) fn resume(multiplexer: &mut Multiplexer, id: h2::StreamId, link: &mut Link, shared: &mut Shared) {
    if let Some(state) = find(&mut multiplexer.streams, id)
        && let Some(socket) = &mut state.socket
    {
        socket.poll_woken(shared);
        drive(multiplexer, id, link, shared);
    }
}

/// Continues all WebSockets after a turn's input, or with the room after its output.
pub(super) fn drive_all(multiplexer: &mut Multiplexer, link: &mut Link, shared: &mut Shared) {
    if !multiplexer.sockets.has_open() {
        return;
    }
    for slot in multiplexer.streams.slots() {
        if let Some(id) = multiplexer.streams.open_at(slot) {
            drive(multiplexer, id, link, shared);
        }
    }
    if multiplexer.sockets.is_due(shared.now()) {
        check_all(multiplexer, link, shared);
    }
}

/// Enforces the deadlines of WebSockets that are over.
#[cold]
pub(super) fn check_all(multiplexer: &mut Multiplexer, link: &mut Link, shared: &mut Shared) {
    multiplexer.sockets.begin_check();
    for slot in multiplexer.streams.slots() {
        let Some(id) = multiplexer.streams.open_at(slot) else {
            continue;
        };
        let Some(state) = &mut multiplexer.streams[id].socket else {
            continue;
        };
        let Some(second) = state.deadline(shared) else {
            continue;
        };
        if second > shared.now() {
            multiplexer.sockets.expect(second);
            continue;
        }
        let Some(timer) = state.timer_of_end(shared) else {
            drive(multiplexer, id, link, shared);
            continue;
        };
        if let Timer::Protocol(ProtocolTimer::Pong, _) = timer {
            shared.counts().record_limit_hit(Limit::WebSocketTime);
        }
        tracing::debug!(peer = %link.peer(), stream = id.number(), ?timer, "reset a WebSocket");
        multiplexer.reset(id, ErrorCode::CANCEL, link, shared);
    }
}

/// Closes the WebSockets of a server that stops, after the queued messages.
pub(super) fn close_all(multiplexer: &mut Multiplexer, link: &mut Link, shared: &mut Shared) {
    for slot in multiplexer.streams.slots() {
        if let Some(id) = multiplexer.streams.open_at(slot)
            && let Some(state) = &multiplexer.streams[id].socket
            && let Some(socket) = &state.socket
        {
            socket.close_for_stop(shared);
            drive(multiplexer, id, link, shared);
        }
    }
}

/// Uses the input of a WebSocket and writes its messages, as far as there is room; and ends its stream after Close.
fn drive(multiplexer: &mut Multiplexer, id: h2::StreamId, link: &mut Link, shared: &mut Shared) {
    let stream = multiplexer.streams.get(id);
    let Some(mut state) = stream.and_then(|stream| stream.socket.take_if(|state| state.socket.is_some())) else {
        return;
    };
    loop {
        let used = state.continue_reading(shared);
        if used > 0 {
            link.output.begin(&mut shared.links);
            multiplexer.engine.consumed(&mut link.output.buffer, id, used);
        }
        if !multiplexer.streams[id].outgoing.is_nothing() || is_filled(link) {
            break;
        }
        if let Some(socket) = &mut state.socket {
            socket.write_queued(&mut state.output, shared);
        }
        if state.output.is_empty() {
            break;
        }
        pass_on(multiplexer, id, &mut state.output, link, shared);
        if multiplexer.streams.get(id).is_none() {
            // The stream was reset while its slot did not have this state.
            return multiplexer.sockets.end(&mut state, shared);
        }
    }
    state.output.release(&mut shared.links);
    let is_written = multiplexer.streams[id].outgoing.is_nothing();
    if is_written && state.is_over() {
        multiplexer.sockets.end(&mut state, shared);
        link.output.begin(&mut shared.links);
        // No length is declared that could be missed.
        let _ = multiplexer.engine.write_end(&mut link.output.buffer, id, None);
        return multiplexer.free(id, shared);
    }
    state.set_deadline(is_written, shared);
    if let Some(second) = state.deadline(shared) {
        multiplexer.sockets.expect(second);
    }
    multiplexer.streams[id].socket = Some(state);
}

/// Writes frames as DATA. The rest waits as a piece of a response does.
fn pass_on(
    multiplexer: &mut Multiplexer,
    id: h2::StreamId,
    output: &mut StreamOutput,
    link: &mut Link,
    shared: &mut Shared,
) {
    link.output.begin(&mut shared.links);
    let part = &output.bytes[..output.bytes.len().min(PIECE_BYTES)];
    let written = multiplexer.engine.write_body(&mut link.output.buffer, id, part, false);
    // No length is declared that could be exceeded.
    let taken = written.unwrap_or(part.len());
    multiplexer.record_written(id, taken, shared);
    let rest = &output.bytes[taken..];
    let payload = output.payload.take();
    if !rest.is_empty() {
        let mut piece = Vec::with_capacity(rest.len() + payload.as_ref().map_or(0, Bytes::len));
        piece.extend_from_slice(rest);
        if let Some(payload) = payload {
            piece.extend_from_slice(&payload);
            discard(payload);
        }
        multiplexer.set_outgoing(id, Outgoing::Piece(piece.into()));
    } else if let Some(payload) = payload {
        multiplexer.write_piece(id, payload, link, shared);
    }
    output.bytes.clear();
}

/// The state of a stream that is a WebSocket, or becomes one.
fn find(streams: &mut StreamTable, id: h2::StreamId) -> Option<&mut SocketStream> {
    streams.get(id)?.socket.as_deref_mut()
}
