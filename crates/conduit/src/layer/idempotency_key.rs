//! The key of a request, which its handler can complete.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::HeaderName;

use super::idempotency_record::{Fingerprint, expired, failed, record};
use super::{StoreTransaction, Value};
use crate::extract::FromRequest;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The idempotency key of a request, with which a handler stores its response in its own transaction. The layer
/// [`Idempotency`](super::Idempotency) provides it for `POST` and `PATCH`; `Option<IdempotencyKey>` is `None` for a request without
/// one.
///
/// The layer stores a response after the handler has returned. A process that ends between the commit of the handler's
/// transaction and this moment leaves effects without a response, and the repeated request is processed again.
/// [`complete_in`](Self::complete_in) closes this gap: effects and response are committed together or not at all.
///
/// # Errors
///
/// Rejects with 400 without a key, and with 500 if the layer is missing or ignores the method.
#[derive(Clone)]
pub struct IdempotencyKey(Arc<KeyState>);

pub(super) struct KeyState {
    /// The key in the store.
    pub(super) key: Vec<u8>,
    /// The number of layers `Idempotency` around that of the key.
    pub(super) depth: usize,
    pub(super) fingerprint: Fingerprint,
    /// The value of the key while the request is processed.
    pub(super) marker: Vec<u8>,
    /// The account that is charged for memory in the store.
    pub(super) account: String,
    pub(super) kept: Duration,
    pub(super) longest_bytes: usize,
}

impl KeyState {
    /// The value of the key with the response.
    pub(super) fn value<'v>(&'v self, bytes: &'v [u8]) -> Value<'v> {
        Value {
            bytes,
            lifetime: self.kept,
            account: &self.account,
            is_pinned: false,
        }
    }
}

impl IdempotencyKey {
    pub(super) fn new(state: Arc<KeyState>) -> Self {
        IdempotencyKey(state)
    }

    pub(super) fn depth(&self) -> usize {
        self.0.depth
    }

    /// Stores the response in a transaction of the caller, in the database of the layer's store, and returns it. The caller
    /// then commits, and responds with it: repeated requests receive the same response. After an error, roll the transaction back
    /// or drop it. Other requests with the key receive a 409 until the end of the transaction.
    ///
    /// A response of more than 1 MiB, with a cookie or with an event stream is not stored: a repeated request receives a 409. Fields
    /// that layers add afterwards are not part of the stored response, nor is the cookie of a `Session`.
    ///
    /// # Errors
    ///
    /// Returns a 409 with `retry-after` if the key no longer belongs to this request, because the process did not renew its marker
    /// in time: it has expired, or belongs to another request, whose effects then apply. Returns a 500 for a status that rules out
    /// an effect, such as 403 or 503, and for a body that fails, and a 503 if the transaction fails.
    pub async fn complete_in(
        &self,
        transaction: &mut impl StoreTransaction,
        response: impl IntoResponse,
    ) -> Result<Response, Problem> {
        let state = &*self.0;
        let response = response.into_response();
        let status = response.status();
        let (response, stored) = record(response, &state.fingerprint, state.longest_bytes, false).await;
        let response = response?;
        let Some(stored) = stored else {
            let status = status.as_u16();
            return Err(misuse(&format!(
                "invalid response {status} to `IdempotencyKey::complete_in`: the status rules out an effect of the \
                 request: roll the transaction back, and return the response"
            )));
        };
        let replaced = transaction
            .replace(&state.key, Some(&state.marker), Some(state.value(&stored)))
            .await;
        match replaced.map_err(|error| failed(&error))? {
            true => Ok(response),
            false => Err(expired()),
        }
    }
}

/// Returns whether the layer processes requests of the method.
pub(super) fn is_keyed(method: &Method) -> bool {
    matches!(*method, Method::POST | Method::PATCH)
}

/// The rejection of a request without a key.
pub(super) fn missing() -> Problem {
    Problem::bad_request("the header field idempotency-key is missing: send a new random value with each new request")
}

fn misuse(message: &str) -> Problem {
    Problem::internal(&*crate::body::BoxError::from(message))
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        if let Some(key) = request.extensions().get::<IdempotencyKey>() {
            return Ok(key.clone());
        }
        if !is_keyed(request.method()) {
            return Err(misuse(&format!(
                "the handler takes an `IdempotencyKey`, which the layer `Idempotency` provides for POST and PATCH, but not for {}: \
                 use one of these methods, or remove the argument",
                request.method()
            )));
        }
        Err(match <Self as FromRequest<S>>::is_absent(request) {
            true => missing(),
            false => {
                misuse("the handler takes an `IdempotencyKey`, but has no layer `Idempotency`: add it to the route")
            }
        })
    }

    fn is_absent(request: &Request) -> bool {
        request.header(IDEMPOTENCY_KEY.as_str()).is_none()
    }

    /// The layer describes the field.
    fn describe(_: &mut Operation) {}
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey(…)")
    }
}
