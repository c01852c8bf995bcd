//! The links.

use conduit::{JsonSchema, schemars};
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};
use url::Url;

use super::Store;
use crate::users::User;

/// A short link.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Link {
    /// Grows with every link: the list is ordered by it.
    pub(crate) id: i64,
    pub(crate) slug: String,
    pub(crate) url: String,
    /// The number of redirects.
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

impl Store {
    /// Adds a link of this user. Returns `None` if the slug is taken.
    pub(crate) async fn insert(&self, owner: &User, slug: &str, url: &Url) -> sqlx::Result<Option<Link>> {
        let insert = "INSERT INTO links (owner, slug, url) VALUES (?, ?, ?) ON CONFLICT (slug) DO NOTHING RETURNING *";
        let insert = sqlx::query_as(insert).bind(owner.id).bind(slug).bind(url.as_str());
        insert.fetch_optional(&self.writer).await
    }

    /// The user's links before the one with the id `after`, or from the newest on; at most `limit`, the newest first.
    pub(crate) async fn list(&self, owner: &User, after: Option<i64>, limit: u32) -> sqlx::Result<Vec<Link>> {
        sqlx::query_as("SELECT * FROM links WHERE owner = ? AND id < ? ORDER BY id DESC LIMIT ?")
            .bind(owner.id)
            .bind(after.unwrap_or(i64::MAX))
            .bind(limit)
            .fetch_all(&self.readers)
            .await
    }

    /// The user's link with this slug.
    pub(crate) async fn find(&self, owner: &User, slug: &str) -> sqlx::Result<Option<Link>> {
        let find = sqlx::query_as("SELECT * FROM links WHERE owner = ? AND slug = ?");
        find.bind(owner.id).bind(slug).fetch_optional(&self.readers).await
    }

    /// The target of the link with this slug, of any user.
    pub(crate) async fn target(&self, slug: &str) -> sqlx::Result<Option<String>> {
        let target = sqlx::query_scalar("SELECT url FROM links WHERE slug = ?");
        target.bind(slug).fetch_optional(&self.readers).await
    }

    /// Increments the counter of the link, and returns its URL. A single statement cannot lose a count between reading and writing.
    pub(crate) async fn follow(&self, slug: &str) -> sqlx::Result<Option<String>> {
        let follow = sqlx::query_scalar("UPDATE links SET clicks = clicks + 1 WHERE slug = ? RETURNING url");
        follow.bind(slug).fetch_optional(&self.writer).await
    }

    /// Removes the user's link. Returns whether it existed.
    pub(crate) async fn remove(&self, owner: &User, slug: &str) -> sqlx::Result<bool> {
        let remove = sqlx::query("DELETE FROM links WHERE owner = ? AND slug = ?");
        let done = remove.bind(owner.id).bind(slug).execute(&self.writer).await?;
        Ok(done.rows_affected() > 0)
    }
}
