//! The switch from HTTP/1.1 to another protocol by a response with 101.

use conduit_proto::h1::{BodyLength, Phase};

use super::Http1;
use crate::link::Link;
use crate::panics::discard;
use crate::protocol::{Protocol, Step};
use crate::response::Response;
use crate::shared::Shared;
use crate::upgrade::Upgrade;

impl Http1 {
    /// Writes a response with 101, and switches to the protocol that its handler has accepted. That protocol begins after the
    /// whole request (RFC 9110, section 7.8), so a response with 101 to an incomplete request is an error of the handler.
    #[cold]
    pub(super) fn upgrade(&mut self, response: Response, link: &mut Link, shared: &mut Shared) -> Step {
        let upgrade = match self.engine.phase() {
            Phase::Answer => Upgrade::of(&response),
            _ => None,
        };
        let Some(upgrade) = upgrade else {
            // An error replaces it, and is recorded.
            self.respond(response, link, shared);
            return Step::Continue;
        };
        self.exchange.record_head(&response);
        let next: Protocol = match upgrade {
            #[cfg(feature = "websocket")]
            Upgrade::WebSocket(socket) => {
                let sender = self.sender(link, shared);
                // It may continue the record.
                crate::protocol::websocket::WebSocket::start(*socket, &mut self.exchange, sender, link, shared).into()
            }
            #[cfg(feature = "testing")]
            Upgrade::Echo => crate::protocol::echo::Echo.into(),
        };
        let (status, headers) = (response.status(), response.headers());
        self.engine
            .write_head(&mut link.output.buffer, status, headers, BodyLength::None, &shared.date);
        discard(response);
        self.end_response(shared);
        Step::switch(next)
    }
}
