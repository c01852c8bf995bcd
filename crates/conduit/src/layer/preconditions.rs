//! The preconditions of a request (RFC 9110, section 13.1): parsing and evaluation.

use std::convert::Infallible;
use std::time::UNIX_EPOCH;

use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
    LAST_MODIFIED, VARY,
};
use http::{HeaderValue, StatusCode};

use crate::body::Body;
use crate::extract::FromRequest;
use crate::openapi::{Operation, Parameter};
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// The preconditions of a request, as an argument of handlers that change a resource. The handler checks them against the
/// current version before the change (RFC 9110, section 13.1).
///
/// A client relies on its preconditions, so a precondition that cannot be evaluated fails the request with a 412: a
/// malformed `If-Match`, `If-None-Match` or `If-Unmodified-Since`, and `If-Unmodified-Since` for a version without a date.
/// (Section 13.1.4 permits a server to ignore the latter field in both cases, and thus to overwrite a version that the
/// client has not seen.) For `GET` and `HEAD`, which [`Conditional`](super::Conditional) checks, a malformed
/// `If-None-Match` or `If-Modified-Since` yields the whole response, and a missing date is not an error.
///
/// # Example
///
/// A page protected from lost updates:
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
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
    /// Seconds since 1970. A malformed field is ignored and yields the whole response.
    if_modified_since: Option<u64>,
    /// Seconds since 1970. `Some(None)` for a malformed date or one before 1970, which every version is newer than.
    if_unmodified_since: Option<Option<u64>>,
}

/// The result of evaluating preconditions against a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Serve,
    NotModified,
    Failed,
}

impl Preconditions {
    pub(super) fn of(request: &Request) -> Self {
        let date = |name: HeaderName| {
            let mut lines = request.header_all(name.as_str());
            let first = lines.next()?;
            // A list is not a date.
            Some(seconds_of(first).filter(|_| lines.next().is_none()))
        };
        Preconditions {
            if_match: Tags::parse(request.header_all(IF_MATCH.as_str())),
            if_none_match: Tags::parse(request.header_all(IF_NONE_MATCH.as_str())),
            if_modified_since: date(IF_MODIFIED_SINCE).flatten(),
            if_unmodified_since: date(IF_UNMODIFIED_SINCE),
        }
    }

    /// Returns whether the request has no preconditions.
    pub fn is_empty(&self) -> bool {
        self.if_match.is_none()
            && self.if_none_match.is_none()
            && self.if_modified_since.is_none()
            && self.if_unmodified_since.is_none()
    }

    /// Checks the conditions for a method that changes a resource. `tag` is the current version's entity tag with its quotes,
    /// `modified` its last change in seconds since 1970; both are `None` if there is no version yet.
    ///
    /// # Errors
    ///
    /// Returns a 412 problem if the current version does not match, or if a precondition cannot be evaluated.
    pub fn check(&self, tag: Option<&str>, modified: Option<u64>) -> Result<(), Problem> {
        match self.evaluate(tag.map(str::as_bytes), modified, false) {
            Verdict::Serve => Ok(()),
            Verdict::NotModified | Verdict::Failed => Err(failed()),
        }
    }

    /// Returns the response to a `GET` or `HEAD`, or a 304 or 412 in its place, depending on the preconditions.
    pub(super) fn apply(&self, response: Response) -> Response {
        if self.is_empty() {
            return response;
        }
        let headers = response.headers();
        let tag = headers.get(ETAG).map(HeaderValue::as_bytes);
        let modified = headers.get(LAST_MODIFIED).and_then(|date| seconds_of(date.as_bytes()));
        match self.evaluate(tag, modified, true) {
            Verdict::Serve => response,
            Verdict::NotModified => not_modified(response),
            Verdict::Failed => not_served(&response),
        }
    }

    /// Evaluates the fields in the order of RFC 9110, section 13.2.2.
    fn evaluate(&self, tag: Option<&[u8]>, modified: Option<u64>, is_read: bool) -> Verdict {
        let current = tag.map(split_weak);
        let exists = tag.is_some() || modified.is_some();
        if let Some(wanted) = &self.if_match {
            let is_wanted = match wanted {
                Tags::Any => exists,
                Tags::Listed(tags) => tags.iter().any(|tag| is_strong_match(tag, current)),
                Tags::Malformed => false,
            };
            if !is_wanted {
                return Verdict::Failed;
            }
        } else if let Some(since) = self.if_unmodified_since {
            let is_unmodified = match (since, modified) {
                (Some(since), Some(modified)) => modified <= since,
                (Some(_), None) => is_read,
                (None, _) => false,
            };
            if !is_unmodified {
                return Verdict::Failed;
            }
        }
        if let Some(known) = &self.if_none_match {
            let is_known = match known {
                Tags::Any => exists,
                Tags::Listed(tags) => tags.iter().any(|tag| is_weak_match(tag, current)),
                Tags::Malformed => !is_read,
            };
            if is_known {
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

/// Describes a 412 in the API document.
pub(super) const FAILED: &str = "The current version does not meet the condition of the request.";

fn failed() -> Problem {
    Problem::new(StatusCode::PRECONDITION_FAILED).with_detail(
        "the current version is not one that the request applies to, or a precondition is malformed: get the current \
         version and try again",
    )
}

/// Returns the same head without the fields that describe a body (RFC 9110, section 15.4.5).
fn not_modified(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    *response.body_mut() = Body::empty();
    response.headers_mut().remove(CONTENT_TYPE);
    response.headers_mut().remove(CONTENT_LENGTH);
    response
}

/// Returns a 412 that varies by the same fields as the response that it replaces.
fn not_served(response: &Response) -> Response {
    let mut problem = failed();
    for value in response.headers().get_all(VARY) {
        problem = problem.with_header(VARY, value.clone());
    }
    problem.into_response()
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for Preconditions {
    type Rejection = Infallible;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(Preconditions::of(request))
    }

    /// Describes the fields that [`check`](Preconditions::check) evaluates.
    fn describe(operation: &mut Operation) {
        for (name, meaning) in [
            (
                IF_MATCH,
                "The entity tags of the versions that the request applies to; `*` matches any existing version.",
            ),
            (
                IF_NONE_MATCH,
                "The entity tags of the versions that the request does not apply to; `*` matches any existing version.",
            ),
            (
                IF_UNMODIFIED_SINCE,
                "The time at which the client received the version that the request applies to.",
            ),
        ] {
            operation.parameter(Parameter::header(name.as_str()).description(meaning));
        }
        operation.problem(StatusCode::PRECONDITION_FAILED, FAILED);
    }
}

/// The value of `If-Match` or `If-None-Match`, over all its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    /// `*`
    Any,
    Listed(Vec<Tag>),
    /// A value that is neither `*` alone nor a list of entity tags.
    Malformed,
}

/// An entity tag of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    is_weak: bool,
    /// The tag with its quotes.
    quoted: Vec<u8>,
}

impl Tags {
    /// Parses all lines of a field; `None` if the field is missing.
    fn parse<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut lines = lines.peekable();
        let first = *lines.peek()?;
        let mut tags = Vec::new();
        if lines.all(|line| push_tags(line, &mut tags).is_some()) {
            return Some(Tags::Listed(tags));
        }
        // `all` stopped at the first line that is not a list.
        let is_alone = lines.next().is_none();
        Some(match first {
            b"*" if is_alone => Tags::Any,
            _ => Tags::Malformed,
        })
    }
}

/// Appends the entity tags of a line (RFC 9110, section 8.8.3); `None` if the line is malformed. Ignores empty elements
/// (section 5.6.1.2). A tag may contain commas and obs-text.
fn push_tags(line: &[u8], tags: &mut Vec<Tag>) -> Option<()> {
    let mut rest = line;
    loop {
        while let [b',' | b' ' | b'\t', after @ ..] = rest {
            rest = after;
        }
        if rest.is_empty() {
            return Some(());
        }
        let (is_weak, quoted) = split_weak(rest);
        let after_quote = quoted.strip_prefix(b"\"")?;
        let length = 2 + after_quote.iter().position(|&byte| byte == b'"')?;
        tags.push(Tag {
            is_weak,
            quoted: quoted[..length].to_vec(),
        });
        rest = quoted[length..].trim_ascii_start();
        if !rest.is_empty() && rest[0] != b',' {
            return None;
        }
    }
}

/// Splits the case-sensitive prefix `W/` from an entity tag.
fn split_weak(tag: &[u8]) -> (bool, &[u8]) {
    match tag.strip_prefix(b"W/") {
        Some(tag) => (true, tag),
        None => (false, tag),
    }
}

/// The strong comparison of RFC 9110, section 8.8.3.2.
fn is_strong_match(tag: &Tag, current: Option<(bool, &[u8])>) -> bool {
    !tag.is_weak && current == Some((false, &*tag.quoted))
}

/// The weak comparison of RFC 9110, section 8.8.3.2.
fn is_weak_match(tag: &Tag, current: Option<(bool, &[u8])>) -> bool {
    current.is_some_and(|(_, current)| current == tag.quoted)
}

/// Seconds since 1970 of an HTTP-date in any of its three formats; `None` before 1970 and for malformed text.
fn seconds_of(date: &[u8]) -> Option<u64> {
    let moment = httpdate::parse_http_date(str::from_utf8(date).ok()?).ok()?;
    moment.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The fields of a request, in order.
    type Fields<'a> = &'a [(&'a str, &'a [u8])];

    fn conditions(fields: Fields<'_>) -> Preconditions {
        let mut request = Request::blank();
        for (name, value) in fields {
            let name = http::HeaderName::try_from(*name).expect("a name");
            let value = http::HeaderValue::from_bytes(value).expect("a value");
            request.headers_mut().append(name, value);
        }
        Preconditions::of(&request)
    }

    const BEFORE: &[u8] = b"Sun, 06 Nov 1994 08:49:36 GMT";
    const AT: &[u8] = b"Sun, 06 Nov 1994 08:49:37 GMT";
    const MODIFIED: Option<u64> = Some(784_111_777);

    /// The fields, the current tag and date, and the verdicts for a read and for a write.
    type Case<'a> = (Fields<'a>, Option<&'a [u8]>, Option<u64>, Verdict, Verdict);

    fn check(cases: &[Case<'_>]) {
        for (fields, tag, modified, read, write) in cases {
            let conditions = conditions(fields);
            let shown: Vec<_> = fields
                .iter()
                .map(|(name, value)| (name, value.escape_ascii().to_string()))
                .collect();
            assert_eq!(conditions.evaluate(*tag, *modified, true), *read, "read: {shown:?}");
            assert_eq!(conditions.evaluate(*tag, *modified, false), *write, "write: {shown:?}");
        }
    }

    use Verdict::{Failed, NotModified, Serve};

    const A: Option<&[u8]> = Some(b"\"a\"");
    const WEAK: Option<&[u8]> = Some(b"W/\"a\"");

    /// RFC 9110, sections 13.1.1 and 8.8.3.
    #[test]
    fn if_match_compares_strongly_and_fails_on_unreadable_values() {
        let m = "if-match";
        check(&[
            (&[], A, MODIFIED, Serve, Serve),
            (&[(m, b"\"a\"")], A, None, Serve, Serve),
            (&[(m, b"\"b\", \"a\"")], A, None, Serve, Serve),
            (&[(m, b"\"b\"")], A, None, Failed, Failed),
            (&[(m, b"\"a\"")], None, None, Failed, Failed),
            (&[(m, b"\"a\"")], None, MODIFIED, Failed, Failed),
            (&[(m, b"W/\"a\"")], A, None, Failed, Failed),
            (&[(m, b"\"a\"")], WEAK, None, Failed, Failed),
            (&[(m, b"W/\"a\"")], WEAK, None, Failed, Failed),
            (&[(m, b"*")], A, None, Serve, Serve),
            (&[(m, b"*")], None, MODIFIED, Serve, Serve),
            (&[(m, b"*")], None, None, Failed, Failed),
            // Tags of obs-text are valid, in any encoding.
            (&[(m, b"\"\xe4\"")], Some(b"\"\xe4\""), None, Serve, Serve),
            (&[(m, b"\"\xe4\"")], A, None, Failed, Failed),
            (&[(m, "\"ä\"".as_bytes())], Some("\"ä\"".as_bytes()), None, Serve, Serve),
            (&[(m, b"\"\xe4\", \"a\"")], A, None, Serve, Serve),
            // `W/` is case-sensitive, and no other text may precede a quote.
            (&[(m, b"w/\"a\"")], A, None, Failed, Failed),
            (&[(m, b"x\"a\"")], A, None, Failed, Failed),
            (&[(m, b"W/ \"a\"")], A, None, Failed, Failed),
            (&[(m, b"W/W/\"a\"")], A, None, Failed, Failed),
            // Lists: commas inside tags, empty elements, several lines, junk.
            (&[(m, b"\"x,y\",\"a\"")], A, None, Serve, Serve),
            (&[(m, b", ,\"a\",,\t,")], A, None, Serve, Serve),
            (&[(m, b"")], A, None, Failed, Failed),
            (&[(m, b",")], A, None, Failed, Failed),
            (&[(m, b"\"b\""), (m, b"\"a\"")], A, None, Serve, Serve),
            (&[(m, b"\"x"), (m, b"a\"")], Some(b"\"x,a\""), None, Failed, Failed),
            (&[(m, b"junk, \"a\"")], A, None, Failed, Failed),
            (&[(m, b"\"a\" junk")], A, None, Failed, Failed),
            (&[(m, b"\"a\"\"b\"")], A, None, Failed, Failed),
            (&[(m, b"\"a\", \"b")], A, None, Failed, Failed),
            (&[(m, b"\"a\""), (m, b"junk")], A, None, Failed, Failed),
            (&[(m, b"a")], A, None, Failed, Failed),
            (&[(m, b"*, \"a\"")], A, None, Failed, Failed),
            (&[(m, b"*"), (m, b"\"a\"")], A, None, Failed, Failed),
            (&[(m, b"\"a\""), (m, b"*")], A, None, Failed, Failed),
        ]);
    }

    /// RFC 9110, section 13.1.2.
    #[test]
    fn if_none_match_compares_weakly() {
        let n = "if-none-match";
        check(&[
            (&[(n, b"\"a\"")], A, None, NotModified, Failed),
            (&[(n, b"W/\"a\"")], A, None, NotModified, Failed),
            (&[(n, b"\"a\"")], WEAK, None, NotModified, Failed),
            (&[(n, b"\"b\"")], A, None, Serve, Serve),
            (&[(n, b"*")], A, None, NotModified, Failed),
            (&[(n, b"*")], None, None, Serve, Serve),
            (&[(n, b"\"x,y\", \"a\"")], A, None, NotModified, Failed),
            (&[(n, b"\"b\""), (n, b"\"a\"")], A, None, NotModified, Failed),
            (&[(n, b"\"\xe4\"")], Some(b"\"\xe4\""), None, NotModified, Failed),
            (&[(n, b"")], A, None, Serve, Serve),
            // Malformed: a read returns the whole response, a write fails.
            (&[(n, b"w/\"a\"")], A, None, Serve, Failed),
            (&[(n, b"\"a\" junk")], A, None, Serve, Failed),
            (&[(n, b"b")], A, None, Serve, Failed),
            (&[(n, b"*, \"b\"")], A, None, Serve, Failed),
        ]);
    }

    /// RFC 9110, sections 13.1.3, 13.1.4 and 5.6.7.
    #[test]
    fn dates_are_read_in_every_form_and_an_unreadable_one_fails_only_if_unmodified_since() {
        let (m, u) = ("if-modified-since", "if-unmodified-since");
        check(&[
            (&[(m, AT)], None, MODIFIED, NotModified, Serve),
            (
                &[(m, b"Sunday, 06-Nov-94 08:49:37 GMT")],
                None,
                MODIFIED,
                NotModified,
                Serve,
            ),
            (&[(m, b"Sun Nov  6 08:49:37 1994")], None, MODIFIED, NotModified, Serve),
            (&[(m, BEFORE)], None, MODIFIED, Serve, Serve),
            (&[(m, b"Sun Nov  6 08:49:36 1994")], None, MODIFIED, Serve, Serve),
            (&[(m, AT)], A, None, Serve, Serve),
            (&[(m, b"yesterday")], None, MODIFIED, Serve, Serve),
            (&[(m, b"Tue, 30 Dec 1969 00:00:00 GMT")], None, MODIFIED, Serve, Serve),
            (&[(m, AT), (m, AT)], None, MODIFIED, Serve, Serve),
            (&[(u, AT)], None, MODIFIED, Serve, Serve),
            (&[(u, b"Sunday, 06-Nov-94 08:49:37 GMT")], None, MODIFIED, Serve, Serve),
            (&[(u, b"Sun Nov  6 08:49:37 1994")], None, MODIFIED, Serve, Serve),
            (&[(u, BEFORE)], None, MODIFIED, Failed, Failed),
            (
                &[(u, b"Sunday, 06-Nov-94 08:49:36 GMT")],
                None,
                MODIFIED,
                Failed,
                Failed,
            ),
            (&[(u, b"Tue, 30 Dec 1969 00:00:00 GMT")], None, MODIFIED, Failed, Failed),
            (&[(u, b"Tue, 30 Dec 1969 00:00:00 GMT")], None, Some(0), Failed, Failed),
            (&[(u, b"yesterday")], None, MODIFIED, Failed, Failed),
            (&[(u, b"")], None, MODIFIED, Failed, Failed),
            (&[(u, b"\xe4")], None, MODIFIED, Failed, Failed),
            (&[(u, AT), (u, AT)], None, MODIFIED, Failed, Failed),
            // A version without a date: a read is not affected.
            (&[(u, AT)], A, None, Serve, Failed),
            (&[(u, AT)], None, None, Serve, Failed),
        ]);
    }

    /// RFC 9110, section 13.2.2.
    #[test]
    fn a_tag_decides_before_a_date() {
        let (m, n) = ("if-match", "if-none-match");
        let (since, unmodified) = ("if-modified-since", "if-unmodified-since");
        check(&[
            (&[(n, b"\"b\""), (since, AT)], A, MODIFIED, Serve, Serve),
            (&[(n, b"junk"), (since, AT)], A, MODIFIED, Serve, Failed),
            (&[(m, b"\"a\""), (unmodified, BEFORE)], A, MODIFIED, Serve, Serve),
            (&[(m, b"\"a\""), (unmodified, b"yesterday")], A, MODIFIED, Serve, Serve),
            (&[(m, b"\"b\""), (n, b"\"a\"")], A, None, Failed, Failed),
            (&[(m, b"\"a\""), (n, b"\"a\"")], A, None, NotModified, Failed),
            (&[(unmodified, BEFORE), (n, b"\"a\"")], A, MODIFIED, Failed, Failed),
        ]);
    }
}
