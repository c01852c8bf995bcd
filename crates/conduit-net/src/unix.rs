//! Unix domain sockets: unix(7).

use crate::clock::Deadline;
use crate::socket::{methods, ops};
use crate::{Address, Domain, Error, Kind, Operation, Protocol, Socket, UnixAddress, io};
use core::time::Duration;
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::RecvFlags;

/// A non-blocking Unix socket that accepts connections.
///
/// Dropping the listener does not remove the file of its path: remove it when the server ends, or before binding again.
#[derive(Debug)]
pub struct UnixListener {
    socket: OwnedFd,
}

/// A non-blocking connection between processes of one machine. It can pass descriptors:
/// [`SendControl::push_descriptors`](crate::SendControl::push_descriptors).
#[derive(Debug)]
pub struct UnixStream {
    socket: OwnedFd,
}

/// A non-blocking Unix socket for datagrams, which are delivered reliably and in order.
#[derive(Debug)]
pub struct UnixDatagram {
    socket: OwnedFd,
}

impl UnixListener {
    /// Listens on a path or name, with a backlog of 4096 connections.
    ///
    /// # Errors
    /// The path is in use, its directory does not exist, or permission is denied. The error contains the path and the
    /// remedy.
    pub fn bind(address: &UnixAddress) -> Result<UnixListener, Error> {
        let address = Address::from(address.clone());
        let socket = Socket::new(Domain::UNIX, Kind::STREAM, Protocol::DEFAULT)?;
        socket.bind(&address)?;
        socket.listen(4096).map_err(|error| error.on(&address))?;
        Ok(socket.into())
    }

    /// Accepts the next connection and returns the address of the peer, which is usually unnamed. accept4(2).
    ///
    /// # Errors
    /// As [`TcpListener::accept`](crate::TcpListener::accept).
    pub fn accept(&self) -> io::Result<(UnixStream, UnixAddress)> {
        let (socket, peer) = ops::accept(self.socket.as_fd())?;
        Ok((UnixStream { socket }, unix_address(Address::from_raw_or_unnamed(peer))))
    }

    /// Waits at most `limit` for a connection, and continues with the next one after an error of a single connection. On
    /// a socket in blocking mode the call may wait longer, if another thread or process accepts the connection first.
    ///
    /// # Errors
    /// As [`accept`](UnixListener::accept) except for those of a single connection, and `ETIMEDOUT` if `limit` elapses.
    pub fn accept_timeout(&self, limit: Duration) -> Result<(UnixStream, UnixAddress), Error> {
        let failed = |cause: rustix::io::Errno| Error::new(Operation::Accept, None, cause);
        let (socket, peer) = ops::accept_by(self.socket.as_fd(), Deadline::after(limit)).map_err(failed)?;
        Ok((UnixStream { socket }, unix_address(Address::from_raw_or_unnamed(peer))))
    }

    /// The path or name of the listener.
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn local_addr(&self) -> io::Result<UnixAddress> {
        local(self.socket.as_fd())
    }
}

impl UnixStream {
    /// Connects to a path or name. The call does not wait: it returns `WouldBlock` if the backlog of the listener is
    /// full.
    ///
    /// # Errors
    /// The path does not exist, no server listens on it, or permission is denied. The error contains the path and the
    /// remedy.
    pub fn connect(address: &UnixAddress) -> Result<UnixStream, Error> {
        let socket = Socket::new(Domain::UNIX, Kind::STREAM, Protocol::DEFAULT)?;
        socket.start_connect(&address.clone().into())?;
        Ok(socket.into())
    }

    /// Two connected streams. socketpair(2).
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if no descriptor is available.
    pub fn pair() -> Result<(UnixStream, UnixStream), Error> {
        let (one, two) = Socket::pair(Kind::STREAM)?;
        Ok((one.into(), two.into()))
    }

    /// The local address, which is usually unnamed.
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn local_addr(&self) -> io::Result<UnixAddress> {
        local(self.socket.as_fd())
    }

    /// The address of the peer; unnamed on the accepting side.
    ///
    /// # Errors
    /// `NotConnected` if the socket is not connected.
    pub fn peer_addr(&self) -> io::Result<UnixAddress> {
        Ok(unix_address(Address::from_raw_or_unnamed(rustix::net::getpeername(
            &self.socket,
        )?)))
    }

    /// The number of sent bytes that the peer has not received yet. Linux counts the memory that contains them, which
    /// is larger, and 0 if the peer has received everything. Otherwise as
    /// [`TcpStream::outgoing_bytes`](crate::TcpStream::outgoing_bytes).
    ///
    /// # Errors
    /// `Unsupported` if the system does not report it.
    pub fn outgoing_bytes(&self) -> io::Result<usize> {
        Ok(crate::sys::queue::outgoing_bytes(self.socket.as_fd())?)
    }
}

impl UnixDatagram {
    /// Binds to a path or name.
    ///
    /// # Errors
    /// As [`UnixListener::bind`].
    pub fn bind(address: &UnixAddress) -> Result<UnixDatagram, Error> {
        let socket = Socket::new(Domain::UNIX, Kind::DATAGRAM, Protocol::DEFAULT)?;
        socket.bind(&address.clone().into())?;
        Ok(socket.into())
    }

    /// A socket without an address. It can send, and it receives after it is connected.
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if no descriptor is available.
    pub fn unbound() -> Result<UnixDatagram, Error> {
        Ok(Socket::new(Domain::UNIX, Kind::DATAGRAM, Protocol::DEFAULT)?.into())
    }

    /// Two connected sockets. socketpair(2).
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if no descriptor is available.
    pub fn pair() -> Result<(UnixDatagram, UnixDatagram), Error> {
        let (one, two) = Socket::pair(Kind::DATAGRAM)?;
        Ok((one.into(), two.into()))
    }

    /// Sets the peer, as [`UdpSocket::connect`](crate::UdpSocket::connect).
    ///
    /// # Errors
    /// The error contains the path and the remedy.
    pub fn connect(&self, address: &UnixAddress) -> Result<(), Error> {
        ops::start_connect(self.socket.as_fd(), &address.clone().into())
    }

    /// Receives one message and the address of its sender. A longer message is truncated to `buffer`.
    ///
    /// # Errors
    /// `WouldBlock` if no message is available.
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, UnixAddress)> {
        let (count, from) = ops::recv_from(self.socket.as_fd(), buffer, RecvFlags::empty())?;
        Ok((count, unix_address(Address::from_raw_or_unnamed(from))))
    }

    /// Sends one message to a path or name.
    ///
    /// # Errors
    /// `WouldBlock` if the queue of the receiver is full; `ConnectionRefused` or `NotFound` if the receiver does not
    /// exist.
    pub fn send_to(&self, bytes: &[u8], to: &UnixAddress) -> io::Result<usize> {
        ops::send_to(self.socket.as_fd(), bytes, &to.clone().into())
    }

    /// The local address.
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn local_addr(&self) -> io::Result<UnixAddress> {
        local(self.socket.as_fd())
    }
}

fn local(socket: rustix::fd::BorrowedFd<'_>) -> io::Result<UnixAddress> {
    Ok(unix_address(Address::from_raw(&rustix::net::getsockname(socket)?)))
}

fn unix_address(address: Address) -> UnixAddress {
    match address {
        Address::Unix(address) => address,
        _ => UnixAddress::unnamed(),
    }
}

methods::common!(UnixListener, "it should be a listening Unix socket");
methods::socket_conversions!(UnixListener);
methods::std_conversions!(UnixListener, std::os::unix::net::UnixListener);
methods::common!(UnixStream, "it should be a Unix connection");
methods::stream!(UnixStream);
methods::std_stream!(UnixStream);
methods::socket_conversions!(UnixStream);
methods::std_conversions!(UnixStream, std::os::unix::net::UnixStream);
methods::common!(UnixDatagram, "it should be a Unix socket for messages");
methods::stream!(UnixDatagram);
methods::datagram!(UnixDatagram);
methods::socket_conversions!(UnixDatagram);
methods::std_conversions!(UnixDatagram, std::os::unix::net::UnixDatagram);
