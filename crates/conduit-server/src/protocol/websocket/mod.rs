//! WebSocket on a connection, after a response with 101; [`socket`] is the part that a stream of HTTP/2 has too.

mod handler;
mod socket;

use std::net::SocketAddr;

use bytes::Bytes;
use conduit_net::Interest;

pub(super) use self::socket::{Socket, SocketInput, SocketOutput};
use super::{
    Activity, ConnectionProtocol, ExchangeDriver, OutputStep, Protocol, Step, close_late, linger, log_without_exchange,
};
use crate::commands::{Command, CommandSender};
use crate::exchange::Exchange;
use crate::exchange_id::ExchangeId;
use crate::limit::Limit;
use crate::link::{InputMode, Link, Timer, Uncopied, reading};
use crate::link_shared::LinkShared;
use crate::panics::discard;
use crate::protocol_timer::ProtocolTimer;
use crate::shared::Shared;
use crate::websocket::PendingSocket;

pub(crate) struct WebSocket {
    socket: Socket,
    /// The client does not read its messages: reset instead of closing cleanly.
    resets: bool,
}

/// The number of bytes of large messages that leave with one send.
const GATHERED_BYTES: usize = 256 * 1024;

impl SocketOutput for Link {
    fn has_room(&self) -> bool {
        self.output.has_room() && self.output.gathered.length() < GATHERED_BYTES
    }

    fn peer(&self) -> SocketAddr {
        Link::peer(self)
    }

    fn begin(&mut self, shared: &mut LinkShared) {
        self.output.begin(shared);
    }

    fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.output.buffer
    }

    fn put(&mut self, payload: Bytes) {
        if self.is_secure() {
            // Encryption copies it.
            self.output.put_uncopied(Uncopied::bytes(payload, b""));
        } else {
            self.output.gathered.push(self.output.buffer.len(), payload);
        }
    }
}

impl WebSocket {
    pub(super) fn start(
        socket: PendingSocket,
        exchange: &mut Exchange,
        sender: CommandSender,
        link: &Link,
        shared: &mut Shared,
    ) -> Self {
        WebSocket {
            socket: Socket::start(socket, exchange, sender, link, shared),
            resets: false,
        }
    }
}

impl From<WebSocket> for Protocol {
    fn from(socket: WebSocket) -> Self {
        Protocol::WebSocket(socket)
    }
}

impl ConnectionProtocol for WebSocket {
    fn on_input(&mut self, link: &mut Link, input: &mut &[u8], shared: &mut Shared) -> Step {
        let is_alive = !input.is_empty() && self.socket.input() != SocketInput::Paused && self.socket.end_ping();
        let unfinished = self.socket.unfinished_message();
        self.socket.serve(input, link, shared);
        if is_alive && (unfinished.is_none() || unfinished != self.socket.unfinished_message()) {
            link.restart_timer();
        }
        Step::Continue
    }

    fn on_writable(&mut self, link: &mut Link, shared: &mut Shared) -> OutputStep {
        let had_output = !link.output.is_empty();
        self.socket.write_queued(link, shared);
        if link.output.is_empty() {
            if self.socket.is_finished() {
                return linger(link).into();
            }
            if link.read_closed && self.socket.input() == SocketInput::NeedsMore {
                return Step::Close.into();
            }
        }
        let is_full = had_output && !link.output.is_empty();
        if self.socket.input() == SocketInput::Ready && !is_full {
            OutputStep::Resume
        } else {
            Step::Continue.into()
        }
    }

    fn on_timer(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        match link.timer() {
            Timer::Protocol(ProtocolTimer::Quiet, _) => {
                self.socket.ping(link, shared);
                Step::Continue
            }
            Timer::Send => {
                // The system must not keep bytes that the client does not read.
                self.resets = true;
                close_late(Limit::WriteRate, link, shared)
            }
            Timer::Receive => {
                self.socket.refuse_late(link, shared);
                Step::Continue
            }
            Timer::Protocol(ProtocolTimer::Pong, _) => close_late(Limit::WebSocketTime, link, shared),
            _ => Step::Close,
        }
    }

    /// Closes it after the queued messages.
    fn on_shutdown(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        self.socket.close_for_stop(shared);
        self.socket.write_queued(link, shared);
        Step::Continue
    }

    fn log_cut_off(&self, link: &Link, shared: &Shared) {
        log_without_exchange(link, "the WebSocket is not closed", shared);
    }

    fn waits_for(&self, link: &Link, shared: &Shared) -> (Interest, Timer) {
        let reads = !link.read_closed && SocketOutput::has_room(link) && self.socket.input() != SocketInput::Paused;
        let interest = if reads { reading() } else { Interest::NONE };
        let timer = if !link.output.is_empty() {
            Timer::Send
        } else {
            self.socket.timer(shared)
        };
        (interest, timer)
    }

    /// A long message arrives in large pieces, and in the largest while nothing waits for the handler or for the client: the
    /// connection holds input that neither has room for.
    fn input_mode(&self, link: &Link) -> InputMode {
        if self.socket.reads_little() {
            InputMode::Batched
        } else if self.socket.holds_received() || !link.output.is_empty() {
            InputMode::Alone
        } else {
            InputMode::Bulk
        }
    }

    fn activity(&self, _: &Link) -> Activity {
        if !self.socket.is_finished() {
            Activity::LongLived
        } else if self.resets {
            Activity::Aborting
        } else {
            Activity::Ending
        }
    }
}

impl ExchangeDriver for WebSocket {
    fn on_command(&mut self, _: ExchangeId, command: Command, link: &mut Link, shared: &mut Shared) -> Step {
        if !matches!(command, Command::Socket) {
            // It belongs to an earlier exchange.
            discard(command);
            return Step::Continue;
        }
        self.socket.on_change(link, shared);
        Step::Continue
    }

    /// The rest of a long message is read before the messages ahead of it are sent.
    fn defers_output(&self, link: &Link) -> bool {
        self.socket.input() == SocketInput::NeedsMore && !self.socket.reads_little() && SocketOutput::has_room(link)
    }

    #[cfg(feature = "testing")]
    fn buffer_bytes(&self) -> usize {
        self.socket.buffer_bytes()
    }

    /// The connection ends. Returns whether the client must see a reset.
    fn cancel(&mut self, link: &mut Link, shared: &mut Shared) -> bool {
        self.socket.lose(link.peer(), shared);
        self.resets
    }
}
