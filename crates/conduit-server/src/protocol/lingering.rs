//! The end of a connection after its last response.
//!
//! A close while the client still sends would reset the connection, and the client could lose the end of the response
//! (RFC 9112, section 9.6). So the server ends its half of the stream and discards input until the client ends its half.

use std::time::Duration;

use conduit_net::Interest;

use super::{Activity, ConnectionProtocol, OutputStep, Protocol, Step, WithoutExchanges, log_without_exchange};
use crate::link::{InputMode, Link, Timer, reading};
use crate::protocol_timer::ProtocolTimer;
use crate::shared::Shared;

/// The number of bytes that a connection discards while it lingers.
const LINGER_BYTES: u64 = 16 * 1024 * 1024;

/// The time for which a connection lingers after its last response, and again while its client reads the response at the
/// minimum rate.
const LINGER_TIME: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(crate) struct Lingering {
    drained_bytes: u64,
}

impl From<Lingering> for Protocol {
    fn from(lingering: Lingering) -> Self {
        Protocol::Lingering(lingering)
    }
}

impl ConnectionProtocol for Lingering {
    /// The input is raw: below TLS, if there is TLS.
    fn on_input(&mut self, _: &mut Link, input: &mut &[u8], _: &mut Shared) -> Step {
        self.drained_bytes += input.len() as u64;
        *input = &[];
        if self.drained_bytes > LINGER_BYTES {
            Step::Close
        } else {
            Step::Continue
        }
    }

    fn on_writable(&mut self, link: &mut Link, shared: &mut Shared) -> OutputStep {
        // Once the client has all sent bytes, a wait for its end would only delay a stop.
        if link.read_closed || (shared.is_stopping() && link.outgoing_bytes() == 0) {
            return Step::Close.into();
        }
        Step::Continue.into()
    }

    /// Lingers again if the client has taken output at the minimum rate since the last check, but not all of it.
    fn on_timer(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        let least = shared.config.minimum_rate.saturating_mul(LINGER_TIME.as_secs());
        if link.outgoing_bytes() == 0 || link.take_measure(&shared.links) < least {
            return Step::Close;
        }
        link.extend_timer(&shared.links);
        Step::Continue
    }

    fn on_shutdown(&mut self, _: &mut Link, _: &mut Shared) -> Step {
        Step::Continue
    }

    fn log_cut_off(&self, link: &Link, shared: &Shared) {
        log_without_exchange(link, "the client has not received all of its response", shared);
    }

    fn waits_for(&self, _: &Link, _: &Shared) -> (Interest, Timer) {
        (reading(), Timer::protocol(ProtocolTimer::Linger, LINGER_TIME))
    }

    fn input_mode(&self, _: &Link) -> InputMode {
        InputMode::Raw
    }

    fn activity(&self, _: &Link) -> Activity {
        Activity::Lingering
    }
}

impl WithoutExchanges for Lingering {}
