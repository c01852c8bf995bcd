//! Passwords: only their hashes are stored.

use argon2::Argon2;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};

use crate::problem::Problem;

/// The hash of an impossible password. An unknown name is compared with it, so that the response time does not reveal
/// which names exist.
const UNKNOWN_USER: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0IG9mIG91cnM$4sV3bTvGQe7o1iGEq0nH0F3q8i0wqk8Y4yKf7gG0c2A";

/// Returns the Argon2id hash, which contains the salt.
pub(crate) async fn hash(password: String) -> Result<String, Problem> {
    let hashed = blocking(move || Argon2::default().hash_password(password.as_bytes())).await?;
    Ok(hashed?.to_string())
}

/// Returns whether the hash is that of the password; `None` is the hash of an unknown user.
pub(crate) async fn is_right(password: String, hash: Option<String>) -> Result<bool, Problem> {
    let is_user = hash.is_some();
    let hash = hash.unwrap_or_else(|| UNKNOWN_USER.to_owned());
    match blocking(move || Argon2::default().verify_password(password.as_bytes(), &*hash)).await? {
        Ok(()) => Ok(is_user),
        Err(Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Hashing takes tens of milliseconds by design. On the worker it would delay all connections.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    Ok(tokio::task::spawn_blocking(work).await?)
}
