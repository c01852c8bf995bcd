//! Responses whose type contains the media type or the status.

use std::borrow::Cow;

use http::header::LOCATION;
use http::{HeaderValue, StatusCode};

use super::{IntoResponse, Response, with_type};
use crate::body::Body;
use crate::openapi::Operation;
use crate::pool::MediaType;

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

/// 201 with the address of the new resource in `location` (RFC 9110, section 15.3.2), and a body that represents it.
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
        leading_to(self.body.into_response(), StatusCode::CREATED, &self.location)
    }

    fn describe(operation: &mut Operation) {
        let describe: fn(&mut Operation) = T::describe;
        operation.at_status(StatusCode::CREATED, |operation| {
            describe(operation);
            operation.required_response_header("location", "The location of the new resource.");
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
/// A `CODE` below 200 or from 600 up does not compile. Use [`NoContent`] for 204, and [`Created`] for 201 with the
/// address of the new resource.
///
/// # Example
///
/// A job that continues after the response:
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

    /// 307 Temporary Redirect: the client sends this request to the other address, and later ones to the original one.
    pub fn temporary(location: impl Into<Cow<'static, str>>) -> Self {
        Redirect {
            status: StatusCode::TEMPORARY_REDIRECT,
            location: location.into(),
        }
    }

    /// 308 Permanent Redirect: the client sends this request and later ones to the other address.
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
        leading_to(Response::new(Body::empty()), self.status, &self.location)
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

/// The response with this status and the field `location`. Bytes that a URI cannot hold are percent-encoded.
pub fn leading_to(mut response: Response, status: StatusCode, reference: &str) -> Response {
    let encoded: Cow<'_, str> = percent_encoding::utf8_percent_encode(reference, NOT_IN_A_URI).into();
    let location = HeaderValue::from_str(&encoded).expect("percent-encoding leaves only visible ASCII");
    *response.status_mut() = status;
    response.headers_mut().insert(LOCATION, location);
    response
}
