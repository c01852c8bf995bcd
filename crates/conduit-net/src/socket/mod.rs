//! A socket of any kind.

#[cfg(feature = "std")]
mod conversions;
mod kind;
pub(crate) mod methods;
pub(crate) mod ops;

pub use kind::{Domain, Kind, Protocol};
pub use ops::{Received, Shutdown, can_accept_after};

use crate::clock::Deadline;
use crate::sys;
use crate::{Address, Error, Operation, io};
use core::time::Duration;
use rustix::event::PollFlags;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;

/// A non-blocking socket of any domain, type and protocol. The typed sockets are based on it; use it for other kinds.
///
/// The descriptor is closed on drop and is close-on-exec. Each call is one system call without allocation, repeated if
/// it is interrupted (`EINTR`). A closed connection is an error, never a SIGPIPE.
///
/// ```
/// use conduit_net::{Address, Domain, Kind, Protocol, Socket};
/// let socket = Socket::new(Domain::V4, Kind::DATAGRAM, Protocol::DEFAULT)?;
/// socket.bind(&Address::Ip("127.0.0.1:0".parse()?))?;
/// assert_ne!(socket.local_address()?.as_ip().unwrap().port(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Socket {
    socket: OwnedFd,
}

impl Socket {
    /// An IPv4 stream, which is TCP: `Socket::new(Domain::V4, Kind::STREAM, Protocol::DEFAULT)`.
    ///
    /// # Errors
    /// As [`new`](Socket::new).
    pub fn stream() -> Result<Socket, Error> {
        Socket::new(Domain::V4, Kind::STREAM, Protocol::DEFAULT)
    }

    /// A socket that is neither bound nor connected. socket(2).
    ///
    /// # Errors
    /// The system does not support the combination, a raw socket requires `CAP_NET_RAW`, or no descriptor is available.
    pub fn new(domain: Domain, kind: Kind, protocol: Protocol) -> Result<Socket, Error> {
        match sys::socket::open(domain.inner(), kind.inner(), protocol.inner()) {
            Ok(socket) => Ok(Socket { socket }),
            Err(cause) => Err(Error::new(Operation::Open, None, cause)),
        }
    }

    /// Two connected Unix sockets. socketpair(2).
    ///
    /// # Errors
    /// Unix sockets do not support the kind, or no descriptor is available.
    pub fn pair(kind: Kind) -> Result<(Socket, Socket), Error> {
        match sys::socket::pair(kind.inner()) {
            Ok((one, two)) => Ok((Socket { socket: one }, Socket { socket: two })),
            Err(cause) => Err(Error::new(Operation::Open, None, cause)),
        }
    }

    /// Binds the socket to a local address. bind(2).
    ///
    /// # Errors
    /// The address is in use or not of this machine, or the port requires a privilege. The error contains the address
    /// and the remedy.
    pub fn bind(&self, address: &Address) -> Result<(), Error> {
        let failed = |cause: io::Error| Error::new(Operation::Bind, address, cause);
        rustix::net::bind(&self.socket, &address.to_raw().map_err(failed)?).map_err(|cause| failed(cause.into()))
    }

    /// Listens for connections, with at most `backlog` in the accept queue. listen(2).
    ///
    /// # Errors
    /// The kind of socket does not accept connections, or the address is in use.
    pub fn listen(&self, backlog: u32) -> Result<(), Error> {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        rustix::net::listen(&self.socket, backlog).map_err(|cause| Error::new(Operation::Listen, None, cause))
    }

    /// Accepts the next connection and returns the address of the peer. accept4(2).
    ///
    /// # Errors
    /// As [`TcpListener::accept`](crate::TcpListener::accept).
    pub fn accept(&self) -> io::Result<(Socket, Address)> {
        let (socket, peer) = ops::accept(self.socket.as_fd())?;
        Ok((Socket { socket }, Address::from_raw_or_unnamed(peer)))
    }

    /// Waits at most `limit` for a connection, and continues with the next one after an error of a single connection. On
    /// a socket in blocking mode the call may wait longer, if another thread or process accepts the connection first.
    ///
    /// # Errors
    /// As [`accept`](Socket::accept) except for those of a single connection, and `ETIMEDOUT` if `limit` elapses.
    pub fn accept_timeout(&self, limit: Duration) -> Result<(Socket, Address), Error> {
        let (socket, peer) = ops::accept_by(self.socket.as_fd(), Deadline::after(limit))
            .map_err(|cause| Error::new(Operation::Accept, None, cause))?;
        Ok((Socket { socket }, Address::from_raw_or_unnamed(peer)))
    }

    /// Starts to connect to `address` without waiting: the socket is writable at the end of the attempt, and
    /// [`take_error`](Socket::take_error) returns its result. A datagram socket is connected at once. connect(2).
    ///
    /// # Errors
    /// The attempt fails at once. The error contains the address and the remedy.
    pub fn start_connect(&self, address: &Address) -> Result<(), Error> {
        ops::start_connect(self.socket.as_fd(), address)
    }

    /// Connects to `address`, and waits at most `limit`, if there is one. A socket in blocking mode waits until the
    /// system times out.
    ///
    /// # Errors
    /// The connection is refused, unreachable or timed out. The error contains the address and the remedy.
    pub fn connect(&self, address: &Address, limit: Option<Duration>) -> Result<(), Error> {
        ops::start_connect(self.socket.as_fd(), address)?;
        ops::finish_connect(self.socket.as_fd(), address, limit.and_then(Deadline::after))
    }

    /// The local address.
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn local_address(&self) -> io::Result<Address> {
        Ok(Address::from_raw(&rustix::net::getsockname(&self.socket)?))
    }

    /// The address of the peer.
    ///
    /// # Errors
    /// `ENOTCONN` if the socket is not connected.
    pub fn peer_address(&self) -> io::Result<Address> {
        Ok(Address::from_raw_or_unnamed(rustix::net::getpeername(&self.socket)?))
    }
}

methods::common!(Socket, "it may be a socket of any kind");
methods::stream!(Socket);
methods::std_stream!(Socket);
methods::datagram!(Socket);

/// Waits at most `limit` until a socket is readable, closed or failed; returns `false` if `limit` elapses. ppoll(2).
///
/// It is meant for clients and tests; a server waits with a [`Poller`](crate::Poller).
///
/// # Errors
/// An error of the system; none is expected in normal operation.
pub fn wait_readable(source: &impl AsFd, limit: Option<Duration>) -> io::Result<bool> {
    wait(source, PollFlags::IN, limit)
}

/// Waits at most `limit` until a socket is writable or failed; returns `false` if `limit` elapses. ppoll(2).
///
/// # Errors
/// An error of the system; none is expected in normal operation.
pub fn wait_writable(source: &impl AsFd, limit: Option<Duration>) -> io::Result<bool> {
    wait(source, PollFlags::OUT, limit)
}

fn wait(source: &impl AsFd, flags: PollFlags, limit: Option<Duration>) -> io::Result<bool> {
    match ops::wait(source.as_fd(), flags, limit.and_then(Deadline::after)) {
        Ok(()) => Ok(true),
        Err(Errno::TIMEDOUT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
