//! Threads, blocking calls and the futures of whole runtimes, as trait objects.
//!
//! The standard library and tokio compile the code of a thread or a task again for each type of a closure or a future, about 80
//! functions each. Those of the server that run once, or that wait for a disk, share it. Handlers and connections do not: a trait object
//! would cost each poll.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::thread::{Builder, JoinHandle};

use tokio::runtime::Runtime;

/// Starts a thread with a name.
pub(crate) fn spawn_thread<T: Send + 'static>(
    name: impl Into<String>,
    run: Box<dyn FnOnce() -> T + Send>,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.into()).spawn(run)
}

/// Makes a call that may block, on a thread of tokio's pool.
pub(crate) fn spawn_blocking(call: Box<dyn FnOnce() + Send>) -> tokio::task::JoinHandle<()> {
    tokio::task::spawn_blocking(call)
}

/// Drives a runtime until the future is ready.
pub(crate) fn block_on(runtime: &Runtime, future: Pin<&mut dyn Future<Output = ()>>) {
    runtime.block_on(future);
}
