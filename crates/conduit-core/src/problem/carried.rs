//! Errors that turn into problems.

use std::error::Error;
use std::fmt;

use super::Problem;

/// An error that converts into a [`Problem`]. `#[derive(Problem)]` implements it; implement it by hand for an error whose response
/// the attributes cannot express.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be converted into a problem",
    note = "derive `conduit::Problem` for it, or implement `IntoProblem`"
)]
pub trait IntoProblem {
    /// Converts the error into the problem that the client receives.
    fn into_problem(self) -> Problem;
}

impl IntoProblem for Problem {
    fn into_problem(self) -> Problem {
        self
    }
}

/// A condition that never holds: no type implements it. `#[derive(Problem)]` takes a type that is a `std::error::Error` out of
/// the conversion of all errors with it.
pub trait Never<'a> {}

/// A problem inside of an error, for code that passes only errors.
#[derive(Debug)]
pub(super) struct Carried(pub(super) Problem);

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for Carried {}

/// The cause of a problem: any error, boxed or not, and what dereferences to one, as `anyhow::Error` does.
/// The code of `#[derive(Problem)]` calls it.
pub trait Cause {
    /// The error itself.
    fn as_cause(&self) -> &(dyn Error + 'static);
}

impl<E: Error + 'static> Cause for E {
    fn as_cause(&self) -> &(dyn Error + 'static) {
        self
    }
}

macro_rules! erased {
    ($($type:ty),*) => {$(
        impl Cause for $type {
            fn as_cause(&self) -> &(dyn Error + 'static) {
                self
            }
        }
    )*};
}

erased!(
    dyn Error + 'static,
    dyn Error + Send + 'static,
    dyn Error + Send + Sync + 'static
);
