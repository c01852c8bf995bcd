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

/// Answers 200 while the server wants requests, and 503 from the moment on at which it stops.
///
/// An application with more conditions, such as a database, has a route that combines them with
/// [`is_ready`].
#[get("/readyz")]
pub fn readyz() -> (StatusCode, &'static str) {
    if is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    }
}

/// Returns whether the server of this worker thread accepts requests: no shutdown has begun. False on other
/// threads.
pub fn is_ready() -> bool {
    current::server().is_some_and(|server| server.is_ready())
}
