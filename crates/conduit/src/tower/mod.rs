//! Tower layers and services in an application, and an application as a tower service. Requires the feature `tower`.
//!
//! - [`service`] converts a service, such as an axum router, to a fallback: it receives the requests without a route.
//! - [`mount`] forwards all requests under a prefix to a service.
//! - [`layer`] converts a tower layer, such as one of `tower-http`, to a Conduit layer; [`send_layer`] converts a layer that
//!   requires `Send`.
//! - [`App::into_service`](crate::App::into_service) converts an application to a service for another server.
//! - [`Body`] implements [`http_body::Body`], and [`Body::from_http_body`] converts any other body.
//!
//! # Example
//!
//! Replacing an axum application route by route:
//!
//! ```
//! use conduit::prelude::*;
//!
//! #[get("/new")]
//! async fn new() -> &'static str {
//!     "this is new"
//! }
//!
//! let old = axum::Router::new().route("/old", axum::routing::get(|| async { "this is old" }));
//! let app = App::new(()).routes(routes![new]).fallback(conduit::tower::service(old));
//! ```
//!
//! # Extensions for services and layers
//!
//! The extensions of each request contain the peer's address as [`PeerAddr`] and the values that layers added; for a service,
//! also the original target as [`OriginalUri`], from before [`mount`] removed the prefix. A service that expects other types
//! needs a layer around it. For the `ConnectInfo` and the `OriginalUri` of axum:
//!
//! ```
//! use axum::extract::{ConnectInfo, OriginalUri};
//! use conduit::prelude::*;
//! use std::net::SocketAddr;
//!
//! async fn whoami(ConnectInfo(peer): ConnectInfo<SocketAddr>, OriginalUri(uri): OriginalUri) -> String {
//!     format!("{peer} asks for {uri}")
//! }
//!
//! let old = axum::Router::new().route("/whoami", axum::routing::get(whoami));
//! let extended = tower::util::MapRequestLayer::new(|mut request: axum::extract::Request| {
//!     let extensions = request.extensions_mut();
//!     if let Some(PeerAddr(peer)) = extensions.get().copied() {
//!         extensions.insert(ConnectInfo(peer));
//!     }
//!     if let Some(conduit::tower::OriginalUri(uri)) = extensions.get().cloned() {
//!         extensions.insert(OriginalUri(uri));
//!     }
//!     request
//! });
//! # #[get("/")]
//! # async fn home() {}
//! let app = App::new(()).routes(routes![home]).layer(conduit::tower::mount("/old", old.layer(extended)));
//! ```
//!
//! # An application as a service
//!
//! [`AppService`] is `Clone + Send + Sync`, and its handlers need not be `Send`: they run on threads of the application, as in
//! a server. Requests and responses pass through channels; bodies are streams in both directions, and readers request each
//! chunk. Pass the peer's address as the extension [`PeerAddr`]; without it the peer is `0.0.0.0:0`, and a
//! [`RateLimit`](crate::layer::RateLimit) by address counts all clients as one.
//!
//! The outer server manages connections: addresses, TLS, the PROXY protocol, the limits and deadlines of heads, idle
//! connections, rates, connections and requests, body framing, `Date`, `Expect` and upgrades. It also rejects malformed
//! requests, and writes the access log and spans; handlers run in the span of the service's caller.
//!
//! All settings for responses apply: routes, layers, the docs page, the error format, [`body_limit`](crate::App::body_limit),
//! [`workers`](crate::App::workers), [`blocked_after`](crate::App::blocked_after), [`disconnect`](crate::App::disconnect), and
//! [`trusted_proxies`](crate::App::trusted_proxies) if the peer's address is passed. A panic results in a 500. The response to
//! `HEAD` has the length and no body, and a handler's `content-length`, `transfer-encoding` and `connection` are removed. When
//! the last clone and the last response are dropped, [`Shutdown`](crate::Shutdown) notifies the handlers that still run, and
//! they have the [`shutdown_timeout`](crate::App::shutdown_timeout) to end.
//!
//! [`LocalAppService`] is the same on one thread, without the channels.
//!
//! # gRPC
//!
//! A [`tonic`](https://docs.rs/tonic) service is a fallback alongside routes, on one port, and runs on the worker's thread:
//! `fallback(conduit::tower::service(EchoServer::new(echo)))`, with the feature `http2`. Trailers, trailers-only responses and
//! bidirectional streams are supported. [`body_limit`](crate::App::body_limit) applies to the sum of all messages in a client's
//! stream.
//!
//! A call with the field `grpc-timeout` ends at its deadline with the status DEADLINE_EXCEEDED: by a response of trailers only,
//! or by the trailers of a response that has begun. The service's future or its stream is dropped then. The deadline runs from
//! the call of the service.
//!
//! # Limitations
//!
//! A list of routes cannot contain a service, since its table has each method and path: [`mount`] is a layer of the
//! application. Wrap layers for only the mounted service around it with tower.
//!
//! [`Body`]: crate::Body
//! [`Body::from_http_body`]: crate::Body::from_http_body
//! [`PeerAddr`]: crate::PeerAddr

mod app_service;
mod conversion;
mod grpc;
mod layer;

use std::borrow::Cow;
use std::rc::Rc;

use http::Uri;
use tower_service::Service;

pub use app_service::{AppFuture, AppService, LocalAppService};
pub use conduit_core::interop::SendBody;
pub use layer::{
    AroundHandlers, Inside, NextService, RequestBody, SendNextFuture, SendNextService, TowerLayer, layer, send_layer,
};

use self::conversion::{call, into_http};
use crate::body::BoxError;
use crate::fallback::Fallback;
use crate::request::Request;
use crate::response::Response;
use conduit_core::layer::{Layer, Next};

/// The request target before `mount` removed the prefix; an extension of requests to services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalUri(pub Uri);

/// Converts a service for `http` requests to a fallback; for [`App::fallback`](crate::App::fallback).
///
/// The service is cloned for each request. An error of the service is logged and results in a 500.
pub fn service<T>(service: T) -> ServiceFallback<T> {
    ServiceFallback(service)
}

/// A service as a fallback; created by [`service`].
#[derive(Clone, Copy, Debug)]
pub struct ServiceFallback<T>(T);

impl<S, T, B> Fallback<S, ()> for ServiceFallback<T>
where
    S: 'static,
    T: Service<http::Request<SendBody>, Response = http::Response<B>, Error: Into<BoxError>> + Clone + Send + 'static,
    B: http_body::Body<Error: Into<BoxError>> + 'static,
{
    async fn answer(self: Rc<Self>, request: Request, _: Rc<S>) -> Response {
        let uri = request.uri().clone();
        serve(self.0.clone(), request, uri).await
    }
}

/// Forwards all requests whose path is `prefix` or below it to a service, which receives the path without the prefix; a layer
/// of the application. Paths under the prefix never reach the application's routes.
///
/// # Panics
///
/// Panics if the prefix does not start with a slash, or ends with one.
///
/// # Example
///
/// An axum router under `/old`:
///
/// ```
/// use conduit::prelude::*;
///
/// #[get("/")]
/// async fn home() -> &'static str {
///     "home"
/// }
///
/// let old = axum::Router::new().route("/page", axum::routing::get(|| async { "this is /old/page" }));
/// let app = App::new(()).routes(routes![home]).layer(conduit::tower::mount("/old", old));
/// ```
pub fn mount<T>(prefix: &'static str, service: T) -> Mount<T> {
    assert!(
        prefix.starts_with('/') && !prefix.ends_with('/'),
        "`{prefix}` is not a prefix: write one such as `/old`, with a leading and without a trailing slash"
    );
    Mount { prefix, service }
}

/// A service under a prefix; created by [`mount`].
#[derive(Clone, Copy, Debug)]
pub struct Mount<T> {
    prefix: &'static str,
    service: T,
}

impl<T, B> Layer for Mount<T>
where
    T: Service<http::Request<SendBody>, Response = http::Response<B>, Error: Into<BoxError>> + Clone + Send + 'static,
    B: http_body::Body<Error: Into<BoxError>> + 'static,
{
    async fn call(&self, mut request: Request, next: Next) -> Response {
        let inside = request.path().strip_prefix(self.prefix);
        let Some(path) = inside.filter(|path| path.is_empty() || path.starts_with('/')) else {
            return next.run(request).await;
        };
        let path = path.to_owned();
        let uri = request.uri().clone();
        request.set_path(&path);
        serve(self.service.clone(), request, uri).await
    }

    fn name(&self) -> Cow<'static, str> {
        format!("Mount({})", self.prefix).into()
    }
}

/// Calls a service with a request whose original target is `uri`.
async fn serve<T, B>(service: T, request: Request, uri: Uri) -> Response
where
    T: Service<http::Request<SendBody>, Response = http::Response<B>, Error: Into<BoxError>>,
    B: http_body::Body<Error: Into<BoxError>> + 'static,
{
    let (mut request, _) = into_http(request);
    // An outer mount may already have removed a prefix.
    if request.extensions().get::<OriginalUri>().is_none() {
        request.extensions_mut().insert(OriginalUri(uri));
    }
    let timeout = grpc::timeout(request.headers());
    let answer = call(service, request.map(SendBody::new));
    match timeout {
        Some(timeout) => grpc::within(timeout, answer).await,
        None => answer.await,
    }
}
