//! The protocols that a connection speaks, one after the other.
//!
//! ```text
//!   ProxyHeader ──header──> Negotiating ──ALPN──> Http1 ──last response──> Lingering
//!        │                       │                  ^  │  │                    ^
//!        └──────────── without TLS ─────────────────┘  │  └──101──> WebSocket
//!                                └──ALPN──> Http2 <──preface                   │
//!                                             └──last stream after GOAWAY──────┘
//! ```
//!
//! Each protocol owns its state and uses the [`Link`] for bytes, time and room. It has five entry points, each of which
//! returns a [`Step`].

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
use http::header::UPGRADE;

#[cfg(feature = "testing")]
use self::echo::Echo;
use self::http1::Http1;
#[cfg(feature = "http2")]
use self::http2::Http2;
pub(super) use self::lingering::Lingering;
use self::negotiating::Negotiating;
pub(super) use self::proxy_header::ProxyHeader;
#[cfg(feature = "websocket")]
use self::websocket::WebSocket;
use super::commands::{Command, CommandSender};
use super::exchange::Exchange;
use super::link::{Link, Timer};
use super::shared::Shared;
use crate::exchange_id::ExchangeId;
use crate::limit::Limit;
use crate::response::Response;
#[cfg(feature = "websocket")]
use crate::websocket::Ticket;

/// The protocol of a connection, at this time.
pub(super) enum Protocol {
    ProxyHeader(Box<ProxyHeader>),
    Negotiating(Negotiating),
    Http1(Http1),
    /// A pointer: a connection with HTTP/1.1 stays small.
    #[cfg(feature = "http2")]
    Http2(Box<Http2>),
    Lingering(Lingering),
    #[cfg(feature = "websocket")]
    WebSocket(Box<WebSocket>),
    #[cfg(feature = "testing")]
    Echo(Echo),
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

impl Protocol {
    /// The first protocol of a connection, after its PROXY header if it has one.
    pub(super) fn first(link: &Link) -> Self {
        if link.is_secure() {
            Protocol::Negotiating(Negotiating)
        } else {
            Protocol::Http1(Http1::new())
        }
    }

    /// The protocol that the TLS handshake has selected (RFC 9113, section 3.2); HTTP/1.1 for a client without a choice.
    #[cfg(feature = "http2")]
    pub(super) fn negotiated(link: &mut Link, shared: &mut Shared) -> Self {
        if link.has_selected(b"h2") {
            Protocol::http2(link, shared)
        } else {
            Protocol::Http1(Http1::new())
        }
    }

    /// The protocol that the TLS handshake has selected: HTTP/1.1 is the only one on offer.
    #[cfg(not(feature = "http2"))]
    pub(super) fn negotiated(_: &mut Link, _: &mut Shared) -> Self {
        Protocol::Http1(Http1::new())
    }

    #[cfg(feature = "http2")]
    fn http2(link: &mut Link, shared: &mut Shared) -> Self {
        Protocol::Http2(Box::new(Http2::new(link, shared)))
    }

    /// The protocol that the `upgrade` field of a response with status 101 names. Returns none if it is unknown, or if the
    /// response lacks what the protocol needs.
    #[cold]
    fn upgraded(
        response: &Response,
        exchange: &Exchange,
        sender: CommandSender,
        link: &Link,
        shared: &mut Shared,
    ) -> Option<Self> {
        let _ = (exchange, &sender, link, &shared);
        match response.headers().get(UPGRADE)?.as_bytes() {
            #[cfg(feature = "websocket")]
            b"websocket" => {
                let socket = response.extensions().get::<Ticket>()?.redeem()?;
                let socket = WebSocket::start(socket, exchange, sender, link, shared);
                Some(Protocol::WebSocket(Box::new(socket)))
            }
            #[cfg(feature = "testing")]
            b"conduit-test-echo" => Some(Protocol::Echo(Echo)),
            _ => None,
        }
    }

    /// Input has arrived, or the output has room again. Consumes a prefix of `input`.
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
            #[cfg(feature = "http2")]
            Protocol::Http2(http2) => http2.on_command(exchange, command, link, shared),
            #[cfg(feature = "websocket")]
            Protocol::WebSocket(socket) => socket.on_command(command, link, shared),
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

    /// The server stops. Logs the interrupted work if the shutdown timeout has passed (`is_over`).
    pub(super) fn on_shutdown(&mut self, link: &mut Link, is_over: bool, shared: &mut Shared) -> Step {
        each!(self, protocol => protocol.on_shutdown(link, is_over, shared))
    }

    /// The events that the protocol waits for: the interest in input, and a timer.
    pub(super) fn waits_for(&self, link: &Link) -> (Interest, Timer) {
        each!(self, protocol => protocol.waits_for(link))
    }

    /// Returns whether it can use more input than it has taken, now that there is room. `is_full` is set if output is left
    /// which the client does not take now.
    pub(super) fn wants_input(&self, link: &Link, is_full: bool) -> bool {
        let _ = link;
        match self {
            Protocol::Http1(http1) => !is_full && http1.wants_input(),
            #[cfg(feature = "http2")]
            Protocol::Http2(http2) => http2.wants_input(link),
            #[cfg(feature = "websocket")]
            Protocol::WebSocket(socket) => !is_full && socket.wants_input(),
            _ => false,
        }
    }

    /// Returns whether more input may be received before the output is sent.
    pub(super) fn reads_on(&self, link: &Link) -> bool {
        let _ = link;
        match self {
            #[cfg(feature = "http2")]
            Protocol::Http2(http2) => http2.reads_on(link),
            _ => false,
        }
    }

    /// Returns whether several commands may precede the send of the output: only the streams of HTTP/2 are independent.
    pub(super) fn takes_commands(&self, link: &Link) -> bool {
        let _ = link;
        match self {
            #[cfg(feature = "http2")]
            Protocol::Http2(_) => link.has_room(),
            _ => false,
        }
    }

    /// Returns whether the end of the client's half ends the connection, regardless of earlier input.
    pub(super) fn ends_with_client(&self) -> bool {
        match self {
            Protocol::Http1(http1) => http1.ends_with_client(),
            _ => false,
        }
    }

    /// Returns whether a part of a response is still to be made, or a WebSocket is open.
    pub(super) fn is_serving(&self) -> bool {
        match self {
            Protocol::Http1(http1) => http1.is_serving(),
            #[cfg(feature = "http2")]
            Protocol::Http2(http2) => http2.is_serving(),
            #[cfg(feature = "websocket")]
            Protocol::WebSocket(socket) => socket.is_serving(),
            _ => false,
        }
    }

    /// Returns whether clients keep it open for long. A shutdown closes such connections one after the other.
    pub(super) fn lives_long(&self) -> bool {
        match self {
            #[cfg(feature = "websocket")]
            Protocol::WebSocket(_) => true,
            #[cfg(all(feature = "http2", feature = "websocket"))]
            Protocol::Http2(http2) => http2.has_sockets(),
            _ => false,
        }
    }

    /// Returns whether the output ends the stream.
    pub(super) fn sends_last(&self) -> bool {
        match self {
            Protocol::Http1(http1) => http1.sends_last(),
            #[cfg(feature = "http2")]
            Protocol::Http2(http2) => http2.sends_last(),
            _ => false,
        }
    }

    /// Returns whether the connection waits for a request and has nothing else to do.
    pub(super) fn is_idle(&self) -> bool {
        match self {
            Protocol::Http1(http1) => http1.is_idle(),
            #[cfg(feature = "http2")]
            Protocol::Http2(http2) => http2.is_idle(),
            _ => false,
        }
    }

    /// Returns whether a turn has ended as most do: all is written, and the next request is expected as the last one was.
    #[inline]
    pub(super) fn is_at_rest(&self, link: &Link) -> bool {
        let _ = link;
        match self {
            Protocol::Http1(http1) => http1.is_at_rest(),
            #[cfg(feature = "http2")]
            Protocol::Http2(http2) => http2.is_at_rest(link),
            _ => false,
        }
    }

    /// Frees memory that an idle connection does not need.
    pub(super) fn shrink(&mut self) {
        #[cfg(feature = "http2")]
        if let Protocol::Http2(http2) = self {
            http2.shrink();
        }
    }

    /// Returns whether it is a version of HTTP: the others read below any encryption, or end with the handshake.
    #[inline]
    pub(super) fn is_http(&self) -> bool {
        match self {
            Protocol::Http1(_) => true,
            #[cfg(feature = "http2")]
            Protocol::Http2(_) => true,
            _ => false,
        }
    }

    /// Returns whether the next input may be read together with that of other connections: large input is read by itself.
    pub(super) fn reads_little(&self) -> bool {
        match self {
            Protocol::Http1(http1) => http1.reads_little(),
            #[cfg(feature = "http2")]
            Protocol::Http2(http2) => http2.reads_little(),
            #[cfg(feature = "websocket")]
            Protocol::WebSocket(socket) => socket.reads_little(),
            _ => false,
        }
    }

    /// The memory that it holds for bodies.
    #[cfg(feature = "testing")]
    pub(super) fn buffer_bytes(&self) -> usize {
        match self {
            Protocol::Http1(http1) => http1.buffer_bytes(),
            #[cfg(feature = "http2")]
            Protocol::Http2(http2) => http2.buffer_bytes(),
            #[cfg(feature = "websocket")]
            Protocol::WebSocket(socket) => socket.buffer_bytes(),
            _ => 0,
        }
    }

    /// Cancels everything that is in progress. Returns whether the stream must be reset, because an end would look as if the
    /// output were whole.
    pub(super) fn cancel(&mut self, link: &mut Link, shared: &mut Shared) -> bool {
        match self {
            Protocol::Http1(http1) => http1.cancel(link, shared),
            #[cfg(feature = "http2")]
            Protocol::Http2(http2) => http2.cancel(link, shared),
            #[cfg(feature = "websocket")]
            Protocol::WebSocket(socket) => socket.cancel(shared),
            _ => false,
        }
    }
}

/// Ends the server's half of the stream after the last output, and lingers until the client has ended its own.
fn linger(link: &mut Link) -> Step {
    match link.shutdown() {
        Ok(()) => {}
        // The end of TLS waits for room, after which the connection comes here again.
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Step::Continue,
        Err(_) => return Step::Close,
    }
    link.pending = Vec::new();
    Step::switch(Protocol::Lingering(Lingering::default()))
}

/// Closes a connection with a stream whose client acknowledges nothing.
fn check_acknowledged(link: &mut Link, shared: &Shared) -> Step {
    if link.is_unacknowledged() {
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
