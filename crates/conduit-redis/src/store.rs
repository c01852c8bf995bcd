//! The store.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use conduit::layer::{Budget, Store, Taken, Value};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, FromRedisValue, IntoConnectionInfo, ProtocolVersion, PushInfo,
    PushKind, RedisError, RedisResult, Script, ScriptInvocation, ServerErrorKind,
};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;

/// The maximum time for a connection and for a response.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);
/// The pause of a thread after a failed attempt to connect, and between two replacements of connections to a replica.
const PAUSE: Duration = Duration::from_millis(500);
/// The maximum number of requests of a worker in progress; further ones wait.
const REQUESTS: usize = 1024;

/// Values in Redis, with a prefix in their keys. Each worker has a connection, which it makes with its first request and again
/// after a loss. After a failed attempt, its requests fail at once: one of them makes the next attempt after 500 ms, and the others
/// do not wait for it. Clones share them.
///
/// A request waits for up to 5 s for the connection and for up to 5 s for the response; a request that is repeated, twice. A
/// connection without a response for 5 s is lost, also if all requests were dropped before, such as by a
/// [`Timeout`](conduit::layer::Timeout). The time starts with the first request since the last response: after a request that was
/// dropped before its response, the next request of the worker more than 5 s later connects again.
///
/// A connection to a server that has become a replica is replaced at once, and while the URL leads to a replica every 500 ms.
/// Between the replacements the requests that the replica rejects fail, and the others continue.
///
/// Each operation is one command or one script, so it is atomic among all processes that use the server, whose clock ends the
/// lifetimes. A request whose response is lost fails: a layer responds as it does when its store fails. Reads, and requests to
/// a budget, are repeated once.
///
/// The size is that of the live values. Set `maxmemory-policy noeviction`, so that a full server refuses new values instead
/// of removing those that [must stay](Value::is_pinned).
#[derive(Clone)]
pub struct RedisStore(Arc<StoreState>);

struct StoreState {
    client: Client,
    prefix: String,
    /// Identifies the store on each thread.
    number: u64,
    take: Script,
    replace: Script,
}

/// The connection of a thread to the server of a store.
#[derive(Clone)]
struct StoreConnection {
    connection: MultiplexedConnection,
    is_lost: Arc<AtomicBool>,
    /// Set if the server has rejected a request as a replica.
    is_to_replica: Arc<AtomicBool>,
    /// The time at which this connection has replaced one to a replica.
    replaced_at: Option<Instant>,
    /// The time of the first request since the last response.
    waiting_since: Arc<Mutex<Option<Instant>>>,
}

/// The last attempt of a thread to connect.
#[derive(Clone, Default)]
enum Attempt {
    #[default]
    None,
    Connected(StoreConnection),
    Failed(Instant),
}

/// The attempts of a thread to connect.
#[derive(Clone, Default)]
struct Attempts {
    /// The lock permits one attempt at a time.
    last: Arc<AsyncMutex<Attempt>>,
    /// The error of the last attempt that has ended, if it failed.
    failure: Arc<Mutex<Option<RedisError>>>,
}

impl Attempts {
    fn failure(&self) -> Option<RedisError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_failure(&self, failure: Option<RedisError>) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

thread_local! {
    static ATTEMPTS: RefCell<HashMap<u64, Attempts>> = RefCell::default();
}

impl RedisStore {
    /// A store at this URL, such as `redis://127.0.0.1:6379/0`, with the prefix `conduit`.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is malformed. The store connects later.
    pub fn new(url: impl IntoConnectionInfo) -> RedisResult<Self> {
        Ok(RedisStore::of(RedisStore::client(url)?, "conduit"))
    }

    /// A client of the third version of the protocol, which reports the end of a connection.
    pub(crate) fn client(url: impl IntoConnectionInfo) -> RedisResult<Client> {
        let info = url.into_connection_info()?;
        #[cfg(feature = "tls")]
        crate::tls::prepare(&info);
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        Client::open(info.set_redis_settings(settings))
    }

    pub(crate) fn of(client: Client, prefix: &str) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        RedisStore(Arc::new(StoreState {
            client,
            prefix: format!("{prefix}:"),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            take: Script::new(include_str!("lua/take.lua")),
            replace: Script::new(include_str!("lua/replace.lua")),
        }))
    }

    /// Sets the prefix of all keys. Services that share a server need different prefixes. Default: `conduit`.
    pub fn prefix(self, prefix: &str) -> Self {
        RedisStore::of(self.0.client.clone(), prefix)
    }

    fn key(&self, key: &[u8]) -> Vec<u8> {
        [self.0.prefix.as_bytes(), key].concat()
    }

    /// The connection of this thread. All requests without one share an attempt and its failure, so that an unreachable server
    /// costs one descriptor per thread. The attempt has a task: it continues although its request is dropped.
    async fn connection(&self) -> RedisResult<StoreConnection> {
        let attempts = ATTEMPTS.with_borrow_mut(|attempts| attempts.entry(self.0.number).or_default().clone());
        let mut last = match Arc::clone(&attempts.last).try_lock_owned() {
            Ok(last) => last,
            Err(_) => match attempts.failure() {
                Some(error) => return Err(error),
                None => Arc::clone(&attempts.last).lock_owned().await,
            },
        };
        match (&*last, attempts.failure()) {
            (Attempt::Connected(known), _) if !known.is_replaceable() => return Ok(known.clone()),
            (Attempt::Failed(at), Some(error)) if at.elapsed() < PAUSE => return Err(error),
            _ => {}
        }
        let was_to_replica = matches!(&*last, Attempt::Connected(known) if known.is_to_replica.load(Ordering::Acquire));
        let replaced_at = was_to_replica.then(Instant::now);
        let state = Arc::clone(&self.0);
        let attempt = tokio::spawn(async move {
            let connected = state.connect(replaced_at).await;
            *last = match &connected {
                Ok(connection) => Attempt::Connected(connection.clone()),
                Err(_) => Attempt::Failed(Instant::now()),
            };
            attempts.set_failure(connected.as_ref().err().cloned());
            connected
        });
        attempt
            .await
            .unwrap_or_else(|error| Err(RedisError::from(io::Error::other(error))))
    }

    /// Makes a request of one command.
    async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let mut connection = self.connection().await?;
        connection.begin_request();
        let result = command.query_async(&mut connection.connection).await;
        connection.check(result)
    }

    /// Makes a request of one script, which the server loads if it is not cached.
    async fn call<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> RedisResult<T> {
        let mut connection = self.connection().await?;
        connection.begin_request();
        let result = script.invoke_async(&mut connection.connection).await;
        connection.check(result)
    }
}

impl StoreState {
    async fn connect(&self, replaced_at: Option<Instant>) -> RedisResult<StoreConnection> {
        let is_lost = Arc::new(AtomicBool::new(false));
        let lost = Arc::clone(&is_lost);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(RESPONSE_TIMEOUT))
            .set_response_timeout(Some(RESPONSE_TIMEOUT))
            .set_concurrency_limit(REQUESTS)
            .set_push_sender(move |info: PushInfo| {
                if info.kind == PushKind::Disconnection {
                    lost.store(true, Ordering::Release);
                }
                Ok::<_, redis::aio::SendError>(())
            });
        let connection = self
            .client
            .get_multiplexed_async_connection_with_config(&config)
            .await?;
        Ok(StoreConnection {
            connection,
            is_lost,
            is_to_replica: Arc::default(),
            replaced_at,
            waiting_since: Arc::default(),
        })
    }
}

impl StoreConnection {
    /// Returns whether the next request connects again.
    fn is_replaceable(&self) -> bool {
        let is_over = self.replaced_at.is_none_or(|at| at.elapsed() >= PAUSE);
        self.is_lost() || (is_over && self.is_to_replica.load(Ordering::Acquire))
    }

    /// Returns whether the connection was lost, or has no response to a request of 5 s ago.
    fn is_lost(&self) -> bool {
        let waiting_since = *self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_lost.load(Ordering::Acquire) || waiting_since.is_some_and(|since| since.elapsed() >= RESPONSE_TIMEOUT)
    }

    fn begin_request(&self) {
        let mut waiting_since = self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner);
        waiting_since.get_or_insert_with(Instant::now);
    }

    fn check<T>(&self, result: RedisResult<T>) -> RedisResult<T> {
        let is_to_replica = result.as_ref().is_err_and(is_of_replica);
        if is_to_replica {
            self.is_to_replica.store(true, Ordering::Release);
        }
        if !is_to_replica && result.as_ref().is_err_and(is_lost) {
            self.is_lost.store(true, Ordering::Release);
        } else {
            *self.waiting_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        result
    }
}

/// Returns whether another connection may succeed: this one was lost, does not respond, or leads to a server that has become
/// a replica.
pub(crate) fn is_lost(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error() || is_of_replica(error)
}

fn is_of_replica(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Server(ServerErrorKind::ReadOnly | ServerErrorKind::MasterDown)
    )
}

/// Makes a request, and repeats it once if its connection is lost. A repetition after a failed attempt to connect receives the
/// error of that attempt.
async fn repeated<T>(request: impl AsyncFn() -> RedisResult<T>) -> RedisResult<T> {
    match request().await {
        Err(error) if is_lost(&error) => request().await,
        result => result,
    }
}

/// The lifetime of a value. Zero is an error for the server.
fn millis(lifetime: Duration) -> u64 {
    let millis = lifetime.min(Value::LONGEST_LIFETIME).as_millis();
    u64::try_from(millis.max(1)).unwrap_or(u64::MAX)
}

impl Store for RedisStore {
    type Error = RedisError;

    async fn get(&self, key: &[u8]) -> RedisResult<Option<Bytes>> {
        let mut command = redis::cmd("GET");
        command.arg(self.key(key));
        let found: Option<Vec<u8>> = repeated(async || self.query(&command).await).await?;
        Ok(found.map(Bytes::from))
    }

    async fn replace(&self, key: &[u8], expected: Option<&[u8]>, value: Option<Value<'_>>) -> RedisResult<bool> {
        let Some(expected) = expected else {
            let Some(value) = value else {
                return Ok(self.get(key).await?.is_none());
            };
            let mut command = redis::cmd("SET");
            command
                .arg(self.key(key))
                .arg(value.bytes)
                .arg("NX")
                .arg("PX")
                .arg(millis(value.lifetime));
            let set: Option<String> = self.query(&command).await?;
            return Ok(set.is_some());
        };
        let mut script = self.0.replace.key(self.key(key));
        script.arg(expected);
        if let Some(value) = value {
            script.arg(value.bytes).arg(millis(value.lifetime));
        }
        self.call(&script).await
    }

    async fn insert(&self, key: &[u8], value: Value<'_>) -> RedisResult<Option<Bytes>> {
        let mut command = redis::cmd("SET");
        command.arg(self.key(key)).arg(value.bytes).arg("NX").arg("GET");
        command.arg("PX").arg(millis(value.lifetime));
        let found: Option<Vec<u8>> = self.query(&command).await?;
        Ok(found.map(Bytes::from))
    }

    async fn take(&self, key: &[u8], budget: Budget) -> RedisResult<Taken> {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let mut script = self.0.take.key(self.key(key));
        script.arg(micros(budget.interval())).arg(micros(budget.tolerance()));
        script.arg(micros(budget.longest_lead()));
        let ahead: String = repeated(async || self.call(&script).await).await?;
        let micros = ahead.parse().unwrap_or(u64::MAX);
        Ok(budget.taken(Duration::from_micros(micros)))
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.0.prefix)
            .finish_non_exhaustive()
    }
}
