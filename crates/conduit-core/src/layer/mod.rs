//! Layers between the server and the handlers.

pub(crate) mod ambient;
pub(crate) mod erased;
mod function;
pub(crate) mod name;

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll};

pub(crate) use self::ambient::{AmbientEndpoint, CrossOriginGuard, with_credentials};
use self::name::short_name;
use crate::endpoint::{Endpoint, Outcome};
use crate::openapi::Operation;
use crate::request::Request;
use crate::response::Response;

/// A type between the server and the handlers; the [module](self) explains the order of calls.
///
/// A layer is created once, and each worker thread gets a clone. State of one worker needs no lock; share state of all
/// workers through an `Arc`. A layer need not be `Sync`.
///
/// # Example
///
/// A layer that rejects bodies beyond a limit:
///
/// ```
/// use conduit::prelude::*;
///
/// #[derive(Clone)]
/// struct LongestPath(usize);
///
/// impl Layer for LongestPath {
///     async fn call(&self, request: Request, next: Next) -> Response {
///         if request.path().len() > self.0 {
///             return StatusCode::URI_TOO_LONG.into_response();
///         }
///         next.run(request).await
///     }
/// }
///
/// #[get("/{*path}")]
/// async fn show(path: Path<String>) -> String {
///     path.0
/// }
///
/// let app = App::new(()).routes(routes![#[layer(LongestPath(100))] show]);
/// ```
pub trait Layer: Clone + Send + 'static {
    /// Responds to the request, directly or through `next`.
    fn call(&self, request: Request, next: Next) -> impl Future<Output = Response>;

    /// The name of this layer in the table of routes. Default: the name of its type without the modules.
    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(short_name::<Self>())
    }

    /// Adds the inputs and responses of this layer to the description of each operation inside of
    /// it. It runs after the handler and the inner layers. The default adds nothing.
    ///
    /// # Example
    ///
    /// A layer that requires a header field:
    ///
    /// ```
    /// use conduit::openapi::{Operation, Parameter};
    /// use conduit::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct Versioned;
    ///
    /// impl Layer for Versioned {
    ///     async fn call(&self, request: Request, next: Next) -> Response {
    ///         match request.header("x-version") {
    ///             Some(b"2") => next.run(request).await,
    ///             _ => Problem::bad_request("x-version: 2 is expected").into_response(),
    ///         }
    ///     }
    ///
    ///     fn describe(&self, operation: &mut Operation) {
    ///         operation
    ///             .parameter(Parameter::header("x-version").required(true))
    ///             .problem(StatusCode::BAD_REQUEST, "The version is not 2.");
    ///     }
    /// }
    ///
    /// #[get("/")]
    /// async fn home() -> &'static str {
    ///     "home"
    /// }
    ///
    /// let app = App::new(()).routes(routes![#[layer(Versioned)] home]);
    /// ```
    fn describe(&self, operation: &mut Operation) {
        let _ = operation;
    }
}

/// An argument for a layer: a [`Layer`], or an `async` function that takes up to six
/// [extractors](crate::extract), the [`Request`] and [`Next`], and returns a [response](crate::response::IntoResponse).
///
/// The extractors of a function must not take the body, because the handler needs it. `M` distinguishes the forms
/// for the compiler and is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer in an application whose state is `{S}`",
    label = "not a layer",
    note = "a layer is an `async fn(Request, Next) -> Response`, with optional extractors such as `State<…>` before the request and any response type; or a type that implements `Layer`, `Clone` and `Send`",
    note = "its arguments cannot be references: to change the request, write `mut request: Request` instead of `request: &mut Request`"
)]
pub trait Middleware<S, M>: Clone + Send + 'static {
    /// Rejects, at compile time, a layer that takes the request's body.
    const LEAVES_THE_BODY: () = ();

    /// Set if an extractor of the layer [is ambient](crate::extract::FromRequest::IS_AMBIENT).
    const IS_AMBIENT: bool = false;

    /// Extracts its arguments from the request and the state, and responds, directly or through `next`.
    fn handle(self: Rc<Self>, request: Request, state: Rc<S>, next: Next) -> impl Future<Output = Response> + 'static;

    /// Its name in the table of routes.
    fn name(&self) -> Cow<'static, str>;

    /// Adds the inputs and the own responses of the layer to the description of an operation. A function adds the descriptions
    /// of its extractors and of its error type; calls in its body are not described.
    fn describe(&self, operation: &mut Operation);
}

impl<S: 'static, L: Layer> Middleware<S, ()> for L {
    async fn handle(self: Rc<Self>, request: Request, _: Rc<S>, next: Next) -> Response {
        self.call(request, next).await
    }

    fn name(&self) -> Cow<'static, str> {
        Layer::name(self)
    }

    fn describe(&self, operation: &mut Operation) {
        Layer::describe(self, operation);
    }
}

/// The inner layers and the handler.
#[derive(Clone)]
pub struct Next(Rc<dyn Endpoint>);

impl Next {
    /// Calls the inner layers and the handler, and returns their response. A panic becomes a 500.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops that of the handler, at its current `await`.
    pub async fn run(self, request: Request) -> Response {
        let mut request = Some(request);
        let outcome = poll_fn(|context| match request.take() {
            Some(request) => Poll::Ready(self.0.call(request, context)),
            // It was ready at its first poll.
            None => Poll::Pending,
        });
        match outcome.await {
            Outcome::Ready(response) => response,
            Outcome::Pending(response) => response.await,
        }
    }
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Next")
    }
}

/// Methods for the other crates of the workspace.
#[doc(hidden)]
impl Next {
    pub fn new(inner: Rc<dyn Endpoint>) -> Self {
        Next(inner)
    }

    /// Starts the call. A pending future has been polled once; the caller polls it again.
    pub fn start(&self, request: Request, context: &mut Context<'_>) -> Outcome {
        self.0.call(request, context)
    }
}
