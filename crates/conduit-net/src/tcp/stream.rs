//! TCP connections.

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
/// Each call is one system call without allocation, repeated if it is interrupted (`EINTR`). The descriptor is closed
/// on drop and is close-on-exec.
#[derive(Debug)]
pub struct TcpStream {
    socket: OwnedFd,
}

impl TcpStream {
    /// Connects to `address`, and waits until the connection is established or the system times out (about two minutes
    /// on Linux). The stream is then non-blocking.
    ///
    /// # Errors
    /// The connection is refused, unreachable or timed out, or no descriptor is available. The error contains the
    /// address and the remedy.
    pub fn connect(address: SocketAddr) -> Result<TcpStream, Error> {
        let stream = TcpStream::start_connect(address)?;
        stream.finish_connect(address, None)?;
        Ok(stream)
    }

    /// Connects to `address`, and waits at most `limit`.
    ///
    /// # Errors
    /// As [`connect`](TcpStream::connect), and `ETIMEDOUT` if `limit` elapses.
    pub fn connect_timeout(address: SocketAddr, limit: Duration) -> Result<TcpStream, Error> {
        let deadline = Deadline::after(limit);
        let stream = TcpStream::start_connect(address)?;
        stream.finish_connect(address, deadline)?;
        Ok(stream)
    }

    /// Starts to connect to `address` without waiting. The stream becomes writable at the end of the attempt;
    /// [`take_error`](TcpStream::take_error) then returns its result.
    ///
    /// # Errors
    /// As [`connect`](TcpStream::connect), if the attempt fails at once.
    pub fn start_connect(address: SocketAddr) -> Result<TcpStream, Error> {
        let socket = sys::socket::open(family(address), SocketType::STREAM, None)
            .map_err(|cause| Error::new(Operation::Open, address, cause))?;
        ops::start_connect(socket.as_fd(), &Address::Ip(address))?;
        Ok(TcpStream { socket })
    }

    /// The address of the peer.
    ///
    /// # Errors
    /// `NotConnected` if the socket is not connected.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        ip_address(rustix::net::getpeername(&self.socket)?)
    }

    /// The local address.
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        ip_address(Some(rustix::net::getsockname(&self.socket)?))
    }

    /// Sends small segments without waiting for the acknowledgement of earlier ones (`TCP_NODELAY`). Default: off.
    /// tcp(7).
    ///
    /// # Errors
    /// `EINVAL` on some systems if the connection is closed.
    pub fn set_no_delay(&self, on: bool) -> io::Result<()> {
        plain(self.set_option(option::NO_DELAY, on))
    }

    /// Returns whether [`set_no_delay`](TcpStream::set_no_delay) is on.
    ///
    /// # Errors
    /// As [`set_no_delay`](TcpStream::set_no_delay).
    pub fn no_delay(&self) -> io::Result<bool> {
        plain(self.option(option::NO_DELAY))
    }

    /// Probes the connection while it is idle (`SO_KEEPALIVE`); `None` turns it off. Default: off. tcp(7).
    ///
    /// # Errors
    /// `EINVAL` for a time of zero or more than 32,767 s, or a count above 127 (Linux).
    pub fn set_keep_alive(&self, probes: Option<&KeepAlive>) -> io::Result<()> {
        plain(match probes {
            Some(probes) => probes.apply(self),
            None => self.set_option(option::KEEP_ALIVE, false),
        })
    }

    /// Returns whether the connection is probed while it is idle.
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn keep_alive(&self) -> io::Result<bool> {
        plain(self.option(option::KEEP_ALIVE))
    }

    /// The time for which closing waits for unsent bytes, in whole seconds (`SO_LINGER`); zero resets the connection
    /// instead. Default: `None`, which closes at once while the system sends the remaining bytes. socket(7).
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn set_linger(&self, limit: Option<Duration>) -> io::Result<()> {
        plain(self.set_option(option::LINGER, limit))
    }

    /// Returns the time set by [`set_linger`](TcpStream::set_linger).
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        plain(self.option(option::LINGER))
    }

    /// Sets the size of the receive buffer in bytes (`SO_RCVBUF`). Linux doubles the value for its overhead, limits it
    /// to `net.core.rmem_max`, and stops adjusting it automatically. socket(7).
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn set_receive_buffer_bytes(&self, bytes: usize) -> io::Result<()> {
        plain(self.set_option(option::RECEIVE_BUFFER, bytes))
    }

    /// Returns the size of the receive buffer in bytes; on Linux twice the set value.
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn receive_buffer_bytes(&self) -> io::Result<usize> {
        plain(self.option(option::RECEIVE_BUFFER))
    }

    /// Sets the size of the send buffer in bytes (`SO_SNDBUF`), limited to `net.core.wmem_max` on Linux; otherwise as
    /// [`set_receive_buffer_bytes`](TcpStream::set_receive_buffer_bytes). socket(7).
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn set_send_buffer_bytes(&self, bytes: usize) -> io::Result<()> {
        plain(self.set_option(option::SEND_BUFFER, bytes))
    }

    /// Returns the size of the send buffer in bytes; on Linux twice the set value.
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn send_buffer_bytes(&self) -> io::Result<usize> {
        plain(self.option(option::SEND_BUFFER))
    }

    /// The number of sent bytes that the peer's system has not acknowledged, including unsent bytes in the buffer. It
    /// does not include bytes that the peer's program has not read, which are at most the size of the peer's receive
    /// buffer. `SIOCOUTQ` on Linux, `FIONWRITE` on FreeBSD and NetBSD, `SO_NWRITE` on macOS. tcp(7).
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

/// Reduces an error to its cause, for options that the name of the method already identifies.
fn plain<T>(result: Result<T, Error>) -> io::Result<T> {
    result.map_err(Error::into_cause)
}
