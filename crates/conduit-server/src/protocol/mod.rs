//! The protocols that a connection speaks, one after the other.
//!
//! ```text
//!   ProxyHeader ──header──> Negotiating ──ALPN──> Http1 ──101──> WebSocket
//!        │                       │                ^   │              │
//!        └───── without TLS ─────┼────────────────┘   │ preface      │
//!                                │                    v              │
//!                                └───────ALPN──────> Http2           │
//!                                                                    │
//!   Http1 ── last response ───────────────┐                          │
//!   Http2 ── last stream after GOAWAY ────┼──> Lingering <── Close ──┘
//!   fault of the client in TLS ───────────┘
//! ```
//!
//! With the feature `testing`, a response with 101 may also switch to `Echo`, which returns its input.
//!
//! Each protocol owns its state and uses the [`Link`] for bytes, time and room. All have the entry points `on_input`, `on_writable`,
//! `on_timer` and `on_shutdown`; a protocol with exchanges also has `on_command`. Each returns a [`Step`], and `on_writable` an
//! [`OutputStep`]: it is the only one after which input may be left that a protocol has not used, because only the send of output
//! makes room. After each turn the connection queries the state: `waits_for`, `input_mode` and `activity`; with exchanges also
//! `defers_output`.
//!
//! `cancel` and `log_cut_off` are for the end of the connection: protocols with exchanges have them, and `Lingering` has
//! `log_cut_off`. `release_memory` is of HTTP/2 only.

#[cfg(feature = "testing")]
mod echo;
pub(super) mod http1;
#[cfg(feature = "http2")]
mod http2;
mod lingering;
mod negotiating;
mod proxy_header;
#[cfg(feature = "websocket")]
pub(super) mod websocket;

use conduit_net::Interest;

#[cfg(feature = "testing")]
use self::echo::Echo;
use self::http1::Http1;
#[cfg(feature = "http2")]
use self::http2::Http2;
use self::lingering::Lingering;
use self::negotiating::Negotiating;
use self::proxy_header::ProxyHeader;
#[cfg(feature = "websocket")]
use self::websocket::WebSocket;
use super::commands::Command;
use super::link::{InputMode, Link, Timer};
use super::shared::Shared;
use crate::exchange_id::ExchangeId;
use crate::limit::Limit;
use crate::panics::discard;

/// The protocol of a connection, at this time.
pub(super) enum Protocol {
    ProxyHeader(Box<ProxyHeader>),
    Negotiating(Negotiating),
    Http1(Http1),
    /// A pointer, so that a connection with HTTP/1.1 stays small.
    #[cfg(feature = "http2")]
    Http2(Box<Http2>),
    Lingering(Lingering),
    #[cfg(feature = "websocket")]
    WebSocket(WebSocket),
    #[cfg(feature = "testing")]
    Echo(Echo),
}

/// The next step of a connection.
#[must_use]
pub(super) enum Step {
    /// The protocol continues with more input, room or time.
    Continue,
    /// Another protocol follows; the input that is left belongs to it.
    Switch(Box<Protocol>),
    Close,
}

/// The next step of a connection after its output was sent.
#[must_use]
pub(super) enum OutputStep {
    /// The protocol continues with the input that is left: there is room for its output again.
    Resume,
    Other(Step),
}

impl From<Step> for OutputStep {
    fn from(step: Step) -> Self {
        OutputStep::Other(step)
    }
}

impl Step {
    /// A switch. It is rare, so it allocates, and the other steps stay small.
    #[cold]
    fn switch(protocol: Protocol) -> Self {
        Step::Switch(Box::new(protocol))
    }
}

/// The activity of a protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// Nothing is in progress: the connection waits for its next request.
    Idle,
    /// The client is to complete a handshake, a header, or a request without a response yet.
    Receiving,
    /// A part of a response is still to be made. `ends_with_client` means that the end of the client's half ends it, regardless
    /// of earlier input.
    Serving { ends_with_client: bool },
    /// A WebSocket is open, which clients keep for long: a shutdown closes such connections one after the other.
    LongLived,
    /// The output ends the stream: the last response is complete.
    Ending,
    /// The output is incomplete or not taken: the connection is to be reset, without an end of the stream.
    Aborting,
    /// All is sent; the connection waits for the client's end.
    Lingering,
}

/// Calls the same method of each protocol. A new protocol does not compile without an arm here and in
/// `each_with_exchanges`.
macro_rules! each {
    ($self:expr, $protocol:ident => $call:expr) => {
        match $self {
            Protocol::Http1($protocol) => $call,
            Protocol::ProxyHeader($protocol) => $call,
            Protocol::Negotiating($protocol) => $call,
            #[cfg(feature = "http2")]
            Protocol::Http2($protocol) => $call,
            Protocol::Lingering($protocol) => $call,
            #[cfg(feature = "websocket")]
            Protocol::WebSocket($protocol) => $call,
            #[cfg(feature = "testing")]
            Protocol::Echo($protocol) => $call,
        }
    };
}

/// Calls the same method of each protocol with exchanges; the others have the default.
macro_rules! each_with_exchanges {
    ($self:expr, $protocol:ident => $call:expr, else $default:expr) => {
        match $self {
            Protocol::Http1($protocol) => $call,
            #[cfg(feature = "http2")]
            Protocol::Http2($protocol) => $call,
            #[cfg(feature = "websocket")]
            Protocol::WebSocket($protocol) => $call,
            Protocol::ProxyHeader(_) | Protocol::Negotiating(_) | Protocol::Lingering(_) => $default,
            #[cfg(feature = "testing")]
            Protocol::Echo(_) => $default,
        }
    };
}

impl Protocol {
    /// The first protocol of a connection. `has_header` means that its PROXY header has not arrived.
    pub(super) fn first(link: &Link, has_header: bool) -> Self {
        if has_header {
            Protocol::ProxyHeader(Box::default())
        } else if link.is_secure() {
            Protocol::Negotiating(Negotiating)
        } else {
            Protocol::Http1(Http1::new())
        }
    }

    /// The protocol that the TLS handshake has selected (RFC 9113, section 3.2); HTTP/1.1 for a client without a choice.
    #[cfg(feature = "http2")]
    fn negotiated(link: &mut Link, shared: &mut Shared) -> Self {
        if link.has_selected(b"h2") {
            Protocol::http2(link, shared)
        } else {
            Protocol::Http1(Http1::new())
        }
    }

    /// The protocol that the TLS handshake has selected: the server offers HTTP/1.1 only.
    #[cfg(not(feature = "http2"))]
    fn negotiated(_: &mut Link, _: &mut Shared) -> Self {
        Protocol::Http1(Http1::new())
    }

    #[cfg(feature = "http2")]
    fn http2(link: &mut Link, shared: &mut Shared) -> Self {
        Protocol::Http2(Box::new(Http2::new(link, shared)))
    }

    /// Input has arrived, or the output has room again. Consumes a prefix of `input`.
    pub(super) fn on_input(&mut self, link: &mut Link, input: &mut &[u8], shared: &mut Shared) -> Step {
        each!(self, protocol => protocol.on_input(link, input, shared))
    }

    /// The output was sent, as far as there was room.
    pub(super) fn on_writable(&mut self, link: &mut Link, shared: &mut Shared) -> OutputStep {
        each!(self, protocol => protocol.on_writable(link, shared))
    }

    /// A task has sent a command. A protocol without exchanges follows the one of the command.
    pub(super) fn on_command(
        &mut self,
        exchange: ExchangeId,
        command: Command,
        link: &mut Link,
        shared: &mut Shared,
    ) -> Step {
        each_with_exchanges!(self, protocol => protocol.on_command(exchange, command, link, shared), else {
            discard(command);
            Step::Continue
        })
    }

    /// The timer of the link has expired, and no input has arrived.
    pub(super) fn on_timer(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        each!(self, protocol => protocol.on_timer(link, shared))
    }

    /// The server stops.
    pub(super) fn on_shutdown(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        each!(self, protocol => protocol.on_shutdown(link, shared))
    }

    /// Logs the work that the end of the shutdown timeout cuts off.
    pub(super) fn log_cut_off(&self, link: &Link, shared: &Shared) {
        match self {
            Protocol::Lingering(lingering) => lingering.log_cut_off(link, shared),
            other => each_with_exchanges!(other, protocol => protocol.log_cut_off(link, shared), else {}),
        }
    }

    /// The events that the protocol waits for: the interest in input, and a timer.
    pub(super) fn waits_for(&self, link: &Link, shared: &Shared) -> (Interest, Timer) {
        each!(self, protocol => protocol.waits_for(link, shared))
    }

    /// Returns whether more input and more commands may arrive before the output is sent.
    pub(super) fn defers_output(&self, link: &Link) -> bool {
        each_with_exchanges!(self, protocol => protocol.defers_output(link), else false)
    }

    /// The way in which it reads its next input.
    #[inline]
    pub(super) fn input_mode(&self, link: &Link) -> InputMode {
        each!(self, protocol => protocol.input_mode(link))
    }

    #[inline]
    pub(super) fn activity(&self, link: &Link) -> Activity {
        each!(self, protocol => protocol.activity(link))
    }

    /// Frees memory that an idle connection does not need. Only HTTP/2 has any: the ping of a silent WebSocket frees its memory.
    pub(super) fn release_memory(&mut self) {
        #[cfg(feature = "http2")]
        if let Protocol::Http2(http2) = self {
            http2.release_memory();
        }
    }

    /// The memory that it holds for bodies.
    #[cfg(feature = "testing")]
    pub(super) fn buffer_bytes(&self) -> usize {
        each_with_exchanges!(self, protocol => protocol.buffer_bytes(), else 0)
    }

    /// Cancels the exchanges in progress, and sends the last message of the protocol if it has one. Returns whether the stream must be reset: after an end, the client would take
    /// incomplete output for complete.
    pub(super) fn cancel(&mut self, link: &mut Link, shared: &mut Shared) -> bool {
        each_with_exchanges!(self, protocol => protocol.cancel(link, shared), else false)
    }
}

/// Ends the server's half of the stream after the last output, and lingers until the client has ended its half.
pub(super) fn linger(link: &mut Link) -> Step {
    match link.shutdown() {
        Ok(()) => {}
        // The end of TLS waits for room, and then the protocol calls this again.
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Step::Continue,
        Err(_) => return Step::Close,
    }
    link.unused_input = Vec::new();
    Step::switch(Protocol::Lingering(Lingering::default()))
}

/// Closes a connection with a stream whose client acknowledges nothing.
fn check_acknowledged(link: &mut Link, shared: &Shared) -> Step {
    if link.check_acknowledgements() {
        return close_late(Limit::WriteRate, link, shared);
    }
    link.extend_timer(shared);
    Step::Continue
}

/// Closes a connection whose client is late.
fn close_late(limit: Limit, link: &Link, shared: &Shared) -> Step {
    shared.counts().record_limit_hit(limit);
    tracing::debug!(peer = %link.peer(), limit = limit.name(), "closed a connection");
    Step::Close
}
