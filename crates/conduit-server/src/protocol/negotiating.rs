//! The TLS handshake, which the link performs. Its end selects the protocol.

use conduit_net::Interest;

use super::{Activity, ConnectionProtocol, OutputStep, Protocol, Step, WithoutExchanges, close_late};
use crate::limit::Limit;
use crate::link::{InputMode, Link, Timer, reading};
use crate::protocol_timer::ProtocolTimer;
use crate::shared::{Shared, StopState};

pub(crate) struct Negotiating;

impl ConnectionProtocol for Negotiating {
    /// The end of the handshake, with or without input, switches to the selected protocol.
    fn on_input(&mut self, link: &mut Link, _: &mut &[u8], shared: &mut Shared) -> Step {
        if link.is_handshaking() {
            return Step::Continue;
        }
        Step::switch(Protocol::negotiated(link, shared))
    }

    fn on_writable(&mut self, link: &mut Link, _: &mut Shared) -> OutputStep {
        let step = if link.read_closed { Step::Close } else { Step::Continue };
        step.into()
    }

    fn on_timer(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        close_late(Limit::HandshakeTime, link, shared)
    }

    fn on_shutdown(&mut self, _: &mut Link, shared: &mut Shared) -> Step {
        match shared.stop_state {
            StopState::Closing => Step::Close,
            StopState::Serving | StopState::KeepingIdle => Step::Continue,
        }
    }

    fn log_cut_off(&self, _: &Link, _: &Shared) {}

    fn waits_for(&self, _: &Link, shared: &Shared) -> (Interest, Timer) {
        let time = shared.config.handshake_timeout;
        (reading(), Timer::protocol(ProtocolTimer::Handshake, time))
    }

    fn input_mode(&self, _: &Link) -> InputMode {
        InputMode::Alone
    }

    fn activity(&self, _: &Link) -> Activity {
        Activity::Receiving
    }
}

impl WithoutExchanges for Negotiating {}
