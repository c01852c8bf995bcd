//! The responses of HTTP/2: heads, the part of the body that is ready, and the responses in place of a handler's.

use bytes::Buf as _;
use conduit_proto::h1::BodyLength;
use conduit_proto::h2::{self, ErrorCode};

use super::multiplexer::{Multiplexer, PIECE_BYTES, takes_piece};
use super::stream::{Outgoing, sender};
#[cfg(feature = "websocket")]
use super::websocket;
use crate::body::BodyKind;
use crate::exchange::response::Sending;
use crate::exchange::{READY_PIECES, ReadyPiece};
use crate::link::Link;
use crate::panics::discard;
use crate::pool::{self, Untouched};
use crate::problem::Problem;
use crate::response::Response;
use crate::shared::Shared;

/// Writes a response, or its head and the available part of its body.
pub(super) fn respond(
    multiplexer: &mut Multiplexer,
    id: h2::StreamId,
    mut response: Response,
    link: &mut Link,
    shared: &mut Shared,
) {
    #[cfg(feature = "websocket")]
    if multiplexer.streams.get(id).is_some_and(|stream| stream.is_socket()) {
        match websocket::open(multiplexer, id, response, link, shared) {
            Some(refusal) => response = refusal,
            None => return,
        }
    }
    let Multiplexer {
        engine,
        streams,
        budget,
        ..
    } = multiplexer;
    let is_final = engine.is_final(id, response.status());
    let Some(stream) = streams.get(id) else {
        return discard(response);
    };
    stream
        .exchange
        .prepare(&mut response, is_final, || link.is_secure(), &shared.environment);
    budget.release(stream);
    let bytes = match Sending::of(response.body()) {
        Sending::Memory(bytes) => bytes,
        Sending::File => return respond_by_file(multiplexer, id, response, link, shared),
        Sending::Stream => return respond_by_stream(multiplexer, id, response, link, shared),
    };
    let (status, headers, output) = (response.status(), response.headers(), &mut link.output.buffer);
    let untouched = Untouched::of(&response);
    let window = engine.connection_window();
    let taken = if bytes.len() <= PIECE_BYTES {
        let is_written = untouched.is_some_and(|untouched| {
            engine.write_typed_response(output, id, untouched.content_type(), bytes, &shared.date)
        });
        if is_written {
            bytes.len()
        } else {
            engine.write_response(output, id, status, headers, bytes, &shared.date)
        }
    } else {
        let length = BodyLength::Exact(bytes.len() as u64);
        engine.write_head(output, id, status, headers, length, &shared.date);
        if engine.wants_body(id) { 0 } else { bytes.len() }
    };
    let is_whole = taken == bytes.len();
    if multiplexer.transfers.has_open() {
        // A response without a body writes none of the taken bytes.
        let written = window - multiplexer.engine.connection_window();
        multiplexer.record_written(id, written, shared);
    }
    let (parts, body) = response.into_parts();
    pool::recycle(parts, untouched);
    if is_whole {
        if let BodyKind::Bytes(_) = &body.0 {
            // The bytes may belong to the application, whose drop may panic.
            discard(body);
        }
        return multiplexer.free(id, shared);
    }
    let mut rest = body.into_whole();
    rest.advance(taken);
    multiplexer.streams[id].exchange.begin_sending();
    multiplexer.set_outgoing(id, Outgoing::Last(rest));
}

/// Writes the head of a response whose body is a stream, or a request's, and the available part of the body.
fn respond_by_stream(
    multiplexer: &mut Multiplexer,
    id: h2::StreamId,
    response: Response,
    link: &mut Link,
    shared: &mut Shared,
) {
    let (parts, body) = response.into_parts();
    let engine = &mut multiplexer.engine;
    if let BodyKind::Incoming(_) = &body.0 {
        // The response is the request's own body: the client must send it before it sees a status.
        engine.write_continue(&mut link.output.buffer, id);
    }
    let length = body.len().map_or(BodyLength::Chunked, BodyLength::Exact);
    engine.write_head(
        &mut link.output.buffer,
        id,
        parts.status,
        &parts.headers,
        length,
        &shared.date,
    );
    if !engine.wants_body(id) {
        pool::recycle(parts, None);
        discard(body);
        return multiplexer.free(id, shared);
    }
    let mut stream = multiplexer.begin_stream(id, &parts, body, shared);
    pool::recycle(parts, None);
    let start = link.output.buffer.len() + link.output.gathered.length();
    for _ in 0..READY_PIECES {
        if !multiplexer.streams[id].outgoing.is_nothing()
            || !takes_piece(&multiplexer.engine, id)
            || link.output.buffer.len() + link.output.gathered.length() - start >= PIECE_BYTES
        {
            break;
        }
        match stream.take_ready(shared.counts()) {
            ReadyPiece::Piece(piece) => {
                if !multiplexer.write_piece(id, piece, link, shared) {
                    return;
                }
            }
            ReadyPiece::End(trailers) => return multiplexer.end_stream(id, Ok(trailers), link, shared),
            ReadyPiece::NotReady => break,
        }
    }
    let sender = sender(id, link, shared);
    multiplexer.streams[id]
        .exchange
        .spawn_stream(stream, sender, &shared.environment);
}

/// Writes the head of a response whose body is a part of a file; the engine names the stream when it may send.
fn respond_by_file(
    multiplexer: &mut Multiplexer,
    id: h2::StreamId,
    response: Response,
    link: &mut Link,
    shared: &mut Shared,
) {
    let (parts, body) = response.into_parts();
    let engine = &mut multiplexer.engine;
    let length = body.len().unwrap_or_default();
    let framing = BodyLength::Exact(length);
    engine.write_head(
        &mut link.output.buffer,
        id,
        parts.status,
        &parts.headers,
        framing,
        &shared.date,
    );
    pool::recycle(parts, None);
    match body.0 {
        BodyKind::File(part) if length > 0 && engine.wants_body(id) => {
            let exchange = &mut multiplexer.streams[id].exchange;
            exchange.record_body(length);
            exchange.begin_sending();
            multiplexer.set_outgoing(id, Outgoing::File(part));
        }
        body => {
            discard(body);
            multiplexer.free(id, shared);
        }
    }
}

/// Responds in place of a handler, if there was no response yet, or else resets the stream.
pub(super) fn refuse(
    multiplexer: &mut Multiplexer,
    id: h2::StreamId,
    problem: Problem,
    link: &mut Link,
    shared: &mut Shared,
) {
    let head_only = multiplexer.engine.is_head_only(id);
    let Some(stream) = multiplexer.streams.get(id) else {
        return;
    };
    let body_bytes = stream.exchange.cancel_body();
    if stream.exchange.is_streaming() || !stream.outgoing.is_nothing() {
        return multiplexer.reset(id, ErrorCode::CANCEL, link, shared);
    }
    let outlives_stream = stream.exchange.outlives_stream();
    let response = stream
        .exchange
        .refuse(problem, head_only, link.client(), &shared.environment);
    if outlives_stream {
        multiplexer.budget.detach(id, stream, body_bytes);
    }
    respond(multiplexer, id, response, link, shared);
}
