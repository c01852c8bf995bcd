//! The side that accepts.

use crate::clock::Deadline;
use crate::socket::{methods, ops};
use crate::tcp::{TcpStream, family, ip_address};
use crate::{Error, ListenOptions, Operation, io, sys};
use core::net::SocketAddr;
use core::time::Duration;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::SocketType;

/// A non-blocking socket that accepts TCP connections.
///
/// Its descriptor is closed on drop and in programs that the process starts.
#[derive(Debug)]
pub struct TcpListener {
    socket: OwnedFd,
}

impl TcpListener {
    /// Listens on `address`. Port 0 lets the system choose one; [`local_addr`](TcpListener::local_addr) returns it. `[::]`
    /// listens for IPv4 too unless [`only_v6`](ListenOptions::only_v6) or the system restricts it.
    ///
    /// # Errors
    /// With the address and the remedy: the address is in use or not of this machine, the port needs a privilege, an option is
    /// unknown to the system, no descriptor is left.
    pub fn bind(address: SocketAddr, options: &ListenOptions) -> Result<TcpListener, Error> {
        let failed = |operation| move |cause: Errno| Error::new(operation, address, cause);
        let socket = sys::socket::open(family(address), SocketType::STREAM, None).map_err(failed(Operation::Open))?;
        options.apply(socket.as_fd(), address)?;
        rustix::net::bind(&socket, &address).map_err(failed(Operation::Bind))?;
        rustix::net::listen(&socket, options.backlog_connections()).map_err(failed(Operation::Listen))?;
        Ok(TcpListener { socket })
    }

    /// Takes the next connection that waits, and the peer's address. The stream is non-blocking and closed in programs that
    /// the process starts: on Linux all by one call, accept4(2).
    ///
    /// # Errors
    /// `WouldBlock` if none waits. `EMFILE` and `ENFILE` if no descriptor is left: the connection stays and can be accepted
    /// later, so pause accepting (the listener stays readable) until descriptors have been closed. `ECONNABORTED` if the
    /// connection was gone before it could be taken: go on with the next. On Linux, errors of the connection's network
    /// (`ENETDOWN`, `EPROTO`, `EHOSTUNREACH` and others) come up here too and mean the same.
    #[inline]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = ops::accept(self.socket.as_fd())?;
        Ok((TcpStream::from(socket), ip_address(peer)?))
    }

    /// Waits for a connection no longer than `limit`. On a socket in blocking mode the call may wait longer, if another thread
    /// or process accepts the connection first.
    ///
    /// # Errors
    /// As [`accept`](TcpListener::accept), and `ETIMEDOUT` when the time is over.
    pub fn accept_timeout(&self, limit: Duration) -> Result<(TcpStream, SocketAddr), Error> {
        let failed = |cause: io::Error| Error::new(Operation::Accept, self.local_addr().ok(), cause);
        let (socket, peer) =
            ops::accept_by(self.socket.as_fd(), Deadline::after(limit)).map_err(|cause| failed(cause.into()))?;
        Ok((TcpStream::from(socket), ip_address(peer).map_err(failed)?))
    }

    /// The address that the socket listens on.
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        ip_address(Some(rustix::net::getsockname(&self.socket)?))
    }
}

methods::common!(TcpListener, "it should be a listening TCP socket");
methods::socket_conversions!(TcpListener);
methods::std_conversions!(TcpListener, std::net::TcpListener);
