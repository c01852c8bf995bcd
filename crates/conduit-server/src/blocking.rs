//! Reports a handler that blocks its worker, while it still runs.
//!
//! A worker serves all of its connections on one thread, so a long computation or a blocking call in a handler
//! delays all of them. Each worker records the handler that it polls, by a store before and a store after; a separate
//! thread reads the records periodically. So a poll costs two stores to memory with a single writer and no clock reading,
//! and a handler that never returns is reported too, which a clock reading after the poll could not do.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::ServerHandle;
use crate::panics::emit;
use crate::route::Definition;
use crate::running::ROUTE;

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
