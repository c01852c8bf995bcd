//! `Json`, `Form` and `Query`: values that serde reads and writes.

use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::FromRequest;
use crate::body::Body;
use crate::pool::{Buffer, MediaType};
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response, with_type};

/// JSON (RFC 8259): as an argument the body of the request, as a return value that of the response.
///
/// The request's `content-type` must be `application/json` or end in `+json`.
///
/// # Errors
///
/// Rejects with 415 for another content type, 413 for a body over the limit, 400 for text that is no JSON, and 422
/// for JSON that is not a `T`; the detail says what was expected, and at which line and column.
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
/// the response. A field that comes several times fills a `Vec`.
///
/// # Errors
///
/// Rejects with 415 for another content type, 413 for a body over the limit, and 422 for fields that are not a `T`.
#[derive(Clone, Copy, Debug)]
pub struct Form<T>(pub T);

/// The fields of the query. A field that comes several times fills a `Vec`; no query is the same as an empty one.
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

impl<S, T: DeserializeOwned> FromRequest<S> for Json<T> {
    const TAKES_BODY: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        require_type(request, "application/json", |subtype| {
            subtype.eq_ignore_ascii_case("json") || ends_with_ignoring_case(subtype, "+json")
        })?;
        let body = request.take_body().collect_buffer().await?;
        serde_json::from_slice(&body).map(Json).map_err(|error| {
            let detail = format!("the body is not the JSON that is expected: {error}");
            match error.classify() {
                serde_json::error::Category::Data => Problem::unprocessable(detail),
                _ => Problem::bad_request(detail),
            }
        })
    }

    fn is_absent(request: &Request) -> bool {
        !request.has_body()
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        let mut buffer = Buffer::take();
        match serde_json::to_writer(&mut *buffer as &mut Vec<u8>, &self.0) {
            Ok(()) => with_type(Body::from(buffer), MediaType::Json),
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

impl<S, T: DeserializeOwned> FromRequest<S> for Form<T> {
    const TAKES_BODY: bool = true;
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        require_type(request, "application/x-www-form-urlencoded", |subtype| {
            subtype.eq_ignore_ascii_case("x-www-form-urlencoded")
        })?;
        let body = request.take_body().collect_buffer().await?;
        serde_html_form::from_bytes(&body)
            .map(Form)
            .map_err(|error| Problem::unprocessable(format!("the form is not what is expected: {error}")))
    }

    fn is_absent(request: &Request) -> bool {
        !request.has_body()
    }
}

impl<T: Serialize> IntoResponse for Form<T> {
    fn into_response(self) -> Response {
        match serde_html_form::to_string(&self.0) {
            Ok(form) => with_type(Body::from(form), MediaType::Form),
            Err(error) => Problem::internal(&error).into_response(),
        }
    }
}

impl<S, T: DeserializeOwned> FromRequest<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        serde_html_form::from_str(request.query().unwrap_or(""))
            .map(Query)
            .map_err(|error| Problem::bad_request(format!("the query is not what is expected: {error}")))
    }

    fn is_absent(request: &Request) -> bool {
        request.query().is_none()
    }
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
