//! The echo protocol without the feature `testing`: a type without values.

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
