//! The streams of a worker's responses, all in one task: a task for each would be most of the memory of an idle event stream.
//!
//! ```text
//!   waker of a stream ──key──> ReadyQueue ──> StreamDriver polls the stream ──> commands to its connection
//! ```

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use slab::Slab;

use super::gate::Pump;

/// The number of streams that are polled before other tasks of the worker have a turn.
const POLLS: usize = 128;

thread_local! {
    static STREAMS: Rc<StreamSet> = Rc::default();
}

/// The streams of a thread.
#[derive(Default)]
struct StreamSet {
    entries: RefCell<Slab<StreamEntry>>,
    ready: Arc<ReadyQueue>,
    is_driven: Cell<bool>,
}

struct StreamEntry {
    /// `None` while it is polled.
    pump: Option<Pump>,
    waker: Arc<StreamWaker>,
}

/// The keys of the streams that are to be polled.
#[derive(Default)]
struct ReadyQueue(Mutex<ReadyState>);

#[derive(Default)]
struct ReadyState {
    keys: VecDeque<u32>,
    driver: Option<Waker>,
}

/// The waker of one stream. One that outlives its stream may wake the next one with its key, which has no effect.
struct StreamWaker {
    queue: Arc<ReadyQueue>,
    key: u32,
    is_queued: AtomicBool,
}

impl ReadyQueue {
    fn lock(&self) -> MutexGuard<'_, ReadyState> {
        // No code of the application runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next key; registers the waker of the driver if the queue is empty.
    fn next(&self, context: &mut Context<'_>) -> Option<u32> {
        let mut state = self.lock();
        let next = state.keys.pop_front();
        if next.is_none() {
            state.driver = Some(context.waker().clone());
        }
        next
    }
}

impl Wake for StreamWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.is_queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut state = self.queue.lock();
        state.keys.push_back(self.key);
        let driver = state.driver.take();
        drop(state);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

/// Polls a stream from here on, until it ends.
pub(super) fn spawn(pump: Pump) {
    STREAMS.with(|streams| {
        let mut entries = streams.entries.borrow_mut();
        let vacant = entries.vacant_entry();
        let waker = Arc::new(StreamWaker {
            queue: Arc::clone(&streams.ready),
            key: u32::try_from(vacant.key()).expect("a thread has fewer streams than 2^32"),
            is_queued: AtomicBool::new(false),
        });
        vacant.insert(StreamEntry {
            pump: Some(pump),
            waker: Arc::clone(&waker),
        });
        drop(entries);
        waker.wake();
        if !streams.is_driven.replace(true) {
            // The budget of a task is not that of a thousand streams; the number of polls is bounded instead.
            tokio::task::spawn_local(tokio::task::unconstrained(StreamDriver(Rc::clone(streams))));
        }
    });
}

impl StreamSet {
    fn poll(&self, key: u32) {
        let taken = self.entries.borrow_mut().get_mut(key as usize).and_then(|entry| {
            // A wake-up from here on queues the stream again.
            entry.waker.is_queued.store(false, Ordering::Release);
            Some((entry.pump.take()?, Waker::from(Arc::clone(&entry.waker))))
        });
        let Some((mut pump, waker)) = taken else { return };
        let is_over = Pin::new(&mut pump).poll(&mut Context::from_waker(&waker)).is_ready();
        let mut entries = self.entries.borrow_mut();
        if is_over {
            let entry = entries.try_remove(key as usize);
            drop(entries);
            // Their drop may add another stream.
            drop((pump, entry));
        } else if let Some(entry) = entries.get_mut(key as usize) {
            entry.pump = Some(pump);
        }
    }
}

/// The task that polls the streams while there are any.
struct StreamDriver(Rc<StreamSet>);

impl Future for StreamDriver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        for _ in 0..POLLS {
            match self.0.ready.next(context) {
                Some(key) => self.0.poll(key),
                None if self.0.entries.borrow().is_empty() => return Poll::Ready(()),
                None => return Poll::Pending,
            }
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Drop for StreamDriver {
    /// The worker ends, or there are no streams.
    fn drop(&mut self) {
        self.0.is_driven.set(false);
        let entries = self.0.entries.take();
        self.0.ready.lock().keys.clear();
        drop(entries);
    }
}
