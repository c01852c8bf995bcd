//! A request's way to its handler, and a handler that is not ready at once.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::AbortHandle;
use tracing::Span;

use crate::dispatch::Application;
use crate::endpoint::Outcome;
use crate::request::Request;
use crate::response::Response;
use crate::route::{Definition, Disconnect};
use crate::server::blocking::{Instrumentation, InstrumentedHandler};
use crate::server::counts::Counts;
use crate::server::deadlines::Second;
use crate::server::work::{InProgress, Work};

/// A route and its index in the table.
pub(in crate::server) type Route = (usize, &'static Definition);

/// The parts of a worker, or of a service's thread, that serve an exchange.
pub(in crate::server) struct Environment<'a> {
    pub(in crate::server) application: &'a Application,
    /// The counts of all workers, and the index of this one.
    pub(in crate::server) counts: &'a Arc<[Counts]>,
    pub(in crate::server) worker: usize,
    pub(in crate::server) handlers: &'a Work,
    /// The action at the end of a client whose route has chosen none.
    pub(in crate::server) disconnect: Disconnect,
    pub(in crate::server) now: Second,
}

impl Environment<'_> {
    /// The instrumentation of a task for a request of this route.
    pub(in crate::server) fn instrument(&self, route: Option<Route>, span: Span) -> Instrumentation {
        Instrumentation {
            route: route.map(|(index, _)| index),
            span,
            counts: Arc::clone(self.counts),
            worker: self.worker,
        }
    }

    /// The action at the end of the client of a request of this route.
    pub(in crate::server) fn disconnect(&self, route: Option<Route>) -> Disconnect {
        let chosen = route.and_then(|(_, definition)| definition.disconnect);
        chosen.unwrap_or(self.disconnect)
    }
}

/// The result of calling the application.
pub(in crate::server) enum Called {
    Ready(Response),
    Pending(PendingResponse),
}

/// Calls the application with a request whose route was looked up.
#[inline]
pub(in crate::server) fn call(
    request: Request,
    route: Option<Route>,
    client: SocketAddr,
    span: &Span,
    environment: &Environment<'_>,
) -> Called {
    // A handler that is not ready is polled again, by its task.
    let mut context = Context::from_waker(Waker::noop());
    let outcome = {
        let _inside = span.enter();
        let running = &environment.counts[environment.worker].running;
        let index = route.map(|(index, _)| index);
        running.during(index, || environment.application.serve(request, &mut context))
    };
    match outcome {
        Outcome::Ready(response) => Called::Ready(response),
        Outcome::Pending(handler) => {
            let handler = InstrumentedHandler {
                handler: Some(handler),
                instrumentation: environment.instrument(route, span.clone()),
            };
            let definition = route.map(|(_, definition)| definition);
            Called::Pending(PendingResponse {
                handler,
                in_progress: environment.handlers.enter(definition, client, environment.now),
                disconnect: environment.disconnect(route),
            })
        }
    }
}

/// The response of a handler that was not ready at once; it goes on as a task. A shutdown waits for it.
pub(in crate::server) struct PendingResponse {
    handler: InstrumentedHandler,
    #[expect(dead_code, reason = "its drop ends the wait of a shutdown")]
    in_progress: InProgress,
    disconnect: Disconnect,
}

impl PendingResponse {
    /// Spawns the task, which passes the response to `deliver`. Returns the handle that aborts it, if it ends with its
    /// client.
    pub(in crate::server) fn spawn(self, deliver: impl FnOnce(Response) + 'static) -> Option<AbortHandle> {
        let aborts = self.ends_with_client();
        let task = tokio::task::spawn_local(async move {
            let response = self.await;
            deliver(response);
        });
        aborts.then(|| task.abort_handle())
    }

    pub(in crate::server) fn ends_with_client(&self) -> bool {
        self.disconnect == Disconnect::Abort
    }
}

impl Future for PendingResponse {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response> {
        Pin::new(&mut self.handler).poll(context)
    }
}
