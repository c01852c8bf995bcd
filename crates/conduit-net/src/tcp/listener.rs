//! The side that accepts.

use crate::sys;
use crate::tcp::TcpStream;
use crate::{Error, ListenOptions, Operation};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// A non-blocking socket that accepts TCP connections.
///
/// Its descriptor is closed on drop and in programs that the process starts.
#[derive(Debug)]
pub struct TcpListener {
    socket: OwnedFd,
}

impl TcpListener {
    /// Listens on `address`. Port 0 lets the system choose one; [`local_addr`](TcpListener::local_addr) tells it. `[::]`
    /// listens for IPv4 too unless [`only_v6`](ListenOptions::only_v6) says otherwise or the system does.
    ///
    /// # Errors
    /// With the address and the remedy: the address is in use or not of this machine, the port needs a privilege, an option is
    /// unknown to the system, no descriptor is left.
    pub fn bind(address: SocketAddr, options: &ListenOptions) -> Result<TcpListener, Error> {
        let failed = |operation| move |cause: Errno| Error::new(operation, address, cause);
        let socket = sys::socket::stream(family(address)).map_err(failed(Operation::Open))?;
        options.apply(socket.as_fd(), address)?;
        rustix::net::bind(&socket, &address).map_err(failed(Operation::Bind))?;
        rustix::net::listen(&socket, options.backlog_connections())
            .map_err(failed(Operation::Listen))?;
        Ok(TcpListener { socket })
    }

    /// Takes the next connection that waits, and the peer's address. The stream is non-blocking and closed in programs that
    /// the process starts: on Linux all by one call, accept4(2).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if none waits. `EMFILE` and `ENFILE` if no descriptor is left: the connection
    /// stays and can be accepted later, so pause accepting (the listener stays readable) until descriptors have been closed.
    /// `ECONNABORTED` if the connection was gone before it could be taken: go on with the next. On Linux, errors of the
    /// connection's network (`ENETDOWN`, `EPROTO`, `EHOSTUNREACH` and others) come up here too and mean the same.
    #[inline]
    pub fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, peer) =
            rustix::io::retry_on_intr(|| sys::socket::accept(self.socket.as_fd()))?;
        Ok((TcpStream::from(socket), ip_address(peer)?))
    }

    /// The address that the socket listens on.
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        ip_address(Some(rustix::net::getsockname(&self.socket)?))
    }

    /// The error that waits on the socket, taken off it (`SO_ERROR`).
    ///
    /// # Errors
    /// When the option cannot be read.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(rustix::net::sockopt::socket_error(&self.socket)?
            .err()
            .map(io::Error::from))
    }
}

impl AsFd for TcpListener {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for TcpListener {
    #[inline]
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl From<TcpListener> for OwnedFd {
    fn from(listener: TcpListener) -> OwnedFd {
        listener.socket
    }
}

/// The descriptor is taken as it is: it should be a listening TCP socket, and in non-blocking mode where it is polled.
impl From<OwnedFd> for TcpListener {
    fn from(socket: OwnedFd) -> TcpListener {
        TcpListener { socket }
    }
}

/// The listener stays in non-blocking mode.
impl From<TcpListener> for std::net::TcpListener {
    fn from(listener: TcpListener) -> std::net::TcpListener {
        listener.socket.into()
    }
}

impl TryFrom<std::net::TcpListener> for TcpListener {
    type Error = io::Error;

    /// Takes the socket over and puts it into non-blocking mode.
    fn try_from(listener: std::net::TcpListener) -> io::Result<TcpListener> {
        listener.set_nonblocking(true)?;
        Ok(TcpListener {
            socket: listener.into(),
        })
    }
}

pub(crate) fn family(address: SocketAddr) -> AddressFamily {
    match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

#[inline]
pub(crate) fn ip_address(address: Option<SocketAddrAny>) -> io::Result<SocketAddr> {
    Ok(SocketAddr::try_from(address.ok_or(Errno::AFNOSUPPORT)?)?)
}
