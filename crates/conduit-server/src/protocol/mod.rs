//! The protocols that a connection speaks, one after the other.
//!
//! ```text
//!   ProxyHeader ──header──> Negotiating ──ALPN──> Http1 ──last response──> Lingering
//!        │                                          ^  │
//!        └──────────── without TLS ─────────────────┘  └──101──> another protocol
//! ```
//!
//! Each protocol owns its state and uses the [`Link`] for bytes, time and room. It has five entry points, each of which
//! returns a [`Step`].

#[cfg(feature = "testing")]
mod echo;
pub(super) mod http1;
mod lingering;
mod negotiating;
mod proxy_header;

use conduit_net::Interest;

#[cfg(feature = "testing")]
use self::echo::Echo;
use self::http1::Http1;
pub(super) use self::lingering::Lingering;
use self::negotiating::Negotiating;
pub(super) use self::proxy_header::ProxyHeader;
use super::commands::Command;
use super::link::{Link, Timer};
use super::worker::Shared;
use crate::exchange_id::ExchangeId;

/// The protocol of a connection, at this time.
pub(super) enum Protocol {
    ProxyHeader(Box<ProxyHeader>),
    Negotiating(Negotiating),
    Http1(Http1),
    Lingering(Lingering),
    #[cfg(feature = "testing")]
    Echo(Echo),
}

/// A protocol that a response with status 101 can switch to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    #[cfg(feature = "testing")]
    Echo,
}

impl Upgrade {
    /// The protocol of this name in the `upgrade` field.
    fn named(name: &[u8]) -> Option<Self> {
        match name {
            #[cfg(feature = "testing")]
            b"conduit-test-echo" => Some(Upgrade::Echo),
            _ => None,
        }
    }
}

/// The next step of a connection.
#[must_use]
pub(super) enum Step {
    /// The protocol goes on when there is more input, room or time.
    Continue,
    /// Another protocol follows; the input that is left belongs to it.
    Switch(Box<Protocol>),
    Close,
}

impl Step {
    /// A switch, which is rare enough for an allocation: so the other steps stay small.
    #[cold]
    fn switch(protocol: Protocol) -> Self {
        Step::Switch(Box::new(protocol))
    }
}

/// Calls the same method of each protocol.
macro_rules! each {
    ($self:expr, $protocol:ident => $call:expr) => {
        match $self {
            Protocol::Http1($protocol) => $call,
            Protocol::ProxyHeader($protocol) => $call,
            Protocol::Negotiating($protocol) => $call,
            Protocol::Lingering($protocol) => $call,
            #[cfg(feature = "testing")]
            Protocol::Echo($protocol) => $call,
        }
    };
}

impl Protocol {
    /// The first protocol of a connection, after its PROXY header if it has one.
    pub(super) fn first(link: &Link) -> Self {
        if link.is_secure() {
            Protocol::Negotiating(Negotiating)
        } else {
            Protocol::Http1(Http1::new())
        }
    }

    /// The protocol that the TLS handshake has agreed on. HTTP/1.1 is the only one on offer.
    pub(super) fn negotiated() -> Self {
        Protocol::Http1(Http1::new())
    }

    fn upgraded(upgrade: Upgrade) -> Self {
        match upgrade {
            #[cfg(feature = "testing")]
            Upgrade::Echo => Protocol::Echo(Echo),
        }
    }

    /// Input has arrived, or there is more room for what it leads to. Takes what it can use from the beginning of `input`.
    pub(super) fn on_input(&mut self, link: &mut Link, input: &mut &[u8], shared: &mut Shared) -> Step {
        each!(self, protocol => protocol.on_input(link, input, shared))
    }

    /// The output was sent, as far as there was room.
    pub(super) fn on_writable(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        each!(self, protocol => protocol.on_writable(link, shared))
    }

    /// A task has sent a command.
    pub(super) fn on_command(
        &mut self,
        exchange: ExchangeId,
        command: Command,
        link: &mut Link,
        shared: &mut Shared,
    ) -> Step {
        match self {
            Protocol::Http1(http1) => http1.on_command(exchange, command, link, shared),
            // The exchange is over.
            _ => {
                crate::panics::discard(command);
                Step::Continue
            }
        }
    }

    /// The time of the link's timer is over, and no input is there.
    pub(super) fn on_timer(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        each!(self, protocol => protocol.on_timer(link, shared))
    }

    /// The server stops. Says in the log what is cut off, if the time for the shutdown is over.
    pub(super) fn on_shutdown(&mut self, link: &mut Link, is_over: bool, shared: &mut Shared) -> Step {
        each!(self, protocol => protocol.on_shutdown(link, is_over, shared))
    }

    /// The events that the protocol waits for: the interest in input, and a timer.
    pub(super) fn waits_for(&self, link: &Link) -> (Interest, Timer) {
        each!(self, protocol => protocol.waits_for(link))
    }

    /// Returns whether it can use more input than it has taken, now that there is room.
    pub(super) fn wants_input(&self) -> bool {
        matches!(self, Protocol::Http1(http1) if http1.wants_input())
    }

    /// Returns whether the end of the client's half ends the connection, regardless of earlier input.
    pub(super) fn ends_with_client(&self) -> bool {
        match self {
            Protocol::Http1(http1) => http1.ends_with_client(),
            _ => false,
        }
    }

    /// Returns whether a part of a response is still to be made.
    pub(super) fn is_serving(&self) -> bool {
        matches!(self, Protocol::Http1(http1) if http1.is_serving())
    }

    /// Returns whether the output ends the stream.
    pub(super) fn sends_last(&self) -> bool {
        matches!(self, Protocol::Http1(http1) if http1.sends_last())
    }

    /// Returns whether the connection waits for a request and has nothing else to do.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self, Protocol::Http1(http1) if http1.is_idle())
    }

    /// Returns whether the next input may be read together with that of other connections: large input is read by itself.
    pub(super) fn reads_little(&self) -> bool {
        matches!(self, Protocol::Http1(http1) if http1.reads_little())
    }

    /// The memory that it holds for bodies.
    #[cfg(feature = "testing")]
    pub(super) fn buffer_bytes(&self) -> usize {
        match self {
            Protocol::Http1(http1) => http1.buffer_bytes(),
            _ => 0,
        }
    }

    /// Cancels everything that is in progress. Returns whether the stream must be reset, because an end would look as if the
    /// output were whole.
    pub(super) fn cancel(&mut self, link: &Link, shared: &mut Shared) -> bool {
        match self {
            Protocol::Http1(http1) => http1.cancel(link, shared),
            _ => false,
        }
    }
}
