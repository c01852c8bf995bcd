//! The input and output types of `std`.

pub use std::io::{Error, ErrorKind, IoSlice, IoSliceMut, Result};

use rustix::io::Errno;

/// The error number of the last failed libc call.
pub(crate) fn last_errno() -> Errno {
    Errno::from_io_error(&Error::last_os_error()).unwrap_or(Errno::IO)
}

/// The error for invalid use by the caller, with the remedy.
pub(crate) fn misuse(text: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, text)
}

pub(crate) fn errno(error: &Error) -> Option<Errno> {
    error.raw_os_error().map(Errno::from_raw_os_error)
}

impl crate::Error {
    /// The kind of the error.
    pub fn kind(&self) -> ErrorKind {
        self.cause().kind()
    }
}

impl std::error::Error for crate::Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.cause())
    }
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Error {
        Error::new(error.kind(), error)
    }
}

impl From<Error> for crate::Error {
    fn from(error: Error) -> crate::Error {
        match error.downcast::<crate::Error>() {
            Ok(error) => error,
            Err(error) => crate::Error::new(crate::Operation::Other, None, error),
        }
    }
}

impl From<std::net::Shutdown> for crate::Shutdown {
    fn from(how: std::net::Shutdown) -> crate::Shutdown {
        match how {
            std::net::Shutdown::Read => crate::Shutdown::Read,
            std::net::Shutdown::Write => crate::Shutdown::Write,
            std::net::Shutdown::Both => crate::Shutdown::Both,
        }
    }
}
