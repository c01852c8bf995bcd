#![forbid(unsafe_code)]
//! A [`Store`] in SQLite: sessions, rate limits and idempotency keys that survive a restart, and that processes of one machine
//! share.
//!
//! # Example
//!
//! Sessions in a file:
//!
//! ```no_run
//! use conduit::prelude::*;
//! use conduit::session::{Session, Sessions};
//! use conduit_sqlite::SqliteStore;
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
//!     let open = || async {
//!         let store = SqliteStore::open("sessions.db").await?;
//!         Ok::<_, sqlx::Error>(Sessions::new(store))
//!     };
//!     App::open_per_worker(open).routes(routes![home]).run()
//! }
//! ```

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use conduit::layer::{Budget, Store, Taken, Value};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

/// The README, which is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The time that a statement waits while another connection writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The pause between two attempts to open a file that is locked.
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// The number of connections that only read. Each read is short.
const READERS: u32 = 2;

/// The maximum number of expired values that an insertion removes.
const REMOVED_AT_ONCE: i64 = 16;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS conduit_store (
        key BLOB PRIMARY KEY,
        value BLOB NOT NULL,
        until_millis INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS conduit_store_by_end ON conduit_store (until_millis)";

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
#[derive(Clone, Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteStore {
    /// Opens a file, or creates it, with a write-ahead log, one connection for writing and up to two that only read: a read does
    /// not wait for a write of another process.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be opened or is not a database.
    pub async fn open(path: impl AsRef<Path>) -> sqlx::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Normal)
            .busy_timeout(BUSY_TIMEOUT);
        // While several workers change the mode of a new file, SQLite rejects some of them without waiting for the lock.
        let begin = Instant::now();
        loop {
            let opened = Self::connect(options.clone()).await;
            if !opened.as_ref().is_err_and(is_busy) || begin.elapsed() >= BUSY_TIMEOUT {
                return opened;
            }
            tokio::time::sleep(OPEN_PAUSE).await;
        }
    }

    async fn connect(options: SqliteConnectOptions) -> sqlx::Result<Self> {
        // SQLite has one writer at a time.
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_lazy_with(options.read_only(true).create_if_missing(false));
        let store = SqliteStore::new(writer).await?;
        Ok(SqliteStore { readers, ..store })
    }

    /// Uses the connections of a pool to a writable database, and creates the table if it is missing.
    ///
    /// # Errors
    ///
    /// Returns an error if the table cannot be created.
    pub async fn new(pool: SqlitePool) -> sqlx::Result<Self> {
        sqlx::raw_sql(TABLE).execute(&pool).await?;
        Ok(SqliteStore {
            readers: pool.clone(),
            writer: pool,
        })
    }

    async fn insert(&self, key: &[u8], value: Value<'_>, now: i64) -> sqlx::Result<u64> {
        // An expired row counts as absent.
        let insert = sqlx::query(
            "INSERT INTO conduit_store (key, value, until_millis) VALUES (?1, ?2, ?3)
            ON CONFLICT (key) DO UPDATE SET value = excluded.value, until_millis = excluded.until_millis
            WHERE until_millis <= ?4",
        );
        let insert = insert.bind(key).bind(value.bytes).bind(until(now, value)).bind(now);
        let inserted = insert.execute(&self.writer).await?.rows_affected();
        self.remove_expired(now).await;
        Ok(inserted)
    }

    /// Removes a few expired values. A failure is logged only: later insertions remove the same rows.
    async fn remove_expired(&self, now: i64) {
        let remove = sqlx::query(
            "DELETE FROM conduit_store WHERE key IN
            (SELECT key FROM conduit_store WHERE until_millis <= ?1 ORDER BY until_millis LIMIT ?2)",
        );
        if let Err(error) = remove.bind(now).bind(REMOVED_AT_ONCE).execute(&self.writer).await {
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
        Ok(update.execute(&self.writer).await?.rows_affected())
    }

    async fn delete(&self, key: &[u8], expected: &[u8], now: i64) -> sqlx::Result<u64> {
        let delete = sqlx::query("DELETE FROM conduit_store WHERE key = ?1 AND value = ?2 AND until_millis > ?3");
        let delete = delete.bind(key).bind(expected).bind(now);
        Ok(delete.execute(&self.writer).await?.rows_affected())
    }
}

impl Store for SqliteStore {
    type Error = sqlx::Error;

    async fn get(&self, key: &[u8]) -> sqlx::Result<Option<Bytes>> {
        let find = sqlx::query_scalar("SELECT value FROM conduit_store WHERE key = ?1 AND until_millis > ?2");
        let value: Option<Vec<u8>> = find.bind(key).bind(now()).fetch_optional(&self.readers).await?;
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
        let taken: Vec<i64> = take.fetch_all(&self.writer).await?;
        if stored.is_none() {
            self.remove_expired(now / 1000).await;
        }
        // Other requests have exhausted the budget since the read.
        Ok(budget.taken(ahead(taken.first().copied().unwrap_or(tolerance + interval))))
    }
}

/// Returns whether another connection has the lock: SQLITE_BUSY, whose variants have it in the lowest byte.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| code & 0xff == 5)
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
