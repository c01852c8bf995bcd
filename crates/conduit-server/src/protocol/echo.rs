//! A protocol for tests, which returns its input: the end of an upgrade by a response with status 101.

use conduit_net::Interest;

use super::{Activity, Step};
use crate::commands::Command;
use crate::exchange_id::ExchangeId;
use crate::link::{InputMode, Link, Timer, reading};
use crate::panics::discard;
use crate::shared::Shared;

pub(crate) struct Echo;

impl Echo {
    pub(super) fn on_input(&mut self, link: &mut Link, input: &mut &[u8], shared: &mut Shared) -> Step {
        link.begin_output(shared);
        link.output.extend_from_slice(input);
        *input = &[];
        Step::Continue
    }

    pub(super) fn on_writable(&mut self, link: &mut Link, _: &mut Shared) -> Step {
        if link.read_closed && !link.has_output() {
            Step::Close
        } else {
            Step::Continue
        }
    }

    /// The exchange of the command is over.
    pub(super) fn on_command(&mut self, _: ExchangeId, command: Command, _: &mut Link, _: &mut Shared) -> Step {
        discard(command);
        Step::Continue
    }

    pub(super) fn on_timer(&mut self, _: &mut Link, _: &mut Shared) -> Step {
        Step::Close
    }

    pub(super) fn on_shutdown(&mut self, _: &mut Link, _: bool, _: &mut Shared) -> Step {
        Step::Close
    }

    pub(super) fn waits_for(&self, link: &Link) -> (Interest, Timer) {
        let interest = if link.has_room() && !link.read_closed {
            reading()
        } else {
            Interest::NONE
        };
        (interest, Timer::Off)
    }

    pub(super) fn input_mode(&self, _: &Link) -> InputMode {
        InputMode::Alone
    }

    pub(super) fn defers_output(&self, _: &Link) -> bool {
        false
    }

    pub(super) fn activity(&self, _: &Link) -> Activity {
        Activity::Receiving
    }

    pub(super) fn release_memory(&mut self) {}

    #[cfg(feature = "testing")]
    pub(super) fn buffer_bytes(&self) -> usize {
        0
    }

    pub(super) fn cancel(&mut self, _: &mut Link, _: &mut Shared) -> bool {
        false
    }
}
