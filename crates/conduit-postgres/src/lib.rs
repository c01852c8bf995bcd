#![forbid(unsafe_code)]
//! Topics, sessions, rate limits and idempotency keys in PostgreSQL (12 or newer), for a service of several processes.
//!
//! - [`PostgresEngine`] carries the messages and members of a [`Hub`](conduit::hub::Hub), and the updates of
//!   [`Runs`](conduit::runs::Runs), between processes.
//! - [`PostgresStore`] is a [`Store`](conduit::layer::Store): for `RateLimit`, `Idempotency` and `Sessions`.
//!
//! # Example
//!
//! Sessions and a rate limit with one store:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use conduit::layer::RateLimit;
//! use conduit::prelude::*;
//! use conduit::session::{Session, Sessions};
//! use conduit_postgres::PostgresStore;
//! use sqlx::postgres::PgPoolOptions;
//!
//! #[derive(Default, serde::Serialize, serde::Deserialize)]
//! struct Visitor {
//!     visits: u32,
//! }
//!
//! #[get("/")]
//! async fn home(mut session: Session<Visitor>) -> Result<String, Problem> {
//!     let visits = session.update(|visitor| {
//!         visitor.visits += 1;
//!         visitor.visits
//!     });
//!     Ok(format!("visit {}", visits.await?))
//! }
//!
//! fn main() -> conduit::Result {
//!     let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
//!     let pool = PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(5));
//!     let store = PostgresStore::per_worker(pool, url.parse()?);
//!     let limit = RateLimit::new(100, Duration::from_secs(60)).store(store.clone());
//!     let open = move || {
//!         let store = store.clone();
//!         async move {
//!             store.create_table().await?;
//!             Ok::<_, sqlx::Error>(Sessions::new(store))
//!         }
//!     };
//!     App::open_per_worker(open).routes(routes![home]).layer(limit).run()
//! }
//! ```

mod engine;
mod notices;
mod session;
mod statements;
mod store;
mod topics;

pub use engine::PostgresEngine;
pub use store::{PostgresStore, PostgresStoreTransaction};

/// The SQL of the tables of topics, for a migration.
///
/// ```sql
#[doc = include_str!("topics.sql")]
/// ```
pub const CREATE_TOPIC_TABLES: &str = include_str!("topics.sql");

/// The SQL of the table `conduit_store` and its index, for a migration.
///
/// ```sql
#[doc = include_str!("table.sql")]
/// ```
pub const CREATE_TABLE: &str = include_str!("table.sql");

/// The page of the guide, which is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/postgresql.md")]
struct Guide;

/// The README, which is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
