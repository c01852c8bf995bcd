//! The users.

use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};

use super::Store;
use crate::users::User;

impl FromRow<'_, SqliteRow> for User {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(User {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
        })
    }
}

impl Store {
    /// Adds a user. Returns `None` if the name is taken.
    pub(crate) async fn insert_user(&self, name: &str, password_hash: &str) -> sqlx::Result<Option<User>> {
        let insert = "INSERT INTO users (name, password_hash) VALUES (?, ?) ON CONFLICT (name) DO NOTHING RETURNING *";
        let insert = sqlx::query_as(insert).bind(name).bind(password_hash);
        insert.fetch_optional(&self.writer).await
    }

    /// The user with this name, and the hash of the password.
    pub(crate) async fn find_user(&self, name: &str) -> sqlx::Result<Option<(User, String)>> {
        let find = sqlx::query("SELECT id, name, password_hash FROM users WHERE name = ?");
        let row = find.bind(name).fetch_optional(&self.readers).await?;
        row.map(|row| Ok((User::from_row(&row)?, row.try_get("password_hash")?)))
            .transpose()
    }
}
