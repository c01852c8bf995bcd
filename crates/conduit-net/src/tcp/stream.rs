//! A connection.

use super::listener::{family, ip_address};
use crate::sys;
use crate::{Error, KeepAlive, Operation};
use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendAncillaryBuffer, sockopt};
use std::io::{self, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

/// A non-blocking TCP connection.
///
/// Each call is one system call and allocates nothing; an interrupted one (`EINTR`) is repeated. Its descriptor is closed on
/// drop and in programs that the process starts.
#[derive(Debug)]
pub struct TcpStream {
    socket: OwnedFd,
}

/// Which direction [`TcpStream::shutdown`] closes. [`std::net::Shutdown`] converts into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// Nothing more is read; reading gives the end of the stream.
    Read,
    /// Nothing more is sent; the peer reads the end of the stream after what was sent before.
    Write,
    /// Both.
    Both,
}

impl TcpStream {
    /// Connects to `address` and waits until the connection stands, however long the system tries (about two minutes on
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
        let deadline = Instant::now().checked_add(limit);
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
        let socket = sys::socket::stream(family(address))
            .map_err(|cause| Error::new(Operation::Open, address, cause))?;
        match rustix::net::connect(&socket, &address) {
            // An interrupted attempt goes on in the background, as one that would block does: connect(2).
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => Ok(TcpStream { socket }),
            Err(cause) => Err(Error::new(Operation::Connect, address, cause)),
        }
    }

    /// Receives what is there, at most the length of `buffer`; 0 is the end of the stream (or an empty buffer). recv(2).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if nothing is there yet;
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset) if the peer broke the connection off.
    #[inline]
    pub fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let (count, _) =
            retry_on_intr(|| rustix::net::recv(&self.socket, &mut *buffer, RecvFlags::empty()))?;
        Ok(count)
    }

    /// Sends as much of `bytes` as there is room for, and says how much that was: send the rest when the stream is writable
    /// again. A peer that is gone is an error, never a SIGPIPE. send(2).
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) if there is no room; [`BrokenPipe`](io::ErrorKind::BrokenPipe) or
    /// [`ConnectionReset`](io::ErrorKind::ConnectionReset) if the connection is no more.
    #[inline]
    pub fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        Ok(retry_on_intr(|| {
            rustix::net::send(&self.socket, bytes, sys::socket::SEND_FLAGS)
        })?)
    }

    /// Sends several pieces with one call, as if they were one; otherwise as [`send`](TcpStream::send). Systems take a limited
    /// number of pieces at once (1024 on Linux). sendmsg(2).
    ///
    /// # Errors
    /// As [`send`](TcpStream::send); `EMSGSIZE` or `EINVAL` for too many pieces.
    #[inline]
    pub fn send_vectored(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        Ok(retry_on_intr(|| {
            rustix::net::sendmsg(
                &self.socket,
                pieces,
                &mut SendAncillaryBuffer::default(),
                sys::socket::SEND_FLAGS,
            )
        })?)
    }

    /// Closes one direction or both, for every descriptor of this socket. shutdown(2).
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) if there is no connection (any more).
    pub fn shutdown(&self, how: impl Into<Shutdown>) -> io::Result<()> {
        let how = match how.into() {
            Shutdown::Read => rustix::net::Shutdown::Read,
            Shutdown::Write => rustix::net::Shutdown::Write,
            Shutdown::Both => rustix::net::Shutdown::Both,
        };
        Ok(rustix::net::shutdown(&self.socket, how)?)
    }

    /// The peer's address.
    ///
    /// # Errors
    /// [`NotConnected`](io::ErrorKind::NotConnected) if there is no connection (any more).
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

    /// The error that waits on the socket, taken off it (`SO_ERROR`): how an attempt to connect ended, for instance.
    ///
    /// # Errors
    /// When the option cannot be read.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        Ok(sockopt::socket_error(&self.socket)?
            .err()
            .map(io::Error::from))
    }

    /// Whether small pieces are sent at once rather than when the last was acknowledged (`TCP_NODELAY`). System default: off.
    /// tcp(7).
    ///
    /// # Errors
    /// `EINVAL` on some systems once the connection is gone.
    pub fn set_no_delay(&self, on: bool) -> io::Result<()> {
        Ok(sockopt::set_tcp_nodelay(&self.socket, on)?)
    }

    /// Reads [`set_no_delay`](TcpStream::set_no_delay).
    ///
    /// # Errors
    /// As for setting it.
    pub fn no_delay(&self) -> io::Result<bool> {
        Ok(sockopt::tcp_nodelay(&self.socket)?)
    }

    /// Probes the connection while it is idle; `None` stops that (`SO_KEEPALIVE`). System default: off. tcp(7).
    ///
    /// # Errors
    /// `EINVAL` for a time of zero or more than 32,767 s, or a count above 127 (Linux).
    pub fn set_keep_alive(&self, probes: Option<&KeepAlive>) -> io::Result<()> {
        match probes {
            Some(probes) => probes.apply(&self.socket)?,
            None => sockopt::set_socket_keepalive(&self.socket, false)?,
        }
        Ok(())
    }

    /// Whether the connection is probed while it is idle.
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn keep_alive(&self) -> io::Result<bool> {
        Ok(sockopt::socket_keepalive(&self.socket)?)
    }

    /// How long closing waits for unsent bytes, in whole seconds; zero resets the connection instead; `None`, the default,
    /// closes at once and lets the system send what is left (`SO_LINGER`). socket(7).
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn set_linger(&self, limit: Option<Duration>) -> io::Result<()> {
        Ok(sockopt::set_socket_linger(&self.socket, limit)?)
    }

    /// Reads [`set_linger`](TcpStream::set_linger).
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn linger(&self) -> io::Result<Option<Duration>> {
        Ok(sockopt::socket_linger(&self.socket)?)
    }

    /// The size of the receive buffer in bytes (`SO_RCVBUF`). Linux doubles it for its own book-keeping, caps it at
    /// `net.core.rmem_max`, and no longer adapts it by itself. socket(7).
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn set_receive_buffer_bytes(&self, bytes: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_recv_buffer_size(&self.socket, bytes)?)
    }

    /// The size of the receive buffer in bytes, as the system has it: on Linux twice what was set.
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn receive_buffer_bytes(&self) -> io::Result<usize> {
        Ok(sockopt::socket_recv_buffer_size(&self.socket)?)
    }

    /// The size of the send buffer in bytes (`SO_SNDBUF`), with the cap `net.core.wmem_max` on Linux; otherwise as
    /// [`set_receive_buffer_bytes`](TcpStream::set_receive_buffer_bytes). socket(7).
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn set_send_buffer_bytes(&self, bytes: usize) -> io::Result<()> {
        Ok(sockopt::set_socket_send_buffer_size(&self.socket, bytes)?)
    }

    /// The size of the send buffer in bytes, as the system has it: on Linux twice what was set.
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn send_buffer_bytes(&self) -> io::Result<usize> {
        Ok(sockopt::socket_send_buffer_size(&self.socket)?)
    }

    fn finish_connect(&self, address: SocketAddr, deadline: Option<Instant>) -> Result<(), Error> {
        let failed = |cause: io::Error| Error::new(Operation::Connect, address, cause);
        let mut sockets = [PollFd::new(&self.socket, PollFlags::OUT)];
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let limit = left.and_then(|left| left.try_into().ok());
            match rustix::event::poll(&mut sockets, limit.as_ref()) {
                Ok(0) => return Err(failed(Errno::TIMEDOUT.into())),
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(cause) => return Err(failed(cause.into())),
            }
        }
        match self.take_error() {
            Ok(None) => Ok(()),
            Ok(Some(cause)) | Err(cause) => Err(failed(cause)),
        }
    }
}

impl Read for &TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.recv(buffer)
    }
}

impl Write for &TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for TcpStream {
    #[inline]
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl AsRawFd for TcpStream {
    #[inline]
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl From<TcpStream> for OwnedFd {
    fn from(stream: TcpStream) -> OwnedFd {
        stream.socket
    }
}

/// The descriptor is taken as it is: it should be a TCP connection, and in non-blocking mode where it is polled.
impl From<OwnedFd> for TcpStream {
    #[inline]
    fn from(socket: OwnedFd) -> TcpStream {
        TcpStream { socket }
    }
}

/// The stream stays in non-blocking mode.
impl From<TcpStream> for std::net::TcpStream {
    fn from(stream: TcpStream) -> std::net::TcpStream {
        stream.socket.into()
    }
}

impl TryFrom<std::net::TcpStream> for TcpStream {
    type Error = io::Error;

    /// Takes the connection over and puts it into non-blocking mode.
    fn try_from(stream: std::net::TcpStream) -> io::Result<TcpStream> {
        stream.set_nonblocking(true)?;
        Ok(TcpStream {
            socket: stream.into(),
        })
    }
}

impl From<std::net::Shutdown> for Shutdown {
    fn from(how: std::net::Shutdown) -> Shutdown {
        match how {
            std::net::Shutdown::Read => Shutdown::Read,
            std::net::Shutdown::Write => Shutdown::Write,
            std::net::Shutdown::Both => Shutdown::Both,
        }
    }
}
