//! Control messages, which accompany the bytes. cmsg(3).

use crate::io;
use crate::option::Credentials;
use core::fmt;
use core::marker::PhantomData;
use core::net::{Ipv4Addr, Ipv6Addr};
use core::time::Duration;
use libc::{c_int, cmsghdr};
use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd};

/// The header's size, rounded up as the kernel does for the payload after it.
const HEADER: usize = align(size_of::<cmsghdr>());

/// Control messages rounded up to a word; cmsg(3), `CMSG_ALIGN`.
const fn align(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT)
}

/// macOS aligns to 4 bytes, everybody else to a long.
const ALIGNMENT: usize = if cfg!(target_vendor = "apple") {
    4
} else {
    size_of::<libc::c_long>()
};

/// One control message as it came.
#[derive(Debug)]
#[non_exhaustive]
pub enum ControlMessage<'a> {
    /// Where an IPv4 datagram came in: with [`RECEIVE_PACKET_INFO`](crate::option::RECEIVE_PACKET_INFO).
    PacketInfo4 {
        /// The interface's number.
        interface: u32,
        /// The address of this machine that answers should come from.
        local: Ipv4Addr,
        /// The destination in the packet; it may be a group's or a broadcast address.
        destination: Ipv4Addr,
    },
    /// Where an IPv6 datagram came in: with [`RECEIVE_PACKET_INFO_V6`](crate::option::RECEIVE_PACKET_INFO_V6).
    PacketInfo6 {
        /// The interface's number.
        interface: u32,
        /// The destination in the packet.
        destination: Ipv6Addr,
    },
    /// The remaining hops, of IPv4 or IPv6: with [`RECEIVE_TIME_TO_LIVE`](crate::option::RECEIVE_TIME_TO_LIVE) or
    /// [`RECEIVE_HOP_LIMIT`](crate::option::RECEIVE_HOP_LIMIT).
    Hops(u32),
    /// The TOS byte or traffic class: with [`RECEIVE_TYPE_OF_SERVICE`](crate::option::RECEIVE_TYPE_OF_SERVICE) or
    /// [`RECEIVE_TRAFFIC_CLASS`](crate::option::RECEIVE_TRAFFIC_CLASS). The lower two bits are ECN (RFC 3168).
    TrafficClass(u8),
    /// When the kernel got the datagram, since 1970 in UTC: with [`RECEIVE_TIMESTAMP`](crate::option::RECEIVE_TIMESTAMP).
    Timestamp(Duration),
    /// Times of [`TIMESTAMPING`](crate::option::TIMESTAMPING), since 1970 in UTC; zero where a time is missing.
    Timestamping {
        /// The kernel's time.
        software: Duration,
        /// The device's own clock.
        hardware: Duration,
    },
    /// The size of the datagrams that came as one buffer, the last may be shorter: with [`COALESCE`](crate::option::COALESCE).
    SegmentBytes(u32),
    /// The number of datagrams dropped so far: with [`RECEIVE_DROPS`](crate::option::RECEIVE_DROPS).
    Drops(u32),
    /// Descriptors from the other process; those that are not taken are closed on drop. unix(7).
    Descriptors(Descriptors<'a>),
    /// The sender of a Unix message: with [`RECEIVE_CREDENTIALS`](crate::option::RECEIVE_CREDENTIALS).
    Credentials(Credentials),
    /// An entry of the error queue (`IP_RECVERR`, `IPV6_RECVERR`): an ICMP error, or the completion of a zero-copy send.
    QueuedError(QueuedError),
    /// One that this crate has no form for, as it came.
    Unknown {
        /// Its level, as in the system's headers.
        level: i32,
        /// Its type, as in the system's headers.
        kind: i32,
        /// Its payload.
        data: &'a [u8],
    },
}

/// An entry of a socket's error queue: `struct sock_extended_err`. ip(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueuedError {
    /// The error's number; 0 for what is no error.
    pub number: u32,
    /// Where it comes from: 1 this machine, 2 ICMP, 3 ICMPv6, 4 time stamps, 5 zero copy.
    pub origin: u8,
    /// The ICMP type.
    pub kind: u8,
    /// The ICMP code; of a zero-copy completion, 1 if the bytes were copied after all.
    pub code: u8,
    /// The path's largest packet for `EMSGSIZE`; of a zero-copy completion, the first send that is done.
    pub info: u32,
    /// Of a zero-copy completion, the last send that is done.
    pub data: u32,
}

/// Room for the control messages of one receive: `WORDS` times 8 bytes on the stack, 256 bytes by default, which is enough for
/// all of the kinds above at once (with 16 descriptors).
///
/// Descriptors that came and were not taken are closed when it is used again or dropped.
#[repr(C, align(8))]
pub struct ReceiveControl<const WORDS: usize = 32> {
    words: [u64; WORDS],
    /// `walked <= filled <= 8 * WORDS`: messages before `walked` have been handed out.
    walked: usize,
    filled: usize,
}

impl ReceiveControl {
    /// Empty room of the default size.
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
    /// Empty room of another size: `ReceiveControl::<128>::with_words()`.
    pub const fn with_words() -> ReceiveControl<WORDS> {
        ReceiveControl {
            words: [0; WORDS],
            walked: 0,
            filled: 0,
        }
    }

    /// The messages that came, each once: what was walked over is gone.
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

    /// Forgets what is left, closing descriptors among it.
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
    /// The kernel must have put control messages into the first `length` bytes of the space, and descriptors among them must be
    /// without another owner.
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
        // SAFETY: that many bytes are there, of integers; alignment is not asked for.
        let header = unsafe { rest.as_ptr().cast::<cmsghdr>().read_unaligned() };
        let length = header.cmsg_len as usize;
        if length < HEADER || length > rest.len() {
            // Cut off by the system for want of room.
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
    crate::sys::control::parse(level, kind, data).unwrap_or(ControlMessage::Unknown { level, kind, data })
}

/// Descriptors that came with a message; each is closed in programs that the process starts, and on drop if it was not taken.
#[derive(Debug)]
pub struct Descriptors<'a> {
    /// Ints, each the number of a descriptor that this owns.
    numbers: &'a [u8],
}

impl Iterator for Descriptors<'_> {
    type Item = OwnedFd;

    fn next(&mut self) -> Option<OwnedFd> {
        let (number, rest) = self.numbers.split_first_chunk()?;
        self.numbers = rest;
        // SAFETY: the kernel made the descriptor for this process, and the messages are walked over once only.
        Some(unsafe { OwnedFd::from_raw_fd(c_int::from_ne_bytes(*number)) })
    }
}

impl Drop for Descriptors<'_> {
    fn drop(&mut self) {
        self.for_each(drop);
    }
}

/// Control messages to be sent: `WORDS` times 8 bytes on the stack, 256 bytes by default.
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
    /// No messages, with room of the default size.
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
    /// No messages, with room of another size.
    pub const fn with_words() -> Self {
        SendControl {
            words: [0; WORDS],
            length: 0,
            descriptors: PhantomData,
        }
    }

    /// Passes open descriptors to the process on the other side of a Unix socket, up to 253 at once; they stay open here. At
    /// least one byte must be sent along on a stream. unix(7).
    ///
    /// # Errors
    /// When there is no room.
    pub fn push_descriptors(&mut self, descriptors: &[BorrowedFd<'fd>]) -> io::Result<()> {
        // SAFETY: a BorrowedFd is an int (repr(transparent)), and each is a number without padding.
        let numbers =
            unsafe { core::slice::from_raw_parts(descriptors.as_ptr().cast::<u8>(), size_of_val(descriptors)) };
        self.push(libc::SOL_SOCKET, libc::SCM_RIGHTS, numbers)
    }

    /// Adds any control message: its level and type as in the system's headers, and its payload.
    ///
    /// # Errors
    /// When there is no room, and for `SCM_RIGHTS`, whose descriptors must be known to be open:
    /// [`push_descriptors`](SendControl::push_descriptors).
    pub fn push_raw(&mut self, level: i32, kind: i32, data: &[u8]) -> io::Result<()> {
        if (level, kind) == (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
            return Err(io::misuse("descriptors are passed with push_descriptors"));
        }
        self.push(level, kind, data)
    }

    /// Takes all messages out.
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
                "no room for another control message: use SendControl with more words",
            ));
        };
        place.fill(0);
        // SAFETY: zero is a valid value of every field.
        let mut header: cmsghdr = unsafe { core::mem::zeroed() };
        header.cmsg_len = (HEADER + data.len()) as _;
        header.cmsg_level = level;
        header.cmsg_type = kind;
        // SAFETY: `place` is at least a header long; alignment is not asked for.
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
