//! Layers and services of `tower` in an application. Needs the feature `tower`.
//!
//! - [`service`] makes a fallback of a service, such as an axum router: what Conduit has no route for goes there.
//! - [`mount`] brings everything under a prefix to a service.
//! - [`layer`] makes a layer of Conduit of a layer of tower, such as those of `tower-http`.
//! - [`Body`] is a [`http_body::Body`], and [`Body::from_http_body`] makes one of any other.
//!
//! An application is no service of tower itself yet.
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

use std::any::Any;
use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, Bytes};
use futures_core::Stream;
use http_body::{Frame, SizeHint};
use tokio::sync::mpsc;
use tower_service::Service;

use crate::body::{Body, BodyError, BoxError, Kind};
use crate::fallback::Fallback;
use crate::layer::{Layer, Next};
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

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
        let (request, _) = into_http(request);
        call(self.0.clone(), request.map(SendBody::new)).await
    }
}

/// Brings all requests whose path is `prefix`, or below it, to a service, which sees the path without the prefix; a layer
/// of the application. What lies under the prefix never reaches the application's own routes.
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
        "`{prefix}` is no prefix: write one such as `/old`, with a slash before it and none behind it"
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
        request.set_path(&path);
        let (request, _) = into_http(request);
        call(self.service.clone(), request.map(SendBody::new)).await
    }

    fn name(&self) -> Cow<'static, str> {
        format!("Mount({})", self.prefix).into()
    }
}

/// Makes a layer of Conduit of one of tower. The service that it makes is made once for each worker, and cloned for each
/// request; what its clones share, such as a limit, holds for the worker.
///
/// # Example
///
/// At most eight requests at a time on each worker:
///
/// ```
/// use conduit::prelude::*;
///
/// #[get("/")]
/// async fn home() -> &'static str {
///     "home"
/// }
///
/// let limit = tower::limit::ConcurrencyLimitLayer::new(8);
/// let app = App::new(()).routes(routes![home]).layer(conduit::tower::layer(limit));
/// ```
pub fn layer<L: tower_layer::Layer<NextService>>(layer: L) -> TowerLayer<L> {
    TowerLayer {
        layer,
        service: OnceCell::new(),
    }
}

/// A layer of tower; made by [`layer`].
pub struct TowerLayer<L: tower_layer::Layer<NextService>> {
    layer: L,
    /// Made at the first request.
    service: OnceCell<L::Service>,
}

/// Each clone makes a service of its own.
impl<L: tower_layer::Layer<NextService> + Clone> Clone for TowerLayer<L> {
    fn clone(&self) -> Self {
        layer(self.layer.clone())
    }
}

impl<L, B> Layer for TowerLayer<L>
where
    L: tower_layer::Layer<NextService> + Clone + Send + 'static,
    L::Service:
        Service<http::Request<Body>, Response = http::Response<B>, Error: Into<BoxError>> + Clone + Send + 'static,
    B: http_body::Body<Error: Into<BoxError>> + 'static,
{
    async fn call(&self, request: Request, next: Next) -> Response {
        let service = self.service.get_or_init(|| self.layer.layer(NextService(()))).clone();
        let (mut request, shell) = into_http(request);
        let ticket = Ticket::new(shell, next);
        request.extensions_mut().insert(TicketNumber(ticket.0));
        call(service, request).await
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(crate::layer::short_name::<L>())
    }
}

/// What is inside of a layer of tower: the rest of the request's way. It is never busy, and never fails.
///
/// It is for the request that the layer was given, once: a layer that sends another one, or sends it twice, is answered 500.
#[derive(Clone, Debug)]
pub struct NextService(());

impl Service<http::Request<Body>> for NextService {
    type Response = Response;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Self::Error>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        let number = request.extensions_mut().remove::<TicketNumber>();
        let taken = number.and_then(|number| WAITING.with_borrow_mut(|waiting| waiting.remove(&number.0)));
        Box::pin(async move {
            let Some((shell, next)) = taken else {
                tracing::error!(
                    "a layer of tower has sent a request that is not the one it was given, or sent it twice"
                );
                return Ok(Problem::new(http::StatusCode::INTERNAL_SERVER_ERROR).into_response());
            };
            Ok(next.run(from_http(shell, request)).await)
        })
    }
}

thread_local! {
    /// The requests that are on their way through a layer of tower. They must not leave their thread, so that they cannot
    /// travel in the extensions themselves.
    static WAITING: RefCell<HashMap<u64, (Request, Next)>> = RefCell::default();
    static TICKETS: Cell<u64> = const { Cell::new(0) };
}

/// The number of a request that is on its way, in its extensions.
#[derive(Clone, Copy)]
struct TicketNumber(u64);

/// A request that is on its way; when the layer is done, or is dropped, it is so no longer.
struct Ticket(u64);

impl Ticket {
    fn new(shell: Request, next: Next) -> Self {
        let number = TICKETS.replace(TICKETS.get() + 1);
        WAITING.with_borrow_mut(|waiting| waiting.insert(number, (shell, next)));
        Ticket(number)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // What is removed is dropped outside of the borrow: it may be a future's that has a ticket of its own.
        let _removed = WAITING.try_with(|waiting| waiting.borrow_mut().remove(&self.0));
    }
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

/// The request in the form of the `http` crate, and what is left of it.
fn into_http(mut request: Request) -> (http::Request<Body>, Request) {
    let mut converted = http::Request::new(request.take_body());
    *converted.method_mut() = request.method().clone();
    *converted.uri_mut() = request.uri().clone();
    *converted.version_mut() = request.version();
    *converted.extensions_mut() = std::mem::take(request.extensions_mut());
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
        shell.set_target(parts.uri.path(), parts.uri.query());
    }
    *shell.headers_mut() = parts.headers;
    *shell.extensions_mut() = parts.extensions;
    shell.set_body(body);
    shell
}

/// The body of a request that a service gets, which may leave the worker's thread.
///
/// What is in memory is handed over as it is; of a stream a task on the worker hands over piece by piece, when the one before
/// was taken.
pub struct SendBody(Pieces);

enum Pieces {
    Memory(Bytes),
    Stream {
        pieces: mpsc::Receiver<Result<Bytes, BodyError>>,
        length: Option<u64>,
    },
}

impl SendBody {
    fn new(mut body: Body) -> Self {
        let length = body.len();
        SendBody(match body.0 {
            Kind::Empty => Pieces::Memory(Bytes::new()),
            Kind::Static(bytes) => Pieces::Memory(Bytes::from_static(bytes)),
            Kind::Bytes(bytes) => Pieces::Memory(bytes),
            Kind::Buffer(buffer) => Pieces::Memory(Bytes::from(buffer.into_vec())),
            _ => {
                let (sender, pieces) = mpsc::channel(1);
                tokio::task::spawn_local(async move {
                    while let Some(piece) = poll_fn(|context| Pin::new(&mut body).poll_next(context)).await {
                        if sender.send(piece).await.is_err() {
                            return;
                        }
                    }
                });
                Pieces::Stream { pieces, length }
            }
        })
    }
}

impl fmt::Debug for SendBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SendBody")
    }
}

impl http_body::Body for SendBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match &mut self.0 {
            Pieces::Memory(bytes) if bytes.is_empty() => Poll::Ready(None),
            Pieces::Memory(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Pieces::Stream { pieces, .. } => pieces
                .poll_recv(context)
                .map(|piece| piece.map(|piece| piece.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(&self.0, Pieces::Memory(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Pieces::Memory(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Pieces::Stream {
                length: Some(length), ..
            } => {
                // Some of it may have been taken.
                let mut hint = SizeHint::default();
                hint.set_upper(*length);
                hint
            }
            Pieces::Stream { length: None, .. } => SizeHint::default(),
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.poll_next(context)
            .map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.len().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Body {
    /// A body from one of another library. Its trailer fields are not sent. Needs the feature `tower`.
    pub fn from_http_body<B>(body: B) -> Self
    where
        B: http_body::Body<Error: Into<BoxError>> + 'static,
    {
        let mut body = Some(body);
        // One of our own that went through a layer is what it was.
        if let Some(own) = (&mut body as &mut dyn Any).downcast_mut::<Option<Body>>() {
            return own.take().unwrap_or_default();
        }
        let Some(body) = body.filter(|body| !body.is_end_stream()) else {
            return Body::empty();
        };
        let length = body.size_hint().exact();
        let mut frames = Frames {
            first: None,
            body: Box::pin(body),
        };
        // Most bodies are one piece in memory: sent with its length, and without a task.
        if length.is_some() {
            let mut context = Context::from_waker(Waker::noop());
            match Pin::new(&mut frames).poll_next(&mut context) {
                Poll::Ready(Some(Ok(piece))) if length == Some(piece.len() as u64) => return Body::from(piece),
                Poll::Ready(first) => frames.first = first,
                Poll::Pending => {}
            }
        }
        Body::from_stream(frames)
    }
}

/// The data of a body's frames.
struct Frames<B> {
    /// What was read of it before.
    first: Option<Result<Bytes, BoxError>>,
    body: Pin<Box<B>>,
}

impl<B: http_body::Body<Error: Into<BoxError>>> Stream for Frames<B> {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        loop {
            let frame = match std::task::ready!(self.body.as_mut().poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => return Poll::Ready(None),
            };
            if let Ok(mut data) = frame.into_data() {
                let length = data.remaining();
                return Poll::Ready(Some(Ok(data.copy_to_bytes(length))));
            }
        }
    }
}
