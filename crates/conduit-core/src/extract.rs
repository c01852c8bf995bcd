//! Arguments of handlers: [`FromRequest`], and the types of the standard library and of `http` that implement it.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, Version};

use crate::body::Body;
use crate::openapi::Operation;
use crate::problem::Problem;
pub use crate::provided::{FromLayer, MarkerIn, Provided, Provides, With};
use crate::request::Request;
use crate::response::IntoResponse;

/// Calls a macro with the names of zero to six parameters, each with the name of its marker, for functions with as many extractors.
macro_rules! for_each_arity {
    ($implement:ident) => {
        $implement!();
        $implement!(A MA);
        $implement!(A MA B MB);
        $implement!(A MA B MB C MC);
        $implement!(A MA B MB C MC D MD);
        $implement!(A MA B MB C MC D MD E ME);
        $implement!(A MA B MB C MC D MD E ME G MG);
    };
}

pub(crate) use for_each_arity;

/// The description of a 413 of an extractor that reads the body.
pub const TOO_LARGE: &str = "The body is longer than the limit.";

/// An argument of a handler that is extracted from a request, in an application with the state `S`.
///
/// `M` is `()`, or [`FromLayer`] for an extractor that reads a value of a layer; the compiler infers it.
///
/// # Example
///
/// A custom extractor, which works in an application with any state:
///
/// ```
/// use conduit::prelude::*;
///
/// struct ApiKey(String);
///
/// impl<S> FromRequest<S> for ApiKey {
///     type Rejection = Problem;
///
///     async fn from_request(request: &mut Request, _state: &S) -> Result<Self, Problem> {
///         match request.header("x-api-key").and_then(|key| str::from_utf8(key).ok()) {
///             Some(key) => Ok(ApiKey(key.to_owned())),
///             None => Err(Problem::unauthorized("the header field x-api-key is missing")),
///         }
///     }
/// }
///
/// #[get("/secret")]
/// async fn secret(key: ApiKey) -> String {
///     format!("your key has {} bytes", key.0.len())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor in an application whose state is `{S}`",
    label = "not an extractor",
    note = "the extractors are `Path`, `Query`, `Json`, `Form`, `Header`, `State`, `Provided`, `HeaderMap`, `Method`, `Uri`, `Bytes`, `String`, `PeerAddr`, `Request`, an `Option` or `Result` of one of them, and types that implement `FromRequest`",
    note = "some require a part of the state: `Session` and `FormToken` require `Sessions`, signed and encrypted cookies `CookieKey`, `Jwt` `JwtVerifier`, `Templates` itself; add it as a field to a state that derives `FromRef`"
)]
pub trait FromRequest<S, M = ()>: Sized {
    /// Set if this takes the request's body, so that no other argument of the handler can. Default: `false`.
    const TAKES_BODY: bool = false;

    /// Set if this leaves nothing of the request to another argument, as [`Request`] does. A fallback extracts it after all
    /// other arguments. So does a handler if the name of the type is `Request`; of another name, it has to be the last
    /// argument. Default: `false`.
    const TAKES_ALL: bool = false;

    /// Set if this reads credentials that browsers attach automatically to requests of any site: cookies, names and
    /// passwords (`Basic`), client certificates. A request with an unsafe method, such as `POST`, is then rejected with 403 if
    /// it comes from a page of another origin, before its handler and the layers of its list run. Default: `false`.
    ///
    /// An extractor that reads the field `cookie` has to set it. The option `cross_origin` of a route, as in
    /// `#[post("/hook", cross_origin)]`, permits such requests, and
    /// `App::trusted_origin` permits those of one origin.
    const IS_AMBIENT: bool = false;

    /// The response if the extraction fails.
    type Rejection: IntoResponse;

    /// Extracts the argument.
    ///
    /// # Errors
    ///
    /// Returns the rejection, which is the response, if the request lacks the value or if the value is invalid.
    fn from_request(request: &mut Request, state: &S) -> impl Future<Output = Result<Self, Self::Rejection>>;

    /// Returns whether the request has no input for this extractor at all, so that an `Option` of it is `None` instead of
    /// a rejection. Default: `false`.
    fn is_absent(request: &Request) -> bool {
        let _ = request;
        false
    }

    /// Adds this extractor's input and its rejections to the description of an operation.
    ///
    /// The default adds the rejection's responses and records a gap: the input is unknown.
    fn describe(operation: &mut Operation) {
        operation.on_failure(Self::Rejection::describe).gap(format!(
            "the extractor `{}` does not describe its input: implement `FromRequest::describe` for it",
            std::any::type_name::<Self>()
        ));
    }
}

/// A part of an application's state that is made from the whole state `S`.
///
/// Every state is made from itself. `#[derive(FromRef)]` on the state makes each of its fields available as
/// `State` by its type.
///
/// # Example
///
/// Two parts of a state:
///
/// ```
/// use conduit::prelude::*;
///
/// #[derive(Clone)]
/// struct Greeting(&'static str);
///
/// #[derive(Clone, FromRef)]
/// struct Site {
///     greeting: Greeting,
///     visits: std::sync::Arc<std::sync::atomic::AtomicU64>,
/// }
///
/// #[get("/")]
/// async fn greet(greeting: State<Greeting>) -> &'static str {
///     greeting.0.0
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "the application's state `{S}` has no `{Self}`",
    label = "required by an argument `State<{Self}>` or by routes with the state `{Self}`",
    note = "add a field of type `{Self}` to `{S}` and derive `FromRef`, or implement `FromRef<{S}>` for `{Self}`",
    note = "a list of routes outside of a function names its state: `const ROUTES: Routes<AppState> = routes![…]`"
)]
pub trait FromRef<S>: Sized {
    /// Returns the part as an owned value; it is usually cheap to clone.
    fn from_ref(state: &S) -> Self;
}

impl<T: Clone> FromRef<T> for T {
    fn from_ref(state: &T) -> T {
        state.clone()
    }
}

/// The address of the connection's peer: the client, or a proxy in front of the server. `0.0.0.0:0` for a Unix socket, see
/// [`Request::peer_address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

macro_rules! from_the_head {
    ($($type:ty, $request:ident => $value:expr;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<S> FromRequest<S> for $type {
            type Rejection = Infallible;

            async fn from_request($request: &mut Request, _: &S) -> Result<Self, Infallible> {
                Ok($value)
            }

            /// Every request has the value.
            fn describe(_: &mut Operation) {}
        }
    )*};
}

from_the_head! {
    Method, request => request.method().clone();
    Uri, request => request.uri().clone();
    Version, request => request.version();
    HeaderMap, request => request.take_headers();
    PeerAddr, request => PeerAddr(request.peer_address());
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for Request {
    const TAKES_BODY: bool = true;
    const TAKES_ALL: bool = true;
    type Rejection = Infallible;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(std::mem::replace(request, Request::blank()))
    }

    /// Adds an optional body of any media type: the use of the rest of the request is unknown.
    fn describe(operation: &mut Operation) {
        operation.optional(|operation| {
            operation.body("*/*", true);
        });
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for Body {
    const TAKES_BODY: bool = true;
    type Rejection = Infallible;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(request.take_body())
    }

    fn describe(operation: &mut Operation) {
        operation.optional(|operation| {
            operation.body("*/*", true);
        });
    }

    fn is_absent(request: &Request) -> bool {
        !request.has_body()
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for Bytes {
    const TAKES_BODY: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        Ok(request.take_body().collect().await?)
    }

    fn describe(operation: &mut Operation) {
        operation.optional(|operation| {
            operation.body("application/octet-stream", true);
        });
        operation.problem(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE);
    }

    fn is_absent(request: &Request) -> bool {
        !request.has_body()
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for String {
    const TAKES_BODY: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        let (bytes, charge) = request.take_body().collect_buffer().await?.into_parts();
        request.hold(charge);
        String::from_utf8(bytes).map_err(|error| {
            let place = error.utf8_error().valid_up_to();
            Problem::bad_request(format!(
                "the body is not UTF-8: byte {place} is not part of a character"
            ))
        })
    }

    fn describe(operation: &mut Operation) {
        operation.optional(|operation| {
            operation.body("text/plain", Operation::text());
        });
        operation
            .problem(StatusCode::BAD_REQUEST, "The body is not UTF-8.")
            .problem(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE);
    }

    fn is_absent(request: &Request) -> bool {
        !request.has_body()
    }
}

impl<S, M, T: FromRequest<S, M>> FromRequest<S, M> for Option<T> {
    const TAKES_BODY: bool = T::TAKES_BODY;
    const TAKES_ALL: bool = T::TAKES_ALL;
    const IS_AMBIENT: bool = T::IS_AMBIENT;
    type Rejection = T::Rejection;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, T::Rejection> {
        if T::is_absent(request) || request.has_no_body_after_all(T::is_absent).await {
            return Ok(None);
        }
        T::from_request(request, state).await.map(Some)
    }

    fn describe(operation: &mut Operation) {
        operation.optional(T::describe);
    }
}

impl<S, M, T: FromRequest<S, M>> FromRequest<S, M> for Result<T, T::Rejection> {
    const TAKES_BODY: bool = T::TAKES_BODY;
    const TAKES_ALL: bool = T::TAKES_ALL;
    const IS_AMBIENT: bool = T::IS_AMBIENT;
    type Rejection = Infallible;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Infallible> {
        Ok(T::from_request(request, state).await)
    }

    fn is_absent(request: &Request) -> bool {
        T::is_absent(request)
    }

    /// The handler responds itself to a rejection of `T`.
    fn describe(operation: &mut Operation) {
        operation.without_responses(T::describe);
    }
}
