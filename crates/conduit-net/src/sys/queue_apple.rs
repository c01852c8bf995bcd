//! The unsent bytes of a socket, by an option.

use rustix::fd::BorrowedFd;
use rustix::io::{Errno, Result};

use crate::option::{Bytes, Options, ReadOnly, SocketOption};

// SAFETY: the kernel writes an int, and follows no address. getsockopt(2).
const OUTGOING: SocketOption<Bytes, ReadOnly> =
    unsafe { SocketOption::raw("SO_NWRITE", libc::SOL_SOCKET, libc::SO_NWRITE) };

pub(crate) fn outgoing_bytes(socket: BorrowedFd<'_>) -> Result<usize> {
    socket
        .option(OUTGOING)
        .map_err(|error| Errno::from_io_error(&error.into_cause()).unwrap_or(Errno::INVAL))
}
