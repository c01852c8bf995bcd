//! The TLS handshake, which is a matter of the link. Its end selects the protocol.

use conduit_net::Interest;

use super::Step;
use crate::limit::Limit;
use crate::link::{Link, Timer, reading};
use crate::shared::Shared;

pub(crate) struct Negotiating;

impl Negotiating {
    /// The connection switches to the selected protocol before there is input.
    pub(super) fn on_input(&mut self, _: &mut Link, _: &mut &[u8], _: &mut Shared) -> Step {
        Step::Continue
    }

    pub(super) fn on_writable(&mut self, link: &mut Link, _: &mut Shared) -> Step {
        if link.read_closed { Step::Close } else { Step::Continue }
    }

    pub(super) fn on_timer(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        shared.counts().record_limit_hit(Limit::HandshakeTime);
        tracing::debug!(peer = %link.peer(), limit = Limit::HandshakeTime.name(), "closed a connection");
        Step::Close
    }

    pub(super) fn on_shutdown(&mut self, _: &mut Link, _: bool, shared: &mut Shared) -> Step {
        if shared.keeps_idle { Step::Continue } else { Step::Close }
    }

    pub(super) fn waits_for(&self, _: &Link) -> (Interest, Timer) {
        (reading(), Timer::Handshake)
    }
}
