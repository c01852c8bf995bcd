//! Many datagrams with one call: recvmmsg(2), sendmmsg(2).

use crate::control::{ControlMessages, ReceiveControl, SendControl};
use crate::socket::ops;
use crate::{Address, io};
use core::mem::MaybeUninit;
use rustix::fd::{AsFd, AsRawFd};
use rustix::net::SocketAddrAny;
use rustix::net::addr::SocketAddrStorage;

/// The largest buffer of a datagram, which bounds the memory of a batch: 16 times that of the largest UDP datagram.
const MAX_BYTES_EACH: usize = 1024 * 1024;

/// Reusable buffers for the datagrams of one call.
///
/// The memory of a batch is the size of its buffers and about 500 bytes for each datagram.
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
    /// The slots that `headers` point to, one each; neither list grows.
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
    /// The datagram was longer than its buffer, and the rest is lost.
    pub truncated: bool,
    /// The control messages did not fit into their buffer; the system closed the descriptors among the rest.
    pub control_truncated: bool,
    /// The control messages of the datagram. The next [`receive`](ReceiveBatch::receive), or the drop of the batch,
    /// closes descriptors that the caller does not take.
    pub control: ControlMessages<'a>,
}

// SAFETY: the pointers in the headers refer to memory that the batch owns.
unsafe impl Send for ReceiveBatch {}

impl ReceiveBatch {
    /// A batch for `count` datagrams, 1 to 1024, of at most `bytes_each` bytes, 0 to 1 MiB. Other values mean the nearest
    /// of these. With [`COALESCE`](crate::option::COALESCE), one buffer receives several datagrams and requires 64 KiB.
    pub fn new(count: usize, bytes_each: usize) -> ReceiveBatch {
        let (count, bytes_each) = (count.clamp(1, 1024), bytes_each.min(MAX_BYTES_EACH));
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

    /// Receives datagrams until the queue of the socket is empty or the batch is full, and returns their number.
    /// Replaces the datagrams of the previous call. In blocking mode the call waits for the first datagram only
    /// (`MSG_WAITFORONE`).
    ///
    /// # Errors
    /// `WouldBlock` if no datagram has arrived and the socket is non-blocking.
    pub fn receive(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        self.received = 0;
        // One borrow of the memory: a later one would end the validity of the pointers that are stored already.
        let buffers = self.buffers.as_mut_ptr();
        for (index, (slot, header)) in self.slots.iter_mut().zip(&mut self.headers).enumerate() {
            slot.control.clear();
            slot.piece.iov_base = buffers.wrapping_add(index * self.bytes_each).cast();
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
            // SAFETY: each pointer in the headers is to memory of this batch, has the length that follows it, and may
            // be written by the kernel; the memory does not move during the call.
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
            // SAFETY: the kernel has initialised this number of bytes.
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
                // SAFETY: the kernel has initialised `msg_namelen` bytes of the address.
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

/// Datagrams to send with one call. Their bytes are borrowed, not copied.
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

// SAFETY: each call sets the pointers in the headers and pieces again, to memory that the batch owns or borrows.
unsafe impl Send for SendBatch<'_> {}

impl<'a> SendBatch<'a> {
    /// A batch without datagrams.
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

    /// The number of datagrams that are not sent yet.
    pub fn len(&self) -> usize {
        self.outgoing.len()
    }

    /// Returns whether all datagrams are sent.
    pub fn is_empty(&self) -> bool {
        self.outgoing.is_empty()
    }

    /// Removes the first datagram without sending it, after an error of [`send`](SendBatch::send) that would occur again.
    /// Returns false for an empty batch.
    pub fn skip(&mut self) -> bool {
        let has_one = !self.outgoing.is_empty();
        self.outgoing.drain(..usize::from(has_one));
        has_one
    }

    /// Sends at most 1024 datagrams, removes them from the batch, and returns their number. In blocking mode the call
    /// waits until the send buffer has room for all of them.
    ///
    /// # Errors
    /// The error of the first datagram: `WouldBlock` if the send buffer is full and the socket is non-blocking,
    /// `EMSGSIZE` if the datagram is too long. The datagram stays the first one: [`skip`](SendBatch::skip) removes one that
    /// cannot be sent. An error of a later datagram is returned by the next call, if it occurs again.
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
            // SAFETY: each pointer is to memory that the batch owns or borrows, of the length that follows it. The
            // kernel writes only the numbers of sent bytes, into the headers.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UnixDatagram;

    #[test]
    fn sizes_of_a_batch_are_limited() {
        let (one, two) = UnixDatagram::pair().expect("two sockets");
        for (count, bytes_each, expected) in [
            (usize::MAX, usize::MAX, 3),
            (2, 1 << (usize::BITS - 1), 2),
            (usize::MAX / 2, 0, 3),
            (0, 16, 1),
        ] {
            for text in [b"1", b"2", b"3"] {
                one.send(text).expect("room in the buffer");
            }
            let mut batch = ReceiveBatch::new(count, bytes_each);
            let received = batch.receive(&two).expect("datagrams have arrived");
            assert_eq!(received, expected, "{count} of {bytes_each} bytes");
            for datagram in batch.iter_mut() {
                assert_eq!(datagram.truncated, bytes_each == 0);
            }
            while two.recv(&mut [0]).is_ok() {}
        }
    }
}
