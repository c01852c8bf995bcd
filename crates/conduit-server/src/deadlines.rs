//! A timer wheel for the deadlines of connections, with slots of one second.
//!
//! A connection is in one slot at a time. Its deadline usually moves further away with each request. It stays in its slot
//! until that is due, and moves to the slot of its deadline only then. So a request costs nothing here, and a second costs in
//! proportion to the connections in its slot.
//!
//! The wheel is short, which bounds the identifiers of closed connections: a server with 50,000 new connections a second keeps
//! those of 15 seconds, 6 MB. In return each open connection is checked every 15 seconds.

use crate::exchange_id::ConnectionId;

/// The number of slots, in seconds. A connection with a later deadline waits in the last slot, and then again.
const SLOTS: u32 = 16;

/// A second on the worker's own clock, counted from its start.
pub(crate) type Second = u32;

/// The slot of a connection in the wheel; none by default.
#[derive(Clone, Copy, Default)]
pub(crate) struct WheelSlot {
    /// The second of the slot; 0 for no slot.
    second: Second,
}

pub(crate) struct Wheel {
    slots: Vec<Vec<ConnectionId>>,
    /// All slots up to this second were returned.
    now: Second,
}

impl Wheel {
    pub(crate) fn new() -> Self {
        Wheel {
            slots: vec![Vec::new(); SLOTS as usize],
            now: 0,
        }
    }

    /// Makes the connection due at `deadline`, or earlier.
    pub(crate) fn schedule(&mut self, key: ConnectionId, slot: &mut WheelSlot, deadline: Second) {
        let second = deadline.clamp(self.now + 1, self.now + SLOTS - 1);
        if slot.second != 0 && slot.second <= second {
            return;
        }
        slot.second = second;
        self.slots[(second % SLOTS) as usize].push(key);
    }

    /// Advances to `now`. Returns the connections of the slots on the way, for which the caller calls
    /// [`take_due`](Self::take_due).
    pub(crate) fn advance(&mut self, now: Second) -> Vec<ConnectionId> {
        let mut keys = Vec::new();
        // A worker that slept for longer than the wheel has slots returns each slot once.
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

    /// Returns whether the slot of the connection was passed, and removes the connection from it. Otherwise the entry is an
    /// old one: the connection has moved to an earlier slot since.
    pub(crate) fn take_due(&self, slot: &mut WheelSlot) -> bool {
        let passed = slot.second != 0 && slot.second <= self.now;
        if passed {
            slot.second = 0;
        }
        passed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_due_at_its_second_and_not_before() {
        let mut wheel = Wheel::new();
        let mut place = WheelSlot::default();
        wheel.schedule(7, &mut place, 10);
        assert!(wheel.advance(9).is_empty());
        assert_eq!(wheel.advance(10), [7]);
        assert!(wheel.take_due(&mut place));
    }

    #[test]
    fn a_deadline_that_moves_away_costs_no_second_entry() {
        let mut wheel = Wheel::new();
        let mut place = WheelSlot::default();
        for deadline in 10..60 {
            wheel.schedule(7, &mut place, deadline);
        }
        assert_eq!(wheel.advance(SLOTS), [7]);
    }

    #[test]
    fn an_earlier_deadline_is_due_first_and_the_stale_entry_is_ignored() {
        let mut wheel = Wheel::new();
        let mut place = WheelSlot::default();
        wheel.schedule(7, &mut place, 12);
        wheel.schedule(7, &mut place, 10);
        assert_eq!(wheel.advance(10), [7]);
        assert!(wheel.take_due(&mut place));
        assert_eq!(wheel.advance(12), [7]);
        assert!(!wheel.take_due(&mut place));
    }

    #[test]
    fn a_deadline_beyond_the_wheel_is_due_early_to_be_put_in_again() {
        let mut wheel = Wheel::new();
        let mut place = WheelSlot::default();
        wheel.schedule(7, &mut place, 1000);
        assert_eq!(wheel.advance(SLOTS), [7]);
    }

    #[test]
    fn a_worker_that_slept_for_long_misses_nothing() {
        let mut wheel = Wheel::new();
        let mut places = [WheelSlot::default(); 100];
        for (key, place) in places.iter_mut().enumerate() {
            wheel.schedule(key as ConnectionId, place, key as Second);
        }
        assert_eq!(wheel.advance(10_000).len(), 100);
    }
}
