//! A name for each request, to find its traces in the logs of several services.

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

/// The longest id that is accepted from a client, in bytes.
const LONGEST: usize = 128;

/// Gives each request an id: the one it came with, or a new one. The response carries it, the handler can take it as
/// [`RequestId`], and all that is logged through `tracing` on the way has it in the span `request`.
///
/// The header field is `x-request-id`. An id that a client sends is accepted if it has 1 to 128 letters, digits, `-`, `_`
/// or `.`; anything else could forge lines of a log, and is replaced. A new id has 128 random bits, as 32 digits of
/// base 16.
///
/// # Example
///
/// A handler that sends the id to another service:
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
    /// Ids in `x-request-id`, accepted from clients.
    pub const fn new() -> Self {
        RequestIds {
            field: HeaderName::from_static("x-request-id"),
            accepts: true,
        }
    }

    /// Reads and writes another header field, such as `x-correlation-id`.
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
        // The access log takes it from here.
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

/// The id of a request, as [`RequestIds`] gave it; for a handler, the `None` of an `Option` without that layer.
///
/// Taken as such without the layer, it is a new id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// The id that a client sent, if it is one.
    fn parse(sent: &[u8]) -> Option<Self> {
        let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte);
        let valid = (1..=LONGEST).contains(&sent.len()) && sent.iter().all(is_allowed);
        valid
            .then(|| HeaderValue::from_bytes(sent).ok().map(RequestId))
            .flatten()
    }

    /// 128 bits that no other request has: keyed hashes of a count, with keys that the system made for this thread.
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

    /// The layer describes the field that it reads.
    fn describe(_: &mut Operation) {}

    fn is_absent(request: &Request) -> bool {
        request.extensions().get::<RequestId>().is_none()
    }
}
