//! The kinds of sockets.

use core::num::NonZeroU32;
use rustix::net::{AddressFamily, Protocol as RawProtocol, SocketType};

/// The family of addresses that a socket uses. address_families(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Domain(AddressFamily);

impl Domain {
    /// IPv4. ip(7).
    pub const V4: Domain = Domain(AddressFamily::INET);
    /// IPv6, and also IPv4 if [`ONLY_V6`](crate::option::ONLY_V6) is off. ipv6(7).
    pub const V6: Domain = Domain(AddressFamily::INET6);
    /// Unix paths and names. unix(7).
    pub const UNIX: Domain = Domain(AddressFamily::UNIX);

    /// Virtual machines and their host. Linux; [`Socket::new`](crate::Socket::new) fails elsewhere. vsock(7).
    pub const VSOCK: Domain = Domain::raw(40);

    /// Another family, by its number in the headers of the system (`AF_PACKET`, `AF_NETLINK`, …).
    pub const fn raw(number: u16) -> Domain {
        Domain(AddressFamily::from_raw(number as _))
    }

    pub(crate) fn inner(self) -> AddressFamily {
        self.0
    }
}

/// The communication style of a socket. socket(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kind(SocketType);

impl Kind {
    /// A connection that transfers a byte stream.
    pub const STREAM: Kind = Kind(SocketType::STREAM);
    /// Datagrams.
    pub const DATAGRAM: Kind = Kind(SocketType::DGRAM);
    /// A connection that transfers messages in order.
    pub const SEQUENTIAL_PACKETS: Kind = Kind(SocketType::SEQPACKET);
    /// Raw packets. raw(7).
    pub const RAW: Kind = Kind(SocketType::RAW);

    pub(crate) fn inner(self) -> SocketType {
        self.0
    }
}

/// The protocol of a socket. protocols(5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Protocol(Option<RawProtocol>);

impl Protocol {
    /// The default protocol of the domain and the kind.
    pub const DEFAULT: Protocol = Protocol(None);
    /// TCP.
    pub const TCP: Protocol = Protocol::raw(6);
    /// UDP.
    pub const UDP: Protocol = Protocol::raw(17);
    /// ICMP for IPv4; with [`Kind::DATAGRAM`], ping without a privilege on Linux.
    pub const ICMP: Protocol = Protocol::raw(1);
    /// Multipath TCP. Linux 5.6, RFC 8684.
    pub const MPTCP: Protocol = Protocol::raw(262);

    /// Another protocol, by its number.
    pub const fn raw(number: u32) -> Protocol {
        Protocol(match NonZeroU32::new(number) {
            Some(number) => Some(RawProtocol::from_raw(number)),
            None => None,
        })
    }

    pub(crate) fn inner(self) -> Option<RawProtocol> {
        self.0
    }
}
