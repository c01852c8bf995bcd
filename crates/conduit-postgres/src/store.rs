//! The store.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use conduit::layer::{Budget, Store, StoreTransaction, Taken, Value};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{PgConnection, PgPool, Postgres};

use crate::statements::{self, REMOVED_AT_ONCE};

type Connection = sqlx::pool::PoolConnection<Postgres>;

/// The interval in which a store removes rows that have expired.
const REMOVAL_INTERVAL: Duration = Duration::from_secs(10);

/// The lock of the transactions that create tables.
pub(crate) const CREATION_LOCK: &str = "SELECT pg_advisory_xact_lock(8026664177);";

/// Values in the table `conduit_store` of a PostgreSQL database, found by the `search_path` of the connections. Services that
/// share a database use a schema each. Clones share the connections.
///
/// Each operation is one statement, so it is atomic among all processes that use the table; an insertion is repeated if
/// another request sets the same key meanwhile. The clock of the server ends the lifetimes. A request to an exhausted budget
/// only reads.
///
/// Every ten seconds, a request that adds a value removes up to 1,000 rows of past hours; each further one does so while more
/// remain. The size is not bounded: it is that of the live values, and of those that have ended within this hour.
///
/// Use a pool for the store alone: a handler that holds a connection while its session waits for another one of the same pool
/// deadlocks once the pool is exhausted. The transactions of the pool are `READ COMMITTED`, the default of PostgreSQL.
#[derive(Clone)]
pub struct PostgresStore(Arc<StoreState>);

struct StoreState {
    pool: Pool,
    begin: Instant,
    /// The time of the next removal of rows, in milliseconds since the creation of the store.
    next_removal: AtomicU64,
}

enum Pool {
    Open(PgPool),
    PerWorker {
        /// Identifies the store on each thread.
        number: u64,
        pool: PgPoolOptions,
        connection: Box<PgConnectOptions>,
    },
}

thread_local! {
    static POOLS: RefCell<HashMap<u64, PgPool>> = RefCell::default();
}

/// The creation of an index that exists would wait for each transaction that has written the table, and other writers for it.
const TABLE_EXISTS: &str =
    "SELECT to_regclass('conduit_store') IS NOT NULL AND to_regclass('conduit_store_by_expiry') IS NOT NULL";

impl PostgresStore {
    /// Uses the connections of a pool, which is open.
    pub fn new(pool: PgPool) -> Self {
        PostgresStore::of(Pool::Open(pool))
    }

    /// Opens a pool with these options on each worker, at the first request there. The store can be made before the application
    /// runs, and so be passed to a layer.
    ///
    /// A short `acquire_timeout` ends requests soon while the server is unavailable; the default of sqlx is 30 s.
    pub fn per_worker(pool: PgPoolOptions, connection: PgConnectOptions) -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        PostgresStore::of(Pool::PerWorker {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            pool,
            connection: Box::new(connection),
        })
    }

    fn of(pool: Pool) -> Self {
        PostgresStore(Arc::new(StoreState {
            pool,
            begin: Instant::now(),
            next_removal: AtomicU64::new(0),
        }))
    }

    /// Creates the table by [`CREATE_TABLE`](crate::CREATE_TABLE) if it is missing. Several processes can do so at once. An
    /// application whose role cannot create tables runs this SQL in a migration instead. A table that exists is not locked, so
    /// the call does not wait for open transactions.
    ///
    /// # Errors
    ///
    /// Returns an error if the table cannot be created.
    pub async fn create_table(&self) -> sqlx::Result<()> {
        let mut connection = self.connection().await?;
        let exists: bool = sqlx::query_scalar(TABLE_EXISTS).fetch_one(&mut *connection).await?;
        if exists {
            return Ok(());
        }
        // The statements of one text are one transaction. Without the lock, concurrent creations of one table can fail.
        let sql = format!("{CREATION_LOCK} {}", crate::CREATE_TABLE);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut *connection)
            .await?;
        Ok(())
    }

    /// Sets the value of a key that has none, in a transaction of the caller: the key is set if the transaction commits. Returns
    /// `None` then, and otherwise the value that the key has. Another transaction that sets the same key waits for the end of
    /// this one. So a message that arrives twice is processed once, together with its effects.
    ///
    /// The transaction is `READ COMMITTED`; its connection finds the table by its `search_path`. A key has at most 2,600 bytes,
    /// because PostgreSQL rejects longer ones in a primary key unless they compress: bound a key that has input of a client, or
    /// hash it.
    ///
    /// # Errors
    ///
    /// Returns an error if the statement fails, or if the key is too long.
    ///
    /// # Example
    ///
    /// A webhook whose sender repeats its calls:
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use conduit::layer::Value;
    /// use conduit::prelude::*;
    /// use conduit_postgres::PostgresStore;
    /// use sqlx::PgPool;
    ///
    /// #[post("/payments/{event}")]
    /// async fn payment(event: Path<String>, pool: State<PgPool>) -> Result<NoContent, Problem> {
    ///     if event.len() > 200 {
    ///         return Err(Problem::bad_request("an event has an id of at most 200 bytes"));
    ///     }
    ///     let mut transaction = pool.begin().await?;
    ///     let processed = Value {
    ///         bytes: b"processed",
    ///         lifetime: Duration::from_secs(30 * 24 * 3600),
    ///         account: "",
    ///         is_pinned: true,
    ///     };
    ///     let key = format!("payment {}", *event);
    ///     let earlier = PostgresStore::insert_in(&mut transaction, key.as_bytes(), processed).await?;
    ///     if earlier.is_some() {
    ///         return Ok(NoContent);
    ///     }
    ///     sqlx::query("UPDATE balance SET payments = payments + 1").execute(&mut *transaction).await?;
    ///     transaction.commit().await?;
    ///     Ok(NoContent)
    /// }
    /// ```
    pub async fn insert_in(connection: &mut PgConnection, key: &[u8], value: Value<'_>) -> sqlx::Result<Option<Bytes>> {
        statements::insert(connection, key, value).await
    }

    /// The values of the table in a transaction of the caller, for
    /// [`IdempotencyKey::complete_in`](conduit::layer::IdempotencyKey::complete_in) and `Session::update_in`: they change when it
    /// commits, together with its other effects.
    ///
    /// The transaction is `READ COMMITTED`; its connection finds the table by its `search_path`. A change waits for another
    /// transaction that has changed the same value, for at most the `lock_timeout` of the connection, or 5 s if it has none, for
    /// each lock; then it fails. A change takes up to two locks while several transactions wait.
    ///
    /// # Example
    ///
    /// A payment that is made once, also if the process ends at any moment:
    ///
    /// ```
    /// use conduit::layer::{Idempotency, IdempotencyKey};
    /// use conduit::prelude::*;
    /// use conduit_postgres::PostgresStore;
    /// use sqlx::PgPool;
    ///
    /// #[post("/payments")]
    /// async fn pay(key: IdempotencyKey, pool: State<PgPool>) -> Result<Response, Problem> {
    ///     let mut transaction = pool.begin().await?;
    ///     sqlx::query("UPDATE balance SET payments = payments + 1").execute(&mut *transaction).await?;
    ///     let response = key.complete_in(&mut PostgresStore::within(&mut transaction), "paid").await?;
    ///     transaction.commit().await?;
    ///     Ok(response)
    /// }
    /// ```
    pub fn within(connection: &mut PgConnection) -> PostgresStoreTransaction<'_> {
        PostgresStoreTransaction(connection)
    }

    async fn connection(&self) -> sqlx::Result<Connection> {
        match &self.0.pool {
            Pool::Open(pool) => pool.acquire().await,
            Pool::PerWorker {
                number,
                pool,
                connection,
            } => {
                let open = || pool.clone().connect_lazy_with((**connection).clone());
                let pool = POOLS.with_borrow_mut(|pools| pools.entry(*number).or_insert_with(open).clone());
                pool.acquire().await
            }
        }
    }

    /// Removes rows that have expired, if it is time. An error is logged only: later requests remove the same rows.
    async fn remove_expired(&self, connection: &mut PgConnection) {
        let state = &self.0;
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, next) = (
            millis(state.begin.elapsed()),
            state.next_removal.load(Ordering::Relaxed),
        );
        if now < next {
            return;
        }
        // Of several requests at this time, one removes rows.
        let after = now.saturating_add(millis(REMOVAL_INTERVAL));
        let claim = state
            .next_removal
            .compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed);
        if claim.is_err() {
            return;
        }
        match statements::remove(connection).await {
            Ok(removed) if removed >= u64::from(REMOVED_AT_ONCE) => state.next_removal.store(now, Ordering::Relaxed),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot remove the expired rows of `conduit_store`"),
        }
    }
}

impl Store for PostgresStore {
    type Error = sqlx::Error;

    async fn get(&self, key: &[u8]) -> sqlx::Result<Option<Bytes>> {
        statements::get(&mut *self.connection().await?, key).await
    }

    async fn replace(&self, key: &[u8], expected: Option<&[u8]>, value: Option<Value<'_>>) -> sqlx::Result<bool> {
        let mut connection = self.connection().await?;
        let replaced = statements::replace(&mut connection, key, expected, value).await?;
        if expected.is_none() && value.is_some() {
            self.remove_expired(&mut connection).await;
        }
        Ok(replaced)
    }

    async fn insert(&self, key: &[u8], value: Value<'_>) -> sqlx::Result<Option<Bytes>> {
        let mut connection = self.connection().await?;
        let found = statements::insert(&mut connection, key, value).await?;
        self.remove_expired(&mut connection).await;
        Ok(found)
    }

    async fn take(&self, key: &[u8], budget: Budget) -> sqlx::Result<Taken> {
        let mut connection = self.connection().await?;
        let taken = statements::take(&mut connection, key, budget).await?;
        if taken.is_accepted {
            self.remove_expired(&mut connection).await;
        }
        Ok(taken)
    }
}

/// The values of a [`PostgresStore`] in a transaction of the caller: [`PostgresStore::within`].
#[derive(Debug)]
pub struct PostgresStoreTransaction<'a>(&'a mut PgConnection);

impl StoreTransaction for PostgresStoreTransaction<'_> {
    type Error = sqlx::Error;

    async fn get(&mut self, key: &[u8]) -> sqlx::Result<Option<Bytes>> {
        statements::get(self.0, key).await
    }

    async fn replace(&mut self, key: &[u8], expected: Option<&[u8]>, value: Option<Value<'_>>) -> sqlx::Result<bool> {
        statements::replace_in(self.0, key, expected, value).await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut store = f.debug_struct("PostgresStore");
        match &self.0.pool {
            Pool::Open(pool) => store.field("pool", pool),
            // The options of a connection contain its password.
            Pool::PerWorker { pool, .. } => store.field("pool", pool),
        };
        store.finish_non_exhaustive()
    }
}
