//! WebSocket on a connection, after a response with 101: bytes through the engine, messages through the channel to the handler.

mod task;

use std::rc::Rc;

use bytes::Bytes;
use conduit_net::Interest;
use conduit_proto::ws::{
    CloseCode, MessageKind, WebSocketConnection, WebSocketError, WebSocketEvent, WebSocketLimits, WebSocketReason,
    write_message_header,
};

use self::task::SocketTask;
use super::{Step, close_late, linger};
use crate::commands::{Command, CommandSender};
use crate::exchange::Exchange;
use crate::limit::Limit;
use crate::link::{Link, Timer, UNCOPIED_BYTES, Uncopied, reading};
use crate::panics::discard;
use crate::shared::Shared;
use crate::websocket::{Channel, Message, PendingSocket, Queued, SocketOptions, WebSocketClosed};

/// The rest of a frame up to which its connection is read together with others.
const LITTLE_BYTES: u64 = 4 * 1024;

pub(crate) struct WebSocket {
    engine: WebSocketConnection,
    channel: Rc<Channel>,
    input: SocketInput,
    /// The client was silent, and a ping is on its way.
    is_pinged: bool,
    /// The client does not take its messages: reset instead of closing cleanly.
    resets: bool,
}

/// The use of input that has arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SocketInput {
    /// All of it is used, or the rest is the beginning of a frame.
    NeedsMore,
    /// There is more to use once there is room for the output that it leads to.
    Ready,
    /// The handler lags.
    Paused,
}

impl WebSocket {
    /// Starts the handler as a task. It runs within the span of the request, and as a handler of its route.
    pub(super) fn start(
        socket: PendingSocket,
        exchange: &Exchange,
        sender: CommandSender,
        link: &Link,
        shared: &mut Shared,
    ) -> Self {
        let (channel, handler, options) = socket.open();
        let SocketOptions {
            message_bytes,
            queue_bytes,
            deflate,
        } = options;
        let config = &shared.config;
        let message_bytes = message_bytes.unwrap_or(config.websocket.message_bytes);
        let limits = WebSocketLimits {
            message_bytes,
            frame_bytes: message_bytes,
            fragments: u32::try_from(config.websocket.fragments).unwrap_or(u32::MAX),
        };
        channel.set_limit(queue_bytes.unwrap_or(config.websocket.queue_bytes));
        channel.connect(sender);
        let instrumentation = exchange.instrument_stream(&shared.environment);
        let (in_progress, aborts) = exchange.continue_handler(link.client(), &shared.environment);
        let task = SocketTask::new(handler, Rc::clone(&channel), instrumentation, aborts, in_progress);
        tokio::task::spawn_local(task);
        shared.counts().websockets_opened.add(1);
        WebSocket {
            engine: WebSocketConnection::new(limits, deflate),
            channel,
            input: SocketInput::Ready,
            is_pinged: false,
            resets: false,
        }
    }

    /// Takes the frames in the input, until there are no more, the handler lags, or there is no room for output.
    pub(super) fn on_input(&mut self, link: &mut Link, input: &mut &[u8], shared: &mut Shared) -> Step {
        if self.input == SocketInput::Paused {
            return Step::Continue;
        }
        if !input.is_empty() {
            self.is_pinged = false;
            link.restart_timer();
        }
        link.begin_output(shared);
        self.input = SocketInput::Ready;
        let mut messages = 0;
        while link.has_room() {
            if self.channel.pauses() {
                self.input = SocketInput::Paused;
                break;
            }
            let event = match self.engine.handle_input(input, &mut shared.codecs, &mut link.output) {
                Ok((used, event)) => {
                    *input = &input[used..];
                    event
                }
                Err(error) => {
                    self.refuse(error, link, shared);
                    continue;
                }
            };
            match event {
                WebSocketEvent::Text(text) => {
                    messages += 1;
                    self.channel.push(Message::Text(text));
                }
                WebSocketEvent::Binary(bytes) => {
                    messages += 1;
                    self.channel.push(Message::Binary(bytes.into()));
                }
                WebSocketEvent::Ping | WebSocketEvent::Pong => {}
                WebSocketEvent::Close(code, reason) => self.end(code, reason, true, link, shared),
                WebSocketEvent::NeedMore | WebSocketEvent::Closed => {
                    self.input = SocketInput::NeedsMore;
                    break;
                }
            }
        }
        shared.counts().received_messages.add(messages);
        self.channel.wake_reader();
        Step::Continue
    }

    /// The client broke a rule: Close is written.
    #[cold]
    fn refuse(&mut self, error: WebSocketError, link: &Link, shared: &Shared) {
        let limit = match error.reason() {
            WebSocketReason::FrameTooBig | WebSocketReason::MessageTooBig => Some(Limit::WebSocketMessage),
            WebSocketReason::TooManyFragments => Some(Limit::WebSocketFragments),
            _ => None,
        };
        if let Some(limit) = limit {
            shared.counts().record_limit_hit(limit);
        }
        let detail = error.reason().detail().to_owned();
        self.end(Some(error.code()), detail, false, link, shared);
    }

    /// The WebSocket has ended: the handler learns of it.
    fn end(&mut self, code: Option<CloseCode>, reason: String, is_clean: bool, link: &Link, shared: &Shared) {
        let code_number = code.map(|code| code.0);
        let ended = self.channel.end(WebSocketClosed { code, reason, is_clean });
        if ended {
            shared.counts().websockets_closed.add(1);
            tracing::debug!(peer = %link.peer(), code = code_number, is_clean, "a WebSocket has ended");
        }
    }

    pub(super) fn on_writable(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        self.write_queued(link, shared);
        if link.has_output() {
            return Step::Continue;
        }
        if self.engine.is_finished() {
            return linger(link);
        }
        if link.read_closed && self.input == SocketInput::NeedsMore {
            return Step::Close;
        }
        Step::Continue
    }

    /// Writes the messages of the handler while there is room.
    fn write_queued(&mut self, link: &mut Link, shared: &mut Shared) {
        let mut messages = 0;
        while link.has_room() {
            let Some(next) = self.channel.take_queued() else {
                self.channel.close_if_abandoned();
                match self.channel.take_queued() {
                    Some(close) => self.write(close, link, shared),
                    None => break,
                }
                continue;
            };
            messages += u64::from(matches!(next, Queued::Message(_)));
            self.write(next, link, shared);
        }
        shared.counts().sent_messages.add(messages);
        self.channel.offer_room();
    }

    fn write(&mut self, next: Queued, link: &mut Link, shared: &mut Shared) {
        link.begin_output(shared);
        let (kind, payload) = match next {
            Queued::Close(code, reason) => return self.engine.close(Some(code), &reason, &mut link.output),
            Queued::Message(Message::Text(text)) if self.is_sent_from_place(text.len()) => {
                (MessageKind::Text, Bytes::from(text))
            }
            Queued::Message(Message::Binary(bytes)) if self.is_sent_from_place(bytes.len()) => {
                (MessageKind::Binary, bytes)
            }
            Queued::Message(Message::Text(text)) => {
                self.engine.write_text(&text, &mut shared.codecs, &mut link.output);
                return;
            }
            Queued::Message(Message::Binary(bytes)) => {
                self.engine.write_binary(&bytes, &mut shared.codecs, &mut link.output);
                // They may have an owner of the application's.
                return discard(bytes);
            }
        };
        write_message_header(kind, payload.len(), &mut link.output);
        link.put_uncopied(Uncopied::piece(payload, b""));
    }

    /// Returns whether a message of this length is not copied into the output.
    fn is_sent_from_place(&self, length: usize) -> bool {
        length >= UNCOPIED_BYTES && self.engine.is_open() && !self.engine.compresses(length)
    }

    pub(super) fn on_command(&mut self, command: Command, link: &mut Link, shared: &mut Shared) -> Step {
        if !matches!(command, Command::Socket) {
            // It belongs to an earlier exchange.
            discard(command);
            return Step::Continue;
        }
        if self.channel.has_arrived() && self.input == SocketInput::Paused {
            self.input = SocketInput::Ready;
        }
        self.write_queued(link, shared);
        Step::Continue
    }

    pub(super) fn on_timer(&mut self, link: &mut Link, shared: &mut Shared) -> Step {
        match link.timer() {
            Timer::Quiet => {
                link.begin_output(shared);
                self.engine.write_ping(&mut link.output);
                self.channel.release_memory();
                self.is_pinged = true;
                Step::Continue
            }
            Timer::Room => {
                // The system must not keep what the client does not take.
                self.resets = true;
                close_late(Limit::WriteRate, link, shared)
            }
            Timer::Pong => close_late(Limit::WebSocketTime, link, shared),
            _ => Step::Close,
        }
    }

    /// Closes with 1012 if another process serves, so that clients connect again, and with 1001 otherwise; after the queued
    /// messages.
    pub(super) fn on_shutdown(&mut self, link: &mut Link, is_over: bool, shared: &mut Shared) -> Step {
        if is_over {
            let seconds = link.waited(shared.now());
            let stage = "the WebSocket is not closed";
            tracing::warn!(peer = %link.peer(), stage, seconds, "closed at the shutdown");
            return Step::Close;
        }
        match shared.keeps_idle {
            true => self.channel.close(CloseCode::RESTART, "the server restarts"),
            false => self.channel.close(CloseCode::GOING_AWAY, "the server stops"),
        }
        self.write_queued(link, shared);
        Step::Continue
    }

    pub(super) fn waits_for(&self, link: &Link) -> (Interest, Timer) {
        let reads = !link.read_closed && link.has_room() && self.input != SocketInput::Paused;
        let interest = if reads { reading() } else { Interest::NONE };
        let timer = if link.has_output() {
            Timer::Room
        } else if !self.engine.is_open() {
            Timer::SocketClosing
        } else if self.input == SocketInput::Paused {
            // The handler lags, not the client.
            Timer::Off
        } else if self.is_pinged {
            Timer::Pong
        } else {
            Timer::Quiet
        };
        (interest, timer)
    }

    pub(super) fn wants_input(&self) -> bool {
        self.input == SocketInput::Ready
    }

    pub(super) fn is_serving(&self) -> bool {
        !self.engine.is_finished()
    }

    pub(super) fn reads_little(&self) -> bool {
        self.engine.expected_bytes() <= LITTLE_BYTES
    }

    #[cfg(feature = "testing")]
    pub(super) fn buffer_bytes(&self) -> usize {
        self.engine.heap_bytes() + self.channel.buffer_bytes()
    }

    /// The connection ends. Returns whether the client must see a reset.
    pub(super) fn cancel(&mut self, link: &Link, shared: &Shared) -> bool {
        self.end(None, String::new(), false, link, shared);
        self.resets
    }
}
