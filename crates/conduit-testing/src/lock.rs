//! The comparison of `api.lock` with the application.

use std::io::ErrorKind;
use std::path::Path;

use super::application::TestApplication;

/// The variable that makes [`assert_lock`] write the file if it is `1`.
const UPDATE: &str = "CONDUIT_UPDATE_LOCK";

/// Compares a file under version control with the API of the application: its operations, parameters, schemas, responses, guards,
/// layers and limits. Each difference has the handler and its location in the source, and is classified: a breaking one may make a
/// client of the earlier API fail.
///
/// The path is relative to the package. `CONDUIT_UPDATE_LOCK=1 cargo test` writes the file, as `program --lock > api.lock` does.
///
/// ```no_run
/// use conduit::prelude::*;
/// use conduit::testing::assert_lock;
///
/// #[get("/")]
/// fn hello() -> &'static str {
///     "Hello, World!"
/// }
///
/// assert_lock(&App::new(()).routes(routes![hello]), "api.lock");
/// ```
///
/// # Panics
///
/// Panics if the file is missing or differs from the API, if it cannot be read or written, and for an application without the feature
/// `lock`.
#[track_caller]
pub fn assert_lock(application: &impl TestApplication, path: impl AsRef<Path>) {
    let path = path.as_ref();
    let file = match std::fs::read_to_string(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            panic!(
                "cannot read {}: {error}; the lock is a text file that `{UPDATE}=1 cargo test` writes",
                path.display()
            )
        }
        file => file.unwrap_or_default(),
    };
    let Some((lock, differences)) = application.compare_lock(&file) else {
        panic!(
            "the application has no lock to compare with {}: enable the feature `lock`",
            path.display()
        );
    };
    if file == lock {
        return;
    }
    if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
        if let Err(error) = std::fs::write(path, lock) {
            panic!("cannot write the lock to {}: {error}", path.display());
        }
        return;
    }
    let remedy = format!("review the difference, and write the file by `{UPDATE}=1 cargo test`");
    if file.is_empty() {
        panic!(
            "{} is missing or empty: write it by `{UPDATE}=1 cargo test`, and commit it",
            path.display()
        );
    }
    if differences.is_empty() {
        panic!(
            "{} differs from the API only in its order or its notes: {remedy}",
            path.display()
        );
    }
    let list = differences.join("\n  ");
    panic!("the API differs from {}: {remedy}\n  {list}", path.display());
}
