//! A job in progress: its exchange, whose client is a part of this process or another library.

use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use conduit_core::interop::SendBody;
use http::HeaderMap;
use http::response::Parts;
use tokio::sync::oneshot;

use super::messages::ResponseFraming;
use crate::body::{Body, BodyKind, BoxError, PieceStream};
use crate::counts::WorkerCounts;
use crate::exchange::{Environment, Exchange, PendingResponse, ResponseStream};
use crate::panics::discard;
use crate::response::Response;

/// An exchange whose client is a part of this process or another library. Its record, which only a request of the process has,
/// is complete after [`end`](Self::end); a drop before it cancels the exchange.
pub(super) struct JobExchange {
    exchange: Exchange,
    environment: Rc<RefCell<Environment>>,
    framing: ResponseFraming,
}

impl JobExchange {
    pub(super) fn new(exchange: Exchange, environment: Rc<RefCell<Environment>>, framing: ResponseFraming) -> Self {
        JobExchange {
            exchange,
            environment,
            framing,
        }
    }

    /// Responds when the handler is ready. The exchange is cancelled when its caller disconnects; the handler continues unless its
    /// route ends with its client.
    pub(super) async fn run(mut self, pending: PendingResponse, mut answer: oneshot::Sender<http::Response<SendBody>>) {
        let aborts = pending.ends_with_client();
        let mut pending = pin!(pending);
        let response = poll_fn(|context| {
            if (aborts || self.exchange.has_record()) && answer.poll_closed(context).is_ready() {
                self.cancel(0);
                if aborts {
                    return Poll::Ready(None);
                }
            }
            pending.as_mut().poll(context).map(Some)
        });
        if let Some(response) = response.await {
            self.exchange.set_idle();
            self.respond(response, answer);
        }
    }

    /// Sends the response to the caller. The record of a streamed response ends with its body.
    pub(super) fn respond(mut self, response: Response, answer: oneshot::Sender<http::Response<SendBody>>) {
        let response = self.framing.finish(response, &self.environment.borrow().application);
        self.exchange.record_head(&response);
        if self.exchange.has_record() && !response.body().is_in_memory() {
            let (parts, body) = response.into_parts();
            let body = self.record_stream(&parts, body);
            send(Response::from_parts(parts, body), answer);
            return;
        }
        let bytes = response.body().len().unwrap_or_default();
        match send(response, answer) {
            true => self.end(),
            false => self.cancel(bytes),
        }
    }

    /// The body of the response as a stream with which the exchange ends.
    fn record_stream(mut self, parts: &Parts, body: Body) -> Body {
        let length = body.len();
        let environment = self.environment.borrow();
        let stream = self.exchange.begin_stream(parts, body, &environment);
        let counts = environment.worker_counts();
        drop(environment);
        let recorded = RecordedStream {
            stream,
            counts,
            job: self,
        };
        Body(BodyKind::Stream(Box::pin(recorded), length))
    }

    fn end(&mut self) {
        self.exchange.end(&mut self.environment.borrow_mut());
    }

    fn cancel(&mut self, unsent_bytes: u64) {
        self.exchange.cancel(unsent_bytes, &mut self.environment.borrow_mut());
    }
}

impl Drop for JobExchange {
    fn drop(&mut self) {
        self.cancel(0);
    }
}

/// The stream of a recorded response. The exchange ends with the stream, and is cancelled by an error or a drop before its end.
struct RecordedStream {
    stream: ResponseStream,
    counts: WorkerCounts,
    job: JobExchange,
}

impl PieceStream for RecordedStream {
    fn poll_piece(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let RecordedStream { stream, counts, .. } = &mut *self;
        let next = ready!(stream.poll_next(counts.of_worker(), context));
        match &next {
            Some(Ok(piece)) => self.job.exchange.record_body(piece.len() as u64),
            Some(Err(_)) => self.job.cancel(0),
            None => {
                self.job.exchange.set_idle();
                self.job.end();
            }
        }
        Poll::Ready(next.map(|piece| piece.map_err(Into::into)))
    }

    fn trailer_fields(&self) -> Option<HeaderMap> {
        self.stream.trailers().map(|trailers| *trailers)
    }
}

/// Returns whether there is a caller that receives the response.
pub(super) fn send(response: Response, answer: oneshot::Sender<http::Response<SendBody>>) -> bool {
    answer.send(response.map(SendBody::new)).map_err(discard).is_ok()
}
