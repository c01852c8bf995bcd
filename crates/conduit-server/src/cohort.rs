//! The workers of one server, which open their states one after the other, and end together.

use std::sync::Arc;

use tokio::sync::{Mutex, watch};

use crate::ServerHandle;
use crate::dispatch::{Connect, OpenApplication};
use crate::error::{Error, Result};
use crate::panics::message;
use crate::state::Opening;

/// A worker's membership. No worker drops its runtime while another one may use a resource that is registered with it, such as
/// a connection of a shared pool: tokio would fail each use ("it is being shutdown").
#[derive(Clone)]
pub(super) struct Cohort {
    turn: Arc<Mutex<()>>,
    /// The channel carries no value. It closes when the last worker has left.
    members: watch::Sender<()>,
}

impl Cohort {
    pub(super) fn new() -> Self {
        Cohort {
            turn: Arc::default(),
            members: watch::Sender::new(()),
        }
    }

    /// Opens the state of the worker that runs on this thread; `None` if the server stops before it is open. One worker opens its state
    /// at a time, so that the first one applies the migrations of a database before the others connect.
    pub(super) async fn open(
        &self,
        application: Box<dyn OpenApplication>,
        worker: usize,
        server: &ServerHandle,
    ) -> Result<Option<Connect>> {
        let turn = Arc::clone(&self.turn);
        let task = tokio::task::spawn_local(async move {
            let _turn = turn.lock_owned().await;
            match application.open() {
                Opening::Ready(connect) => Ok(connect),
                Opening::Pending(opening) => opening.await,
            }
        });
        let abort = task.abort_handle();
        match server.unless_stopping(task).await {
            Some(Ok(opened)) => opened.map(Some).map_err(|error| Error::state(worker, error)),
            Some(Err(panic)) => {
                let cause = std::io::Error::other(format!("panicked: {}", message(panic.into_panic())));
                Err(Error::state(worker, cause.into()))
            }
            None => {
                abort.abort();
                Ok(None)
            }
        }
    }

    /// Leaves, and waits until all others have left, while the runtime of this thread is driven.
    pub(super) async fn leave(self) {
        let mut others = self.members.subscribe();
        drop(self.members);
        while others.changed().await.is_ok() {}
    }
}
