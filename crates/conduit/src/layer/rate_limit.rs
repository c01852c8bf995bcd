//! A limit on the number of requests per client and period.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use super::store::short_name;
use super::{Budget, Layer, MemoryStore, Next, Reading, SECONDS_TO_WAIT, Store, Taken};
use crate::extract::Client;
use crate::openapi::{LayerLimit, Operation};
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Returns the client that a request counts towards; `None` if it is not counted.
type ClientKey = Arc<dyn Fn(&Request) -> Option<String> + Send + Sync>;

/// Limits the requests of each client in a period; further requests get a 429 with `retry-after` (RFC 6585, section 4).
///
/// The key identifies a client. The default is the address of the [`Client`], taken from the proxies that
/// [`App::trusted_proxies`](crate::App::trusted_proxies) and [`App::proxy_protocol`](crate::App::proxy_protocol) list. The
/// key of an IPv6 address is its first 64 bits, since a subscriber controls the rest. Over a Unix socket, each user of the
/// machine has a budget. All clients whose address a proxy does not forward share one budget.
///
/// The layer uses the generic cell rate algorithm: each client has a bucket of `requests` that refills evenly, one every
/// `period / requests`. A client may send all of them in a burst, and never more than twice as many in any period. All workers
/// and all clones of the layer share the budgets, which are in a [`Store`], by default in memory. If the store fails, the
/// request is accepted and the failure is logged.
///
/// Responses contain the remaining budget, in the fields of draft-ietf-httpapi-ratelimit-headers:
/// `ratelimit-policy: "default";q=100;w=60` and `ratelimit: "default";r=42;t=1` (42 remain, and the next is available in a
/// second). Both times are whole seconds, rounded up: a client that follows the policy of a period of 500 ms, `w=1`, does not
/// exceed the limit, but uses half of it.
///
/// # Example
///
/// A hundred requests a minute for each API key:
///
/// ```
/// use std::time::Duration;
/// use conduit::layer::RateLimit;
/// use conduit::prelude::*;
///
/// #[get("/search")]
/// async fn search() -> &'static str {
///     "found"
/// }
///
/// let limit = RateLimit::new(100, Duration::from_secs(60)).by_header("x-api-key");
/// // A client can send random keys: its address has a limit, too.
/// let by_address = RateLimit::new(1000, Duration::from_secs(60));
/// let app = App::new(()).routes(routes![search]).layer(limit).layer(by_address);
/// ```
#[derive(Clone)]
pub struct RateLimit<T = MemoryStore> {
    store: T,
    key: ClientKey,
    name: &'static str,
    budget: Budget,
    policy: HeaderValue,
}

impl RateLimit {
    /// Allows `requests` per `period` from each address.
    ///
    /// # Panics
    ///
    /// Panics if `requests` is 0 or `period` is less than a millisecond.
    pub fn new(requests: u32, period: Duration) -> Self {
        assert!(requests > 0, "a rate limit of 0 rejects every request: use at least 1");
        assert!(
            period >= Duration::from_millis(1),
            "the period of a rate limit must be at least 1 ms"
        );
        RateLimit {
            store: MemoryStore::default(),
            key: Arc::new(|request| Some(by_address(request))),
            name: "default",
            budget: Budget { requests, period },
            policy: HeaderValue::from_static(""),
        }
        .named("default")
    }
}

impl<T: Store> RateLimit<T> {
    /// Identifies a client by the value of a header field, such as an API key; requests without the field, by their address. A client
    /// that sends another value has another budget, so combine it with a limit by address, or put the layer inside of one that
    /// rejects unknown values.
    pub fn by_header(self, name: &'static str) -> Self {
        self.by(move |request| {
            let value = request.header(name);
            Some(value.map_or_else(|| by_address(request), |value| named(&String::from_utf8_lossy(value))))
        })
    }

    /// Identifies a client by a value that a layer outside of this one [provides](super::NextWith), such as its user: `key`
    /// returns the part that identifies the client. A request for which it returns `None` counts by its address. It is the last
    /// setting, because it returns another type.
    ///
    /// # Example
    ///
    /// A hundred requests a minute for each user:
    ///
    /// ```
    /// use std::time::Duration;
    /// use conduit::layer::RateLimit;
    /// use conduit::prelude::*;
    ///
    /// #[derive(Clone)]
    /// struct User(String);
    ///
    /// async fn sign_in(request: Request, next: NextWith<User>) -> Result<Response, Problem> {
    ///     let user = match request.header("x-api-key") {
    ///         Some(b"k-1") => User("ada".to_owned()),
    ///         _ => return Err(Problem::unauthorized("the header field x-api-key is missing or unknown")),
    ///     };
    ///     Ok(next.run(request, user).await)
    /// }
    ///
    /// #[get("/search")]
    /// async fn search() -> &'static str {
    ///     "found"
    /// }
    ///
    /// fn limit() -> RateLimit {
    ///     RateLimit::new(100, Duration::from_secs(60))
    /// }
    ///
    /// let app = App::new(()).routes(routes![
    ///     #[layer(sign_in, limit().by_provided(|user: &User| Some(user.0.clone())))] search
    /// ]);
    /// ```
    pub fn by_provided<U, K>(self, key: impl Fn(&U) -> Option<K> + Send + Sync + 'static) -> Reading<U, Self>
    where
        U: 'static,
        K: fmt::Display,
    {
        Reading::new(self.by(move |request| {
            let key = request.provided::<U>().and_then(&key);
            Some(key.map_or_else(|| by_address(request), |key| named(&key)))
        }))
    }

    /// Identifies a client by any part of the request; [`Client::of`] returns the client's address. A request for which `key`
    /// returns `None` is not counted.
    pub fn by(mut self, key: impl Fn(&Request) -> Option<String> + Send + Sync + 'static) -> Self {
        self.key = Arc::new(key);
        self
    }

    /// Names the limit, in the header fields and in the store. Limits with the same name and store share their budgets.
    /// Default: `default`.
    ///
    /// # Panics
    ///
    /// Panics if the name contains characters other than letters, digits, `-` and `_`.
    pub fn named(mut self, name: &'static str) -> Self {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        assert!(
            !name.is_empty() && name.bytes().all(is_allowed),
            "`{name}` is not a valid name of a limit: use letters, digits, `-` and `_`"
        );
        self.name = name;
        let window = seconds(self.budget.period);
        let policy = format!("\"{name}\";q={};w={window}", self.budget.requests);
        self.policy = HeaderValue::try_from(policy).expect("a token and numbers are allowed in a header field");
        self
    }

    /// Stores the budgets in another store.
    pub fn store<Other: Store>(self, store: Other) -> RateLimit<Other> {
        RateLimit {
            store,
            key: self.key,
            name: self.name,
            budget: self.budget,
            policy: self.policy,
        }
    }

    /// Takes one request from the budget of `key`.
    async fn take(&self, key: String) -> Result<Taken, T::Error> {
        let key = format!("rate:{}:{}", self.name, short_name(key));
        self.store.take(key.as_bytes(), self.budget).await
    }

    fn append_fields(&self, response: &mut Response, taken: &Taken) {
        let headers = response.headers_mut();
        let rest = format!("\"{}\";r={};t={}", self.name, taken.left, seconds(taken.wait));
        let rest = HeaderValue::try_from(rest).expect("a token and numbers are allowed in a header field");
        headers.append(RATE_LIMIT, rest);
        headers.append(RATE_LIMIT_POLICY, self.policy.clone());
    }
}

/// Returns the key of a client identified by its address alone.
pub(crate) fn by_address(request: &Request) -> String {
    let unix = || Some(format!("unix:{}", request.connection_info()?.unix?.user));
    match Client::address_of(request) {
        Some(address) => network(address),
        None => unix().unwrap_or_else(|| "unknown".to_owned()),
    }
}

/// The store key of a named client; the `=` prevents a collision with addresses.
fn named(name: &impl fmt::Display) -> String {
    format!("={name}")
}

/// Returns the key of an address.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}")
        }
    }
}

/// Whole seconds, rounded up.
fn seconds(wait: Duration) -> u64 {
    wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
}

impl<T: Store> Layer for RateLimit<T> {
    async fn call(&self, request: Request, next: Next) -> Response {
        let Some(key) = (self.key)(&request) else {
            return next.run(request).await;
        };
        let taken = match self.take(key).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::error!(%error, "the rate limit store failed; accepting the request");
                return next.run(request).await;
            }
        };
        let mut response = if taken.is_accepted {
            next.run(request).await
        } else {
            let wait = seconds(taken.wait);
            Problem::new(StatusCode::TOO_MANY_REQUESTS)
                .with_detail(format!(
                    "at most {} requests in {:?} are allowed: try again in {wait} s",
                    self.budget.requests, self.budget.period
                ))
                .with_header(RETRY_AFTER, HeaderValue::from(wait))
                .into_response()
        };
        self.append_fields(&mut response, &taken);
        response
    }

    fn describe(&self, operation: &mut Operation) {
        let status = StatusCode::TOO_MANY_REQUESTS;
        operation
            .problem(status, "The client has sent too many requests.")
            .at_status(status, |operation| {
                operation.response_header(RETRY_AFTER.as_str(), SECONDS_TO_WAIT);
            })
            .header_of_every_response(
                RATE_LIMIT.as_str(),
                "The number of remaining requests, and the time until the next.",
            )
            .header_of_every_response(RATE_LIMIT_POLICY.as_str(), "The number of requests allowed per period.")
            .limit(LayerLimit::Rate {
                requests: self.budget.requests,
                period: self.budget.period,
            });
    }

    fn name(&self) -> Cow<'static, str> {
        format!("RateLimit({} in {:?})", self.budget.requests, self.budget.period).into()
    }
}

impl<T: fmt::Debug> fmt::Debug for RateLimit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("name", &self.name)
            .field("budget", &self.budget)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_a_subscribers_network_share_one_budget() {
        let key = |address: &str| network(address.parse().expect("an address"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
