//! When to look at a connection again because too little has happened on it.
//!
//! A wheel of one-second slots. A connection stands in one slot at a time. Its deadline usually moves further away,
//! with every request: then nothing is done until the slot where it stands comes up, and only then it moves to the
//! slot of its deadline. So a request costs nothing here, and a second costs as much as there are connections in its
//! slot.
//!
//! The wheel is short, so that the key of a connection that has closed does not stay for long: a server that is asked
//! once on each of 50,000 connections a second remembers 15 seconds of them, 6 MB. For that a connection that stays is
//! looked at every 15 seconds.

use super::mailbox::Key;

/// The number of slots, in seconds. A deadline further away waits in the last slot and is then put in again.
const SLOTS: u32 = 16;

/// A second on the worker's own clock, counted from its start.
pub(crate) type Second = u32;

/// Where a connection stands in the wheel; the default is nowhere.
#[derive(Clone, Copy, Default)]
pub(crate) struct Place {
    /// The second of the slot that the connection stands in; 0 is none.
    second: Second,
}

pub(crate) struct Wheel {
    slots: Vec<Vec<Key>>,
    /// All slots up to this second have been handed out.
    now: Second,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Wheel {
            slots: vec![Vec::new(); SLOTS as usize],
            now: 0,
        }
    }

    /// Sees to it that the connection comes up at `deadline`, or earlier.
    pub(crate) fn schedule(&mut self, key: Key, place: &mut Place, deadline: Second) {
        let second = deadline.clamp(self.now + 1, self.now + SLOTS - 1);
        if place.second != 0 && place.second <= second {
            return;
        }
        place.second = second;
        self.slots[(second % SLOTS) as usize].push(key);
    }

    /// Moves on to `now` and gives the keys of the slots that were passed, to be checked with
    /// [`came_up`](Self::came_up).
    pub(crate) fn advance(&mut self, now: Second) -> Vec<Key> {
        let mut keys = Vec::new();
        // A worker that slept for longer than the wheel has slots hands each out once.
        let first = (self.now + 1).max((now + 1).saturating_sub(SLOTS));
        for second in first..=now {
            let slot = std::mem::take(&mut self.slots[(second % SLOTS) as usize]);
            if keys.is_empty() {
                keys = slot
            } else {
                keys.extend(slot)
            }
        }
        self.now = self.now.max(now);
        keys
    }

    /// Whether the connection stood in a slot that was passed; if so it stands nowhere now. Otherwise its key was left
    /// behind when it moved to an earlier slot.
    pub(crate) fn came_up(&self, place: &mut Place) -> bool {
        let passed = place.second != 0 && place.second <= self.now;
        if passed {
            place.second = 0;
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_comes_up_at_its_second_and_not_before() {
        let mut wheel = Wheel::new();
        let mut place = Place::default();
        wheel.schedule(7, &mut place, 10);
        assert!(wheel.advance(9).is_empty());
        assert_eq!(wheel.advance(10), [7]);
        assert!(wheel.came_up(&mut place));
    }

    #[test]
    fn a_deadline_that_moves_away_costs_no_second_entry() {
        let mut wheel = Wheel::new();
        let mut place = Place::default();
        for deadline in 10..60 {
            wheel.schedule(7, &mut place, deadline);
        }
        assert_eq!(wheel.advance(SLOTS), [7]);
    }

    #[test]
    fn an_earlier_deadline_comes_up_first_and_the_entry_left_behind_is_ignored() {
        let mut wheel = Wheel::new();
        let mut place = Place::default();
        wheel.schedule(7, &mut place, 12);
        wheel.schedule(7, &mut place, 10);
        assert_eq!(wheel.advance(10), [7]);
        assert!(wheel.came_up(&mut place));
        assert_eq!(wheel.advance(12), [7]);
        assert!(!wheel.came_up(&mut place));
    }

    #[test]
    fn a_deadline_beyond_the_wheel_comes_up_early_to_be_put_in_again() {
        let mut wheel = Wheel::new();
        let mut place = Place::default();
        wheel.schedule(7, &mut place, 1000);
        assert_eq!(wheel.advance(SLOTS), [7]);
    }

    #[test]
    fn a_worker_that_slept_for_long_misses_nothing() {
        let mut wheel = Wheel::new();
        let mut places = [Place::default(); 100];
        for (key, place) in places.iter_mut().enumerate() {
            wheel.schedule(key as Key, place, key as Second);
        }
        assert_eq!(wheel.advance(10_000).len(), 100);
    }
}
