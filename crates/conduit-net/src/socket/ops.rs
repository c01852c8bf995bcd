//! Operations that sockets of several kinds share; the methods of the typed sockets call them.

use crate::clock::Deadline;
use crate::control::{ReceiveControl, SendControl};
use crate::io::{self, IoSlice, IoSliceMut};
use crate::{Address, Error, Operation, sys};
use core::mem::MaybeUninit;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::{AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::addr::SocketAddrStorage;
use rustix::net::{RecvFlags, SocketAddrAny};

/// The direction that `shutdown` closes. [`std::net::Shutdown`] converts into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// Receiving: a read returns the end of the stream.
    Read,
    /// Sending: the peer reads the end of the stream after the bytes sent before.
    Write,
    /// Both directions.
    Both,
}

/// The result of `receive_message`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Received {
    /// The number of received bytes.
    pub bytes: usize,
    /// The sender, if the kind of socket reports it.
    pub from: Option<Address>,
    /// The datagram exceeded the buffers; the rest is lost.
    pub truncated: bool,
    /// The control messages exceeded their buffer; the system closed the descriptors in the rest.
    pub control_truncated: bool,
}

pub(crate) fn accept(socket: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<SocketAddrAny>)> {
    Ok(retry_on_intr(|| sys::socket::accept(socket))?)
}

pub(crate) fn accept_by(
    socket: BorrowedFd<'_>,
    deadline: Option<Deadline>,
) -> Result<(OwnedFd, Option<SocketAddrAny>), Errno> {
    loop {
        wait(socket, PollFlags::IN, deadline)?;
        match retry_on_intr(|| sys::socket::accept(socket)) {
            // Another process may have accepted the connection between the two calls.
            Err(Errno::AGAIN) => {}
            Err(cause) if is_of_one_connection(cause) => {}
            result => return result,
        }
        // The listener remains readable while connections with errors arrive.
        if deadline.is_some_and(|deadline| deadline.left().is_zero()) {
            return Err(Errno::TIMEDOUT);
        }
    }
}

/// Returns whether an error of `accept` concerns only one connection, which the system has removed from the queue: the next one
/// may be accepted at once. After any other error, except for `WouldBlock`, the next call would most likely fail too, so a
/// server waits before it.
///
/// The errors are `ECONNABORTED` and `ECONNRESET`, and the network errors of a connection, which Linux returns here:
/// `ENETDOWN`, `ENETUNREACH`, `ENONET`, `EHOSTDOWN`, `EHOSTUNREACH`, `EPROTO`, `ENOPROTOOPT`, `ETIMEDOUT`.
///
/// accept(2) lists two more. `EOPNOTSUPP` also means that the socket cannot accept. `EPERM` comes from a security module, which
/// Linux asks before it takes a connection from the queue.
///
/// ```
/// use conduit_net::{ListenOptions, TcpListener, can_accept_after};
/// use std::io::ErrorKind::WouldBlock;
///
/// let listener = TcpListener::bind("127.0.0.1:0".parse()?, &ListenOptions::new())?;
/// loop {
///     match listener.accept() {
///         Ok((_stream, peer)) => println!("{peer} has connected"),
///         Err(error) if error.kind() == WouldBlock => break,
///         Err(error) if can_accept_after(&error) => {}
///         Err(error) => return Err(error.into()),
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn can_accept_after(error: &io::Error) -> bool {
    io::errno(error).is_some_and(is_of_one_connection)
}

fn is_of_one_connection(cause: Errno) -> bool {
    let is_network_error = matches!(
        cause,
        Errno::CONNABORTED
            | Errno::CONNRESET
            | Errno::NETDOWN
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::HOSTUNREACH
            | Errno::PROTO
            | Errno::NOPROTOOPT
            | Errno::TIMEDOUT
    );
    is_network_error || sys::network_errors::OF_ONE_CONNECTION.contains(&cause)
}

pub(crate) fn start_connect(socket: BorrowedFd<'_>, address: &Address) -> Result<(), Error> {
    let failed = |cause: io::Error| Error::new(Operation::Connect, address, cause);
    let raw = address.to_raw().map_err(failed)?;
    loop {
        match rustix::net::connect(socket, &raw) {
            Ok(()) | Err(Errno::INPROGRESS) => return Ok(()),
            // An interrupted attempt of TCP continues in the background, as one that would block does: connect(2).
            Err(Errno::INTR) if address.as_ip().is_some() => return Ok(()),
            // A blocking Unix socket has waited for room in the queue of the listener, and is not connected.
            Err(Errno::INTR) => {}
            Err(cause) => return Err(failed(cause.into())),
        }
    }
}

pub(crate) fn finish_connect(
    socket: BorrowedFd<'_>,
    address: &Address,
    deadline: Option<Deadline>,
) -> Result<(), Error> {
    let failed = |cause: Errno| Error::new(Operation::Connect, address, cause);
    wait(socket, PollFlags::OUT, deadline).map_err(failed)?;
    rustix::net::sockopt::socket_error(socket)
        .and_then(|state| state)
        .map_err(failed)
}

/// Returns `TIMEDOUT` at the deadline.
pub(crate) fn wait(socket: BorrowedFd<'_>, flags: PollFlags, deadline: Option<Deadline>) -> Result<(), Errno> {
    let mut sockets = [PollFd::from_borrowed_fd(socket, flags)];
    loop {
        let limit = deadline.and_then(|deadline| deadline.left().try_into().ok());
        match rustix::event::poll(&mut sockets, limit.as_ref()) {
            Ok(0) => return Err(Errno::TIMEDOUT),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(cause) => return Err(cause),
        }
    }
}

#[inline]
pub(crate) fn recv(socket: BorrowedFd<'_>, buffer: &mut [u8], flags: RecvFlags) -> io::Result<usize> {
    let (count, _) = retry_on_intr(|| rustix::net::recv(socket, &mut *buffer, flags))?;
    Ok(count)
}

#[inline]
pub(crate) fn recv_uninit<'a>(socket: BorrowedFd<'_>, buffer: &'a mut [MaybeUninit<u8>]) -> io::Result<&'a mut [u8]> {
    let count = loop {
        match rustix::net::recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok(((filled, _), _)) => break filled.len(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    // SAFETY: recv(2) has written `count` bytes.
    Ok(unsafe { buffer[..count].assume_init_mut() })
}

#[inline]
pub(crate) fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| {
        rustix::net::send(socket, bytes, sys::socket::SEND_FLAGS)
    })?)
}

pub(crate) fn recv_from(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, Option<SocketAddrAny>)> {
    let (count, _, from) = retry_on_intr(|| rustix::net::recvfrom(socket, &mut *buffer, flags))?;
    Ok((count, from))
}

pub(crate) fn send_to(socket: BorrowedFd<'_>, bytes: &[u8], to: &Address) -> io::Result<usize> {
    let to = to.to_raw()?;
    Ok(retry_on_intr(|| {
        rustix::net::sendto(socket, bytes, sys::socket::SEND_FLAGS, &to)
    })?)
}

pub(crate) fn shutdown(socket: BorrowedFd<'_>, how: Shutdown) -> io::Result<()> {
    let how = match how {
        Shutdown::Read => rustix::net::Shutdown::Read,
        Shutdown::Write => rustix::net::Shutdown::Write,
        Shutdown::Both => rustix::net::Shutdown::Both,
    };
    Ok(rustix::net::shutdown(socket, how)?)
}

pub(crate) fn set_blocking(socket: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    Ok(rustix::io::ioctl_fionbio(socket, !on)?)
}

/// An empty header: all pointers are null, all lengths zero.
pub(crate) fn header() -> libc::msghdr {
    // SAFETY: null pointers and zero lengths are valid values of the fields, on every system.
    unsafe { core::mem::zeroed() }
}

pub(crate) fn send_message<const WORDS: usize>(
    socket: BorrowedFd<'_>,
    pieces: &[IoSlice<'_>],
    to: Option<&Address>,
    control: &SendControl<'_, WORDS>,
    flags: libc::c_int,
) -> io::Result<usize> {
    let to = to.map(Address::to_raw).transpose()?;
    let mut message = header();
    if let Some(to) = &to {
        message.msg_name = to.as_ptr().cast_mut().cast();
        message.msg_namelen = to.addr_len() as libc::socklen_t;
    }
    message.msg_iov = pieces.as_ptr().cast_mut().cast();
    message.msg_iovlen = pieces.len() as _;
    let bytes = control.as_bytes();
    if !bytes.is_empty() {
        message.msg_control = bytes.as_ptr().cast_mut().cast();
        message.msg_controllen = bytes.len() as _;
    }
    let flags = sys::socket::SEND_FLAGS.bits() as libc::c_int | flags;
    loop {
        // SAFETY: every pointer of the header is null with length zero, or refers to live memory of the length in the
        // adjacent field: the address, the slices (IoSlice has the layout of iovec), the control messages. The kernel
        // only reads them, and `SendControl` has no message with an address or descriptor that the kernel may not use.
        let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags) };
        match usize::try_from(sent) {
            Ok(sent) => return Ok(sent),
            Err(_) => again(io::last_errno())?,
        }
    }
}

pub(crate) fn receive_message<const WORDS: usize>(
    socket: BorrowedFd<'_>,
    buffers: &mut [IoSliceMut<'_>],
    control: &mut ReceiveControl<WORDS>,
    flags: libc::c_int,
) -> io::Result<Received> {
    let mut from = MaybeUninit::<SocketAddrStorage>::uninit();
    let mut message = header();
    control.clear();
    loop {
        message.msg_name = from.as_mut_ptr().cast();
        message.msg_namelen = size_of::<SocketAddrStorage>() as libc::socklen_t;
        message.msg_iov = buffers.as_mut_ptr().cast();
        message.msg_iovlen = buffers.len() as _;
        let room = control.space();
        message.msg_control = room.as_mut_ptr().cast();
        message.msg_controllen = room.len() as _;
        // SAFETY: every pointer of the header refers to live memory of the length in the adjacent field: the address,
        // the buffers (IoSliceMut has the layout of iovec), the control messages. The kernel may write them.
        let count = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags | sys::socket::RECEIVE_FLAGS) };
        match usize::try_from(count) {
            Ok(bytes) => {
                // SAFETY: the kernel has written control messages of this length.
                unsafe { control.set_filled(message.msg_controllen as usize) };
                return Ok(Received {
                    bytes,
                    // SAFETY: the kernel has written `msg_namelen` bytes of the address.
                    from: unsafe { received_address(&from, message.msg_namelen) },
                    truncated: message.msg_flags & libc::MSG_TRUNC != 0,
                    control_truncated: message.msg_flags & libc::MSG_CTRUNC != 0,
                });
            }
            Err(_) => again(io::last_errno())?,
        }
    }
}

/// The address that a receiving call has written; `None` for connected streams.
///
/// # Safety
/// The first `length` bytes of the storage must be an address.
pub(crate) unsafe fn received_address(
    from: &MaybeUninit<SocketAddrStorage>,
    length: libc::socklen_t,
) -> Option<Address> {
    // An unbound Unix socket has an empty address, or only the family.
    if (length as usize) < size_of::<libc::sa_family_t>() + 1 || length as usize > size_of::<SocketAddrStorage>() {
        return None;
    }
    // SAFETY: the caller guarantees that the storage contains an address.
    Some(Address::from_raw(&unsafe {
        SocketAddrAny::read(from.as_ptr(), length as _)
    }))
}

pub(crate) fn again(error: Errno) -> io::Result<()> {
    if error == Errno::INTR {
        Ok(())
    } else {
        Err(error.into())
    }
}
