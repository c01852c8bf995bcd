//! Reports a handler that blocks its worker, while it still runs.
//!
//! A worker serves all of its connections on one thread, so a long computation or a blocking call in a handler
//! delays all of them. Each worker records the handler that it polls, by a store before and a store after; a separate
//! thread reads the records periodically. So a poll costs two stores to memory with a single writer and no clock reading,
//! and a handler that never returns is reported too, which a clock reading after the poll could not do.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tracing::Span;

use crate::ServerHandle;
use crate::counts::Counts;
use crate::endpoint::{PendingHandler, panicked};
use crate::panics::{discard, emit};
use crate::response::Response;
use crate::route::Definition;
use crate::running::ROUTE;

/// The counters of one of the workers.
pub(super) struct WorkerCounts {
    pub(super) all: Arc<[Counts]>,
    pub(super) worker: u32,
}

impl WorkerCounts {
    pub(super) fn of_worker(&self) -> &Counts {
        &self.all[self.worker as usize]
    }
}

/// The part of a request that continues as a task: its polls are recorded, and entered in the request's span.
pub(super) struct Instrumentation {
    pub(super) route: Option<u32>,
    pub(super) span: Span,
    pub(super) counts: WorkerCounts,
}

impl Instrumentation {
    /// Calls a function that polls the application's code.
    pub(super) fn during<T>(&self, poll: impl FnOnce() -> T) -> T {
        let _inside = self.span.enter();
        let route = self.route.map(|route| route as usize);
        self.counts.of_worker().running.during(route, poll)
    }

    /// The same in little memory, for the part of a request that lives long.
    pub(super) fn into_scope(self) -> (PollScope, WorkerCounts) {
        let span = (!self.span.is_none()).then(|| Box::new(self.span));
        (
            PollScope {
                route: self.route,
                span,
            },
            self.counts,
        )
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
        let _inside = self.span.as_ref().map(|span| span.enter());
        let route = self.route.map(|route| route as usize);
        counts.running.during(route, poll)
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

/// The watching thread's record of one worker.
#[derive(Clone, Copy)]
struct Seen {
    running: u64,
    since: Instant,
    /// Set if the handler has been reported.
    named: bool,
}

/// Reports handlers that block a worker for longer than `threshold`, until the sender of `ended` is dropped.
pub(super) fn watch(server: &ServerHandle, threshold: Duration, ended: &Receiver<std::convert::Infallible>) {
    let (counts, definitions) = (server.counts(), server.definitions());
    let mut seen: Vec<Option<Seen>> = vec![None; counts.len()];
    let period = (threshold / 2).max(Duration::from_millis(1));
    while ended.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
        let now = Instant::now();
        for (worker, (counts, seen)) in counts.iter().zip(&mut seen).enumerate() {
            let running = counts.running.get();
            inspect(worker, running, now, threshold, definitions, seen);
        }
    }
}

fn inspect(
    worker: usize,
    running: u64,
    now: Instant,
    threshold: Duration,
    definitions: &'static [Definition],
    seen: &mut Option<Seen>,
) {
    match seen {
        Some(known) if known.running == running => {
            let blocked = now - known.since;
            if blocked >= threshold && !known.named {
                known.named = true;
                let (method, route, handler) = name(running, definitions);
                let blocked_ms = blocked.as_millis() as u64;
                emit(&|| {
                    tracing::warn!(
                        method,
                        route,
                        handler,
                        worker,
                        blocked_ms,
                        "a handler blocks its worker: all connections of the worker wait for it; \
                     run long computations and blocking calls in tokio::task::spawn_blocking"
                    )
                });
            }
        }
        _ => {
            if let Some(known) = seen.take().filter(|known| known.named) {
                let (method, route, handler) = name(known.running, definitions);
                let blocked_ms = (now - known.since).as_millis() as u64;
                emit(&|| {
                    tracing::warn!(
                        method,
                        route,
                        handler,
                        worker,
                        blocked_ms,
                        "the handler no longer blocks its worker"
                    )
                });
            }
            if running & ROUTE != 0 {
                *seen = Some(Seen {
                    running,
                    since: now,
                    named: false,
                });
            }
        }
    }
}

/// The workers that poll a handler at the moment, and its route where it has one.
pub(super) fn polled_routes(server: &ServerHandle) -> impl Iterator<Item = (usize, &'static Definition)> {
    let definitions = server.definitions();
    server.counts().iter().enumerate().filter_map(|(worker, counts)| {
        let route = (counts.running.get() & ROUTE) as usize;
        Some((worker, definitions.get(route.wrapping_sub(1))?))
    })
}

fn name(running: u64, definitions: &'static [Definition]) -> (&'static str, &'static str, &'static str) {
    let route = ((running & ROUTE) as usize).wrapping_sub(1);
    definitions.get(route).map_or(("", "", ""), |definition| {
        (definition.method, definition.path, definition.handler)
    })
}
