//! Sockets on Linux: flags are set by the call that makes the descriptor, so each is one system call.

use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, Result};
use rustix::net::{AddressFamily, SendFlags, SocketAddrAny, SocketFlags, SocketType};
use std::time::Duration;

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// A peer that is gone is an error to handle, not a signal that ends the process.
pub(crate) const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;

pub(crate) fn stream(family: AddressFamily) -> Result<OwnedFd> {
    rustix::net::socket_with(family, SocketType::STREAM, FLAGS, None)
}

pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, Option<SocketAddrAny>)> {
    rustix::net::acceptfrom_with(listener, FLAGS)
}

pub(crate) fn set_reuse_port(socket: BorrowedFd<'_>, on: bool) -> Result<()> {
    rustix::net::sockopt::set_socket_reuseport(socket, on)
}

pub(crate) fn set_defer_accept(socket: BorrowedFd<'_>, wait: Duration) -> Result<()> {
    // The kernel counts whole seconds; a part of one is a wait, not none.
    let seconds = wait
        .as_secs()
        .saturating_add(u64::from(wait.subsec_nanos() > 0));
    let seconds = libc::c_int::try_from(seconds).unwrap_or(libc::c_int::MAX);
    // SAFETY: the value is a live int and its length is given; the kernel only reads it.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_DEFER_ACCEPT,
            (&raw const seconds).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
    }
}
