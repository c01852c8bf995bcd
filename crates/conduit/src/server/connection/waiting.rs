//! What a connection waits for, until when, and what happens when that has passed.

use std::time::Duration;

use conduit_proto::h1::Phase;
use http::StatusCode;

use super::{Connection, Fate, LINGER_SECONDS, Stage};
use crate::problem::Problem;
use crate::server::config::Config;
use crate::server::counts::Limit;
use crate::server::deadlines::Second;
use crate::server::worker::Shared;

/// The time that session tickets wait for a response to go with; one of these seconds has begun already.
const TICKET_SECONDS: Second = 2;

/// What a deadline is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Waiting {
    /// The end of the PROXY header.
    ProxyHeader,
    /// The end of the handshake of TLS.
    Handshake,
    /// The next request.
    Request,
    /// The rest of a head.
    Head,
    /// More of a body that the handler wants, or that is skipped.
    Body,
    /// Room for what is to be sent.
    Room,
    /// The end of the client's stream, after the answer.
    End,
    /// The handler or the response's stream: no deadline.
    Ourselves,
    /// The same, after the client has ended its half of the stream and may be gone.
    HalfClosed,
}

/// How a client keeps up with the minimum rate.
///
/// It has time until a second that what it sends or takes moves on, by as many seconds as the rate gives to the bytes, but
/// never further than the grace from the last of them. So who stops has a grace and no more, whatever came before; and over
/// any stretch of time a client has to move what the rate gives to that stretch less a grace.
pub(super) struct Pace {
    /// Whether it is of [`Waiting::Body`] or of [`Waiting::Room`]; of anything else it is of nothing.
    of: Waiting,
    /// The second that the client has time until.
    until: Second,
    /// When the last byte has moved.
    moved: Second,
    /// What has moved and is not made into time yet.
    bytes: u64,
    /// What the client had taken of [`Connection::sent_bytes`] when it was last looked at.
    taken_bytes: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            of: Waiting::Ourselves,
            until: 0,
            moved: 0,
            bytes: 0,
            taken_bytes: 0,
        }
    }
}

impl Pace {
    /// So much has moved.
    #[inline]
    pub(super) fn moved(&mut self, bytes: u64, now: Second, config: &Config) {
        if now != self.moved {
            // What has moved before gives no more than a grace from then.
            self.until(config);
            self.moved = now;
        }
        self.bytes += bytes;
    }

    /// The client has taken so much in all, as far as is known.
    fn took(&mut self, taken_bytes: u64, now: Second, config: &Config) {
        let bytes = taken_bytes.saturating_sub(self.taken_bytes);
        if bytes > 0 {
            self.taken_bytes = taken_bytes;
            self.moved(bytes, now, config);
        }
    }

    /// Begins anew, with a whole grace.
    fn begin(&mut self, of: Waiting, now: Second, config: &Config) {
        self.of = of;
        self.until = after(now, config.rate_grace);
        self.moved = now;
        self.bytes = 0;
    }

    /// Goes on after seconds that are not the client's.
    fn resume(&mut self, seconds: Second) {
        self.until = self.until.saturating_add(seconds);
        self.moved = self.moved.saturating_add(seconds);
    }

    /// The second that the client has time until, by all that has moved.
    fn until(&mut self, config: &Config) -> Second {
        let rate = config.minimum_rate.max(1);
        let seconds = Second::try_from(self.bytes / rate).unwrap_or(Second::MAX);
        self.bytes %= rate;
        self.until = self
            .until
            .saturating_add(seconds)
            .min(after(self.moved, config.rate_grace));
        self.until
    }
}

/// The second when this time is over. One has begun already: one more, so that nobody is cut off early.
fn after(since: Second, time: Duration) -> Second {
    since
        .saturating_add(Second::try_from(time.as_secs()).unwrap_or(Second::MAX))
        .saturating_add(1)
}

impl Connection {
    /// The connection's slot of the wheel has come up. Bytes that have arrived are served before a deadline is enforced:
    /// a worker that was stalled may have left them in the kernel.
    pub(in crate::server) fn check_deadline(&mut self, input: &mut [u8], shared: &mut Shared) -> Fate {
        if !shared.wheel.came_up(&mut self.place) {
            return Fate::Open;
        }
        if self.transport.defers_output() && self.transport.flush().is_err() {
            return Fate::Closed;
        }
        if self.waiting == Waiting::Room {
            // What the socket takes says nothing of the client: the system may hold megabytes, and asks for more only when
            // much of that is gone.
            let outgoing = self.transport.outgoing_bytes() as u64;
            let taken = self.sent_bytes.saturating_sub(outgoing);
            self.pace.took(taken, shared.now, &shared.config);
        }
        // A handler that drops its body sends a command only where the worker waits for one.
        self.note_waiting(shared);
        if !self.is_late(shared) {
            return Fate::Open;
        }
        if self.listens() {
            let fate = self.readable(input, false, shared);
            if fate == Fate::Closed || !self.is_late(shared) {
                return fate;
            }
        }
        if self.waiting == Waiting::End && self.lingers_on(shared) {
            self.note_waiting(shared);
            return Fate::Open;
        }
        let struck = match self.waiting {
            Waiting::ProxyHeader => {
                shared.counts().strike(Limit::HeadTime);
                tracing::debug!(peer = %self.peer, "the PROXY header did not come in time");
                return Fate::Closed;
            }
            Waiting::Head => Limit::HeadTime,
            Waiting::Body => Limit::BodyRate,
            Waiting::Room => Limit::WriteRate,
            Waiting::Handshake => Limit::HandshakeTime,
            Waiting::Request | Waiting::HalfClosed => Limit::IdleTime,
            Waiting::End | Waiting::Ourselves => return Fate::Closed,
        };
        shared.counts().strike(struck);
        let late = match struck {
            Limit::HeadTime => "the head of the request did not come in time",
            Limit::BodyRate => "the body of the request comes too slowly",
            _ => {
                tracing::debug!(peer = %self.peer, limit = struck.name(), "closed a connection");
                // Nor does the system keep what a client does not take.
                self.cut |= struck == Limit::WriteRate;
                return Fate::Closed;
            }
        };
        tracing::debug!(peer = %self.peer, "{late}");
        let mut output = self.take_output(shared);
        let answer = Problem::new(StatusCode::REQUEST_TIMEOUT).with_detail(late);
        self.refuse(answer, &mut output, shared);
        match self.send(output, shared) {
            Ok(()) => self.settle(shared),
            Err(_) => Fate::Closed,
        }
    }

    fn is_late(&mut self, shared: &Shared) -> bool {
        self.deadline(shared).is_some_and(|deadline| deadline <= shared.now)
    }

    /// Starts the clock anew when the connection waits for something else than before, or for the same of another request.
    pub(super) fn note_waiting(&mut self, shared: &mut Shared) {
        let waiting = self.waits_for();
        let fresh = std::mem::take(&mut self.fresh);
        if waiting != self.waiting || fresh {
            self.begin_waiting(waiting, fresh, shared);
        }
        let deadline = self.deadline(shared);
        let due = if waiting == Waiting::Room {
            // A reader's progress is measured each second.
            Some(0)
        } else if self.transport.defers_output() {
            let flush = shared.now + TICKET_SECONDS;
            Some(deadline.map_or(flush, |deadline| deadline.min(flush)))
        } else {
            deadline
        };
        if let Some(due) = due {
            shared.wheel.schedule(self.key, &mut self.place, due);
        }
    }

    /// As [`note_waiting`](Self::note_waiting), where the next request is waited for as this one was: the deadline has only
    /// moved away, which the wheel finds out for itself.
    #[inline]
    pub(super) fn wait_anew(&mut self, now: Second) {
        if std::mem::take(&mut self.fresh) {
            (self.since, self.quiet) = (now, now);
            self.pace.of = Waiting::Request;
        }
    }

    pub(super) fn waits_for(&self) -> Waiting {
        if matches!(self.stage, Stage::Lingering(_)) {
            return Waiting::End;
        } else if self.header.is_some() {
            return Waiting::ProxyHeader;
        } else if self.transport.is_handshaking() {
            return Waiting::Handshake;
        } else if self.is_reading_file() {
            return Waiting::Ourselves;
        } else if self.has_output() {
            return Waiting::Room;
        }
        match self.engine.phase() {
            // A record that has begun is the beginning of a head, as far as anybody knows.
            Phase::Idle if self.transport.holds_input() => Waiting::Head,
            Phase::Idle => Waiting::Request,
            Phase::Head => Waiting::Head,
            // A client that goes on to send what its handler does not want, or waits to be asked for it, keeps nobody.
            Phase::Body if !self.body.as_ref().is_some_and(|body| body.is_unwanted()) => Waiting::Body,
            Phase::Drain => Waiting::Body,
            _ if self.is_serving() && self.ended => Waiting::HalfClosed,
            _ if self.is_serving() => Waiting::Ourselves,
            _ => Waiting::Request,
        }
    }

    /// Something else is waited for, or the same of a request that is `fresh`.
    fn begin_waiting(&mut self, waiting: Waiting, fresh: bool, shared: &Shared) {
        let before = std::mem::replace(&mut self.waiting, waiting);
        let since = std::mem::replace(&mut self.since, shared.now);
        if matches!(before, Waiting::Ourselves | Waiting::HalfClosed) {
            self.pace.resume(shared.now - since);
        }
        match waiting {
            Waiting::Request | Waiting::Head => {
                if fresh || !matches!(before, Waiting::Request | Waiting::Head) {
                    self.quiet = shared.now;
                }
                self.pace.of = waiting;
            }
            // The same goes on after a time in which the handler or the disk was behind. A reader is measured over all of
            // an answer's pieces, and over all of a pipeline's answers.
            Waiting::Room if self.pace.of == Waiting::Room => {}
            Waiting::Body if self.pace.of == Waiting::Body && !fresh => {}
            Waiting::Body | Waiting::Room => self.pace.begin(waiting, shared.now, &shared.config),
            _ => {}
        }
    }

    pub(super) fn deadline(&mut self, shared: &Shared) -> Option<Second> {
        let config = &shared.config;
        match self.waiting {
            Waiting::Handshake => Some(after(self.since, config.handshake_timeout)),
            Waiting::ProxyHeader => Some(after(self.since, config.head_timeout)),
            Waiting::Request => Some(after(self.quiet, config.idle_timeout)),
            Waiting::HalfClosed => Some(after(self.since, config.idle_timeout)),
            // One that begins in the idle time has its own; others that come to nothing, empty lines for one, do not add up.
            Waiting::Head => {
                let first = after(self.quiet, config.idle_timeout.saturating_add(config.head_timeout));
                Some(after(self.since, config.head_timeout).min(first))
            }
            Waiting::Body | Waiting::Room => Some(self.pace.until(config)),
            Waiting::End => Some(after(self.since, Duration::from_secs(LINGER_SECONDS))),
            Waiting::Ourselves => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pace since this second, at 1024 bytes a second with a grace of 10.
    fn since(now: Second) -> (Pace, Config) {
        let mut config = Config::default();
        config.rate_grace = Duration::from_secs(10);
        let mut pace = Pace::default();
        pace.begin(Waiting::Body, now, &config);
        (pace, config)
    }

    /// The second in which a client is late that moves so much in each.
    fn late(bytes_a_second: u64) -> Option<Second> {
        let (mut pace, config) = since(100);
        (101..1100).find(|now| {
            pace.moved(bytes_a_second, *now, &config);
            pace.until(&config) <= *now
        })
    }

    #[test]
    fn a_client_at_the_rate_is_never_late_and_one_below_it_is_when_the_grace_is_used_up() {
        assert_eq!(late(1024), None);
        assert_eq!(late(1500), None, "what is no whole second's adds up");
        assert_eq!(late(0), Some(111));
        // Half a second of the grace in each second.
        assert_eq!(late(512), Some(121));
    }

    #[test]
    fn what_has_moved_gives_no_more_than_a_grace_from_then() {
        let (mut pace, config) = since(100);
        pace.moved(1 << 30, 105, &config);
        assert_eq!(pace.until(&config), 116);
        // Not from the next byte, though nobody has looked in between.
        pace.moved(1 << 30, 107, &config);
        pace.moved(1, 117, &config);
        assert_eq!(pace.until(&config), 118);
    }

    #[test]
    fn a_reader_is_given_time_for_what_it_took_since_the_last_look_and_for_nothing_twice() {
        let (mut pace, config) = since(100);
        pace.took(5 * 1024, 103, &config);
        assert_eq!(pace.until(&config), 114);
        pace.took(5 * 1024, 112, &config);
        // A Unix socket's memory is more than the bytes in it.
        pace.took(4 * 1024, 113, &config);
        assert_eq!(pace.until(&config), 114);
        pace.took(7 * 1024, 113, &config);
        assert_eq!(pace.until(&config), 116);
    }

    #[test]
    fn time_that_is_not_the_clients_is_given_back() {
        let (mut pace, config) = since(100);
        pace.resume(1000);
        assert_eq!(pace.until(&config), 1111);
    }
}
