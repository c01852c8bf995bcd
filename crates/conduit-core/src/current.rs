//! The server whose worker runs on this thread, as far as bodies and their coding need it.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

use crate::limit::Limit;
use crate::memory::Budgets;

thread_local! {
    static CURRENT: RefCell<Option<Rc<dyn CurrentWorker>>> = const { RefCell::new(None) };
}

/// The worker of a thread.
pub trait CurrentWorker: Any {
    /// The memory budgets of its server.
    fn budgets(&self) -> &Budgets;

    /// Counts that a limit has been hit.
    fn record_limit_hit(&self, limit: Limit);
}

/// Makes this the worker of this thread.
pub fn enter(worker: Rc<dyn CurrentWorker>) {
    // The earlier one is dropped after the borrow.
    drop(CURRENT.replace(Some(worker)));
}

/// The worker of this thread, if it has the type `W`.
pub fn worker<W: CurrentWorker>() -> Option<Rc<W>> {
    let worker: Rc<dyn Any> = CURRENT.with_borrow(Clone::clone)?;
    worker.downcast().ok()
}

/// Counts that a limit has been hit, if a worker runs on this thread.
#[cold]
pub fn record_limit_hit(limit: Limit) {
    CURRENT.with_borrow(|current| {
        if let Some(worker) = current {
            worker.record_limit_hit(limit);
        }
    });
}

/// The memory budgets of the server, if a worker runs on this thread.
pub fn budgets() -> Option<Budgets> {
    CURRENT.with_borrow(|current| current.as_ref().map(|worker| worker.budgets().clone()))
}
