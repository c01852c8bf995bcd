//! A socket of any kind.

mod kind;
pub(crate) mod methods;
pub(crate) mod ops;

pub use kind::{Domain, Kind, Protocol};
pub use ops::{Received, Shutdown};

use crate::clock::Deadline;
use crate::sys;
use crate::{Address, Error, Operation, io};
use core::time::Duration;
use rustix::event::PollFlags;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;

/// A non-blocking socket of any domain, type and protocol: what the typed sockets are made of, for those who need another kind.
///
/// Its descriptor is closed on drop and in programs that the process starts. Every call is one system call and allocates
/// nothing; an interrupted one (`EINTR`) is repeated, and a peer that is gone is an error, never a SIGPIPE.
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

    /// A socket that is bound to nothing and connected to nothing. socket(2).
    ///
    /// # Errors
    /// The system does not have this combination, a raw socket needs `CAP_NET_RAW`, no descriptor is left.
    pub fn new(domain: Domain, kind: Kind, protocol: Protocol) -> Result<Socket, Error> {
        match sys::socket::open(domain.inner(), kind.inner(), protocol.inner()) {
            Ok(socket) => Ok(Socket { socket }),
            Err(cause) => Err(Error::new(Operation::Open, None, cause)),
        }
    }

    /// Two Unix sockets that are connected to each other. socketpair(2).
    ///
    /// # Errors
    /// The kind does not exist for Unix sockets, no descriptor is left.
    pub fn pair(kind: Kind) -> Result<(Socket, Socket), Error> {
        match sys::socket::pair(kind.inner()) {
            Ok((one, two)) => Ok((Socket { socket: one }, Socket { socket: two })),
            Err(cause) => Err(Error::new(Operation::Open, None, cause)),
        }
    }

    /// Gives the socket its local address. bind(2).
    ///
    /// # Errors
    /// With the address and the remedy: in use, not of this machine, a privileged port.
    pub fn bind(&self, address: &Address) -> Result<(), Error> {
        let failed = |cause: io::Error| Error::new(Operation::Bind, address, cause);
        rustix::net::bind(&self.socket, &address.to_raw().map_err(failed)?).map_err(|cause| failed(cause.into()))
    }

    /// Starts to take connections, of which `backlog` may wait to be accepted. listen(2).
    ///
    /// # Errors
    /// The kind of socket takes no connections; the address is in use.
    pub fn listen(&self, backlog: u32) -> Result<(), Error> {
        let backlog = i32::try_from(backlog).unwrap_or(i32::MAX);
        rustix::net::listen(&self.socket, backlog).map_err(|cause| Error::new(Operation::Listen, None, cause))
    }

    /// Takes the next connection that waits, and the peer's address. accept4(2).
    ///
    /// # Errors
    /// As [`TcpListener::accept`](crate::TcpListener::accept).
    pub fn accept(&self) -> io::Result<(Socket, Address)> {
        let (socket, peer) = ops::accept(self.socket.as_fd())?;
        Ok((Socket { socket }, Address::from_raw_or_unnamed(peer)))
    }

    /// Waits for a connection no longer than `limit`. On a socket in blocking mode the call may wait longer, if another thread
    /// or process accepts the connection first.
    ///
    /// # Errors
    /// As [`accept`](Socket::accept), and `ETIMEDOUT` when the time is over.
    pub fn accept_timeout(&self, limit: Duration) -> Result<(Socket, Address), Error> {
        let (socket, peer) = ops::accept_by(self.socket.as_fd(), Deadline::after(limit))
            .map_err(|cause| Error::new(Operation::Accept, None, cause))?;
        Ok((Socket { socket }, Address::from_raw_or_unnamed(peer)))
    }

    /// Starts to connect to `address` and does not wait: the socket is writable when the attempt is over, and
    /// [`take_error`](Socket::take_error) says how it ended. A datagram socket is connected at once. connect(2).
    ///
    /// # Errors
    /// With the address and the remedy, as far as it is known at once.
    pub fn start_connect(&self, address: &Address) -> Result<(), Error> {
        ops::start_connect(self.socket.as_fd(), address)
    }

    /// Connects to `address` and waits for it, no longer than `limit` if there is one. (A socket that was set to block waits as
    /// long as the system does.)
    ///
    /// # Errors
    /// With the address and the remedy: refused, unreachable, timed out.
    pub fn connect(&self, address: &Address, limit: Option<Duration>) -> Result<(), Error> {
        ops::start_connect(self.socket.as_fd(), address)?;
        ops::finish_connect(self.socket.as_fd(), address, limit.and_then(Deadline::after))
    }

    /// The address of this side.
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn local_address(&self) -> io::Result<Address> {
        Ok(Address::from_raw(&rustix::net::getsockname(&self.socket)?))
    }

    /// The peer's address.
    ///
    /// # Errors
    /// `ENOTCONN` if there is no connection (any more).
    pub fn peer_address(&self) -> io::Result<Address> {
        Ok(Address::from_raw_or_unnamed(rustix::net::getpeername(&self.socket)?))
    }
}

methods::common!(Socket, "it may be a socket of any kind");
methods::stream!(Socket);
methods::std_stream!(Socket);
methods::datagram!(Socket);

/// Waits until a socket is readable (or has ended, or failed), no longer than `limit`; false when the time is over.
///
/// For the odd wait of a client or a test; a server waits with a [`Poller`](crate::Poller). ppoll(2).
///
/// # Errors
/// What the system reports; nothing in normal operation.
pub fn wait_readable(source: &impl AsFd, limit: Option<Duration>) -> io::Result<bool> {
    wait(source, PollFlags::IN, limit)
}

/// Waits until a socket is writable (or has failed), no longer than `limit`; false when the time is over. ppoll(2).
///
/// # Errors
/// What the system reports; nothing in normal operation.
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
