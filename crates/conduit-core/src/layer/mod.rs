//! Layers between the server and the handlers.

pub(crate) mod ambient;
pub(crate) mod erased;
mod function;
pub(crate) mod name;
mod next;

use std::borrow::Cow;
use std::future::Future;
use std::marker::PhantomData;
use std::rc::Rc;

pub(crate) use self::ambient::{AmbientEndpoint, CrossOriginGuard, with_credentials};
use self::name::short_name;
pub use self::next::{Continuation, Next, NextWith, ProvidesNothing};
use crate::openapi::Operation;
use crate::request::Request;
use crate::response::Response;

/// A type between the server and the handlers; the [module](self) explains the order of calls.
///
/// `N` is [`Next`], or [`NextWith`] for a layer that provides a value.
///
/// A layer is created once, and each worker thread gets a clone. State of one worker needs no lock; share state of all
/// workers through an `Arc`. A layer need not be `Sync`.
///
/// # Example
///
/// A layer that rejects paths beyond a length:
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
pub trait Layer<N: Continuation = Next>: Clone + Send + 'static {
    /// Responds to the request, directly or through `next`.
    fn call(&self, request: Request, next: N) -> impl Future<Output = Response>;

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
/// [extractors](crate::extract), the [`Request`] and [`Next`] or [`NextWith`], and returns a
/// [response](crate::response::IntoResponse).
///
/// The extractors of a function must not take the body, because the handler needs it. `M` distinguishes the forms
/// for the compiler and is always inferred. `V` are the values that the layers around this one provide.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a layer in an application whose state is `{S}`",
    label = "not a layer",
    note = "a layer is an `async fn(Request, Next) -> Response`, with optional extractors such as `State<…>` before the request and any response type; or a type that implements `Layer`, `Clone` and `Send`",
    note = "its arguments cannot be references: to change the request, write `mut request: Request` instead of `request: &mut Request`",
    note = "a layer that reads a provided value, such as `RateLimit::by_provided`, needs a layer outside of it that provides the value"
)]
pub trait Middleware<S, M, V = ()>: Clone + Send + 'static {
    /// Rejects, at compile time, a layer that takes the request's body.
    const LEAVES_THE_BODY: () = ();

    /// Set if an extractor of the layer [is ambient](crate::extract::FromRequest::IS_AMBIENT).
    const IS_AMBIENT: bool = false;

    /// The last argument.
    type Next: Continuation;

    /// Extracts its arguments from the request and the state, and responds, directly or through `next`.
    fn handle(
        self: Rc<Self>,
        request: Request,
        state: Rc<S>,
        next: Self::Next,
    ) -> impl Future<Output = Response> + 'static;

    /// Its name in the table of routes.
    fn name(&self) -> Cow<'static, str>;

    /// Adds the inputs of the layer and the responses that it creates to the description of an operation. A function adds the
    /// descriptions of its extractors and of its error type; calls in its body are not described.
    fn describe(&self, operation: &mut Operation);
}

/// Distinguishes a type with [`Layer`] from a function for the compiler.
#[derive(Debug)]
pub struct OfType<N>(PhantomData<fn() -> N>);

impl<S: 'static, V: 'static, N: Continuation, L: Layer<N>> Middleware<S, OfType<N>, V> for L {
    type Next = N;

    async fn handle(self: Rc<Self>, request: Request, _: Rc<S>, next: N) -> Response {
        self.call(request, next).await
    }

    fn name(&self) -> Cow<'static, str> {
        Layer::name(self)
    }

    fn describe(&self, operation: &mut Operation) {
        Layer::describe(self, operation);
    }
}
