//! The connections of a store.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::OnceCell;

/// The time that a statement waits while another connection writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The time that a request waits for a connection. It exceeds [`BUSY_TIMEOUT`], so that the error of a locked file names the lock.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(6);

/// The pause between two attempts to open a file that is locked.
const OPEN_PAUSE: Duration = Duration::from_millis(20);

/// The number of connections that only read. Each read is short.
const READERS: u32 = 2;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS conduit_store (
        key BLOB PRIMARY KEY,
        value BLOB NOT NULL,
        until_millis INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS conduit_store_by_end ON conduit_store (until_millis)";

/// The pools of one database.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
}

thread_local! {
    /// The pools of this thread, by the number of the store.
    static POOLS: RefCell<HashMap<u64, Arc<OnceCell<Pools>>>> = RefCell::default();
}

impl Pools {
    /// Uses one pool for all statements, and creates the table if it is missing.
    pub(crate) async fn new(pool: SqlitePool) -> sqlx::Result<Self> {
        sqlx::raw_sql(TABLE).execute(&pool).await?;
        Ok(Pools {
            readers: pool.clone(),
            writer: pool,
        })
    }

    /// Opens a file, or creates it, and creates the table if it is missing.
    pub(crate) async fn open(path: &Path) -> sqlx::Result<Self> {
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

    /// Returns the pools of this thread for the store of this number. The first request opens them; others wait for it. After a
    /// failed attempt, the next request makes another one.
    pub(crate) async fn of_this_thread(number: u64, path: &Path) -> sqlx::Result<Self> {
        let pools = POOLS.with_borrow_mut(|pools| Arc::clone(pools.entry(number).or_default()));
        if let Some(pools) = pools.get() {
            return Ok(pools.clone());
        }
        // Attempts of requests that wait would otherwise add up.
        let opened = tokio::time::timeout(ACQUIRE_TIMEOUT, pools.get_or_try_init(|| Pools::open(path)));
        opened.await.map_err(|_| sqlx::Error::PoolTimedOut)?.cloned()
    }

    async fn connect(options: SqliteConnectOptions) -> sqlx::Result<Self> {
        // sqlx returns a used connection to its pool in a task of the current runtime. If nothing drives that runtime after
        // `open`, the only writer would never return, so a connection outside of the pool creates the table.
        let mut creator = options.connect().await?;
        sqlx::raw_sql(TABLE).execute(&mut creator).await?;
        // SQLite has one writer at a time.
        let writer = pool(1).connect_with(options.clone()).await?;
        let readers = pool(READERS).connect_lazy_with(options.read_only(true).create_if_missing(false));
        creator.close().await?;
        Ok(Pools { writer, readers })
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
}

/// Returns whether another connection has the lock: SQLITE_BUSY, whose variants have it in the lowest byte.
fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.and_then(|code| code.parse::<u32>().ok())
        .is_some_and(|code| code & 0xff == 5)
}
