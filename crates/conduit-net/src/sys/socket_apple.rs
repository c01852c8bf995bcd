//! Sockets on macOS and its kin: no flags at creation, and no `MSG_NOSIGNAL`, so each new socket is set up in further calls.

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{Errno, FdFlags, Result, fcntl_setfd};
use rustix::net::{AddressFamily, SendFlags, SocketAddrAny, SocketType};
use std::time::Duration;

/// `SO_NOSIGPIPE` is set on every socket instead.
pub(crate) const SEND_FLAGS: SendFlags = SendFlags::empty();

pub(crate) fn stream(family: AddressFamily) -> Result<OwnedFd> {
    set_up(rustix::net::socket(family, SocketType::STREAM, None)?)
}

pub(crate) fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, Option<SocketAddrAny>)> {
    let (socket, address) = rustix::net::acceptfrom(listener)?;
    Ok((set_up(socket)?, address))
}

pub(crate) fn set_reuse_port(socket: BorrowedFd<'_>, on: bool) -> Result<()> {
    // It lets sockets share a port but does not balance between them; one shared listener is the way to spread load here.
    rustix::net::sockopt::set_socket_reuseport(socket, on)
}

pub(crate) fn set_defer_accept(_socket: BorrowedFd<'_>, _wait: Duration) -> Result<()> {
    Err(Errno::OPNOTSUPP)
}

fn set_up(socket: OwnedFd) -> Result<OwnedFd> {
    fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
    fcntl_setfl(&socket, fcntl_getfl(&socket)? | OFlags::NONBLOCK)?;
    rustix::net::sockopt::set_socket_nosigpipe(&socket, true)?;
    Ok(socket)
}
