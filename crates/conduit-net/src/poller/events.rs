//! The list of events that a wait returns.

use super::{Event, Iter, sys};
use core::fmt;

/// The events of one wait. [`Poller::wait`](crate::Poller::wait) fills and reuses it, so that waiting does not
/// allocate.
///
/// It uses 12 bytes per event of its capacity on x86-64 Linux, 16 to 64 elsewhere. With kqueue, readability and
/// writability of one source are two events.
pub struct Events {
    pub(crate) inner: sys::EventBuffer,
}

/// The maximum capacity. Some systems reject a larger number of events with `EINVAL` (epoll_wait(2)).
const CAPACITY_LIMIT: usize = 65_536;

impl Events {
    /// An empty list with a capacity of `capacity` events, which is allocated at once: at least 1 and at most 65,536.
    /// Events that a full list does not have are in that of the next wait.
    pub fn with_capacity(capacity: usize) -> Events {
        Events {
            inner: sys::EventBuffer::with_capacity(capacity.clamp(1, CAPACITY_LIMIT)),
        }
    }

    /// The events of the last wait.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            inner: self.inner.iter(),
        }
    }

    /// The number of events of the last wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Returns whether the last wait returned no events.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The maximum number of events of one wait.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    /// Removes the events.
    pub fn clear(&mut self) {
        self.inner.clear();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

impl<'a> IntoIterator for &'a Events {
    type Item = Event;
    type IntoIter = Iter<'a>;

    #[inline]
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}
