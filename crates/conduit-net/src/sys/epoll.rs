//! The poller on Linux: epoll, with an eventfd to wake it.

use crate::poller::{Event, Interest, WAKE_KEY};
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use std::io::Result;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
    /// Registered edge-triggered: each write is one event, and it never has to be read to stop being ready.
    waker: OwnedFd,
    /// A wake-up is on its way and has not been handed out: a further one would tell nothing new.
    waking: AtomicBool,
    /// `epoll_pwait2` is there (Linux 5.11) and no sandbox forbids it.
    nanoseconds: AtomicBool,
}

impl Poller {
    pub(crate) fn new() -> Result<Poller> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let waker = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(
            &epoll,
            &waker,
            EventData::new_u64(WAKE_KEY),
            EventFlags::IN | EventFlags::ET,
        )?;
        Ok(Poller {
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
    pub(crate) fn modify(
        &self,
        source: BorrowedFd<'_>,
        key: u64,
        interest: Interest,
    ) -> Result<()> {
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

    /// Linux forgets a file by itself once its last descriptor is closed.
    #[inline]
    pub(crate) fn close(&self, source: OwnedFd) -> Result<()> {
        drop(source);
        Ok(())
    }

    #[inline]
    pub(crate) fn wait(&self, events: &mut Events, timeout: Option<Duration>) -> Result<usize> {
        match timeout {
            None => while !self.turn(events, None)? {},
            Some(Duration::ZERO) => {
                while !self.turn(
                    events,
                    Some(&Timespec {
                        tv_sec: 0,
                        tv_nsec: 0,
                    }),
                )? {}
            }
            Some(timeout) => self.wait_until(events, timeout)?,
        }
        // The wake-up is taken out here, so that whoever walks the events has no need to know of it.
        if let Some(at) = events
            .list
            .iter()
            .position(|event| event.data.u64() == WAKE_KEY)
        {
            events.list.swap_remove(at);
            self.waking.swap(false, Ordering::AcqRel);
        }
        Ok(events.list.len())
    }

    pub(crate) fn notify(&self) -> Result<()> {
        if self.waking.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        match rustix::io::retry_on_intr(|| rustix::io::write(&self.waker, &1u64.to_ne_bytes())) {
            // The counter is full after 2^64 - 2 wake-ups that nobody read: empty it and start over.
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

    fn wait_until(&self, events: &mut Events, timeout: Duration) -> Result<()> {
        // A clock reading is no system call; it is only needed where a signal may cut the wait short.
        let deadline = Instant::now().checked_add(timeout);
        let mut left = timeout;
        loop {
            // A time too long for the kernel's type (292 billion years) is no limit at all.
            let limit = Timespec::try_from(left).ok();
            if self.turn(events, limit.as_ref())? {
                return Ok(());
            }
            if let Some(deadline) = deadline {
                left = deadline.saturating_duration_since(Instant::now());
            }
        }
    }

    /// Waits once; false when a signal came first.
    #[inline]
    fn turn(&self, events: &mut Events, timeout: Option<&Timespec>) -> Result<bool> {
        events.list.clear();
        let precise = match timeout {
            Some(limit)
                if limit.tv_nsec % 1_000_000 != 0 && self.nanoseconds.load(Ordering::Relaxed) =>
            {
                match self.wait_precisely(events, limit) {
                    // Old kernels lack the call, and old sandboxes refuse what they do not know.
                    Err(Errno::NOSYS | Errno::PERM) => {
                        self.nanoseconds.store(false, Ordering::Relaxed);
                        None
                    }
                    result => Some(result),
                }
            }
            _ => None,
        };
        let result = match precise {
            Some(result) => result,
            // Rounds up to whole milliseconds.
            None => epoll::wait(&self.epoll, spare_capacity(&mut events.list), timeout).map(|_| ()),
        };
        match result {
            Ok(()) => Ok(true),
            Err(Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// `epoll_pwait2`: the same with nanoseconds.
    fn wait_precisely(
        &self,
        events: &mut Events,
        limit: &Timespec,
    ) -> std::result::Result<(), Errno> {
        let spare = events.list.spare_capacity_mut();
        // SAFETY: `spare` has room for the count of events that is given, which have the kernel's layout; the time-out is a live
        // `__kernel_timespec`; a null signal mask leaves the mask alone.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                spare.as_mut_ptr(),
                libc::c_int::try_from(spare.len()).unwrap_or(libc::c_int::MAX),
                std::ptr::from_ref(limit),
                std::ptr::null::<libc::sigset_t>(),
                0usize,
            )
        };
        let Ok(count) = usize::try_from(count) else {
            return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
        };
        // SAFETY: the list was empty, and the kernel has filled the first `count` of its places.
        unsafe { events.list.set_len(count) };
        Ok(())
    }
}

impl AsFd for Poller {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// The kernel writes straight into this list, and it is read from there.
pub(crate) struct Events {
    list: Vec<epoll::Event>,
}

impl Events {
    pub(crate) fn with_capacity(capacity: usize) -> Events {
        Events {
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
    pub(crate) fn iter(&self) -> Iter<'_> {
        Iter {
            list: self.list.iter(),
        }
    }
}

pub(crate) struct Iter<'a> {
    list: std::slice::Iter<'a, epoll::Event>,
}

impl Iterator for Iter<'_> {
    type Item = Event;

    #[inline]
    fn next(&mut self) -> Option<Event> {
        self.list.next().map(event)
    }
}

#[inline]
fn event(event: &epoll::Event) -> Event {
    let flags = event.flags;
    let ended = flags.intersects(EventFlags::HUP.union(EventFlags::ERR));
    Event {
        key: event.data.u64(),
        readable: ended || flags.contains(EventFlags::IN),
        writable: ended || flags.contains(EventFlags::OUT),
        hang_up: flags.contains(EventFlags::HUP),
        error: flags.contains(EventFlags::ERR),
    }
}

#[inline]
fn flags(interest: Interest) -> EventFlags {
    let mut flags = EventFlags::empty();
    flags.set(EventFlags::IN, interest.is_readable());
    flags.set(EventFlags::OUT, interest.is_writable());
    flags
}
