//! Return values of handlers.
//!
//! | type | status | `content-type` |
//! | --- | --- | --- |
//! | `()` | 200, no body | – |
//! | `&'static str`, `String`, `Box<str>`, `Cow<'static, str>` | 200 | `text/plain; charset=utf-8` |
//! | `&'static [u8]`, `Vec<u8>`, [`Bytes`] | 200 | `application/octet-stream` |
//! | [`Body`], [`Response`] | 200, or its own | –, or its own |
//! | `Json<T>` | 200 | `application/json` |
//! | `Events<T>` | 200 | `text/event-stream` |
//! | [`Html<T>`] | 200 | `text/html; charset=utf-8` |
//! | [`Created<T>`] | 201, with `location` | that of `T` |
//! | [`NoContent`] | 204, no body | – |
//! | [`Status<CODE, T>`] | `CODE` | that of `T` |
//! | [`Redirect`] | 303, 307 or 308, with `location` | – |
//! | [`StatusCode`](http::StatusCode) | that; with a problem as its body from 400 up | `application/problem+json` from 400 up |
//! | [`Problem`](crate::problem::Problem) | its own | `application/problem+json` |
//! | `(StatusCode, T)` | that | that of `T` |
//! | `(H, T)`, `(StatusCode, H, T)` with header fields `H` | that of `T`, or the one given | that of `T`, unless `H` has one |
//! | `H` alone | 200, no body | – |
//! | `Option<T>` | that of `T`, or 404 | |
//! | `Result<T, E>` | that of `T` or of `E` | |
//!
//! Header fields are a [`HeaderMap`](http::HeaderMap) or an array of pairs of name and value.

mod returned;
pub(crate) mod typed;

use std::borrow::Cow;
use std::convert::Infallible;

use bytes::Bytes;
use serde::Serialize;

pub use self::returned::{NotAResponse, Returned, never_made};
pub use self::typed::{Created, Html, NoContent, Redirect, Status};
use crate::body::Body;
use crate::openapi::Operation;
use crate::pool::{self, MediaType};

/// A response: status, header fields and a [`Body`].
///
/// The server itself writes `date`, `content-length` and `transfer-encoding`, and `connection` where it closes.
pub type Response = http::Response<Body>;

/// A body that serde serializes: every type that derives `serde::Serialize`, so there is nothing to implement. It replaces
/// [`Serialize`] in bounds, so that compile errors name the missing derive.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be serialized into a response",
    label = "`{Self}` does not implement `serde::Serialize`",
    note = "write `#[derive(serde::Serialize)]` on `{Self}`"
)]
pub trait Writable: Serialize {}

#[diagnostic::do_not_recommend]
impl<T: Serialize> Writable for T {}

/// A return value of a handler: any type that converts to a [`Response`]. The [module](self) lists the types.
///
/// # Example
///
/// A custom type:
///
/// ```
/// use conduit::prelude::*;
///
/// struct Csv(String);
///
/// impl IntoResponse for Csv {
///     fn into_response(self) -> Response {
///         ([("content-type", "text/csv")], self.0).into_response()
///     }
/// }
///
/// #[get("/report.csv")]
/// async fn report() -> Csv {
///     Csv("name,clicks\n".to_owned())
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be converted into a response",
    label = "the return type of a handler",
    note = "return a string, bytes, `Json(…)`, `Html(…)`, a `StatusCode`, a tuple of status, header fields and one of these, or a `Result` of them; or implement `IntoResponse` for `{Self}`"
)]
pub trait IntoResponse {
    /// Makes the response.
    fn into_response(self) -> Response;

    /// Adds the responses of this type to the description of an operation. The default adds nothing, and the document records
    /// a gap for the handler.
    fn describe(operation: &mut Operation) {
        let _ = operation;
    }
}

/// A response with this body and content type.
#[inline]
pub(crate) fn with_type(body: Body, media_type: MediaType) -> Response {
    pool::response(body, media_type)
}

#[diagnostic::do_not_recommend]
impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }

    /// The handler may create any response.
    fn describe(operation: &mut Operation) {
        operation.any_response();
    }
}

#[diagnostic::do_not_recommend]
impl IntoResponse for Body {
    fn into_response(self) -> Response {
        Response::new(self)
    }

    fn describe(operation: &mut Operation) {
        operation.response("*/*", true);
    }
}

#[diagnostic::do_not_recommend]
impl IntoResponse for () {
    fn into_response(self) -> Response {
        Response::new(Body::empty())
    }

    fn describe(operation: &mut Operation) {
        operation.response_without_body();
    }
}

#[diagnostic::do_not_recommend]
impl IntoResponse for Infallible {
    fn into_response(self) -> Response {
        match self {}
    }
}

macro_rules! content {
    ($($type:ty => $media_type:ident),* $(,)?) => {$(
        #[diagnostic::do_not_recommend]
        impl IntoResponse for $type {
            fn into_response(self) -> Response {
                with_type(Body::from(self), MediaType::$media_type)
            }

            fn describe(operation: &mut Operation) {
                operation.response(MediaType::$media_type.essence(), Operation::text());
            }
        }
    )*};
}

content! {
    &'static str => Text,
    String => Text,
    &'static [u8] => Bytes,
    Vec<u8> => Bytes,
    Bytes => Bytes,
}

#[diagnostic::do_not_recommend]
impl<const N: usize> IntoResponse for &'static [u8; N] {
    fn into_response(self) -> Response {
        self.as_slice().into_response()
    }

    fn describe(operation: &mut Operation) {
        <&'static [u8]>::describe(operation);
    }
}

#[diagnostic::do_not_recommend]
impl IntoResponse for Box<str> {
    fn into_response(self) -> Response {
        self.into_string().into_response()
    }

    fn describe(operation: &mut Operation) {
        String::describe(operation);
    }
}

#[diagnostic::do_not_recommend]
impl IntoResponse for Cow<'static, str> {
    fn into_response(self) -> Response {
        match self {
            Cow::Borrowed(text) => text.into_response(),
            Cow::Owned(text) => text.into_response(),
        }
    }

    fn describe(operation: &mut Operation) {
        String::describe(operation);
    }
}

/// An `Err` of a handler's `Result`: any type that converts to a response, so there is nothing to
/// implement. It replaces [`IntoResponse`] in bounds, so that compile errors name the remedy.
#[diagnostic::on_unimplemented(
    message = "the error `{Self}` cannot be converted into a response",
    label = "the error type of a handler",
    note = "return `Result<_, Problem>`: `?` converts any error into a `Problem` with status 500, which is logged",
    note = "to choose the status of an error type, write `#[derive(Problem)]` on it or implement `IntoResponse`"
)]
pub trait IntoErrorResponse: IntoResponse {}

#[diagnostic::do_not_recommend]
impl<E: IntoResponse> IntoErrorResponse for E {}

impl<T: IntoResponse, E: IntoErrorResponse> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(value) => value.into_response(),
            Err(error) => error.into_response(),
        }
    }

    fn describe(operation: &mut Operation) {
        let success: fn(&mut Operation) = T::describe;
        let failure: fn(&mut Operation) = E::describe;
        operation.on_success(success).on_failure(failure);
    }
}
