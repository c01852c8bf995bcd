//! Sockets on macOS and iOS: there are no flags at creation and no `MSG_NOSIGNAL`, so further calls set up each new
//! socket.

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::{Errno, FdFlags, Result, fcntl_setfd, ioctl_fionbio};
use rustix::net::{AddressFamily, Protocol, SendFlags, SocketAddrAny, SocketFlags, SocketType};

/// `SO_NOSIGPIPE` is set on every socket instead.
pub(crate) const SEND_FLAGS: SendFlags = SendFlags::empty();

/// Empty: macOS has no flag that makes received descriptors close-on-exec atomically.
pub(crate) const RECEIVE_FLAGS: libc::c_int = 0;

pub(crate) fn open(family: AddressFamily, kind: SocketType, protocol: Option<Protocol>) -> Result<OwnedFd> {
    set_up(rustix::net::socket(family, kind, protocol)?)
}

pub(crate) fn pair(kind: SocketType) -> Result<(OwnedFd, OwnedFd)> {
    let (one, two) = rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::empty(), None)?;
    Ok((set_up(one)?, set_up(two)?))
}

pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, Option<SocketAddrAny>)> {
    let (socket, address) = rustix::net::acceptfrom(listener)?;
    match set_up(socket) {
        // The system rejects options of a socket whose client has already closed.
        Err(Errno::INVAL) => Err(Errno::CONNABORTED),
        socket => Ok((socket?, address)),
    }
}

fn set_up(socket: OwnedFd) -> Result<OwnedFd> {
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    ioctl_fionbio(&socket, true)?;
    rustix::net::sockopt::set_socket_nosigpipe(&socket, true)?;
    Ok(socket)
}
