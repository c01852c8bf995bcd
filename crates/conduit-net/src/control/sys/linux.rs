//! The control messages of Linux.

use super::{ControlMessage, QueuedError, SendControl};
use crate::io;
use crate::option::Credentials;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use libc::c_int;

pub(crate) fn parse(level: c_int, kind: c_int, data: &[u8]) -> Option<ControlMessage<'_>> {
    Some(match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => ControlMessage::PacketInfo4 {
            interface: u32::from_ne_bytes(part(data, 0)?),
            local: Ipv4Addr::from(part::<4>(data, 4)?),
            destination: Ipv4Addr::from(part::<4>(data, 8)?),
        },
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => ControlMessage::PacketInfo6 {
            destination: Ipv6Addr::from(part::<16>(data, 0)?),
            interface: u32::from_ne_bytes(part(data, 16)?),
        },
        (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
            ControlMessage::Hops(number(data)?)
        }
        (libc::IPPROTO_IP, libc::IP_TOS) => ControlMessage::TrafficClass(*data.first()?),
        (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => ControlMessage::TrafficClass(number(data)? as u8),
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => ControlMessage::Timestamp(time(data, 0)?),
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMPING) => ControlMessage::Timestamping {
            software: time(data, 0)?,
            // The timestamp at index 1 is obsolete.
            hardware: time(data, 2)?,
        },
        (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => ControlMessage::Drops(number(data)?),
        (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) => ControlMessage::Credentials(Credentials {
            process: i32::from_ne_bytes(part(data, 0)?),
            user: u32::from_ne_bytes(part(data, 4)?),
            group: u32::from_ne_bytes(part(data, 8)?),
        }),
        (libc::SOL_UDP, libc::UDP_GRO) => ControlMessage::SegmentBytes(number(data)?),
        (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
            ControlMessage::QueuedError(QueuedError {
                number: u32::from_ne_bytes(part(data, 0)?),
                origin: *data.get(4)?,
                kind: *data.get(5)?,
                code: *data.get(6)?,
                info: u32::from_ne_bytes(part(data, 8)?),
                data: u32::from_ne_bytes(part(data, 12)?),
            })
        }
        _ => return None,
    })
}

fn part<const LENGTH: usize>(data: &[u8], at: usize) -> Option<[u8; LENGTH]> {
    data.get(at..)?.first_chunk().copied()
}

fn number(data: &[u8]) -> Option<u32> {
    part(data, 0).map(u32::from_ne_bytes)
}

/// The timespec at `index` in the payload.
fn time(data: &[u8], index: usize) -> Option<Duration> {
    const HALF: usize = size_of::<libc::c_long>();
    let seconds = libc::c_long::from_ne_bytes(part(data, index * 2 * HALF)?);
    let nanoseconds = libc::c_long::from_ne_bytes(part(data, index * 2 * HALF + HALF)?);
    Some(Duration::new(
        seconds.max(0) as u64,
        nanoseconds.clamp(0, 999_999_999) as u32,
    ))
}

/// Control messages that only Linux sends.
impl<const WORDS: usize> SendControl<'_, WORDS> {
    /// Splits the bytes into datagrams of this size; the last one may be shorter (GSO). UDP, Linux 4.18. udp(7).
    ///
    /// # Errors
    /// The capacity is exceeded. The call that sends the message returns:
    /// - `EINVAL` for more datagrams than the kernel supports (64, later 128);
    /// - `EMSGSIZE` for more than 64 KiB in all;
    /// - `EINVAL`, on later kernels `EMSGSIZE`, for datagrams that are larger than the MTU;
    /// - `EIO` if the network device does not compute checksums: send without segmentation.
    pub fn push_segment_bytes(&mut self, bytes: u16) -> io::Result<()> {
        self.push(libc::SOL_UDP, libc::UDP_SEGMENT, &bytes.to_ne_bytes())
    }

    /// Sends from this address, through the interface with this index (0: the routing table selects it). IPv4, ip(7).
    ///
    /// # Errors
    /// The capacity is exceeded.
    pub fn push_packet_info4(&mut self, interface: u32, from: Ipv4Addr) -> io::Result<()> {
        let mut info = [0; 12];
        info[..4].copy_from_slice(&interface.to_ne_bytes());
        info[4..8].copy_from_slice(&from.octets());
        self.push(libc::IPPROTO_IP, libc::IP_PKTINFO, &info)
    }

    /// Sends from this address, through the interface with this index (0: the routing table selects it). IPv6, ipv6(7).
    ///
    /// # Errors
    /// The capacity is exceeded.
    pub fn push_packet_info6(&mut self, interface: u32, from: Ipv6Addr) -> io::Result<()> {
        let mut info = [0; 20];
        info[..16].copy_from_slice(&from.octets());
        info[16..].copy_from_slice(&interface.to_ne_bytes());
        self.push(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info)
    }

    /// Sets the hop limit of this IPv4 datagram.
    ///
    /// # Errors
    /// The capacity is exceeded.
    pub fn push_hops4(&mut self, hops: u8) -> io::Result<()> {
        self.push(libc::IPPROTO_IP, libc::IP_TTL, &c_int::from(hops).to_ne_bytes())
    }

    /// Sets the hop limit of this IPv6 datagram.
    ///
    /// # Errors
    /// The capacity is exceeded.
    pub fn push_hops6(&mut self, hops: u8) -> io::Result<()> {
        self.push(
            libc::IPPROTO_IPV6,
            libc::IPV6_HOPLIMIT,
            &c_int::from(hops).to_ne_bytes(),
        )
    }

    /// Sets the TOS byte of this IPv4 datagram: DSCP and ECN.
    ///
    /// # Errors
    /// The capacity is exceeded.
    pub fn push_traffic_class4(&mut self, class: u8) -> io::Result<()> {
        self.push(libc::IPPROTO_IP, libc::IP_TOS, &c_int::from(class).to_ne_bytes())
    }

    /// Sets the traffic class of this IPv6 datagram: DSCP and ECN.
    ///
    /// # Errors
    /// The capacity is exceeded.
    pub fn push_traffic_class6(&mut self, class: u8) -> io::Result<()> {
        self.push(libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &c_int::from(class).to_ne_bytes())
    }

    /// Sends credentials to the peer of a Unix socket. The kernel checks them: only privileged processes may send those
    /// of others. unix(7).
    ///
    /// # Errors
    /// The capacity is exceeded.
    pub fn push_credentials(&mut self, credentials: Credentials) -> io::Result<()> {
        let mut raw = [0; 12];
        raw[..4].copy_from_slice(&credentials.process.to_ne_bytes());
        raw[4..8].copy_from_slice(&credentials.user.to_ne_bytes());
        raw[8..].copy_from_slice(&credentials.group.to_ne_bytes());
        self.push(libc::SOL_SOCKET, libc::SCM_CREDENTIALS, &raw)
    }
}
