//! The budget of frames that cost a server work and transfer nothing.

use std::time::Duration;

/// The price of a glitch in the unit of the bucket: one millisecond adds the rate per second.
const PRICE: u64 = 1000;
/// The time for which a connection is not read when its bucket is empty.
const DELAY: Duration = Duration::from_millis(100);
/// The number of delays after which the connection is closed.
const DELAYS: u32 = 32;

/// The decision about a glitch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Permitted,
    /// Read nothing until this time.
    Delayed(Duration),
    /// Close the connection.
    Flood,
}

/// A token bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    /// `level <= burst * PRICE`.
    level: u64,
    burst: u64,
    per_second: u64,
    /// The time of `level`, in milliseconds of the clock.
    filled: u64,
    /// The number of delays since the bucket was last half full.
    delays: u32,
}

impl Bucket {
    pub(super) fn new(burst: u32, per_second: u32) -> Self {
        let burst = u64::from(burst) * PRICE;
        Self {
            level: burst,
            burst,
            per_second: u64::from(per_second),
            filled: 0,
            delays: 0,
        }
    }

    /// Takes a token for a glitch.
    pub(super) fn take(&mut self, now: Duration) -> Verdict {
        let now_millis = now.as_millis() as u64;
        let elapsed = now_millis.saturating_sub(self.filled);
        self.filled = self.filled.max(now_millis);
        self.level = elapsed
            .saturating_mul(self.per_second)
            .saturating_add(self.level)
            .min(self.burst);
        if self.level > self.burst / 2 {
            self.delays = 0;
        }
        match self.level.checked_sub(PRICE) {
            Some(level) => {
                self.level = level;
                Verdict::Permitted
            }
            None if self.delays < DELAYS => {
                self.delays += 1;
                Verdict::Delayed(now + DELAY)
            }
            None => Verdict::Flood,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_delays_then_closes_and_refills() {
        let at = Duration::from_millis;
        let mut bucket = Bucket::new(10, 33);
        for _ in 0..10 {
            assert_eq!(bucket.take(at(5)), Verdict::Permitted);
        }
        assert_eq!(bucket.take(at(5)), Verdict::Delayed(at(105)));
        // A hundred milliseconds add slightly more than three tokens.
        for _ in 0..3 {
            assert_eq!(bucket.take(at(105)), Verdict::Permitted);
        }
        for _ in 1..DELAYS {
            assert_eq!(bucket.take(at(105)), Verdict::Delayed(at(205)));
        }
        assert_eq!(bucket.take(at(105)), Verdict::Flood);
        // A second without glitches refills the bucket.
        assert_eq!(bucket.take(at(1105)), Verdict::Permitted);
        assert_eq!(bucket.take(at(0)), Verdict::Permitted, "a clock that goes back");
    }
}
