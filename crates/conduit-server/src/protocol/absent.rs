//! The protocols of features that are off: types without values, so that a program contains no code for them.

use conduit_net::Interest;

use super::{Activity, ConnectionProtocol, OutputStep, Step, WithoutExchanges};
use crate::link::{InputMode, Link, Timer};
use crate::shared::Shared;

/// A protocol without values.
pub(super) trait Absent {
    /// There is no value to call it with.
    fn never(&self) -> !;
}

impl<P: Absent> ConnectionProtocol for P {
    fn on_input(&mut self, _: &mut Link, _: &mut &[u8], _: &mut Shared) -> Step {
        self.never()
    }

    fn on_writable(&mut self, _: &mut Link, _: &mut Shared) -> OutputStep {
        self.never()
    }

    fn on_timer(&mut self, _: &mut Link, _: &mut Shared) -> Step {
        self.never()
    }

    fn on_shutdown(&mut self, _: &mut Link, _: &mut Shared) -> Step {
        self.never()
    }

    fn log_cut_off(&self, _: &Link, _: &Shared) {
        self.never()
    }

    fn waits_for(&self, _: &Link, _: &Shared) -> (Interest, Timer) {
        self.never()
    }

    fn input_mode(&self, _: &Link) -> InputMode {
        self.never()
    }

    fn activity(&self, _: &Link) -> Activity {
        self.never()
    }
}

impl<P: Absent> WithoutExchanges for P {}
