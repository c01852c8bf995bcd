//! Systems that do not report the unsent bytes of a socket.

use rustix::fd::BorrowedFd;
use rustix::io::{Errno, Result};

pub(crate) fn outgoing_bytes(_socket: BorrowedFd<'_>) -> Result<usize> {
    Err(Errno::OPNOTSUPP)
}
