//! `Json`, `Form` and `Query`: values that serde reads and writes.

use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use super::fields::{Fields, may_be_nested};
use super::wording::{missing_field, reworded};
use super::{FromRequest, Readable, TOO_LARGE};
use crate::body::Body;
use crate::openapi::Operation;
use crate::pool::{Buffer, MediaType};
use crate::problem::{Fault, Problem, Step};
use crate::request::Request;
use crate::response::{IntoResponse, Response, Writable, with_type};

/// JSON (RFC 8259): as an argument the body of the request, as a return value that of the response.
///
/// The request's `content-type` must be `application/json` or end in `+json`.
///
/// # Errors
///
/// Rejects with 415 for another content type, 413 for a body over the limit, 400 for text that is no JSON, and 422
/// for JSON that is not a `T`; the detail names the member, what was
/// expected of it, and the line and column.
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

/// Form fields, `application/x-www-form-urlencoded`: as an argument the body of the request, as a return value that of
/// the response. A field that comes several times fills a `Vec`, and `address[city]` fills the field `city` of a struct `address`,
/// as in a [`Query`].
///
/// # Errors
///
/// Rejects with 415 for another content type, 413 for a body over the limit, and 422 for fields that are not a `T`.
#[derive(Clone, Copy, Debug)]
pub struct Form<T>(pub T);

/// The fields of the query. A field that comes several times fills a `Vec`; no query is the same as an empty one.
///
/// A name with brackets is a field inside of another one: `filter[name]=x` fills the field `name` of a struct or a map
/// `filter`, `items[0][price]=1` the first element of a list of structs, and `tags[]=a` is the same as `tags=a`. At most eight
/// names stand in brackets.
///
/// # Errors
///
/// Rejects with 400 for fields that are not a `T`.
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

impl<S, T: Readable> FromRequest<S> for Json<T> {
    const TAKES_BODY: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        require_type(request, "application/json", |subtype| {
            subtype.eq_ignore_ascii_case("json") || ends_with_ignoring_case(subtype, "+json")
        })?;
        let body = request.take_body().collect_buffer().await?;
        match serde_json::from_slice(&body) {
            Ok(value) => {
                request.was_read(body);
                Ok(Json(value))
            }
            Err(error) => Err(bad_json::<T>(&body, &error)),
        }
    }

    fn describe(operation: &mut Operation) {
        operation
            .body_of::<T>("application/json")
            .problem(StatusCode::BAD_REQUEST, "The body is not JSON.")
            .problem(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)
            .problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body's media type is not JSON.")
            .faults(
                StatusCode::UNPROCESSABLE_ENTITY,
                "The body is JSON, but not what is expected.",
            );
    }

    fn is_absent(request: &Request) -> bool {
        !request.has_body()
    }
}

impl<T: Writable> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut buffer = Buffer::take();
        match serde_json::to_writer(&mut *buffer as &mut Vec<u8>, &self.0) {
            Ok(()) => with_type(Body::from(buffer), MediaType::Json),
            Err(error) => Problem::internal(&error).into_response(),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.response_of::<T>("application/json");
    }
}

impl<S, T: Readable> FromRequest<S> for Form<T> {
    const TAKES_BODY: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        require_type(request, "application/x-www-form-urlencoded", |subtype| {
            subtype.eq_ignore_ascii_case("x-www-form-urlencoded")
        })?;
        let body = request.take_body().collect_buffer().await?;
        let value = if may_be_nested(&body) {
            nested("body", StatusCode::UNPROCESSABLE_ENTITY, &body)?
        } else {
            serde_html_form::from_bytes(&body)
                .map_err(|error| bad_fields::<T>("body", StatusCode::UNPROCESSABLE_ENTITY, &body, &error))?
        };
        request.was_read(body);
        Ok(Form(value))
    }

    fn describe(operation: &mut Operation) {
        operation
            .form_of::<T>("application/x-www-form-urlencoded")
            .problem(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)
            .problem(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "The body's media type is not that of a form.",
            )
            .faults(
                StatusCode::UNPROCESSABLE_ENTITY,
                "The form's fields are not what is expected.",
            );
    }

    fn is_absent(request: &Request) -> bool {
        !request.has_body()
    }
}

impl<T: Writable> IntoResponse for Form<T> {
    fn into_response(self) -> Response {
        match serde_html_form::to_string(&self.0) {
            Ok(form) => with_type(Body::from(form), MediaType::Form),
            Err(error) => Problem::internal(&error).into_response(),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.response_of::<T>("application/x-www-form-urlencoded");
    }
}

impl<S, T: Readable> FromRequest<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        let query = request.query().unwrap_or("");
        if may_be_nested(query.as_bytes()) {
            return nested("query", StatusCode::BAD_REQUEST, query.as_bytes()).map(Query);
        }
        match serde_html_form::from_str(query) {
            Ok(value) => Ok(Query(value)),
            Err(error) => Err(bad_fields::<T>(
                "query",
                StatusCode::BAD_REQUEST,
                query.as_bytes(),
                &error,
            )),
        }
    }

    fn describe(operation: &mut Operation) {
        operation
            .query_fields::<T>()
            .faults(StatusCode::BAD_REQUEST, "The query's fields are not what is expected.");
    }

    fn is_absent(request: &Request) -> bool {
        request.query().is_none()
    }
}

/// Reads fields of which some are inside of others.
fn nested<T: DeserializeOwned>(part: &str, status: StatusCode, fields: &[u8]) -> Result<T, Problem> {
    T::deserialize(Fields::of_form(fields)).map_err(|error| Problem::faults(status, &[error.fault(part)]))
}

/// What is wrong with a body that is no JSON, or not the JSON of a `T`. It is read once more, to find the member.
#[cold]
fn bad_json<T: DeserializeOwned>(body: &[u8], error: &serde_json::Error) -> Problem {
    if error.classify() != serde_json::error::Category::Data {
        return Problem::bad_request(format!("the body is not JSON: {error}"));
    }
    let reader = &mut serde_json::Deserializer::from_slice(body);
    let error_with_path = serde_path_to_error::deserialize::<_, T>(reader).err();
    let path = error_with_path.as_ref().map(serde_path_to_error::Error::path);
    let message = error.to_string();
    let steps = path.into_iter().flat_map(|path| path.iter()).filter_map(step);
    let steps: Vec<Step<'_>> = steps.chain(missing_field(&message).map(Step::Key)).collect();
    let fault = Fault::of_json(steps, reworded(&message));
    Problem::faults(StatusCode::UNPROCESSABLE_ENTITY, &[fault])
}

/// A step as serde tells it; `None` where it cannot tell.
fn step(segment: &Segment) -> Option<Step<'_>> {
    match segment {
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Map { key } | Segment::Enum { variant: key } => Some(Step::Key(key)),
        Segment::Unknown => None,
    }
}

/// What is wrong with fields that are not those of a `T`. They are read once more, to find the field.
#[cold]
fn bad_fields<T: DeserializeOwned>(
    part: &str,
    status: StatusCode,
    fields: &[u8],
    error: &serde_html_form::de::Error,
) -> Problem {
    let reader = serde_html_form::Deserializer::from_bytes(fields);
    let error_with_path = serde_path_to_error::deserialize::<_, T>(reader).err();
    let path = error_with_path.as_ref().map(serde_path_to_error::Error::path);
    let said = error.to_string();
    let missing = missing_field(&said);
    let steps = path.into_iter().flat_map(|path| path.iter()).filter_map(step);
    let steps: Vec<Step<'_>> = steps.chain(missing.map(Step::Key)).collect();
    let message = reworded(&said);
    // A field that fills a list has its place in it: `answer[1]`.
    let value = match steps[..] {
        [Step::Key(name), ref rest @ ..] if missing.is_none() => {
            let index = match rest {
                [Step::Index(index), ..] => *index,
                _ => 0,
            };
            form_urlencoded::parse(fields)
                .filter(|field| field.0 == name)
                .nth(index)
        }
        _ => None,
    };
    let message = match value {
        Some((_, value)) if !message.contains(", found ") => format!("{message}, found {value:?}"),
        _ => message,
    };
    Problem::faults(status, &[Fault::at(part, steps, message)])
}

/// Checks the request's content type: `application/` and a subtype that is accepted; its parameters do not matter.
fn require_type(request: &Request, expected: &'static str, accepts: impl Fn(&str) -> bool) -> Result<(), Problem> {
    let Some(value) = request.header(CONTENT_TYPE.as_str()) else {
        let detail = format!("the request has no content-type: {expected} is expected");
        return Err(Problem::unsupported_media_type(detail));
    };
    let essence = value
        .split(|byte| *byte == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let (kind, subtype) = str::from_utf8(essence)
        .ok()
        .and_then(|text| text.split_once('/'))
        .unwrap_or_default();
    if kind.eq_ignore_ascii_case("application") && accepts(subtype) {
        return Ok(());
    }
    let given = String::from_utf8_lossy(value);
    Err(Problem::unsupported_media_type(format!(
        "the content-type is {given:?}: {expected} is expected"
    )))
}

fn ends_with_ignoring_case(text: &str, ending: &str) -> bool {
    text.len() >= ending.len() && text.as_bytes()[text.len() - ending.len()..].eq_ignore_ascii_case(ending.as_bytes())
}
