//! Errors in one form: problem details (RFC 9457).
//!
//! [`Problem`] is an error response. Any error turns into one by `?`; `#[derive(Problem)]` gives each variant of an error type its
//! status, title and detail; `App::errors` sets the format of all errors of an application.

mod carried;
mod fault;
mod response;
#[cfg(feature = "openapi")]
mod schema;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

use http::header::HeaderName;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

pub use self::carried::{Cause, IntoProblem, Never};
pub use self::fault::{Fault, LISTED_FAULTS, Step};
pub(crate) use self::response::take_apart;
pub use self::response::with_status;
#[cfg(feature = "tower")]
use crate::body::causes;
use crate::body::{Body, BodyError, BodyKind};
pub use crate::excerpt::Excerpt;
use crate::excerpt::{logged_message, one_line};
use crate::openapi::Operation;
use crate::pool::{Buffer, MediaType};
use crate::response::{IntoResponse, Response, with_type};

/// An error response in the form of RFC 9457: `application/problem+json` with the members `type`, `title`, `status`,
/// `detail`, `instance`, and any others that the problem brings.
///
/// All errors of Conduit have this form. A handler returns a problem as the `Err` of a `Result`. `?` converts any other error into
/// a 500: a `std::error::Error`, a boxed one, an `anyhow::Error` or an `eyre::Report`. The texts of the error and of its sources
/// are logged, and the client sees them only in development (`App::development`). `#[derive(Problem)]` converts an error type of
/// the application into problems.
///
/// # Example
///
/// A handler whose error names the missing user:
///
/// ```
/// use conduit::prelude::*;
///
/// #[get("/users/{id}")]
/// async fn show(id: Path<u64>) -> Result<String, Problem> {
///     match *id {
///         1 => Ok("the first user".to_owned()),
///         id => Err(Problem::not_found(format!("no user has the id {id}"))),
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Problem(Box<Members>);

#[derive(Clone, Debug, PartialEq)]
struct Members {
    status: StatusCode,
    kind: Option<Cow<'static, str>>,
    title: Option<Cow<'static, str>>,
    detail: Option<Cow<'static, str>>,
    instance: Option<Cow<'static, str>>,
    extensions: Vec<(Cow<'static, str>, Value)>,
    headers: HeaderMap,
    /// The text of the error that it comes from, then those of its sources. It is not part of the response.
    causes: Vec<String>,
    /// The names of the fields in a form and the messages of the listed faults. They are not part of the response.
    field_errors: Vec<(String, String)>,
}

impl Problem {
    /// A problem with this status and nothing else: the title is the status's reason phrase.
    pub fn new(status: StatusCode) -> Self {
        Problem(Box::new(Members {
            status,
            kind: None,
            title: None,
            detail: None,
            instance: None,
            extensions: Vec::new(),
            headers: HeaderMap::new(),
            causes: Vec::new(),
            field_errors: Vec::new(),
        }))
    }

    /// 400: the request is invalid; `detail` has the reason.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST).with_detail(detail)
    }

    /// 401: the request lacks valid credentials.
    pub fn unauthorized(detail: impl Into<Cow<'static, str>>) -> Self {
        Problem::new(StatusCode::UNAUTHORIZED).with_detail(detail)
    }

    /// 403: the client lacks the permission.
    pub fn forbidden(detail: impl Into<Cow<'static, str>>) -> Self {
        Problem::new(StatusCode::FORBIDDEN).with_detail(detail)
    }

    /// 404: the resource does not exist.
    pub fn not_found(detail: impl Into<Cow<'static, str>>) -> Self {
        Problem::new(StatusCode::NOT_FOUND).with_detail(detail)
    }

    /// 409: the request conflicts with the state of the resource.
    pub fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Problem::new(StatusCode::CONFLICT).with_detail(detail)
    }

    /// 413: the body is longer than the limit.
    pub fn payload_too_large(detail: impl Into<Cow<'static, str>>) -> Self {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE).with_detail(detail)
    }

    /// 415: the body's media type is not one that the handler reads.
    pub fn unsupported_media_type(detail: impl Into<Cow<'static, str>>) -> Self {
        Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE).with_detail(detail)
    }

    /// 422: the body is well-formed, but its values are invalid.
    pub fn unprocessable(detail: impl Into<Cow<'static, str>>) -> Self {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY).with_detail(detail)
    }

    /// 500 for an internal error. The error and its sources are logged; the client sees only the status.
    pub fn internal(error: &(dyn StdError + 'static)) -> Self {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR).with_cause(error)
    }

    /// 500 for a handler, a layer or the code around them that panicked with this message.
    pub(crate) fn panicked(message: &str) -> Self {
        let message = logged_message(message);
        tracing::error!(panic = message, "the handling of a request panicked");
        let mut problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR);
        problem
            .0
            .causes
            .push(format!("the handling of the request panicked: {message}"));
        problem
    }

    /// Sets the error that the problem comes from, for the log and for development (`App::development`): in
    /// production the client does not see it. It is logged here, with its sources; as an error if the status is one of
    /// the server's (5xx), otherwise at the level `debug`.
    pub fn with_cause(mut self, error: &(dyn StdError + 'static)) -> Self {
        let mut cause = Some(error);
        while let Some(error) = cause {
            self.0.causes.push(logged_message(error));
            cause = error.source();
        }
        let (status, chain) = (self.0.status.as_u16(), self.0.causes.join(": "));
        let chain = one_line(&chain);
        if self.0.status.is_server_error() {
            tracing::error!(status, error = %chain, "a handler failed");
        } else {
            tracing::debug!(status, error = %chain, "a handler rejected the request");
        }
        self
    }

    /// Sets the explanation of this occurrence, for a person to read.
    pub fn with_detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Sets the URI that identifies the kind of problem; without it the kind is `about:blank`, a
    /// problem without more meaning than its status, and the member is omitted.
    pub fn with_type(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.0.kind = Some(uri.into());
        self
    }

    /// Sets the short text that is the same for every problem of this kind. Default: the reason phrase of the status.
    pub fn with_title(mut self, title: impl Into<Cow<'static, str>>) -> Self {
        self.0.title = Some(title.into());
        self
    }

    /// Sets the URI that identifies this occurrence.
    pub fn with_instance(mut self, uri: impl Into<Cow<'static, str>>) -> Self {
        self.0.instance = Some(uri.into());
        self
    }

    /// Sets an extension member (RFC 9457, section 3.2), in place of one of this name. The standard members have methods of
    /// their names.
    ///
    /// # Panics
    ///
    /// Panics if `name` is `type`, `title`, `status`, `detail` or `instance`.
    pub fn with(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        let name = name.into();
        assert!(
            !matches!(&*name, "type" | "title" | "status" | "detail" | "instance"),
            "`{name}` is a standard member of a problem: set it with the method of its name",
        );
        let extensions = &mut self.0.extensions;
        match extensions.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value.into(),
            None => extensions.push((name, value.into())),
        }
        self
    }

    /// Sets a member as [`with`](Problem::with) does, from any value that serde serializes. A value that cannot be serialized is
    /// logged and omitted.
    pub fn with_serialized(self, name: impl Into<Cow<'static, str>>, value: &impl Serialize) -> Self {
        let name = name.into();
        match serde_json::to_value(value) {
            Ok(value) => self.with(name, value),
            Err(error) => {
                tracing::error!(member = %name, %error, "a member of a problem cannot be written as JSON");
                self
            }
        }
    }

    /// Adds a header field to the response, such as `Retry-After` or `Allow`.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The text that is particular to this occurrence.
    pub fn detail(&self) -> Option<&str> {
        self.0.detail.as_deref()
    }

    /// The short text that is the same for every problem of this kind: the status's reason phrase unless one was set.
    pub fn title(&self) -> Option<&str> {
        self.0.title.as_deref().or(self.0.status.canonical_reason())
    }

    /// The URI of the kind of problem; `about:blank` unless one was set.
    pub fn type_uri(&self) -> &str {
        self.0.kind.as_deref().unwrap_or("about:blank")
    }

    /// The member of this name that [`with`](Problem::with) added.
    pub fn member(&self, name: &str) -> Option<&Value> {
        let mut members = self.0.extensions.iter();
        members.find(|member| member.0 == name).map(|member| &member.1)
    }

    /// All members that [`with`](Problem::with) added, in their order.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.extensions.iter().map(|(name, value)| (&**name, value))
    }

    /// The header fields of the response besides its content type.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The faults that are made by [`Fault::of_form`], for a page with a form: the name of each field as the form has it, such as
    /// `items[3][price]`, and the message. The name is empty for a fault of the form as a whole, and for a name of more than 256 bytes.
    pub fn field_errors(&self) -> impl Iterator<Item = (&str, &str)> {
        let errors = self.0.field_errors.iter();
        errors.map(|(field, message)| (field.as_str(), message.as_str()))
    }

    /// The text of the error that the problem comes from and those of its sources: not for clients in production.
    pub fn causes(&self) -> &[String] {
        &self.0.causes
    }

    /// Sets the status.
    pub(crate) fn set_status(&mut self, status: StatusCode) {
        self.0.status = status;
    }

    /// The problem's members as JSON, in a buffer of the worker's pool.
    fn to_json(&self) -> Buffer {
        let mut buffer = Buffer::take();
        serde_json::to_writer(&mut *buffer as &mut Vec<u8>, self)
            .expect("a problem's members are strings, numbers and JSON values");
        buffer
    }
}

impl Body {
    /// The problem of an error response whose body is unchanged. A layer may read it; a layer that encodes bodies should
    /// leave it unchanged, because the application's error format (`App::errors`) runs after all
    /// layers.
    pub fn problem(&self) -> Option<&Problem> {
        match &self.0 {
            BodyKind::Presented(value, _) => value.downcast_ref(),
            _ => None,
        }
    }
}

impl Problem {
    /// The response to a client whose body could not be read.
    pub fn of_body_error(error: &BodyError) -> Self {
        match error {
            BodyError::TooLarge { .. } => Problem::payload_too_large(error.to_string()),
            BodyError::Incomplete | BodyError::Malformed { .. } => Problem::bad_request(error.to_string()),
            BodyError::OutOfMemory => Problem::new(StatusCode::SERVICE_UNAVAILABLE)
                .with_detail(error.to_string())
                .with_header(RETRY_AFTER, HeaderValue::from_static("1")),
            BodyError::Stream(error) => Problem::internal(&**error),
            #[cfg(feature = "tower")]
            BodyError::Unreadable(error) if is_too_long(&**error) => {
                Problem::payload_too_large("the body exceeds the limit of a layer")
            }
            // The message of the other library may disclose details to the client.
            #[cfg(feature = "tower")]
            BodyError::Unreadable(error) => {
                tracing::debug!(
                    error = &**error as &dyn std::error::Error,
                    "a request's body could not be read"
                );
                Problem::bad_request("the body could not be read")
            }
        }
    }
}

/// Returns whether the error of a body is the length limit of `http-body-util`, which layers of tower set.
#[cfg(feature = "tower")]
fn is_too_long(error: &(dyn StdError + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<http_body_util::LengthLimitError>())
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = &*self.0;
        let mut map = serializer.serialize_map(None)?;
        if let Some(kind) = &members.kind {
            map.serialize_entry("type", kind)?;
        }
        if let Some(title) = self.title() {
            map.serialize_entry("title", title)?;
        }
        map.serialize_entry("status", &members.status.as_u16())?;
        if let Some(detail) = &members.detail {
            map.serialize_entry("detail", detail)?;
        }
        if let Some(instance) = &members.instance {
            map.serialize_entry("instance", instance)?;
        }
        for (name, value) in &members.extensions {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[diagnostic::do_not_recommend]
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let json = self.to_json();
        let status = self.0.status;
        let headers = self.0.headers.clone();
        // The body carries the problem on to where the application's error format is applied.
        let mut response = with_type(Body(BodyKind::Presented(Box::new(self), json)), MediaType::Problem);
        *response.status_mut() = status;
        response.headers_mut().extend(headers);
        response
    }

    fn describe(operation: &mut Operation) {
        operation.any_problem();
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.status)?;
        match &self.0.detail {
            Some(detail) => write!(f, ": {detail}"),
            None => Ok(()),
        }
    }
}
