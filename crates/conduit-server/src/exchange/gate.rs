//! A response's stream: a task polls it for the next piece when the connection has room for one.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;

use crate::body::{Body, BodyError, BodyKind, BoxError, PieceStream};
use crate::commands::{Command, CommandSender, StreamEnd, register};
use crate::counts::Counts;
use crate::instrumentation::{Instrumentation, PollScope};
use crate::panics::{discard, message};

/// Opens for each piece of a response's stream, and closes with the exchange.
///
/// At most one piece is between the stream and its connection: a piece that is not framed yet cannot overtake one that is
/// not sent yet.
#[derive(Default)]
pub(crate) struct StreamGate {
    state: Cell<GateState>,
    task: Cell<Option<Waker>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum GateState {
    /// The connection has no room.
    #[default]
    Full,
    /// The stream may return a piece.
    Room,
    /// The stream produces a piece.
    Promised,
    /// The command with the piece is queued.
    Queued,
    Closed,
}

impl StreamGate {
    /// Records that the connection has room for a piece. A promised piece comes first.
    pub(crate) fn open(&self) {
        if self.state.get() == GateState::Full {
            self.change(GateState::Room);
        }
    }

    /// Records that a piece has arrived.
    pub(crate) fn mark_arrived(&self) {
        if self.state.get() == GateState::Queued {
            self.state.set(GateState::Full);
        }
    }

    /// Records that the stream has produced the promised piece.
    fn mark_made(&self) {
        if self.state.get() == GateState::Promised {
            self.state.set(GateState::Queued);
        }
    }

    /// Ends the exchange: the stream is dropped, even while it is pending.
    pub(crate) fn close(&self) {
        self.change(GateState::Closed);
    }

    fn change(&self, state: GateState) {
        self.state.set(state);
        if let Some(waker) = self.task.take() {
            waker.wake();
        }
    }

    /// Waits for room, and promises a piece for it. Returns false when the gate has closed.
    fn poll_room(&self, context: &mut Context<'_>) -> Poll<bool> {
        match self.state.get() {
            GateState::Closed => Poll::Ready(false),
            GateState::Room | GateState::Promised => {
                self.state.set(GateState::Promised);
                Poll::Ready(true)
            }
            GateState::Full | GateState::Queued => {
                register(&self.task, context.waker());
                Poll::Pending
            }
        }
    }

    fn poll_closed(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.state.get() == GateState::Closed {
            return Poll::Ready(());
        }
        register(&self.task, context.waker());
        Poll::Pending
    }
}

/// The number of pieces that are [taken](ResponseStream::take_ready) at most before a task polls the stream.
pub(crate) const READY_PIECES: usize = 8;

/// The stream of a response's body.
pub(crate) struct ResponseStream {
    body: StreamBody,
    /// An error of the stream, which comes next.
    failed: Option<Box<BodyError>>,
    scope: PollScope,
}

/// The body of a stream, in little memory: an idle event stream holds it for long.
enum StreamBody {
    Pieces(Pin<Box<dyn PieceStream>>),
    /// A body of declared length, or the body of a request.
    Other(Box<Body>),
}

/// The body after its drop, without memory.
struct NoPieces;

impl Stream for NoPieces {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(None)
    }
}

impl StreamBody {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match self {
            StreamBody::Pieces(stream) => stream.as_mut().poll_piece(context).map_err(BodyError::of_stream),
            StreamBody::Other(body) => Pin::new(&mut **body).poll_next(context),
        }
    }

    fn trailers(&self) -> Option<Box<HeaderMap>> {
        let trailers = match self {
            StreamBody::Pieces(stream) => stream.trailer_fields(),
            StreamBody::Other(body) => body.trailers(),
        };
        trailers.map(Box::new)
    }
}

/// A result of [`ResponseStream::take_ready`].
pub(crate) enum ReadyPiece {
    Piece(Bytes),
    End(Option<Box<HeaderMap>>),
    /// A task has to poll the stream.
    NotReady,
}

impl ResponseStream {
    pub(super) fn new(body: Body, instrumentation: Instrumentation) -> Self {
        let body = match body.0 {
            BodyKind::Stream(stream, None) => StreamBody::Pieces(stream),
            other => StreamBody::Other(Box::new(Body(other))),
        };
        ResponseStream {
            body,
            failed: None,
            scope: instrumentation.into_scope(),
        }
    }

    /// Takes a piece that is ready when the head is written: it leaves with the head, and a stream that ends so needs no task.
    pub(crate) fn take_ready(&mut self, counts: &Counts) -> ReadyPiece {
        // A piece of a body with a declared length is checked against the sent bytes, and a body of a request may still
        // arrive.
        if let StreamBody::Other(_) = self.body {
            return ReadyPiece::NotReady;
        }
        // The task that polls the stream next registers its waker.
        match self.poll_next(counts, &mut Context::from_waker(Waker::noop())) {
            Poll::Pending => ReadyPiece::NotReady,
            Poll::Ready(Some(Ok(piece))) => ReadyPiece::Piece(piece),
            Poll::Ready(Some(Err(error))) => {
                self.failed = Some(Box::new(error));
                ReadyPiece::NotReady
            }
            Poll::Ready(None) => ReadyPiece::End(self.trailers()),
        }
    }

    /// The trailers, after the last piece.
    pub(crate) fn trailers(&self) -> Option<Box<HeaderMap>> {
        self.body.trailers()
    }

    /// The next piece, on the worker with these counters. A stream that panics is not polled again, so that its broken state is
    /// never seen.
    pub(crate) fn poll_next(
        &mut self,
        counts: &Counts,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(error) = self.failed.take() {
            return Poll::Ready(Some(Err(*error)));
        }
        let poll = || self.scope.during(counts, || self.body.poll_next(context));
        catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|panic| {
            let error = format!("the stream panicked: {}", message(panic));
            Poll::Ready(Some(Err(BodyError::Stream(error.into()))))
        })
    }
}

impl Drop for ResponseStream {
    /// The drop of an application's stream may panic.
    fn drop(&mut self) {
        discard(std::mem::replace(
            &mut self.body,
            StreamBody::Pieces(Box::pin(NoPieces)),
        ));
    }
}

/// Sends the pieces of a response's body to its connection, one for each time that the gate opens, and then the end.
///
/// Not a future of an async function, which stores its arguments twice: an idle stream holds it for long.
pub(super) struct Pump {
    /// `None` after its end.
    stream: Option<ResponseStream>,
    gate: Rc<StreamGate>,
    sender: CommandSender,
}

impl Pump {
    pub(super) fn new(stream: ResponseStream, gate: Rc<StreamGate>, sender: CommandSender) -> Self {
        Pump {
            stream: Some(stream),
            gate,
            sender,
        }
    }

    /// Sends the pieces and the end as far as there is room, on the worker with these counters. Ready once the exchange needs
    /// no more of the stream.
    pub(super) fn poll(&mut self, counts: &Counts, context: &mut Context<'_>) -> Poll<()> {
        if let Some(end) = ready!(self.poll_end(counts, context)) {
            self.sender.send(Command::StreamEnd(end));
        }
        self.stream = None;
        Poll::Ready(())
    }

    /// The end of the stream; `None` if the exchange is over.
    fn poll_end(&mut self, counts: &Counts, context: &mut Context<'_>) -> Poll<Option<StreamEnd>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(None);
        };
        loop {
            if !ready!(self.gate.poll_room(context)) || self.gate.poll_closed(context).is_ready() {
                return Poll::Ready(None);
            }
            match ready!(stream.poll_next(counts, context)) {
                Some(Ok(piece)) => {
                    self.gate.mark_made();
                    self.sender.send(Command::Piece(piece));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(Some(Ok(stream.trailers()))),
            }
        }
    }
}
