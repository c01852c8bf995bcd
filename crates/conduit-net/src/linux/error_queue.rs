//! The error queue of a socket: reports about sent bytes.

use crate::io::{self, IoSliceMut};
use crate::socket::ops;
use crate::{ReceiveControl, Received};
use rustix::fd::AsFd;

/// Removes an entry from a socket's error queue: an ICMP error (with
/// [`RECEIVE_ERRORS`](crate::option::RECEIVE_ERRORS)), the time stamp of a sent message (with
/// [`TIMESTAMPING`](crate::option::TIMESTAMPING)) or the completion of a zero-copy send. ip(7).
///
/// The buffers receive the bytes that were sent, `from` is their destination, and a
/// [`ControlMessage::QueuedError`](crate::ControlMessage::QueuedError) describes the entry.
///
/// A [`Poller`](crate::Poller) reports entries as an error event.
///
/// # Errors
/// `WouldBlock` if the queue is empty, in blocking mode too.
pub fn receive_error<const WORDS: usize>(
    socket: &impl AsFd,
    buffers: &mut [IoSliceMut<'_>],
    control: &mut ReceiveControl<WORDS>,
) -> io::Result<Received> {
    ops::receive_message(socket.as_fd(), buffers, control, libc::MSG_ERRQUEUE)
}
