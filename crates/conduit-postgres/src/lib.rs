#![forbid(unsafe_code)]
//! A [`Store`](conduit::layer::Store) in PostgreSQL (12 or newer): sessions, rate limits and idempotency keys that survive a
//! restart, and that the processes of several machines share.
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

mod statements;
mod store;

pub use store::PostgresStore;

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
