//! Layers and services of `tower` in an application, and an application as one. Needs the feature `tower`.
//!
//! - [`service`] makes a fallback of a service, such as an axum router: what Conduit has no route for goes there.
//! - [`mount`] brings everything under a prefix to a service.
//! - [`layer`] makes a layer of Conduit of a layer of tower, such as those of `tower-http`; [`send_layer`] of one that asks
//!   that everything is `Send`.
//! - [`App::into_service`](crate::App::into_service) makes a service of an application, for another server.
//! - [`Body`] is a [`http_body::Body`], and [`Body::from_http_body`] makes one of any other.
//!
//! # Example
//!
//! An axum application that is replaced route by route:
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
//! The extensions of each request contain the peer's address as [`PeerAddr`], for a service also the target before
//! [`mount`] removed the prefix as [`OriginalUri`], and the values of layers. A service that expects them in
//! other types needs a layer around it. For the `ConnectInfo` and the `OriginalUri` of axum:
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
//! [`AppService`] may go wherever a `Clone + Send + Sync` service may, and its handlers need not be `Send`: they live on
//! threads of the application, as they do in a server. A request goes there through a channel and its answer comes back
//! through another; bodies are streams in both directions, each piece requested by its reader. Pass the peer's address as
//! the extension [`PeerAddr`]; without it the peer is `0.0.0.0:0`, and all clients are one for a
//! [`RateLimit`](crate::layer::RateLimit) by address.
//!
//! The outer server has the connections, so everything about them is its own: addresses, TLS, the PROXY protocol, the limits
//! and deadlines of heads, idle connections, rates, connections and requests, how bodies are framed, `Date`, `Expect` and
//! upgrades. The outer server rejects malformed requests, and writes access log and
//! spans; handlers run in the span of the service's caller.
//!
//! All that concerns answering holds: routes, layers, the docs page, the form of errors,
//! [`body_limit`](crate::App::body_limit), [`workers`](crate::App::workers),
//! [`blocked_after`](crate::App::blocked_after), [`disconnect`](crate::App::disconnect), and
//! [`trusted_proxies`](crate::App::trusted_proxies) where the peer's address is given. A panic is a 500. The answer to `HEAD`
//! has the length and no body, and what a handler sets of `content-length`, `transfer-encoding` and `connection` is left out.
//! When the last clone and the last response are dropped, [`Shutdown`](crate::Shutdown) notifies handlers without a
//! client, and they have the [`shutdown_timeout`](crate::App::shutdown_timeout).
//!
//! [`LocalAppService`] is the same on one thread, without the channels.
//!
//! # gRPC
//!
//! A service of [`tonic`](https://docs.rs/tonic) is a fallback next to routes, on one port, and runs on the worker's own thread:
//! `fallback(conduit::tower::service(EchoServer::new(echo)))`, with the feature `http2`. Trailers, responses of trailers only, and
//! streams in both directions pass. [`body_limit`](crate::App::body_limit) counts all messages of a client's stream together. The
//! deadline in `grpc-timeout` belongs to the server of tonic, not to its services; a client ends its call at its own deadline.
//!
//! # Limitations
//!
//! A service has no place in a list of routes, whose table knows each method and path: [`mount`] is a layer of the
//! application. Layers that are to be around the mounted service alone are put around it with tower's means.

mod app_service;
mod layer;

use std::borrow::Cow;
use std::future::poll_fn;
use std::rc::Rc;

use http::Uri;
use tower_service::Service;

pub use app_service::{AppFuture, AppService, LocalAppService};
pub use conduit_core::interop::SendBody;
pub use layer::{
    AroundHandlers, Inside, NextService, RequestBody, SendNextFuture, SendNextService, TowerLayer, layer, send_layer,
};

use crate::body::{Body, BoxError};
use crate::extract::PeerAddr;
use crate::fallback::Fallback;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use conduit_core::layer::{Layer, Next};

/// The target of a request as it came, in the extensions of what a [`service`] or a [`mount`]ed one is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalUri(pub Uri);

/// Makes a fallback of a service that takes `http` requests; for [`App::fallback`](crate::App::fallback).
///
/// It is cloned for each request. An error of the service is logged and answered 500.
pub fn service<T>(service: T) -> ServiceFallback<T> {
    ServiceFallback(service)
}

/// A service as a fallback; made by [`service`].
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

/// Brings all requests whose path is `prefix`, or below it, to a service, which sees the path without the prefix; a layer
/// of the application. Paths under the prefix never reach the application's routes.
///
/// # Panics
///
/// When the prefix does not start with a slash, or ends in one.
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

/// A service under a prefix; made by [`mount`].
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

/// Has a service answer a request that came with this target.
async fn serve<T, B>(service: T, request: Request, uri: Uri) -> Response
where
    T: Service<http::Request<SendBody>, Response = http::Response<B>, Error: Into<BoxError>>,
    B: http_body::Body<Error: Into<BoxError>> + 'static,
{
    let (mut request, _) = into_http(request);
    // An outer mount may have removed a prefix before.
    if request.extensions().get::<OriginalUri>().is_none() {
        request.extensions_mut().insert(OriginalUri(uri));
    }
    call(service, request.map(SendBody::new)).await
}

/// Calls a service when it is ready.
async fn call<T, R, B>(mut service: T, request: http::Request<R>) -> Response
where
    T: Service<http::Request<R>, Response = http::Response<B>, Error: Into<BoxError>>,
    B: http_body::Body<Error: Into<BoxError>> + 'static,
{
    let answer = match poll_fn(|context| service.poll_ready(context)).await {
        Ok(()) => service.call(request).await,
        Err(error) => Err(error),
    };
    match answer {
        Ok(response) => response.map(Body::from_http_body),
        Err(error) => Problem::internal(&*error.into()).into_response(),
    }
}

/// The request in the form of the `http` crate, and its remaining parts.
fn into_http(mut request: Request) -> (http::Request<Body>, Request) {
    let mut converted = http::Request::new(request.take_body());
    *converted.method_mut() = request.method().clone();
    *converted.uri_mut() = request.uri().clone();
    *converted.version_mut() = request.version();
    *converted.extensions_mut() = std::mem::take(request.extensions_mut());
    converted.extensions_mut().insert(PeerAddr(request.peer_address()));
    *converted.headers_mut() = request.take_headers();
    (converted, request)
}

/// The request again, with what was changed.
fn from_http(mut shell: Request, request: http::Request<Body>) -> Request {
    let (parts, body) = request.into_parts();
    if parts.method != *shell.method() {
        shell.set_method(parts.method);
    }
    if parts.uri != *shell.uri() {
        shell.set_uri(parts.uri);
    }
    *shell.headers_mut() = parts.headers;
    *shell.extensions_mut() = parts.extensions;
    shell.set_body(body);
    shell
}
