//! The origin of the application's state: one value that each worker gets a clone of, or one that each worker opens.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::app::AppState;
use crate::error::{Error, Result};
use crate::server::{main_runtime, refuse_runtime};

type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;
type SendFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The state of an application that does not serve yet.
pub(crate) enum StateSource<S> {
    /// Each worker can get its state.
    Workers(Box<dyn OpenState<S>>),
    /// A future that runs once, before the server listens ([`App::open`](crate::App::open)).
    Once(SendFuture<Result<Box<dyn OpenState<S>>>>),
}

/// Gives a worker its state, on the worker's thread. Only this has to be `Send`, not the state.
pub(crate) trait OpenState<S>: Send {
    /// The same for another worker.
    fn duplicate(&self) -> Box<dyn OpenState<S>>;

    fn open(self: Box<Self>) -> Opening<S>;
}

/// The state of one worker.
pub(crate) enum Opening<S> {
    Ready(S),
    /// To be awaited on the worker's runtime.
    Pending(LocalFuture<Result<S>>),
}

impl<S> StateSource<S> {
    /// A clone of this value for each worker.
    pub(crate) fn shared(state: S) -> Self
    where
        S: AppState,
    {
        StateSource::Workers(Box::new(Shared(state)))
    }

    /// A clone of the future's output for each worker.
    pub(crate) fn once<E: Into<Error>>(state: impl Future<Output = Result<S, E>> + Send + 'static) -> Self
    where
        S: AppState,
    {
        StateSource::Once(Box::pin(async move {
            let state = state.await.map_err(Into::into)?;
            Ok(Box::new(Shared(state)) as Box<dyn OpenState<S>>)
        }))
    }

    /// The output of a separate future for each worker.
    pub(crate) fn per_worker<F, E>(open: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        S: 'static,
        F: Future<Output = Result<S, E>> + 'static,
        E: Into<Error> + 'static,
    {
        let open = move || -> LocalFuture<Result<S>> {
            let opening = open();
            Box::pin(async move { opening.await.map_err(Into::into) })
        };
        StateSource::Workers(Box::new(PerWorker(Arc::new(open))))
    }

    /// Awaits the future of [`App::open`](crate::App::open), and returns the runtime that it ran on.
    ///
    /// # Errors
    ///
    /// The error of the future, or of the system when it refuses a runtime.
    pub(crate) fn settle(self) -> Result<(Box<dyn OpenState<S>>, Option<Runtime>)> {
        match self {
            StateSource::Workers(state) => Ok((state, None)),
            StateSource::Once(future) => {
                refuse_runtime()?;
                let runtime = main_runtime()?;
                let state = runtime.block_on(future)?;
                Ok((state, Some(runtime)))
            }
        }
    }
}

impl<S> fmt::Debug for StateSource<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StateSource::Workers(_) => "Workers",
            StateSource::Once(_) => "Once",
        })
    }
}

struct Shared<S>(S);

impl<S: AppState> OpenState<S> for Shared<S> {
    fn duplicate(&self) -> Box<dyn OpenState<S>> {
        Box::new(Shared(self.0.clone()))
    }

    fn open(self: Box<Self>) -> Opening<S> {
        Opening::Ready(self.0)
    }
}

struct PerWorker<S>(Arc<dyn Fn() -> LocalFuture<Result<S>> + Send + Sync>);

impl<S: 'static> OpenState<S> for PerWorker<S> {
    fn duplicate(&self) -> Box<dyn OpenState<S>> {
        Box::new(PerWorker(Arc::clone(&self.0)))
    }

    fn open(self: Box<Self>) -> Opening<S> {
        Opening::Pending((self.0)())
    }
}
