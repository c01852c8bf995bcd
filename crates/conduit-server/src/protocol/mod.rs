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
//! Each protocol owns its state, and implements [`ConnectionProtocol`]. [`Protocol`] is the one of a connection. The type of a
//! protocol whose feature is off is `Absent`: it has no values.

#[cfg(not(all(feature = "http2", feature = "testing", feature = "websocket")))]
mod absent;
#[cfg_attr(not(feature = "testing"), path = "without_echo.rs")]
mod echo;
pub(super) mod http1;
#[cfg_attr(not(feature = "http2"), path = "without_http2.rs")]
mod http2;
mod lingering;
mod negotiating;
mod proxy_header;
#[cfg_attr(not(feature = "websocket"), path = "without_websocket.rs")]
pub(super) mod websocket;

use conduit_net::Interest;

use self::echo::Echo;
use self::http1::Http1;
use self::http2::{BoxedHttp2, Http2};
use self::lingering::Lingering;
use self::negotiating::Negotiating;
use self::proxy_header::ProxyHeader;
use self::websocket::WebSocket;
use super::commands::Command;
use super::link::{InputMode, Link, Timer};
use super::shared::Shared;
use crate::exchange_id::ExchangeId;
use crate::limit::Limit;
use crate::panics::discard;

/// A protocol on a connection. It uses the [`Link`] for bytes, room and time.
///
/// The connection calls an entry point for each event: `on_input`, `on_writable`, `on_timer`, `on_shutdown`. Each returns a
/// [`Step`], and `on_writable` an [`OutputStep`]: it is the only one after which input may be left that the protocol has
/// not used, because only the send of output makes room. After each turn the connection queries the state: `waits_for`,
/// `input_mode` and `activity`. It has further ones as an [`ExchangeDriver`].
pub(super) trait ConnectionProtocol: ExchangeDriver {
    /// Input has arrived, or the output has room again. Consumes a prefix of `input`.
    fn on_input(&mut self, link: &mut Link, input: &mut &[u8], shared: &mut Shared) -> Step;

    /// The output was sent, as far as there was room.
    fn on_writable(&mut self, link: &mut Link, shared: &mut Shared) -> OutputStep;

    /// The timer of the link has expired, and no input has arrived.
    fn on_timer(&mut self, link: &mut Link, shared: &mut Shared) -> Step;

    /// The server stops.
    fn on_shutdown(&mut self, link: &mut Link, shared: &mut Shared) -> Step;

    /// Logs the work that the end of the shutdown timeout cuts off.
    fn log_cut_off(&self, link: &Link, shared: &Shared);

    /// The events that the protocol waits for: the interest in input, and a timer.
    fn waits_for(&self, link: &Link, shared: &Shared) -> (Interest, Timer);

    /// The way in which it reads its next input.
    fn input_mode(&self, link: &Link) -> InputMode;

    fn activity(&self, link: &Link) -> Activity;

    /// Frees memory that an idle connection does not need. Only HTTP/2 has any: the ping of a silent WebSocket frees its memory.
    fn release_memory(&mut self) {}
}

/// The part of a protocol that depends on its exchanges. A protocol has an implementation, or is one [`WithoutExchanges`].
pub(super) trait ExchangeDriver {
    /// A task has sent a command: an entry point as those of [`ConnectionProtocol`].
    fn on_command(&mut self, exchange: ExchangeId, command: Command, link: &mut Link, shared: &mut Shared) -> Step;

    /// Returns whether more input and more commands may arrive before the output is sent.
    fn defers_output(&self, link: &Link) -> bool;

    /// The memory that it holds for bodies.
    #[cfg(feature = "testing")]
    fn buffer_bytes(&self) -> usize;

    /// Cancels the exchanges in progress, and sends the last message of the protocol if it has one. Returns whether the stream must
    /// be reset: after an end, the client would take incomplete output for complete.
    fn cancel(&mut self, link: &mut Link, shared: &mut Shared) -> bool;
}

/// A protocol without exchanges.
pub(super) trait WithoutExchanges {}

impl<P: WithoutExchanges> ExchangeDriver for P {
    /// A protocol without exchanges follows the one of the command.
    fn on_command(&mut self, _: ExchangeId, command: Command, _: &mut Link, _: &mut Shared) -> Step {
        discard(command);
        Step::Continue
    }

    fn defers_output(&self, _: &Link) -> bool {
        false
    }

    #[cfg(feature = "testing")]
    fn buffer_bytes(&self) -> usize {
        0
    }

    fn cancel(&mut self, _: &mut Link, _: &mut Shared) -> bool {
        false
    }
}

/// The protocol of a connection, at this time.
pub(super) enum Protocol {
    ProxyHeader(Box<ProxyHeader>),
    Negotiating(Negotiating),
    Http1(Http1),
    Http2(BoxedHttp2),
    Lingering(Lingering),
    WebSocket(WebSocket),
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
    fn switch(protocol: impl Into<Protocol>) -> Self {
        Step::Switch(Box::new(protocol.into()))
    }
}

/// The activity of a protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// Nothing is in progress: the connection waits for its next request.
    Idle,
    /// The client is to complete a handshake, a header, or a request without a response yet.
    Receiving,
    /// A response is incomplete. `ends_with_client` means that the end of the client's half ends it, regardless of earlier input.
    Serving { ends_with_client: bool },
    /// A WebSocket is open, which clients keep for long: a shutdown closes such connections one after the other.
    LongLived,
    /// The output ends the stream: the last response is complete.
    Ending,
    /// The output is incomplete, or the client does not read it: the connection is to be reset, without an end of the stream.
    Aborting,
    /// All is sent; the connection waits for the client's end.
    Lingering,
}

/// Calls the same method of each protocol.
macro_rules! each {
    ($self:expr, $protocol:ident => $call:expr) => {
        match $self {
            Protocol::Http1($protocol) => $call,
            Protocol::ProxyHeader($protocol) => $call,
            Protocol::Negotiating($protocol) => $call,
            Protocol::Http2($protocol) => $call,
            Protocol::Lingering($protocol) => $call,
            Protocol::WebSocket($protocol) => $call,
            Protocol::Echo($protocol) => $call,
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

    /// The protocol that the TLS handshake has selected; HTTP/1.1 for a client without a choice.
    fn negotiated(link: &mut Link, shared: &mut Shared) -> Self {
        match Http2::negotiated(link, shared) {
            Some(http2) => http2.into(),
            None => Protocol::Http1(Http1::new()),
        }
    }
}

impl ConnectionProtocol for Protocol {
    #[inline]
    fn on_input(&mut self, link: &mut Link, input: &mut &[u8], shared: &mut Shared) -> Step {
        each!(self, protocol => protocol.on_input(link, input, shared))
    }

    fn on_writable(&mut self, link: &mut Link, shared: &mut Shared) -> OutputStep {
        each!(self, protocol => protocol.on_writable(link, shared))
    }

    fn on_timer(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        each!(self, protocol => protocol.on_timer(link, shared))
    }

    fn on_shutdown(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        each!(self, protocol => protocol.on_shutdown(link, shared))
    }

    fn log_cut_off(&self, link: &Link, shared: &Shared) {
        each!(self, protocol => protocol.log_cut_off(link, shared))
    }

    fn waits_for(&self, link: &Link, shared: &Shared) -> (Interest, Timer) {
        each!(self, protocol => protocol.waits_for(link, shared))
    }

    #[inline]
    fn input_mode(&self, link: &Link) -> InputMode {
        each!(self, protocol => protocol.input_mode(link))
    }

    #[inline]
    fn activity(&self, link: &Link) -> Activity {
        each!(self, protocol => protocol.activity(link))
    }

    fn release_memory(&mut self) {
        each!(self, protocol => protocol.release_memory())
    }
}

impl ExchangeDriver for Protocol {
    fn on_command(&mut self, exchange: ExchangeId, command: Command, link: &mut Link, shared: &mut Shared) -> Step {
        each!(self, protocol => protocol.on_command(exchange, command, link, shared))
    }

    fn defers_output(&self, link: &Link) -> bool {
        each!(self, protocol => protocol.defers_output(link))
    }

    #[cfg(feature = "testing")]
    fn buffer_bytes(&self) -> usize {
        each!(self, protocol => protocol.buffer_bytes())
    }

    fn cancel(&mut self, link: &mut Link, shared: &mut Shared) -> bool {
        each!(self, protocol => protocol.cancel(link, shared))
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
    link.unused_input.take();
    Step::switch(Lingering::default())
}

/// Closes a connection with a stream whose client acknowledges nothing.
fn check_acknowledged(link: &mut Link, shared: &Shared) -> Step {
    if link.check_acknowledgements() {
        return close_late(Limit::WriteRate, link, shared);
    }
    link.extend_timer(&shared.links);
    Step::Continue
}

/// Logs a connection that the end of the shutdown timeout closes while it has no exchange, with the seconds of its wait.
fn log_without_exchange(link: &Link, stage: &'static str, shared: &Shared) {
    let seconds = link.waited(shared.now());
    tracing::warn!(peer = %link.peer(), method = "", route = "", stage, seconds, "closed at the shutdown");
}

/// Closes a connection whose client is late.
fn close_late(limit: Limit, link: &Link, shared: &Shared) -> Step {
    shared.counts().record_limit_hit(limit);
    tracing::debug!(peer = %link.peer(), limit = limit.name(), "closed a connection");
    Step::Close
}
