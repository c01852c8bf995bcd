//! From responses to bytes: the head and the body as far as it is there, and what becomes of a response that fails.

use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use conduit_proto::h1::{self, BodyLength, Phase};
use http::header::{CONNECTION, STRICT_TRANSPORT_SECURITY};
use http::{HeaderValue, StatusCode};
use tracing::Span;

use super::stream::{Outlet, next_piece, pump};
use super::{Connection, Stage};
use crate::body::{Body, BodyError, Kind};
use crate::panics::discard;
use crate::pool::{self, Untouched};
use crate::problem::Problem;
use crate::response::{IntoResponse, Response};
use crate::server::blocking::Attendance;
use crate::server::counts::Limit;
use crate::server::tail::{Tail, UNCOPIED_BYTES};
use crate::server::worker::Shared;

/// How much of a stream is taken at once before its head is sent, if it is there.
const READY_PIECES: usize = 8;
const READY_BYTES: usize = 16 * 1024;

impl Connection {
    /// Writes a response, or its head and what is there of its body.
    pub(super) fn respond(&mut self, mut response: Response, output: &mut Vec<u8>, shared: &mut Shared) {
        if self.engine.is_no_answer(response.status()) {
            // A connection that this sent into another protocol would be one that nobody reads.
            let status = response.status();
            tracing::error!(%status, "a handler answered with a status that ends no request");
            discard(response);
            let failed = shared
                .application
                .show(StatusCode::INTERNAL_SERVER_ERROR.into_response());
            return self.respond(failed, output, shared);
        }
        if let Some(observed) = &mut self.observed {
            observed.answered(response.status(), response.body());
        }
        let last = self.requests >= shared.config.requests;
        if last {
            shared.counts().strike(Limit::Requests);
        }
        // The client has ended its half in the middle of the body, and all that came was taken in.
        let cut_short = self.ended && self.body.is_none() && self.engine.phase() == Phase::Body;
        // After 413 nobody wants the rest of the body, however long it is.
        if last
            || shared.stopping
            || cut_short
            || (self.body.is_some() && response.status() == StatusCode::PAYLOAD_TOO_LARGE)
        {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(hsts) = &shared.hsts
            && self.transport.is_secure()
        {
            response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        let bytes: &[u8] = match &response.body().0 {
            Kind::Empty => &[],
            Kind::Static(bytes) => bytes,
            Kind::Bytes(bytes) => bytes,
            Kind::Buffer(buffer) | Kind::Problem(_, buffer) => buffer,
            Kind::File(_) => return self.respond_uncopied(response, output, shared),
            Kind::Stream(..) | Kind::Incoming(_) => return self.respond_by_stream(response, output, shared),
            // What an application that is a service was sent, and has answered with to one that serves here.
            #[cfg(feature = "tower")]
            Kind::Limited(_) => {
                let response = response.map(|body| match body.len() {
                    Some(length) => Body::from_sized_stream(body, length),
                    None => Body::from_stream(body),
                });
                return self.respond(response, output, shared);
            }
        };
        if bytes.len() >= UNCOPIED_BYTES {
            return self.respond_uncopied(response, output, shared);
        }
        let untouched = Untouched::of(&response);
        let is_written =
            untouched.is_some_and(|head| self.engine.write_usual(output, head.written(), bytes, &shared.date));
        if !is_written {
            self.engine
                .write_response(output, response.status(), response.headers(), bytes, &shared.date);
        }
        let (parts, body) = response.into_parts();
        if let Kind::Bytes(_) = &body.0 {
            // They may have an owner of the application's.
            discard(body);
        }
        pool::recycle(parts, untouched);
        self.drop_body();
        self.end_watch(true, shared);
    }

    /// Writes the head of a response whose body is a stream, or a request's, and what is there of it.
    fn respond_by_stream(&mut self, response: Response, output: &mut Vec<u8>, shared: &mut Shared) {
        let (parts, body) = response.into_parts();
        if let Kind::Incoming(incoming) = &body.0 {
            if let Err(error) = incoming.check_limit(0) {
                discard(parts);
                let refused = shared.application.show(error.into_response());
                return self.respond(refused, output, shared);
            }
            // The answer is the request's own body: the client must send it before it sees a status.
            self.engine.write_continue(output);
        }
        let length = body.len().map_or(BodyLength::Chunked, BodyLength::Exact);
        self.engine
            .write_head(output, parts.status, &parts.headers, length, &shared.date);
        pool::recycle(parts, None);
        if !self.engine.wants_body() {
            // It is not even begun: there are no bytes that could be too few.
            let _ = self.engine.write_end(output, None);
            discard(body);
            self.drop_body();
            self.end_watch(true, shared);
            return;
        }
        let outlet = Rc::new(Outlet::default());
        self.stage = Stage::Streaming(Rc::clone(&outlet), self.disconnect(shared));
        let span = self
            .observed
            .as_ref()
            .map_or(Span::none(), |observed| observed.span.clone());
        let attendance = shared.attend(self.route.map(|(index, _)| index), span);
        if let Some((body, failed)) = self.write_what_is_ready(body, &attendance, output, shared) {
            let outbox = self.outbox(shared);
            tokio::task::spawn_local(pump(body, failed, outlet, outbox, attendance));
        }
    }

    /// Writes the head of a response whose body is sent from where it is.
    fn respond_uncopied(&mut self, response: Response, output: &mut Vec<u8>, shared: &mut Shared) {
        let (parts, body) = response.into_parts();
        let length = body.len().unwrap_or_default();
        let wanted = self
            .engine
            .write_response_head(output, parts.status, &parts.headers, length, &shared.date);
        pool::recycle(parts, None);
        self.drop_body();
        if wanted && length > 0 {
            if let Some(observed) = &mut self.observed {
                // They are counted when they are sent, and the answer is complete when they all are.
                observed.body_bytes = 0;
            }
            self.tail = Some(Box::new(Tail::of(body)));
        } else {
            discard(body);
            self.end_watch(true, shared);
        }
    }

    /// Writes the first pieces of a stream behind its head, if they are there at once: they leave together, and a stream
    /// that ends so needs no task. Gives what comes later, and an error that comes next.
    fn write_what_is_ready(
        &mut self,
        mut body: Body,
        attendance: &Attendance,
        output: &mut Vec<u8>,
        shared: &mut Shared,
    ) -> Option<(Body, Option<BodyError>)> {
        // Where the length is declared it is checked piece by piece, behind what is sent; a request's body is on its way.
        if !matches!(body.0, Kind::Stream(_, None)) {
            return Some((body, None));
        }
        let start = output.len();
        for _ in 0..READY_PIECES {
            if self.tail.is_some() || output.len() - start >= READY_BYTES {
                break;
            }
            // Who polls it next leaves a waker that wakes.
            match next_piece(&mut body, attendance, &mut Context::from_waker(Waker::noop())) {
                Poll::Pending => break,
                Poll::Ready(Some(Ok(piece))) => {
                    let length = piece.len() as u64;
                    if self.write_piece(piece, output).is_err() {
                        self.break_stream("the stream is longer than the length that was declared", shared);
                        return None;
                    }
                    self.count_piece(length);
                }
                Poll::Ready(Some(Err(error))) => return Some((body, Some(error))),
                Poll::Ready(None) => {
                    discard(body);
                    self.end_stream(Ok(()), output, shared);
                    return None;
                }
            }
        }
        Some((body, None))
    }

    /// A piece of so many bytes was written. What is sent from where it is counts when it is sent.
    pub(super) fn count_piece(&mut self, length: u64) {
        if self.tail.is_none()
            && let Some(observed) = &mut self.observed
        {
            observed.body_bytes += length;
        }
    }

    /// Writes a piece of the response's stream; a large one is sent from where it is.
    pub(super) fn write_piece(&mut self, mut piece: Bytes, output: &mut Vec<u8>) -> Result<(), h1::BodyError> {
        debug_assert!(
            self.tail.is_none(),
            "a stream is asked for a piece once the last is sent"
        );
        if piece.len() < UNCOPIED_BYTES {
            return self.engine.write_body(output, &piece);
        }
        let (length, after) = self.engine.frame_body(output, piece.len() as u64)?;
        piece.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        if !piece.is_empty() {
            self.tail = Some(Box::new(Tail::piece(piece, after)));
        }
        Ok(())
    }

    pub(super) fn end_stream(&mut self, result: Result<(), BodyError>, output: &mut Vec<u8>, shared: &mut Shared) {
        if !matches!(self.stage, Stage::Streaming(..)) {
            return;
        }
        match result {
            Ok(()) => match self.engine.write_end(output, None) {
                Ok(()) => {
                    self.stage = Stage::Reading;
                    self.drop_body();
                    self.end_watch(true, shared);
                }
                Err(_) => self.break_stream("the stream is shorter than the length that was declared", shared),
            },
            Err(error) => self.break_stream(&error.to_string(), shared),
        }
    }

    /// A response cannot be finished: the client sees that by the close in the middle of it.
    pub(super) fn break_stream(&mut self, why: &str, shared: &mut Shared) {
        tracing::warn!(peer = %self.peer, error = why, "broke off a response");
        self.cut |= self.engine.ends_with_stream();
        self.engine.abort();
        if let Stage::Streaming(outlet, _) = &self.stage {
            outlet.close();
        }
        self.stage = Stage::Reading;
        self.end_watch(false, shared);
    }

    /// Answers in place of a handler, if nothing was answered yet, and closes.
    pub(super) fn refuse(&mut self, problem: Problem, output: &mut Vec<u8>, shared: &mut Shared) {
        self.drop_body();
        if self.engine.can_answer() {
            let mut response = shared.application.show(problem.into_response());
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
            if self.observed.is_none() {
                let bytes = response.body().len().unwrap_or_default();
                shared.watch.refused(self.client(), response.status(), bytes);
            }
            self.abort_handler();
            self.stage = Stage::Reading;
            self.respond(response, output, shared);
        } else if matches!(self.stage, Stage::Streaming(..)) {
            // The answer under way goes on; without a body to wait for there is no deadline to strike again.
            self.engine.stop_reading();
        } else {
            self.engine.abort();
        }
    }

    /// The request is answered: nobody is given the rest of its body any more. The engine skips it, or closes.
    pub(super) fn drop_body(&mut self) {
        if let Some(body) = self.body.take() {
            body.break_off();
        }
        self.paused = false;
    }

    /// The answer is complete, or has broken off: whoever watches the request is told.
    #[inline]
    pub(super) fn end_watch(&mut self, complete: bool, shared: &mut Shared) {
        if let Some(observed) = self.observed.take() {
            shared.end_watch(observed, complete);
        }
    }
}
