//! Extractors: the arguments of handlers.
//!
//! | argument | value | rejected with |
//! | --- | --- | --- |
//! | [`Path<T>`] | a parameter of the path, decoded and parsed | 400 |
//! | [`Query<T>`] | the query, parsed | 400 |
//! | [`Json<T>`] | the body, from JSON | 400, 413, 415, 422 |
//! | [`Form<T>`] | the body, from a form | 400, 413, 415, 422 |
//! | [`Header<T>`] | fields of the head, parsed | 400 |
//! | `CookieValues<T>` (feature `cookies`) | the values of cookies, parsed | 400 |
//! | `Multipart`, `MultipartForm<T>` (feature `multipart`) | a form with files: as a stream, in a struct | 400, 413, 415, 422 |
//! | [`State<T>`] | the application's state, or a part of it | – |
//! | `Valid<Json<T>>` and similar (feature `validate`) | the same, with validated values | 422, or as `Json` |
//! | `Cookies`, `SignedCookies`, `PrivateCookies` (feature `cookies`) | the cookies, to read and set | – |
//! | [`Extension<T>`] | a value that a layer has attached | 500 |
//! | [`Bytes`], [`String`], [`Body`] | the body: whole, as text, as a stream | 400, 413 |
//! | [`HeaderMap`], [`Method`], [`Uri`], [`Version`] | parts of the request's head | – |
//! | [`Auth<T>`](auth::Auth), [`Bearer`](auth::Bearer), [`Basic`](auth::Basic), [`ApiKey`](auth::ApiKey) | the authenticated client, or its credentials | 401 |
//! | [`PeerAddr`] | the address of the peer | – |
//! | `ClientCertificate` (feature `tls`) | the client's certificate | 403 without one |
//! | [`Shutdown`] | the shutdown of the server, to await | – |
//! | [`Tasks`] | spawns work that continues after the response | – |
//! | [`Client`] | the client behind the proxies: address, scheme, host | never |
//! | [`UnixPeer`] | the peer process of a Unix socket | 403 for other sockets |
//! | [`Request`] | the whole request | – |
//! | `Option<T>` | `None` if the request has no input for `T` | as `T` |
//! | `Result<T, T::Rejection>` | the value or the rejection, for the handler to process | – |
//!
//! At most one argument takes the body; two are a compile error. The order of the arguments
//! is free: they are extracted from left to right, [`Request`] last, and the first rejection is the
//! response.

pub mod auth;
mod client;
mod connection;
mod content;
#[cfg(feature = "cookies")]
mod cookie_values;
#[cfg(feature = "cookies")]
mod cookies;
mod error;
mod extension;
mod fields;
mod header;
mod lines;
mod located;
#[cfg(feature = "multipart")]
mod multipart;
mod pairs;
mod path;
mod refusals;
#[cfg(feature = "validate")]
mod sent;
mod sent_cookies;
mod shutdown;
mod tasks;
mod text;
#[cfg(feature = "validate")]
mod valid;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, Version};
use serde::de::DeserializeOwned;

pub use client::Client;
#[cfg(feature = "tls")]
pub use connection::ClientCertificate;
pub use connection::UnixPeer;
pub use content::{Form, Json, Query};
#[cfg(feature = "cookies")]
pub use cookie_values::CookieValues;
#[cfg(feature = "cookies")]
pub use cookies::{CookieKey, Cookies, PrivateCookies, ShortSecret, SignedCookies};
pub use extension::{Attachable, Extension};
pub use header::Header;
pub(crate) use header::name_in_head;
#[cfg(feature = "multipart")]
pub use multipart::{Field, Multipart, MultipartForm, MultipartLimits, UploadedFile};
pub use path::{Path, PathArgument, PathParams};
#[cfg(feature = "validate")]
pub use sent::Sent;
pub use shutdown::Shutdown;
pub use tasks::Tasks;
#[cfg(feature = "validate")]
pub use valid::{Content, HasRules, Valid};

use crate::body::{Body, BodyError};
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// The condition of a 413, in descriptions.
pub(crate) const TOO_LARGE: &str = "The body is longer than the server takes.";

/// An argument of a handler that is extracted from a request, in an application with the state `S`.
///
/// # Example
///
/// An extractor of one's own, which works in an application with any state:
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
    message = "`{Self}` cannot be taken from a request in an application whose state is `{S}`",
    label = "not an extractor",
    note = "a handler takes `Path`, `Query`, `Json`, `Form`, `Header`, `State`, `HeaderMap`, `Method`, `Uri`, `Bytes`, `String`, `PeerAddr`, `Request`, an `Option` or `Result` of them, or a type of yours that implements `FromRequest`"
)]
pub trait FromRequest<S>: Sized {
    /// Set if this takes the request's body, so that no other argument of the handler can. Default: `false`.
    const TAKES_BODY: bool = false;

    /// The response if the extraction fails.
    type Rejection: IntoResponse;

    /// Extracts the argument.
    ///
    /// # Errors
    ///
    /// When the request lacks the value, or has it in an invalid form. The rejection is the response.
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

/// A type that serde reads from a request: every type that implements `serde::Deserialize` and borrows nothing. There is
/// nothing to implement: it replaces [`DeserializeOwned`] in bounds for the sake of the compiler's messages.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from a request",
    label = "serde cannot read a `{Self}`",
    note = "write `#[derive(serde::Deserialize)]` on `{Self}`; where it has fields that borrow, such as a `&str`, let them own their data, as a `String` does"
)]
pub trait Readable: DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned> Readable for T {}

/// A part of an application's state that is made from the whole state `S`.
///
/// Every state is made from itself. `#[derive(FromRef)]` on the state makes each of its fields available as
/// [`State`] by its type.
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
    label = "`State<{Self}>` is taken, or routes with the state `{Self}` are mounted, in an application whose state is `{S}`",
    note = "give `{S}` a field of type `{Self}` and derive `FromRef` for it, or implement `FromRef<{S}>` for `{Self}`"
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

/// The application's state, or a part that [`FromRef`] makes from it.
///
/// Each worker thread has a clone of the state that [`App::new`](crate::App::new) took: share values between
/// workers through an `Arc`, a pool, or another handle.
#[derive(Clone, Copy, Debug)]
pub struct State<T>(pub T);

impl<S, T: FromRef<S>> FromRequest<S> for State<T> {
    type Rejection = Infallible;

    async fn from_request(_: &mut Request, state: &S) -> Result<Self, Infallible> {
        Ok(State(T::from_ref(state)))
    }

    /// It does not depend on the request's content.
    fn describe(_: &mut Operation) {}
}

/// The address of the connection's peer: the client, or a proxy in front of the server. `0.0.0.0:0` for a Unix socket, see
/// [`Request::peer_address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddr(pub SocketAddr);

macro_rules! reads_as_its_content {
    ($($type:ident),*) => {$(
        impl<T> Deref for $type<T> {
            type Target = T;
            fn deref(&self) -> &T {
                &self.0
            }
        }

        impl<T> DerefMut for $type<T> {
            fn deref_mut(&mut self) -> &mut T {
                &mut self.0
            }
        }
    )*};
}

use auth::Auth;

reads_as_its_content!(Path, Query, Json, Form, Header, State, Auth, Extension);
#[cfg(feature = "multipart")]
reads_as_its_content!(MultipartForm);
#[cfg(feature = "cookies")]
reads_as_its_content!(CookieValues);

macro_rules! from_the_head {
    ($($type:ty, $request:ident => $value:expr;)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<S> FromRequest<S> for $type {
            type Rejection = Infallible;

            async fn from_request($request: &mut Request, _: &S) -> Result<Self, Infallible> {
                Ok($value)
            }

            /// Every request has it.
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
    type Rejection = Infallible;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(std::mem::replace(request, Request::blank()))
    }

    /// The handler describes its use of the request itself.
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

impl<S, T: FromRequest<S>> FromRequest<S> for Option<T> {
    const TAKES_BODY: bool = T::TAKES_BODY;
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

impl<S, T: FromRequest<S>> FromRequest<S> for Result<T, T::Rejection> {
    const TAKES_BODY: bool = T::TAKES_BODY;
    type Rejection = Infallible;

    async fn from_request(request: &mut Request, state: &S) -> Result<Self, Infallible> {
        Ok(T::from_request(request, state).await)
    }

    /// The handler responds itself to a rejection of `T`.
    fn describe(operation: &mut Operation) {
        operation.without_responses(T::describe);
    }
}

#[diagnostic::do_not_recommend]
impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        self.problem().into_response()
    }

    fn describe(operation: &mut Operation) {
        operation.any_problem();
    }
}
