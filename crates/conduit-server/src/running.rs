//! The handler that a worker polls, as another thread reads it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The bits for the route; those above count the polls.
const ROUTE_BITS: u32 = 20;
pub(super) const ROUTE: u64 = (1 << ROUTE_BITS) - 1;
/// The placeholder for a request without a route.
const NO_ROUTE: u64 = ROUTE;

/// The current poll of a worker: the count of polls, followed by the index of the route plus 1, or by 0 for no poll.
#[derive(Debug, Default)]
pub(crate) struct Running(AtomicU64);

impl Running {
    /// The record: [`ROUTE`] masks the route.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    /// A poll of the handler of this route begins.
    #[inline]
    fn begin(&self, route: Option<usize>) {
        let count = (self.0.load(Relaxed) >> ROUTE_BITS).wrapping_add(1);
        let route = route.map_or(NO_ROUTE, |route| (route as u64 + 1).min(NO_ROUTE));
        self.0.store(count << ROUTE_BITS | route, Relaxed);
    }

    #[inline]
    fn end(&self) {
        self.0.store(self.0.load(Relaxed) & !ROUTE, Relaxed);
    }

    /// Calls a function that polls the handler of this route.
    #[inline]
    pub(super) fn during<T>(&self, route: Option<usize>, poll: impl FnOnce() -> T) -> T {
        /// Ends it in a panic, too.
        struct Ends<'a>(&'a Running);

        impl Drop for Ends<'_> {
            #[inline]
            fn drop(&mut self) {
                self.0.end();
            }
        }

        self.begin(route);
        let _ends = Ends(self);
        poll()
    }
}
