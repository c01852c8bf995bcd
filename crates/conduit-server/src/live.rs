//! The live streams of a worker: responses that wait for events, such as event streams.
//!
//! The worker wakes a stream that has been quiet for its interval, and notifies all of them of a shutdown, one after the
//! other. So a stream needs neither a timer nor a place in the queue of a notification, and an idle one costs 32 bytes here.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use slab::Slab;

use crate::deadlines::{Second, Wheel, WheelSlot};
use crate::exchange_id::ConnectionId;
use crate::waker_slot::{self, register};

thread_local! {
    // Not a part of the current worker: a stream can outlive the locals of its thread.
    static STREAMS: RefCell<Option<LiveStreams>> = const { RefCell::new(None) };
}

/// The live streams of a thread.
struct LiveStreams {
    entries: Slab<LiveEntry>,
    wheel: Wheel,
    now: Second,
    /// Every stream below this slot is notified of the shutdown.
    notified: usize,
    /// The server stops: streams that open now end at once.
    is_stopping: bool,
}

struct LiveEntry {
    waker: Option<Waker>,
    interval: Second,
    /// The second in which the stream sent bytes last.
    active: Second,
    slot: WheelSlot,
    is_quiet: bool,
    is_closing: bool,
}

/// An event of a live stream besides those of its source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LiveSignal {
    /// The stream has sent nothing for its interval.
    Quiet,
    /// The server stops, and it is the turn of this stream to end.
    Closing,
}

/// Makes this thread one whose worker drives live streams.
pub(crate) fn enter() {
    let streams = LiveStreams {
        entries: Slab::new(),
        wheel: Wheel::new(),
        now: 1,
        notified: 0,
        is_stopping: false,
    };
    STREAMS.set(Some(streams));
}

/// Returns whether a worker drives the live streams of this thread: one that serves connections, other than the thread of a
/// service.
pub fn has_worker() -> bool {
    with(|_| ()).is_some()
}

/// The live stream of a response, on the thread that polls it.
#[derive(Debug)]
pub struct LiveStream {
    key: usize,
    _not_send: PhantomData<*const ()>,
}

impl LiveStream {
    /// Registers a stream that is to be woken after `interval` without bytes. Returns `None` on a thread without a worker.
    pub fn open(interval: Duration) -> Option<Self> {
        with(|streams| {
            let interval = Second::try_from(interval.as_secs()).unwrap_or(Second::MAX).max(1);
            let mut entry = LiveEntry {
                waker: None,
                interval,
                active: streams.now,
                slot: WheelSlot::default(),
                is_quiet: false,
                is_closing: streams.is_stopping,
            };
            let vacant = streams.entries.vacant_entry();
            let key = vacant.key();
            let due = streams.now.saturating_add(interval);
            streams.wheel.schedule(key as ConnectionId, &mut entry.slot, due);
            vacant.insert(entry);
            LiveStream {
                key,
                _not_send: PhantomData,
            }
        })
    }

    /// Records that the stream has sent bytes.
    pub fn has_sent(&self) {
        with(|streams| {
            let now = streams.now;
            if let Some(entry) = streams.entries.get_mut(self.key) {
                (entry.active, entry.is_quiet) = (now, false);
            }
        });
    }

    /// The next signal.
    pub fn poll_signal(&self, context: &mut Context<'_>) -> Poll<LiveSignal> {
        let signal = with(|streams| {
            let entry = streams.entries.get_mut(self.key)?;
            if entry.is_closing {
                return Some(LiveSignal::Closing);
            }
            if entry.is_quiet {
                return Some(LiveSignal::Quiet);
            }
            register(&mut entry.waker, context.waker());
            None
        });
        signal.flatten().map_or(Poll::Pending, Poll::Ready)
    }
}

impl Drop for LiveStream {
    fn drop(&mut self) {
        let key = self.key;
        // The waker may drop a task with other live streams: it is dropped after the borrow.
        drop(with(|streams| streams.entries.try_remove(key)));
    }
}

/// Calls a function with the streams of this thread, if it has a worker.
fn with<T>(call: impl FnOnce(&mut LiveStreams) -> T) -> Option<T> {
    // A stream can outlive the locals of its thread.
    STREAMS
        .try_with(|streams| streams.borrow_mut().as_mut().map(call))
        .ok()
        .flatten()
}

/// Wakes the streams that have been quiet for their interval; the worker calls it once a second.
pub(crate) fn tick(now: Second) {
    let quiet = with(|streams| {
        streams.now = now;
        let mut quiet = Vec::new();
        for key in streams.wheel.advance(now) {
            let Some(entry) = streams.entries.get_mut(key as usize) else {
                continue;
            };
            if !streams.wheel.take_due(&mut entry.slot) {
                continue;
            }
            let mut due = entry.active.saturating_add(entry.interval);
            if due <= now {
                entry.is_quiet = true;
                quiet.extend(entry.waker.clone());
                due = now.saturating_add(entry.interval);
            }
            streams.wheel.schedule(key, &mut entry.slot, due);
        }
        quiet
    });
    quiet.into_iter().flatten().for_each(waker_slot::wake);
}

/// The number of streams that are not notified of the shutdown.
pub(crate) fn open_streams() -> usize {
    with(|streams| {
        let open = streams.entries.iter().filter(|(_, entry)| !entry.is_closing);
        open.count()
    })
    .unwrap_or_default()
}

/// Makes streams that open from now on end at once.
pub(crate) fn stop() {
    with(|streams| streams.is_stopping = true);
}

/// Notifies at most `most` further streams of the shutdown, and returns their number.
pub(crate) fn close(most: usize) -> usize {
    let closing = with(|streams| {
        let mut closing = Vec::new();
        let mut count = 0;
        while count < most && streams.notified < streams.entries.capacity() {
            if let Some(entry) = streams.entries.get_mut(streams.notified)
                && !std::mem::replace(&mut entry.is_closing, true)
            {
                closing.extend(entry.waker.clone());
                count += 1;
            }
            streams.notified += 1;
        }
        (count, closing)
    });
    let (count, closing) = closing.unwrap_or_default();
    closing.into_iter().for_each(waker_slot::wake);
    count
}
