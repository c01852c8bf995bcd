//! Sends without a copy: `MSG_ZEROCOPY`, and the completion messages of the kernel.

use crate::control::{ControlMessage, ReceiveControl, SendControl};
use crate::io::{self, IoSlice};
use crate::option::{self, Flag, Options, SocketOption, WriteOnly};
use crate::socket::ops;
use crate::{Error, Operation, TcpStream};
use rustix::fd::AsFd;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// `SO_EE_ORIGIN_ZEROCOPY` of linux/errqueue.h, which libc lacks.
pub(crate) const ORIGIN_ZERO_COPY: u8 = 5;
/// `SO_EE_CODE_ZEROCOPY_COPIED` of linux/errqueue.h, which libc lacks.
pub(crate) const CODE_COPIED: u8 = 1;

/// [`option::ZERO_COPY`], which users of the crate cannot set: a second `ZeroCopy` of a socket would be possible.
const ENABLED: SocketOption<Flag, WriteOnly> = SocketOption::new(option::ZERO_COPY.row);

/// Held from the check of the option until it is set, because another thread may have a clone of the socket.
static ENABLING: Mutex<()> = Mutex::new(());

/// A TCP connection that sends without a copy, and keeps each buffer until the kernel has completed the send. Linux
/// 4.14.
///
/// On a network it is faster than copying from about 10 KB per call. On loopback the kernel copies, and reports it in
/// [`Completion::copied`].
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
    /// The sends in order, from the first incomplete one; `None` for a completed one.
    held: VecDeque<Option<Arc<[u8]>>>,
    /// The number of the first send in `held`, as the kernel counts them.
    first: u32,
}

/// A completed send.
#[derive(Debug)]
#[non_exhaustive]
pub struct Completion {
    /// The buffer of the send.
    pub buffer: Arc<[u8]>,
    /// Set if the kernel copied the bytes, as it does on loopback.
    pub copied: bool,
}

impl ZeroCopy {
    /// Takes ownership of a connection that has not been used with `MSG_ZEROCOPY` before.
    ///
    /// # Errors
    /// The system does not support `SO_ZEROCOPY`; `EALREADY` if the option is set: the kernel numbers the sends of a
    /// socket, so those of another `ZeroCopy` of the socket would release buffers that it still reads.
    pub fn new(stream: TcpStream) -> Result<ZeroCopy, Error> {
        let _guard = ENABLING.lock().unwrap_or_else(PoisonError::into_inner);
        if stream.option(option::ZERO_COPY)? {
            let name = option::ZERO_COPY.name();
            return Err(Error::new(Operation::Option(name), None, Errno::ALREADY));
        }
        stream.set_option(ENABLED, true)?;
        Ok(ZeroCopy {
            stream,
            held: VecDeque::new(),
            first: 0,
        })
    }

    /// Sends as many bytes of the range of `buffer` as the send buffer has room for, and returns their number. The
    /// buffer is shared, immutable, and kept until [`complete`](ZeroCopy::complete) has reported its completion.
    ///
    /// # Errors
    /// As [`TcpStream::send`], and `ENOBUFS` when too many sends are pending (`net.core.optmem_max`): call `complete`
    /// first.
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

    /// The number of incomplete sends.
    pub fn pending(&self) -> usize {
        self.held.iter().flatten().count()
    }

    /// Passes each send that has completed since the last call to `done`, and returns their number. A
    /// [`Poller`](crate::Poller) reports completions as an error event.
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
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

    /// The connection, for receiving and for a poller.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}

/// Leaks the buffers of incomplete sends: the kernel may still read them, and would send memory that was freed and
/// reused. Call [`complete`](ZeroCopy::complete) until no send is [pending](ZeroCopy::pending) before the drop.
impl Drop for ZeroCopy {
    fn drop(&mut self) {
        let _ = self.complete(drop);
        self.held.drain(..).for_each(core::mem::forget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ListenOptions, TcpListener};

    #[test]
    fn one_of_two_threads_creates_the_sender() {
        let listener = TcpListener::bind("127.0.0.1:0".parse().expect("an address"), &ListenOptions::new());
        let address = listener
            .as_ref()
            .expect("a listener")
            .local_addr()
            .expect("its address");
        for _ in 0..1000 {
            let stream = TcpStream::connect(address).expect("a connection");
            let clone = stream.try_clone().expect("a descriptor");
            let barrier = std::sync::Barrier::new(2);
            let create = |stream| {
                barrier.wait();
                ZeroCopy::new(stream).is_ok()
            };
            let created = std::thread::scope(|scope| {
                let threads = [scope.spawn(|| create(stream)), scope.spawn(|| create(clone))];
                threads.map(|thread| thread.join().expect("no panic"))
            });
            assert_ne!(created[0], created[1]);
        }
    }
}
