//! The protocol for tests in a program that is not one: no connection speaks it.

use super::Protocol;
use super::absent::Absent;

pub(crate) enum Echo {}

impl From<Echo> for Protocol {
    fn from(echo: Echo) -> Self {
        Protocol::Echo(echo)
    }
}

impl Absent for Echo {
    fn never(&self) -> ! {
        match *self {}
    }
}
