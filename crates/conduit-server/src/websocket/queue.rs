//! The messages of one direction of a WebSocket, in memory that the thread keeps while the queue is empty.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::thread::LocalKey;

/// The number of empty queues of each kind that a thread keeps, and the most messages that each has room for.
const KEPT_QUEUES: usize = 64;
const KEPT_MESSAGES: usize = 16;

/// The memory of empty queues.
pub(super) type QueuePool<T> = RefCell<Vec<Box<QueueContent<T>>>>;

/// A message in a queue.
pub(super) trait QueueEntry: Sized + 'static {
    /// The memory that it counts.
    fn cost(&self) -> usize;

    fn pool() -> &'static LocalKey<QueuePool<Self>>;
}

/// A queue of one word while it is empty, as those of an idle WebSocket are.
pub(super) struct MessageQueue<T>(Cell<Option<Box<QueueContent<T>>>>);

pub(super) struct QueueContent<T> {
    entries: VecDeque<T>,
    /// The sum of their costs.
    bytes: usize,
}

impl<T> Default for MessageQueue<T> {
    fn default() -> Self {
        MessageQueue(Cell::new(None))
    }
}

impl<T: QueueEntry> MessageQueue<T> {
    pub(super) fn push(&self, entry: T) {
        let mut content = self.0.take().unwrap_or_else(|| {
            let kept = T::pool().with_borrow_mut(Vec::pop);
            kept.unwrap_or_else(|| {
                Box::new(QueueContent {
                    entries: VecDeque::new(),
                    bytes: 0,
                })
            })
        });
        content.bytes += entry.cost();
        content.entries.push_back(entry);
        self.0.set(Some(content));
    }

    pub(super) fn pop(&self) -> Option<T> {
        let mut content = self.0.take()?;
        let entry = content.entries.pop_front();
        content.bytes -= entry.as_ref().map_or(0, T::cost);
        if !content.entries.is_empty() {
            self.0.set(Some(content));
        } else if content.entries.capacity() <= KEPT_MESSAGES {
            // A handler can outlive the locals of its thread.
            let _ = T::pool().try_with(|pool| {
                let mut pool = pool.borrow_mut();
                if pool.len() < KEPT_QUEUES {
                    pool.push(content);
                }
            });
        }
        entry
    }

    /// The memory that its messages count.
    pub(super) fn bytes(&self) -> usize {
        let content = self.0.take();
        let bytes = content.as_ref().map_or(0, |content| content.bytes);
        self.0.set(content);
        bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        let content = self.0.take();
        let is_empty = content.is_none();
        self.0.set(content);
        is_empty
    }

    pub(super) fn clear(&self) {
        drop(self.0.take());
    }
}
