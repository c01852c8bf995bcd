//! Evaluation of preconditions against a handler's response.

use http::header::{ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE, LAST_MODIFIED};
use http::{HeaderValue, Method, StatusCode};

use super::hash::hash;
use super::preconditions::FAILED;
use super::{Layer, Next, Preconditions};
use crate::body::{Body, BodyKind};
use crate::openapi::{Operation, Parameter};
use crate::request::Request;
use crate::response::Response;

/// Responds to `GET` and `HEAD` with 304 Not Modified if the client already has the current version, and with 412 if a
/// precondition fails (RFC 9110, section 13.2.2).
///
/// The `etag` or `last-modified` of the handler's response identifies the current version. If it has neither and its body is in
/// memory, the layer computes a strong 128-bit `etag` from the body. The handler still runs; only the transfer is saved.
/// Responses other than 200 and streams without an `etag` are not changed.
///
/// For methods that change a resource, the check must precede the change: use [`Preconditions`] in the handler. Its
/// documentation also covers malformed fields.
///
/// Add it inside of `Compression`, with `App::layer` in an earlier call, so that the `etag` is computed before compression.
///
/// # Example
///
/// A page that browsers do not load twice:
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

    /// Uses only the validators of handlers, and computes no `etag`.
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
        // `GET` operations also serve `HEAD`.
        if !matches!(operation.method(), "GET" | "HEAD") || !operation.may_answer(StatusCode::OK) {
            return;
        }
        operation.header_of_known_response(StatusCode::OK, ETAG.as_str(), "The entity tag of the version.");
        for (name, meaning) in [
            (IF_NONE_MATCH, "The entity tags of the versions that the client has."),
            (IF_MODIFIED_SINCE, "The time at which the client received its version."),
            (IF_MATCH, "The entity tags of the versions that the request applies to."),
            (
                IF_UNMODIFIED_SINCE,
                "The time at which the client received the version that the request applies to.",
            ),
        ] {
            operation.parameter(Parameter::header(name.as_str()).description(meaning));
        }
        operation
            .at_status(StatusCode::NOT_MODIFIED, |operation| {
                operation
                    .response_description("The client has the current version.")
                    .response_header(ETAG.as_str(), "The entity tag of the version.");
            })
            .problem(StatusCode::PRECONDITION_FAILED, FAILED);
    }
}

#[cfg(any(feature = "files", feature = "openapi"))]
/// Evaluates the request's preconditions against a response; see [`Preconditions::apply`].
pub(crate) fn conditional(request: &Request, response: Response) -> Response {
    Preconditions::of(request).apply(response)
}

/// Returns a strong tag for a body in memory; `None` for a stream.
fn tag_of(body: &Body) -> Option<HeaderValue> {
    let bytes: &[u8] = match &body.0 {
        BodyKind::Static(bytes) => bytes,
        BodyKind::Bytes(bytes) => bytes,
        BodyKind::Buffer(buffer) => buffer,
        _ => return None,
    };
    Some(strong_tag(bytes))
}

/// Returns a strong tag for these bytes.
pub(crate) fn strong_tag(bytes: &[u8]) -> HeaderValue {
    let tag = format!("\"{:032x}\"", u128::from_be_bytes(hash([bytes])));
    HeaderValue::try_from(tag).expect("a tag has visible characters only")
}
