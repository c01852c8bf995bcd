//! The responses of HTTP/2: heads, bodies within windows and room, and responses that fail.

use std::convert::Infallible;
use std::fmt::Display;
use std::io;

use bytes::{Buf as _, Bytes};
use conduit_proto::h1::{self, BodyLength};
use conduit_proto::h2::{self, ErrorCode, Http2Connection};
use http::HeaderMap;

use super::stream::{Outgoing, Stream};
use super::{Http2, SendTurn};
use crate::body::BodyKind;
use crate::commands::{Command, StreamEnd};
use crate::exchange::ReadyPiece;
use crate::exchange::response::Sending;
use crate::file::FilePart;
use crate::link::{Link, UNCOPIED_BYTES, read_to};
use crate::panics::discard;
use crate::pool::{self, Untouched};
use crate::problem::Problem;
use crate::response::Response;
use crate::shared::Shared;

/// The number of bytes of a response that are written before others have their turn; a shorter body is written at once.
pub(super) const PIECE_BYTES: usize = 16 * 1024;
/// The same over TLS: with the header of its frame it fills a record (RFC 8446, section 5.1).
const ENCRYPTED_PIECE_BYTES: usize = PIECE_BYTES - 9;
/// Above this number of unsent bytes no further bytes of large bodies are written, so that small responses do not wait long.
const FILL_BYTES: usize = 48 * 1024;
/// The same for bytes that are not copied, which take no memory, and over TLS while all earlier bytes are sent: one call sends
/// all of them.
const LARGE_FILL_BYTES: usize = 96 * 1024;
/// The number of bytes after which a connection continues in the next turn of the worker: others are served between its sends.
/// Where the kernel paces a connection (BBR), a second send at once would wait for a timer, which costs more than a turn.
const SHARE_BYTES: u64 = 48 * 1024;
/// The number of bytes that a thread reads of a file which is not in memory.
const LOAD_BYTES: u64 = 1024 * 1024;

impl Http2 {
    /// Writes a response, or its head and the available part of its body.
    pub(super) fn respond(&mut self, id: h2::StreamId, mut response: Response, link: &mut Link, shared: &mut Shared) {
        #[cfg(feature = "websocket")]
        if self.stream(id).is_some_and(|stream| stream.is_socket()) {
            match self.open_socket(id, response, link, shared) {
                Some(refusal) => response = refusal,
                None => return,
            }
        }
        let is_final = !self.engine.is_no_answer(id, response.status());
        let Some(stream) = self.stream(id) else {
            return discard(response);
        };
        stream
            .exchange
            .prepare(&mut response, is_final, || link.is_secure(), &shared.environment);
        self.release(id);
        let bytes = match Sending::of(response.body()) {
            Sending::Memory(bytes) => bytes,
            Sending::File => return self.respond_by_file(id, response, link, shared),
            Sending::Stream => return self.respond_by_stream(id, response, link, shared),
        };
        let (status, headers, output) = (response.status(), response.headers(), &mut link.output);
        let untouched = Untouched::of(&response);
        let taken = if bytes.len() <= PIECE_BYTES {
            let is_written = untouched.is_some_and(|untouched| {
                self.engine
                    .write_typed_response(output, id, untouched.content_type(), bytes, &shared.date)
            });
            if is_written {
                bytes.len()
            } else {
                self.engine
                    .write_response(output, id, status, headers, bytes, &shared.date)
            }
        } else {
            let length = BodyLength::Exact(bytes.len() as u64);
            self.engine
                .write_head(output, id, status, headers, length, &shared.date);
            if self.engine.wants_body(id) { 0 } else { bytes.len() }
        };
        let is_whole = taken == bytes.len();
        let (parts, body) = response.into_parts();
        pool::recycle(parts, untouched);
        if is_whole {
            if let BodyKind::Bytes(_) = &body.0 {
                // The bytes may belong to the application, whose drop may panic.
                discard(body);
            }
            return self.free(id, shared);
        }
        let mut rest = body.into_whole();
        rest.advance(taken);
        self.set_outgoing(id, Outgoing::Last(rest));
    }

    /// Writes the head of a response whose body is a stream, or a request's, and the available part of the body.
    fn respond_by_stream(&mut self, id: h2::StreamId, response: Response, link: &mut Link, shared: &mut Shared) {
        let (parts, body) = response.into_parts();
        if let BodyKind::Incoming(_) = &body.0 {
            // The response is the request's own body: the client must send it before it sees a status.
            self.engine.write_continue(&mut link.output, id);
        }
        let length = body.len().map_or(BodyLength::Chunked, BodyLength::Exact);
        self.engine
            .write_head(&mut link.output, id, parts.status, &parts.headers, length, &shared.date);
        if !self.engine.wants_body(id) {
            pool::recycle(parts, None);
            discard(body);
            return self.free(id, shared);
        }
        let exchange = &mut self.streams[id.slot()].exchange;
        let mut stream = exchange.begin_stream(&parts, body, &shared.environment);
        pool::recycle(parts, None);
        self.streaming += 1;
        self.has_transfers = true;
        let start = link.output.len() + link.gathered_bytes();
        while self.streams[id.slot()].outgoing.is_nothing()
            && self.engine.sendable(id) > 0
            && link.output.len() + link.gathered_bytes() - start < PIECE_BYTES
        {
            match stream.take_ready() {
                ReadyPiece::Piece(piece) => {
                    if !self.write_piece(id, piece, link, shared) {
                        return;
                    }
                }
                ReadyPiece::End(trailers) => return self.end_stream(id, Ok(trailers), link, shared),
                ReadyPiece::NotReady => break,
            }
        }
        let sender = Self::sender(id, link, shared);
        self.streams[id.slot()].exchange.spawn_stream(stream, sender);
    }

    /// Writes a piece of the response's stream, as far as there is room. Returns false if that aborted the response.
    pub(super) fn write_piece(
        &mut self,
        id: h2::StreamId,
        mut piece: Bytes,
        link: &mut Link,
        shared: &mut Shared,
    ) -> bool {
        self.streams[id.slot()].exchange.record_body(piece.len() as u64);
        let taken = match write_part(&mut self.engine, link, id, &mut piece, false) {
            Ok(taken) => taken,
            Err(error) => {
                self.abort_response(id, &error, link, shared);
                return false;
            }
        };
        self.record_written(id, taken, shared);
        if piece.is_empty() {
            discard(piece);
        } else {
            self.set_outgoing(id, Outgoing::Piece(piece));
        }
        // A client may never open its window again.
        self.has_transfers |= self.engine.sendable(id) == 0;
        true
    }

    pub(super) fn end_stream(&mut self, id: h2::StreamId, end: StreamEnd, link: &mut Link, shared: &mut Shared) {
        let Stream { exchange, outgoing, .. } = &mut self.streams[id.slot()];
        let write = |trailers: Option<&HeaderMap>| {
            debug_assert!(outgoing.is_nothing(), "a stream ends after its last piece is written");
            self.engine.write_end(&mut link.output, id, trailers)
        };
        match exchange.finish_stream(end, write) {
            Some(Ok(())) => {
                self.streaming -= 1;
                self.free(id, shared);
            }
            Some(Err(error)) => self.abort_response(id, &error, link, shared),
            None => {}
        }
    }

    /// Writes the head of a response whose body is a part of a file; the engine names the stream when it may send.
    fn respond_by_file(&mut self, id: h2::StreamId, response: Response, link: &mut Link, shared: &mut Shared) {
        let (parts, body) = response.into_parts();
        let length = body.len().unwrap_or_default();
        let framing = BodyLength::Exact(length);
        self.engine.write_head(
            &mut link.output,
            id,
            parts.status,
            &parts.headers,
            framing,
            &shared.date,
        );
        pool::recycle(parts, None);
        match body.0 {
            BodyKind::File(part) if length > 0 && self.engine.wants_body(id) => {
                self.streams[id.slot()].exchange.record_body(length);
                self.set_outgoing(id, Outgoing::File(part));
            }
            body => {
                discard(body);
                self.free(id, shared);
            }
        }
    }

    /// A thread has read the next bytes of a file.
    pub(super) fn file_is_read(&mut self, id: h2::StreamId) {
        let outgoing = &mut self.streams[id.slot()].outgoing;
        match std::mem::replace(outgoing, Outgoing::Nothing) {
            Outgoing::Loading(mut part) => {
                part.warm(LOAD_BYTES);
                self.set_outgoing(id, Outgoing::File(part));
            }
            other => *outgoing = other,
        }
    }

    /// Stores the part of a response that waits for its window and for room.
    pub(super) fn set_outgoing(&mut self, id: h2::StreamId, outgoing: Outgoing) {
        self.has_transfers = true;
        self.engine.set_pending(id, true);
        self.streams[id.slot()].outgoing = outgoing;
    }

    /// Writes pending parts of responses in the order of the engine, while there is room. Then streams of responses may return
    /// more.
    pub(super) fn write_pending(&mut self, link: &mut Link, shared: &mut Shared) {
        while !is_filled(link) {
            let Some(id) = self.engine.next_pending() else { break };
            if !self.has_share(link, shared) {
                break;
            }
            link.begin_output(shared);
            self.write_next(id, link, shared);
        }
        if self.streaming > 0 && !is_filled(link) {
            for stream in &self.streams {
                if let Some(id) = stream.id
                    && stream.outgoing.is_nothing()
                    && self.engine.sendable(id) > 0
                {
                    stream.exchange.offer_room();
                }
            }
        }
    }

    /// Returns whether the connection may send more before others have their turn. Otherwise it continues in the next one.
    fn has_share(&mut self, link: &Link, shared: &mut Shared) -> bool {
        let sent_bytes = link.sent_bytes();
        if self.turn.number != shared.turn {
            self.turn = SendTurn {
                number: shared.turn,
                end_bytes: sent_bytes + SHARE_BYTES,
                is_over: false,
            };
        }
        if !self.turn.is_over && sent_bytes >= self.turn.end_bytes {
            self.turn.is_over = true;
            shared.continuing.push_back(link.id);
        }
        !self.turn.is_over
    }

    /// Writes the next bytes of one stream.
    fn write_next(&mut self, id: h2::StreamId, link: &mut Link, shared: &mut Shared) {
        let stream = &mut self.streams[id.slot()];
        let (written, outgoing) = match std::mem::replace(&mut stream.outgoing, Outgoing::Nothing) {
            Outgoing::Last(mut bytes) => match write_part(&mut self.engine, link, id, &mut bytes, true) {
                Ok(taken) if !bytes.is_empty() => (taken, Outgoing::Last(bytes)),
                // The head has declared this length, so there is no error.
                _ => {
                    discard(bytes);
                    return self.free(id, shared);
                }
            },
            Outgoing::Piece(mut bytes) => match write_part(&mut self.engine, link, id, &mut bytes, false) {
                Ok(taken) if !bytes.is_empty() => (taken, Outgoing::Piece(bytes)),
                Ok(taken) => {
                    self.engine.set_pending(id, false);
                    discard(bytes);
                    (taken, Outgoing::Nothing)
                }
                Err(error) => {
                    stream.outgoing = Outgoing::Piece(bytes);
                    return self.abort_response(id, &error, link, shared);
                }
            },
            Outgoing::File(part) => return self.write_file(id, part, link, shared),
            other => {
                self.engine.set_pending(id, false);
                (0, other)
            }
        };
        stream.outgoing = outgoing;
        self.record_written(id, written, shared);
    }

    /// Writes the next frame of a file. Bytes that are not in memory are read by a thread first.
    fn write_file(&mut self, id: h2::StreamId, mut part: FilePart, link: &mut Link, shared: &mut Shared) {
        let written = self.engine.write_body_with(&mut link.output, id, |output, most| {
            let start = output.len();
            read_to(&mut part, output, most)?;
            Ok::<_, io::Error>((output.len() - start, part.left() == 0))
        });
        let stream = &mut self.streams[id.slot()];
        match written {
            Ok(_) if part.left() == 0 => {
                discard(part);
                self.free(id, shared);
            }
            Ok(count) => {
                stream.outgoing = Outgoing::File(part);
                self.record_written(id, count, shared);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.engine.set_pending(id, false);
                let next = part.next(LOAD_BYTES);
                stream.outgoing = Outgoing::Loading(part);
                let reading = tokio::task::spawn_blocking(|| next.load());
                let sender = Self::sender(id, link, shared);
                tokio::task::spawn_local(async move {
                    // The next read finds the error of a thread that could not read.
                    let _ = reading.await;
                    sender.send(Command::FileRead);
                });
            }
            Err(error) => {
                stream.outgoing = Outgoing::File(part);
                self.abort_response(id, &error, link, shared);
            }
        }
    }

    /// Aborts a response that cannot be completed, by a reset of its stream.
    fn abort_response(&mut self, id: h2::StreamId, error: &dyn Display, link: &mut Link, shared: &mut Shared) {
        let error = error.to_string();
        tracing::warn!(peer = %link.peer(), stream = id.number(), error, "aborted a response");
        self.engine.reset(&mut link.output, id, ErrorCode::INTERNAL_ERROR);
        self.cancel_stream(id, shared);
    }

    /// Responds in place of a handler, if there was no response yet, or else resets the stream.
    pub(super) fn refuse(&mut self, id: h2::StreamId, problem: Problem, link: &mut Link, shared: &mut Shared) {
        let head_only = self.engine.is_head_only(id);
        let Some(stream) = self.stream(id) else { return };
        stream.exchange.cancel_body();
        if stream.exchange.is_streaming() || !stream.outgoing.is_nothing() {
            self.engine.reset(&mut link.output, id, ErrorCode::CANCEL);
            return self.cancel_stream(id, shared);
        }
        let outlives_stream = stream.exchange.outlives_stream();
        let response = stream
            .exchange
            .refuse(problem, head_only, link.client(), &shared.environment);
        if outlives_stream {
            self.detach(id);
        }
        self.respond(id, response, link, shared);
    }
}

/// Returns whether no further bytes of large bodies are written before others are sent.
pub(super) fn is_filled(link: &Link) -> bool {
    // While a client lags, the output has room for the responses to further input.
    let most = if link.gathers() || link.holds_encrypted() {
        FILL_BYTES
    } else {
        LARGE_FILL_BYTES
    };
    link.output.len() >= most || link.gathered_bytes() >= LARGE_FILL_BYTES
}

/// Writes the first part of a body's bytes, as far as the windows permit, and removes it from them. Many bytes are not copied.
/// Returns their number.
///
/// # Errors
/// As [`write_body`](Http2Connection::write_body).
fn write_part(
    engine: &mut Http2Connection,
    link: &mut Link,
    id: h2::StreamId,
    bytes: &mut Bytes,
    is_last: bool,
) -> Result<usize, h1::BodyError> {
    let most = if link.gathers() {
        PIECE_BYTES
    } else {
        ENCRYPTED_PIECE_BYTES
    };
    let length = bytes.len().min(most);
    let is_last = is_last && length == bytes.len();
    if length >= UNCOPIED_BYTES && link.gathers() {
        // Other frames can follow the end of the body in the output.
        let mut position = 0;
        let written = engine.write_body_with(&mut link.output, id, |output, most| {
            position = output.len();
            Ok::<_, Infallible>((length.min(most), is_last && length <= most))
        });
        // None are written where the declared length is reached.
        if let Ok(count @ 1..) = written {
            link.gather(position, bytes.split_to(count));
            return Ok(count);
        }
    }
    let count = engine.write_body(&mut link.output, id, &bytes[..length], is_last)?;
    bytes.advance(count);
    Ok(count)
}
