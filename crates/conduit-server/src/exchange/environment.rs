//! The environment of exchanges: the application, and the state of its thread that calls it.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::AbortHandle;
use tracing::Span;

use crate::blocking::{Instrumentation, InstrumentedHandler};
use crate::counts::Counts;
use crate::deadlines::Second;
use crate::dispatch::Application;
use crate::endpoint::{Outcome, PendingHandler};
use crate::request::Request;
use crate::response::Response;
use crate::route::{Definition, Disconnect};
use crate::watch::{Watch, Watched};
use crate::work::{InProgress, Work};

/// A route and its index in the table.
pub(crate) type Route = (usize, &'static Definition);

/// The part of a worker, or of a service's thread, that serves exchanges.
pub(crate) struct Environment {
    pub(crate) application: Application,
    /// The counts of all workers, and the index of this one.
    pub(crate) counts: Arc<[Counts]>,
    pub(crate) worker: usize,
    /// The handlers in progress as tasks, with or without a client, and the tasks that they spawned.
    pub(crate) handlers: Work,
    /// The observers of requests.
    pub(crate) watch: Watch,
    /// The action at the end of a client whose route has chosen none.
    pub(crate) disconnect: Disconnect,
    /// The HTTPS port to which requests over plain TCP are redirected; `None` serves them.
    pub(crate) redirect: Option<u16>,
    /// Seconds since the thread started to serve.
    pub(crate) now: Second,
}

impl Environment {
    /// The counters of this thread.
    #[inline]
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts[self.worker]
    }

    /// Calls the application with a request whose route was looked up. A handler that is not ready continues as a task:
    /// [`pending`](Environment::pending).
    #[inline]
    pub(crate) fn call(&self, request: Request, route: Option<Route>, span: &Span) -> Outcome {
        // The task of a handler that is not ready polls it again.
        let mut context = Context::from_waker(Waker::noop());
        let _inside = span.enter();
        let index = route.map(|(index, _)| index);
        let serve = || self.application.serve(request, &mut context);
        self.counts().running.during(index, serve)
    }

    /// Counts a handler in progress, until the value is dropped.
    pub(crate) fn enter(&self, route: Option<Route>, client: SocketAddr) -> InProgress {
        let definition = route.map(|(_, definition)| definition);
        self.handlers.enter(definition, client, self.now)
    }

    /// The response of a handler that was not ready at once.
    pub(crate) fn pending(
        &self,
        handler: PendingHandler,
        route: Option<Route>,
        client: SocketAddr,
        span: &Span,
    ) -> PendingResponse {
        PendingResponse {
            handler: InstrumentedHandler {
                handler: Some(handler),
                instrumentation: self.instrument(route, span.clone()),
            },
            in_progress: self.enter(route, client),
            disconnect: self.disconnect(route),
        }
    }

    /// The instrumentation of a task for a request of this route.
    pub(crate) fn instrument(&self, route: Option<Route>, span: Span) -> Instrumentation {
        Instrumentation {
            route: route.map(|(index, _)| index),
            span,
            counts: Arc::clone(&self.counts),
            worker: self.worker,
        }
    }

    /// The action at the end of the client of a request of this route.
    pub(crate) fn disconnect(&self, route: Option<Route>) -> Disconnect {
        let chosen = route.and_then(|(_, definition)| definition.disconnect);
        chosen.unwrap_or(self.disconnect)
    }

    /// A response is complete or aborted.
    pub(crate) fn end_watch(&mut self, watched: Box<Watched>, complete: bool) {
        self.watch.end(watched, complete, &self.counts[self.worker]);
    }
}

/// The response of a handler that was not ready at once; it goes on as a task. A shutdown waits for it.
pub(crate) struct PendingResponse {
    handler: InstrumentedHandler,
    #[expect(dead_code, reason = "its drop ends the wait of a shutdown")]
    in_progress: InProgress,
    disconnect: Disconnect,
}

impl PendingResponse {
    /// Spawns the task, which passes the response to `deliver`. Returns the handle that aborts it, if it ends with its
    /// client.
    pub(crate) fn spawn(self, deliver: impl FnOnce(Response) + 'static) -> Option<AbortHandle> {
        let aborts = self.ends_with_client();
        let task = tokio::task::spawn_local(async move {
            let response = self.await;
            deliver(response);
        });
        aborts.then(|| task.abort_handle())
    }

    pub(crate) fn ends_with_client(&self) -> bool {
        self.disconnect == Disconnect::Abort
    }
}

impl Future for PendingResponse {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        Pin::new(&mut self.handler).poll(context)
    }
}
