//! Systems for which only descriptors are decoded; other control messages are returned as raw bytes.

use super::ControlMessage;

pub(crate) fn parse(_level: i32, _kind: i32, _data: &[u8]) -> Option<ControlMessage<'_>> {
    None
}
