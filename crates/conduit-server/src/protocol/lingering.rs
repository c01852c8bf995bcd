//! The end of a connection after its last response.
//!
//! A close while the client still sends would reset the connection, and the client could lose the end of the response
//! (RFC 9112, section 9.6). So the server ends its half of the stream and discards input until the client ends its half.

use conduit_net::Interest;

use super::{Activity, Step};
use crate::link::{InputMode, LINGER_SECONDS, Link, Timer, reading};
use crate::shared::Shared;

/// The number of bytes that a connection discards while it lingers.
const LINGER_BYTES: u64 = 16 * 1024 * 1024;

#[derive(Default)]
pub(crate) struct Lingering {
    drained_bytes: u64,
}

impl Lingering {
    /// Input is below any encryption.
    pub(super) fn on_input(&mut self, _: &mut Link, input: &mut &[u8], _: &mut Shared) -> Step {
        self.drained_bytes += input.len() as u64;
        *input = &[];
        if self.drained_bytes > LINGER_BYTES {
            Step::Close
        } else {
            Step::Continue
        }
    }

    pub(super) fn on_writable(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        // Once the client has all sent bytes, a wait for its end would only delay a stop.
        if link.read_closed || (shared.stopping && link.outgoing_bytes() == 0) {
            return Step::Close;
        }
        Step::Continue
    }

    /// Lingers again if the client has taken output at the minimum rate since the last check, but not all of it.
    pub(super) fn on_timer(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        let least = shared.config.minimum_rate.saturating_mul(LINGER_SECONDS);
        if link.outgoing_bytes() == 0 || link.take_measure(shared) < least {
            return Step::Close;
        }
        link.extend_timer(shared);
        Step::Continue
    }

    pub(super) fn on_shutdown(&mut self, _: &mut Link, _: &mut Shared) -> Step {
        Step::Continue
    }

    pub(super) fn log_cut_off(&self, link: &Link, shared: &Shared) {
        let seconds = link.waited(shared.now());
        let stage = "the client has not received all of its response";
        tracing::warn!(peer = %link.peer(), stage, seconds, "closed at the shutdown");
    }

    pub(super) fn waits_for(&self, _: &Link) -> (Interest, Timer) {
        (reading(), Timer::Linger)
    }

    pub(super) fn input_mode(&self, _: &Link) -> InputMode {
        InputMode::Raw
    }

    pub(super) fn activity(&self, _: &Link) -> Activity {
        Activity::Lingering
    }
}
