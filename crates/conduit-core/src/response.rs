//! Return values of handlers.
//!
//! | type | status | `content-type` |
//! | --- | --- | --- |
//! | `()` | 200, no body | – |
//! | `&'static str`, `String`, `Box<str>`, `Cow<'static, str>` | 200 | `text/plain; charset=utf-8` |
//! | `&'static [u8]`, `Vec<u8>`, [`Bytes`] | 200 | `application/octet-stream` |
//! | [`Body`], [`Response`] | 200, or its own | –, or its own |
//! | `Json<T>` | 200 | `application/json` |
//! | [`Html<T>`] | 200 | `text/html; charset=utf-8` |
//! | [`Created<T>`] | 201, with `location` | that of `T` |
//! | [`NoContent`] | 204, no body | – |
//! | [`Status<CODE, T>`] | `CODE` | that of `T` |
//! | [`Redirect`] | 303, 307 or 308, with `location` | – |
//! | [`StatusCode`] | that; with a problem as its body from 400 up | `application/problem+json` from 400 up |
//! | [`Problem`] | its own | `application/problem+json` |
//! | `(StatusCode, T)` | that | that of `T` |
//! | `(H, T)`, `(StatusCode, H, T)` with header fields `H` | that of `T`, or the one given | that of `T`, unless `H` has one |
//! | `H` alone | 200, no body | – |
//! | `Option<T>` | that of `T`, or 404 | |
//! | `Result<T, E>` | that of `T` or of `E` | |
//!
//! Header fields are a [`HeaderMap`] or an array of pairs of name and value.

use std::borrow::Cow;
use std::convert::Infallible;

use bytes::Bytes;
use http::header::{HeaderName, LOCATION};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::Serialize;

use crate::body::Body;
use crate::openapi::Operation;
use crate::pool::{self, MediaType};
use crate::problem::Problem;

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
/// A type of one's own:
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

    /// Adds what this answers to the description of an operation. The default adds nothing: it is not known, and noted
    /// as a gap of the handler that returns it.
    fn describe(operation: &mut Operation) {
        let _ = operation;
    }
}

/// A response with this body and content type.
#[inline]
#[doc(hidden)]
pub fn with_type(body: Body, media_type: MediaType) -> Response {
    pool::response(body, media_type)
}

#[diagnostic::do_not_recommend]
impl IntoResponse for Response {
    fn into_response(self) -> Response {
        self
    }

    /// The handler creates it, of any kind.
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

#[diagnostic::do_not_recommend]
impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        if self.is_client_error() || self.is_server_error() {
            return Problem::new(self).into_response();
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self;
        response
    }

    /// Which one is known only at run time.
    fn describe(operation: &mut Operation) {
        operation.at_unknown_status(|operation| {
            operation.response_without_body();
        });
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
        operation.on_success(T::describe).on_failure(E::describe);
    }
}

impl<T: IntoResponse> IntoResponse for Option<T> {
    fn into_response(self) -> Response {
        match self {
            Some(value) => value.into_response(),
            None => Problem::new(StatusCode::NOT_FOUND).into_response(),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.on_success(T::describe);
        operation.problem(StatusCode::NOT_FOUND, "There is no such thing.");
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        *response.status_mut() = self.0;
        response
    }

    fn describe(operation: &mut Operation) {
        operation.at_unknown_status(T::describe);
    }
}

impl<H: IntoHeaders, T: IntoResponse> IntoResponse for (H, T) {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        match self.0.set(response.headers_mut()) {
            Ok(()) => response,
            Err(problem) => problem.into_response(),
        }
    }

    fn describe(operation: &mut Operation) {
        T::describe(operation);
    }
}

impl<H: IntoHeaders, T: IntoResponse> IntoResponse for (StatusCode, H, T) {
    fn into_response(self) -> Response {
        let mut response = self.2.into_response();
        *response.status_mut() = self.0;
        match self.1.set(response.headers_mut()) {
            Ok(()) => response,
            Err(problem) => problem.into_response(),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.at_unknown_status(T::describe);
    }
}

#[diagnostic::do_not_recommend]
impl IntoResponse for HeaderMap {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }

    fn describe(operation: &mut Operation) {
        operation.response_without_body();
    }
}

#[diagnostic::do_not_recommend]
impl<K, V, const N: usize> IntoResponse for [(K, V); N]
where
    [(K, V); N]: IntoHeaders,
{
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }

    fn describe(operation: &mut Operation) {
        operation.response_without_body();
    }
}

/// Header fields that a handler returns together with a body: a [`HeaderMap`], or an array of pairs of a name and a value.
///
/// A field replaces one of the same name from the body's type. A name or value that HTTP does
/// not allow makes the response a 500 problem, and is logged.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a status nor a set of header fields",
    note = "the first element of a pair must be a `StatusCode`, a `HeaderMap`, or an array such as `[(\"cache-control\", \"no-store\")]`"
)]
pub trait IntoHeaders {
    /// Sets the fields in `headers`.
    ///
    /// # Errors
    ///
    /// If a name or a value is not valid in HTTP.
    fn set(self, headers: &mut HeaderMap) -> Result<(), Problem>;
}

impl IntoHeaders for HeaderMap {
    fn set(self, headers: &mut HeaderMap) -> Result<(), Problem> {
        headers.extend(self);
        Ok(())
    }
}

impl<K, V, const N: usize> IntoHeaders for [(K, V); N]
where
    K: TryInto<HeaderName, Error: std::error::Error + 'static>,
    V: TryInto<HeaderValue, Error: std::error::Error + 'static>,
{
    fn set(self, headers: &mut HeaderMap) -> Result<(), Problem> {
        let mut earlier: [Option<HeaderName>; N] = [const { None }; N];
        for (place, (name, value)) in self.into_iter().enumerate() {
            let name = name.try_into().map_err(|error| Problem::internal(&error))?;
            let value = value.try_into().map_err(|error| Problem::internal(&error))?;
            // The first of a name replaces what the body brought; the next ones of it (set-cookie) are added.
            if earlier.iter().flatten().any(|known| *known == name) {
                headers.append(&name, value);
            } else {
                headers.insert(&name, value);
            }
            earlier[place] = Some(name);
        }
        Ok(())
    }
}

/// A page: its content type is `text/html; charset=utf-8`. Escape user input before including it.
#[derive(Clone, Copy, Debug)]
pub struct Html<T>(pub T);

#[diagnostic::do_not_recommend]
impl<T: Into<Body>> IntoResponse for Html<T> {
    fn into_response(self) -> Response {
        with_type(self.0.into(), MediaType::Html)
    }

    fn describe(operation: &mut Operation) {
        operation.response("text/html", Operation::text());
    }
}

/// 201 with the address of what was made in `location` (RFC 9110, section 15.3.2), and a body that shows it.
///
/// # Example
///
/// A created user, shown as JSON:
///
/// ```
/// use conduit::prelude::*;
///
/// #[post("/users")]
/// async fn create(name: String) -> Created<Json<String>> {
///     Created::at("/users/7", Json(name))
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Created<T> {
    location: Cow<'static, str>,
    body: T,
}

impl<T> Created<T> {
    /// The new resource is at `location`, a URI reference; `body` represents it.
    pub fn at(location: impl Into<Cow<'static, str>>, body: T) -> Self {
        Created {
            location: location.into(),
            body,
        }
    }
}

impl<T: IntoResponse> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        (StatusCode::CREATED, [(LOCATION, location(self.location))], self.body).into_response()
    }

    fn describe(operation: &mut Operation) {
        operation.at_status(StatusCode::CREATED, |operation| {
            T::describe(operation);
            operation.response_header("location", "Where it is.");
        });
    }
}

/// 204: success without content (RFC 9110, section 15.3.5). It follows header fields or cookies:
/// `(cookies, NoContent)`.
///
/// # Example
///
/// A page that is removed:
///
/// ```
/// use conduit::prelude::*;
///
/// #[delete("/pages/{name}")]
/// async fn remove(name: Path<String>) -> Result<NoContent, Problem> {
///     match &*name.0 {
///         "home" => Err(Problem::conflict("this page stays")),
///         _ => Ok(NoContent),
///     }
/// }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NoContent;

#[diagnostic::do_not_recommend]
impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    }

    fn describe(operation: &mut Operation) {
        operation.at_status(StatusCode::NO_CONTENT, |operation| {
            operation.response_without_body();
        });
    }
}

/// A response whose type contains the status, so that the OpenAPI document has it: `Status<202, Json<Job>>`. A
/// [`StatusCode`] in a tuple is known only when the handler runs.
///
/// A `CODE` below 200 or from 600 up does not compile. For 204 there is [`NoContent`], for 201 with the address of what was
/// made [`Created`].
///
/// # Example
///
/// Work that is begun, and ends later:
///
/// ```
/// use conduit::prelude::*;
///
/// #[post("/reports")]
/// async fn begin() -> Status<202, Json<u64>> {
///     Status(Json(7))
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status<const CODE: u16, T>(pub T);

impl<const CODE: u16, T> Status<CODE, T> {
    const STATUS: StatusCode = {
        assert!(
            CODE >= 200 && CODE < 600,
            "the status of a response is a number from 200 to 599"
        );
        match StatusCode::from_u16(CODE) {
            Ok(status) => status,
            Err(_) => unreachable!(),
        }
    };
}

#[diagnostic::do_not_recommend]
impl<const CODE: u16, T: IntoResponse> IntoResponse for Status<CODE, T> {
    fn into_response(self) -> Response {
        (Self::STATUS, self.0).into_response()
    }

    fn describe(operation: &mut Operation) {
        operation.at_status(Self::STATUS, T::describe);
    }
}

/// A redirect: a status of the 300s and a `location`.
#[derive(Clone, Debug)]
pub struct Redirect {
    status: StatusCode,
    location: Cow<'static, str>,
}

impl Redirect {
    /// 303 See Other: the client requests the other address with `GET`, after any method. Use it after a posted form.
    pub fn to(location: impl Into<Cow<'static, str>>) -> Self {
        Redirect {
            status: StatusCode::SEE_OTHER,
            location: location.into(),
        }
    }

    /// 307 Temporary Redirect: the client sends the same request to the other address, this time.
    pub fn temporary(location: impl Into<Cow<'static, str>>) -> Self {
        Redirect {
            status: StatusCode::TEMPORARY_REDIRECT,
            location: location.into(),
        }
    }

    /// 308 Permanent Redirect: the client sends the same request to the other address, from now on.
    pub fn permanent(location: impl Into<Cow<'static, str>>) -> Self {
        Redirect {
            status: StatusCode::PERMANENT_REDIRECT,
            location: location.into(),
        }
    }
}

#[diagnostic::do_not_recommend]
impl IntoResponse for Redirect {
    fn into_response(self) -> Response {
        (self.status, [(LOCATION, location(self.location))], ()).into_response()
    }

    fn describe(operation: &mut Operation) {
        operation.redirect();
    }
}

/// The bytes of a URI reference that must be percent-encoded in a header field: all that is not visible ASCII.
const NOT_IN_A_URI: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The header value of a `location`, with what a URI cannot hold percent-encoded.
fn location(reference: Cow<'static, str>) -> HeaderValue {
    let encoded: Cow<'_, str> = percent_encoding::utf8_percent_encode(&reference, NOT_IN_A_URI).into();
    HeaderValue::from_str(&encoded).expect("percent-encoding leaves only visible ASCII")
}
