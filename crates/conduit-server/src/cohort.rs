//! The workers of one server, which open their states one after the other, and end together.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use tokio::sync::{Mutex, watch};

use crate::ServerHandle;
use crate::dispatch::{Connect, OpenApplication};
use crate::error::{Error, Result};
use crate::panics::{discard, message};
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
        let mut opening = Box::pin(async move {
            let _turn = turn.lock_owned().await;
            match application.open() {
                Opening::Ready(connect) => Ok(connect),
                Opening::Pending(opening) => opening.await,
            }
        });
        let opened = poll_fn(|context| {
            let polled = catch_unwind(AssertUnwindSafe(|| opening.as_mut().poll(context)));
            polled.map_or_else(|panic| Poll::Ready(Err(panic)), |polled| polled.map(Ok))
        });
        let opened = server.unless_stopping(opened).await;
        discard(opening);
        match opened {
            Some(Ok(opened)) => opened.map(Some).map_err(|error| Error::state(worker, error)),
            Some(Err(panic)) => {
                let cause = std::io::Error::other(format!("panicked: {}", message(panic)));
                Err(Error::state(worker, cause.into()))
            }
            None => Ok(None),
        }
    }

    /// Leaves, and waits until all others have left, while the runtime of this thread is driven.
    pub(super) async fn leave(self) {
        let mut others = self.members.subscribe();
        drop(self.members);
        while others.changed().await.is_ok() {}
    }
}
