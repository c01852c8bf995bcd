//! The task of a WebSocket's handler, which ends with its connection.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use conduit_proto::ws::CloseCode;
use tokio::time::Sleep;

use crate::blocking::Instrumentation;
use crate::panics::{discard, emit, message};
use crate::websocket::{Channel, SocketFuture, WebSocketClosed};
use crate::work::InProgress;

/// The time that a handler has after the end of its connection.
const AFTER_END: Duration = Duration::from_secs(10);

/// A handler in progress. A shutdown waits for it.
pub(super) struct SocketTask {
    /// `None` after its end.
    handler: Option<SocketFuture>,
    channel: Rc<Channel>,
    instrumentation: Instrumentation,
    /// The handler ends at the end of the connection.
    aborts: bool,
    /// Set after the end of the connection.
    rest: Option<Pin<Box<Sleep>>>,
    #[expect(dead_code, reason = "its drop ends the wait of a shutdown")]
    in_progress: InProgress,
}

impl SocketTask {
    pub(super) fn new(
        handler: SocketFuture,
        channel: Rc<Channel>,
        instrumentation: Instrumentation,
        aborts: bool,
        in_progress: InProgress,
    ) -> Self {
        SocketTask {
            handler: Some(handler),
            channel,
            instrumentation,
            aborts,
            rest: None,
            in_progress,
        }
    }

    /// Polls the handler. An error or a panic closes the WebSocket with 1011.
    fn poll_handler(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(handler) = &mut self.handler else {
            return Poll::Ready(());
        };
        let instrumentation = &self.instrumentation;
        let poll = || instrumentation.during(|| handler.as_mut().poll(context));
        let error = match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) => {
                self.channel.has_begun();
                return Poll::Pending;
            }
            Ok(Poll::Ready(Ok(()))) => None,
            // A handler that passes on the end of its connection, or the Close of a stop, has not failed.
            Ok(Poll::Ready(Err(error))) if self.channel.has_ended() || error.is::<WebSocketClosed>() => None,
            Ok(Poll::Ready(Err(error))) => Some(error.to_string()),
            Err(panic) => Some(format!("the handler panicked: {}", message(panic))),
        };
        if let Some(error) = error {
            emit(|| tracing::error!(parent: &instrumentation.span, error, "the handler of a WebSocket failed"));
            self.channel.close(CloseCode::INTERNAL_ERROR, "");
        }
        discard(self.handler.take());
        self.channel.has_begun();
        Poll::Ready(())
    }
}

impl Future for SocketTask {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let task = &mut *self;
        if task.poll_handler(context).is_ready() {
            return Poll::Ready(());
        }
        if task.channel.poll_ended(context).is_pending() {
            return Poll::Pending;
        }
        let is_over = task.aborts || {
            let rest = task.rest.get_or_insert_with(|| Box::pin(tokio::time::sleep(AFTER_END)));
            rest.as_mut().poll(context).is_ready()
        };
        if !is_over {
            return Poll::Pending;
        }
        if !task.aborts {
            let span = &task.instrumentation.span;
            emit(|| tracing::debug!(parent: span, "dropped a handler that has not ended after its WebSocket"));
        }
        discard(task.handler.take());
        Poll::Ready(())
    }
}
