//! The choice between Redis and the memory of the process.

use std::env::{self, VarError};
use std::fmt;

use bytes::Bytes;
use conduit::hub::{Hub, HubConfig};
use conduit::layer::{Budget, MemoryStore, Store, StoreFull, Taken, Value};
use conduit::runs::{Runs, RunsConfig};
use redis::{Client, IntoConnectionInfo, RedisError, RedisResult};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{RedisEngine, RedisEngineConfig, RedisStore};

/// The variable with the URL.
const REDIS_URL: &str = "CONDUIT_REDIS_URL";

/// The engines that the environment selects: those in Redis with `CONDUIT_REDIS_URL`, such as `redis://127.0.0.1:6379/0`, and
/// otherwise those in the memory of the process.
#[derive(Clone, Debug)]
pub struct Engines {
    clients: Option<Clients>,
    prefix: String,
}

/// The clients of one server.
#[derive(Clone, Debug)]
struct Clients {
    topics: Client,
    store: Client,
}

impl Engines {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// Returns an error if `CONDUIT_REDIS_URL` is not the URL of a Redis server.
    pub fn from_env() -> Result<Self, EnginesError> {
        match env::var(REDIS_URL) {
            Ok(url) => Engines::at(url).map_err(|error| EnginesError(error.to_string())),
            Err(VarError::NotPresent) => Ok(Engines::of(None)),
            Err(VarError::NotUnicode(_)) => Err(EnginesError("the value is not UTF-8".to_owned())),
        }
    }

    /// The engines in Redis at this URL.
    ///
    /// # Errors
    ///
    /// Returns an error if the URL is malformed. The engines connect later.
    pub fn at(url: impl IntoConnectionInfo) -> RedisResult<Self> {
        let info = url.into_connection_info()?;
        Ok(Engines::of(Some(Clients {
            store: RedisStore::client(info.clone())?,
            topics: Client::open(info)?,
        })))
    }

    fn of(clients: Option<Clients>) -> Self {
        let RedisEngineConfig { prefix, .. } = RedisEngineConfig::default();
        Engines { clients, prefix }
    }

    /// Sets the prefix of all keys. Services that share a server need different prefixes. Default: `conduit`.
    pub fn prefix(mut self, prefix: &str) -> Self {
        prefix.clone_into(&mut self.prefix);
        self
    }

    /// Returns whether the engines are in Redis.
    pub fn are_shared(&self) -> bool {
        self.clients.is_some()
    }

    /// A hub with these bounds.
    pub fn hub(&self, config: HubConfig) -> Hub {
        match self.engine() {
            Some(engine) => Hub::with_engine(config, engine),
            None => Hub::with(config),
        }
    }

    /// Runs with these bounds. With Redis, their clients may use any process.
    pub fn runs<P: Serialize + DeserializeOwned + 'static>(&self, config: RunsConfig) -> Runs<P> {
        match self.engine() {
            Some(engine) => Runs::with_engine(config, engine),
            None => Runs::with(config),
        }
    }

    /// A store, for the method `store` of layers and for `Sessions::new`. Clones share it. Without Redis, each call creates a
    /// separate store in memory.
    pub fn store(&self) -> EnvStore {
        EnvStore(match &self.clients {
            Some(clients) => StoreChoice::Redis(RedisStore::of(clients.store.clone(), &self.prefix)),
            None => StoreChoice::Memory(MemoryStore::default()),
        })
    }

    fn engine(&self) -> Option<RedisEngine> {
        let config = RedisEngineConfig {
            prefix: self.prefix.clone(),
            ..RedisEngineConfig::default()
        };
        let clients = self.clients.as_ref()?;
        Some(RedisEngine::of(clients.topics.clone(), config))
    }
}

/// An unusable `CONDUIT_REDIS_URL`. The message does not contain the value, which may have a password.
#[derive(Clone, Debug)]
pub struct EnginesError(String);

impl fmt::Display for EnginesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "invalid {REDIS_URL}: expected a URL such as `redis://127.0.0.1:6379/0`: {}",
            self.0
        )
    }
}

impl std::error::Error for EnginesError {}

/// The store of [`Engines`].
#[derive(Clone, Debug)]
pub struct EnvStore(StoreChoice);

#[derive(Clone, Debug)]
enum StoreChoice {
    Memory(MemoryStore),
    Redis(RedisStore),
}

/// The error of an [`EnvStore`].
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The store in memory has no room.
    Memory(StoreFull),
    /// Redis does not respond, or has no room.
    Redis(RedisError),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Memory(error) => error.fmt(f),
            StoreError::Redis(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StoreError {}

/// Calls a method of the chosen store.
macro_rules! each {
    ($store:expr, $chosen:ident => $call:expr) => {
        match &$store.0 {
            StoreChoice::Memory($chosen) => $call.await.map_err(StoreError::Memory),
            StoreChoice::Redis($chosen) => $call.await.map_err(StoreError::Redis),
        }
    };
}

impl Store for EnvStore {
    type Error = StoreError;

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        each!(self, store => store.get(key))
    }

    async fn replace(&self, key: &[u8], expected: Option<&[u8]>, value: Option<Value<'_>>) -> Result<bool, StoreError> {
        each!(self, store => store.replace(key, expected, value))
    }

    async fn insert(&self, key: &[u8], value: Value<'_>) -> Result<Option<Bytes>, StoreError> {
        each!(self, store => store.insert(key, value))
    }

    async fn take(&self, key: &[u8], budget: Budget) -> Result<Taken, StoreError> {
        each!(self, store => store.take(key, budget))
    }
}
