//! A connection.

use crate::clock::Deadline;
use crate::option::{self, Options};
use crate::socket::{methods, ops};
use crate::tcp::{family, ip_address};
use crate::{Address, Error, KeepAlive, Operation, io, sys};
use core::net::SocketAddr;
use core::time::Duration;
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::SocketType;

/// A non-blocking TCP connection.
///
/// Each call is one system call and allocates nothing; an interrupted one (`EINTR`) is repeated. Its descriptor is closed on
/// drop and in programs that the process starts.
#[derive(Debug)]
pub struct TcpStream {
    socket: OwnedFd,
}

impl TcpStream {
    /// Connects to `address` and waits until the connection is established or the system gives up (about two minutes on
    /// Linux). The stream is non-blocking from then on.
    ///
    /// # Errors
    /// With the address and the remedy: refused, unreachable, timed out, no descriptor left.
    pub fn connect(address: SocketAddr) -> Result<TcpStream, Error> {
        let stream = TcpStream::start_connect(address)?;
        stream.finish_connect(address, None)?;
        Ok(stream)
    }

    /// Connects to `address` and waits for it no longer than `limit`.
    ///
    /// # Errors
    /// As [`connect`](TcpStream::connect), and `ETIMEDOUT` when the time is over.
    pub fn connect_timeout(address: SocketAddr, limit: Duration) -> Result<TcpStream, Error> {
        let deadline = Deadline::after(limit);
        let stream = TcpStream::start_connect(address)?;
        stream.finish_connect(address, deadline)?;
        Ok(stream)
    }

    /// Starts to connect to `address` and does not wait. The stream becomes writable when the attempt is over;
    /// [`take_error`](TcpStream::take_error) then says how it ended.
    ///
    /// # Errors
    /// As [`connect`](TcpStream::connect), as far as it is known at once.
    pub fn start_connect(address: SocketAddr) -> Result<TcpStream, Error> {
        let socket = sys::socket::open(family(address), SocketType::STREAM, None)
            .map_err(|cause| Error::new(Operation::Open, address, cause))?;
        ops::start_connect(socket.as_fd(), &Address::Ip(address))?;
        Ok(TcpStream { socket })
    }

    /// The peer's address.
    ///
    /// # Errors
    /// `NotConnected` if there is no connection (any more).
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        ip_address(rustix::net::getpeername(&self.socket)?)
    }

    /// The address of this side.
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        ip_address(Some(rustix::net::getsockname(&self.socket)?))
    }

    /// Sends small pieces at once instead of after the acknowledgement of the last (`TCP_NODELAY`). System default: off.
    /// tcp(7).
    ///
    /// # Errors
    /// `EINVAL` on some systems once the connection is gone.
    pub fn set_no_delay(&self, on: bool) -> io::Result<()> {
        plain(self.set_option(option::NO_DELAY, on))
    }

    /// Reads [`set_no_delay`](TcpStream::set_no_delay).
    ///
    /// # Errors
    /// As for setting it.
    pub fn no_delay(&self) -> io::Result<bool> {
        plain(self.option(option::NO_DELAY))
    }

    /// Probes the connection while it is idle; `None` stops that (`SO_KEEPALIVE`). System default: off. tcp(7).
    ///
    /// # Errors
    /// `EINVAL` for a time of zero or more than 32,767 s, or a count above 127 (Linux).
    pub fn set_keep_alive(&self, probes: Option<&KeepAlive>) -> io::Result<()> {
        plain(match probes {
            Some(probes) => probes.apply(self),
            None => self.set_option(option::KEEP_ALIVE, false),
        })
    }

    /// Probes the connection while it is idle.
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn keep_alive(&self) -> io::Result<bool> {
        plain(self.option(option::KEEP_ALIVE))
    }

    /// The time that closing waits for unsent bytes, in whole seconds; zero resets the connection instead; `None`, the default,
    /// closes at once and lets the system send what is left (`SO_LINGER`). socket(7).
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn set_linger(&self, limit: Option<Duration>) -> io::Result<()> {
        plain(self.set_option(option::LINGER, limit))
    }

    /// Reads [`set_linger`](TcpStream::set_linger).
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        plain(self.option(option::LINGER))
    }

    /// The size of the receive buffer in bytes (`SO_RCVBUF`). Linux doubles it for its own book-keeping, caps it at
    /// `net.core.rmem_max`, and no longer adapts it by itself. socket(7).
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn set_receive_buffer_bytes(&self, bytes: usize) -> io::Result<()> {
        plain(self.set_option(option::RECEIVE_BUFFER, bytes))
    }

    /// The size of the receive buffer in bytes, as the system has it: on Linux twice what was set.
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn receive_buffer_bytes(&self) -> io::Result<usize> {
        plain(self.option(option::RECEIVE_BUFFER))
    }

    /// The size of the send buffer in bytes (`SO_SNDBUF`), with the cap `net.core.wmem_max` on Linux; otherwise as
    /// [`set_receive_buffer_bytes`](TcpStream::set_receive_buffer_bytes). socket(7).
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn set_send_buffer_bytes(&self, bytes: usize) -> io::Result<()> {
        plain(self.set_option(option::SEND_BUFFER, bytes))
    }

    /// The size of the send buffer in bytes, as the system has it: on Linux twice what was set.
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn send_buffer_bytes(&self) -> io::Result<usize> {
        plain(self.option(option::SEND_BUFFER))
    }

    /// The number of sent bytes that the peer's system has not acknowledged yet, including those that have not left this
    /// machine. The number of bytes that the peer's program has read is unknown here; but its system acknowledges at most the
    /// size of its receive buffer. `SIOCOUTQ` on Linux, `FIONWRITE` on FreeBSD and NetBSD, `SO_NWRITE` on macOS. tcp(7).
    ///
    /// # Errors
    /// `Unsupported` on other systems.
    pub fn outgoing_bytes(&self) -> io::Result<usize> {
        Ok(sys::queue::outgoing_bytes(self.socket.as_fd())?)
    }

    fn finish_connect(&self, address: SocketAddr, deadline: Option<Deadline>) -> Result<(), Error> {
        ops::finish_connect(self.socket.as_fd(), &Address::Ip(address), deadline)
    }
}

methods::common!(TcpStream, "it should be a TCP connection");
methods::stream!(TcpStream);
methods::std_stream!(TcpStream);
methods::socket_conversions!(TcpStream);
methods::std_conversions!(TcpStream, std::net::TcpStream);

/// The cause alone: for options whose name the caller has just written.
fn plain<T>(result: Result<T, Error>) -> io::Result<T> {
    result.map_err(Error::into_cause)
}
