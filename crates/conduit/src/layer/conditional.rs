//! Requests that are served only if the client's copy is, or is not, the current one.

use http::header::{ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED};
use http::{HeaderValue, Method, StatusCode};

use super::hash::hash;
use super::preconditions::FAILED;
use super::{Layer, Next, Preconditions};
use crate::body::{Body, BodyKind};
use crate::openapi::{Operation, Parameter};
use crate::request::Request;
use crate::response::Response;

/// Answers `GET` and `HEAD` with 304 Not Modified where the client has the current version already, and with 412 where it
/// asked for another (RFC 9110, section 13.2.2).
///
/// The `etag` or the `last-modified` of the handler's response names the current version. Where it has neither, and its body
/// is in memory, the layer makes a strong `etag` of 128 bits from the body. The handler does its work all the same; only the
/// transfer is saved. Responses other than 200 and streams without an `etag` stay as they are.
///
/// For methods that change something the check must come before the change: the handler takes [`Preconditions`], which also
/// documents the reading of malformed fields.
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
    /// Checks preconditions, and adds an `etag` to responses without one.
    pub const fn new() -> Self {
        Conditional { makes_tags: true }
    }

    /// Uses the validators of handlers only, and makes no `etag`.
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

#[cfg(any(feature = "files", feature = "openapi"))]
/// The response to a request that would be this one without the conditions of the request.
pub(crate) fn conditional(request: &Request, response: Response) -> Response {
    Preconditions::of(request).apply(response)
}

/// A strong tag of a body that is in memory; `None` of a stream.
fn tag_of(body: &Body) -> Option<HeaderValue> {
    let bytes: &[u8] = match &body.0 {
        BodyKind::Static(bytes) => bytes,
        BodyKind::Bytes(bytes) => bytes,
        BodyKind::Buffer(buffer) => buffer,
        _ => return None,
    };
    Some(strong_tag(bytes))
}

/// A strong tag of these bytes.
pub(crate) fn strong_tag(bytes: &[u8]) -> HeaderValue {
    let tag = format!("\"{:032x}\"", u128::from_be_bytes(hash([bytes])));
    HeaderValue::try_from(tag).expect("a tag has visible characters only")
}
