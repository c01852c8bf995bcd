//! Request ids, which correlate the logs of several services.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::hash::{BuildHasher, RandomState};

use http::{HeaderName, HeaderValue};
use tracing::Instrument;

use super::{Layer, Next};
use crate::extract::FromRequest;
use crate::openapi::{Operation, Parameter};
use crate::request::Request;
use crate::response::Response;

/// The maximum length of a client's id, in bytes.
const LONGEST: usize = 128;

/// Assigns an id to each request: the id that the client sent, or a new one. The response contains it, handlers extract it as
/// [`RequestId`], and all `tracing` events of the request have it in the span `request`.
///
/// The header field is `x-request-id`. An id from a client is accepted if it has 1 to 128 letters, digits, `-`, `_` or `.`; any
/// other id could forge log lines, and is replaced. A new id has 128 random bits, as 32 hexadecimal digits.
///
/// # Example
///
/// A handler that uses the id:
///
/// ```
/// use conduit::layer::{RequestId, RequestIds};
/// use conduit::prelude::*;
///
/// #[get("/")]
/// async fn home(id: RequestId) -> String {
///     format!("this is request {id}")
/// }
///
/// let app = App::new(()).routes(routes![home]).layer(RequestIds::new());
/// ```
#[derive(Clone, Debug)]
pub struct RequestIds {
    field: HeaderName,
    accepts: bool,
}

impl RequestIds {
    /// Uses `x-request-id`, and accepts ids from clients.
    pub const fn new() -> Self {
        RequestIds {
            field: HeaderName::from_static("x-request-id"),
            accepts: true,
        }
    }

    /// Uses another header field, such as `x-correlation-id`.
    pub fn field(mut self, name: HeaderName) -> Self {
        self.field = name;
        self
    }

    /// Assigns a new id to each request and ignores the received one: for servers without a trusted proxy.
    pub fn always_new(mut self) -> Self {
        self.accepts = false;
        self
    }
}

impl Default for RequestIds {
    fn default() -> Self {
        RequestIds::new()
    }
}

impl Layer for RequestIds {
    async fn call(&self, mut request: Request, next: Next) -> Response {
        let sent = request.header(self.field.as_str()).filter(|_| self.accepts);
        let id = sent.and_then(RequestId::parse).unwrap_or_else(RequestId::random);
        let span = tracing::info_span!("request", id = id.as_str());
        request.extensions_mut().insert(id.clone());
        let mut response = next.run(request).instrument(span).await;
        response.headers_mut().insert(self.field.clone(), id.0.clone());
        // The access log reads the id from the response.
        response.extensions_mut().insert(id);
        response
    }

    fn describe(&self, operation: &mut Operation) {
        if self.accepts {
            let id = Parameter::header(self.field.as_str()).description("Names the request in logs.");
            operation.parameter(id);
        }
        operation.header_of_every_response(self.field.as_str(), "The name that the request has in logs.");
    }
}

/// The id of a request, assigned by [`RequestIds`].
///
/// Without the layer, an `Option<RequestId>` is `None`, and a `RequestId` is a new id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Parses an id from a client; `None` if it is malformed.
    fn parse(sent: &[u8]) -> Option<Self> {
        let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let valid = (1..=LONGEST).contains(&sent.len()) && sent.iter().all(is_allowed);
        valid
            .then(|| HeaderValue::from_bytes(sent).ok().map(RequestId))
            .flatten()
    }

    /// Returns 128 unique bits: keyed hashes of a counter, with random keys of this thread.
    fn random() -> Self {
        thread_local! {
            static KEYS: (RandomState, RandomState) = (RandomState::new(), RandomState::new());
            static COUNT: Cell<u64> = const { Cell::new(0) };
        }
        let count = COUNT.replace(COUNT.get().wrapping_add(1));
        let (high, low) = KEYS.with(|keys| (keys.0.hash_one(count), keys.1.hash_one(!count)));
        let text = format!("{high:016x}{low:016x}");
        RequestId(HeaderValue::try_from(text).expect("digits are allowed in a header field"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for RequestId {
    type Rejection = Infallible;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(request.extensions().get().cloned().unwrap_or_else(RequestId::random))
    }

    /// The layer describes the field.
    fn describe(_: &mut Operation) {}

    fn is_absent(request: &Request) -> bool {
        request.extensions().get::<RequestId>().is_none()
    }
}
