//! The unsent bytes of a socket, by an option.

use rustix::fd::BorrowedFd;
use rustix::io::{Errno, Result};

use crate::option::{Bytes, Options, ReadOnly, SocketOption};

const OUTGOING: SocketOption<Bytes, ReadOnly> = SocketOption::raw("SO_NWRITE", libc::SOL_SOCKET, libc::SO_NWRITE);

pub(crate) fn outgoing_bytes(socket: BorrowedFd<'_>) -> Result<usize> {
    socket
        .option(OUTGOING)
        .map_err(|error| Errno::from_io_error(&error.into_cause()).unwrap_or(Errno::INVAL))
}
