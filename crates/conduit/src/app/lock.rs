//! The lock of an application's API.

use conduit_openapi::{Lock, LockContext};

use super::{App, Routed, printing};
use crate::error::Result;

/// The limits of the application that a client may notice, by the variables that set them.
const LOCKED_LIMITS: [&str; 1] = ["CONDUIT_BODY_LIMIT"];

impl<S: 'static, R: Routed<S>> App<S, R> {
    /// The lock of the API: a readable summary of its operations with their parameters, bodies, responses, guards, layers and
    /// limits, for a file under version control. Its text is what `program --lock` prints.
    ///
    /// [`conduit::testing::assert_lock`](crate::testing::assert_lock) compares the file with the application in a test.
    /// Requires the feature `lock`.
    pub fn lock(&self) -> Lock {
        let routes = self.routes.list();
        let limits = self.config.values().into_iter();
        let context = LockContext {
            layers: routes.definitions().iter().zip(routes.layers()).collect(),
            application_layers: self.layers(),
            limits: limits.filter(|(name, _)| LOCKED_LIMITS.contains(name)).collect(),
        };
        self.document().lock(&context)
    }

    /// Prints the lock.
    pub(super) fn print_lock(&self) -> Result {
        printing::print(self.lock(), "print the lock")
    }
}
