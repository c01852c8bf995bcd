//! Response counts by route and class of status, and their durations.
//!
//! A histogram of fixed buckets for each route: a duration costs a short search and two additions to memory that only one
//! worker writes to. An exporter that keeps every sample until it is read (as that of the `metrics` crate) would
//! allocate, and would grow without a bound while it is not read.

use std::time::Duration;

use crate::counter::Counter;

/// The upper bounds of the buckets in microseconds: from a handler that waits for nothing to the usual timeout of a
/// client.
pub const BOUNDS_MICROS: [u64; 16] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000,
];

/// The counters of one worker for one route.
#[derive(Debug, Default)]
pub struct RouteCounts {
    /// By the first digit of the status, from 1 on.
    classes: [Counter; 5],
    /// The last is above all bounds.
    buckets: [Counter; BOUNDS_MICROS.len() + 1],
    sum_nanos: Counter,
}

impl RouteCounts {
    /// Counts a response.
    pub fn add(&self, status: u16, took: Duration) {
        if let Some(class) = self.classes.get(usize::from(status / 100).wrapping_sub(1)) {
            class.add(1);
        }
        let micros = took.as_micros();
        let bucket = BOUNDS_MICROS.iter().position(|&bound| micros <= u128::from(bound));
        self.buckets[bucket.unwrap_or(BOUNDS_MICROS.len())].add(1);
        self.sum_nanos.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// The same of all workers, added up.
#[derive(Clone, Default)]
pub struct RouteTotals {
    /// Responses by the class of their status.
    pub classes: [u64; 5],
    /// Responses by their duration: one bucket for each bound, and one above them.
    pub buckets: [u64; BOUNDS_MICROS.len() + 1],
    /// The sum of the durations in nanoseconds.
    pub sum_nanos: u64,
}

impl RouteTotals {
    /// Adds the counts of one worker.
    pub fn add(&mut self, counts: &RouteCounts) {
        for (sum, count) in self.classes.iter_mut().zip(&counts.classes) {
            *sum += count.get();
        }
        for (sum, count) in self.buckets.iter_mut().zip(&counts.buckets) {
            *sum += count.get();
        }
        self.sum_nanos = self.sum_nanos.wrapping_add(counts.sum_nanos.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_first_bucket_whose_bound_it_does_not_pass() {
        let counts = RouteCounts::default();
        for micros in [0, 10, 11, 5_000_000, 5_000_001, u64::MAX] {
            counts.add(204, Duration::from_micros(micros));
        }
        let mut totals = RouteTotals::default();
        totals.add(&counts);
        assert_eq!(totals.classes, [0, 6, 0, 0, 0]);
        assert_eq!(totals.buckets[..2], [2, 1]);
        assert_eq!(totals.buckets[15..], [1, 2]);
    }

    #[test]
    fn a_status_of_no_class_is_counted_in_none() {
        let counts = RouteCounts::default();
        counts.add(999, Duration::ZERO);
        let mut totals = RouteTotals::default();
        totals.add(&counts);
        assert_eq!(totals.classes, [0; 5]);
        assert_eq!(totals.buckets[0], 1);
    }
}
