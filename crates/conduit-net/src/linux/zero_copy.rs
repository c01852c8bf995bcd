//! Sending without copying: `MSG_ZEROCOPY`, and the kernel's word that it is done.

use crate::control::{ControlMessage, ReceiveControl, SendControl};
use crate::io::{self, IoSlice};
use crate::option::{self, Options};
use crate::socket::ops;
use crate::{Error, TcpStream};
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

/// `SO_EE_ORIGIN_ZEROCOPY` of linux/errqueue.h, which libc lacks.
pub(crate) const ORIGIN_ZERO_COPY: u8 = 5;
/// `SO_EE_CODE_ZEROCOPY_COPIED` of linux/errqueue.h, which libc lacks.
pub(crate) const CODE_COPIED: u8 = 1;

/// A TCP connection that sends without copying, and holds each buffer until the kernel is done with it. Linux 4.14.
///
/// It pays from about 10 KB a call on a real network; on loopback the kernel copies all the same, and says so.
///
/// ```
/// use conduit_net::{ListenOptions, TcpListener, TcpStream, ZeroCopy};
/// use std::{sync::Arc, time::Duration};
/// let listener = TcpListener::bind("127.0.0.1:0".parse()?, &ListenOptions::new())?;
/// let client = TcpStream::connect(listener.local_addr()?)?;
/// let (server, _) = listener.accept_timeout(Duration::from_secs(5))?;
///
/// let mut sender = ZeroCopy::new(server)?;
/// let page: Arc<[u8]> = vec![7; 16 * 1024].into();
/// let sent = sender.send(&page, 0..page.len())?;
/// let mut received = 0;
/// while received < sent {
///     conduit_net::wait_readable(&client, None)?;
///     received += client.recv(&mut [0; 4096])?;
/// }
/// // The poller reports completions as an error event.
/// while sender.pending() > 0 {
///     sender.complete(|completion| assert_eq!(completion.buffer.len(), 16 * 1024))?;
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ZeroCopy {
    stream: TcpStream,
    /// One for each send that is not done, in order; `None` for those that are done before an earlier one.
    held: VecDeque<Option<Arc<[u8]>>>,
    /// The number that the kernel gave to the first of `held`.
    first: u32,
}

/// A send that is done.
#[derive(Debug)]
#[non_exhaustive]
pub struct Completion {
    /// The buffer, given back.
    pub buffer: Arc<[u8]>,
    /// The kernel had to copy after all, as it does on loopback.
    pub copied: bool,
}

impl ZeroCopy {
    /// Takes a connection over that has not sent with zero copy before.
    ///
    /// # Errors
    /// Where the system cannot send without copying.
    pub fn new(stream: TcpStream) -> Result<ZeroCopy, Error> {
        stream.set_option(option::ZERO_COPY, true)?;
        Ok(ZeroCopy {
            stream,
            held: VecDeque::new(),
            first: 0,
        })
    }

    /// Sends as much of the range of `buffer` as there is room for, and returns the number of bytes. The buffer is shared and
    /// immutable, and it is held until [`complete`](ZeroCopy::complete) has reported its completion.
    ///
    /// # Errors
    /// As [`TcpStream::send`], and `ENOBUFS` when too much is under way (`net.core.optmem_max`): complete some first.
    ///
    /// # Panics
    /// If the range is not within the buffer.
    pub fn send(&mut self, buffer: &Arc<[u8]>, range: Range<usize>) -> io::Result<usize> {
        let pieces = [IoSlice::new(&buffer[range])];
        let control = SendControl::<0>::with_words();
        let sent = ops::send_message(self.stream.as_fd(), &pieces, None, &control, libc::MSG_ZEROCOPY)?;
        if sent > 0 {
            self.held.push_back(Some(buffer.clone()));
        }
        Ok(sent)
    }

    /// The number of held buffers.
    pub fn pending(&self) -> usize {
        self.held.iter().flatten().count()
    }

    /// Hands over every send that has completed since, and returns their number. A [`Poller`](crate::Poller) reports
    /// completions as an error event.
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    pub fn complete(&mut self, mut done: impl FnMut(Completion)) -> io::Result<usize> {
        let mut count = 0;
        let mut control = ReceiveControl::new();
        loop {
            match ops::receive_message(self.stream.as_fd(), &mut [], &mut control, libc::MSG_ERRQUEUE) {
                Err(error) if io::errno(&error) == Some(Errno::AGAIN) => return Ok(count),
                result => result?,
            };
            for message in control.messages() {
                if let ControlMessage::QueuedError(entry) = message
                    && entry.origin == ORIGIN_ZERO_COPY
                {
                    // The numbers wrap around after 2^32 sends.
                    for number in 0..=entry.data.wrapping_sub(entry.info) {
                        let index = entry.info.wrapping_add(number).wrapping_sub(self.first) as usize;
                        if let Some(buffer) = self.held.get_mut(index).and_then(Option::take) {
                            count += 1;
                            done(Completion {
                                buffer,
                                copied: entry.code & CODE_COPIED != 0,
                            });
                        }
                    }
                }
            }
            while let Some(None) = self.held.front() {
                self.held.pop_front();
                self.first = self.first.wrapping_add(1);
            }
        }
    }

    /// The connection, to receive from or to watch.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// The kernel may still read from buffers whose sends are not done: they are leaked, as memory that is freed and used again would
/// go out to the peer. Call [`complete`](ZeroCopy::complete) until nothing is [pending](ZeroCopy::pending) to avoid that.
impl Drop for ZeroCopy {
    fn drop(&mut self) {
        let _ = self.complete(drop);
        self.held.drain(..).for_each(core::mem::forget);
    }
}
