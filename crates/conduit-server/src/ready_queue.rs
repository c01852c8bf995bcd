//! Futures that a worker polls without a task for each: the wakers of woken ones put their keys into a queue.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

/// The keys of the futures that are to be polled. Any thread may add one.
pub(crate) struct ReadyQueue<K>(Mutex<ReadyState<K>>);

struct ReadyState<K> {
    keys: VecDeque<K>,
    /// The task that polls the futures, while it waits for a key.
    driver: Option<Waker>,
}

impl<K> Default for ReadyQueue<K> {
    fn default() -> Self {
        ReadyQueue(Mutex::new(ReadyState {
            keys: VecDeque::new(),
            driver: None,
        }))
    }
}

impl<K> ReadyQueue<K> {
    fn lock(&self) -> MutexGuard<'_, ReadyState<K>> {
        // No code of the application runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next key; registers the waker of the driver if the queue is empty.
    pub(crate) fn next(&self, context: &Context<'_>) -> Option<K> {
        let mut state = self.lock();
        let next = state.keys.pop_front();
        if next.is_none()
            && !state
                .driver
                .as_ref()
                .is_some_and(|known| known.will_wake(context.waker()))
        {
            state.driver = Some(context.waker().clone());
        }
        next
    }

    /// Removes all keys.
    pub(crate) fn clear(&self) {
        self.lock().keys.clear();
    }
}

/// The waker of one future. One that outlives its future may wake the next one with its key, which has no effect.
pub(crate) struct ReadyWaker<K> {
    queue: Arc<ReadyQueue<K>>,
    key: K,
    is_queued: AtomicBool,
}

impl<K: Copy> ReadyWaker<K> {
    pub(crate) fn new(queue: Arc<ReadyQueue<K>>, key: K) -> Arc<Self> {
        Arc::new(ReadyWaker {
            queue,
            key,
            is_queued: AtomicBool::new(false),
        })
    }

    /// Takes the wake-up. A wake-up from here on queues the future again. Returns whether there was one.
    pub(crate) fn take(&self) -> bool {
        self.is_queued.load(Ordering::Relaxed) && self.is_queued.swap(false, Ordering::AcqRel)
    }

    pub(crate) fn wake_up(&self) {
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

impl<K: Copy + Send + Sync + 'static> ReadyWaker<K> {
    pub(crate) fn waker(self: &Arc<Self>) -> Waker {
        Waker::from(Arc::clone(self))
    }
}

impl<K: Copy + Send + Sync + 'static> Wake for ReadyWaker<K> {
    fn wake(self: Arc<Self>) {
        self.wake_up();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_up();
    }
}
