//! An application without connections: requests arrive as jobs through a channel, from another server or from the process itself;
//! each response returns through its own channel.
//!
//! ```text
//!   InternalCaller   the process itself ──┐
//!                                         ├── Job ──> JobServer ──> JobExchange ──> response
//!   Threads          another server ──────┘
//! ```
//!
//! - [`internal`] has the callers in the process, and the task of a worker that serves them; the threads for another server are in
//!   `service`.
//! - [`server`] serves the jobs of one thread.
//! - [`exchange`] is a job in progress.
//! - [`messages`] converts the requests and the responses of another server.

mod exchange;
mod internal;
mod messages;
mod server;

pub use self::internal::InternalCaller;
pub(super) use self::internal::{set_jobs, take_internal};
pub(super) use self::messages::{ResponseFraming, assemble};
pub(super) use self::server::JobServer;
