//! The state of an application: one value that each worker gets a clone of, or one that each worker opens.

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
    label = "each worker thread gets a clone of the state",
    note = "write `#[derive(Clone)]` on `{Self}`; it must be `Send` and own its data: put values that all workers share into an `Arc`, not in an `Rc`",
    note = "a state that each worker opens by itself, with `App::open_per_worker`, needs neither"
)]
pub trait AppState: Clone + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<S: Clone + Send + 'static> AppState for S {}

/// Gives a worker its state, on the worker's thread. Only this has to be `Send`, not the state.
#[doc(hidden)]
pub trait OpenState<S>: Send {
    /// The same for another worker.
    fn duplicate(&self) -> Box<dyn OpenState<S>>;

    fn open(self: Box<Self>) -> Opening<S>;
}

/// The state of one worker.
#[doc(hidden)]
pub enum Opening<S> {
    Ready(S),
    /// To be awaited on the worker's runtime.
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
