//! A limit on the number of requests per client and period.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, RETRY_AFTER};
use http::{HeaderValue, StatusCode};

use super::store::short_name;
use super::{Layer, MemoryStore, Next, SECONDS_TO_WAIT, Store, Value};
use crate::extract::Client;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::server::clock;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The number of attempts to update a budget under contention.
const ATTEMPTS: usize = 8;

/// Returns the client that a request counts towards; `None` if it is not counted.
type ClientKey = Arc<dyn Fn(&Request) -> Option<String> + Send + Sync>;

/// Limits the requests of each client in a period; further requests get a 429 with `retry-after` (RFC 6585, section 4).
///
/// The key identifies a client. The default is the address of the [`Client`], taken from the proxies that
/// [`App::trusted_proxies`](crate::App::trusted_proxies) and [`App::proxy_protocol`](crate::App::proxy_protocol) list. The key
/// of an IPv6 address is its first 64 bits, since a subscriber controls the rest. Over a Unix socket, each user of the machine
/// has a budget. All clients whose address a proxy does not forward share one.
///
/// The layer uses the generic cell rate algorithm: each client has a bucket of `requests` that refills evenly, one every
/// `period / requests`. A client may send all of them in a burst, and never more than twice as many in any period. All workers
/// and all clones of the layer share the budgets, which are in a [`Store`], by default in memory. If the store fails, the
/// request is accepted and the failure is logged.
///
/// Responses contain the remaining budget, in the fields of draft-ietf-httpapi-ratelimit-headers:
/// `ratelimit-policy: "default";q=100;w=60` and `ratelimit: "default";r=42;t=1` (42 remain, and the next is available in a
/// second).
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
/// let app = App::new(()).routes(routes![search]).layer(limit);
/// ```
#[derive(Clone)]
pub struct RateLimit<T = MemoryStore> {
    store: T,
    key: ClientKey,
    name: &'static str,
    requests: u64,
    period: Duration,
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
            requests: requests.into(),
            period,
            policy: HeaderValue::from_static(""),
        }
        .named("default")
    }
}

impl<T: Store> RateLimit<T> {
    /// Identifies a client by the value of a header field, such as an API key; requests without the field, by their address.
    pub fn by_header(self, name: &'static str) -> Self {
        self.by(move |request| {
            let value = request.header(name);
            Some(value.map_or_else(|| by_address(request), |value| named(&String::from_utf8_lossy(value))))
        })
    }

    /// Identifies a client by an extension that an earlier layer has added to the request, such as its user: `key` returns the
    /// part that identifies the client. Requests without the extension count by their address.
    ///
    /// The layer that adds the extension must be outside this one: earlier in a list, or added later to an application.
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
    /// async fn sign_in(mut request: Request, next: Next) -> Result<Response, Problem> {
    ///     let user = match request.header("x-api-key") {
    ///         Some(b"k-1") => User("ada".to_owned()),
    ///         _ => return Err(Problem::unauthorized("the header field x-api-key is missing or unknown")),
    ///     };
    ///     request.extensions_mut().insert(user);
    ///     Ok(next.run(request).await)
    /// }
    ///
    /// #[get("/search")]
    /// async fn search() -> &'static str {
    ///     "found"
    /// }
    ///
    /// fn limit() -> RateLimit {
    ///     RateLimit::new(100, Duration::from_secs(60)).by_extension(|user: &User| user.0.clone())
    /// }
    ///
    /// let app = App::new(()).routes(routes![#[layer(sign_in, limit())] search]);
    /// ```
    pub fn by_extension<U, K>(self, key: impl Fn(&U) -> K + Send + Sync + 'static) -> Self
    where
        U: Clone + Send + Sync + 'static,
        K: fmt::Display,
    {
        self.by(move |request| {
            let value = request.extensions().get::<U>();
            Some(value.map_or_else(|| by_address(request), |value| named(&key(value))))
        })
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
        let seconds = self.period.as_secs().max(1);
        let policy = format!("\"{name}\";q={};w={seconds}", self.requests);
        self.policy = HeaderValue::try_from(policy).expect("a token and numbers are allowed in a header field");
        self
    }

    /// Stores the budgets in another store.
    pub fn store<Other: Store>(self, store: Other) -> RateLimit<Other> {
        RateLimit {
            store,
            key: self.key,
            name: self.name,
            requests: self.requests,
            period: self.period,
            policy: self.policy,
        }
    }

    /// Takes one request from the budget of `key`.
    async fn take(&self, key: String) -> Result<Taken, T::Error> {
        let key = format!("rate:{}:{}", self.name, short_name(key));
        for _ in 0..ATTEMPTS {
            let stored = self.store.get(key.as_bytes()).await?;
            let now = u64::try_from(clock::since_epoch().as_micros()).unwrap_or(u64::MAX);
            let arrival = stored
                .as_deref()
                .and_then(|value| value.try_into().ok())
                .map_or(0, u64::from_be_bytes);
            let taken = take_at(arrival, now, self.requests, self.period);
            let Some(next) = taken.arrival else { return Ok(taken) };
            let lifetime = Duration::from_micros(next.saturating_sub(now)) + Duration::from_millis(1);
            // Evict the budgets closest to full first, regardless of the client.
            let value = Value {
                bytes: &next.to_be_bytes(),
                lifetime,
                account: "rate",
                is_pinned: false,
            };
            if self
                .store
                .replace(key.as_bytes(), stored.as_deref(), Some(value))
                .await?
            {
                return Ok(taken);
            }
        }
        // Concurrent requests of the same client won every attempt.
        Ok(Taken {
            arrival: None,
            left: 0,
            wait: self.period / u32::try_from(self.requests).unwrap_or(u32::MAX),
        })
    }

    fn say(&self, response: &mut Response, taken: &Taken) {
        let headers = response.headers_mut();
        let rest = format!("\"{}\";r={};t={}", self.name, taken.left, seconds(taken.wait));
        let rest = HeaderValue::try_from(rest).expect("a token and numbers are allowed in a header field");
        headers.append(RATE_LIMIT, rest);
        headers.append(RATE_LIMIT_POLICY, self.policy.clone());
    }
}

/// The result of charging a request to a budget.
#[derive(Debug, PartialEq)]
struct Taken {
    /// The arrival time to store; `None` if the budget is exhausted.
    arrival: Option<u64>,
    /// The number of remaining requests.
    left: u64,
    /// The time until one more is available.
    wait: Duration,
}

/// The generic cell rate algorithm. `arrival` is the theoretical arrival time of the next request, in microseconds, if each
/// request came exactly one interval after the previous one. It is at most one period ahead.
fn take_at(arrival: u64, now: u64, requests: u64, period: Duration) -> Taken {
    let period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX / 4);
    let interval = (period / requests).max(1);
    let arrival = arrival.max(now);
    let next = arrival.saturating_add(interval);
    let ahead = next.saturating_sub(now);
    let tolerance = interval * requests;
    if ahead > tolerance {
        return Taken {
            arrival: None,
            left: 0,
            wait: Duration::from_micros(ahead - tolerance),
        };
    }
    Taken {
        arrival: Some(next),
        left: (tolerance - ahead) / interval,
        wait: Duration::from_micros(match ahead % interval {
            0 => interval,
            rest => rest,
        }),
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
        let mut response = if taken.arrival.is_some() {
            next.run(request).await
        } else {
            let wait = seconds(taken.wait);
            Problem::new(StatusCode::TOO_MANY_REQUESTS)
                .with_detail(format!(
                    "{} requests in {:?} are allowed; the next is in {wait} s",
                    self.requests, self.period
                ))
                .with_header(RETRY_AFTER, HeaderValue::from(wait))
                .into_response()
        };
        self.say(&mut response, &taken);
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
            .header_of_every_response(RATE_LIMIT_POLICY.as_str(), "The number of requests allowed per period.");
    }

    fn name(&self) -> Cow<'static, str> {
        format!("RateLimit({} in {:?})", self.requests, self.period).into()
    }
}

impl<T: fmt::Debug> fmt::Debug for RateLimit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("name", &self.name)
            .field("requests", &self.requests)
            .field("period", &self.period)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    /// Sends requests at these times, and returns which are accepted.
    fn let_through(times: impl IntoIterator<Item = u64>, requests: u64, period: Duration) -> Vec<bool> {
        let mut arrival = 0;
        let take = |now| match take_at(arrival, now, requests, period).arrival {
            Some(next) => {
                arrival = next;
                true
            }
            None => false,
        };
        times.into_iter().map(take).collect()
    }

    #[test]
    fn a_burst_of_all_requests_is_let_through_and_no_more() {
        let start = 1_700_000_000 * SECOND;
        let burst = let_through([start; 12], 10, Duration::from_secs(60));
        assert_eq!(burst.iter().filter(|&&passed| passed).count(), 10);
        assert_eq!(burst[9..], [true, false, false]);
    }

    #[test]
    fn the_budget_refills_evenly() {
        let start = 1_700_000_000 * SECOND;
        let times = [
            vec![start; 10],
            vec![start + 6 * SECOND - 1, start + 6 * SECOND, start + 6 * SECOND],
        ]
        .concat();
        let passed = let_through(times, 10, Duration::from_secs(60));
        assert_eq!(passed[10..], [false, true, false]);
    }

    #[test]
    fn rate_limit_fields_have_the_remaining_requests_and_the_time_until_more() {
        let start = 1_700_000_000 * SECOND;
        let first = take_at(0, start, 10, Duration::from_secs(60));
        assert_eq!((first.left, first.wait), (9, Duration::from_secs(6)));
        let spent = start + 60 * SECOND;
        let refused = take_at(spent, start, 10, Duration::from_secs(60));
        assert_eq!((refused.arrival, refused.wait), (None, Duration::from_secs(6)));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_lock_a_client_out_for_longer_than_a_period_more() {
        let start = 1_700_000_000 * SECOND;
        assert!(
            take_at(start, start - 10 * SECOND, 10, Duration::from_secs(60))
                .arrival
                .is_some()
        );
    }

    #[test]
    fn all_addresses_of_a_subscribers_network_share_one_budget() {
        let key = |address: &str| network(address.parse().expect("an address"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }
}
