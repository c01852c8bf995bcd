//! Requests that are processed at most once per idempotency key.

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use conduit_core::internal::layer::PendingCookie;
use http::StatusCode;
use http::header::{ACCEPT_ENCODING, RETRY_AFTER};
use serde_json::json;

use super::hash::hash;
use super::idempotency_key::{IDEMPOTENCY_KEY, IdempotencyKey, KeyState, is_keyed, missing};
use super::idempotency_record::{REPLAYED, failed, fingerprint, record, replay, running, unkept};
use super::rate_limit::by_address;
use super::resumed::whole;
use super::store::{hashed_name, short_name};
use super::{Layer, MemoryStore, Next, Reading, SECONDS_TO_WAIT, Store, Value};
use crate::extract::TOO_LARGE;
use crate::openapi::{Operation, Parameter};
use crate::problem::{Excerpt, Problem};
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// The longest key, in bytes.
const LONGEST_KEY: usize = 255;
/// The shortest interval between two renewals of a marker.
const SHORTEST_RENEWAL: Duration = Duration::from_millis(1);

/// The owner of a request's key. A client never receives another owner's response.
struct Owner {
    name: String,
    /// The account that is charged for memory in the store.
    account: String,
}

type OwnerOf = Arc<dyn Fn(&Request) -> Owner + Send + Sync>;

/// Processes a `POST` or `PATCH` with the header field `idempotency-key` once. A client that does not know whether its request
/// arrived repeats it with the same key, and gets the response to the first one (draft-ietf-httpapi-idempotency-key-header).
///
/// | the key | response |
/// | --- | --- |
/// | is new | the handler's, which is stored |
/// | belongs to a request in progress | 409 with `retry-after` |
/// | belongs to a completed request | the same response, with `idempotency-replayed: true` |
/// | belongs to a completed request whose response is not stored | 409 |
/// | belongs to a request with another path, body or `content-type` | 422 |
/// | is missing, but [`required`](Idempotency::required) | 400 |
/// | is malformed, or sent more than once | 400 |
///
/// A key is scoped to the client that sent it, so that no client receives another's response. By default the values of
/// `authorization` and `cookie` identify the client, and all clients without credentials share one scope. If a cookie may
/// change between two attempts, the second attempt counts as another client's and is processed too: identify the user with
/// [`owned_by_provided`](Idempotency::owned_by_provided) or [`owned_by`](Idempotency::owned_by) instead.
///
/// A response with a status that rules out an effect of the request is not stored, so that the client can correct the request: 401,
/// 403, 405, 406, 408, 411 to 413, 415, 417, 421, 425, 426, 428, 429, 431, 500 and above, and 409 with `retry-after`. A response is
/// also not stored if it sets a cookie, if its body exceeds 1 MiB, fails or is an event stream, or if the store has no room; its key
/// then results in a 409.
///
/// A cookie belongs to one client, and may be a secret that the store must not have. So do not use the layer for a route that begins
/// or ends a session or gives it another id, such as a sign-in: a client that lost the response would receive a 409 instead of its
/// cookie. The same applies to the update of a session in a cookie. The error format of the application,
/// [`App::errors`](crate::App::errors), applies to a stored problem too, without the causes and the field errors.
///
/// If a request passes several of these layers, each has a separate record of it, also in the same store.
///
/// An event stream, [`Events`](crate::events::Events) or another body of unknown length with the type `text/event-stream`, is sent
/// from its beginning. The layer delays any other streamed response until its body is complete or exceeds 1 MiB, and the key
/// belongs to a request in progress until then: do not use the layer for a route with another stream that has no end.
///
/// A handler that is dropped before it returns leaves its key reserved. Causes are a route with `disconnect = "abort"` whose
/// client disconnects, a [`Timeout`](super::Timeout) outside this layer, and a shutdown that reaches its deadline. The layer
/// does not know how far such a handler got. The key results in a 409 for [`running_for`](Idempotency::running_for); after that
/// the request is processed again, as after a crash of the process. Keep the default `disconnect = "finish"` if a request has
/// effects outside a transaction.
///
/// A request is processed only while the store holds its marker: if the store fails or is full, the client gets a 503 with
/// `retry-after`. The memory of a key is charged to the configured owner, or else to the client's address, so a client that
/// fills the memory store evicts its own responses first. The memory store is lost at a restart: use another [`Store`] if a
/// duplicate payment must not happen then.
///
/// A handler with a transaction in the database of the store can complete its key there:
/// [`IdempotencyKey::complete_in`](super::IdempotencyKey::complete_in). Then no crash loses or repeats its effects.
///
/// The layer reads the whole request body, within its limit, and removes `accept-encoding` from the request: a response
/// compressed by a `Compression` inside this layer would be replayed to clients that cannot decode it. A `Compression` outside
/// this layer compresses each replay for its client.
///
/// # Example
///
/// A payment that is made once:
///
/// ```
/// use conduit::layer::Idempotency;
/// use conduit::prelude::*;
///
/// #[post("/payments")]
/// async fn pay(order: String) -> Created<String> {
///     Created::at("/payments/1", format!("paid: {order}"))
/// }
///
/// let app = App::new(()).routes(routes![#[layer(Idempotency::new().required())] pay]);
/// ```
#[derive(Clone)]
pub struct Idempotency<T = MemoryStore> {
    store: T,
    owner: OwnerOf,
    required: bool,
    kept: Duration,
    running: Duration,
    longest_bytes: usize,
}

impl Idempotency {
    /// Keys are optional; responses are kept in memory for 24 hours.
    pub fn new() -> Self {
        Idempotency {
            store: MemoryStore::default(),
            owner: Arc::new(by_credentials),
            required: false,
            kept: Duration::from_secs(24 * 60 * 60),
            running: Duration::from_secs(60),
            longest_bytes: 1024 * 1024,
        }
    }
}

impl Default for Idempotency {
    fn default() -> Self {
        Idempotency::new()
    }
}

impl<T: Store> Idempotency<T> {
    /// Rejects a `POST` or `PATCH` without a key with a 400.
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Identifies a client: the string that `owner` returns is part of each key, and the memory of the key in the store is
    /// charged to it. Return a string that a client cannot choose, such as the authenticated user.
    pub fn owned_by(mut self, owner: impl Fn(&Request) -> String + Send + Sync + 'static) -> Self {
        self.owner = Arc::new(move |request| named(owner(request)));
        self
    }

    /// Identifies a client by a value that a layer outside of this one [provides](super::NextWith), such as its user. A
    /// request for which `owner` returns `None` is identified by its credentials. It is the last setting, because it returns another
    /// type.
    ///
    /// # Example
    ///
    /// A user's payment, from any browser:
    ///
    /// ```
    /// use conduit::layer::Idempotency;
    /// use conduit::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct User(u64);
    ///
    /// async fn sign_in(request: Request, next: NextWith<User>) -> Response {
    ///     // A real layer looks up the session.
    ///     next.run(request, User(7)).await
    /// }
    ///
    /// #[post("/payments")]
    /// async fn pay(order: String) -> Created<String> {
    ///     Created::at("/payments/1", format!("paid: {order}"))
    /// }
    ///
    /// let app = App::new(()).routes(routes![
    ///     #[layer(sign_in, Idempotency::new().required().owned_by_provided(|user: &User| Some(user.0)))] pay
    /// ]);
    /// ```
    pub fn owned_by_provided<U, K>(self, owner: impl Fn(&U) -> Option<K> + Send + Sync + 'static) -> Reading<U, Self>
    where
        U: 'static,
        K: fmt::Display,
    {
        let owner = move |request: &Request| {
            let owner = request.provided::<U>().and_then(&owner);
            // The `=` prevents a collision with a hash of credentials.
            owner.map_or_else(|| by_credentials(request), |owner| named(format!("={owner}")))
        };
        Reading::new(Idempotency {
            owner: Arc::new(owner),
            ..self
        })
    }

    /// Sets the lifetime of a stored response. Default: 24 hours.
    pub fn kept_for(mut self, time: Duration) -> Self {
        self.kept = time;
        self
    }

    /// Sets how long a key stays reserved after its request ended without a response, for example because the handler was
    /// dropped or the process ended. The marker is renewed while the request is in progress, which includes the creation of the
    /// response's body. Default: 60 s.
    pub fn running_for(mut self, time: Duration) -> Self {
        self.running = time;
        self
    }

    /// Stores keys and responses in another store.
    pub fn store<Other: Store>(self, store: Other) -> Idempotency<Other> {
        Idempotency {
            store,
            owner: self.owner,
            required: self.required,
            kept: self.kept,
            running: self.running,
            longest_bytes: self.longest_bytes,
        }
    }

    async fn answer(&self, mut request: Request, next: Next) -> Result<Response, Problem> {
        let Some(key) = key(&request)? else {
            if self.required {
                return Err(missing());
            }
            return Ok(next.run(request).await);
        };
        let owner = (self.owner)(&request);
        let depth = request
            .extensions()
            .get::<IdempotencyKey>()
            .map_or(0, |outer| outer.depth() + 1);
        let key = format!("idempotency{}:{}:{key}", "+".repeat(depth), owner.name).into_bytes();
        let (body, trailers) = request.take_body().collect_with_trailers().await?;
        let fingerprint = fingerprint(&request, &body);
        request.set_body(whole(body, trailers));
        if request.header(ACCEPT_ENCODING.as_str()).is_some() {
            request.headers_mut().remove(ACCEPT_ENCODING);
        }
        let state = Arc::new(KeyState {
            key,
            depth,
            fingerprint,
            marker: running(&fingerprint)?,
            account: owner.account,
            kept: self.kept,
            longest_bytes: self.longest_bytes,
        });
        request.extensions_mut().insert(IdempotencyKey::new(Arc::clone(&state)));
        let marker = Value {
            bytes: &state.marker,
            lifetime: self.running,
            account: &state.account,
            is_pinned: true,
        };
        let stored = self
            .store
            .insert(&state.key, marker)
            .await
            .map_err(|error| failed(&error))?;
        if let Some(stored) = stored {
            return replay(&stored, &fingerprint);
        }
        let pending_cookie = PendingCookie::of(&request);
        let process = async {
            let response = next.run(request).await;
            let has_pending_cookie = pending_cookie.is_some_and(|cookie| cookie.is_set());
            record(response, &fingerprint, self.longest_bytes, has_pending_cookie).await
        };
        let (response, record) = self.renewing(process, &state.key, marker).await;
        // The request is processed: a store that fails now has logged it, and the response does not change.
        let value = record.as_deref().map(|bytes| state.value(bytes));
        let kept = self.replace(&state.key, Some(marker.bytes), value).await;
        if kept.is_err() && record.is_some() {
            let unkept = unkept(&fingerprint);
            let _ = self
                .replace(&state.key, Some(marker.bytes), Some(state.value(&unkept)))
                .await;
        }
        Ok(response?)
    }

    /// Runs `process` to its end, and renews the marker of its request meanwhile. A store that does not respond delays only the
    /// renewals.
    async fn renewing<R>(&self, process: impl Future<Output = R>, key: &[u8], marker: Value<'_>) -> R {
        let mut process = pin!(process);
        let renewal = (self.running / 2).max(SHORTEST_RENEWAL);
        let mut renewals = pin!(async {
            loop {
                tokio::time::sleep(renewal).await;
                // The store has logged its failure, and the next renewal may succeed.
                drop(self.replace(key, Some(marker.bytes), Some(marker)).await);
            }
        });
        poll_fn(|context| match process.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => renewals.as_mut().poll(context),
        })
        .await
    }

    async fn replace(&self, key: &[u8], expected: Option<&[u8]>, value: Option<Value<'_>>) -> Result<bool, Problem> {
        let replaced = self.store.replace(key, expected, value).await;
        replaced.map_err(|error| failed(&error))
    }
}

impl<T: Store> Layer for Idempotency<T> {
    async fn call(&self, request: Request, next: Next) -> Response {
        if !is_keyed(request.method()) {
            return next.run(request).await;
        }
        self.answer(request, next).await.into_response()
    }

    fn describe(&self, operation: &mut Operation) {
        if !matches!(operation.method(), "POST" | "PATCH") {
            return;
        }
        let key = Parameter::header(IDEMPOTENCY_KEY.as_str())
            .required(self.required)
            .schema(json!({ "type": "string", "minLength": 1 }))
            .description("The key of the request: a repeated request with it is not executed again.");
        let wait = |operation: &mut Operation| {
            operation.response_header(RETRY_AFTER.as_str(), SECONDS_TO_WAIT);
        };
        operation
            .parameter(key)
            .problem(
                StatusCode::BAD_REQUEST,
                "The idempotency key is missing, malformed or repeated.",
            )
            .problem(
                StatusCode::CONFLICT,
                "A request with this key is in progress, or its response was not stored.",
            )
            .at_status(StatusCode::CONFLICT, wait)
            .problem(StatusCode::PAYLOAD_TOO_LARGE, TOO_LARGE)
            .problem(
                StatusCode::UNPROCESSABLE_ENTITY,
                "The key belongs to a request with another method, target, content type or body.",
            )
            .problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "The store of the keys is full or unavailable.",
            )
            .at_status(StatusCode::SERVICE_UNAVAILABLE, wait)
            .header_of_every_response(REPLAYED, "`true` if the response was sent before.");
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("Idempotency")
    }
}

impl<T: fmt::Debug> fmt::Debug for Idempotency<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency")
            .field("required", &self.required)
            .field("kept", &self.kept)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// Returns the request's key: a string in quotes, as in the draft, or unquoted, as many clients send it.
fn key(request: &Request) -> Result<Option<String>, Problem> {
    let name = IDEMPOTENCY_KEY;
    let mut fields = request.header_all(name.as_str());
    let Some(sent) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        // Another program that reads the same request may use the other field.
        return Err(Problem::bad_request(
            "the header field idempotency-key is sent more than once: send it once",
        ));
    }
    let key = sent
        .strip_prefix(b"\"")
        .and_then(|key| key.strip_suffix(b"\""))
        .unwrap_or(sent);
    let is_allowed = |byte: &u8| byte.is_ascii_graphic() && !b"\"\\".contains(byte);
    if key.is_empty() || key.len() > LONGEST_KEY || !key.iter().all(is_allowed) {
        return Err(Problem::bad_request(format!(
            "invalid idempotency-key {:?}: expected 1 to {LONGEST_KEY} visible ASCII characters except `\"` and `\\`, such as a UUID",
            Excerpt::new(sent)
        )));
    }
    Ok(Some(String::from_utf8_lossy(key).into_owned()))
}

/// An owner that the application identifies. The store's key has a colon after the owner's name, which therefore has none.
fn named(name: String) -> Owner {
    let name = match name.contains(':') {
        true => hashed_name(&name),
        false => short_name(name),
    };
    Owner {
        account: name.clone(),
        name,
    }
}

/// The owner by the hash of its credentials. Clients can forge credentials, so the memory is charged to their address.
fn by_credentials(request: &Request) -> Owner {
    let authorization = request.header_all("authorization");
    // The name separates the preceding fields from the cookies.
    let cookies = [&b"cookie"[..]].into_iter().chain(request.header_all("cookie"));
    Owner {
        name: format!("{:032x}", u128::from_be_bytes(hash(authorization.chain(cookies)))),
        account: by_address(request),
    }
}
