//! The users and their sessions.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use conduit::prelude::*;
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row};

use super::Store;
use crate::users::User;

/// The lifetime of a session.
pub(crate) const SESSION_DAYS: i64 = 30;

/// As many cannot be guessed.
const TOKEN_BYTES: usize = 32;

impl FromRow<'_, SqliteRow> for User {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(User {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
        })
    }
}

impl Store {
    /// Adds a user. `None` where the name is taken.
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

    /// Creates a session and returns its token. The database stores only a hash, so a leaked database does not allow signing in.
    pub(crate) async fn insert_session(&self, user: &User) -> Result<String, Problem> {
        let mut bytes = [0; TOKEN_BYTES];
        getrandom::fill(&mut bytes)?;
        let token = URL_SAFE_NO_PAD.encode(bytes);
        let end_others = sqlx::query("DELETE FROM sessions WHERE ends_at <= unixepoch()");
        end_others.execute(&self.writer).await?;
        sqlx::query("INSERT INTO sessions (token_hash, user, ends_at) VALUES (?, ?, unixepoch() + ? * 86400)")
            .bind(hash(&token))
            .bind(user.id)
            .bind(SESSION_DAYS)
            .execute(&self.writer)
            .await?;
        Ok(token)
    }

    /// Whose session has this token.
    pub(crate) async fn user_of_session(&self, token: &str) -> sqlx::Result<Option<User>> {
        let find = "SELECT users.id, name FROM sessions JOIN users ON users.id = sessions.user
            WHERE token_hash = ? AND ends_at > unixepoch()";
        let find = sqlx::query_as(find).bind(hash(token));
        find.fetch_optional(&self.readers).await
    }

    /// Ends the session with this token.
    pub(crate) async fn remove_session(&self, token: &str) -> sqlx::Result<()> {
        let remove = sqlx::query("DELETE FROM sessions WHERE token_hash = ?");
        remove.bind(hash(token)).execute(&self.writer).await?;
        Ok(())
    }
}

/// A token is as random as its hash: unlike a password it needs no salt, and no work.
fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token).to_vec()
}
