//! The portable poller: kqueue, or epoll in tests on Linux, through the `polling` crate.

use super::{Event, Interest};
use polling::PollMode;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io::{Error, ErrorKind, Result};
use std::num::NonZeroUsize;
use std::os::fd::AsRawFd;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Backend {
    inner: polling::Poller,
}

impl Backend {
    pub(crate) fn new() -> Result<Backend> {
        Ok(Backend {
            inner: polling::Poller::new()?,
        })
    }

    pub(crate) fn add(&self, source: BorrowedFd<'_>, key: u64, interest: Interest) -> Result<()> {
        // SAFETY: the descriptor is open, because it is borrowed. A source that its owner closes before removing it may leave
        // its number in the poller: later calls with the number fail or report another source, and access no memory.
        unsafe {
            self.inner
                .add_with_mode(source.as_raw_fd(), request(key, interest)?, mode(interest))
        }
    }

    pub(crate) fn modify(&self, source: BorrowedFd<'_>, key: u64, interest: Interest) -> Result<()> {
        self.inner
            .modify_with_mode(source, request(key, interest)?, mode(interest))
    }

    pub(crate) fn remove(&self, source: BorrowedFd<'_>) -> Result<()> {
        self.inner.delete(source)
    }

    pub(crate) fn close(&self, source: OwnedFd) -> Result<()> {
        self.remove(source.as_fd())
    }

    pub(crate) fn wait(&self, events: &mut EventBuffer, timeout: Option<Duration>) -> Result<usize> {
        // `wait` appends to the list.
        events.inner.clear();
        self.inner.wait(&mut events.inner, timeout)
    }

    pub(crate) fn notify(&self) -> Result<()> {
        self.inner.notify()
    }
}

impl AsFd for Backend {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

pub(crate) struct EventBuffer {
    inner: polling::Events,
}

impl EventBuffer {
    pub(crate) fn with_capacity(capacity: usize) -> EventBuffer {
        EventBuffer {
            inner: polling::Events::with_capacity(NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN)),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.inner.len()
    }

    pub(crate) fn capacity(&self) -> usize {
        self.inner.capacity().get()
    }

    pub(crate) fn clear(&mut self) {
        self.inner.clear();
    }

    pub(crate) fn iter(&self) -> BufferIter<'_> {
        Box::new(self.inner.iter().map(event))
    }
}

/// Boxed, because the iterator of `polling` has no name: one small allocation per wait, on this backend only.
pub(crate) type BufferIter<'a> = Box<dyn Iterator<Item = Event> + 'a>;

fn event(event: polling::Event) -> Event {
    Event {
        key: event.key as u64,
        readable: event.readable,
        writable: event.writable,
        hang_up: event.is_interrupt(),
        error: event.is_err().unwrap_or(false),
        read_closed: false,
        priority: event.is_priority(),
    }
}

fn request(key: u64, interest: Interest) -> Result<polling::Event> {
    let key = usize::try_from(key).map_err(|_| {
        Error::new(
            ErrorKind::InvalidInput,
            format!("the key {key} exceeds usize::MAX: use a smaller key"),
        )
    })?;
    let mut request = polling::Event::new(key, interest.is_readable(), interest.is_writable());
    request.set_priority(interest.is_priority());
    Ok(request)
}

fn mode(interest: Interest) -> PollMode {
    match (interest.is_edge(), interest.is_one_shot()) {
        (false, false) => PollMode::Level,
        (true, false) => PollMode::Edge,
        (false, true) => PollMode::Oneshot,
        (true, true) => PollMode::EdgeOneshot,
    }
}
