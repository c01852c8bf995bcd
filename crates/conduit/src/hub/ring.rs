//! The notices of a topic that a subscriber of a worker has not taken yet.

use std::collections::VecDeque;

use super::message::{Change, Notice};

/// A queue with several readers. It removes a notice when all readers have taken it, or when it exceeds its bounds.
#[derive(Default)]
pub(super) struct Ring {
    entries: VecDeque<RingEntry>,
    /// The index of the first entry, counted from the beginning of the topic.
    start: u64,
    bytes: usize,
    readers: usize,
    /// The index of the last message.
    last_message: u64,
}

struct RingEntry {
    notice: Notice,
    /// The number of readers that have not taken the notice.
    readers: usize,
}

/// The next entry for a reader.
pub(super) enum Next {
    Notice(Notice),
    /// The reader was too slow: notices before the cursor are lost.
    Lagged,
    Empty,
}

impl Ring {
    /// Adds a reader. Returns its cursor.
    pub(super) fn enter(&mut self) -> u64 {
        self.readers += 1;
        self.end()
    }

    /// Removes a reader. Returns whether others remain.
    pub(super) fn leave(&mut self, cursor: u64) -> bool {
        self.readers -= 1;
        let from = cursor.max(self.start) - self.start;
        for entry in self.entries.iter_mut().skip(from as usize) {
            entry.readers -= 1;
        }
        self.remove_taken();
        self.readers > 0
    }

    fn end(&self) -> u64 {
        self.start + self.entries.len() as u64
    }

    /// Adds a notice, and removes the oldest notices above the bounds.
    pub(super) fn push(&mut self, notice: Notice, limit: usize, limit_bytes: usize) {
        if let Change::Message(_) = notice.change {
            self.last_message = self.end();
        }
        self.bytes += notice.cost();
        let readers = self.readers;
        self.entries.push_back(RingEntry { notice, readers });
        while self.entries.len() > limit.max(1) || (self.bytes > limit_bytes && self.entries.len() > 1) {
            self.pop();
        }
    }

    /// Removes all notices: each reader has missed some.
    pub(super) fn clear(&mut self) {
        while !self.entries.is_empty() {
            self.pop();
        }
        // A reader that has read all entries has missed the notices that never arrived.
        self.start += 1;
    }

    /// Returns the next notice at this cursor, and advances the cursor.
    pub(super) fn take(&mut self, cursor: &mut u64) -> Next {
        if *cursor < self.start {
            *cursor = self.start;
            return Next::Lagged;
        }
        let Some(entry) = self.entries.get_mut((*cursor - self.start) as usize) else {
            return Next::Empty;
        };
        *cursor += 1;
        entry.readers -= 1;
        let notice = entry.notice.clone();
        self.remove_taken();
        Next::Notice(notice)
    }

    /// Returns whether the ring has a message at or after this cursor.
    pub(super) fn has_later_message(&self, cursor: u64) -> bool {
        self.last_message >= cursor && !self.entries.is_empty()
    }

    fn remove_taken(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.readers == 0) {
            self.pop();
        }
        if self.entries.is_empty() {
            self.entries = VecDeque::new();
        }
    }

    fn pop(&mut self) {
        if let Some(entry) = self.entries.pop_front() {
            self.bytes -= entry.notice.cost();
            self.start += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::super::message::{Message, Position};
    use super::*;

    fn joined(number: usize) -> Notice {
        Notice {
            number: 0,
            change: Change::Joined(number.to_string().into()),
        }
    }

    fn number(next: Next) -> Option<Result<usize, ()>> {
        match next {
            Next::Notice(notice) => match notice.change {
                Change::Joined(name) => Some(Ok(name.parse().expect("a number"))),
                _ => unreachable!(),
            },
            Next::Lagged => Some(Err(())),
            Next::Empty => None,
        }
    }

    fn message() -> Notice {
        Notice {
            number: 0,
            change: Change::Message(Arc::new(Message::new(Position::default(), "1".into(), Instant::now()))),
        }
    }

    #[test]
    fn lost_message_is_not_a_later_one() {
        let mut ring = Ring::default();
        let mut cursor = ring.enter();
        ring.push(message(), 2, usize::MAX);
        ring.push(joined(1), 2, usize::MAX);
        assert!(ring.has_later_message(cursor));
        ring.push(joined(2), 2, usize::MAX);
        assert!(matches!(ring.take(&mut cursor), Next::Lagged));
        assert!(!ring.has_later_message(cursor), "notices displaced it");
        ring.push(message(), 2, usize::MAX);
        assert!(ring.has_later_message(cursor));
        ring.clear();
        assert!(matches!(ring.take(&mut cursor), Next::Lagged));
        assert!(!ring.has_later_message(cursor), "it was removed");
        ring.push(message(), 2, usize::MAX);
        assert!(ring.has_later_message(cursor));
    }

    proptest! {
        /// Compares the ring with a queue for each reader.
        #[test]
        fn each_reader_takes_all_notices_or_lags(steps in proptest::collection::vec((0_u8..8, 0_usize..4), 0..200)) {
            let mut ring = Ring::default();
            let mut readers: Vec<(u64, VecDeque<usize>, bool)> = Vec::new();
            for (count, (step, at)) in steps.into_iter().enumerate() {
                match step {
                    0 => readers.push((ring.enter(), VecDeque::new(), false)),
                    1 if at < readers.len() => {
                        let (cursor, _, _) = readers.swap_remove(at);
                        prop_assert_eq!(ring.leave(cursor), !readers.is_empty());
                    }
                    2..=4 => {
                        ring.push(joined(count), 3, usize::MAX);
                        for (_, queue, lags) in &mut readers {
                            queue.push_back(count);
                            if queue.len() > 3 {
                                queue.pop_front();
                                *lags = true;
                            }
                        }
                    }
                    _ if at < readers.len() => {
                        let (cursor, queue, lags) = &mut readers[at];
                        let expected = match std::mem::take(lags) {
                            true => Some(Err(())),
                            false => queue.pop_front().map(Ok),
                        };
                        prop_assert_eq!(number(ring.take(cursor)), expected);
                    }
                    _ => {}
                }
                let longest = readers.iter().map(|(_, queue, _)| queue.len()).max().unwrap_or(0);
                prop_assert!(ring.entries.len() <= 3 && ring.entries.len() >= longest);
                if readers.is_empty() {
                    ring.clear();
                    prop_assert_eq!(ring.bytes, 0);
                }
            }
        }
    }
}
