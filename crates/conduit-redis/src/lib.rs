#![forbid(unsafe_code)]
//! Topics, runs, sessions, rate limits and idempotency keys in Redis (7.0 or newer) or Valkey, for a service of several processes.
//!
//! - [`RedisEngine`] carries the messages and members of a [`Hub`](conduit::hub::Hub), and the updates of
//!   [`Runs`](conduit::runs::Runs), between processes.
//! - [`RedisStore`] is a [`Store`](conduit::layer::Store): for `RateLimit`, `Idempotency` and `Sessions`.
//! - [`Engines::from_env`] selects Redis or the memory of the process by `CONDUIT_REDIS_URL`.
//!
//! # Example
//!
//! A room that works in one process without Redis, and in several with it:
//!
//! ```
//! use conduit::hub::{Access, Hub, HubConfig, TopicFamily};
//! use conduit::prelude::*;
//! use conduit_redis::Engines;
//!
//! struct Room;
//!
//! impl TopicFamily for Room {
//!     const NAME: &'static str = "room";
//!     type Message = String;
//!     type Client = ();
//!
//!     async fn authorize(_: &(), _: &str) -> Result<Access, Problem> {
//!         Ok(Access::PublishAndSubscribe)
//!     }
//! }
//!
//! #[post("/{room}")]
//! async fn write(room: Path<String>, hub: State<Hub>, text: String) -> Result<NoContent, Problem> {
//!     hub.authorize::<Room>(&(), &room).await?.publish(&text).await?;
//!     Ok(NoContent)
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = Engines::from_env()?.hub(HubConfig::default());
//! let app = App::new(hub).routes(routes![write, conduit::health::readyz]);
//! # Ok(())
//! # }
//! ```
//!
//! # Configuration of the server
//!
//! `maxmemory-policy noeviction`: an evicted key is a lost history, session or budget. With `appendonly yes`, these survive a
//! restart of the server. A Redis Cluster is not supported: one script uses the keys of several topics, and hash tags that put
//! them together would put all on one node.
//!
//! # TLS
//!
//! The feature `tls` is for URLs such as `rediss://cache.internal:6379/0`: the certificate of the server is checked against the
//! authorities of the system, or those of `with_authorities`.

mod config;
mod engine;
mod engines;
mod received;
mod scripts;
mod session;
mod store;
#[cfg(feature = "tls")]
mod tls;

pub use config::RedisEngineConfig;
pub use engine::RedisEngine;
pub use engines::{Engines, EnginesError, EnvStore, StoreError};
pub use store::RedisStore;
#[cfg(feature = "tls")]
pub use tls::with_authorities;

/// The chapter of the guide, which is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/machines.md")]
struct Guide;

/// The page of the package, which is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
