//! Passwords: only their hashes are stored.

use std::num::NonZero;
use std::sync::LazyLock;

use argon2::Argon2;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use conduit::prelude::*;
use tokio::sync::Semaphore;

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

/// Bounds the hashes in progress in the process: each takes 19 MiB, and more of them than cores end no sooner. Without this bound,
/// sign-ins from many addresses at once would take the memory of each thread for blocking work, 512 per worker.
static HASHES: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(parallelism()));

fn parallelism() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Hashing takes tens of milliseconds by design. On the worker it would delay all connections.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    let permit = HASHES.acquire().await?;
    let hash = move || {
        // The hash continues if its request is dropped, and so does its permit.
        let _permit = permit;
        work()
    };
    Ok(tokio::task::spawn_blocking(hash).await?)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

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
    fn no_more_hashes_than_cores_are_in_progress_also_if_their_requests_are_dropped() {
        static IN_PROGRESS: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let work = || {
            MOST.fetch_max(IN_PROGRESS.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            IN_PROGRESS.fetch_sub(1, Ordering::SeqCst);
        };
        run(async {
            let requests: Vec<_> = (0..8 * parallelism()).map(|_| tokio::spawn(blocking(work))).collect();
            for (place, request) in requests.into_iter().enumerate() {
                if place % 2 == 0 {
                    tokio::task::yield_now().await;
                    request.abort();
                } else {
                    request.await.expect("no panic")?;
                }
            }
            Ok(())
        });
        assert!(MOST.load(Ordering::SeqCst) <= parallelism());
    }

    #[test]
    fn unknown_user_costs_as_much_as_a_wrong_password() {
        assert!(!run(is_right("correct horse".to_owned(), None)));
        let costs = |hash: &str| hash.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(costs(NOBODYS), costs(&run(hash("any".to_owned()))));
    }
}
