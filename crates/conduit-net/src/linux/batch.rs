//! Many datagrams with one call: recvmmsg(2), sendmmsg(2).

use crate::control::{ControlMessages, ReceiveControl, SendControl};
use crate::socket::ops;
use crate::{Address, io};
use core::mem::MaybeUninit;
use rustix::fd::{AsFd, AsRawFd};
use rustix::net::SocketAddrAny;
use rustix::net::addr::SocketAddrStorage;

/// Room for many datagrams, received with one call and reused from call to call.
///
/// It takes the datagrams' room and about 500 bytes more for each.
///
/// ```
/// use conduit_net::{ReceiveBatch, SendBatch, SendControl, UdpSocket};
/// let (one, two) = (UdpSocket::bind("127.0.0.1:0".parse()?)?, UdpSocket::bind("127.0.0.1:0".parse()?)?);
/// let to = two.local_addr()?.into();
/// let plain = SendControl::new();
/// let mut sending = SendBatch::new();
/// sending.push(b"first", Some(&to), &plain)?;
/// sending.push(b"second", Some(&to), &plain)?;
/// assert_eq!(sending.send(&one)?, 2);
///
/// let mut batch = ReceiveBatch::new(16, 1500);
/// assert_eq!(batch.receive(&two)?, 2);
/// let datagrams: Vec<_> = batch.iter_mut().map(|datagram| datagram.bytes.to_vec()).collect();
/// assert_eq!(datagrams, [b"first".to_vec(), b"second".to_vec()]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ReceiveBatch {
    buffers: Vec<u8>,
    bytes_each: usize,
    /// As many as `headers`; the headers point to them, so neither list ever grows.
    slots: Vec<ReceiveSlot>,
    headers: Vec<libc::mmsghdr>,
    /// `received <= headers.len()`
    received: usize,
}

struct ReceiveSlot {
    from: MaybeUninit<SocketAddrStorage>,
    piece: libc::iovec,
    control: ReceiveControl,
}

/// One datagram of a [`ReceiveBatch`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Datagram<'a> {
    /// The payload.
    pub bytes: &'a [u8],
    /// The sender.
    pub from: Option<Address>,
    /// The datagram was longer than its room, and the rest is lost.
    pub truncated: bool,
    /// There were more control messages than room for them; the system closed the descriptors among the rest.
    pub control_truncated: bool,
    /// The control messages that came with the datagram. Descriptors that the caller does not take are closed with the next
    /// [`receive`](ReceiveBatch::receive), or when the batch is dropped.
    pub control: ControlMessages<'a>,
}

// SAFETY: the pointers in the headers are to memory that the batch itself owns.
unsafe impl Send for ReceiveBatch {}

impl ReceiveBatch {
    /// Room for `count` datagrams (at most 1024 are received at once) of `bytes_each`.
    pub fn new(count: usize, bytes_each: usize) -> ReceiveBatch {
        let count = count.clamp(1, 1024);
        let mut slots = Vec::with_capacity(count);
        slots.resize_with(count, || ReceiveSlot {
            from: MaybeUninit::uninit(),
            piece: libc::iovec {
                iov_base: core::ptr::null_mut(),
                iov_len: 0,
            },
            control: ReceiveControl::new(),
        });
        let headers = (0..count)
            .map(|_| libc::mmsghdr {
                msg_hdr: ops::header(),
                msg_len: 0,
            })
            .collect();
        ReceiveBatch {
            buffers: vec![0; count * bytes_each],
            bytes_each,
            slots,
            headers,
            received: 0,
        }
    }

    /// Receives the datagrams that have arrived, at most as many as there is room for, and returns their number. It replaces
    /// the datagrams of the previous call. In blocking mode it waits for the first datagram only (`MSG_WAITFORONE`).
    ///
    /// # Errors
    /// `WouldBlock` if none has arrived and the socket is non-blocking.
    pub fn receive(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        self.received = 0;
        for (index, (slot, header)) in self.slots.iter_mut().zip(&mut self.headers).enumerate() {
            slot.control.clear();
            slot.piece.iov_base = self.buffers[index * self.bytes_each..].as_mut_ptr().cast();
            slot.piece.iov_len = self.bytes_each;
            let message = &mut header.msg_hdr;
            message.msg_name = slot.from.as_mut_ptr().cast();
            message.msg_namelen = size_of::<SocketAddrStorage>() as libc::socklen_t;
            message.msg_iov = &raw mut slot.piece;
            message.msg_iovlen = 1;
            let room = slot.control.space();
            message.msg_control = room.as_mut_ptr().cast();
            message.msg_controllen = room.len() as _;
        }
        let received = loop {
            // SAFETY: the headers were just pointed to memory of this batch, of the lengths beside the pointers, that the kernel
            // may write; nothing of it moves during the call.
            let count = unsafe {
                libc::recvmmsg(
                    socket.as_fd().as_raw_fd(),
                    self.headers.as_mut_ptr(),
                    self.headers.len() as libc::c_uint,
                    (libc::MSG_CMSG_CLOEXEC | libc::MSG_WAITFORONE) as _,
                    core::ptr::null_mut(),
                )
            };
            match usize::try_from(count) {
                Ok(count) => break count,
                Err(_) => ops::again(io::last_errno())?,
            }
        };
        for (slot, header) in self.slots.iter_mut().zip(&self.headers).take(received) {
            // SAFETY: the kernel has filled that much of the room.
            unsafe { slot.control.set_filled(header.msg_hdr.msg_controllen as usize) };
        }
        self.received = received;
        Ok(received)
    }

    /// The datagrams that were received, in order.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = Datagram<'_>> {
        let received = self.received;
        let buffers = self.buffers.chunks(self.bytes_each.max(1));
        self.slots
            .iter_mut()
            .zip(&self.headers)
            .zip(buffers)
            .take(received)
            .map(|((slot, header), buffer)| Datagram {
                bytes: &buffer[..(header.msg_len as usize).min(buffer.len())],
                // SAFETY: the kernel has filled as much of the address as it says.
                from: unsafe { ops::received_address(&slot.from, header.msg_hdr.msg_namelen) },
                truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
                control_truncated: header.msg_hdr.msg_flags & libc::MSG_CTRUNC != 0,
                control: slot.control.messages(),
            })
    }
}

impl core::fmt::Debug for ReceiveBatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ReceiveBatch")
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// Datagrams to be sent with one call. They are borrowed, not copied.
pub struct SendBatch<'a> {
    outgoing: Vec<Outgoing<'a>>,
    headers: Vec<libc::mmsghdr>,
    pieces: Vec<libc::iovec>,
}

struct Outgoing<'a> {
    bytes: &'a [u8],
    to: Option<SocketAddrAny>,
    control: &'a [u8],
}

// SAFETY: the pointers in the headers and pieces are set anew for each call, to what the batch owns or borrows.
unsafe impl Send for SendBatch<'_> {}

impl<'a> SendBatch<'a> {
    /// No datagrams yet.
    pub const fn new() -> SendBatch<'a> {
        SendBatch {
            outgoing: Vec::new(),
            headers: Vec::new(),
            pieces: Vec::new(),
        }
    }

    /// Adds a datagram to `to`, or to the peer that the socket is connected to.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` for an address of an unknown family.
    pub fn push<const WORDS: usize>(
        &mut self,
        bytes: &'a [u8],
        to: Option<&Address>,
        control: &'a SendControl<'_, WORDS>,
    ) -> io::Result<()> {
        let to = to.map(Address::to_raw).transpose()?;
        self.outgoing.push(Outgoing {
            bytes,
            to,
            control: control.as_bytes(),
        });
        Ok(())
    }

    /// How many datagrams wait to be sent.
    pub fn len(&self) -> usize {
        self.outgoing.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Sends the datagrams, at most 1024 at once, removes those that were sent, and returns their number. In blocking mode it
    /// waits for room until it has sent all of them.
    ///
    /// # Errors
    /// The first datagram's, if it cannot be sent: `WouldBlock` if there is no room and the socket is non-blocking, `EMSGSIZE`
    /// if it is too long.
    pub fn send(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        self.headers.clear();
        self.pieces.clear();
        self.pieces
            .extend(self.outgoing.iter().take(1024).map(|outgoing| libc::iovec {
                iov_base: outgoing.bytes.as_ptr().cast_mut().cast(),
                iov_len: outgoing.bytes.len(),
            }));
        for (outgoing, piece) in self.outgoing.iter().zip(&mut self.pieces) {
            let mut message = ops::header();
            if let Some(to) = &outgoing.to {
                message.msg_name = to.as_ptr().cast_mut().cast();
                message.msg_namelen = to.addr_len();
            }
            message.msg_iov = &raw mut *piece;
            message.msg_iovlen = 1;
            if !outgoing.control.is_empty() {
                message.msg_control = outgoing.control.as_ptr().cast_mut().cast();
                message.msg_controllen = outgoing.control.len() as _;
            }
            self.headers.push(libc::mmsghdr {
                msg_hdr: message,
                msg_len: 0,
            });
        }
        loop {
            // SAFETY: every pointer is to memory of the length beside it that the batch owns or borrows and the kernel only
            // reads, but for the lengths sent, which it writes into the headers.
            let count = unsafe {
                libc::sendmmsg(
                    socket.as_fd().as_raw_fd(),
                    self.headers.as_mut_ptr(),
                    self.headers.len() as libc::c_uint,
                    libc::MSG_NOSIGNAL as _,
                )
            };
            match usize::try_from(count) {
                Ok(count) => {
                    self.outgoing.drain(..count);
                    return Ok(count);
                }
                Err(_) => ops::again(io::last_errno())?,
            }
        }
    }
}

impl Default for SendBatch<'_> {
    fn default() -> Self {
        SendBatch::new()
    }
}

impl core::fmt::Debug for SendBatch<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SendBatch")
            .field("datagrams", &self.outgoing.len())
            .finish_non_exhaustive()
    }
}
