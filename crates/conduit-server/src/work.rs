//! The handlers and tasks in progress on a worker. A shutdown waits for them, and logs those that it interrupts.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;
use tokio::time::Instant;

use crate::panics::emit;
use crate::route::Definition;
use crate::waker_slot::register;

/// The handlers and tasks of one worker.
#[derive(Clone, Default)]
pub struct Work(Rc<Registry>);

#[derive(Default)]
struct Registry {
    entries: RefCell<Slab<Entry>>,
    /// Waits until there are no entries.
    waiter: RefCell<Option<Waker>>,
}

enum Entry {
    Handler {
        route: Option<&'static Definition>,
        client: SocketAddr,
        began: Instant,
    },
    Task {
        name: &'static str,
        began: Instant,
    },
}

/// The number of handlers and tasks.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct WorkCounts {
    pub(super) handlers: usize,
    pub(super) tasks: usize,
}

impl Work {
    /// Counts a handler until the guard is dropped.
    pub(super) fn enter(&self, route: Option<&'static Definition>, client: SocketAddr) -> InProgress {
        let began = Instant::now();
        self.add(Entry::Handler { route, client, began })
    }

    /// Counts a task until the guard is dropped.
    pub fn enter_task(&self, name: &'static str) -> InProgress {
        let began = Instant::now();
        self.add(Entry::Task { name, began })
    }

    fn add(&self, entry: Entry) -> InProgress {
        InProgress {
            key: self.0.entries.borrow_mut().insert(entry),
            work: self.clone(),
        }
    }

    pub(super) fn counts(&self) -> WorkCounts {
        let mut counts = WorkCounts::default();
        for (_, entry) in &*self.0.entries.borrow() {
            match entry {
                Entry::Handler { .. } => counts.handlers += 1,
                Entry::Task { .. } => counts.tasks += 1,
            }
        }
        counts
    }

    /// Waits until no handler and no task is in progress; for one waiter.
    pub(super) fn poll_finished(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.0.entries.borrow().is_empty() {
            return Poll::Ready(());
        }
        register(&mut self.0.waiter.borrow_mut(), context.waker());
        Poll::Pending
    }

    /// Logs each handler and task that the end of the shutdown interrupts.
    pub(super) fn name_in_log(&self) {
        for (_, entry) in &*self.0.entries.borrow() {
            match entry {
                Entry::Handler { route, client, began } => {
                    let (method, route) = method_and_path(*route);
                    let seconds = began.elapsed().as_secs();
                    emit(
                        &|| tracing::warn!(peer = %client, method, route, seconds, "cut off a handler at the shutdown"),
                    );
                }
                Entry::Task { name, began } => {
                    let seconds = began.elapsed().as_secs();
                    emit(&|| tracing::warn!(task = name, seconds, "cut off a task at the shutdown"));
                }
            }
        }
    }
}

/// A handler or task in progress.
pub struct InProgress {
    work: Work,
    key: usize,
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let Registry { entries, waiter } = &*self.work.0;
        let is_last = {
            let mut entries = entries.borrow_mut();
            entries.remove(self.key);
            entries.is_empty()
        };
        if is_last && let Some(waiter) = waiter.take() {
            waiter.wake();
        }
    }
}

/// The method and path of a route in the log; empty without a route.
pub(super) fn method_and_path(route: Option<&'static Definition>) -> (&'static str, &'static str) {
    route.map_or(("", ""), |route| (route.method, route.path))
}
