//! The input and output types without `std`: rustix's types with the same layout and names.

pub use rustix::io::{Errno as Error, IoSlice, IoSliceMut, Result};

use rustix::io::Errno;

/// The error number of the last failed libc call.
pub(crate) fn last_errno() -> Errno {
    // SAFETY: the pointer refers to the error number of this thread, which lives as long as the thread.
    Errno::from_raw_os_error(unsafe { *libc::__errno_location() })
}

/// The error for invalid use by the caller; a number cannot carry the text.
pub(crate) fn misuse(_text: &'static str) -> Error {
    Errno::INVAL
}

pub(crate) fn errno(error: &Error) -> Option<Errno> {
    Some(*error)
}
