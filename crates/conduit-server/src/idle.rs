//! The idle connections that close for new ones at the limit of connections: the longest idle first.
//!
//! No order is kept, so that a request costs nothing here. A full worker searches all of its connections, at most once a
//! second, and keeps the longest idle; it closes one of them for each client that it accepts.

use crate::deadlines::Second;
use crate::exchange_id::ConnectionId;

/// The minimum idle time: a new connection, and one after a response, has this time for its next request.
const AT_LEAST: Second = 2;
/// The number of connections that a search keeps, and the maximum number of closes in a second.
const REMEMBERED: usize = 1024;

/// The longest idle connections of a worker.
#[derive(Default)]
pub(super) struct Idle {
    /// The second since which each is idle, with its identifier; the longest idle is the last.
    longest: Vec<(Second, ConnectionId)>,
    /// The second of the last search.
    searched: Second,
}

impl Idle {
    /// Returns the longest idle connection. `all` returns each idle connection with the second since which it is idle; `since`
    /// returns that second for one connection, or `None` if it is no longer idle.
    pub(super) fn longest<All: Iterator<Item = (Second, ConnectionId)>>(
        &mut self,
        now: Second,
        all: impl FnOnce() -> All,
        since: impl Fn(ConnectionId) -> Option<Second>,
    ) -> Option<ConnectionId> {
        self.forget_busy(&since);
        if self.longest.is_empty() && self.searched != now {
            self.searched = now;
            self.longest.extend(all().filter(|&(since, _)| since + AT_LEAST <= now));
            if self.longest.len() > REMEMBERED {
                self.longest.select_nth_unstable(REMEMBERED);
                self.longest.truncate(REMEMBERED);
            }
            self.longest.sort_unstable_by(|one, other| other.cmp(one));
            self.forget_busy(&since);
        }
        self.longest.last().map(|&(_, key)| key)
    }

    /// Forgets connections that have closed or received a request since they were found.
    fn forget_busy(&mut self, since: impl Fn(ConnectionId) -> Option<Second>) {
        while let Some(&(known, key)) = self.longest.last()
            && since(key) != Some(known)
        {
            self.longest.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn longest(idle: &mut Idle, now: Second, all: &BTreeMap<ConnectionId, Second>) -> Option<ConnectionId> {
        let each = || all.iter().map(|(&key, &since)| (since, key));
        idle.longest(now, each, |key| all.get(&key).copied())
    }

    #[test]
    fn the_longest_idle_go_first_and_the_others_when_they_have_been_idle_for_long_enough() {
        let mut all = BTreeMap::from([(1, 7), (2, 5), (3, 6), (4, 9)]);
        let mut idle = Idle::default();
        for expected in [2, 3, 1] {
            assert_eq!(longest(&mut idle, 9, &all), Some(expected));
            all.remove(&expected);
        }
        assert_eq!(longest(&mut idle, 9, &all), None);
        assert_eq!(longest(&mut idle, 10, &all), None);
        assert_eq!(longest(&mut idle, 11, &all), Some(4));
    }

    #[test]
    fn one_that_was_asked_something_meanwhile_is_spared() {
        let mut all = BTreeMap::from([(1, 5), (2, 6)]);
        let mut idle = Idle::default();
        assert_eq!(longest(&mut idle, 9, &all), Some(1));
        all.insert(1, 9);
        assert_eq!(longest(&mut idle, 9, &all), Some(2));
        all.remove(&2);
        assert_eq!(longest(&mut idle, 9, &all), None, "they are looked for once a second");
        assert_eq!(longest(&mut idle, 11, &all), Some(1));
    }

    #[test]
    fn of_many_the_longest_idle_are_remembered() {
        let mut all: BTreeMap<ConnectionId, Second> = (0..5000).map(|key| (key, (key * 7 % 5000) as Second)).collect();
        let mut idle = Idle::default();
        for since in 0..REMEMBERED as Second {
            let key = longest(&mut idle, 9000, &all).expect("one of many");
            assert_eq!(all.remove(&key), Some(since));
        }
        assert_eq!(longest(&mut idle, 9000, &all), None);
    }
}
