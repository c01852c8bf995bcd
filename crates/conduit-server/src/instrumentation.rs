//! The polls of an application's code: each is recorded for the route of its request, and entered in the request's span.
//!
//! [`blocking`](crate::blocking) reads the records.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use tracing::Span;

use crate::counts::{Counts, WorkerCounts};
use crate::endpoint::{PendingHandler, panicked};
use crate::panics::discard;
use crate::response::Response;

/// The part of a request that continues as a task: its polls are recorded, and entered in the request's span.
pub(super) struct Instrumentation {
    pub(super) route: Option<u32>,
    pub(super) span: Span,
    pub(super) counts: WorkerCounts,
}

impl Instrumentation {
    /// Calls a function that polls the application's code.
    pub(super) fn during<T>(&self, poll: impl FnOnce() -> T) -> T {
        during(Some(&self.span), self.route, self.counts.of_worker(), poll)
    }

    /// The same in little memory, for the part of a request that lives long.
    pub(super) fn into_scope(self) -> PollScope {
        PollScope {
            route: self.route,
            span: (!self.span.is_none()).then(|| Box::new(self.span)),
        }
    }
}

/// The route and the span of polls.
pub(super) struct PollScope {
    route: Option<u32>,
    span: Option<Box<Span>>,
}

impl PollScope {
    /// Calls a function as [`Instrumentation::during`] does, on the worker with these counters.
    pub(super) fn during<T>(&self, counts: &Counts, poll: impl FnOnce() -> T) -> T {
        during(self.span.as_deref(), self.route, counts, poll)
    }

    /// The identity of the span, as the parent of events.
    #[cfg(feature = "websocket")]
    pub(super) fn parent(&self) -> Option<tracing::Id> {
        self.span.as_ref().and_then(|span| span.id())
    }
}

/// A handler that continues as a task. It always responds, because its connection waits for it without a deadline.
pub(super) struct InstrumentedHandler {
    /// `None` after its response.
    pub(super) handler: Option<PendingHandler>,
    pub(super) instrumentation: Instrumentation,
}

impl Future for InstrumentedHandler {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        let InstrumentedHandler {
            handler,
            instrumentation,
        } = &mut *self;
        let poll = || {
            instrumentation.during(|| {
                let running = handler.as_mut().expect("a handler is polled until it has responded");
                let polled = Pin::new(running).poll(context);
                if polled.is_ready() {
                    *handler = None;
                }
                polled
            })
        };
        // A handler catches its panics, so this one comes from the code around it, such as a subscriber. The future is
        // dropped, and its broken state is not observable.
        catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|panic| {
            if let Some(handler) = handler.take() {
                discard(handler);
            }
            Poll::Ready(panicked(panic))
        })
    }
}

/// Calls a function within a span, while the worker with these counters records its route.
fn during<T>(span: Option<&Span>, route: Option<u32>, counts: &Counts, poll: impl FnOnce() -> T) -> T {
    let _inside = span.map(Span::enter);
    counts.running.during(route.map(|route| route as usize), poll)
}
