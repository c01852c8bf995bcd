//! The sessions. The store of `tower-sessions-sqlx-store` depends on sqlx 0.8, whose SQLite cannot be linked next to that of 0.9.

use async_trait::async_trait;
use sqlx::sqlite::SqlitePool;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use tower_sessions::session_store::{Error, Result};

#[derive(Clone, Debug)]
pub(crate) struct SqliteSessions {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl SqliteSessions {
    pub(super) fn new(writer: SqlitePool, readers: SqlitePool) -> Self {
        SqliteSessions { writer, readers }
    }

    /// Inserts a session; false if its id exists.
    async fn insert(&self, record: &Record) -> Result<bool> {
        let insert = sqlx::query("INSERT INTO sessions (id, data, ends_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(record.id.to_string())
            .bind(to_text(record)?)
            .bind(record.expiry_date.unix_timestamp());
        let done = insert.execute(&self.writer).await.map_err(backend)?;
        Ok(done.rows_affected() > 0)
    }
}

#[async_trait]
impl SessionStore for SqliteSessions {
    async fn create(&self, record: &mut Record) -> Result<()> {
        let remove_expired = sqlx::query("DELETE FROM sessions WHERE ends_at <= unixepoch()");
        remove_expired.execute(&self.writer).await.map_err(backend)?;
        while !self.insert(record).await? {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        sqlx::query(
            "INSERT INTO sessions (id, data, ends_at) VALUES (?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET data = excluded.data, ends_at = excluded.ends_at",
        )
        .bind(record.id.to_string())
        .bind(to_text(record)?)
        .bind(record.expiry_date.unix_timestamp())
        .execute(&self.writer)
        .await
        .map_err(backend)?;
        Ok(())
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let load = sqlx::query_scalar("SELECT data FROM sessions WHERE id = ? AND ends_at > unixepoch()");
        let data: Option<String> = load
            .bind(id.to_string())
            .fetch_optional(&self.readers)
            .await
            .map_err(backend)?;
        data.map(|data| serde_json::from_str(&data).map_err(|error| Error::Decode(error.to_string())))
            .transpose()
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        let delete = sqlx::query("DELETE FROM sessions WHERE id = ?").bind(id.to_string());
        delete.execute(&self.writer).await.map_err(backend)?;
        Ok(())
    }
}

fn to_text(record: &Record) -> Result<String> {
    serde_json::to_string(record).map_err(|error| Error::Encode(error.to_string()))
}

fn backend(error: sqlx::Error) -> Error {
    Error::Backend(error.to_string())
}
