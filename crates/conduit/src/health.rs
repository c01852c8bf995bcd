//! Whether the program is alive, and whether it wants requests: two routes for an orchestrator or a load balancer.
//!
//! They are routes as any other: they stand in the application's list, and the compiler sees a conflict with them.
//!
//! # Example
//!
//! Both beside an application's own routes:
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

use crate::server::counts::current_server;

/// Answers 200 as long as the worker that is asked serves.
#[get("/healthz")]
pub fn healthz() -> &'static str {
    "alive\n"
}

/// Answers 200 while the server wants requests, and 503 from the moment on at which it stops.
///
/// An application that needs more to be ready, such as a database, has a route of its own that asks
/// [`is_ready`] beside what else it asks.
#[get("/readyz")]
pub fn readyz() -> (StatusCode, &'static str) {
    if is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    }
}

/// Whether the server that serves on this thread wants requests: it has not been told to stop. False on a thread that is
/// no worker's.
pub fn is_ready() -> bool {
    current_server().is_some_and(|server| server.is_ready())
}
