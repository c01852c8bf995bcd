//! Liveness and readiness: two routes for an orchestrator or a load balancer.
//!
//! They are ordinary routes in the application's list; the compiler reports conflicts.
//!
//! # Example
//!
//! Both in an application's list of routes:
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

/// Returns 200 while the worker that receives the request runs.
#[get("/healthz")]
pub fn healthz() -> &'static str {
    "alive\n"
}

/// Returns 200 while the server accepts requests, and 503 from the beginning of a shutdown, or while the
/// [memory for bodies](crate::App::body_memory) is nearly used up.
///
/// If readiness has more conditions, such as a database, write a route that combines them with [`is_ready`].
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
