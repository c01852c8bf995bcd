//! Budgets of requests that refill evenly: the generic cell rate algorithm.

use std::time::Duration;

/// The difference between clocks, or the correction of one, that a budget tolerates.
const CLOCK_ERROR: Duration = Duration::from_secs(60);

/// A budget of requests, one of which becomes available every `period / requests`: the generic cell rate algorithm. A
/// [`Store`](super::Store) has, for each key, the theoretical arrival time of the next request, if each came exactly one
/// [interval](Self::interval) after the previous one. It is at most one period ahead, unless the clock has been set back: see
/// [`longest_lead`](Self::longest_lead).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// The number of requests in a period, all of which may come at once. Zero counts as 1.
    pub requests: u32,
    /// The time in which the whole budget refills.
    pub period: Duration,
}

/// The result of taking a request from a [`Budget`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Set if the request is within the budget. If not, the budget is unchanged.
    pub is_accepted: bool,
    /// The number of remaining requests.
    pub left: u64,
    /// The time until one more is available.
    pub wait: Duration,
}

impl Budget {
    /// The time in which one request becomes available, in whole microseconds and at least one.
    pub fn interval(&self) -> Duration {
        Duration::from_micros(self.interval_micros())
    }

    /// The time that an accepted request may put the arrival time ahead of now: the interval times the requests.
    pub fn tolerance(&self) -> Duration {
        Duration::from_micros(self.interval_micros() * self.burst())
    }

    /// The longest time by which the stored arrival time may be ahead of now: a minute more than the [tolerance](Self::tolerance).
    /// A later arrival time was stored before the clock was set back. It would exclude the client until the clock has caught up,
    /// so a store replaces it by the tolerance minus an interval ahead of now: this request is accepted, and leaves none.
    pub fn longest_lead(&self) -> Duration {
        self.tolerance() + CLOCK_ERROR
    }

    /// The result of a request that puts the arrival time `ahead` of now: the later of the stored arrival time and now, plus
    /// an interval, minus now. The request is accepted, and the new arrival time to be stored, if `ahead` is at most the
    /// [tolerance](Self::tolerance).
    pub fn taken(&self, ahead: Duration) -> Taken {
        let (interval, tolerance, ahead) = (self.interval_micros(), micros(self.tolerance()), micros(ahead));
        if ahead > tolerance {
            return Taken {
                is_accepted: false,
                left: 0,
                wait: Duration::from_micros(ahead - tolerance),
            };
        }
        Taken {
            is_accepted: true,
            left: (tolerance - ahead) / interval,
            wait: Duration::from_micros(match ahead % interval {
                0 => interval,
                rest => rest,
            }),
        }
    }

    /// The result of a request at `now`, and the arrival time after it, both in microseconds since 1970.
    pub(super) fn take_at(&self, arrival: u64, now: u64) -> (Taken, u64) {
        let arrival = match arrival > now.saturating_add(micros(self.longest_lead())) {
            true => now.saturating_add(micros(self.tolerance()) - self.interval_micros()),
            false => arrival.max(now),
        };
        let next = arrival.saturating_add(self.interval_micros());
        (self.taken(Duration::from_micros(next - now)), next)
    }

    fn interval_micros(&self) -> u64 {
        let period = micros(self.period);
        // The tolerance and the times of the next requests fit in 64 bits.
        (period / self.burst()).clamp(1, u64::MAX / 4 / self.burst())
    }

    /// The number of requests that may come at once; at least 1, because it divides the period.
    fn burst(&self) -> u64 {
        u64::from(self.requests.max(1))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const TEN_PER_MINUTE: Budget = Budget {
        requests: 10,
        period: Duration::from_secs(60),
    };

    /// Sends requests at these times, and returns which are accepted.
    fn accepted(times: impl IntoIterator<Item = u64>) -> Vec<bool> {
        let mut arrival = 0;
        let take = |now| {
            let (taken, next) = TEN_PER_MINUTE.take_at(arrival, now);
            if taken.is_accepted {
                arrival = next;
            }
            taken.is_accepted
        };
        times.into_iter().map(take).collect()
    }

    #[test]
    fn burst_of_all_requests_is_accepted_and_no_further_one() {
        let start = 1_700_000_000 * SECOND;
        let burst = accepted([start; 12]);
        assert_eq!(burst.iter().filter(|&&passed| passed).count(), 10);
        assert_eq!(burst[9..], [true, false, false]);
    }

    #[test]
    fn budget_refills_evenly() {
        let start = 1_700_000_000 * SECOND;
        let times = [
            vec![start; 10],
            vec![start + 6 * SECOND - 1, start + 6 * SECOND, start + 6 * SECOND],
        ]
        .concat();
        assert_eq!(accepted(times)[10..], [false, true, false]);
    }

    #[test]
    fn result_has_the_remaining_requests_and_the_time_until_more() {
        let start = 1_700_000_000 * SECOND;
        let (first, _) = TEN_PER_MINUTE.take_at(0, start);
        assert_eq!((first.left, first.wait), (9, Duration::from_secs(6)));
        let (refused, _) = TEN_PER_MINUTE.take_at(start + 60 * SECOND, start);
        assert_eq!((refused.is_accepted, refused.wait), (false, Duration::from_secs(6)));
    }

    #[test]
    fn clock_that_was_set_back_excludes_a_client_for_at_most_a_minute() {
        let start = 1_700_000_000 * SECOND;
        // An exhausted budget.
        let arrival = start + 60 * SECOND;
        let (taken, _) = TEN_PER_MINUTE.take_at(arrival, start - 60 * SECOND);
        assert_eq!((taken.is_accepted, taken.wait), (false, Duration::from_secs(66)));
        for seconds in [61, 24 * 3600] {
            let now = start - seconds * SECOND;
            let (taken, next) = TEN_PER_MINUTE.take_at(arrival, now);
            assert_eq!((taken.is_accepted, taken.left, next), (true, 0, now + 60 * SECOND));
            let (taken, _) = TEN_PER_MINUTE.take_at(next, now);
            assert_eq!((taken.is_accepted, taken.wait), (false, Duration::from_secs(6)));
        }
    }

    #[test]
    fn longest_period_does_not_overflow() {
        for requests in [0, 1, u32::MAX] {
            let budget = Budget {
                requests,
                period: Duration::MAX,
            };
            let (taken, next) = budget.take_at(u64::MAX / 8, u64::MAX / 8);
            assert!(taken.is_accepted && next > u64::MAX / 8, "{requests}: {taken:?}");
        }
    }
}
