//! Deadlines of a connection, and the minimum rate of its transfers.

use std::time::Duration;

use crate::deadlines::{Second, WheelSlot};
use crate::link_times::LinkTimes;
use crate::protocol_timer::ProtocolTimer;

/// The event that a connection waits for; it determines the deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    /// The server or the disk, without a deadline.
    Off,
    /// The next message of the client.
    Idle,
    /// The rest of a message that has begun.
    Incomplete,
    /// More bytes of a transfer from the client, at the minimum rate.
    Receive,
    /// Room for output, at the minimum rate.
    Send,
    /// The server, after the client has ended its half of the stream and may have disconnected.
    HalfClosed,
    /// More output of the server. Meanwhile the client has to acknowledge the sent bytes.
    Acknowledgement,
    /// An event of the protocol, for these seconds.
    Protocol(ProtocolTimer, Second),
    /// An event of the protocol, until this second, which the protocol has computed.
    #[cfg(all(feature = "http2", feature = "websocket"))]
    At(Second),
}

impl Timer {
    /// A wait for an event of the protocol.
    pub(crate) fn protocol(timer: ProtocolTimer, time: Duration) -> Self {
        Timer::Protocol(timer, whole_seconds(time))
    }
}

/// A transfer that is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Transfer {
    Receive,
    Send,
}

/// A client that acknowledges nothing between two checks is late: after between half of the grace and all of it.
const CHECKS_PER_GRACE: u32 = 2;

/// The deadline of a connection.
pub(crate) struct Deadline {
    pub(crate) timer: Timer,
    /// The second in which the connection began to wait.
    since: Second,
    /// The second since which no message has begun.
    pub(super) idle_since: Second,
    pub(super) slot: WheelSlot,
    /// A message has arrived since the timer was set.
    restarts: bool,
    pub(super) rate: TransferRate,
}

impl Deadline {
    pub(crate) fn new(timer: Timer, now: Second) -> Self {
        Deadline {
            timer,
            since: now,
            idle_since: now,
            slot: WheelSlot::default(),
            restarts: false,
            rate: TransferRate::default(),
        }
    }

    /// Restarts the timer when it is set next, also for the same wait: it belongs to another message.
    #[inline]
    pub(crate) fn restart(&mut self) {
        self.restarts = true;
    }

    /// The seconds since the timer was set.
    pub(super) fn waited(&self, now: Second) -> Second {
        now.saturating_sub(self.since)
    }

    /// Counts bytes that have arrived, if they belong to the measured transfer.
    #[inline]
    pub(crate) fn received(&mut self, bytes: u64, now: Second, times: &LinkTimes) {
        if self.timer == Timer::Receive {
            self.rate.moved(bytes, now, times);
        }
    }

    /// Restarts the time of the timer now.
    pub(super) fn extend(&mut self, now: Second) {
        self.credit_wait(now);
        self.since = now;
    }

    /// Waits for the next message, as before. The deadline has moved further away, which the wheel notices at the slot.
    #[inline]
    pub(super) fn idle_again(&mut self, now: Second) {
        if std::mem::take(&mut self.restarts) {
            (self.since, self.idle_since) = (now, now);
            self.rate.of = None;
        }
    }

    /// Begins this wait. Nothing changes if it has begun already, on behalf of the same message.
    pub(crate) fn set(&mut self, timer: Timer, now: Second, times: &LinkTimes) {
        let restarts = std::mem::take(&mut self.restarts);
        if timer == self.timer && !restarts {
            return;
        }
        self.credit_wait(now);
        let before = std::mem::replace(&mut self.timer, timer);
        self.since = now;
        match timer {
            Timer::Idle | Timer::Incomplete => {
                if restarts || !matches!(before, Timer::Idle | Timer::Incomplete) {
                    self.idle_since = now;
                }
                self.rate.of = None;
            }
            // The same transfer continues after another wait. A reader is measured over all pieces of the output, and over
            // the output for all messages of a pipeline.
            Timer::Send if self.rate.of == Some(Transfer::Send) => {}
            Timer::Receive if self.rate.of == Some(Transfer::Receive) && !restarts => {}
            Timer::Send => self.rate.begin(Some(Transfer::Send), now, times),
            Timer::Receive => self.rate.begin(Some(Transfer::Receive), now, times),
            _ => {}
        }
    }

    /// Extends the deadline of the measured transfer by the time since `since`, unless the transfer itself is the wait. While
    /// output waits for the client, the wait is always [`Timer::Send`], so a client that reads nothing gains no time.
    fn credit_wait(&mut self, now: Second) {
        if !matches!(self.timer, Timer::Receive | Timer::Send) {
            self.rate.resume(self.waited(now));
        }
    }

    /// The second in which the time is over.
    pub(crate) fn second(&mut self, times: &LinkTimes) -> Option<Second> {
        match self.timer {
            Timer::Off => None,
            Timer::Idle => Some(deadline_after(self.idle_since, times.idle)),
            // A message that begins within the idle time has its full time, but empty lines before it do not add to that.
            Timer::Incomplete => {
                let first = times.idle.saturating_add(times.message);
                Some(deadline_after(self.since, times.message).min(deadline_after(self.idle_since, first)))
            }
            Timer::Receive | Timer::Send => Some(self.rate.until(times)),
            Timer::HalfClosed => Some(deadline_after(self.since, times.idle)),
            Timer::Acknowledgement => Some(deadline_after(self.since, times.rate_grace / CHECKS_PER_GRACE)),
            Timer::Protocol(_, seconds) => Some(end_of(self.since, seconds)),
            #[cfg(all(feature = "http2", feature = "websocket"))]
            Timer::At(second) => Some(second),
        }
    }
}

/// The second at which this time is over.
pub(crate) fn deadline_after(since: Second, time: Duration) -> Second {
    end_of(since, whole_seconds(time))
}

/// The second at which this time is over. The current second has begun already, so one second is added, and no deadline expires
/// early.
fn end_of(since: Second, seconds: Second) -> Second {
    since.saturating_add(seconds).saturating_add(1)
}

fn whole_seconds(time: Duration) -> Second {
    Second::try_from(time.as_secs()).unwrap_or(Second::MAX)
}

/// The rate of a transfer, measured against the minimum rate.
///
/// Each transferred byte extends the deadline by its time at the minimum rate, but to at most one grace after it. So a client
/// that stops has one grace, and in any period a client has to transfer the bytes of the minimum rate for that period, less
/// one grace.
#[derive(Default)]
pub(crate) struct TransferRate {
    /// `None` between transfers.
    of: Option<Transfer>,
    /// The second until which the client has time.
    until: Second,
    /// The second of the last transferred byte.
    moved: Second,
    /// Transferred bytes that have not extended `until`.
    bytes: u64,
    /// The number of sent bytes that the client had taken at the last measurement.
    taken_bytes: u64,
    /// The lower half of the number of sent bytes that were acknowledged at the last check.
    acknowledged: u32,
    /// Not all bytes were acknowledged then.
    was_unacknowledged: bool,
}

impl TransferRate {
    /// Counts transferred bytes.
    #[inline]
    pub(crate) fn moved(&mut self, bytes: u64, now: Second, times: &LinkTimes) {
        if now != self.moved {
            // Earlier bytes give no more than a grace from then.
            self.until(times);
            self.moved = now;
        }
        self.bytes += bytes;
    }

    /// Counts the bytes that the client has taken, `taken_bytes` in total. Returns their number since the last call.
    pub(super) fn took(&mut self, taken_bytes: u64, now: Second, times: &LinkTimes) -> u64 {
        let bytes = taken_bytes.saturating_sub(self.taken_bytes);
        if bytes > 0 {
            self.taken_bytes = taken_bytes;
            self.moved(bytes, now, times);
        }
        bytes
    }

    /// Checks the acknowledgements of the client. Returns true if all are older than the last check, although bytes were on
    /// their way then.
    pub(super) fn check_acknowledgements(&mut self, sent_bytes: u64, unacknowledged_bytes: u64) -> bool {
        let acknowledged = sent_bytes.saturating_sub(unacknowledged_bytes) as u32;
        let before = std::mem::replace(&mut self.acknowledged, acknowledged);
        let was_unacknowledged = std::mem::replace(&mut self.was_unacknowledged, unacknowledged_bytes > 0);
        was_unacknowledged && unacknowledged_bytes > 0 && before == acknowledged
    }

    /// Measures this transfer, if there is one, as before if it is the same. Returns whether the client is late.
    #[cfg(feature = "http2")]
    pub(crate) fn check(&mut self, of: Option<Transfer>, now: Second, times: &LinkTimes) -> bool {
        if self.of != of {
            self.begin(of, now, times);
        }
        of.is_some() && self.until(times) <= now
    }

    /// Begins with a whole grace.
    fn begin(&mut self, of: Option<Transfer>, now: Second, times: &LinkTimes) {
        self.of = of;
        self.until = deadline_after(now, times.rate_grace);
        self.moved = now;
        self.bytes = 0;
    }

    /// Continues after a pause that was not caused by the client.
    fn resume(&mut self, seconds: Second) {
        self.until = self.until.saturating_add(seconds);
        self.moved = self.moved.saturating_add(seconds);
    }

    /// The deadline, with all transferred bytes.
    fn until(&mut self, times: &LinkTimes) -> Second {
        let rate = times.minimum_rate.max(1);
        let seconds = Second::try_from(self.bytes / rate).unwrap_or(Second::MAX);
        self.bytes %= rate;
        self.until = self
            .until
            .saturating_add(seconds)
            .min(deadline_after(self.moved, times.rate_grace));
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// A transfer since this second, at 1024 bytes a second with a grace of 10.
    fn since(now: Second) -> (TransferRate, LinkTimes) {
        let times = LinkTimes {
            rate_grace: Duration::from_secs(10),
            ..LinkTimes::of(&Config::default())
        };
        let mut rate = TransferRate::default();
        rate.begin(Some(Transfer::Receive), now, &times);
        (rate, times)
    }

    /// The second in which a client is late that moves this number of bytes in each.
    fn late(bytes_a_second: u64) -> Option<Second> {
        let (mut rate, times) = since(100);
        (101..1100).find(|now| {
            rate.moved(bytes_a_second, *now, &times);
            rate.until(&times) <= *now
        })
    }

    #[test]
    fn a_client_at_the_rate_is_never_late_and_one_below_it_is_when_the_grace_is_used_up() {
        assert_eq!(late(1024), None);
        assert_eq!(late(1500), None, "bytes of less than a second add up");
        assert_eq!(late(0), Some(111));
        // Half a second of the grace in each second.
        assert_eq!(late(512), Some(121));
    }

    #[test]
    fn bytes_that_have_moved_give_no_more_than_a_grace_from_then() {
        let (mut rate, times) = since(100);
        rate.moved(1 << 30, 105, &times);
        assert_eq!(rate.until(&times), 116);
        // Not from the next byte, although there was no look in between.
        rate.moved(1 << 30, 107, &times);
        rate.moved(1, 117, &times);
        assert_eq!(rate.until(&times), 118);
    }

    #[test]
    fn a_reader_gets_time_for_the_bytes_since_the_last_look_and_for_none_twice() {
        let (mut rate, times) = since(100);
        rate.took(5 * 1024, 103, &times);
        assert_eq!(rate.until(&times), 114);
        rate.took(5 * 1024, 112, &times);
        // A Unix socket counts more memory than bytes.
        rate.took(4 * 1024, 113, &times);
        assert_eq!(rate.until(&times), 114);
        rate.took(7 * 1024, 113, &times);
        assert_eq!(rate.until(&times), 116);
    }

    #[test]
    fn bytes_that_are_not_acknowledged_from_one_look_to_the_next_make_the_client_late() {
        let mut rate = TransferRate::default();
        assert!(!rate.check_acknowledgements(100, 0));
        // They may have been sent just now.
        assert!(!rate.check_acknowledgements(110, 10));
        assert!(!rate.check_acknowledgements(120, 15), "some of them are acknowledged");
        assert!(rate.check_acknowledgements(130, 25));
        assert!(!rate.check_acknowledgements(130, 0));
        assert!(!rate.check_acknowledgements(140, 10));
    }

    #[test]
    fn another_wait_of_the_same_length_begins_again() {
        let times = LinkTimes::of(&Config::default());
        let time = Duration::from_secs(30);
        let mut deadline = Deadline::new(Timer::Off, 100);
        deadline.set(Timer::protocol(ProtocolTimer::Handshake, time), 100, &times);
        deadline.set(Timer::protocol(ProtocolTimer::Handshake, time), 120, &times);
        assert_eq!(deadline.second(&times), Some(131), "the same wait continues");
        deadline.set(Timer::protocol(ProtocolTimer::Linger, time), 120, &times);
        assert_eq!(deadline.second(&times), Some(151));
    }

    #[cfg(all(feature = "http2", feature = "websocket"))]
    #[test]
    fn each_wait_that_is_not_for_the_reader_extends_its_deadline_once() {
        let (_, times) = since(0);
        let protocol = |timer| Timer::protocol(timer, Duration::from_secs(30));
        for wait in [
            Timer::Off,
            Timer::HalfClosed,
            Timer::Acknowledgement,
            protocol(ProtocolTimer::Quiet),
            protocol(ProtocolTimer::Streams),
            protocol(ProtocolTimer::GoAway),
        ] {
            let mut deadline = Deadline::new(Timer::Idle, 100);
            deadline.set(Timer::Send, 100, &times);
            deadline.set(wait, 105, &times);
            deadline.extend(1000);
            deadline.extend(2000);
            deadline.set(Timer::Send, 3000, &times);
            assert_eq!(deadline.second(&times), Some(3006), "{wait:?}");
            // A client that reads nothing gains no time.
            deadline.extend(3005);
            assert_eq!(deadline.second(&times), Some(3006), "{wait:?}");
        }
    }

    #[test]
    fn time_that_the_client_does_not_cause_is_returned() {
        let (mut rate, times) = since(100);
        rate.resume(1000);
        assert_eq!(rate.until(&times), 1111);
    }
}
