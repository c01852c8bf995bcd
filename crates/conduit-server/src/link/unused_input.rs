//! The input that a protocol has not used.

/// Received bytes that the protocol uses together with the next ones: one word when empty, as on an idle connection.
#[derive(Default)]
#[expect(clippy::box_collection, reason = "one word without bytes")]
pub(crate) struct UnusedInput(Option<Box<Vec<u8>>>);

impl UnusedInput {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Replaces the bytes.
    pub(crate) fn set(&mut self, bytes: Vec<u8>) {
        self.0 = (!bytes.is_empty()).then(|| Box::new(bytes));
    }

    /// Removes all bytes.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        self.0.take().map_or_else(Vec::new, |bytes| *bytes)
    }

    /// The memory of the bytes.
    #[cfg(feature = "testing")]
    pub(super) fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |bytes| bytes.capacity())
    }
}
