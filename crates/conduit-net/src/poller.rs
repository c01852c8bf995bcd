//! Readiness: which sources can be read from or written to without blocking.

use crate::io::{self, Result};
use crate::sys;
use core::fmt;
use core::ops::BitOr;
use core::time::Duration;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

/// Waits until one of many sources is ready.
///
/// Every source (anything with a descriptor that the system can poll) is added under a key of the caller's choice, and
/// [`wait`](Poller::wait) returns the keys that are ready. Readiness is *level-triggered*: an event comes again with every wait for as
/// long as its reason lasts, so a source need not be drained at once, and a hang-up after pending data is never lost.
///
/// One thread waits, any thread may [`notify`](Poller::notify) it and add, modify and remove sources. The poller's own
/// descriptor is pollable: it is readable while events are waiting, so that a poller can be nested in another (in a tokio
/// runtime with `AsyncPoller`, feature `tokio`).
///
/// See epoll(7) and kqueue(2).
#[derive(Debug)]
pub struct Poller {
    inner: sys::poller::Backend,
}

impl Poller {
    /// A poller with no sources. It holds one descriptor, and a further one for [`notify`](Poller::notify).
    ///
    /// # Errors
    /// `EMFILE` and `ENFILE` when no descriptor is left.
    pub fn new() -> Result<Poller> {
        Ok(Poller {
            inner: sys::poller::Backend::new()?,
        })
    }

    /// Starts to watch `source`; its events carry `key`.
    ///
    /// Remove a source before its descriptor is closed, or let [`close`](Poller::close) do both. (On Linux, closing the last
    /// descriptor of a source removes it too; elsewhere the number would stay taken.)
    ///
    /// # Errors
    /// `AlreadyExists` if this poller watches the source already, `EPERM` if it is of a kind that
    /// cannot be polled (a regular file), `InvalidInput` for the key `u64::MAX`, which is reserved
    /// (and for a key above `usize::MAX` on the portable backend).
    #[inline]
    pub fn add(&self, source: &impl AsFd, key: u64, interest: Interest) -> Result<()> {
        self.inner.add(source.as_fd(), usable(key)?, interest)
    }

    /// Replaces the key and the interest of a source that this poller watches.
    ///
    /// # Errors
    /// `NotFound` if this poller does not watch the source; the key as in [`add`](Poller::add).
    #[inline]
    pub fn modify(&self, source: &impl AsFd, key: u64, interest: Interest) -> Result<()> {
        self.inner.modify(source.as_fd(), usable(key)?, interest)
    }

    /// Stops watching `source`. Events of it that are in an [`Events`](crate::Events) already stay there.
    ///
    /// # Errors
    /// `NotFound` if this poller does not watch the source.
    #[inline]
    pub fn remove(&self, source: &impl AsFd) -> Result<()> {
        self.inner.remove(source.as_fd())
    }

    /// Stops watching `source` and closes it, with as few system calls as the system needs: on Linux closing alone does both.
    ///
    /// The source must not have been duplicated (`try_clone`, `dup`): on Linux a duplicate would keep it watched.
    ///
    /// # Errors
    /// `NotFound` where removal needs a system call and this poller does not watch the source. The source is
    /// closed in any case.
    #[inline]
    pub fn close(&self, source: impl Into<OwnedFd>) -> Result<()> {
        self.inner.close(source.into())
    }

    /// Fills `events` with what is ready, waiting for something no longer than `timeout` (`None`: without limit), and returns the
    /// number of events. It returns early, possibly with zero, after [`notify`](Poller::notify).
    ///
    /// It is one system call and no allocation on Linux; with a time-out of zero it never blocks. Time-outs are kept to the
    /// nanosecond where the system can (Linux 5.11, kqueue), rounded up to the millisecond elsewhere. A signal does not end
    /// the wait. When more sources are ready than `events` can hold, the rest comes with the next waits, in turn.
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
    #[cfg(feature = "std")]
    #[inline]
    pub fn wait(&self, events: &mut crate::Events, timeout: Option<Duration>) -> Result<usize> {
        self.inner.wait(&mut events.inner, timeout)
    }

    /// As [`wait`](Poller::wait), into memory of the caller's and with no heap: Linux's own backend only.
    ///
    /// # Errors
    /// As [`wait`](Poller::wait).
    #[cfg(all(target_os = "linux", not(conduit_portable)))]
    #[inline]
    pub fn wait_into<'a>(&self, slots: &'a mut [EventSlot], timeout: Option<Duration>) -> Result<Iter<'a>> {
        Ok(Iter {
            inner: self.inner.wait_into(slots, timeout)?,
        })
    }

    /// Wakes the thread that waits, or lets the next wait return at once. Several calls before that wait are one wake-up, and
    /// what a thread did before it called is visible to the woken one.
    ///
    /// # Errors
    /// What the system reports; nothing in normal operation.
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

/// The events of a source to report, and how often. Errors and hang-ups are always reported (kqueue: with any non-empty interest).
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
    /// Nothing: the source stays known, and quiet.
    pub const NONE: Interest = Interest(0);
    /// Bytes, a connection to accept, or the end of the stream.
    pub const READABLE: Interest = Interest(1);
    /// Room to send, or a finished attempt to connect.
    pub const WRITABLE: Interest = Interest(2);
    /// [`READABLE`](Interest::READABLE) and [`WRITABLE`](Interest::WRITABLE).
    pub const BOTH: Interest = Interest(3);
    /// Out-of-band bytes and the like: [`Event::priority`]. Not with kqueue. (The portable backend on Linux reports them as
    /// readable, too.)
    pub const PRIORITY: Interest = Interest(4);
    /// The peer has finished sending: [`Event::read_closed`]. Linux's own backend; elsewhere reading shows it.
    pub const HANG_UP: Interest = Interest(8);

    /// Reports an event once for each change instead of for as long as it lasts: read or write until `WouldBlock` after each event.
    pub const fn edge(self) -> Interest {
        Interest(self.0 | EDGE)
    }

    /// Reports one event and then none until the source is [modified](Poller::modify), so that one thread of several handles it.
    pub const fn one_shot(self) -> Interest {
        Interest(self.0 | ONE_SHOT)
    }

    /// Returns whether the interest contains reading.
    #[inline]
    pub const fn is_readable(self) -> bool {
        self.0 & Self::READABLE.0 != 0
    }

    /// Returns whether the interest contains writing.
    #[inline]
    pub const fn is_writable(self) -> bool {
        self.0 & Self::WRITABLE.0 != 0
    }

    /// Returns whether the interest contains priority.
    #[inline]
    pub const fn is_priority(self) -> bool {
        self.0 & Self::PRIORITY.0 != 0
    }

    /// Returns whether the interest contains the peer's end of sending.
    #[inline]
    pub const fn is_hang_up(self) -> bool {
        self.0 & Self::HANG_UP.0 != 0
    }

    /// Returns whether an event is reported once for each change.
    #[inline]
    pub const fn is_edge(self) -> bool {
        self.0 & EDGE != 0
    }

    /// Returns whether one event is reported.
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
    /// The key that the source was added under.
    pub key: u64,
    /// A read or an accept will not block: there are bytes, the end of the stream, or an error to take.
    pub readable: bool,
    /// A write will not block: there is room, or an error to take.
    pub writable: bool,
    /// Both directions are closed. Bytes that came before may still be waiting: read until the end of the stream. epoll
    /// reports it; with kqueue a read shows the end.
    pub hang_up: bool,
    /// The source has failed, with a reset for instance; the next read or write returns the error. epoll reports it; with kqueue only
    /// that read or write shows it.
    pub error: bool,
    /// The peer has finished sending: with [`Interest::HANG_UP`], on Linux's own backend. Bytes that came before may still be
    /// waiting.
    pub read_closed: bool,
    /// Out-of-band bytes, with [`Interest::PRIORITY`]; not with kqueue.
    pub priority: bool,
}

/// Room for one event of [`Poller::wait_into`].
#[cfg(all(target_os = "linux", not(conduit_portable)))]
pub use sys::poller::EventSlot;

/// The iterator of [`Events::iter`](crate::Events::iter).
pub struct Iter<'a> {
    pub(crate) inner: sys::poller::BufferIter<'a>,
}

impl Iterator for Iter<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        self.inner.next()
    }
}

/// The key of the wake-up of [`Poller::notify`], on every backend.
pub(crate) const WAKE_KEY: u64 = u64::MAX;

#[inline]
fn usable(key: u64) -> Result<u64> {
    if key == WAKE_KEY {
        return Err(io::misuse("the key u64::MAX is reserved for the poller: use another"));
    }
    Ok(key)
}
