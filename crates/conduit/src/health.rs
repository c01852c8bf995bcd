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

use std::borrow::Cow;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use conduit_macros::get;

use crate::Status;
use crate::server::current;

/// Returns 200 while the worker that receives the request runs.
#[get("/healthz")]
pub fn healthz() -> &'static str {
    "alive\n"
}

/// Returns 200 while the server accepts requests, and 503 from the beginning of a shutdown, while the
/// [memory for bodies](crate::App::body_memory) is nearly used up, or while a [`Dependency`] of the process is unavailable.
///
/// If readiness has more conditions, write a route that calls this function, or [`is_ready`], first.
#[get("/readyz")]
pub fn readyz() -> Result<&'static str, Status<503, Cow<'static, str>>> {
    let reason = match current::server() {
        Some(server) if server.is_ready() => match unavailable() {
            None => return Ok("ready\n"),
            Some(dependency) => Cow::Owned(format!("{}\n", dependency.problem)),
        },
        Some(server) if !server.budgets().has_room() => Cow::Borrowed("no memory for bodies\n"),
        _ => Cow::Borrowed("stopping\n"),
    };
    Err(Status(reason))
}

/// Returns whether the server of this worker thread accepts requests: no shutdown has begun, there is memory for bodies, and
/// each [`Dependency`] is available. False on other threads.
pub fn is_ready() -> bool {
    current::server().is_some_and(|server| server.is_ready()) && unavailable().is_none()
}

/// The dependencies of this process.
static DEPENDENCIES: Mutex<Vec<Weak<DependencyState>>> = Mutex::new(Vec::new());

/// A service that this process depends on, such as the engine of a [`Hub`](crate::hub::Hub). While it is unavailable,
/// [`readyz`](fn@readyz) responds with 503, until the last clone is dropped.
///
/// # Example
///
/// The client of a database reports its connection:
///
/// ```
/// use conduit::health::Dependency;
///
/// let database = Dependency::new("no connection to the database");
/// assert!(database.is_available());
/// database.set_available(false);
/// assert!(!database.is_available());
/// ```
#[derive(Clone)]
pub struct Dependency(Arc<DependencyState>);

struct DependencyState {
    problem: &'static str,
    is_available: AtomicBool,
}

impl Dependency {
    /// Creates a dependency that is available. `problem` is the line in the response of `readyz` while it is unavailable.
    pub fn new(problem: &'static str) -> Self {
        let state = Arc::new(DependencyState {
            problem,
            is_available: AtomicBool::new(true),
        });
        let mut dependencies = DEPENDENCIES.lock().unwrap_or_else(PoisonError::into_inner);
        dependencies.retain(|known| known.strong_count() > 0);
        dependencies.push(Arc::downgrade(&state));
        Dependency(state)
    }

    /// Sets the availability. Returns the previous availability.
    pub fn set_available(&self, is_available: bool) -> bool {
        self.0.is_available.swap(is_available, Ordering::AcqRel)
    }

    /// Returns whether it is available.
    pub fn is_available(&self) -> bool {
        self.0.is_available.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dependency")
            .field("problem", &self.0.problem)
            .field("is_available", &self.is_available())
            .finish()
    }
}

/// A dependency that is unavailable.
fn unavailable() -> Option<Arc<DependencyState>> {
    let dependencies = DEPENDENCIES.lock().unwrap_or_else(PoisonError::into_inner);
    let mut known = dependencies.iter().filter_map(Weak::upgrade);
    known.find(|dependency| !dependency.is_available.load(Ordering::Acquire))
}
