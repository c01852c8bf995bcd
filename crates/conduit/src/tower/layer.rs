//! Tower layers around handlers.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use http::StatusCode;
use tokio::sync::oneshot;
use tower_service::Service;
use tracing::Instrument;

use super::conversion::{call, from_http, into_http};
use crate::body::{Body, BoxError};
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use conduit_core::internal::endpoint::{Outcome, PendingHandler};
use conduit_core::interop::SendBody;
use conduit_core::layer::{Layer, Next};

/// Converts a tower layer, such as one of `tower-http`, to a Conduit layer. Each worker creates one service and clones it for
/// each request; state that the clones share, such as a limit, is per worker.
///
/// The layer may change the body types of the request and the response. Neither bodies nor futures are `Send` here:
/// [`send_layer`] accepts a layer that requires it.
///
/// # Example
///
/// At most eight concurrent requests on each worker:
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
pub fn layer<L: AroundHandlers>(layer: L) -> TowerLayer<L> {
    TowerLayer::new(layer)
}

/// Like [`layer`], for layers that require `Send` bodies or futures, such as the `RequestDecompressionLayer` and
/// `CatchPanicLayer` of `tower-http`, or `axum::middleware::from_fn`.
///
/// A pending handler then continues in a separate task, and another task forwards its stream; a response that is ready
/// at once needs neither task. A file body becomes a stream here.
///
/// # Example
///
/// An axum middleware function:
///
/// ```
/// use axum::extract::Request;
/// use axum::middleware::{Next, from_fn};
/// use conduit::http;
/// use conduit::prelude::{App, get, routes};
///
/// async fn server_name(request: Request, next: Next) -> axum::response::Response {
///     let mut response = next.run(request).await;
///     response.headers_mut().insert("server", "conduit".parse().expect("a value"));
///     response
/// }
///
/// #[get("/")]
/// async fn home() -> &'static str {
///     "home"
/// }
///
/// let layer = tower::ServiceBuilder::new()
///     .map_request(|request: http::Request<conduit::tower::SendBody>| request.map(axum::body::Body::new))
///     .layer(from_fn(server_name))
///     .into_inner();
/// let app = App::new(()).routes(routes![home]).layer(conduit::tower::send_layer(layer));
/// ```
pub fn send_layer<L: AroundHandlers<SendNextService>>(layer: L) -> TowerLayer<L, SendNextService> {
    TowerLayer::new(layer)
}

/// A tower layer that can wrap handlers. The trait is implemented for all of them.
///
/// The layer wraps a [`NextService`] in a service for `http::Request<Body>` that returns an `http::Response` with any body, or
/// an error that converts to a boxed error, which is logged and results in a 500. The layer and the service are `Clone` and
/// `Send`. With a [`SendNextService`], the same applies to `http::Request<SendBody>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tower layer for handlers",
    label = "not a layer for handlers",
    note = "its service for a `{N}` must be `Clone`, `Send` and a `Service` of `http::Request` whose response is an `http::Response`; the request body is a `conduit::Body`, or a `SendBody` with `conduit::tower::send_layer`",
    note = "the bodies and futures of `conduit::tower::layer` are not `Send`: use `conduit::tower::send_layer` for a layer that requires `Send`"
)]
pub trait AroundHandlers<N: Inside = NextService>: Clone + Send + 'static {
    /// The resulting service.
    type Service: Clone + Send + 'static;

    /// Wraps the rest of the chain.
    fn around(&self, next: N) -> Self::Service;

    /// Calls the service with a request.
    fn answer(service: Self::Service, request: http::Request<N::Body>) -> impl Future<Output = Response>;
}

#[diagnostic::do_not_recommend]
impl<L, N, B> AroundHandlers<N> for L
where
    L: tower_layer::Layer<N> + Clone + Send + 'static,
    L::Service:
        Service<http::Request<N::Body>, Response = http::Response<B>, Error: Into<BoxError>> + Clone + Send + 'static,
    N: Inside,
    B: http_body::Body<Error: Into<BoxError>> + 'static,
{
    type Service = L::Service;

    fn around(&self, next: N) -> L::Service {
        self.layer(next)
    }

    fn answer(service: L::Service, request: http::Request<N::Body>) -> impl Future<Output = Response> {
        call(service, request)
    }
}

/// A tower layer; created by [`layer`] and [`send_layer`].
pub struct TowerLayer<L: AroundHandlers<N>, N: Inside = NextService> {
    layer: L,
    /// The service, created at the first request.
    service: OnceCell<L::Service>,
}

impl<L: AroundHandlers<N>, N: Inside> TowerLayer<L, N> {
    fn new(layer: L) -> Self {
        TowerLayer {
            layer,
            service: OnceCell::new(),
        }
    }
}

/// Each clone creates a separate service.
impl<L: AroundHandlers<N>, N: Inside> Clone for TowerLayer<L, N> {
    fn clone(&self) -> Self {
        TowerLayer::new(self.layer.clone())
    }
}

impl<L: AroundHandlers<N>, N: Inside> Layer for TowerLayer<L, N> {
    async fn call(&self, request: Request, next: Next) -> Response {
        let service = self.service.get_or_init(|| self.layer.around(N::new())).clone();
        let (mut request, shell) = into_http(request);
        let ticket = Ticket::new(shell, next);
        request.extensions_mut().insert(TicketNumber(ticket.0));
        L::answer(service, request.map(N::body)).await
    }

    fn describe(&self, operation: &mut Operation) {
        operation.open_layer();
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(conduit_core::internal::layer::short_name::<L>())
    }
}

/// The inner service of a tower layer: [`NextService`] or [`SendNextService`].
pub trait Inside: Clone + Send + 'static {
    /// The body type of the layer's requests.
    type Body: 'static;

    /// The service.
    fn new() -> Self;

    /// Converts a body for the layer.
    fn body(body: Body) -> Self::Body;
}

/// The inner service of a tower layer: the rest of the chain. It is always ready and never fails.
///
/// It accepts the layer's request once: a different request, or a second call, results in a 500.
#[derive(Clone, Debug)]
pub struct NextService(());

impl Inside for NextService {
    type Body = Body;

    fn new() -> Self {
        NextService(())
    }

    fn body(body: Body) -> Body {
        body
    }
}

impl<B: RequestBody> Service<http::Request<B>> for NextService {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let taken = take(request);
        Box::pin(async move {
            Ok(match taken {
                Some((request, next)) => next.run(request).await,
                None => not_its_own(),
            })
        })
    }
}

/// Like [`NextService`], for layers that require `Send` bodies and futures: see [`send_layer`]. Call it on its worker's thread:
/// in the layer itself, or in a task that the layer spawns.
#[derive(Clone, Debug)]
pub struct SendNextService(());

impl Inside for SendNextService {
    type Body = SendBody;

    fn new() -> Self {
        SendNextService(())
    }

    fn body(body: Body) -> SendBody {
        SendBody::new(body)
    }
}

impl<B: RequestBody> Service<http::Request<B>> for SendNextService {
    type Response = http::Response<SendBody>;
    type Error = Infallible;
    type Future = SendNextFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> SendNextFuture {
        let outcome = match take(request) {
            // A pending handler is polled again by its task.
            Some((request, next)) => next.start(request, &mut Context::from_waker(Waker::noop())),
            None => Outcome::Ready(not_its_own()),
        };
        match outcome {
            Outcome::Ready(response) => SendNextFuture(SendNextState::Ready(Some(response.map(SendBody::new)))),
            Outcome::Pending(handler) => {
                let (answer, receiver) = oneshot::channel();
                tokio::task::spawn_local(run_until_closed(handler, answer).in_current_span());
                SendNextFuture(SendNextState::Waiting(receiver))
            }
        }
    }
}

/// Runs a handler, at most until the receiver of its response is dropped.
async fn run_until_closed(mut handler: PendingHandler, mut answer: oneshot::Sender<http::Response<SendBody>>) {
    let response = poll_fn(|context| {
        if answer.poll_closed(context).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut handler).poll(context).map(Some)
    });
    if let Some(response) = response.await {
        // The receiver may have been dropped.
        let _ = answer.send(response.map(SendBody::new));
    }
}

/// The future of a [`SendNextService`] response. Dropping it drops the handler.
#[derive(Debug)]
pub struct SendNextFuture(SendNextState);

#[derive(Debug)]
enum SendNextState {
    Ready(Option<http::Response<SendBody>>),
    Waiting(oneshot::Receiver<http::Response<SendBody>>),
}

impl Future for SendNextFuture {
    type Output = Result<http::Response<SendBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = match &mut self.0 {
            SendNextState::Ready(response) => response.take(),
            SendNextState::Waiting(receiver) => std::task::ready!(Pin::new(receiver).poll(context)).ok(),
        };
        // The task is dropped only with its runtime.
        Poll::Ready(Ok(answered.unwrap_or_else(|| {
            let ended = Problem::new(StatusCode::SERVICE_UNAVAILABLE);
            ended.into_response().map(SendBody::new)
        })))
    }
}

/// Returns the original request with the layer's changes, and its `Next`. Returns `None` at a second call.
fn take<B: RequestBody>(request: http::Request<B>) -> Option<(Request, Next)> {
    let mut request = request.map(RequestBody::into_body);
    let number = request.extensions_mut().remove::<TicketNumber>()?;
    let (shell, next) = WAITING.with_borrow_mut(|waiting| waiting.remove(&number.0))?;
    Some((from_http(shell, request), next))
}

fn not_its_own() -> Response {
    tracing::error!("a tower layer has called its inner service twice, or with a different request");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR).into_response()
}

/// A request body that a tower layer may pass to the handler. The trait is implemented for all `http-body` bodies.
///
/// If the body fails, the handler's extractor responds with a 400, or with a 413 if the body exceeds a limit of
/// `http-body-util`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the body of a request to a handler",
    label = "the request body that this tower layer produces",
    note = "it must be a `'static` `http_body::Body` whose error converts into `Box<dyn Error + Send + Sync>`"
)]
pub trait RequestBody: Sized + 'static {
    /// Converts the body to the type that handlers read.
    fn into_body(self) -> Body;
}

#[diagnostic::do_not_recommend]
impl<B: http_body::Body<Error: Into<BoxError>> + 'static> RequestBody for B {
    fn into_body(self) -> Body {
        Body::of_request(self)
    }
}

thread_local! {
    /// The requests inside tower layers. They are not `Send`, so the extensions of the `http` request cannot hold them.
    static WAITING: RefCell<HashMap<u64, (Request, Next)>> = RefCell::default();
    static TICKETS: Cell<u64> = const { Cell::new(0) };
}

/// The key of a pending request, in its extensions.
#[derive(Clone, Copy)]
struct TicketNumber(u64);

/// A pending request; dropping the ticket removes the request.
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
        // Drop the removed value outside the borrow: it may be a future that holds another ticket.
        let _removed = WAITING.try_with(|waiting| waiting.borrow_mut().remove(&self.0));
    }
}
