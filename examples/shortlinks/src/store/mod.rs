//! Users, links and the store of sessions, in a SQLite file.

mod links;
mod users;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use conduit::session::Sessions;
use conduit_sqlite::SqliteStore;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::OnceCell;

pub(crate) use links::Link;

/// The time that a statement waits for a database that another process has locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The number of concurrent readers.
const READERS: u32 = 4;

/// The migrations from an empty database to the current schema. SQLite's `user_version` is the number of migrations of a file; a
/// released migration never changes.
const STEPS: [&str; 3] = [
    // `AUTOINCREMENT`, because a page of the list begins after an id: a deleted id must not be reused.
    "CREATE TABLE IF NOT EXISTS links (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        slug TEXT NOT NULL UNIQUE,
        url TEXT NOT NULL,
        clicks INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
    ) STRICT",
    // Links that are older than the table of users have no owner: they can be followed, and are in no list.
    "CREATE TABLE users (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        password_hash TEXT NOT NULL
    ) STRICT;
    CREATE TABLE sessions (
        token_hash BLOB PRIMARY KEY,
        user INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
        ends_at INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX sessions_by_end ON sessions (ends_at);
    ALTER TABLE links ADD COLUMN owner INTEGER REFERENCES users (id) ON DELETE CASCADE;
    CREATE INDEX links_by_owner ON links (owner, id);",
    // Sessions are in the table of `SqliteStore`.
    "DROP TABLE sessions;",
];

/// The database of a worker. Clones share the same connections to the database.
///
/// SQLite lets one connection write at a time, and others read meanwhile (write-ahead log). So all workers share one connection for
/// writing, for which requests queue as tasks: with several, they would wait inside SQLite, which polls the lock between sleeps,
/// and fails after a timeout.
#[derive(Clone)]
pub(crate) struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
}

/// The connection for writing, which the first worker opens.
#[derive(Clone, Default)]
pub(crate) struct Writer(Arc<OnceCell<SqlitePool>>);

impl Store {
    /// Opens the file, or creates it, and creates missing tables, including those of sessions.
    pub(crate) async fn open(path: &Path, writer: &Writer) -> Result<(Self, Sessions), OpenError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With a write-ahead log this cannot corrupt the file; the last clicks before a power cut may be lost.
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        match Self::connect(options, writer).await {
            Ok(opened) => Ok(opened),
            Err(cause) => Err(OpenError {
                path: path.to_owned(),
                cause,
            }),
        }
    }

    async fn connect(options: SqliteConnectOptions, writer: &Writer) -> sqlx::Result<(Self, Sessions)> {
        let open_writer = async || {
            let writer = SqlitePoolOptions::new()
                .max_connections(1)
                .connect_with(options.clone())
                .await?;
            go_steps(&writer).await?;
            Ok::<_, sqlx::Error>(writer)
        };
        let writer = writer.0.get_or_try_init(open_writer).await?.clone();
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_lazy_with(options.read_only(true).create_if_missing(false));
        let sessions = Sessions::new(SqliteStore::new(writer.clone()).await?)
            .persistent()
            .strict();
        Ok((Store { writer, readers }, sessions))
    }

    /// Checks that the database responds.
    pub(crate) async fn check(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT 1 FROM links").fetch_optional(&self.readers).await?;
        Ok(())
    }
}

/// Applies all migrations in one transaction, so that a program that ends in the middle leaves the file unchanged.
async fn go_steps(writer: &SqlitePool) -> sqlx::Result<()> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    let gone: u32 = sqlx::query_scalar("PRAGMA user_version")
        .fetch_one(&mut *transaction)
        .await?;
    for step in STEPS.iter().skip(gone as usize) {
        sqlx::raw_sql(*step).execute(&mut *transaction).await?;
    }
    let version = format!("PRAGMA user_version = {}", STEPS.len());
    sqlx::raw_sql(sqlx::AssertSqlSafe(version))
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await
}

/// The reason why the database could not be opened.
#[derive(Debug)]
pub(crate) struct OpenError {
    path: PathBuf,
    cause: sqlx::Error,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cannot open the database {}: {}; set SHORTLINKS_DB to a file in a directory that can be written to",
            self.path.display(),
            self.cause
        )
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.cause)
    }
}
