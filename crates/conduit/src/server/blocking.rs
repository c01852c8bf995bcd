//! Names a handler that blocks its worker, while it does.
//!
//! A worker serves all of its connections on one thread, so a handler that computes for long, or calls something that
//! blocks, keeps all of them waiting. Each worker writes down what it polls, a store before and a store behind; one thread
//! beside the workers looks at that now and then. So a poll costs two stores to memory that nobody else writes to, no
//! clock is read for it, and a handler that never comes back is named too, which a clock read behind it could not do.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tracing::Span;

use super::ServerHandle;
use super::counts::Counts;
use crate::endpoint::panicked;
use crate::panics::discard;
use crate::response::Response;
use crate::route::Definition;

/// The bits for the route; those above count the polls.
const ROUTE_BITS: u32 = 20;
const ROUTE: u64 = (1 << ROUTE_BITS) - 1;
/// What stands in place of a route where none was found.
const NO_ROUTE: u64 = ROUTE;

/// What a worker polls at the moment: the count of polls, and behind it the place of the route and 1, or 0 for nothing.
#[derive(Debug, Default)]
pub(crate) struct Running(AtomicU64);

impl Running {
    /// A poll of the handler of this route begins.
    #[inline]
    fn begin(&self, route: Option<usize>) {
        let count = (self.0.load(Relaxed) >> ROUTE_BITS).wrapping_add(1);
        let route = route.map_or(NO_ROUTE, |route| (route as u64 + 1).min(NO_ROUTE));
        self.0.store(count << ROUTE_BITS | route, Relaxed);
    }

    #[inline]
    fn end(&self) {
        self.0.store(self.0.load(Relaxed) & !ROUTE, Relaxed);
    }

    /// Calls what polls the handler of this route.
    #[inline]
    pub(super) fn during<T>(&self, route: Option<usize>, poll: impl FnOnce() -> T) -> T {
        /// Ends it in a panic, too.
        struct Ends<'a>(&'a Running);

        impl Drop for Ends<'_> {
            #[inline]
            fn drop(&mut self) {
                self.0.end();
            }
        }

        self.begin(route);
        let _ends = Ends(self);
        poll()
    }
}

/// A handler that was not ready at once.
pub(super) type Handler = Pin<Box<dyn Future<Output = Response>>>;

/// What goes on for a request as a task: what is polled is noted, and told to the request's span.
pub(super) struct Attendance {
    pub(super) route: Option<usize>,
    pub(super) span: Span,
    pub(super) counts: Arc<[Counts]>,
    pub(super) worker: usize,
}

impl Attendance {
    /// Calls what polls the application's code.
    pub(super) fn during<T>(&self, poll: impl FnOnce() -> T) -> T {
        let _inside = self.span.enter();
        self.counts[self.worker].running.during(self.route, poll)
    }
}

/// A handler that goes on as a task. Its connection waits for it without a deadline, so whatever happens it answers.
pub(super) struct Attended {
    /// `None` once it has answered.
    pub(super) handler: Option<Handler>,
    pub(super) attendance: Attendance,
}

impl Future for Attended {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        let Attended { handler, attendance } = &mut *self;
        let poll = || {
            attendance.during(|| {
                let running = handler.as_mut().expect("a handler is polled until it has answered");
                let polled = running.as_mut().poll(context);
                if polled.is_ready() {
                    *handler = None;
                }
                polled
            })
        };
        // A handler catches its own panics; this one is of what stands around it, such as a subscriber. It is dropped, and
        // nobody sees it in a broken state.
        catch_unwind(AssertUnwindSafe(poll)).unwrap_or_else(|panic| {
            if let Some(handler) = handler.take() {
                discard(handler);
            }
            Poll::Ready(panicked(panic))
        })
    }
}

/// What the watching thread knows of one worker.
#[derive(Clone, Copy)]
struct Seen {
    running: u64,
    since: Instant,
    /// It was named already.
    named: bool,
}

/// Names what blocks a worker for longer than `threshold`, until `ended` has no sender any more.
pub(super) fn watch(server: &ServerHandle, threshold: Duration, ended: &Receiver<std::convert::Infallible>) {
    let (counts, definitions) = (server.counts(), server.definitions());
    let mut seen: Vec<Option<Seen>> = vec![None; counts.len()];
    let period = (threshold / 2).max(Duration::from_millis(1));
    while ended.recv_timeout(period) == Err(RecvTimeoutError::Timeout) {
        let now = Instant::now();
        for (worker, (counts, seen)) in counts.iter().zip(&mut seen).enumerate() {
            let running = counts.running.0.load(Relaxed);
            look(worker, running, now, threshold, definitions, seen);
        }
    }
}

fn look(
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
                tracing::warn!(
                    method,
                    route,
                    handler,
                    worker,
                    blocked_ms,
                    "a handler blocks its worker: all connections of the worker wait for it; \
                     move what takes long to tokio::task::spawn_blocking"
                );
            }
        }
        _ => {
            if let Some(known) = seen.take().filter(|known| known.named) {
                let (method, route, handler) = name(known.running, definitions);
                let blocked_ms = (now - known.since).as_millis() as u64;
                tracing::warn!(
                    method,
                    route,
                    handler,
                    worker,
                    blocked_ms,
                    "the handler has let its worker go"
                );
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
        let route = (counts.running.0.load(Relaxed) & ROUTE) as usize;
        Some((worker, definitions.get(route.wrapping_sub(1))?))
    })
}

fn name(running: u64, definitions: &'static [Definition]) -> (&'static str, &'static str, &'static str) {
    let route = ((running & ROUTE) as usize).wrapping_sub(1);
    definitions.get(route).map_or(("", "", ""), |definition| {
        (definition.method, definition.path, definition.handler)
    })
}
