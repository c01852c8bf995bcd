//! Sockets whose flags are set by the call that creates them, so that creation is one system call.

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Result;
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketAddrAny, SocketFlags, SocketType};

const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// Sending to a closed connection is an error, not a signal that ends the process.
pub(crate) const SEND_FLAGS: SendFlags = SendFlags::NOSIGNAL;

/// Received descriptors are close-on-exec from the start.
pub(crate) const RECEIVE_FLAGS: libc::c_int = libc::MSG_CMSG_CLOEXEC;

pub(crate) fn open(family: AddressFamily, kind: SocketType, protocol: Option<Protocol>) -> Result<OwnedFd> {
    rustix::net::socket_with(family, kind, FLAGS, protocol)
}

pub(crate) fn pair(kind: SocketType) -> Result<(OwnedFd, OwnedFd)> {
    rustix::net::socketpair(AddressFamily::UNIX, kind, FLAGS, None)
}

pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, Option<SocketAddrAny>)> {
    rustix::net::acceptfrom_with(listener, FLAGS)
}
