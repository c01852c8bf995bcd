//! `Json`, `Form` and `Query`: values that serde deserializes and serializes.

use std::future::{Future, ready};

use conduit_core::internal::field_pairs::urlencoded;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, header};
use serde::de::IgnoredAny;

use super::error::Error;
use super::located::from_json;
use super::pairs::Pairs;
use super::{FromRequest, Readable, TOO_LARGE};
use crate::body::Body;
use crate::extract::type_probe::TypeProbe;
use crate::openapi::{Operation, TypeKey};
use crate::pool::{self, Buffer, MediaType};
use crate::problem::{Excerpt, Problem};
use crate::request::Request;
use crate::response::{IntoResponse, Response, Writable};

/// JSON (RFC 8259): the request body as an argument, the response body as a return value.
///
/// The request's `content-type` must be `application/json` or end in `+json`.
///
/// # Errors
///
/// Rejects with 415 for another content type and for a compressed body, 413 for a body over the limit, 400 for malformed JSON,
/// and 422 for JSON that is not a `T`; the detail names the member, the expectation and the value.
///
/// # Example
///
/// A sum:
///
/// ```
/// use conduit::prelude::*;
///
/// #[post("/sum")]
/// async fn sum(numbers: Json<Vec<f64>>) -> Json<f64> {
///     Json(numbers.iter().sum())
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

/// Form fields, `application/x-www-form-urlencoded`: the request body as an argument, the response body as a return value. A
/// repeated field fills a `Vec`, and `address[city]` fills the field `city` of a struct `address`, as in a [`Query`].
///
/// # Errors
///
/// Rejects with 415 for another content type and for a compressed body, 413 for a body over the limit or with more than
/// 10,000 fields, 400 for fields that are not UTF-8 once decoded, and 422 for fields that are not a `T`.
#[derive(Clone, Copy, Debug)]
pub struct Form<T>(pub T);

/// The fields of the query. A repeated field fills a `Vec`, a tuple or an array; a missing query equals an empty one.
///
/// A name with brackets refers to a nested field: `filter[name]=x` fills the field `name` of a struct or a map `filter`,
/// `items[0][price]=1` the first element of a list of structs, and `tags[]=a` is the same as `tags=a`. A name has at most eight
/// brackets. If a field of the root struct has brackets in its name, as with `#[serde(rename = "tags[]")]`, the name matches
/// literally.
///
/// An `Option` is `None` for an empty value if its type rejects the empty string, as numbers, dates and enums do; an
/// `Option<String>` is `Some("")`. In flattened structs and untagged enums, a value is read as a string first, and as a
/// number or a boolean if the type rejects the string.
///
/// # Errors
///
/// Rejects with 400 for fields that are not a `T`, for more values than a tuple has elements, for fields that are not UTF-8
/// once decoded, and for more than 10,000 fields.
///
/// # Example
///
/// A page of a list, with a default:
///
/// ```
/// use conduit::prelude::*;
///
/// #[derive(serde::Deserialize)]
/// struct Page {
///     #[serde(default)]
///     after: u64,
/// }
///
/// #[get("/items")]
/// async fn items(page: Query<Page>) -> String {
///     format!("items after {}", page.after)
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T> TypeProbe<Json<T>> {
    /// The extractor takes the body.
    pub const TAKES_BODY: bool = true;
}

impl<S, T: Readable> FromRequest<S> for Json<T> {
    const TAKES_BODY: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        // `?` would be three more functions for each type.
        let body = match body_of_type(request, "application/json", is_json).await {
            Ok(body) => body,
            Err(problem) => return Err(problem),
        };
        match from_json(&body) {
            Ok(value) => {
                request.was_read(body);
                Ok(Json(value))
            }
            Err(error) => Err(bad_json(&body, &error)),
        }
    }

    fn describe(operation: &mut Operation) {
        describe_json(operation, TypeKey::of::<T>());
    }

    fn is_absent(request: &Request) -> bool {
        !request.has_body()
    }
}

impl<T: Writable> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut buffer = Buffer::take();
        let written = serde_json::to_writer(&mut *buffer as &mut Vec<u8>, &self.0);
        json_response(buffer, written)
    }

    fn describe(operation: &mut Operation) {
        operation.response_of_key(TypeKey::of::<T>(), "application/json");
    }
}

impl<T> TypeProbe<Form<T>> {
    /// The extractor takes the body.
    pub const TAKES_BODY: bool = true;
}

impl<S, T: Readable> FromRequest<S> for Form<T> {
    const TAKES_BODY: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        let body = body_of_type(request, "application/x-www-form-urlencoded", is_form).await?;
        let pairs = Pairs::parse(&body).map_err(|error| error.problem("body", StatusCode::PAYLOAD_TOO_LARGE))?;
        match pairs.read() {
            Ok(value) => {
                request.was_read(body);
                Ok(Form(value))
            }
            Err(error) => Err(bad_form(&error)),
        }
    }

    fn describe(operation: &mut Operation) {
        operation
            .form_of::<T>("application/x-www-form-urlencoded")
            .faults(StatusCode::BAD_REQUEST, "The form's fields are not UTF-8.")
            .problem(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)
            .problem(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The media type of the body is not application/x-www-form-urlencoded.",
            )
            .faults(
                StatusCode::UNPROCESSABLE_ENTITY,
                "A field of the form is missing or has an invalid value.",
            );
    }

    fn is_absent(request: &Request) -> bool {
        !request.has_body()
    }
}

impl<T: Writable> IntoResponse for Form<T> {
    fn into_response(self) -> Response {
        match urlencoded(&self.0) {
            Ok(form) => pool::response(Body::from(form), MediaType::Form),
            Err(error) => Problem::internal(&error).into_response(),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.response_of::<T>("application/x-www-form-urlencoded");
    }
}

impl<S, T: Readable> FromRequest<S> for Query<T> {
    type Rejection = Problem;

    // Building a ready future takes less code per type than the state machine of an `async fn`.
    fn from_request(request: &mut Request, _: &S) -> impl Future<Output = Result<Self, Problem>> {
        ready(match query_pairs(request) {
            Ok(pairs) => match pairs.read() {
                Ok(value) => Ok(Query(value)),
                Err(error) => Err(bad_query(&error)),
            },
            Err(problem) => Err(problem),
        })
    }

    fn describe(operation: &mut Operation) {
        describe_query(operation, TypeKey::of::<T>());
    }

    fn is_absent(request: &Request) -> bool {
        request.query().is_none()
    }
}

fn json_response(buffer: Buffer, written: serde_json::Result<()>) -> Response {
    match written {
        Ok(()) => pool::response(Body::from(buffer), MediaType::Json),
        Err(error) => Problem::internal(&error).into_response(),
    }
}

/// Parses the query to pairs.
fn query_pairs(request: &Request) -> Result<Pairs<'_>, Problem> {
    let query = request.query().unwrap_or("");
    Pairs::parse(query.as_bytes()).map_err(|error| error.problem("query", StatusCode::BAD_REQUEST))
}

fn is_json(subtype: &str) -> bool {
    subtype.eq_ignore_ascii_case("json") || ends_with_ignoring_case(subtype, "+json")
}

fn is_form(subtype: &str) -> bool {
    subtype.eq_ignore_ascii_case("x-www-form-urlencoded")
}

/// Returns the whole body after checking its content type. Compiled once for all value types.
async fn body_of_type(
    request: &mut Request,
    expected: &'static str,
    accepts: fn(&str) -> bool,
) -> Result<Buffer, Problem> {
    require_type(request, expected, accepts)?;
    Ok(request.take_body().collect_buffer().await?)
}

fn describe_json(operation: &mut Operation, of: TypeKey) {
    operation
        .body_of_key(of, "application/json")
        .problem(StatusCode::BAD_REQUEST, "The body is not JSON.")
        .problem(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)
        .problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body's media type is not JSON.")
        .faults(
            StatusCode::UNPROCESSABLE_ENTITY,
            "The body is JSON, but a member is missing or has an invalid value.",
        );
}

fn describe_query(operation: &mut Operation, of: TypeKey) {
    operation.query_fields_of(of).faults(
        StatusCode::BAD_REQUEST,
        "A field of the query is missing or has an invalid value.",
    );
}

#[cold]
fn bad_query(error: &Error) -> Problem {
    Problem::faults(StatusCode::BAD_REQUEST, &[error.fault("query")])
}

#[cold]
fn bad_form(error: &Error) -> Problem {
    Problem::faults(StatusCode::UNPROCESSABLE_ENTITY, &[error.form_fault()])
}

/// Returns the problem of a body that is not JSON, or not JSON of the expected type.
#[cold]
fn bad_json(body: &[u8], error: &Error) -> Problem {
    // The parser reports some values of the wrong kind as syntax errors, so check the whole text.
    if error.is_of_parser()
        && let Err(message) = check_json(body)
    {
        return Problem::bad_request(format!("the body is not JSON: {message}"));
    }
    Problem::faults(StatusCode::UNPROCESSABLE_ENTITY, &[error.json_fault()])
}

/// Checks that a body is JSON (RFC 8259).
fn check_json(body: &[u8]) -> Result<(), String> {
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err("it begins with a byte-order mark, which JSON does not allow (RFC 8259, section 8.1)".to_owned());
    }
    if body.starts_with(b"\x1f\x8b") {
        return Err("it is compressed with gzip, but the request has no content-encoding".to_owned());
    }
    if let Err(error) = str::from_utf8(body) {
        return Err(format!("byte {} is not UTF-8", error.valid_up_to()));
    }
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Checks the request's content type: `application/` and an accepted subtype, with any parameters. Rejects an encoded body.
fn require_type(request: &Request, expected: &'static str, accepts: fn(&str) -> bool) -> Result<(), Problem> {
    require_decoded(request)?;
    let Some(value) = request.header(CONTENT_TYPE.as_str()) else {
        let detail = format!("the request has no content-type: expected {expected}");
        return Err(Problem::unsupported_media_type(detail));
    };
    if is_type(value, accepts) {
        return Ok(());
    }
    Err(Problem::unsupported_media_type(format!(
        "the content-type is {:?}: expected {expected}",
        Excerpt::new(value)
    )))
}

/// Checks that the request has the content type of a form.
pub(super) fn require_form(request: &Request) -> Result<(), Problem> {
    require_type(request, "application/x-www-form-urlencoded", is_form)
}

/// The media type of a content type, without its parameters.
pub(crate) fn essence(content_type: &[u8]) -> &[u8] {
    let mut parts = content_type.split(|byte| *byte == b';');
    parts.next().unwrap_or_default().trim_ascii()
}

/// The media type of a content type in lower case, without its parameters; `None` if it has other characters than visible ASCII.
#[cfg(any(feature = "compression", feature = "mcp"))]
pub(crate) fn media_type(content_type: &HeaderValue) -> Option<String> {
    let text = content_type.to_str().ok()?;
    String::from_utf8(essence(text.as_bytes()).to_ascii_lowercase()).ok()
}

/// Returns whether a content type is `application/` and an accepted subtype, with any parameters.
fn is_type(value: &[u8], accepts: fn(&str) -> bool) -> bool {
    let (kind, subtype) = str::from_utf8(essence(value))
        .ok()
        .and_then(|text| text.split_once('/'))
        .unwrap_or_default();
    kind.eq_ignore_ascii_case("application") && accepts(subtype)
}

/// Returns whether the request's content type is that of a [`Form`].
#[cfg(feature = "sessions")]
pub(crate) fn has_form(request: &Request) -> bool {
    let value = request.header(CONTENT_TYPE.as_str());
    value.is_some_and(|value| is_type(value, is_form))
}

/// Checks that the body has no content coding (RFC 9110, section 8.4). The layer `Decompression` removes the field.
pub(super) fn require_decoded(request: &Request) -> Result<(), Problem> {
    match request.header(header::CONTENT_ENCODING.as_str()) {
        None => Ok(()),
        Some(coding) if coding.eq_ignore_ascii_case(b"identity") => Ok(()),
        Some(coding) => Err(encoded(coding)),
    }
}

#[cold]
fn encoded(coding: &[u8]) -> Problem {
    Problem::unsupported_media_type(format!(
        "the body has the content-encoding {:?}, which this route does not decode: send the body without a \
         content-encoding, or add the layer Decompression to the route",
        Excerpt::new(coding)
    ))
    .with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"))
}

fn ends_with_ignoring_case(text: &str, ending: &str) -> bool {
    text.len() >= ending.len() && text.as_bytes()[text.len() - ending.len()..].eq_ignore_ascii_case(ending.as_bytes())
}
