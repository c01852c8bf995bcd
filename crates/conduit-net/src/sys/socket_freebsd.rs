//! Sockets on FreeBSD: as on its kin, and `SO_REUSEPORT_LB` shares a port fairly between listeners.

use rustix::fd::{BorrowedFd, OwnedFd};
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
    // Plain SO_REUSEPORT lets sockets share a port but does not balance between them.
    rustix::net::sockopt::set_socket_reuseport_lb(socket, on)
}

pub(crate) fn set_defer_accept(_socket: BorrowedFd<'_>, _wait: Duration) -> Result<()> {
    Err(Errno::OPNOTSUPP)
}
