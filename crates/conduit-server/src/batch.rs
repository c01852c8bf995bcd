//! Connections that are served together.
//!
//! A worker reads from several connections, then serves all of them, then sends all of the output. Each of these steps is much
//! code, in the kernel and here: for one connection after the other, the steps would evict each other from the caches of the
//! processor.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::exchange_id::ConnectionId;

/// The largest number of connections in a batch.
pub(super) const BATCH_LIMIT: usize = 32;

/// After a batch that takes longer each connection is served alone, since the first response waits for the last handler.
const LONG: Duration = Duration::from_micros(500);

/// One connection of a batch.
pub(super) struct Member {
    pub(super) id: ConnectionId,
    /// The place of its bytes in the worker's buffer.
    pub(super) bytes: Range<usize>,
}

pub(super) struct Batch {
    pub(super) members: Vec<Member>,
    /// The number of bytes in the worker's buffer.
    pub(super) filled: usize,
    /// The largest size of the next batch: `1 <= limit <= BATCH_LIMIT`.
    limit: usize,
    /// The end of the last batch.
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

    /// Begins the first batch of a turn.
    pub(super) fn begin(&mut self) {
        self.ended = Instant::now();
    }

    /// Adds a connection whose bytes follow those of the others. Returns whether the batch is complete.
    pub(super) fn add(&mut self, id: ConnectionId, received: usize) -> bool {
        let bytes = self.filled..self.filled + received;
        self.filled = bytes.end;
        self.members.push(Member { id, bytes });
        self.members.len() >= self.limit
    }

    /// Ends a batch, and takes its memory back. The next one may be larger if this one did not take long.
    pub(super) fn end(&mut self, members: Vec<Member>) {
        self.members = members;
        self.filled = 0;
        let now = Instant::now();
        let took = now - self.ended;
        self.ended = now;
        self.limit = if took > LONG {
            1
        } else {
            (2 * self.limit).min(BATCH_LIMIT)
        };
    }
}
