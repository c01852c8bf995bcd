//! The PROXY header, which a trusted proxy sends before all other bytes.

use conduit_net::Interest;
use conduit_proto::proxy::{Header, HeaderParser};

use super::{Activity, ConnectionProtocol, OutputStep, Protocol, Step, WithoutExchanges, close_late};
use crate::connection_info::Origin;
use crate::limit::Limit;
use crate::link::{InputMode, Link, Timer, reading};
use crate::protocol_timer::ProtocolTimer;
use crate::shared::{Shared, StopState};

#[derive(Default)]
pub(crate) struct ProxyHeader(HeaderParser);

impl ConnectionProtocol for ProxyHeader {
    /// Takes the header, and no byte after it, so that TLS begins at its first byte.
    fn on_input(&mut self, link: &mut Link, input: &mut &[u8], shared: &mut Shared) -> Step {
        let (used, header) = match self.0.handle_input(input) {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(peer = %link.peer(), %error, "closed a connection at its PROXY header");
                return Step::Close;
            }
        };
        // The rest is read again by the next protocol.
        *input = &[];
        if link.discard_raw(used).is_err() {
            return Step::Close;
        }
        match header {
            None => Step::Continue,
            Some(header) => apply(header, link, shared),
        }
    }

    fn on_writable(&mut self, link: &mut Link, _: &mut Shared) -> OutputStep {
        let step = if link.read_closed { Step::Close } else { Step::Continue };
        step.into()
    }

    fn on_timer(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        close_late(Limit::HeadTime, link, shared)
    }

    fn on_shutdown(&mut self, _: &mut Link, shared: &mut Shared) -> Step {
        match shared.stop_state {
            StopState::Closing => Step::Close,
            StopState::Serving | StopState::KeepingIdle => Step::Continue,
        }
    }

    fn log_cut_off(&self, _: &Link, _: &Shared) {}

    fn waits_for(&self, _: &Link, shared: &Shared) -> (Interest, Timer) {
        let time = shared.config.head_timeout;
        (reading(), Timer::protocol(ProtocolTimer::ProxyHeader, time))
    }

    fn input_mode(&self, _: &Link) -> InputMode {
        InputMode::Peeked
    }

    fn activity(&self, _: &Link) -> Activity {
        Activity::Receiving
    }
}

impl WithoutExchanges for ProxyHeader {}

/// Sets the client that the header names.
fn apply(header: Header, link: &mut Link, shared: &mut Shared) -> Step {
    let (origin, forwarding) = match header {
        Header::Local => return Step::switch(Protocol::first(link, false)),
        Header::Internet { source, .. } if !source.ip().is_unspecified() => {
            if !shared.peers.enter(source.ip()) {
                shared.counts().record_limit_hit(Limit::PeerConnections);
                tracing::debug!(peer = %link.peer(), client = %source.ip(), "the client reached `peer_connection_limit`");
                return Step::Close;
            }
            link.set_counted();
            (Origin::Address(source), shared.config.proxies.forwarding_of(source))
        }
        Header::Internet { .. } | Header::Unknown => (Origin::Unknown, None),
    };
    link.update_info(|info| {
        info.origin = origin;
        info.forwarding = forwarding;
    });
    Step::switch(Protocol::first(link, false))
}
