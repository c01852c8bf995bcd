//! The switch of a connection, or of a stream of HTTP/2, to another protocol: a response with status 101 has an extension for the
//! protocol that its handler has accepted. Its `upgrade` field is for the client only.

use http::StatusCode;

use crate::response::Response;
#[cfg(feature = "websocket")]
use crate::websocket::{PendingSocket, Ticket};

/// The protocol that a response switches to.
pub(crate) enum Upgrade {
    #[cfg(feature = "websocket")]
    WebSocket(Box<PendingSocket>),
    #[cfg(feature = "testing")]
    Echo,
}

/// The extension of a response that switches to a protocol for tests, which returns its input.
#[cfg(feature = "testing")]
#[derive(Clone, Copy, Debug)]
pub struct EchoUpgrade;

impl Upgrade {
    /// The protocol that the handler has accepted with this response; a WebSocket once.
    #[cold]
    pub(crate) fn of(response: &Response) -> Option<Self> {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return None;
        }
        #[cfg(feature = "websocket")]
        if let Some(ticket) = response.extensions().get::<Ticket>() {
            return ticket.redeem().map(|socket| Upgrade::WebSocket(Box::new(socket)));
        }
        #[cfg(feature = "testing")]
        if response.extensions().get::<EchoUpgrade>().is_some() {
            return Some(Upgrade::Echo);
        }
        None
    }
}
