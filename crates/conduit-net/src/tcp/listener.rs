//! TCP listeners.

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
/// The descriptor is closed on drop and is close-on-exec.
#[derive(Debug)]
pub struct TcpListener {
    socket: OwnedFd,
}

impl TcpListener {
    /// Listens on `address`. With port 0 the system selects a port, which [`local_addr`](TcpListener::local_addr)
    /// returns. `[::]` also accepts IPv4 unless [`only_v6`](ListenOptions::only_v6) or the system's default excludes
    /// it.
    ///
    /// # Errors
    /// The address is in use or not of this machine, the port requires a privilege, the system lacks an option, or no
    /// descriptor is available. The error contains the address and the remedy.
    pub fn bind(address: SocketAddr, options: &ListenOptions) -> Result<TcpListener, Error> {
        let failed = |operation| move |cause: Errno| Error::new(operation, address, cause);
        let socket = sys::socket::open(family(address), SocketType::STREAM, None).map_err(failed(Operation::Open))?;
        options.apply(socket.as_fd(), address)?;
        rustix::net::bind(&socket, &address).map_err(failed(Operation::Bind))?;
        rustix::net::listen(&socket, options.backlog_connections()).map_err(failed(Operation::Listen))?;
        Ok(TcpListener { socket })
    }

    /// Accepts the next connection and returns the address of the peer. The stream is non-blocking and close-on-exec,
    /// on Linux by a single call, accept4(2).
    ///
    /// # Errors
    /// - `WouldBlock`: no connection is pending.
    /// - `EMFILE`, `ENFILE`: no descriptor is available. The connection remains in the queue and the listener readable:
    ///   pause accepting until descriptors have been closed.
    /// - `ECONNABORTED`: the peer closed the connection before it was accepted; continue with the next one. On Linux,
    ///   network errors of the connection are returned here too, with the same meaning:
    ///   [`can_accept_after`](crate::can_accept_after) has the list. accept(2).
    #[inline]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) = ops::accept(self.socket.as_fd())?;
        Ok((TcpStream::from(socket), ip_address(peer)?))
    }

    /// Waits at most `limit` for a connection, and continues with the next one after an error of a single connection. On
    /// a socket in blocking mode the call may wait longer, if another thread or process accepts the connection first.
    ///
    /// # Errors
    /// As [`accept`](TcpListener::accept) except for those of a single connection, and `ETIMEDOUT` if `limit` elapses.
    pub fn accept_timeout(&self, limit: Duration) -> Result<(TcpStream, SocketAddr), Error> {
        let failed = |cause: io::Error| Error::new(Operation::Accept, self.local_addr().ok(), cause);
        let (socket, peer) =
            ops::accept_by(self.socket.as_fd(), Deadline::after(limit)).map_err(|cause| failed(cause.into()))?;
        Ok((TcpStream::from(socket), ip_address(peer).map_err(failed)?))
    }

    /// The local address.
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        ip_address(Some(rustix::net::getsockname(&self.socket)?))
    }
}

methods::common!(TcpListener, "it should be a listening TCP socket");
methods::socket_conversions!(TcpListener);
methods::std_conversions!(TcpListener, std::net::TcpListener);
