//! Passwords: only their hashes are stored.

use argon2::Argon2;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use conduit::prelude::*;

/// The hash of an impossible password. An unknown name is compared with it, so that the response time does not reveal
/// which names exist.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0IG9mIG91cnM$4sV3bTvGQe7o1iGEq0nH0F3q8i0wqk8Y4yKf7gG0c2A";

/// Returns the Argon2id hash, which contains the salt.
pub(crate) async fn hash(password: String) -> Result<String, Problem> {
    let hashed = blocking(move || Argon2::default().hash_password(password.as_bytes())).await?;
    Ok(hashed?.to_string())
}

/// Returns whether the hash is that of the password; `None` is the hash of an unknown user.
pub(crate) async fn is_right(password: String, hash: Option<String>) -> Result<bool, Problem> {
    let is_user = hash.is_some();
    let hash = hash.unwrap_or_else(|| NOBODYS.to_owned());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn run<T>(future: impl Future<Output = Result<T, Problem>>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .expect("a runtime");
        runtime.block_on(future).unwrap_or_else(|problem| panic!("{problem:?}"))
    }

    #[test]
    fn a_password_matches_only_its_hash() {
        let made = run(hash("correct horse".to_owned()));
        assert!(made.starts_with("$argon2id$") && !made.contains("correct"));
        assert_ne!(
            made,
            run(hash("correct horse".to_owned())),
            "each hash has a separate salt"
        );
        assert!(run(is_right("correct horse".to_owned(), Some(made.clone()))));
        assert!(!run(is_right("correct horse ".to_owned(), Some(made))));
    }

    #[test]
    fn unknown_user_costs_as_much_as_a_wrong_password() {
        assert!(!run(is_right("correct horse".to_owned(), None)));
        let costs = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(costs(NOBODYS), costs(&run(hash("any".to_owned()))));
    }
}
