//! A protocol for tests, which returns its input: the end of an upgrade by a response with status 101.
//!
//! Tests of the upgrade serve a whole application, and `App` is in a crate above this one. Such tests link this crate without
//! `cfg(test)`, so that the protocol needs the feature `testing`. No public type has a name of it.

use conduit_net::Interest;

use super::{Activity, ConnectionProtocol, OutputStep, Protocol, Step, WithoutExchanges};
use crate::link::{InputMode, Link, Timer, reading};
use crate::shared::Shared;

pub(crate) struct Echo;

impl From<Echo> for Protocol {
    fn from(echo: Echo) -> Self {
        Protocol::Echo(echo)
    }
}

impl ConnectionProtocol for Echo {
    fn on_input(&mut self, link: &mut Link, input: &mut &[u8], shared: &mut Shared) -> Step {
        link.output.begin(&mut shared.links);
        link.output.buffer.extend_from_slice(input);
        *input = &[];
        Step::Continue
    }

    fn on_writable(&mut self, link: &mut Link, _: &mut Shared) -> OutputStep {
        if link.read_closed && link.output.is_empty() {
            Step::Close.into()
        } else {
            Step::Continue.into()
        }
    }

    fn on_timer(&mut self, _: &mut Link, _: &mut Shared) -> Step {
        Step::Close
    }

    fn on_shutdown(&mut self, _: &mut Link, _: &mut Shared) -> Step {
        Step::Close
    }

    fn log_cut_off(&self, _: &Link, _: &Shared) {}

    fn waits_for(&self, link: &Link, _: &Shared) -> (Interest, Timer) {
        let interest = if link.output.has_room() && !link.read_closed {
            reading()
        } else {
            Interest::NONE
        };
        (interest, Timer::Off)
    }

    fn input_mode(&self, _: &Link) -> InputMode {
        InputMode::Alone
    }

    fn activity(&self, _: &Link) -> Activity {
        Activity::Serving {
            ends_with_client: false,
        }
    }
}

impl WithoutExchanges for Echo {}
