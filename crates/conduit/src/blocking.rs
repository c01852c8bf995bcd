//! Calls of the file system.

use std::io;

/// Makes the call on a thread of tokio's pool for blocking work.
///
/// # Errors
/// Returns the error of the call, and an error if the call panics or the runtime ends before it.
pub(crate) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(call).await.map_err(io::Error::other)?
}
