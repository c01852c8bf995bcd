//! The handlers that run as tasks, with or without a client: a shutdown waits for them, and names those that it cuts off.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use slab::Slab;

use super::deadlines::Second;
use crate::route::Definition;

/// Those of one worker.
#[derive(Clone, Default)]
pub(super) struct Handlers(Rc<RefCell<Slab<Entry>>>);

struct Entry {
    route: Option<&'static Definition>,
    client: SocketAddr,
    began: Second,
}

impl Handlers {
    /// Counts a handler as one that runs, as long as what is returned is there.
    pub(super) fn enter(&self, route: Option<&'static Definition>, client: SocketAddr, began: Second) -> Running {
        let place = self.0.borrow_mut().insert(Entry { route, client, began });
        Running {
            all: self.clone(),
            place,
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// Says in the log what is cut off because the time for the shutdown is over.
    pub(super) fn name_in_log(&self, now: Second) {
        for (_, entry) in &*self.0.borrow() {
            let (method, route) = method_and_path(entry.route);
            let seconds = now.saturating_sub(entry.began);
            tracing::warn!(peer = %entry.client, method, route, seconds, "cut off a handler at the shutdown");
        }
    }
}

/// A handler that runs.
pub(super) struct Running {
    all: Handlers,
    place: usize,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.all.0.borrow_mut().remove(self.place);
    }
}

/// How a route is named in the log.
pub(super) fn method_and_path(route: Option<&'static Definition>) -> (&'static str, &'static str) {
    route.map_or(("", ""), |route| (route.method, route.path))
}
