//! Systems whose control messages, other than descriptors, are handed over as they come.

use crate::control::ControlMessage;

pub(crate) fn parse(_level: i32, _kind: i32, _data: &[u8]) -> Option<ControlMessage<'_>> {
    None
}
