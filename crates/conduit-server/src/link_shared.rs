//! The state of a worker that its links share.

use std::rc::Rc;

use conduit_net::Poller;

use crate::batch::BATCH_LIMIT;
use crate::counts::WorkerCounts;
use crate::deadlines::{Second, Wheel};
use crate::link_times::LinkTimes;

/// The number of output buffers that a worker keeps: one for each connection of a batch.
const KEPT_BUFFERS: usize = BATCH_LIMIT;
/// A larger output buffer is freed, not kept.
const KEPT_BUFFER_BYTES: usize = 256 * 1024;

/// The part of a worker's state that links use.
pub(crate) struct LinkShared {
    pub(crate) poller: Rc<Poller>,
    pub(crate) times: LinkTimes,
    pub(crate) wheel: Wheel,
    /// Seconds since the worker started.
    pub(crate) now: Second,
    /// The poller must be polled again without a report: a source was not drained, or is watched for more than before. The
    /// poller's descriptor, nested in tokio's poller, reports only changes. A source that stays ready (a listener, and with
    /// the portable poller any source) is not a change before the next wait, not even with a wider interest: the kernel's
    /// `ep_modify` wakes no waiter for a source that is still on the ready list.
    pub(crate) poll_again: bool,
    /// Memory for output; a connection takes a buffer when it begins to write.
    outputs: Vec<Vec<u8>>,
    counts: WorkerCounts,
}

impl LinkShared {
    pub(crate) fn new(poller: Rc<Poller>, times: LinkTimes, now: Second, counts: WorkerCounts) -> Self {
        LinkShared {
            poller,
            times,
            wheel: Wheel::new(),
            now,
            poll_again: false,
            outputs: Vec::new(),
            counts,
        }
    }

    /// Returns an empty buffer, with memory if the worker has kept any.
    #[inline]
    pub(crate) fn take_buffer(&mut self) -> Vec<u8> {
        self.outputs.pop().unwrap_or_default()
    }

    /// Keeps the memory of sent output.
    #[inline]
    pub(crate) fn keep_buffer(&mut self, mut buffer: Vec<u8>) {
        if self.outputs.len() < KEPT_BUFFERS {
            buffer.clear();
            buffer.shrink_to(KEPT_BUFFER_BYTES);
            self.outputs.push(buffer);
        }
    }

    #[inline]
    pub(crate) fn count_received(&self, bytes: u64) {
        self.counts.of_worker().received_bytes.add(bytes);
    }

    #[inline]
    pub(crate) fn count_sent(&self, bytes: u64) {
        self.counts.of_worker().sent_bytes.add(bytes);
    }
}
