//! The state of a link that a test client reads.

use super::Link;
use crate::readiness::Readiness;

impl Link {
    /// The readiness that a poller would report for a connection in memory.
    pub(crate) fn memory_readiness(&self) -> Option<Readiness> {
        self.stream.memory()?.readiness(self.interest?)
    }

    /// The memory that it holds for input and output.
    pub(crate) fn buffer_bytes(&self) -> usize {
        let output = &self.output;
        let gathered_bytes = output.gathered.length();
        self.unused_input.capacity() + output.buffer.capacity() + output.uncopied_left() as usize + gathered_bytes
    }
}
