//! Requests that are served only if the client's copy is, or is not, the current one.

use std::convert::Infallible;
use std::time::UNIX_EPOCH;

use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::hash::hash;
use super::{Layer, Next};
use crate::body::{Body, Kind};
use crate::extract::FromRequest;
use crate::openapi::{Operation, Parameter};
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// Answers `GET` and `HEAD` with 304 Not Modified where the client has the current version already, and with 412 where it
/// asked for another (RFC 9110, section 13.2.2).
///
/// What the current version is says the `etag` or the `last-modified` of the handler's response. Where it has neither, and
/// its body is in memory, the `etag` is made of the body: a strong one of 128 bits. The handler does its work all the same;
/// what is saved is the transfer. Responses other than 200 and streams without an `etag` are left alone.
///
/// For methods that change something the check must come before the change: the handler takes [`Preconditions`].
///
/// Add it inside of `Compression`, that is before it, so that the `etag` is made before compression.
///
/// # Example
///
/// A page that browsers need not load twice:
///
/// ```
/// use conduit::layer::Conditional;
/// use conduit::prelude::*;
///
/// #[get("/terms")]
/// async fn terms() -> &'static str {
///     "a long text that seldom changes"
/// }
///
/// let app = App::new(()).routes(routes![#[layer(Conditional::new())] terms]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Conditional {
    makes_tags: bool,
}

impl Conditional {
    /// Checks, and makes an `etag` where there is none.
    pub const fn new() -> Self {
        Conditional { makes_tags: true }
    }

    /// Checks what handlers say, and makes no `etag`.
    pub const fn without_tags(mut self) -> Self {
        self.makes_tags = false;
        self
    }
}

impl Default for Conditional {
    fn default() -> Self {
        Conditional::new()
    }
}

impl Layer for Conditional {
    async fn call(&self, request: Request, next: Next) -> Response {
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        if !is_read {
            return next.run(request).await;
        }
        let preconditions = Preconditions::of(&request);
        let mut response = next.run(request).await;
        if response.status() != StatusCode::OK {
            return response;
        }
        let headers = response.headers();
        if self.makes_tags && !headers.contains_key(ETAG) && !headers.contains_key(LAST_MODIFIED) {
            let Some(tag) = tag_of(response.body()) else {
                return response;
            };
            response.headers_mut().insert(ETAG, tag);
        }
        preconditions.apply(response)
    }

    fn describe(&self, operation: &mut Operation) {
        // `HEAD` is served by the operations of `GET`.
        if !matches!(operation.method(), "GET" | "HEAD") || !operation.may_answer(StatusCode::OK) {
            return;
        }
        operation.header_of_known_response(StatusCode::OK, ETAG.as_str(), "The version.");
        for (name, meaning) in [
            (IF_NONE_MATCH, "The versions that the client has."),
            (IF_MODIFIED_SINCE, "When the client got the version that it has."),
            (IF_MATCH, "The versions that the request is for."),
            (
                IF_UNMODIFIED_SINCE,
                "When the client got the version that the request is for.",
            ),
        ] {
            operation.parameter(Parameter::header(name.as_str()).description(meaning));
        }
        operation
            .at_status(StatusCode::NOT_MODIFIED, |operation| {
                operation
                    .response_description("The client has the current version.")
                    .response_header(ETAG.as_str(), "The version.");
            })
            .problem(StatusCode::PRECONDITION_FAILED, FAILED);
    }
}

/// The response to a request that would be this one without the conditions of the request.
pub(crate) fn conditional(request: &Request, response: Response) -> Response {
    Preconditions::of(request).apply(response)
}

/// When a condition is answered 412, in descriptions.
const FAILED: &str = "The current version is not the one that the request is for.";

/// The same head without what describes a body (RFC 9110, section 15.4.5).
fn not_modified(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.body_mut() = Body::empty();
    response.headers_mut().remove(CONTENT_TYPE);
    response.headers_mut().remove(CONTENT_LENGTH);
    response
}

fn failed() -> Problem {
    Problem::new(StatusCode::PRECONDITION_FAILED)
        .with_detail("the current version is not the one that the request is for; get it and try again")
}

/// A strong tag of a body that is in memory; `None` of a stream.
fn tag_of(body: &Body) -> Option<HeaderValue> {
    let bytes: &[u8] = match &body.0 {
        Kind::Static(bytes) => bytes,
        Kind::Bytes(bytes) => bytes,
        Kind::Buffer(buffer) => buffer,
        _ => return None,
    };
    Some(strong_tag(bytes))
}

/// A strong tag of these bytes.
pub(crate) fn strong_tag(bytes: &[u8]) -> HeaderValue {
    let tag = format!("\"{:032x}\"", u128::from_be_bytes(hash([bytes])));
    HeaderValue::try_from(tag).expect("a tag has visible characters only")
}

/// The conditions that a request sets, for a handler that changes something: taken as an argument, and checked against the
/// current version before the change (RFC 9110, section 13.1).
///
/// # Example
///
/// A page that two people cannot overwrite at a time:
///
/// ```
/// use conduit::layer::Preconditions;
/// use conduit::prelude::*;
///
/// #[put("/page")]
/// async fn save(conditions: Preconditions, text: String) -> Result<StatusCode, Problem> {
///     let current = "\"version-7\""; // from the database
///     conditions.check(Some(current), None)?;
///     Ok(StatusCode::NO_CONTENT)
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Preconditions {
    if_match: Option<String>,
    if_none_match: Option<String>,
    if_modified_since: Option<u64>,
    if_unmodified_since: Option<u64>,
}

/// What conditions say to a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Serve,
    NotModified,
    Failed,
}

impl Preconditions {
    fn of(request: &Request) -> Self {
        // Without any of them, which is usual, the map of the fields need not be built.
        let names = ["if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
        if names.iter().all(|name| request.header(name).is_none()) {
            return Preconditions::default();
        }
        let headers = request.headers();
        let seconds = |name| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| date(value.to_str().ok()?))
        };
        Preconditions {
            if_match: joined(headers, &IF_MATCH),
            if_none_match: joined(headers, &IF_NONE_MATCH),
            if_modified_since: seconds(IF_MODIFIED_SINCE),
            if_unmodified_since: seconds(IF_UNMODIFIED_SINCE),
        }
    }

    /// Whether the request sets none.
    pub fn is_empty(&self) -> bool {
        self.if_match.is_none()
            && self.if_none_match.is_none()
            && self.if_modified_since.is_none()
            && self.if_unmodified_since.is_none()
    }

    /// Checks the conditions for a method that changes something: `tag` is the current version's entity tag, with its
    /// quotes, and `modified` the seconds from 1970 to its last change; both `None` where there is no version yet.
    ///
    /// # Errors
    ///
    /// A 412 problem when the current version is not the one that the request is for.
    pub fn check(&self, tag: Option<&str>, modified: Option<u64>) -> Result<(), Problem> {
        match self.judge(tag, modified, false) {
            Verdict::Serve => Ok(()),
            Verdict::NotModified | Verdict::Failed => Err(failed()),
        }
    }

    /// The response to a `GET` or `HEAD` that would be this one without conditions: 304 or 412 where they are not met.
    fn apply(&self, response: Response) -> Response {
        if self.is_empty() {
            return response;
        }
        let headers = response.headers();
        let tag = headers.get(ETAG).and_then(|tag| tag.to_str().ok());
        let modified = headers.get(LAST_MODIFIED).and_then(|date| date.to_str().ok());
        match self.judge(tag, modified.and_then(date), true) {
            Verdict::Serve => response,
            Verdict::NotModified => not_modified(response),
            Verdict::Failed => failed().into_response(),
        }
    }

    /// The order of RFC 9110, section 13.2.2.
    fn judge(&self, tag: Option<&str>, modified: Option<u64>, is_read: bool) -> Verdict {
        if let Some(wanted) = &self.if_match {
            let exists = tag.is_some() || modified.is_some();
            if !matches(wanted, tag, exists, Comparison::Strong) {
                return Verdict::Failed;
            }
        } else if let (Some(since), Some(modified)) = (self.if_unmodified_since, modified)
            && modified > since
        {
            return Verdict::Failed;
        }
        if let Some(known) = &self.if_none_match {
            let exists = tag.is_some() || modified.is_some();
            if matches(known, tag, exists, Comparison::Weak) {
                return if is_read { Verdict::NotModified } else { Verdict::Failed };
            }
        } else if is_read
            && let (Some(since), Some(modified)) = (self.if_modified_since, modified)
            && modified <= since
        {
            return Verdict::NotModified;
        }
        Verdict::Serve
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for Preconditions {
    type Rejection = Infallible;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(Preconditions::of(request))
    }

    /// Those that [`check`](Preconditions::check) looks at.
    fn describe(operation: &mut Operation) {
        for (name, meaning) in [
            (
                IF_MATCH,
                "The versions that the request is for; `*` is any that there is.",
            ),
            (
                IF_NONE_MATCH,
                "The versions that the request is not for; `*` is any that there is.",
            ),
            (
                IF_UNMODIFIED_SINCE,
                "When the client got the version that the request is for.",
            ),
        ] {
            operation.parameter(Parameter::header(name.as_str()).description(meaning));
        }
        operation.problem(StatusCode::PRECONDITION_FAILED, FAILED);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a list of entity tags, or `*`, has the current one (RFC 9110, section 8.8.3.2).
fn matches(list: &str, tag: Option<&str>, exists: bool, comparison: Comparison) -> bool {
    if list.trim() == "*" {
        return exists;
    }
    let Some(tag) = tag else { return false };
    let strip = |tag: &str| {
        tag.strip_prefix("W/")
            .map_or((tag.to_owned(), false), |tag| (tag.to_owned(), true))
    };
    let (current, is_weak) = strip(tag);
    if comparison == Comparison::Strong && is_weak {
        return false;
    }
    tags(list)
        .any(|(listed_is_weak, listed)| listed == current && !(comparison == Comparison::Strong && listed_is_weak))
}

/// The tags of a list: whether it is weak, and what is between the quotes, with them. A tag may have commas in it.
fn tags(mut list: &str) -> impl Iterator<Item = (bool, &str)> {
    std::iter::from_fn(move || {
        let start = list.find('"')?;
        let is_weak = list[..start].ends_with("W/");
        let length = list[start + 1..].find('"')? + 2;
        let tag = &list[start..start + length];
        list = &list[start + length..];
        Some((is_weak, tag))
    })
}

/// The values of a field, joined by commas; `None` where there are none.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    let values: Vec<_> = headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// Seconds from 1970 to a date in a header field; `None` for what is none, which must be ignored.
fn date(text: &str) -> Option<u64> {
    let moment = httpdate::parse_http_date(text).ok()?;
    moment.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(fields: &[(&str, &str)]) -> Preconditions {
        let get = |wanted| fields.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        Preconditions {
            if_match: get("match").map(str::to_owned),
            if_none_match: get("none").map(str::to_owned),
            if_modified_since: get("modified").and_then(|value| value.parse().ok()),
            if_unmodified_since: get("unmodified").and_then(|value| value.parse().ok()),
        }
    }

    #[test]
    fn conditions_are_judged_in_the_order_of_the_rfc() {
        use Verdict::{Failed, NotModified, Serve};
        let tag = Some("\"a\"");
        /// The fields, the current tag and date, and what is to become of a read and of a write.
        type Case<'a> = (&'a [(&'a str, &'a str)], Option<&'a str>, Option<u64>, Verdict, Verdict);
        let cases: [Case<'_>; 20] = [
            (&[], tag, Some(5), Serve, Serve),
            (&[("match", "\"a\"")], tag, None, Serve, Serve),
            (&[("match", "\"b\", \"a\"")], tag, None, Serve, Serve),
            (&[("match", "\"b\"")], tag, None, Failed, Failed),
            (&[("match", "W/\"a\"")], tag, None, Failed, Failed),
            (&[("match", "\"a\"")], Some("W/\"a\""), None, Failed, Failed),
            (&[("match", "*")], tag, None, Serve, Serve),
            (&[("match", "*")], None, None, Failed, Failed),
            (&[("none", "\"a\"")], tag, None, NotModified, Failed),
            (&[("none", "W/\"a\"")], tag, None, NotModified, Failed),
            (&[("none", "\"b\"")], tag, None, Serve, Serve),
            (&[("none", "*")], tag, None, NotModified, Failed),
            (&[("none", "*")], None, None, Serve, Serve),
            (&[("none", "\"x,y\", \"a\"")], tag, None, NotModified, Failed),
            (&[("modified", "5")], None, Some(5), NotModified, Serve),
            (&[("modified", "4")], None, Some(5), Serve, Serve),
            // A tag that does not match is decisive: the date is not looked at.
            (&[("none", "\"b\""), ("modified", "5")], tag, Some(5), Serve, Serve),
            (&[("unmodified", "4")], None, Some(5), Failed, Failed),
            (&[("match", "\"a\""), ("unmodified", "4")], tag, Some(5), Serve, Serve),
            (&[("match", "\"b\""), ("none", "\"a\"")], tag, None, Failed, Failed),
        ];
        for (fields, tag, modified, read, write) in cases {
            let conditions = conditions(fields);
            assert_eq!(conditions.judge(tag, modified, true), read, "{fields:?}");
            assert_eq!(conditions.judge(tag, modified, false), write, "{fields:?}");
        }
    }
}
