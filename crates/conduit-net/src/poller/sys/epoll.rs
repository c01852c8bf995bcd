//! The poller on Linux: epoll, with an eventfd for wake-ups.

use super::{Event, Interest, WAKE_KEY};
use crate::clock::Deadline;
use crate::io::{self, Result};
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;

#[derive(Debug)]
pub(crate) struct Backend {
    epoll: OwnedFd,
    /// Registered edge-triggered: each write is one event, so the counter need not be read.
    waker: OwnedFd,
    /// A wake-up is pending and not yet reported, so another write is unnecessary.
    waking: AtomicBool,
    /// `epoll_pwait2` exists (Linux 5.11), and no sandbox forbids it.
    nanoseconds: AtomicBool,
}

/// The longest timeout that epoll_wait(2) has, an int of milliseconds: longer ones would need epoll_pwait2(2), which Linux before 5.11
/// and some sandboxes lack.
const LONGEST_TURN: Duration = Duration::from_millis(i32::MAX as u64);

impl Backend {
    pub(crate) fn new() -> Result<Backend> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let waker = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(
            &epoll,
            &waker,
            EventData::new_u64(WAKE_KEY),
            EventFlags::IN | EventFlags::ET,
        )?;
        Ok(Backend {
            epoll,
            waker,
            waking: AtomicBool::new(false),
            nanoseconds: AtomicBool::new(true),
        })
    }

    #[inline]
    pub(crate) fn add(&self, source: BorrowedFd<'_>, key: u64, interest: Interest) -> Result<()> {
        Ok(epoll::add(
            &self.epoll,
            source,
            EventData::new_u64(key),
            flags(interest),
        )?)
    }

    #[inline]
    pub(crate) fn modify(&self, source: BorrowedFd<'_>, key: u64, interest: Interest) -> Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            source,
            EventData::new_u64(key),
            flags(interest),
        )?)
    }

    #[inline]
    pub(crate) fn remove(&self, source: BorrowedFd<'_>) -> Result<()> {
        Ok(epoll::delete(&self.epoll, source)?)
    }

    /// Linux removes a source when its last descriptor is closed.
    #[inline]
    pub(crate) fn close(&self, source: OwnedFd) -> Result<()> {
        drop(source);
        Ok(())
    }

    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn wait(&self, events: &mut EventBuffer, timeout: Option<Duration>) -> Result<usize> {
        events.list.clear();
        let spare = events.list.spare_capacity_mut();
        // SAFETY: a slot is exactly a kernel event (repr(transparent)).
        let places = unsafe { core::slice::from_raw_parts_mut(spare.as_mut_ptr().cast(), spare.len()) };
        let count = self.fill(places, timeout)?;
        // SAFETY: the list was empty, and the kernel has written `count` events.
        unsafe { events.list.set_len(count) };
        Ok(count)
    }

    #[inline]
    pub(crate) fn wait_into<'a>(
        &self,
        slots: &'a mut [EventSlot],
        timeout: Option<Duration>,
    ) -> Result<BufferIter<'a>> {
        // SAFETY: a slot is exactly a kernel event (repr(transparent)); the kernel writes only whole events, so the
        // slots remain initialised.
        let places = unsafe { core::slice::from_raw_parts_mut(slots.as_mut_ptr().cast(), slots.len()) };
        let count = self.fill(places, timeout)?;
        Ok(BufferIter {
            list: slots[..count].iter(),
        })
    }

    pub(crate) fn notify(&self) -> Result<()> {
        if self.waking.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        match rustix::io::retry_on_intr(|| rustix::io::write(&self.waker, &1u64.to_ne_bytes())) {
            // The counter is full after 2^64 - 2 unread wake-ups: reset it and repeat.
            Err(Errno::AGAIN) => {
                let mut count = [0; 8];
                rustix::io::read(&self.waker, &mut count)?;
                rustix::io::write(&self.waker, &1u64.to_ne_bytes())?;
                Ok(())
            }
            result => {
                result?;
                Ok(())
            }
        }
    }

    /// Waits, and returns the number of events at the start of `places`.
    #[inline]
    fn fill(&self, places: &mut [MaybeUninit<epoll::Event>], timeout: Option<Duration>) -> Result<usize> {
        let count = match timeout {
            None => self.wait_until_ready(places, None)?,
            Some(Duration::ZERO) => self.wait_until_ready(places, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?,
            Some(timeout) => self.wait_for(places, timeout)?,
        };
        // SAFETY: the kernel has written `count` events.
        let events = unsafe { places[..count].assume_init_mut() };
        // The wake-up is removed here, so that iterators over the events need not skip it.
        let Some(at) = events.iter().position(|event| event.data.u64() == WAKE_KEY) else {
            return Ok(count);
        };
        events.swap(at, count - 1);
        self.waking.swap(false, Ordering::AcqRel);
        Ok(count - 1)
    }

    /// A timeout of zero, or none, requires no clock, even if signals interrupt the wait.
    #[inline]
    fn wait_until_ready(&self, places: &mut [MaybeUninit<epoll::Event>], limit: Option<&Timespec>) -> Result<usize> {
        loop {
            match epoll::wait(&self.epoll, &mut *places, limit) {
                Ok((events, _)) => return Ok(events.len()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn wait_for(&self, places: &mut [MaybeUninit<epoll::Event>], timeout: Duration) -> Result<usize> {
        // Reading the clock is not a system call; it is required only if a signal interrupts the wait, or after a part of a
        // long one.
        let deadline = Deadline::after(timeout);
        let mut left = timeout;
        loop {
            let limit = Timespec::try_from(left.min(LONGEST_TURN)).ok();
            match self.turn(places, limit.as_ref()) {
                Ok(0) if left > LONGEST_TURN => left = deadline.map_or(left, Deadline::left),
                Err(Errno::INTR) => left = deadline.map_or(left, Deadline::left),
                result => return Ok(result?),
            }
        }
    }

    /// Waits once, with nanosecond resolution if the kernel supports it.
    fn turn(
        &self,
        places: &mut [MaybeUninit<epoll::Event>],
        limit: Option<&Timespec>,
    ) -> core::result::Result<usize, Errno> {
        if let Some(limit) = limit
            && limit.tv_nsec % 1_000_000 != 0
            && self.nanoseconds.load(Ordering::Relaxed)
        {
            match self.wait_precisely(places, limit) {
                // Old kernels lack the call, and old sandboxes reject unknown calls.
                Err(Errno::NOSYS | Errno::PERM) => self.nanoseconds.store(false, Ordering::Relaxed),
                result => return result,
            }
        }
        // The timeout is rounded up to whole milliseconds.
        epoll::wait(&self.epoll, places, limit).map(|(events, _)| events.len())
    }

    /// `epoll_pwait2`, whose timeout has nanosecond resolution.
    fn wait_precisely(
        &self,
        places: &mut [MaybeUninit<epoll::Event>],
        limit: &Timespec,
    ) -> core::result::Result<usize, Errno> {
        // SAFETY: the buffer has the given number of slots in the kernel's layout; the timeout is a live
        // `__kernel_timespec`; a null signal mask leaves the mask unchanged.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                places.as_mut_ptr(),
                libc::c_int::try_from(places.len()).unwrap_or(libc::c_int::MAX),
                core::ptr::from_ref(limit),
                core::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        usize::try_from(count).map_err(|_| io::last_errno())
    }
}

impl AsFd for Backend {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// Storage for one event of [`Poller::wait_into`](crate::Poller::wait_into).
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct EventSlot(epoll::Event);

impl EventSlot {
    /// An empty slot.
    pub const EMPTY: EventSlot = EventSlot(epoll::Event {
        flags: EventFlags::empty(),
        data: EventData::new_u64(0),
    });
}

impl core::fmt::Debug for EventSlot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        event(&self.0).fmt(f)
    }
}

/// The kernel writes directly into this list.
#[cfg(feature = "std")]
pub(crate) struct EventBuffer {
    list: Vec<EventSlot>,
}

#[cfg(feature = "std")]
impl EventBuffer {
    pub(crate) fn with_capacity(capacity: usize) -> EventBuffer {
        EventBuffer {
            list: Vec::with_capacity(capacity),
        }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.list.capacity()
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }

    #[inline]
    pub(crate) fn iter(&self) -> BufferIter<'_> {
        BufferIter { list: self.list.iter() }
    }
}

pub(crate) struct BufferIter<'a> {
    list: core::slice::Iter<'a, EventSlot>,
}

impl Iterator for BufferIter<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        self.list.next().map(|slot| event(&slot.0))
    }
}

#[inline]
fn event(event: &epoll::Event) -> Event {
    let flags = event.flags;
    let ended = flags.intersects(EventFlags::HUP.union(EventFlags::ERR));
    Event {
        key: event.data.u64(),
        readable: ended || flags.intersects(EventFlags::IN.union(EventFlags::RDHUP)),
        writable: ended || flags.contains(EventFlags::OUT),
        hang_up: flags.contains(EventFlags::HUP),
        error: flags.contains(EventFlags::ERR),
        read_closed: flags.contains(EventFlags::RDHUP),
        priority: flags.contains(EventFlags::PRI),
    }
}

#[inline]
fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, interest.is_readable());
    flags.set(EventFlags::OUT, interest.is_writable());
    flags.set(EventFlags::PRI, interest.is_priority());
    flags.set(EventFlags::RDHUP, interest.is_hang_up());
    flags.set(EventFlags::ET, interest.is_edge());
    flags.set(EventFlags::ONESHOT, interest.is_one_shot());
    flags
}
