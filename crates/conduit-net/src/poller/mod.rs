//! Readiness: the sources that can be read from or written to without blocking.

#[cfg(feature = "std")]
mod events;
#[cfg_attr(all(target_os = "linux", not(conduit_portable)), path = "sys/epoll.rs")]
#[cfg_attr(any(not(target_os = "linux"), conduit_portable), path = "sys/portable.rs")]
mod sys;

#[cfg(feature = "std")]
pub use self::events::Events;
use crate::io::{self, Result};
use core::fmt;
use core::ops::BitOr;
use core::time::Duration;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Waits until one of many sources is ready.
///
/// A source is anything with a descriptor that the system can poll. The caller adds it with a key, and
/// [`wait`](Poller::wait) returns the keys of the ready sources. Readiness is *level-triggered*, unless the interest is
/// [`edge`](Interest::edge) or [`one_shot`](Interest::one_shot): every wait reports an event as long as its cause
/// persists. So a source need not be drained at once, and a hang-up after pending data is not lost.
///
/// One thread waits; any thread may [`notify`](Poller::notify) it and add, modify and remove sources. The descriptor of
/// the poller is readable while events are pending, so a poller can be nested in another one, or in a tokio runtime
/// with `AsyncPoller` (feature `tokio`).
///
/// See epoll(7) and kqueue(2).
#[derive(Debug)]
pub struct Poller {
    inner: sys::Backend,
}

impl Poller {
    /// A poller without sources. It uses one descriptor, and another one for [`notify`](Poller::notify).
    ///
    /// # Errors
    /// `EMFILE` or `ENFILE` if no descriptor is available.
    pub fn new() -> Result<Poller> {
        Ok(Poller {
            inner: sys::Backend::new()?,
        })
    }

    /// Adds `source`; its events have the key `key`.
    ///
    /// Remove a source before its descriptor is closed, or use [`close`](Poller::close) for both. On Linux, closing the
    /// last descriptor of a source also removes it; on other systems its number remains registered.
    ///
    /// # Errors
    /// `AlreadyExists` if the poller already has the source; `EPERM` if the source cannot be polled (a regular file);
    /// `InvalidInput` for the key `u64::MAX`, which is reserved, and for a key above `usize::MAX` on the portable
    /// backend.
    #[inline]
    pub fn add(&self, source: &impl AsFd, key: u64, interest: Interest) -> Result<()> {
        self.inner.add(source.as_fd(), usable(key)?, interest)
    }

    /// Replaces the key and the interest of a source.
    ///
    /// # Errors
    /// `NotFound` if the poller does not have the source; for the key as [`add`](Poller::add).
    #[inline]
    pub fn modify(&self, source: &impl AsFd, key: u64, interest: Interest) -> Result<()> {
        self.inner.modify(source.as_fd(), usable(key)?, interest)
    }

    /// Removes `source`. Its events in an existing [`Events`](crate::Events) remain.
    ///
    /// # Errors
    /// `NotFound` if the poller does not have the source.
    #[inline]
    pub fn remove(&self, source: &impl AsFd) -> Result<()> {
        self.inner.remove(source.as_fd())
    }

    /// Removes and closes `source` with the fewest system calls: on Linux, closing does both.
    ///
    /// The source must have no duplicate (`try_clone`, `dup`): on Linux a duplicate would remain registered.
    ///
    /// # Errors
    /// `NotFound` if removal requires a system call and the poller does not have the source. The source is closed in
    /// any case.
    #[inline]
    pub fn close(&self, source: impl Into<OwnedFd>) -> Result<()> {
        self.inner.close(source.into())
    }

    /// Waits at most `timeout` (`None`: without limit) for events, stores them in `events`, and returns their number.
    /// It returns early, possibly with zero events, after [`notify`](Poller::notify).
    ///
    /// It makes one system call and no allocation on Linux; it does not block with a timeout of zero. The resolution of
    /// the timeout is one nanosecond if the system supports it (Linux 5.11, kqueue); otherwise the timeout is rounded
    /// up to milliseconds. A signal does not end the wait. If more sources are ready than `events` has room for, the
    /// next waits report the others in turn.
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    #[cfg(feature = "std")]
    #[inline]
    pub fn wait(&self, events: &mut crate::Events, timeout: Option<Duration>) -> Result<usize> {
        self.inner.wait(&mut events.inner, timeout)
    }

    /// Waits as [`wait`](Poller::wait) does, and stores the events in memory of the caller, without the heap. Only with the epoll
    /// backend.
    ///
    /// # Errors
    /// `EINVAL` for an empty slice; otherwise as [`wait`](Poller::wait).
    #[cfg(all(target_os = "linux", not(conduit_portable)))]
    #[inline]
    pub fn wait_into<'a>(&self, slots: &'a mut [EventSlot], timeout: Option<Duration>) -> Result<Iter<'a>> {
        Ok(Iter {
            inner: self.inner.wait_into(slots, timeout)?,
        })
    }

    /// Wakes the waiting thread, or makes the next wait return at once. Several calls before that wait are one wake-up.
    /// Memory writes before the call are visible to the woken thread.
    ///
    /// # Errors
    /// An error of the system; none is expected in normal operation.
    pub fn notify(&self) -> Result<()> {
        self.inner.notify()
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

impl AsRawFd for Poller {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

/// The events of a source to report, and the repetition of reports. Errors and hang-ups are always reported (kqueue: with any
/// non-empty interest).
///
/// ```
/// use conduit_net::Interest;
/// assert_eq!(Interest::READABLE | Interest::WRITABLE, Interest::BOTH);
/// assert_eq!(format!("{:?}", Interest::READABLE.edge()), "READABLE | EDGE");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interest(u8);

const EDGE: u8 = 16;
const ONE_SHOT: u8 = 32;

impl Interest {
    /// No events: the source remains registered and is not reported.
    pub const NONE: Interest = Interest(0);
    /// Bytes, a connection to accept, or the end of the stream.
    pub const READABLE: Interest = Interest(1);
    /// Room to send, or the end of a connection attempt.
    pub const WRITABLE: Interest = Interest(2);
    /// [`READABLE`](Interest::READABLE) and [`WRITABLE`](Interest::WRITABLE).
    pub const BOTH: Interest = Interest(3);
    /// Out-of-band data: [`Event::priority`]. Not supported with kqueue. The portable backend on Linux also reports it
    /// as readable.
    pub const PRIORITY: Interest = Interest(4);
    /// The peer has closed its sending side: [`Event::read_closed`]. Only with the epoll backend; other backends ignore it,
    /// so that `HANG_UP` alone is [`NONE`](Interest::NONE) there, and report the end of the stream with
    /// [`READABLE`](Interest::READABLE).
    pub const HANG_UP: Interest = Interest(8);

    /// Reports an event once for each change instead of as long as it lasts: read or write until `WouldBlock` after
    /// each event.
    pub const fn edge(self) -> Interest {
        Interest(self.0 | EDGE)
    }

    /// Reports one event, then no other until the source is [modified](Poller::modify), so that only one of several
    /// threads handles it.
    pub const fn one_shot(self) -> Interest {
        Interest(self.0 | ONE_SHOT)
    }

    /// Returns whether the interest contains [`READABLE`](Interest::READABLE).
    #[inline]
    pub const fn is_readable(self) -> bool {
        self.0 & Self::READABLE.0 != 0
    }

    /// Returns whether the interest contains [`WRITABLE`](Interest::WRITABLE).
    #[inline]
    pub const fn is_writable(self) -> bool {
        self.0 & Self::WRITABLE.0 != 0
    }

    /// Returns whether the interest contains [`PRIORITY`](Interest::PRIORITY).
    #[inline]
    pub const fn is_priority(self) -> bool {
        self.0 & Self::PRIORITY.0 != 0
    }

    /// Returns whether the interest contains [`HANG_UP`](Interest::HANG_UP).
    #[inline]
    pub const fn is_hang_up(self) -> bool {
        self.0 & Self::HANG_UP.0 != 0
    }

    /// Returns whether the interest is [edge-triggered](Interest::edge).
    #[inline]
    pub const fn is_edge(self) -> bool {
        self.0 & EDGE != 0
    }

    /// Returns whether the interest is [one-shot](Interest::one_shot).
    #[inline]
    pub const fn is_one_shot(self) -> bool {
        self.0 & ONE_SHOT != 0
    }
}

impl BitOr for Interest {
    type Output = Interest;

    fn bitor(self, other: Interest) -> Interest {
        Interest(self.0 | other.0)
    }
}

impl fmt::Debug for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.is_readable(), self.is_writable()) {
            (false, false) => "NONE",
            (true, false) => "READABLE",
            (false, true) => "WRITABLE",
            (true, true) => "BOTH",
        })?;
        let rest = [
            (self.is_priority(), " | PRIORITY"),
            (self.is_hang_up(), " | HANG_UP"),
            (self.is_edge(), " | EDGE"),
            (self.is_one_shot(), " | ONE_SHOT"),
        ];
        rest.iter()
            .filter(|(on, _)| *on)
            .try_for_each(|(_, name)| f.write_str(name))
    }
}

/// The readiness of one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// The key of the source.
    pub key: u64,
    /// A read or an accept does not block: there are bytes, the end of the stream, or a pending error.
    pub readable: bool,
    /// A write does not block: there is room in the send buffer, or a pending error.
    pub writable: bool,
    /// Both directions are closed. Earlier bytes may still be unread: read until the end of the stream. Reported by
    /// epoll; with kqueue, a read returns the end.
    pub hang_up: bool,
    /// The source has failed, for instance by a reset; the next read or write returns the error. Reported by epoll;
    /// with kqueue, only the read or write returns it.
    pub error: bool,
    /// The peer has closed its sending side; requires [`Interest::HANG_UP`] and the epoll backend. Earlier bytes may
    /// still be unread.
    pub read_closed: bool,
    /// Out-of-band data; requires [`Interest::PRIORITY`]. Not supported with kqueue.
    pub priority: bool,
}

/// Storage for one event of [`Poller::wait_into`].
#[cfg(all(target_os = "linux", not(conduit_portable)))]
pub use sys::EventSlot;

/// The iterator of [`Events::iter`](crate::Events::iter).
pub struct Iter<'a> {
    pub(crate) inner: sys::BufferIter<'a>,
}

impl Iterator for Iter<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        self.inner.next()
    }
}

/// The key of a wake-up by [`Poller::notify`], on every backend.
pub(crate) const WAKE_KEY: u64 = u64::MAX;

#[inline]
fn usable(key: u64) -> Result<u64> {
    if key == WAKE_KEY {
        return Err(io::misuse(
            "the key u64::MAX is reserved for the poller: use another key",
        ));
    }
    Ok(key)
}
