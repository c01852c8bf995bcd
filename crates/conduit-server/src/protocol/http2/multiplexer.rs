//! The streams of a connection on its engine: the parts of their responses that wait, and their end.
//!
//! The engine names the stream that writes next, while there is room. Windows, the turn of the worker and the output of the link
//! bound the bytes that are written at once.

use std::convert::Infallible;
use std::fmt::Display;
use std::io;

use bytes::{Buf as _, Bytes};
use conduit_proto::h1;
use conduit_proto::h2::{self, ErrorCode, Http2Connection};
use http::HeaderMap;
use http::response::Parts;

use super::budget::HandlerBudget;
#[cfg(feature = "websocket")]
use super::socket::Sockets;
use super::stream::{Outgoing, Stream, StreamTable, sender};
use super::transfers::Transfers;
use crate::body::Body;
use crate::commands::{Command, StreamEnd};
use crate::deadlines::Second;
use crate::disk;
use crate::exchange::ResponseStream;
use crate::file::FilePart;
use crate::link::file::read_to;
use crate::link::{Link, UNCOPIED_BYTES};
use crate::panics::discard;
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

/// The engine with the state of its streams. The functions that respond and that drive WebSockets use its parts; the methods
/// write bodies, and end streams on all parts together.
pub(super) struct Multiplexer {
    pub(super) engine: Http2Connection,
    pub(super) streams: StreamTable,
    pub(super) transfers: Transfers,
    pub(super) budget: HandlerBudget,
    #[cfg(feature = "websocket")]
    pub(super) sockets: Sockets,
    /// The number of open streams whose exchange is streaming.
    streaming: usize,
    /// The last turn of the worker in which the connection sent.
    turn: SendTurn,
}

/// The part of a connection in a turn of the worker.
#[derive(Clone, Copy, Default)]
struct SendTurn {
    number: u64,
    /// The number of bytes that the connection has sent in all when its share is used.
    end_bytes: u64,
    /// The share is used, and the connection continues in the next turn.
    is_over: bool,
}

impl Multiplexer {
    pub(super) fn new(engine: Http2Connection, now: Second) -> Self {
        Multiplexer {
            engine,
            streams: StreamTable::new(),
            transfers: Transfers::new(now),
            budget: HandlerBudget::default(),
            #[cfg(feature = "websocket")]
            sockets: Sockets::default(),
            streaming: 0,
            turn: SendTurn::default(),
        }
    }

    // The body of the request.

    /// Reports the bytes of the request's body that the handler has taken to the engine, so that the client may send more.
    pub(super) fn report_consumed(&mut self, id: h2::StreamId, link: &mut Link) {
        let Some(stream) = self.streams.get(id) else { return };
        if stream.unread_bytes == 0 {
            return;
        }
        let unread_bytes = stream.exchange.unread_bytes();
        let taken = stream.unread_bytes.saturating_sub(unread_bytes);
        stream.unread_bytes = unread_bytes;
        if taken > 0 {
            self.engine.consumed(&mut link.output.buffer, id, taken);
        }
    }

    // The body of the response.

    /// Returns whether the body of a response comes from a stream.
    pub(super) fn is_streaming(&self) -> bool {
        self.streaming > 0
    }

    /// Begins a response whose body comes from a stream, until [`end_stream`](Self::end_stream).
    pub(super) fn begin_stream(
        &mut self,
        id: h2::StreamId,
        parts: &Parts,
        body: Body,
        shared: &Shared,
    ) -> ResponseStream {
        self.streaming += 1;
        self.transfers.expect();
        let exchange = &mut self.streams[id].exchange;
        exchange.begin_stream(parts, body, &shared.environment)
    }

    /// Writes a piece of the response's stream, as far as there is room. Returns false if that aborted the response.
    pub(super) fn write_piece(
        &mut self,
        id: h2::StreamId,
        mut piece: Bytes,
        link: &mut Link,
        shared: &mut Shared,
    ) -> bool {
        self.streams[id].exchange.record_body(piece.len() as u64);
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
        if self.engine.sendable(id) == 0 {
            self.transfers.expect();
        }
        true
    }

    pub(super) fn end_stream(&mut self, id: h2::StreamId, end: StreamEnd, link: &mut Link, shared: &mut Shared) {
        let Stream { exchange, outgoing, .. } = &mut self.streams[id];
        let write = |trailers: Option<&HeaderMap>| {
            debug_assert!(outgoing.is_nothing(), "a stream ends after its last piece is written");
            self.engine.write_end(&mut link.output.buffer, id, trailers)
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

    /// Stores the part of a response that waits for its window and for room.
    pub(super) fn set_outgoing(&mut self, id: h2::StreamId, outgoing: Outgoing) {
        self.transfers.expect();
        self.engine.set_pending(id, true);
        self.streams[id].outgoing = outgoing;
    }

    /// Counts bytes of a response that are written.
    pub(super) fn record_written(&mut self, id: h2::StreamId, bytes: usize, shared: &Shared) {
        let stream = self.streams.get(id);
        self.transfers.record_written(stream, bytes, &shared.links);
    }

    /// A thread has read the next bytes of a file.
    pub(super) fn file_is_read(&mut self, id: h2::StreamId) {
        let outgoing = &mut self.streams[id].outgoing;
        match std::mem::replace(outgoing, Outgoing::Nothing) {
            Outgoing::Loading(mut part) => {
                part.warm(LOAD_BYTES);
                self.set_outgoing(id, Outgoing::File(part));
            }
            other => *outgoing = other,
        }
    }

    /// Writes pending parts of responses in the order of the engine, while there is room. Then streams of responses may return
    /// more.
    pub(super) fn write_pending(&mut self, link: &mut Link, shared: &mut Shared) {
        while !is_filled(link) {
            let Some(id) = self.engine.next_pending() else { break };
            if !self.turn.has_share(link, shared) {
                break;
            }
            link.output.begin(&mut shared.links);
            self.write_next(id, link, shared);
        }
        if self.streaming > 0 && !is_filled(link) {
            for (id, stream) in self.streams.iter() {
                if stream.outgoing.is_nothing() && takes_piece(&self.engine, id) {
                    stream.exchange.offer_room();
                }
            }
        }
    }

    /// Writes the next bytes of one stream.
    fn write_next(&mut self, id: h2::StreamId, link: &mut Link, shared: &mut Shared) {
        let stream = &mut self.streams[id];
        let (written, outgoing) = match std::mem::replace(&mut stream.outgoing, Outgoing::Nothing) {
            Outgoing::Last(mut bytes) => match write_part(&mut self.engine, link, id, &mut bytes, true) {
                Ok(taken) if !bytes.is_empty() => (taken, Outgoing::Last(bytes)),
                // The head has declared this length, so there is no error.
                written => {
                    discard(bytes);
                    stream.exchange.set_idle();
                    self.record_written(id, written.unwrap_or_default(), shared);
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
        let written = self
            .engine
            .write_body_with(&mut link.output.buffer, id, |output, most| {
                let start = output.len();
                read_to(&mut part, output, most)?;
                Ok::<_, io::Error>((output.len() - start, part.left() == 0))
            });
        let stream = &mut self.streams[id];
        match written {
            Ok(count) if part.left() == 0 => {
                discard(part);
                stream.exchange.set_idle();
                self.record_written(id, count, shared);
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
                let sender = sender(id, link, shared);
                disk::load(next, Box::new(move || sender.send(Command::FileRead)));
            }
            Err(error) => {
                stream.outgoing = Outgoing::File(part);
                self.abort_response(id, &error, link, shared);
            }
        }
    }

    // The end of streams.

    /// Aborts a response that cannot be completed, by a reset of its stream.
    fn abort_response(&mut self, id: h2::StreamId, error: &dyn Display, link: &mut Link, shared: &mut Shared) {
        let error = error.to_string();
        tracing::warn!(peer = %link.peer(), stream = id.number(), error, "aborted a response");
        self.reset(id, ErrorCode::INTERNAL_ERROR, link, shared);
    }

    /// Resets a stream, and cancels its exchange.
    pub(super) fn reset(&mut self, id: h2::StreamId, code: ErrorCode, link: &mut Link, shared: &mut Shared) {
        link.output.begin(&mut shared.links);
        self.engine.reset(&mut link.output.buffer, id, code);
        self.cancel(id, shared);
    }

    /// Cancels the exchange of a stream that the engine has closed.
    pub(super) fn cancel(&mut self, id: h2::StreamId, shared: &mut Shared) {
        let Some(stream) = self.streams.get(id) else { return };
        let outgoing = std::mem::replace(&mut stream.outgoing, Outgoing::Nothing);
        let (was_streaming, outlives_stream) = (stream.exchange.is_streaming(), stream.exchange.outlives_stream());
        let arriving = stream.arriving.take();
        #[cfg(feature = "websocket")]
        if let Some(mut socket) = stream.socket.take() {
            self.sockets.end(&mut socket, shared);
        }
        stream.close();
        self.streaming -= usize::from(was_streaming);
        let body_bytes = stream.exchange.cancel(outgoing.left_bytes(), &mut shared.environment);
        match outlives_stream {
            true => self.budget.detach(id, stream, body_bytes),
            false => self.budget.release(stream),
        }
        discard((outgoing, arriving));
    }

    /// Cancels all exchanges: the engine has closed their streams.
    pub(super) fn cancel_all(&mut self, shared: &mut Shared) {
        for slot in self.streams.slots() {
            if let Some(id) = self.streams.open_at(slot) {
                self.cancel(id, shared);
            }
        }
    }

    /// The response of a stream is written, and the engine has closed it.
    pub(super) fn free(&mut self, id: h2::StreamId, shared: &mut Shared) {
        let Some(stream) = self.streams.get(id) else { return };
        stream.close();
        stream.exchange.abort_body();
        stream.exchange.end(&mut shared.environment);
        self.budget.release(stream);
    }

    /// Frees memory that the last requests needed.
    pub(super) fn release_memory(&mut self) {
        debug_assert_eq!(self.streaming, 0, "no stream is open");
        #[cfg(feature = "websocket")]
        debug_assert!(!self.sockets.has_open(), "no stream is open");
        self.engine.shrink();
        self.streams.release_memory();
        self.budget.release_memory();
    }
}

impl SendTurn {
    /// Returns whether the connection may send more before others have their turn. Otherwise it continues in the next one.
    fn has_share(&mut self, link: &Link, shared: &mut Shared) -> bool {
        let sent_bytes = link.output.sent_bytes();
        if self.number != shared.turn {
            *self = SendTurn {
                number: shared.turn,
                end_bytes: sent_bytes + SHARE_BYTES,
                is_over: false,
            };
        }
        if !self.is_over && sent_bytes >= self.end_bytes {
            self.is_over = true;
            shared.continuing.push_back(link.id);
        }
        !self.is_over
    }
}

/// Returns whether no further bytes of large bodies are written before others are sent.
pub(super) fn is_filled(link: &Link) -> bool {
    // While a client reads slowly, the output has room for the responses to further input.
    let most = if !link.is_secure() || link.holds_encrypted() {
        FILL_BYTES
    } else {
        LARGE_FILL_BYTES
    };
    link.output.buffer.len() >= most || link.output.gathered.length() >= LARGE_FILL_BYTES
}

/// Returns whether a stream may return its next piece: there is a window for it, or its end may come instead, which needs none.
/// Then a piece that needs one waits for it.
pub(super) fn takes_piece(engine: &Http2Connection, id: h2::StreamId) -> bool {
    engine.sendable(id) > 0 || engine.may_end(id)
}

/// Writes the first part of a body's bytes, as far as the windows permit, and removes it from them. Returns its length.
///
/// # Errors
/// As [`write_body`](Http2Connection::write_body), also where the rest exceeds the declared length and waits for a window.
fn write_part(
    engine: &mut Http2Connection,
    link: &mut Link,
    id: h2::StreamId,
    bytes: &mut Bytes,
    is_last: bool,
) -> Result<usize, h1::BodyError> {
    let count = write_frames(engine, link, id, bytes, is_last)?;
    if !bytes.is_empty() && engine.is_body_written(id) {
        engine.write_body(&mut link.output.buffer, id, bytes, is_last)?;
    }
    Ok(count)
}

/// Writes the first part of a body's bytes as DATA, and removes it from them. Many bytes are not copied. Returns its length.
fn write_frames(
    engine: &mut Http2Connection,
    link: &mut Link,
    id: h2::StreamId,
    bytes: &mut Bytes,
    is_last: bool,
) -> Result<usize, h1::BodyError> {
    let most = if link.is_secure() {
        ENCRYPTED_PIECE_BYTES
    } else {
        PIECE_BYTES
    };
    let length = bytes.len().min(most);
    let is_last = is_last && length == bytes.len();
    // Encryption copies all bytes.
    if length >= UNCOPIED_BYTES && !link.is_secure() {
        // Other frames can follow the end of the body in the output.
        let mut position = 0;
        let written = engine.write_body_with(&mut link.output.buffer, id, |output, most| {
            position = output.len();
            Ok::<_, Infallible>((length.min(most), is_last && length <= most))
        });
        // None are written where the declared length is reached.
        if let Ok(count @ 1..) = written {
            link.output.gathered.push(position, bytes.split_to(count));
            return Ok(count);
        }
    }
    let count = engine.write_body(&mut link.output.buffer, id, &bytes[..length], is_last)?;
    bytes.advance(count);
    Ok(count)
}
