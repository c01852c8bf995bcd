//! A response's body that comes from a stream: it runs as a task, and is asked for a piece when there is room.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use futures_core::Stream;

use crate::body::{Body, BodyError};
use crate::panics::{discard, message};
use crate::server::blocking::Attendance;
use crate::server::mailbox::{Letter, Outbox};

/// How a response's stream learns that it may go on, or need not.
///
/// At most one piece is between the stream and its connection: what is not yet framed cannot overtake what is not yet
/// sent.
#[derive(Default)]
pub(super) struct Outlet {
    open: Cell<State>,
    pump: RefCell<Option<Waker>>,
}

impl Outlet {
    /// The connection can take a piece; one that is already asked for is waited for.
    pub(super) fn has_room(&self) {
        if self.open.get() == State::Full {
            self.change(State::Room);
        }
    }

    /// The piece that was asked for is there.
    pub(super) fn has_come(&self) {
        if self.open.get() == State::Asked {
            self.open.set(State::Full);
        }
    }

    pub(super) fn close(&self) {
        self.change(State::Closed);
    }

    fn change(&self, state: State) {
        self.open.set(state);
        if let Some(waker) = self.pump.take() {
            waker.wake();
        }
    }

    /// Waits for the end of the connection, or of the response.
    fn poll_closed(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.open.get() == State::Closed {
            return Poll::Ready(());
        }
        let mut pump = self.pump.borrow_mut();
        if !pump.as_ref().is_some_and(|known| known.will_wake(context.waker())) {
            *pump = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// Waits for room, and promises a piece for it. Says whether the connection is still there.
    async fn room(&self) -> bool {
        poll_fn(|context| match self.open.get() {
            State::Closed => Poll::Ready(false),
            State::Room => {
                self.open.set(State::Asked);
                Poll::Ready(true)
            }
            State::Full | State::Asked => {
                *self.pump.borrow_mut() = Some(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// The client is behind.
    #[default]
    Full,
    /// The stream may bring a piece.
    Room,
    /// The stream makes a piece, or it is on its way.
    Asked,
    Closed,
}

/// The next piece of a body. A stream that panics is not polled again, so nobody sees it in a broken state.
pub(super) fn next_piece(
    body: &mut Body,
    attendance: &Attendance,
    context: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, BodyError>>> {
    let poll = || attendance.during(|| Pin::new(body).poll_next(context));
    catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|panic| {
        let error = format!("the stream panicked: {}", message(panic));
        Poll::Ready(Some(Err(BodyError::Stream(error.into()))))
    })
}

/// Sends the pieces of a response's body to its connection, one at a time, while the client takes them. `failed` is an
/// error that the stream returned before; it is sent in place of the next piece.
///
/// The stream is dropped as soon as the connection closes the outlet, even while the stream is pending.
pub(super) async fn pump(
    body: Body,
    failed: Option<BodyError>,
    outlet: Rc<Outlet>,
    outbox: Outbox,
    attendance: Attendance,
) {
    let mut body = body;
    let mut failed = failed;
    while outlet.room().await {
        let piece = match failed.take() {
            Some(error) => Some(Err(error)),
            None => {
                let next = poll_fn(|context| {
                    if outlet.poll_closed(context).is_ready() {
                        return Poll::Ready(None);
                    }
                    next_piece(&mut body, &attendance, context).map(Some)
                });
                match next.await {
                    Some(piece) => piece,
                    None => break,
                }
            }
        };
        match piece {
            Some(Ok(piece)) => outbox.send(Letter::Piece(piece)),
            Some(Err(error)) => {
                outbox.send(Letter::StreamEnd(Err(error)));
                break;
            }
            None => {
                outbox.send(Letter::StreamEnd(Ok(())));
                break;
            }
        }
    }
    discard(body);
}
