#![forbid(unsafe_code)]
//! A [`Store`] in SQLite: sessions, rate limits and idempotency keys that survive a restart, and that processes of one machine
//! share.
//!
//! # Example
//!
//! Sessions, a rate limit and idempotency keys in one file:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use conduit::layer::{Idempotency, RateLimit};
//! use conduit::prelude::*;
//! use conduit::session::{Session, Sessions};
//! use conduit_sqlite::SqliteStore;
//!
//! #[derive(Default, serde::Serialize, serde::Deserialize)]
//! struct Visitor {
//!     visits: u32,
//! }
//!
//! #[post("/visits")]
//! async fn visit(mut session: Session<Visitor>) -> Result<String, Problem> {
//!     let visits = session.update(|visitor| {
//!         visitor.visits += 1;
//!         visitor.visits
//!     });
//!     Ok(format!("visit {}", visits.await?))
//! }
//!
//! fn main() -> conduit::Result {
//!     // The layers exist before the workers, so the store opens the file at the first request of each worker.
//!     let store = SqliteStore::per_worker("store.db");
//!     let limit = RateLimit::new(100, Duration::from_secs(60)).store(store.clone());
//!     let keys = Idempotency::new().store(store.clone());
//!     let open = move || {
//!         let store = store.clone();
//!         async move {
//!             // A file that cannot be opened ends the program at its start.
//!             store.create_table().await?;
//!             Ok::<_, sqlx::Error>(Sessions::new(store))
//!         }
//!     };
//!     App::open_per_worker(open).routes(routes![visit]).layer(keys).layer(limit).run()
//! }
//! ```

mod pools;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use conduit::layer::{Budget, Store, Taken, Value};
use pools::Pools;
use sqlx::sqlite::SqlitePool;

/// The README, which is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The maximum number of expired values that an insertion removes.
const REMOVED_AT_ONCE: i64 = 16;

/// The value of a budget is its arrival time in microseconds since 1970, in decimal digits. Parameters: the key, and the
/// interval, the tolerance and the longest lead of the budget. Returns the time by which the request is ahead; no row if the
/// budget is exhausted. The time is that after the wait for the lock, in whole milliseconds.
const TAKE: &str = "
    INSERT INTO conduit_store (key, value, until_millis)
    SELECT ?1, CAST(CAST(next AS TEXT) AS BLOB), next / 1000 + 2 FROM (
        SELECT now, iif(arrival > now + ?4, now + ?3 - ?2, max(arrival, now)) + ?2 AS next FROM (
            SELECT CAST(unixepoch('subsec') * 1000000 AS INTEGER) AS now,
                coalesce(max(CAST(CAST(value AS TEXT) AS INTEGER)), 0) AS arrival FROM conduit_store WHERE key = ?1
        )
    )
    WHERE next <= now + ?3
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, until_millis = excluded.until_millis
    RETURNING CAST(CAST(value AS TEXT) AS INTEGER) - CAST(unixepoch('subsec') * 1000000 AS INTEGER)";

/// Values in the table `conduit_store` of a SQLite database, which may have other tables. Clones use the same connections.
///
/// Each change is one statement, so it is atomic among all processes that use the file. A request to an exhausted budget only reads.
/// Insertions remove expired values a few at a time. The size is not bounded: it is that of the live values. Lifetimes
/// use the system clock.
///
/// An operation waits for up to 6 s for a connection, and for up to 5 s while another connection writes. Then it fails: `RateLimit`
/// accepts the request, and `Idempotency` and sessions respond with a 503.
#[derive(Clone, Debug)]
pub struct SqliteStore(Source);

#[derive(Clone, Debug)]
enum Source {
    Open(Pools),
    PerWorker {
        /// Identifies the store on each thread.
        number: u64,
        path: Arc<Path>,
    },
}

impl SqliteStore {
    /// Opens a file, or creates it, with a write-ahead log, one connection for writing and up to two that only read: a read does
    /// not wait for a write of another process. Clones on other workers use these connections, too.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or is not a database.
    pub async fn open(path: impl AsRef<Path>) -> sqlx::Result<Self> {
        Ok(SqliteStore(Source::Open(Pools::open(path.as_ref()).await?)))
    }

    /// Opens a file as [`open`](Self::open) does, with separate connections on each worker, at the first request there. The store
    /// can be made before the application runs, and so be passed to a layer.
    pub fn per_worker(path: impl AsRef<Path>) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        SqliteStore(Source::PerWorker {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            path: Arc::from(path.as_ref()),
        })
    }

    /// Uses the connections of a pool to a writable database, and creates the table if it is missing. The runtime that awaits this
    /// function must continue to run: sqlx returns the connection to the pool in a task of it.
    ///
    /// # Errors
    ///
    /// Returns an error if the table cannot be created.
    pub async fn new(pool: SqlitePool) -> sqlx::Result<Self> {
        Ok(SqliteStore(Source::Open(Pools::new(pool).await?)))
    }

    /// Opens the file of a store that [`per_worker`](Self::per_worker) has made on this worker, which creates the file and the
    /// table if they are missing. An application that calls it where it opens its state ends at its start if the file cannot be
    /// opened; otherwise requests fail. It has no effect on an open store.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or is not a database.
    pub async fn create_table(&self) -> sqlx::Result<()> {
        self.pools().await.map(drop)
    }

    async fn pools(&self) -> sqlx::Result<Pools> {
        match &self.0 {
            Source::Open(pools) => Ok(pools.clone()),
            Source::PerWorker { number, path } => Pools::of_this_thread(*number, path).await,
        }
    }

    async fn writer(&self) -> sqlx::Result<SqlitePool> {
        Ok(self.pools().await?.writer)
    }

    async fn insert(&self, key: &[u8], value: Value<'_>, now: i64) -> sqlx::Result<u64> {
        // An expired row counts as absent.
        let insert = sqlx::query(
            "INSERT INTO conduit_store (key, value, until_millis) VALUES (?1, ?2, ?3)
            ON CONFLICT (key) DO UPDATE SET value = excluded.value, until_millis = excluded.until_millis
            WHERE until_millis <= ?4",
        );
        let insert = insert.bind(key).bind(value.bytes).bind(until(now, value)).bind(now);
        let inserted = insert.execute(&self.writer().await?).await?.rows_affected();
        self.remove_expired(now).await;
        Ok(inserted)
    }

    /// Removes a few expired values. A failure is logged only: later insertions remove the same rows.
    async fn remove_expired(&self, now: i64) {
        let remove = sqlx::query(
            "DELETE FROM conduit_store WHERE key IN
            (SELECT key FROM conduit_store WHERE until_millis <= ?1 ORDER BY until_millis LIMIT ?2)",
        );
        let remove = remove.bind(now).bind(REMOVED_AT_ONCE);
        let removed = async { remove.execute(&self.writer().await?).await };
        if let Err(error) = removed.await {
            tracing::warn!(%error, "cannot remove expired values from `conduit_store`; the next insertion tries again");
        }
    }

    async fn update(&self, key: &[u8], expected: &[u8], value: Value<'_>, now: i64) -> sqlx::Result<u64> {
        let update = sqlx::query(
            "UPDATE conduit_store SET value = ?3, until_millis = ?4 WHERE key = ?1 AND value = ?2 AND until_millis > ?5",
        );
        let update = update
            .bind(key)
            .bind(expected)
            .bind(value.bytes)
            .bind(until(now, value))
            .bind(now);
        Ok(update.execute(&self.writer().await?).await?.rows_affected())
    }

    async fn delete(&self, key: &[u8], expected: &[u8], now: i64) -> sqlx::Result<u64> {
        let delete = sqlx::query("DELETE FROM conduit_store WHERE key = ?1 AND value = ?2 AND until_millis > ?3");
        let delete = delete.bind(key).bind(expected).bind(now);
        Ok(delete.execute(&self.writer().await?).await?.rows_affected())
    }
}

impl Store for SqliteStore {
    type Error = sqlx::Error;

    async fn get(&self, key: &[u8]) -> sqlx::Result<Option<Bytes>> {
        let readers = self.pools().await?.readers;
        let find = sqlx::query_scalar("SELECT value FROM conduit_store WHERE key = ?1 AND until_millis > ?2");
        let value: Option<Vec<u8>> = find.bind(key).bind(now()).fetch_optional(&readers).await?;
        Ok(value.map(Bytes::from))
    }

    async fn replace(&self, key: &[u8], expected: Option<&[u8]>, value: Option<Value<'_>>) -> sqlx::Result<bool> {
        let now = now();
        let changed = match (expected, value) {
            (None, Some(value)) => self.insert(key, value, now).await?,
            (Some(expected), Some(value)) => self.update(key, expected, value, now).await?,
            (Some(expected), None) => self.delete(key, expected, now).await?,
            (None, None) => return Ok(self.get(key).await?.is_none()),
        };
        Ok(changed == 1)
    }

    async fn take(&self, key: &[u8], budget: Budget) -> sqlx::Result<Taken> {
        let stored = self.get(key).await?;
        let arrival = stored
            .as_deref()
            .and_then(|value| str::from_utf8(value).ok()?.parse().ok());
        let [interval, tolerance, lead] = [budget.interval(), budget.tolerance(), budget.longest_lead()].map(micros);
        let now = micros(since_epoch());
        // The arrival time of an exhausted budget needs no change.
        if let Some(arrival) = arrival
            && (now + tolerance - interval + 1..=now + lead).contains(&arrival)
        {
            return Ok(budget.taken(ahead(arrival - now + interval)));
        }
        let take = sqlx::query_scalar(TAKE).bind(key);
        let take = take.bind(interval).bind(tolerance).bind(lead);
        let taken: Vec<i64> = take.fetch_all(&self.writer().await?).await?;
        if stored.is_none() {
            self.remove_expired(now / 1000).await;
        }
        // Other requests have exhausted the budget since the read.
        Ok(budget.taken(ahead(taken.first().copied().unwrap_or(tolerance + interval))))
    }
}

/// The end of a value's lifetime.
fn until(now: i64, value: Value<'_>) -> i64 {
    let lifetime = value.lifetime.min(Value::LONGEST_LIFETIME);
    now.saturating_add(i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX))
}

/// The time in milliseconds since 1970.
fn now() -> i64 {
    i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX)
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Times and the lengths of a budget, whose sums fit in 64 bits.
fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

fn ahead(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}
