//! The source of the application's state: one value that is cloned for each worker, or one that each worker opens.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::error::{Error, Result};
use crate::server::{main_runtime, refuse_runtime};
use crate::state::{AppState, LocalFuture, OpenState, SharedState, StatePerWorker};

/// Opens a state on the runtime of the program.
type Open<S> = Box<dyn FnOnce(&Runtime) -> Result<Box<dyn OpenState<S>>> + Send>;

/// The state of an application that does not serve yet.
pub(crate) enum StateSource<S> {
    /// The state is available to the workers.
    Workers(Box<dyn OpenState<S>>),
    /// A future that runs once, before the server listens ([`App::open`](crate::App::open)).
    Once(Open<S>),
}

impl<S> StateSource<S> {
    /// Clones this value for each worker.
    pub(crate) fn shared(state: S) -> Self
    where
        S: AppState,
    {
        StateSource::Workers(Box::new(SharedState(state)))
    }

    /// Clones the future's output for each worker.
    pub(crate) fn once<E: Into<Error>>(state: impl Future<Output = Result<S, E>> + Send + 'static) -> Self
    where
        S: AppState,
    {
        StateSource::Once(Box::new(move |runtime| {
            let state = runtime.block_on(state).map_err(Into::into)?;
            Ok(Box::new(SharedState(state)))
        }))
    }

    /// Runs a separate future for each worker.
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
        StateSource::Workers(Box::new(StatePerWorker(Arc::new(open))))
    }

    /// Awaits the future of [`App::open`](crate::App::open), and returns the runtime that it ran on.
    ///
    /// # Errors
    ///
    /// Returns the error of the future, or of the system if it cannot create a runtime.
    pub(crate) fn settle(self) -> Result<(Box<dyn OpenState<S>>, Option<Runtime>)> {
        match self {
            StateSource::Workers(state) => Ok((state, None)),
            StateSource::Once(open) => {
                refuse_runtime()?;
                let runtime = main_runtime()?;
                let state = open(&runtime)?;
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
