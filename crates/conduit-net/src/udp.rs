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
/// Each call is one system call and allocates nothing; an interrupted one (`EINTR`) is repeated. Its descriptor is closed on
/// drop and in programs that the process starts. [`Options`] sets its options; batches, segmentation offload and control
/// messages have types of their own: [`ReceiveBatch`](crate::ReceiveBatch), [`SendControl`](crate::SendControl).
#[derive(Debug)]
pub struct UdpSocket {
    socket: OwnedFd,
}

impl UdpSocket {
    /// Receives on `address`; port 0 lets the system choose one. `[::]` takes IPv4 too where the system's default says so;
    /// [`bind_only_v6`](UdpSocket::bind_only_v6) chooses.
    ///
    /// # Errors
    /// With the address and the remedy, as [`TcpListener::bind`](crate::TcpListener::bind).
    pub fn bind(address: SocketAddr) -> Result<UdpSocket, Error> {
        UdpSocket::bind_with(address, |_| Ok(()))
    }

    /// As [`bind`](UdpSocket::bind), choosing whether an IPv6 socket takes IPv6 only or IPv4 too.
    ///
    /// # Errors
    /// As [`bind`](UdpSocket::bind).
    pub fn bind_only_v6(address: SocketAddr, only_v6: bool) -> Result<UdpSocket, Error> {
        UdpSocket::bind_with(address, |socket| socket.set_option(option::ONLY_V6, only_v6))
    }

    /// As [`bind`](UdpSocket::bind), with options that must be set before: sharing the port, or binding to an interface.
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
    /// As [`bind`](UdpSocket::bind), and what `set_up` gives.
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

    /// Sets the peer: [`send`](UdpSocket::send) goes to it, and only what it sends is received. It can be set again. Errors that
    /// ICMP reports (`ConnectionRefused`) come up with the next call.
    ///
    /// # Errors
    /// With the address and the remedy.
    pub fn connect(&self, address: SocketAddr) -> Result<(), Error> {
        ops::start_connect(self.socket.as_fd(), &Address::Ip(address))
    }

    /// Receives one datagram and its sender's address. A longer datagram is truncated to `buffer`;
    /// [`receive_message`](UdpSocket::receive_message) reports it. recvfrom(2).
    ///
    /// # Errors
    /// `WouldBlock` if none is there.
    #[inline]
    pub fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (count, from) = ops::recv_from(self.socket.as_fd(), buffer, RecvFlags::empty())?;
        Ok((count, ip_address(from)?))
    }

    /// As [`recv_from`](UdpSocket::recv_from), and leaves the datagram to be received again.
    ///
    /// # Errors
    /// `WouldBlock` if none is there.
    pub fn peek_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let (count, from) = ops::recv_from(self.socket.as_fd(), buffer, RecvFlags::PEEK)?;
        Ok((count, ip_address(from)?))
    }

    /// Sends one datagram to `to`; all of it or nothing. sendto(2).
    ///
    /// # Errors
    /// `WouldBlock` if there is no room, `EMSGSIZE` for more than one datagram holds.
    #[inline]
    pub fn send_to(&self, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
        ops::send_to(self.socket.as_fd(), bytes, &Address::Ip(to))
    }

    /// The address of this side.
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        ip_address(Some(rustix::net::getsockname(&self.socket)?))
    }

    /// The peer's address, where it was set.
    ///
    /// # Errors
    /// `NotConnected` where it was not.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        ip_address(rustix::net::getpeername(&self.socket)?)
    }
}

methods::common!(UdpSocket, "it should be a UDP socket");
methods::stream!(UdpSocket);
methods::datagram!(UdpSocket);
methods::socket_conversions!(UdpSocket);
methods::std_conversions!(UdpSocket, std::net::UdpSocket);
