//! Conversions between errors and problems.

use std::error::Error;
use std::fmt;

use super::Problem;
use crate::body::{BodyError, BoxError};

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

impl Problem {
    /// The problem as an error, which `?` converts into the same problem again. `#[derive(Problem)]` uses it.
    pub fn into_error(self) -> BoxError {
        Box::new(Carried(self))
    }
}

// `Problem` does not convert into a boxed error, so that this implementation can cover every type that does: each
// `std::error::Error` that can be sent between threads, boxed errors, `anyhow::Error`, `eyre::Report`, and types with
// `#[derive(Problem)]`, which carry their problem. All of them are `Unpin`, except for an error whose derive brings a conversion of
// the type itself.
impl<E: Into<BoxError> + Unpin> From<E> for Problem {
    fn from(error: E) -> Self {
        match error.into().downcast::<Carried>() {
            Ok(carried) => carried.0,
            Err(error) => match error.downcast_ref::<BodyError>() {
                Some(error) => Problem::of_body_error(error),
                None => Problem::internal(&*error),
            },
        }
    }
}

/// A problem inside of an error, for code that passes only errors.
#[derive(Debug)]
struct Carried(Problem);

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
