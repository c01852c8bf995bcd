//! Control messages (ancillary data). cmsg(3).

#[cfg_attr(target_os = "linux", path = "control/sys/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "control/sys/other.rs")]
mod sys;

use crate::io;
use crate::option::Credentials;
use core::fmt;
use core::marker::PhantomData;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use libc::{c_int, cmsghdr};
use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd};

/// The size of the header, aligned for the payload.
const HEADER: usize = align(size_of::<cmsghdr>());

/// Rounds up to the alignment of control messages; `CMSG_ALIGN` in cmsg(3).
const fn align(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT)
}

// macOS aligns to 4 bytes, other systems to a long.
const ALIGNMENT: usize = if cfg!(target_vendor = "apple") {
    4
} else {
    size_of::<libc::c_long>()
};

/// A received control message.
#[derive(Debug)]
#[non_exhaustive]
pub enum ControlMessage<'a> {
    /// The interface and addresses of an IPv4 datagram; requires
    /// [`RECEIVE_PACKET_INFO`](crate::option::RECEIVE_PACKET_INFO).
    PacketInfo4 {
        /// The index of the interface.
        interface: u32,
        /// The local address, from which replies should be sent.
        local: Ipv4Addr,
        /// The destination address in the packet, which may be a multicast or broadcast address.
        destination: Ipv4Addr,
    },
    /// The interface and address of an IPv6 datagram; requires
    /// [`RECEIVE_PACKET_INFO_V6`](crate::option::RECEIVE_PACKET_INFO_V6).
    PacketInfo6 {
        /// The index of the interface.
        interface: u32,
        /// The destination address in the packet.
        destination: Ipv6Addr,
    },
    /// The remaining hops, of IPv4 or IPv6; requires [`RECEIVE_TIME_TO_LIVE`](crate::option::RECEIVE_TIME_TO_LIVE) or
    /// [`RECEIVE_HOP_LIMIT`](crate::option::RECEIVE_HOP_LIMIT).
    Hops(u32),
    /// The TOS byte or traffic class; requires [`RECEIVE_TYPE_OF_SERVICE`](crate::option::RECEIVE_TYPE_OF_SERVICE) or
    /// [`RECEIVE_TRAFFIC_CLASS`](crate::option::RECEIVE_TRAFFIC_CLASS). The lower two bits are ECN (RFC 3168).
    TrafficClass(u8),
    /// The receive time of the datagram, since 1970 in UTC; requires
    /// [`RECEIVE_TIMESTAMP`](crate::option::RECEIVE_TIMESTAMP).
    Timestamp(Duration),
    /// The times of [`TIMESTAMPING`](crate::option::TIMESTAMPING), since 1970 in UTC; zero if unavailable.
    Timestamping {
        /// The time of the kernel.
        software: Duration,
        /// The time of the device.
        hardware: Duration,
    },
    /// The size of the coalesced datagrams, in bytes; the last one may be shorter. Requires
    /// [`COALESCE`](crate::option::COALESCE).
    SegmentBytes(u32),
    /// The number of dropped datagrams so far; requires [`RECEIVE_DROPS`](crate::option::RECEIVE_DROPS).
    Drops(u32),
    /// Descriptors from another process; descriptors that the caller does not take are closed on drop. unix(7).
    Descriptors(Descriptors<'a>),
    /// The sender of a Unix message; requires [`RECEIVE_CREDENTIALS`](crate::option::RECEIVE_CREDENTIALS).
    Credentials(Credentials),
    /// An entry of the error queue (`IP_RECVERR`, `IPV6_RECVERR`): an ICMP error, or the completion of a zero-copy
    /// send.
    QueuedError(QueuedError),
    /// A message of a kind that this crate does not decode.
    Unknown {
        /// The level, as in the headers of the system.
        level: i32,
        /// The type, as in the headers of the system.
        kind: i32,
        /// The payload.
        data: &'a [u8],
    },
}

/// An entry of a socket's error queue: `struct sock_extended_err`. ip(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedError {
    /// The error number, or 0.
    pub number: u32,
    /// The origin: 1 this machine, 2 ICMP, 3 ICMPv6, 4 timestamps, 5 zero copy.
    pub origin: u8,
    /// The ICMP type.
    pub kind: u8,
    /// The ICMP code. For a zero-copy completion: 1 if the kernel copied the bytes.
    pub code: u8,
    /// For `EMSGSIZE`: the path MTU. For a zero-copy completion: the number of the first completed send.
    pub info: u32,
    /// For a zero-copy completion: the number of the last completed send.
    pub data: u32,
}

/// A buffer for the control messages of one receive: `WORDS` times 8 bytes on the stack. Default: 256 bytes, enough for
/// all kinds above at once, with 16 descriptors.
///
/// Descriptors that the caller did not take are closed on reuse and on drop.
#[repr(C, align(8))]
pub struct ReceiveControl<const WORDS: usize = 32> {
    words: [u64; WORDS],
    /// `walked <= filled <= 8 * WORDS`: messages before `walked` have been returned.
    walked: usize,
    filled: usize,
}

impl ReceiveControl {
    /// An empty buffer of the default size.
    pub const fn new() -> ReceiveControl {
        ReceiveControl::with_words()
    }
}

impl Default for ReceiveControl {
    fn default() -> ReceiveControl {
        ReceiveControl::new()
    }
}

impl<const WORDS: usize> ReceiveControl<WORDS> {
    /// An empty buffer of another size: `ReceiveControl::<128>::with_words()`.
    pub const fn with_words() -> ReceiveControl<WORDS> {
        ReceiveControl {
            words: [0; WORDS],
            walked: 0,
            filled: 0,
        }
    }

    /// Returns the received messages; each message is returned once.
    ///
    /// ```
    /// use conduit_net::io::IoSliceMut;
    /// use conduit_net::{ControlMessage, Options, ReceiveControl, UdpSocket, option};
    /// # #[cfg(target_os = "linux")] {
    /// let socket = UdpSocket::bind("127.0.0.1:0".parse()?)?;
    /// socket.set_option(option::RECEIVE_TIME_TO_LIVE, true)?;
    /// socket.send_to(b"x", socket.local_addr()?)?;
    /// let mut control = ReceiveControl::new();
    /// socket.receive_message(&mut [IoSliceMut::new(&mut [0; 16])], &mut control)?;
    /// assert!(control.messages().any(|message| matches!(message, ControlMessage::Hops(64))));
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn messages(&mut self) -> ControlMessages<'_> {
        ControlMessages {
            bytes: bytes_of(&self.words),
            walked: &mut self.walked,
            filled: self.filled,
        }
    }

    /// Discards the remaining messages and closes their descriptors.
    pub fn clear(&mut self) {
        self.messages().for_each(drop);
        self.walked = 0;
        self.filled = 0;
    }

    pub(crate) fn space(&mut self) -> &mut [u8] {
        // SAFETY: the words are integers, so every byte may be written; the slice covers them and borrows self.
        unsafe { core::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast(), WORDS * 8) }
    }

    /// # Safety
    /// The kernel must have written control messages into the first `length` bytes, and their descriptors must have no
    /// other owner.
    pub(crate) unsafe fn set_filled(&mut self, length: usize) {
        self.walked = 0;
        self.filled = length.min(WORDS * 8);
    }
}

impl<const WORDS: usize> Drop for ReceiveControl<WORDS> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<const WORDS: usize> fmt::Debug for ReceiveControl<WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceiveControl")
            .field("bytes", &(self.filled - self.walked))
            .finish_non_exhaustive()
    }
}

/// The iterator of [`ReceiveControl::messages`].
#[derive(Debug)]
pub struct ControlMessages<'a> {
    bytes: &'a [u8],
    walked: &'a mut usize,
    filled: usize,
}

impl<'a> Iterator for ControlMessages<'a> {
    type Item = ControlMessage<'a>;

    fn next(&mut self) -> Option<ControlMessage<'a>> {
        let rest = self.bytes.get(*self.walked..self.filled)?;
        if rest.len() < size_of::<cmsghdr>() {
            return None;
        }
        // SAFETY: the slice has at least this number of bytes; `read_unaligned` requires no alignment.
        let header = unsafe { rest.as_ptr().cast::<cmsghdr>().read_unaligned() };
        let length = header.cmsg_len as usize;
        if length < HEADER || length > rest.len() {
            // The system truncated the message for lack of space.
            *self.walked = self.filled;
            return None;
        }
        *self.walked += align(length).min(rest.len());
        Some(parse(header.cmsg_level, header.cmsg_type, &rest[HEADER..length]))
    }
}

fn parse(level: c_int, kind: c_int, data: &[u8]) -> ControlMessage<'_> {
    if (level, kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
        return ControlMessage::Descriptors(Descriptors { numbers: data });
    }
    sys::parse(level, kind, data).unwrap_or(ControlMessage::Unknown { level, kind, data })
}

/// The descriptors of a message. Each is close-on-exec, and is closed on drop unless the caller takes it.
#[derive(Debug)]
pub struct Descriptors<'a> {
    /// The numbers of the owned descriptors, as ints.
    numbers: &'a [u8],
}

impl Iterator for Descriptors<'_> {
    type Item = OwnedFd;

    fn next(&mut self) -> Option<OwnedFd> {
        let (number, rest) = self.numbers.split_first_chunk()?;
        self.numbers = rest;
        // SAFETY: the kernel created the descriptor for this process, and each message is returned only once.
        let descriptor = unsafe { OwnedFd::from_raw_fd(c_int::from_ne_bytes(*number)) };
        // Other systems have a flag of the receiving call.
        #[cfg(target_vendor = "apple")]
        let _ = rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::CLOEXEC);
        Some(descriptor)
    }
}

impl Drop for Descriptors<'_> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// Control messages to send: `WORDS` times 8 bytes on the stack. Default: 256 bytes.
///
/// ```
/// use conduit_net::SendControl;
/// let mut control = SendControl::new();
/// control.push_hops4(3)?;
/// control.push_traffic_class4(0x02)?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[repr(C, align(8))]
pub struct SendControl<'fd, const WORDS: usize = 32> {
    words: [u64; WORDS],
    /// `length <= 8 * WORDS`
    length: usize,
    descriptors: PhantomData<BorrowedFd<'fd>>,
}

impl SendControl<'_> {
    /// An empty list with the default capacity.
    pub const fn new() -> Self {
        SendControl::with_words()
    }
}

impl Default for SendControl<'_> {
    fn default() -> Self {
        SendControl::new()
    }
}

impl<'fd, const WORDS: usize> SendControl<'fd, WORDS> {
    /// An empty list with another capacity.
    pub const fn with_words() -> Self {
        SendControl {
            words: [0; WORDS],
            length: 0,
            descriptors: PhantomData,
        }
    }

    /// Passes open descriptors to the peer of a Unix socket, at most 253 at once; they stay open in this process. A
    /// stream must send at least one byte with them. unix(7).
    ///
    /// # Errors
    /// The capacity is exceeded.
    pub fn push_descriptors(&mut self, descriptors: &[BorrowedFd<'fd>]) -> io::Result<()> {
        // SAFETY: a BorrowedFd is an int (repr(transparent)), without padding.
        let numbers =
            unsafe { core::slice::from_raw_parts(descriptors.as_ptr().cast::<u8>(), size_of_val(descriptors)) };
        self.push(libc::SOL_SOCKET, libc::SCM_RIGHTS, numbers)
    }

    /// Adds a control message of any kind, by its level and type in the headers of the system.
    ///
    /// ```
    /// use conduit_net::SendControl;
    /// let mut control = SendControl::new();
    /// // SAFETY: the data of IP_TTL is an int.
    /// # #[cfg(target_os = "linux")]
    /// unsafe { control.push_raw(0, 2, &64_i32.to_ne_bytes())? };
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    /// The capacity is exceeded; or the type is `SCM_RIGHTS`, which [`push_descriptors`](SendControl::push_descriptors)
    /// sends because it requires open descriptors.
    ///
    /// # Safety
    /// For every kind of socket that sends the message, the data contains:
    /// - no address, unless the program may read and write the memory there: the kernel writes through the addresses in
    ///   messages of RDS sockets;
    /// - no number of a descriptor that the program may not use.
    ///
    /// So safe code cannot send such a message:
    ///
    /// ```compile_fail,E0133
    /// use conduit_net::SendControl;
    /// SendControl::new().push_raw(276, 1, &[0; 48])?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub unsafe fn push_raw(&mut self, level: i32, kind: i32, data: &[u8]) -> io::Result<()> {
        if (level, kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            return Err(io::misuse(
                "SCM_RIGHTS is not allowed here: pass descriptors with push_descriptors",
            ));
        }
        self.push(level, kind, data)
    }

    /// Removes all messages.
    pub fn clear(&mut self) {
        self.length = 0;
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &bytes_of(&self.words)[..self.length]
    }

    pub(crate) fn push(&mut self, level: c_int, kind: c_int, data: &[u8]) -> io::Result<()> {
        let start = self.length;
        let end = start + HEADER + align(data.len());
        // SAFETY: the words are integers, so every byte may be written; the slice covers them and borrows self.
        let bytes = unsafe { core::slice::from_raw_parts_mut(self.words.as_mut_ptr().cast::<u8>(), WORDS * 8) };
        let Some(place) = bytes.get_mut(start..end) else {
            return Err(io::misuse(
                "the control messages exceed the capacity: use SendControl with more words",
            ));
        };
        place.fill(0);
        // SAFETY: zero is a valid value of every field.
        let mut header: cmsghdr = unsafe { core::mem::zeroed() };
        header.cmsg_len = (HEADER + data.len()) as _;
        header.cmsg_level = level;
        header.cmsg_type = kind;
        // SAFETY: `place` has at least the length of a header; `write_unaligned` requires no alignment.
        unsafe { place.as_mut_ptr().cast::<cmsghdr>().write_unaligned(header) };
        place[HEADER..HEADER + data.len()].copy_from_slice(data);
        self.length = end;
        Ok(())
    }
}

impl<const WORDS: usize> fmt::Debug for SendControl<'_, WORDS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendControl")
            .field("bytes", &self.length)
            .finish_non_exhaustive()
    }
}

fn bytes_of<const WORDS: usize>(words: &[u64; WORDS]) -> &[u8] {
    // SAFETY: integers without padding; the slice covers and borrows them.
    unsafe { core::slice::from_raw_parts(words.as_ptr().cast(), WORDS * 8) }
}
