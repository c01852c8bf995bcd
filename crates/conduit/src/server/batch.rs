//! Connections that are served together.
//!
//! A worker reads what has come on several connections, then serves all of it, then sends all of the answers. Each of the three
//! is much code, in the kernel and here; done for one connection after the other they push each other out of the
//! processor's caches.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::connection::Turn;
use super::mailbox::Key;

/// How many connections are served together at most.
pub(super) const TOGETHER: usize = 32;

/// If a batch takes longer, each connection is served by itself, since the first answer waits for the last handler.
const LONG: Duration = Duration::from_micros(500);

/// One connection of a batch.
pub(super) struct Member {
    pub(super) key: Key,
    /// Where its bytes are in the worker's buffer.
    pub(super) bytes: Range<usize>,
    /// What serving them has come to; `None` before that.
    pub(super) turn: Option<Turn>,
}

pub(super) struct Batch {
    pub(super) members: Vec<Member>,
    /// How much of the worker's buffer has bytes.
    pub(super) filled: usize,
    /// How many are served together at most: `1 <= limit <= TOGETHER`.
    limit: usize,
    /// When the last batch was over.
    ended: Instant,
}

impl Batch {
    pub(super) fn new() -> Self {
        Batch {
            members: Vec::new(),
            filled: 0,
            limit: 1,
            ended: Instant::now(),
        }
    }

    /// The first batch of a turn begins.
    pub(super) fn begin(&mut self) {
        self.ended = Instant::now();
    }

    /// Adds a connection whose bytes are behind those of the others. Says whether there are enough of them.
    pub(super) fn add(&mut self, key: Key, received: usize) -> bool {
        let bytes = self.filled..self.filled + received;
        self.filled = bytes.end;
        self.members.push(Member { key, bytes, turn: None });
        self.members.len() >= self.limit
    }

    /// All were served; takes the memory back. The next batch may be larger if this one did not take long.
    pub(super) fn end(&mut self, members: Vec<Member>) {
        self.members = members;
        self.filled = 0;
        let now = Instant::now();
        let took = now - self.ended;
        self.ended = now;
        self.limit = if took > LONG { 1 } else { (2 * self.limit).min(TOGETHER) };
    }
}
