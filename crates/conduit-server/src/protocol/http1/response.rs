//! The responses of HTTP/1.1: heads, the part of the body that is ready, and responses that fail.

use std::fmt::Display;

use bytes::Bytes;
use conduit_proto::h1::{self, BodyLength, Phase};
use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue, StatusCode};

use super::Http1;
use crate::body::{Body, BodyKind};
use crate::commands::StreamEnd;
use crate::exchange::response::Sending;
use crate::exchange::{READY_PIECES, ReadyPiece};
use crate::limit::Limit;
use crate::link::{Link, UNCOPIED_BYTES, Uncopied};
use crate::panics::discard;
use crate::pool::{self, Untouched};
use crate::problem::Problem;
use crate::protocol::Step;
use crate::response::Response;
use crate::shared::Shared;

/// The number of bytes of a stream after which its head is sent before a further piece is read.
const READY_BYTES: usize = 16 * 1024;

impl Http1 {
    /// Writes the response of a handler. A response with 101 switches to the protocol that the handler has accepted.
    pub(super) fn answer(&mut self, response: Response, link: &mut Link, shared: &mut Shared) -> Step {
        #[cfg(any(feature = "testing", feature = "websocket"))]
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.upgrade(response, link, shared);
        }
        self.respond(response, link, shared);
        Step::Continue
    }

    /// Writes a final response, or its head and the available part of its body.
    pub(super) fn respond(&mut self, mut response: Response, link: &mut Link, shared: &mut Shared) {
        let is_final = self.engine.is_final(response.status());
        self.exchange
            .prepare(&mut response, is_final, || link.is_secure(), &shared.environment);
        let is_last = self.requests >= shared.config.requests;
        if is_last {
            shared.counts().record_limit_hit(Limit::Requests);
        }
        // The client has ended its half within the body, and all received bytes are used.
        let is_cut_short = link.read_closed && !self.exchange.has_body() && self.engine.phase() == Phase::Body;
        // After 413 the rest of the body stays unread.
        let is_too_large = self.exchange.has_body() && response.status() == StatusCode::PAYLOAD_TOO_LARGE;
        if is_last || shared.is_stopping() || is_cut_short || is_too_large {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        let bytes = match Sending::of(response.body()) {
            Sending::Memory(bytes) if bytes.len() < UNCOPIED_BYTES => bytes,
            Sending::Memory(_) | Sending::File => return self.respond_uncopied(response, link, shared),
            Sending::Stream => return self.respond_by_stream(response, link, shared),
        };
        let output = &mut link.output.buffer;
        let untouched = Untouched::of(&response);
        let is_written =
            untouched.is_some_and(|head| self.engine.write_usual(output, head.written(), bytes, &shared.date));
        if !is_written {
            self.engine
                .write_response(output, response.status(), response.headers(), bytes, &shared.date);
        }
        let (parts, body) = response.into_parts();
        if let BodyKind::Bytes(_) = &body.0 {
            // The bytes may belong to the application, whose drop may panic.
            discard(body);
        }
        pool::recycle(parts, untouched);
        self.end_response(shared);
    }

    /// Writes the head of a response whose body is a stream, or a request's, and the available part of the body. Not inlined: a
    /// response in memory, the usual one, would keep more values on the stack.
    #[inline(never)]
    fn respond_by_stream(&mut self, response: Response, link: &mut Link, shared: &mut Shared) {
        let (parts, body) = response.into_parts();
        if let BodyKind::Incoming(_) = &body.0 {
            // The response is the request's own body: the client must send it before it sees a status.
            self.engine.write_continue(&mut link.output.buffer);
        }
        let length = body.len().map_or(BodyLength::Chunked, BodyLength::Exact);
        self.engine.write_head(
            &mut link.output.buffer,
            parts.status,
            &parts.headers,
            length,
            &shared.date,
        );
        if !self.engine.wants_body() {
            // No byte is written, so none can be missing.
            let _ = self.engine.write_end(&mut link.output.buffer, None);
            pool::recycle(parts, None);
            discard(body);
            return self.end_response(shared);
        }
        let mut stream = self.exchange.begin_stream(&parts, body, &shared.environment);
        pool::recycle(parts, None);
        let start = link.output.buffer.len();
        for _ in 0..READY_PIECES {
            if link.output.has_uncopied() || link.output.buffer.len() - start >= READY_BYTES {
                break;
            }
            match stream.take_ready(shared.counts()) {
                ReadyPiece::Piece(piece) => {
                    if !self.write_piece_or_abort(piece, link, shared) {
                        return;
                    }
                }
                ReadyPiece::End(trailers) => return self.end_stream(Ok(trailers), link, shared),
                ReadyPiece::NotReady => break,
            }
        }
        let sender = self.sender(link, shared);
        self.exchange.spawn_stream(stream, sender, &shared.environment);
    }

    /// Writes the head of a response whose body is not copied. Not inlined, as above.
    #[inline(never)]
    fn respond_uncopied(&mut self, response: Response, link: &mut Link, shared: &mut Shared) {
        let (parts, body) = response.into_parts();
        let length = body.len().unwrap_or_default();
        let is_wanted = self.engine.write_response_head(
            &mut link.output.buffer,
            parts.status,
            &parts.headers,
            length,
            &shared.date,
        );
        pool::recycle(parts, None);
        if is_wanted && length > 0 {
            if let BodyKind::File(_) = &body.0 {
                self.exchange.record_body(length);
            }
            self.drop_request_body();
            self.exchange.begin_sending();
            link.output.put_uncopied(uncopied(body));
        } else {
            discard(body);
            self.end_response(shared);
        }
    }

    /// Writes a piece of the response's stream. Returns false if that aborted the response.
    pub(super) fn write_piece_or_abort(&mut self, piece: Bytes, link: &mut Link, shared: &mut Shared) -> bool {
        let length = piece.len() as u64;
        if let Err(error) = self.write_piece(piece, link) {
            self.abort_response(&error, 0, link, shared);
            return false;
        }
        self.exchange.record_body(length);
        true
    }

    /// Writes a piece of the response's stream; a large one is not copied.
    fn write_piece(&mut self, mut piece: Bytes, link: &mut Link) -> Result<(), h1::BodyError> {
        if piece.len() < UNCOPIED_BYTES {
            return self.engine.write_body(&mut link.output.buffer, &piece);
        }
        let (length, after) = self.engine.frame_body(&mut link.output.buffer, piece.len() as u64)?;
        piece.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        if !piece.is_empty() {
            link.output.put_uncopied(Uncopied::bytes(piece, after));
        }
        Ok(())
    }

    pub(super) fn end_stream(&mut self, end: StreamEnd, link: &mut Link, shared: &mut Shared) {
        let write = |trailers: Option<&HeaderMap>| self.engine.write_end(&mut link.output.buffer, trailers);
        match self.exchange.finish_stream(end, write) {
            Some(Ok(())) => self.end_response(shared),
            Some(Err(error)) => self.abort_response(&error, 0, link, shared),
            None => {}
        }
    }

    /// Aborts a response that cannot be completed: its client reads a close within it. `unsent_bytes` of its body were
    /// recorded and are not sent.
    pub(super) fn abort_response(&mut self, error: &dyn Display, unsent_bytes: u64, link: &Link, shared: &mut Shared) {
        let error = error.to_string();
        tracing::warn!(peer = %link.peer(), error, "aborted a response");
        if self.engine.ends_with_stream() {
            self.resets = true;
        }
        self.engine.abort();
        self.exchange.cancel(unsent_bytes, &mut shared.environment);
    }

    /// Responds in place of a handler, if there was no response yet, and closes.
    pub(super) fn refuse(&mut self, problem: Problem, link: &mut Link, shared: &mut Shared) {
        self.drop_request_body();
        if self.engine.can_answer() {
            let head_only = self.engine.is_head_only();
            let mut response = self
                .exchange
                .refuse(problem, head_only, link.client(), &shared.environment);
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
            self.respond(response, link, shared);
        } else if self.exchange.is_streaming() {
            // The response continues; without a body to wait for, no deadline can pass again.
            self.engine.stop_reading();
        } else {
            self.engine.abort();
        }
    }

    /// The response is written.
    #[inline]
    pub(super) fn end_response(&mut self, shared: &mut Shared) {
        self.drop_request_body();
        self.exchange.end(&mut shared.environment);
    }

    /// Takes the rest of the request's body from the handler. The engine skips it, or closes.
    #[inline]
    fn drop_request_body(&mut self) {
        self.exchange.abort_body();
        self.unblock_input();
    }
}

/// The body of a response whose length is known, as output without a copy; a stream has none.
fn uncopied(body: Body) -> Uncopied {
    match body.0 {
        BodyKind::File(part) => Uncopied::file(part),
        kind => Uncopied::bytes(Body(kind).into_whole(), b""),
    }
}
