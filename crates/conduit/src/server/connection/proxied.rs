//! What is known of the client besides its socket's address: the PROXY header before all else, and the proxies before it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use conduit_proto::proxy::Header;

use super::Connection;
use crate::server::counts::Limit;
use crate::server::facts::{Facts, Origin};
use crate::server::proxies::Forwarding;
#[cfg(feature = "testing")]
use crate::server::transport::Transport;
use crate::server::worker::Shared;

impl Connection {
    /// Says which way it has come: whose limit it counts for, whether a PROXY header stands before all else, and what the
    /// peer's requests may tell of their clients.
    pub(in crate::server) fn come_by(
        &mut self,
        counted: Option<IpAddr>,
        header: bool,
        forwarding: Option<Arc<Forwarding>>,
    ) {
        self.counted = counted;
        if forwarding.is_some() {
            let facts = self.facts.as_deref().cloned().unwrap_or_default();
            self.facts = Some(Rc::new(Facts { forwarding, ..facts }));
        }
        // The requests of a client in memory come without a proxy.
        #[cfg(feature = "testing")]
        let header = header && !matches!(&self.transport, Transport::Memory(end) if !end.is_raw());
        if header {
            self.header = Some(Box::default());
        }
    }

    /// The client's address as far as the connection tells it.
    pub(super) fn client(&self) -> SocketAddr {
        match self.facts.as_ref().map(|facts| facts.origin) {
            Some(Origin::Address(address)) => address,
            _ => self.peer,
        }
    }

    /// Reads the PROXY header and nothing behind it, so that TLS, if there is any, begins where it should. Says whether it
    /// is whole.
    pub(super) fn read_header(&mut self, input: &mut [u8], shared: &mut Shared) -> io::Result<bool> {
        while let Some(parser) = &mut self.header {
            let there = match self.transport.peek_raw(input) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(there) => there,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            let (used, header) = parser.handle_input(&input[..there]).map_err(io::Error::other)?;
            self.transport.take_raw(&mut input[..used])?;
            if let Some(header) = header {
                self.header = None;
                self.come_from(header, shared)?;
            }
        }
        Ok(true)
    }

    /// Takes over what the PROXY header says.
    pub(super) fn come_from(&mut self, header: Header, shared: &mut Shared) -> io::Result<()> {
        let (origin, forwarding) = match header {
            Header::Local => return Ok(()),
            Header::Internet { source, .. } if !source.ip().is_unspecified() => {
                if !shared.peers.enter(source.ip()) {
                    shared.counts().strike(Limit::PeerConnections);
                    return Err(io::Error::other("the client has its limit of connections"));
                }
                self.counted = Some(source.ip());
                (Origin::Address(source), shared.config.proxies.forwarding_of(source))
            }
            Header::Internet { .. } | Header::Unknown => (Origin::Unknown, None),
        };
        let facts = self.facts.as_deref().cloned().unwrap_or_default();
        self.facts = Some(Rc::new(Facts {
            origin,
            forwarding,
            ..facts
        }));
        Ok(())
    }
}
