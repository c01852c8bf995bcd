//! Liveness and readiness: two routes for an orchestrator or a load balancer.
//!
//! They are ordinary routes in the application's list, and the compiler reports conflicts with them.
//!
//! # Example
//!
//! Both with an application's routes:
//!
//! ```
//! use conduit::prelude::*;
//!
//! #[get("/")]
//! fn home() -> &'static str {
//!     "home"
//! }
//!
//! let app = App::new(()).routes(routes![home, conduit::health::healthz, conduit::health::readyz]);
//! ```

use conduit_macros::get;
use http::StatusCode;

use crate::server::current;

/// Answers 200 as long as the worker that is asked serves.
#[get("/healthz")]
pub fn healthz() -> &'static str {
    "alive\n"
}

/// Answers 200 while the server takes requests, and 503 from the start of its stop on, or while the
/// [memory for bodies](crate::App::body_memory) is nearly used up.
///
/// An application with more conditions, such as a database, has a route that combines them with
/// [`is_ready`].
#[get("/readyz")]
pub fn readyz() -> (StatusCode, &'static str) {
    match current::server() {
        Some(server) if server.is_ready() => (StatusCode::OK, "ready\n"),
        Some(server) if !server.budgets().has_room() => (StatusCode::SERVICE_UNAVAILABLE, "no memory for bodies\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
    }
}

/// Returns whether the server of this worker thread accepts requests: no shutdown has begun, and there is memory for bodies.
/// False on other threads.
pub fn is_ready() -> bool {
    current::server().is_some_and(|server| server.is_ready())
}
