//! The handler of a WebSocket: its connection polls it, and after the end of the connection a task does.

use std::error::Error;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use conduit_proto::ws::CloseCode;
use tokio::time::Sleep;

use crate::body::BoxError;
use crate::counts::{Counts, WorkerCounts};
use crate::instrumentation::PollScope;
use crate::panics::{discard, emit, message};
use crate::route::Disconnect;
use crate::websocket::{Channel, SocketFuture, WebSocketClosed};
use crate::work::InProgress;

/// The time that a handler has after the end of its connection.
const AFTER_END: Duration = Duration::from_secs(10);

/// A handler in progress. A shutdown waits for it.
pub(super) struct SocketHandler {
    future: SocketFuture,
    scope: PollScope,
    /// The action at the end of the connection.
    disconnect: Disconnect,
    #[expect(dead_code, reason = "its drop ends the wait of a shutdown")]
    in_progress: InProgress,
}

impl SocketHandler {
    pub(super) fn new(future: SocketFuture, scope: PollScope, disconnect: Disconnect, in_progress: InProgress) -> Self {
        SocketHandler {
            future,
            scope,
            disconnect,
            in_progress,
        }
    }

    /// Polls the handler on the worker with these counters. An error or a panic closes the WebSocket with 1011. After the end
    /// it must be [discarded](Self::discard).
    pub(super) fn poll(&mut self, channel: &Channel, counts: &Counts, context: &mut Context<'_>) -> Poll<()> {
        let SocketHandler { future, scope, .. } = self;
        let poll = || scope.during(counts, || future.as_mut().poll(context));
        let error = match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Pending) => {
                channel.has_begun();
                return Poll::Pending;
            }
            Ok(Poll::Ready(Ok(()))) => None,
            // A handler that passes on the end of its connection, or the Close of a stop, has not failed.
            Ok(Poll::Ready(Err(error))) if is_closed(&error, channel) => None,
            Ok(Poll::Ready(Err(error))) => Some(error.to_string()),
            Err(panic) => Some(format!("the handler panicked: {}", message(panic))),
        };
        if let Some(error) = error {
            emit(&|| tracing::error!(parent: scope.parent(), error, "the handler of a WebSocket failed"));
            channel.close(CloseCode::INTERNAL_ERROR, "");
        }
        Poll::Ready(())
    }

    /// Drops the handler, whose values may panic.
    pub(super) fn discard(self, channel: &Channel) {
        discard(self);
        channel.has_begun();
    }

    /// Continues as a task after the end of the connection, for a limited time.
    pub(super) fn spawn(self, channel: Rc<Channel>, counts: WorkerCounts) {
        tokio::task::spawn_local(EndingHandler {
            handler: Some(self),
            channel,
            counts,
            rest: None,
        });
    }
}

/// Returns whether an error of a handler is the end of its WebSocket, also within another error. Boxes of some libraries hide
/// the type of an error, but not its text.
fn is_closed(error: &BoxError, channel: &Channel) -> bool {
    let error: &(dyn Error + 'static) = &**error;
    let mut chain = std::iter::successors(Some(error), |&error| error.source());
    chain.any(|error| error.is::<WebSocketClosed>()) || error.to_string() == channel.closed().to_string()
}

/// A handler after the end of its connection.
struct EndingHandler {
    /// `None` after its end.
    handler: Option<SocketHandler>,
    channel: Rc<Channel>,
    counts: WorkerCounts,
    rest: Option<Pin<Box<Sleep>>>,
}

impl Future for EndingHandler {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let EndingHandler {
            handler,
            channel,
            counts,
            rest,
        } = &mut *self;
        let Some(running) = handler else {
            return Poll::Ready(());
        };
        if running.poll(channel, counts.of_worker(), context).is_pending() && running.disconnect == Disconnect::Finish {
            let rest = rest.get_or_insert_with(|| Box::pin(tokio::time::sleep(AFTER_END)));
            if rest.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            let parent = running.scope.parent();
            emit(
                &|| tracing::debug!(parent: parent.clone(), "dropped a handler that did not end within {AFTER_END:?} after its WebSocket"),
            );
        }
        if let Some(handler) = handler.take() {
            handler.discard(channel);
        }
        Poll::Ready(())
    }
}
