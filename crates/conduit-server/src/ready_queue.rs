//! Futures that a worker polls without a task for each: the wakers of woken ones put their keys into a queue.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};

use crate::waker_slot::register;

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
        if next.is_none() {
            register(&mut state.driver, context.waker());
        }
        next
    }

    /// The driver is in its turn, and is going to take the [`next`](Self::next) key: until then none wakes it.
    #[cfg(feature = "websocket")]
    pub(crate) fn begin_turn(&self) {
        self.lock().driver = None;
    }

    /// Removes all keys.
    pub(crate) fn clear(&self) {
        self.lock().keys.clear();
    }
}

/// The key of a [`ReadyWaker`] is in its queue.
const QUEUED: u8 = 1;
/// The future was woken since its last poll.
const WOKEN: u8 = 2;

/// The waker of one future. One that outlives its future may wake the next one with its key, which has no effect.
pub(crate) struct ReadyWaker<K> {
    queue: Arc<ReadyQueue<K>>,
    key: K,
    /// [`QUEUED`] and [`WOKEN`].
    state: AtomicU8,
}

impl<K: Copy> ReadyWaker<K> {
    pub(crate) fn new(queue: Arc<ReadyQueue<K>>, key: K) -> Arc<Self> {
        Arc::new(ReadyWaker {
            queue,
            key,
            state: AtomicU8::new(0),
        })
    }

    /// The key was taken from the queue, and a wake-up from here on queues it again. Returns whether the future is woken.
    pub(crate) fn unqueue(&self) -> bool {
        self.state.swap(0, Ordering::AcqRel) & WOKEN != 0
    }

    /// The future is polled, without its key. A key in the queue stays there, and is that of the next wake-up.
    #[cfg(feature = "websocket")]
    pub(crate) fn begin_poll(&self) {
        if self.state.load(Ordering::Relaxed) & WOKEN != 0 {
            self.state.fetch_and(!WOKEN, Ordering::AcqRel);
        }
    }

    pub(crate) fn wake_up(&self) {
        if self.state.fetch_or(QUEUED | WOKEN, Ordering::AcqRel) & QUEUED != 0 {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    fn queue_and_waker() -> (Arc<ReadyQueue<u32>>, Arc<ReadyWaker<u32>>) {
        let queue = Arc::new(ReadyQueue::default());
        let waker = ReadyWaker::new(Arc::clone(&queue), 7);
        (queue, waker)
    }

    #[cfg(feature = "websocket")]
    #[test]
    fn polls_without_the_key_leave_one_key() {
        let (queue, waker) = queue_and_waker();
        let context = &Context::from_waker(Waker::noop());
        for _ in 0..1_000 {
            waker.wake_up();
            waker.begin_poll();
        }
        assert_eq!(queue.lock().keys.len(), 1);
        // The key alone does not poll the future, and the next wake-up queues it.
        assert_eq!(queue.next(context), Some(7));
        assert!(!waker.unqueue());
        waker.wake_up();
        assert_eq!(queue.next(context), Some(7));
        assert!(waker.unqueue());
        assert_eq!(queue.next(context), None);
    }

    #[cfg(feature = "websocket")]
    #[test]
    fn no_wake_up_wakes_a_driver_in_its_turn() {
        /// Counts the wake-ups of the driver.
        #[derive(Default)]
        struct CountingWaker(AtomicUsize);

        impl Wake for CountingWaker {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }

        let (queue, waker) = queue_and_waker();
        let driver = Arc::new(CountingWaker::default());
        let driver_waker = Waker::from(Arc::clone(&driver));
        let context = &Context::from_waker(&driver_waker);
        assert_eq!(queue.next(context), None);
        queue.begin_turn();
        waker.wake_up();
        assert_eq!(driver.0.load(Ordering::Relaxed), 0);
        assert_eq!(queue.next(context), Some(7));
        assert!(waker.unqueue());
        assert_eq!(queue.next(context), None);
        waker.wake_up();
        assert_eq!(driver.0.load(Ordering::Relaxed), 1);
    }

    /// The future takes a value per poll. Each value is followed by a wake-up from another thread: none may be lost.
    #[test]
    fn wake_ups_of_other_threads_are_not_lost() {
        const VALUES: usize = 20_000;
        let (queue, waker) = queue_and_waker();
        let value = Arc::new(AtomicUsize::new(0));
        let other = std::thread::spawn({
            let (waker, value) = (Arc::clone(&waker), Arc::clone(&value));
            move || {
                for number in 1..=VALUES {
                    value.store(number, Ordering::Relaxed);
                    waker.wake_up();
                }
            }
        });
        let context = &Context::from_waker(Waker::noop());
        let mut seen = 0;
        let mut turn = |polls_without_key: bool| {
            while queue.next(context).is_some() {
                if waker.unqueue() {
                    seen = value.load(Ordering::Relaxed);
                }
            }
            if polls_without_key {
                #[cfg(feature = "websocket")]
                {
                    waker.begin_poll();
                    seen = value.load(Ordering::Relaxed);
                }
            }
            assert!(queue.lock().keys.len() <= 1);
            seen
        };
        while !other.is_finished() {
            turn(true);
        }
        other.join().expect("the thread only wakes");
        assert_eq!(turn(false), VALUES);
    }
}
