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
