//! An application on the thread of its caller, without a channel and without a task between them.

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;

use crate::body::{Body, BodyKind, BoxError, PieceStream};
use crate::config::Config;
use crate::counts::{Counts, WorkerCounts};
use crate::dispatch::Application;
use crate::endpoint::Outcome;
use crate::exchange::{Environment, Exchange, ResponseStream};
use crate::jobs::{ResponseFraming, assemble};
use crate::response::Response;
use crate::watch::Watch;
use crate::work::Work;

/// An application that serves the requests of another library on this thread.
///
/// A request is an exchange without a record: the other library reports it, and polls the handler and the response's stream within
/// its own spans.
pub struct LocalService {
    /// Shared without a `RefCell`: a handler that runs may call the service.
    environment: Environment,
    config: Config,
}

impl LocalService {
    /// The service of an application.
    pub fn new(application: Application, config: Config) -> Self {
        let watch = Watch::new(Arc::clone(&config.observer), false);
        let counts = Arc::new([Counts::default()]);
        let environment = Environment::new(application, counts, 0, Work::default(), watch, &config);
        LocalService { environment, config }
    }

    /// The response to a request from this client.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the handler, also on a route whose handlers continue without a client: nothing else polls it.
    pub async fn answer(&self, request: http::Request<Body>, peer: Option<SocketAddr>) -> Response {
        let environment = &self.environment;
        let request = assemble(request, peer, &self.config);
        let (framing, client) = (ResponseFraming::of(&request), request.peer_address());
        let mut exchange = Exchange::new();
        let response = match exchange.begin_in_place(request, environment) {
            Outcome::Ready(response) => response,
            Outcome::Pending(handler) => {
                let response = exchange.begin_handling(handler, client, environment).await;
                exchange.set_idle();
                response
            }
        };
        let response = framing.finish(response, &environment.application);
        // A file and the body of the request are not code of the application, and the other library may recognize them.
        if !matches!(response.body().0, BodyKind::Stream(..)) {
            return response;
        }
        let (parts, body) = response.into_parts();
        let length = body.len();
        let stream = LocalStream {
            stream: exchange.begin_stream(&parts, body, environment),
            counts: environment.worker_counts(),
        };
        Response::from_parts(parts, Body(BodyKind::Stream(Box::pin(stream), length)))
    }
}

impl fmt::Debug for LocalService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalService")
    }
}

/// The stream of a response that another library polls.
struct LocalStream {
    stream: ResponseStream,
    counts: WorkerCounts,
}

impl PieceStream for LocalStream {
    fn poll_piece(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let LocalStream { stream, counts } = &mut *self;
        let next = stream.poll_next(counts.of_worker(), context);
        next.map(|next| next.map(|piece| piece.map_err(Into::into)))
    }

    fn trailer_fields(&self) -> Option<HeaderMap> {
        self.stream.trailers().map(|trailers| *trailers)
    }
}
