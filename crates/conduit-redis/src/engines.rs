//! The choice between Redis and the memory of the process.

use std::env::{self, VarError};
use std::fmt;

use bytes::Bytes;
use conduit::hub::{Hub, HubConfig};
use conduit::layer::{Budget, MemoryStore, Store, StoreFull, Taken, Value};
use redis::{Client, RedisError};

use crate::{RedisEngine, RedisStore};

/// The variable with the URL.
const REDIS_URL: &str = "CONDUIT_REDIS_URL";

/// The engines that the environment selects: those in Redis with `CONDUIT_REDIS_URL`, such as `redis://127.0.0.1:6379/0`, and
/// otherwise those in the memory of the process.
#[derive(Clone, Debug)]
pub struct Engines(Option<Client>);

impl Engines {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// When `CONDUIT_REDIS_URL` is no URL of a server.
    pub fn from_env() -> Result<Self, EnginesError> {
        let url = match env::var(REDIS_URL) {
            Ok(url) => url,
            Err(VarError::NotPresent) => return Ok(Engines(None)),
            Err(VarError::NotUnicode(_)) => return Err(EnginesError("the value is not UTF-8".to_owned())),
        };
        match Client::open(url) {
            Ok(client) => Ok(Engines(Some(client))),
            Err(error) => Err(EnginesError(error.to_string())),
        }
    }

    /// Returns whether the engines are in Redis.
    pub fn are_shared(&self) -> bool {
        self.0.is_some()
    }

    /// A hub with these bounds.
    pub fn hub(&self, config: HubConfig) -> Hub {
        let engine = self
            .0
            .as_ref()
            .map(|client| RedisEngine::new(client.get_connection_info().clone()));
        match engine {
            Some(Ok(engine)) => Hub::with_engine(config, engine),
            // A client was made of the same address.
            Some(Err(_)) | None => Hub::with(config),
        }
    }

    /// A store, for the method `store` of layers and for `Sessions::new`. Clones share it; in memory, each call makes another.
    pub fn store(&self) -> EnvStore {
        EnvStore(match &self.0 {
            Some(client) => StoreChoice::Redis(RedisStore::of(client.clone())),
            None => StoreChoice::Memory(MemoryStore::default()),
        })
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
