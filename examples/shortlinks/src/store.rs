//! The links, in a SQLite file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use conduit::{JsonSchema, schemars};
use serde::Serialize;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{FromRow, Row};
use url::Url;

use crate::new_link::Slug;

/// How long a statement waits for another process that has the database locked; then it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How many requests read at the same time.
const READERS: u32 = 4;

/// `AUTOINCREMENT`, because a page of the list begins after an id: an id that was deleted must not come again.
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS links (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        slug TEXT NOT NULL UNIQUE,
        url TEXT NOT NULL,
        clicks INTEGER NOT NULL DEFAULT 0,
        created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
    ) STRICT";

/// A short link.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Link {
    /// Grows with every link: the list is ordered by it.
    pub(crate) id: i64,
    pub(crate) slug: String,
    pub(crate) url: String,
    /// How often it was followed.
    pub(crate) clicks: i64,
    /// RFC 3339, in UTC.
    pub(crate) created_at: String,
}

impl FromRow<'_, SqliteRow> for Link {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Link {
            id: row.try_get("id")?,
            slug: row.try_get("slug")?,
            url: row.try_get("url")?,
            clicks: row.try_get("clicks")?,
            created_at: row.try_get("created_at")?,
        })
    }
}

/// The links. Clones share the same connections to the database.
///
/// SQLite lets one connection write at a time, and others read meanwhile (write-ahead log). So there is one connection
/// for writing, for which requests queue up as tasks: with more of them they would wait inside SQLite, which asks again
/// and again after a sleep, and fails when it takes too long.
#[derive(Clone)]
pub(crate) struct Store {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Store {
    /// Opens the file, which is made if there is none, and sees to it that it has its table.
    pub(crate) async fn open(path: &Path) -> Result<Self, OpenError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // With a write-ahead log this cannot corrupt the file; the last clicks before a power cut may be lost.
            .synchronous(SqliteSynchronous::Normal)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        match Self::connect(options).await {
            Ok(store) => Ok(store),
            Err(cause) => Err(OpenError {
                path: path.to_owned(),
                cause,
            }),
        }
    }

    async fn connect(options: SqliteConnectOptions) -> sqlx::Result<Self> {
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        sqlx::query(SCHEMA).execute(&writer).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_lazy_with(options.read_only(true).create_if_missing(false));
        Ok(Store { writer, readers })
    }

    /// Adds a link. `None` where the slug is taken.
    pub(crate) async fn insert(&self, slug: &Slug, url: &Url) -> sqlx::Result<Option<Link>> {
        sqlx::query_as("INSERT INTO links (slug, url) VALUES (?, ?) ON CONFLICT (slug) DO NOTHING RETURNING *")
            .bind(slug.as_str())
            .bind(url.as_str())
            .fetch_optional(&self.writer)
            .await
    }

    /// The links before the one with the id `after`, or from the newest on; at most `limit`, the newest first.
    pub(crate) async fn list(&self, after: Option<i64>, limit: u32) -> sqlx::Result<Vec<Link>> {
        sqlx::query_as("SELECT * FROM links WHERE id < ? ORDER BY id DESC LIMIT ?")
            .bind(after.unwrap_or(i64::MAX))
            .bind(limit)
            .fetch_all(&self.readers)
            .await
    }

    /// The link with this slug.
    pub(crate) async fn find(&self, slug: &str) -> sqlx::Result<Option<Link>> {
        sqlx::query_as("SELECT * FROM links WHERE slug = ?")
            .bind(slug)
            .fetch_optional(&self.readers)
            .await
    }

    /// Counts that the link was followed, and gives its URL. It is one statement, so that no count is lost between
    /// reading and writing.
    pub(crate) async fn follow(&self, slug: &str) -> sqlx::Result<Option<String>> {
        sqlx::query_scalar("UPDATE links SET clicks = clicks + 1 WHERE slug = ? RETURNING url")
            .bind(slug)
            .fetch_optional(&self.writer)
            .await
    }

    /// Removes the link. Says whether it was there.
    pub(crate) async fn remove(&self, slug: &str) -> sqlx::Result<bool> {
        let done = sqlx::query("DELETE FROM links WHERE slug = ?")
            .bind(slug)
            .execute(&self.writer)
            .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Whether the database answers.
    pub(crate) async fn check(&self) -> sqlx::Result<()> {
        sqlx::query("SELECT 1 FROM links").fetch_optional(&self.readers).await?;
        Ok(())
    }
}

/// Why the database could not be opened.
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
