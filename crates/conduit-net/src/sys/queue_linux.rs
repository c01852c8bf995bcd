//! The unsent bytes of a socket, by `ioctl`.

use rustix::fd::BorrowedFd;
use rustix::io::Result;
use rustix::ioctl::{Getter, Opcode, ioctl};

/// `SIOCOUTQ`, which has the same number as the request for terminals.
const OUTGOING: Opcode = libc::TIOCOUTQ as Opcode;

pub(crate) fn outgoing_bytes(socket: BorrowedFd<'_>) -> Result<usize> {
    // SAFETY: the kernel writes an `int` for this request, to sockets of every kind.
    let bytes = unsafe { ioctl(socket, Getter::<OUTGOING, libc::c_int>::new()) }?;
    Ok(usize::try_from(bytes).unwrap_or(0))
}
