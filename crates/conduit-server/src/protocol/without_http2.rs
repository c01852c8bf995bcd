//! HTTP/2 without its feature: a type without values.

use super::Protocol;
use super::absent::Absent;
use crate::link::Link;
use crate::shared::Shared;

pub(crate) enum Http2 {}

pub(crate) type BoxedHttp2 = Http2;

impl Http2 {
    pub(super) fn negotiated(link: &mut Link, _: &mut Shared) -> Option<Self> {
        debug_assert!(!link.has_selected(b"h2"), "the server does not offer it");
        None
    }

    pub(super) fn by_preface(_: &[u8], _: &mut Link, _: &mut Shared) -> Option<Self> {
        None
    }
}

impl From<Http2> for Protocol {
    fn from(http2: Http2) -> Self {
        Protocol::Http2(http2)
    }
}

impl Absent for Http2 {
    fn never(&self) -> ! {
        match *self {}
    }
}
