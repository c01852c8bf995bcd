//! UDP: udp(7), ip(7), ipv6(7).

use crate::option::{self, Options};
use crate::socket::{methods, ops};
use crate::tcp::{family, ip_address};
use crate::{Address, Error, Operation, io, sys};
use core::net::SocketAddr;
use rustix::fd::{AsFd, OwnedFd};
use rustix::net::{RecvFlags, SocketType};

/// A non-blocking UDP socket.
///
/// Each call is one system call without allocation, repeated if it is interrupted (`EINTR`). The descriptor is closed
/// on drop and is close-on-exec. [`Options`] reads and sets options. For batches, segmentation offload and control
/// messages see [`ReceiveBatch`](crate::ReceiveBatch) and [`SendControl`](crate::SendControl).
#[derive(Debug)]
pub struct UdpSocket {
    socket: OwnedFd,
}

impl UdpSocket {
    /// Binds to `address`; with port 0 the system selects a port. `[::]` also receives IPv4 if that is the system's default;
    /// [`bind_only_v6`](UdpSocket::bind_only_v6) sets it explicitly.
    ///
    /// # Errors
    /// The error contains the address and the remedy, as for [`TcpListener::bind`](crate::TcpListener::bind).
    pub fn bind(address: SocketAddr) -> Result<UdpSocket, Error> {
        UdpSocket::bind_with(address, |_| Ok(()))
    }

    /// Binds as [`bind`](UdpSocket::bind) does, with an explicit choice between IPv6 only and both versions for an IPv6 address.
    ///
    /// # Errors
    /// As [`bind`](UdpSocket::bind).
    pub fn bind_only_v6(address: SocketAddr, only_v6: bool) -> Result<UdpSocket, Error> {
        UdpSocket::bind_with(address, |socket| socket.set_option(option::ONLY_V6, only_v6))
    }

    /// Binds as [`bind`](UdpSocket::bind) does, with options that must be set before binding, such as a shared port or an
    /// interface.
    ///
    /// ```
    /// use conduit_net::{Options, UdpSocket, option};
    /// # #[cfg(target_os = "linux")] {
    /// let address = "127.0.0.1:0".parse()?;
    /// let one = UdpSocket::bind_with(address, |socket| socket.set_option(option::REUSE_PORT, true))?;
    /// let two = UdpSocket::bind_with(one.local_addr()?, |socket| socket.set_option(option::REUSE_PORT, true))?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`bind`](UdpSocket::bind), and the error of `set_up`.
    pub fn bind_with(
        address: SocketAddr,
        set_up: impl FnOnce(&UdpSocket) -> Result<(), Error>,
    ) -> Result<UdpSocket, Error> {
        let socket = sys::socket::open(family(address), SocketType::DGRAM, None)
            .map_err(|cause| Error::new(Operation::Open, address, cause))?;
        let socket = UdpSocket { socket };
        set_up(&socket).map_err(|error| error.on(address))?;
        rustix::net::bind(&socket.socket, &address).map_err(|cause| Error::new(Operation::Bind, address, cause))?;
        Ok(socket)
    }

    /// Sets the peer: [`send`](UdpSocket::send) sends to it, and only its datagrams are received. The peer can be
    /// changed. The next call returns an error that ICMP reported (`ConnectionRefused`).
    ///
    /// # Errors
    /// The error contains the address and the remedy.
    pub fn connect(&self, address: SocketAddr) -> Result<(), Error> {
        ops::start_connect(self.socket.as_fd(), &Address::Ip(address))
    }

    /// Receives one datagram and the address of its sender. A longer datagram is truncated to `buffer`, which
    /// [`receive_message`](UdpSocket::receive_message) reports. recvfrom(2).
    ///
    /// # Errors
    /// `WouldBlock` if no datagram is available.
    #[inline]
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (count, from) = ops::recv_from(self.socket.as_fd(), buffer, RecvFlags::empty())?;
        Ok((count, ip_address(from)?))
    }

    /// Receives as [`recv_from`](UdpSocket::recv_from) does, without removing the datagram from the queue.
    ///
    /// # Errors
    /// `WouldBlock` if no datagram is available.
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (count, from) = ops::recv_from(self.socket.as_fd(), buffer, RecvFlags::PEEK)?;
        Ok((count, ip_address(from)?))
    }

    /// Sends one whole datagram to `to`. sendto(2).
    ///
    /// # Errors
    /// `WouldBlock` if the send buffer is full, `EMSGSIZE` if the datagram is too long.
    #[inline]
    pub fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        ops::send_to(self.socket.as_fd(), bytes, &Address::Ip(to))
    }

    /// The local address.
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        ip_address(Some(rustix::net::getsockname(&self.socket)?))
    }

    /// The address of the peer.
    ///
    /// # Errors
    /// `NotConnected` if no peer is set.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        ip_address(rustix::net::getpeername(&self.socket)?)
    }
}

methods::common!(UdpSocket, "it should be a UDP socket");
methods::stream!(UdpSocket);
methods::datagram!(UdpSocket);
methods::socket_conversions!(UdpSocket);
methods::std_conversions!(UdpSocket, std::net::UdpSocket);
