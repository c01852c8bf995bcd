//! Deadlines of a connection, and the minimum rate of its transfers.

use std::time::Duration;

use crate::config::Config;
use crate::deadlines::{Second, WheelSlot};

/// The event that a connection waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timer {
    /// A handler, a response's stream or the disk: there is no deadline.
    Off,
    /// The end of the PROXY header.
    ProxyHeader,
    /// The end of the TLS handshake.
    Handshake,
    /// The next request.
    Idle,
    /// The rest of a request's head.
    Head,
    /// More of a body, which the handler reads or the connection skips.
    Body,
    /// Room for output.
    Room,
    /// A handler or a stream, after the client has ended its half of the stream and may have disconnected.
    HalfClosed,
    /// The next piece of a response's stream. Meanwhile the client has to acknowledge what was sent.
    Unacknowledged,
    /// The end of the client's half of the stream, after the last response.
    Linger,
    /// The transfers of streams, each with its rate: they are checked each second.
    #[cfg(feature = "http2")]
    Streams,
    /// The end of a pause after too many useless frames.
    #[cfg(feature = "http2")]
    Delay,
    /// The acknowledgement of the server's SETTINGS.
    #[cfg(feature = "http2")]
    Settings,
    /// The deadline of a WebSocket on a stream, which is in this second.
    #[cfg(all(feature = "http2", feature = "websocket"))]
    At(Second),
    /// The response to the PING of a shutdown. No request is on its way after it.
    #[cfg(feature = "http2")]
    GoAway,
    /// Any bytes from the client of a WebSocket.
    #[cfg(feature = "websocket")]
    Quiet,
    /// Any bytes from the client of a WebSocket after a ping.
    #[cfg(feature = "websocket")]
    Pong,
    /// The Close of the client of a WebSocket, after the server's.
    #[cfg(feature = "websocket")]
    SocketClosing,
}

/// The time that the client of a WebSocket has to close it after the server.
#[cfg(feature = "websocket")]
const CLOSING_TIME: Duration = Duration::from_secs(10);

/// The time for which a connection lingers after its last response, and again while its client takes the response at the
/// minimum rate.
pub(crate) const LINGER_SECONDS: u64 = 2;

/// A client that acknowledges nothing between two checks is late: after between half of the grace and all of it.
const CHECKS_PER_GRACE: u32 = 2;

/// The deadline of a connection.
pub(crate) struct Deadline {
    pub(crate) timer: Timer,
    /// The second in which the connection began to wait.
    since: Second,
    /// The second since which there has been no request.
    pub(super) idle_since: Second,
    pub(super) slot: WheelSlot,
    /// A request has arrived since the timer was set.
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

    /// Restarts the timer when it is set next, also for the same event: it belongs to another request.
    #[inline]
    pub(crate) fn restart(&mut self) {
        self.restarts = true;
    }

    /// The seconds since the timer was set.
    pub(super) fn waited(&self, now: Second) -> Second {
        now.saturating_sub(self.since)
    }

    /// Restarts the time of the timer now.
    pub(super) fn extend(&mut self, now: Second) {
        self.since = now;
    }

    /// Waits for the next request, as before. The deadline has moved further away, which the wheel notices at the slot.
    #[inline]
    pub(super) fn idle_again(&mut self, now: Second) {
        if std::mem::take(&mut self.restarts) {
            (self.since, self.idle_since) = (now, now);
            self.rate.of = Timer::Idle;
        }
    }

    /// Waits for this event. Nothing changes if the connection waits for it already, on behalf of the same request.
    pub(crate) fn set(&mut self, timer: Timer, now: Second, config: &Config) {
        let restarts = std::mem::take(&mut self.restarts);
        if timer == self.timer && !restarts {
            return;
        }
        let before = std::mem::replace(&mut self.timer, timer);
        let since = std::mem::replace(&mut self.since, now);
        if matches!(before, Timer::Off | Timer::HalfClosed | Timer::Unacknowledged) {
            self.rate.resume(now - since);
        }
        match timer {
            Timer::Idle | Timer::Head => {
                if restarts || !matches!(before, Timer::Idle | Timer::Head) {
                    self.idle_since = now;
                }
                self.rate.of = timer;
            }
            // The same transfer continues after a time in which the handler or the disk lagged. A reader is measured
            // over all pieces of a response, and over all responses of a pipeline.
            Timer::Room if self.rate.of == Timer::Room => {}
            Timer::Body if self.rate.of == Timer::Body && !restarts => {}
            Timer::Body | Timer::Room => self.rate.begin(timer, now, config),
            _ => {}
        }
    }

    /// The second in which the time is over.
    pub(crate) fn second(&mut self, config: &Config) -> Option<Second> {
        match self.timer {
            Timer::Off => None,
            Timer::Handshake => Some(deadline_after(self.since, config.handshake_timeout)),
            Timer::ProxyHeader => Some(deadline_after(self.since, config.head_timeout)),
            Timer::Idle => Some(deadline_after(self.idle_since, config.idle_timeout)),
            Timer::HalfClosed => Some(deadline_after(self.since, config.idle_timeout)),
            // A head that begins within the idle time has its full time, but empty lines before it do not add to that.
            Timer::Head => {
                let first = config.idle_timeout.saturating_add(config.head_timeout);
                Some(deadline_after(self.since, config.head_timeout).min(deadline_after(self.idle_since, first)))
            }
            Timer::Body | Timer::Room => Some(self.rate.until(config)),
            Timer::Unacknowledged => Some(deadline_after(self.since, config.rate_grace / CHECKS_PER_GRACE)),
            Timer::Linger => Some(deadline_after(self.since, Duration::from_secs(LINGER_SECONDS))),
            #[cfg(feature = "http2")]
            Timer::Streams | Timer::Delay => Some(self.since.saturating_add(1)),
            #[cfg(all(feature = "http2", feature = "websocket"))]
            Timer::At(second) => Some(second),
            #[cfg(feature = "http2")]
            Timer::Settings => Some(deadline_after(self.since, config.handshake_timeout)),
            #[cfg(feature = "http2")]
            Timer::GoAway => Some(deadline_after(self.since, Duration::from_secs(LINGER_SECONDS))),
            #[cfg(feature = "websocket")]
            Timer::Quiet => Some(deadline_after(self.since, config.websocket.ping_after)),
            #[cfg(feature = "websocket")]
            Timer::Pong => {
                let rest = config.websocket.timeout.saturating_sub(config.websocket.ping_after);
                Some(deadline_after(self.since, rest))
            }
            #[cfg(feature = "websocket")]
            Timer::SocketClosing => Some(deadline_after(self.since, CLOSING_TIME)),
        }
    }
}

/// The second at which this time is over. The current second has begun already, so one second is added, and no deadline expires early.
pub(crate) fn deadline_after(since: Second, time: Duration) -> Second {
    since
        .saturating_add(Second::try_from(time.as_secs()).unwrap_or(Second::MAX))
        .saturating_add(1)
}

/// The rate of a transfer, measured against the minimum rate.
///
/// Each transferred byte extends the deadline by its time at the minimum rate, but to at most one grace after it. So a client
/// that stops has one grace, and in any period a client has to transfer the bytes of the minimum rate for that period, less
/// one grace.
pub(crate) struct TransferRate {
    /// [`Timer::Body`] or [`Timer::Room`] while there is a transfer.
    of: Timer,
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

impl Default for TransferRate {
    fn default() -> Self {
        TransferRate {
            of: Timer::Off,
            until: 0,
            moved: 0,
            bytes: 0,
            taken_bytes: 0,
            acknowledged: 0,
            was_unacknowledged: false,
        }
    }
}

impl TransferRate {
    /// Counts transferred bytes.
    #[inline]
    pub(crate) fn moved(&mut self, bytes: u64, now: Second, config: &Config) {
        if now != self.moved {
            // Earlier bytes give no more than a grace from then.
            self.until(config);
            self.moved = now;
        }
        self.bytes += bytes;
    }

    /// Counts the bytes that the client has taken, `taken_bytes` in total. Returns their number since the last call.
    pub(super) fn took(&mut self, taken_bytes: u64, now: Second, config: &Config) -> u64 {
        let bytes = taken_bytes.saturating_sub(self.taken_bytes);
        if bytes > 0 {
            self.taken_bytes = taken_bytes;
            self.moved(bytes, now, config);
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

    /// Measures this transfer, as before if it is the same. Returns whether the client is late.
    #[cfg(feature = "http2")]
    pub(crate) fn check(&mut self, of: Timer, now: Second, config: &Config) -> bool {
        if self.of != of {
            self.begin(of, now, config);
        }
        of != Timer::Off && self.until(config) <= now
    }

    /// Begins with a whole grace.
    fn begin(&mut self, of: Timer, now: Second, config: &Config) {
        self.of = of;
        self.until = deadline_after(now, config.rate_grace);
        self.moved = now;
        self.bytes = 0;
    }

    /// Continues after a pause that was not caused by the client.
    fn resume(&mut self, seconds: Second) {
        self.until = self.until.saturating_add(seconds);
        self.moved = self.moved.saturating_add(seconds);
    }

    /// The deadline, with all transferred bytes.
    fn until(&mut self, config: &Config) -> Second {
        let rate = config.minimum_rate.max(1);
        let seconds = Second::try_from(self.bytes / rate).unwrap_or(Second::MAX);
        self.bytes %= rate;
        self.until = self
            .until
            .saturating_add(seconds)
            .min(deadline_after(self.moved, config.rate_grace));
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A transfer since this second, at 1024 bytes a second with a grace of 10.
    fn since(now: Second) -> (TransferRate, Config) {
        let mut config = Config::default();
        config.rate_grace = Duration::from_secs(10);
        let mut rate = TransferRate::default();
        rate.begin(Timer::Body, now, &config);
        (rate, config)
    }

    /// The second in which a client is late that moves this number of bytes in each.
    fn late(bytes_a_second: u64) -> Option<Second> {
        let (mut rate, config) = since(100);
        (101..1100).find(|now| {
            rate.moved(bytes_a_second, *now, &config);
            rate.until(&config) <= *now
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
        let (mut rate, config) = since(100);
        rate.moved(1 << 30, 105, &config);
        assert_eq!(rate.until(&config), 116);
        // Not from the next byte, although there was no look in between.
        rate.moved(1 << 30, 107, &config);
        rate.moved(1, 117, &config);
        assert_eq!(rate.until(&config), 118);
    }

    #[test]
    fn a_reader_gets_time_for_the_bytes_since_the_last_look_and_for_none_twice() {
        let (mut rate, config) = since(100);
        rate.took(5 * 1024, 103, &config);
        assert_eq!(rate.until(&config), 114);
        rate.took(5 * 1024, 112, &config);
        // A Unix socket counts more memory than bytes.
        rate.took(4 * 1024, 113, &config);
        assert_eq!(rate.until(&config), 114);
        rate.took(7 * 1024, 113, &config);
        assert_eq!(rate.until(&config), 116);
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
    fn time_that_is_not_the_clients_is_given_back() {
        let (mut rate, config) = since(100);
        rate.resume(1000);
        assert_eq!(rate.until(&config), 1111);
    }
}
