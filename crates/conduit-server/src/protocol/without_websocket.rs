//! WebSockets without their feature: a type without values.

use super::Protocol;
use super::absent::Absent;

pub(crate) enum WebSocket {}

impl From<WebSocket> for Protocol {
    fn from(socket: WebSocket) -> Self {
        Protocol::WebSocket(socket)
    }
}

impl Absent for WebSocket {
    fn never(&self) -> ! {
        match *self {}
    }
}
