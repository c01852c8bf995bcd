//! The state of an application: one value that is cloned for each worker, or one value that each worker opens.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::Result;

/// A future of one thread.
pub type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// A state that all workers share: every type that is `Clone` and `Send` and borrows nothing, so there is nothing to
/// implement. The trait exists for the messages of the compiler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the state of an application",
    label = "the state must be `Clone`, `Send` and `'static`",
    note = "each worker thread gets a clone: write `#[derive(Clone)]` on `{Self}`, and share values between the workers in an `Arc` instead of an `Rc`",
    note = "`App::open_per_worker` creates a separate state on each worker thread, which needs neither `Clone` nor `Send`"
)]
pub trait AppState: Clone + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<S: Clone + Send + 'static> AppState for S {}

/// Makes the state of a worker, on its thread. Only this has to be `Send`, not the state.
pub trait OpenState<S>: Send {
    /// Returns a copy for another worker.
    fn duplicate(&self) -> Box<dyn OpenState<S>>;

    /// Opens the state on the thread of its worker.
    fn open(self: Box<Self>) -> Opening<S>;
}

/// The state of one worker.
pub enum Opening<S> {
    /// The state.
    Ready(S),
    /// The future of the state, to await on the worker's runtime.
    Pending(LocalFuture<Result<S>>),
}

/// A clone of one value for each worker.
pub struct SharedState<S>(pub S);

impl<S: AppState> OpenState<S> for SharedState<S> {
    fn duplicate(&self) -> Box<dyn OpenState<S>> {
        Box::new(SharedState(self.0.clone()))
    }

    fn open(self: Box<Self>) -> Opening<S> {
        Opening::Ready(self.0)
    }
}

/// The output of a separate future for each worker.
pub struct StatePerWorker<S>(pub Arc<dyn Fn() -> LocalFuture<Result<S>> + Send + Sync>);

impl<S: 'static> OpenState<S> for StatePerWorker<S> {
    fn duplicate(&self) -> Box<dyn OpenState<S>> {
        Box::new(StatePerWorker(Arc::clone(&self.0)))
    }

    fn open(self: Box<Self>) -> Opening<S> {
        Opening::Pending((self.0)())
    }
}
