//! Work that continues after the response.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::pin;

use conduit_core::internal::panics::{emit, logged_text};
use tokio::task::JoinHandle;
use tracing::Instrument;

use super::FromRequest;
use crate::openapi::Operation;
use crate::request::Request;
use crate::server::current;
use crate::server::work::Work;

/// Spawns tasks that continue after the response, such as sending a mail.
///
/// A shutdown waits for these tasks as it does for handlers, within the [shutdown timeout](crate::App::shutdown_timeout), and
/// logs the name and age of each task that it aborts. It does not wait for tasks of `tokio::task::spawn_local` and
/// `tokio::spawn`: it drops them, and logs their number.
///
/// A task runs on the worker of its request, and need not be `Send`. Use a queue or a database for tasks that must survive the
/// end of the process.
///
/// # Example
///
/// A response that does not wait for a mail:
///
/// ```
/// use conduit::Tasks;
/// use conduit::prelude::*;
///
/// async fn send_welcome(address: String) {
///     tokio::task::yield_now().await;
///     tracing::info!(address, "sent a mail");
/// }
///
/// #[post("/users/{address}")]
/// async fn sign_up(address: Path<String>, tasks: Tasks) -> StatusCode {
///     tasks.spawn("welcome mail", send_welcome(address.0));
///     StatusCode::ACCEPTED
/// }
/// ```
#[derive(Clone)]
pub struct Tasks(Option<Work>);

impl Tasks {
    /// Returns the tasks of this thread's worker.
    pub(crate) fn of_this_worker() -> Self {
        Tasks(current::work())
    }

    /// Spawns a task on this worker. The log uses the name, also for a panic of the task, which then ends the task only. The task
    /// runs in the current `tracing` span; it continues when the handle is dropped.
    ///
    /// Without a server, as in [`into_local_service`](crate::App::into_local_service), it calls `tokio::task::spawn_local`.
    ///
    /// # Panics
    ///
    /// Panics outside a `LocalRuntime` and a `LocalSet`; each worker of a server has one.
    pub fn spawn<T: 'static>(&self, name: &'static str, task: impl Future<Output = T> + 'static) -> JoinHandle<T> {
        let in_progress = self.0.as_ref().map(|work| work.enter_task(name));
        let task = async move {
            let _in_progress = in_progress;
            let mut task = pin!(task);
            poll_fn(|context| {
                let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context)));
                polled.unwrap_or_else(|panic| {
                    log_panic(name, &*panic);
                    resume_unwind(panic)
                })
            })
            .await
        };
        tokio::task::spawn_local(task.in_current_span())
    }
}

#[cold]
fn log_panic(task: &'static str, panic: &(dyn Any + Send)) {
    let panic = logged_text(panic);
    emit(&|| tracing::error!(task, panic, "a task panicked"));
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tasks")
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for Tasks {
    type Rejection = Infallible;

    async fn from_request(_: &mut Request, _: &S) -> Result<Self, Infallible> {
        Ok(Tasks::of_this_worker())
    }

    /// The tasks do not depend on the request's content.
    fn describe(_: &mut Operation) {}
}
