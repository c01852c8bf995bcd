//! A response's stream: a task polls it for the next piece when the connection has room for one.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;

use crate::blocking::Instrumentation;
use crate::body::{Body, BodyError};
use crate::commands::{Command, CommandSender};
use crate::panics::{discard, message};

/// Opens for each piece of a response's stream, and closes with the exchange.
///
/// At most one piece is between the stream and its connection: a piece that is not framed yet cannot overtake one that is
/// not sent yet.
#[derive(Default)]
pub(crate) struct StreamGate {
    state: Cell<GateState>,
    task: RefCell<Option<Waker>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum GateState {
    /// The client lags.
    #[default]
    Full,
    /// The stream may return a piece.
    Room,
    /// The stream makes a piece, or the piece is on its way.
    Asked,
    Closed,
}

impl StreamGate {
    /// The connection has room for a piece. One that is on its way comes first.
    pub(crate) fn open(&self) {
        if self.state.get() == GateState::Full {
            self.change(GateState::Room);
        }
    }

    /// A piece has arrived.
    pub(crate) fn has_arrived(&self) {
        if self.state.get() == GateState::Asked {
            self.state.set(GateState::Full);
        }
    }

    /// The exchange is over: the stream is dropped, even while it is pending.
    pub(crate) fn close(&self) {
        self.change(GateState::Closed);
    }

    fn change(&self, state: GateState) {
        self.state.set(state);
        if let Some(waker) = self.task.take() {
            waker.wake();
        }
    }

    fn register(&self, waker: &Waker) {
        let mut task = self.task.borrow_mut();
        if !task.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *task = Some(waker.clone());
        }
    }

    /// Waits for room, and promises a piece for it. Returns false when the gate has closed.
    fn poll_room(&self, context: &mut Context<'_>) -> Poll<bool> {
        match self.state.get() {
            GateState::Closed => Poll::Ready(false),
            GateState::Room => {
                self.state.set(GateState::Asked);
                Poll::Ready(true)
            }
            GateState::Full | GateState::Asked => {
                self.register(context.waker());
                Poll::Pending
            }
        }
    }

    fn poll_closed(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.state.get() == GateState::Closed {
            return Poll::Ready(());
        }
        self.register(context.waker());
        Poll::Pending
    }
}

/// The next piece of a body. A stream that panics is not polled again, so that its broken state is never seen.
pub(crate) fn next_piece(
    body: &mut Body,
    instrumentation: &Instrumentation,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, BodyError>>> {
    let poll = || instrumentation.during(|| Pin::new(body).poll_next(context));
    catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|panic| {
        let error = format!("the stream panicked: {}", message(panic));
        Poll::Ready(Some(Err(BodyError::Stream(error.into()))))
    })
}

/// Sends the pieces of a response's body to its connection, one for each time that the gate opens.
///
/// A hand-written future: an async function stores its arguments twice, and an idle stream holds it for long.
pub(crate) struct Pump {
    /// `None` after its end.
    body: Option<Body>,
    /// An error that the stream returned before; it is sent in place of the next piece.
    failed: Option<Box<BodyError>>,
    gate: Rc<StreamGate>,
    sender: CommandSender,
    instrumentation: Instrumentation,
    /// The gate has opened for the next piece.
    is_asked: bool,
}

impl Pump {
    pub(crate) fn new(
        body: Body,
        failed: Option<BodyError>,
        gate: Rc<StreamGate>,
        sender: CommandSender,
        instrumentation: Instrumentation,
    ) -> Self {
        Pump {
            body: Some(body),
            failed: failed.map(Box::new),
            gate,
            sender,
            instrumentation,
            is_asked: false,
        }
    }

    /// The end of the stream; `None` if the exchange is over.
    fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<Option<StreamEnd>> {
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        loop {
            if !self.is_asked {
                if !ready!(self.gate.poll_room(context)) {
                    return Poll::Ready(None);
                }
                self.is_asked = true;
            }
            if self.gate.poll_closed(context).is_ready() {
                return Poll::Ready(None);
            }
            if let Some(error) = self.failed.take() {
                return Poll::Ready(Some(Err(*error)));
            }
            match ready!(next_piece(body, &self.instrumentation, context)) {
                Some(Ok(piece)) => {
                    self.is_asked = false;
                    self.sender.send(Command::Piece(piece));
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(Some(Ok(body.trailers().map(Box::new)))),
            }
        }
    }
}

/// The trailers after the stream, or its error.
type StreamEnd = Result<Option<Box<HeaderMap>>, BodyError>;

impl Future for Pump {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(end) = ready!(self.poll_end(context)) {
            self.sender.send(Command::StreamEnd(end));
        }
        discard(self.body.take());
        Poll::Ready(())
    }
}
