//! Errors of a server that cannot start or continue.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// The return type of [`main`](crate#example) of a Conduit program.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// The error of a server that cannot start or continue. Its message names the failed operation, the value and the remedy.
///
/// `?` converts any error, and a string.
///
/// # Example
///
/// A required setting:
///
/// ```
/// fn database_url() -> conduit::Result<String> {
///     Ok(std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set: export it as postgres://…")?)
/// }
/// # assert!(database_url().unwrap_err().to_string().starts_with("DATABASE_URL"));
/// ```
pub struct Error(ErrorKind);

enum ErrorKind {
    /// The address is invalid, or its name does not resolve.
    Address { address: String, cause: io::Error },
    /// The socket layer could not listen.
    Listen(Box<dyn std::error::Error + Send + Sync>),
    /// An environment variable has a value that cannot be used.
    Variable {
        name: &'static str,
        value: String,
        expected: Cow<'static, str>,
    },
    /// The workers need more than the process may have.
    Workers { count: usize, cause: String },
    /// The arguments of the program are not those of a printout.
    Arguments { arguments: String, expected: &'static str },
    /// An error of an address that comes from an environment variable, or is the default without it.
    FromVariable {
        name: &'static str,
        is_set: bool,
        error: Box<Error>,
    },
    /// A page of the framework has the path of a route.
    Taken {
        path: String,
        route: &'static conduit_route::Definition,
    },
    /// The call was inside of a tokio runtime.
    InsideRuntime,
    /// A worker could not open its state.
    State { worker: usize, error: Box<Error> },
    /// A system call of the server failed.
    System { operation: &'static str, cause: io::Error },
    /// An error of the program, which `main` returns.
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            ErrorKind::Address { address, cause } => write!(
                f,
                "cannot listen on {address:?}: {cause}; give an address and a port such as 127.0.0.1:8080 or [::]:80"
            ),
            ErrorKind::Listen(error) => error.fmt(f),
            ErrorKind::Variable { name, value, expected } => {
                write!(f, "invalid {name}={value:?}: expected {expected}")
            }
            ErrorKind::Workers { count, cause } => write!(
                f,
                "cannot start {count} workers: {cause}, or use fewer workers (`App::workers` or the environment variable \
                 CONDUIT_WORKERS)"
            ),
            ErrorKind::Arguments { arguments, expected } => write!(
                f,
                "invalid arguments {arguments:?}: expected {expected}; a program with an argument of this name calls \
                 `App::arguments(false)`"
            ),
            ErrorKind::FromVariable {
                name,
                is_set: true,
                error,
            } => write!(f, "{error} (the address comes from the environment variable {name})"),
            ErrorKind::FromVariable {
                name,
                is_set: false,
                error,
            } => write!(
                f,
                "{error} (the address is the default: the environment variable {name} sets another)"
            ),
            ErrorKind::Taken { path, route } => write!(
                f,
                "a page of the framework (`App::docs`, `App::mcp`) and the route {} at {}:{} have the path {path}: change the path of one of them",
                route.handler, route.file, route.line
            ),
            ErrorKind::InsideRuntime => f.write_str(
                "the server cannot run inside of a tokio runtime, because it creates one for each worker: write `fn \
                 main()` without `async` and without `#[tokio::main]`; await a connection to a database, and other setup, \
                 in `App::open_per_worker` or `App::open(async { … })`; in a test, use `conduit::testing::TestClient`, or \
                 run the server on a separate thread with `std::thread::spawn`",
            ),
            ErrorKind::State { worker, error } => write!(f, "cannot open the state of worker {worker}: {error}"),
            ErrorKind::System { operation, cause } => write!(f, "cannot {operation}: {cause}"),
            ErrorKind::Other(error) => write_with_sources(error.as_ref(), f),
        }
    }
}

/// Writes an error and its sources, each of which follows from the next; a source that the text before it contains is
/// skipped.
fn write_with_sources(error: &dyn std::error::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut before = error.to_string();
    f.write_str(&before)?;
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !before.contains(&text) {
            write!(f, ": {text}")?;
        }
        before = text;
        source = error.source();
    }
    Ok(())
}

/// The same text as `Display`: a program prints the `Debug` form of the error that `main` returns.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

// `Error` does not convert into a boxed error, so that this implementation can cover every type that does: each
// `std::error::Error`, a string, boxed errors and `anyhow::Error`.
impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Error {
    fn from(error: E) -> Self {
        Error(ErrorKind::Other(error.into()))
    }
}

/// Methods for the other crates of the workspace.
#[doc(hidden)]
impl Error {
    pub fn address(address: impl Into<String>, cause: io::Error) -> Self {
        Error(ErrorKind::Address {
            address: address.into(),
            cause,
        })
    }

    /// Another socket listens on the address.
    pub fn in_use(address: SocketAddr) -> Self {
        Error::listen(format!(
            "cannot listen on {address}: address in use (EADDRINUSE); another socket uses the port: stop its program, or choose \
             another port"
        ))
    }

    pub fn listen(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Error(ErrorKind::Listen(cause.into()))
    }

    pub fn variable(name: &'static str, value: impl Into<String>, expected: impl Into<Cow<'static, str>>) -> Self {
        Error(ErrorKind::Variable {
            name,
            value: value.into(),
            expected: expected.into(),
        })
    }

    /// This number of workers cannot start; `cause` ends with a remedy.
    pub fn workers(count: usize, cause: String) -> Self {
        Error(ErrorKind::Workers { count, cause })
    }

    pub fn arguments(arguments: String, expected: &'static str) -> Self {
        Error(ErrorKind::Arguments { arguments, expected })
    }

    /// Adds the environment variable that the address comes from, or that would set another, to an error that is about the address.
    pub fn of_variable(self, name: &'static str, is_set: bool) -> Self {
        match self.0 {
            ErrorKind::Address { .. } | ErrorKind::Listen(_) => Error(ErrorKind::FromVariable {
                name,
                is_set,
                error: Box::new(self),
            }),
            _ => self,
        }
    }

    pub fn taken(path: &str, route: &'static conduit_route::Definition) -> Self {
        Error(ErrorKind::Taken {
            path: path.to_owned(),
            route,
        })
    }

    pub fn inside_runtime() -> Self {
        Error(ErrorKind::InsideRuntime)
    }

    pub fn state(worker: usize, error: Error) -> Self {
        Error(ErrorKind::State {
            worker,
            error: Box::new(error),
        })
    }

    pub fn system(operation: &'static str, cause: io::Error) -> Self {
        Error(ErrorKind::System { operation, cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_an_address_has_the_variable_that_sets_it() {
        let text = |is_set| {
            let error = Error::in_use(([127, 0, 0, 1], 8080).into());
            error.of_variable("CONDUIT_ADDR", is_set).to_string()
        };
        let error = "cannot listen on 127.0.0.1:8080: address in use (EADDRINUSE); another socket uses the port: stop its program, \
                     or choose another port";
        assert_eq!(
            text(true),
            format!("{error} (the address comes from the environment variable CONDUIT_ADDR)")
        );
        assert_eq!(
            text(false),
            format!("{error} (the address is the default: the environment variable CONDUIT_ADDR sets another)")
        );
        let other = Error::system("serve", io::Error::other("no disk")).of_variable("CONDUIT_ADDR", true);
        assert_eq!(other.to_string(), "cannot serve: no disk");
    }

    #[test]
    fn a_text_and_every_error_become_an_error_with_the_same_text() {
        fn fails<E>(error: E) -> String
        where
            Error: From<E>,
        {
            let start = || -> Result {
                Err(error)?;
                Ok(())
            };
            start().expect_err("an error was returned").to_string()
        }

        let boxed: Box<dyn std::error::Error + Send + Sync> = "boxed".into();
        assert_eq!(fails("a text"), "a text");
        assert_eq!(fails(format!("{} texts", 2)), "2 texts");
        assert_eq!(fails(boxed), "boxed");
        assert_eq!(fails(io::Error::other("of the system")), "of the system");
    }
}
