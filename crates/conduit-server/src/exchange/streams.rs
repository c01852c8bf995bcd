//! The streams of a worker's responses, all in one task: a task for each would be most of the memory of an idle event stream.
//!
//! ```text
//!   waker of a stream ──key──> ReadyQueue ──> StreamDriver polls the stream ──> commands to its connection
//! ```

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use slab::Slab;

use super::gate::Pump;
use crate::counts::{Counts, WorkerCounts};
use crate::ready_queue::{ReadyQueue, ReadyWaker};

/// The number of streams that are polled before other tasks of the worker have a turn.
const POLLS: usize = 128;

thread_local! {
    // Not a part of the current worker: its driver is a task of the runtime, which drops it at the end of the worker.
    static STREAMS: Rc<StreamSet> = Rc::default();
}

/// The streams of a thread.
#[derive(Default)]
struct StreamSet {
    entries: RefCell<Slab<StreamEntry>>,
    ready: Arc<ReadyQueue<u32>>,
    is_driven: Cell<bool>,
}

struct StreamEntry {
    /// `None` while it is polled.
    pump: Option<Pump>,
    waker: Arc<ReadyWaker<u32>>,
}

/// Polls a stream from here on, until it ends. The counters are those of the thread's worker.
pub(super) fn spawn(pump: Pump, counts: &WorkerCounts) {
    STREAMS.with(|streams| {
        let mut entries = streams.entries.borrow_mut();
        let vacant = entries.vacant_entry();
        let key = u32::try_from(vacant.key()).expect("a thread has fewer streams than 2^32");
        let waker = ReadyWaker::new(Arc::clone(&streams.ready), key);
        vacant.insert(StreamEntry {
            pump: Some(pump),
            waker: Arc::clone(&waker),
        });
        drop(entries);
        waker.wake_up();
        if !streams.is_driven.replace(true) {
            // The budget of a task is not that of a thousand streams; the number of polls is bounded instead.
            let driver = StreamDriver {
                streams: Rc::clone(streams),
                counts: counts.clone(),
            };
            tokio::task::spawn_local(tokio::task::unconstrained(driver));
        }
    });
}

impl StreamSet {
    fn poll(&self, key: u32, counts: &Counts) {
        let taken = self.entries.borrow_mut().get_mut(key as usize).and_then(|entry| {
            entry.waker.unqueue();
            Some((entry.pump.take()?, entry.waker.waker()))
        });
        let Some((mut pump, waker)) = taken else { return };
        let is_over = pump.poll(counts, &mut Context::from_waker(&waker)).is_ready();
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
struct StreamDriver {
    streams: Rc<StreamSet>,
    counts: WorkerCounts,
}

impl Future for StreamDriver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let StreamDriver { streams, counts } = &*self;
        for _ in 0..POLLS {
            match streams.ready.next(context) {
                Some(key) => streams.poll(key, counts.of_worker()),
                None if streams.entries.borrow().is_empty() => return Poll::Ready(()),
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
        self.streams.is_driven.set(false);
        let entries = self.streams.entries.take();
        self.streams.ready.clear();
        drop(entries);
    }
}
