//! An application as a tower service.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::StatusCode;
use tower_service::Service;

use super::{RequestBody, SendBody};
use crate::dispatch::Application;
use crate::extract::PeerAddr;
use crate::problem::Problem;
use crate::response::{IntoResponse, Response};
use crate::server::ServerHandle;
use crate::server::config::Config;
use crate::server::local_service::LocalService;
use crate::server::service::{Answer, Threads};

/// An application as a tower service for another server: in an axum router, under hyper, or inside tower layers. Returned by
/// [`App::into_service`](crate::App::into_service); the [module](super#an-application-as-a-service) lists the settings that
/// apply.
///
/// Clones share the application. The service is always ready and never fails: errors are responses.
///
/// # Cancel safety
///
/// Dropping the future of a call counts as a client disconnect: the handler runs to completion, or is dropped if its route or
/// the application sets that ([`App::disconnect`](crate::App::disconnect)). Dropping a response body ends the stream.
#[derive(Clone, Debug)]
pub struct AppService(Arc<Threads>);

impl AppService {
    pub(crate) fn new(threads: Threads) -> Self {
        AppService(Arc::new(threads))
    }

    /// Returns a server handle. Its [`stop`](ServerHandle::stop) notifies handlers of the shutdown, through
    /// [`Shutdown`](crate::Shutdown), and [`readyz`](fn@crate::health::readyz); requests of the outer server are still served.
    /// Its [`close`](ServerHandle::close) aborts everything: pending and later requests get a 503. Its statistics count
    /// requests and hits of limits; connections, bytes and the durations of routes belong to the outer server.
    pub fn handle(&self) -> ServerHandle {
        self.0.handle().clone()
    }
}

impl<B: RequestBody + Send> Service<http::Request<B>> for AppService {
    type Response = http::Response<SendBody>;
    type Error = Infallible;
    type Future = AppFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> AppFuture {
        let peer = peer_of(&request);
        AppFuture {
            answer: self.0.answer(move || request.map(RequestBody::into_body), peer),
            threads: Arc::clone(&self.0),
        }
    }
}

/// Returns the address in the request's extensions.
fn peer_of<B>(request: &http::Request<B>) -> Option<SocketAddr> {
    request.extensions().get::<PeerAddr>().map(|peer| peer.0)
}

/// The future of an [`AppService`] response.
pub struct AppFuture {
    answer: Answer,
    /// Keeps the application alive until it has responded.
    threads: Arc<Threads>,
}

impl Future for AppFuture {
    type Output = Result<http::Response<SendBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = std::task::ready!(self.answer.poll(context));
        let mut response = answered.unwrap_or_else(|| {
            let closed = Problem::new(StatusCode::SERVICE_UNAVAILABLE).with_detail("the application has been closed");
            closed.into_response().map(SendBody::new)
        });
        response.body_mut().keep(&self.threads);
        Poll::Ready(Ok(response))
    }
}

impl fmt::Debug for AppFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppFuture")
    }
}

/// An application as a tower service on the thread that created it. Created by
/// [`App::into_local_service`](crate::App::into_local_service).
///
/// A call begins when its future is polled, and needs neither a task nor a channel; request bodies need not be `Send`. Dropping
/// the future drops the handler, regardless of its route's setting. A panic in the stream of a response is an error of that body.
#[derive(Clone)]
pub struct LocalAppService(Rc<LocalService>);

impl LocalAppService {
    pub(crate) fn new(application: Application, config: Config) -> Self {
        LocalAppService(Rc::new(LocalService::new(application, config)))
    }
}

impl fmt::Debug for LocalAppService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalAppService")
    }
}

impl<B: RequestBody> Service<http::Request<B>> for LocalAppService {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let service = Rc::clone(&self.0);
        Box::pin(async move {
            let peer = peer_of(&request);
            Ok(service.answer(request.map(RequestBody::into_body), peer).await)
        })
    }
}
