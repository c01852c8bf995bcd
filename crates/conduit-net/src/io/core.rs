//! The types of input and output where there is no `std`: rustix's, laid out and named the same.

pub use rustix::io::{Errno as Error, IoSlice, IoSliceMut, Result};

use rustix::io::Errno;

/// The error number that the last failed call of libc has left.
pub(crate) fn last_errno() -> Errno {
    // SAFETY: the pointer is to this thread's own number, which lives as long as the thread.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// A mistake of the caller; there is no room for words in a number.
pub(crate) fn misuse(_text: &'static str) -> Error {
    Errno::INVAL
}

pub(crate) fn errno(error: &Error) -> Option<Errno> {
    Some(*error)
}

impl core::error::Error for crate::Error {}
