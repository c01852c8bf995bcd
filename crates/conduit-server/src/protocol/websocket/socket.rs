//! A WebSocket on any stream of bytes: frames through the engine, messages through the channel to the handler.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use conduit_proto::ws::{
    CloseCode, MessageKind, WebSocketConnection, WebSocketError, WebSocketEvent, WebSocketLimits, WebSocketReason,
    write_compressed_header, write_message_header,
};
use tokio::task::coop::has_budget_remaining;

use super::handler::SocketHandler;
use crate::commands::CommandSender;
use crate::config::WebSocketConfig;
use crate::exchange::Exchange;
use crate::limit::Limit;
use crate::link::{Link, Timer, UNCOPIED_BYTES};
use crate::link_shared::LinkShared;
use crate::panics::discard;
use crate::protocol_timer::ProtocolTimer;
use crate::shared::{Shared, StopState};
use crate::waker_slot::wake;
use crate::watch::Watched;
use crate::websocket::{Channel, HandlerWaker, Message, PendingSocket, Queued, SocketOptions, WebSocketClosed};
use conduit_core::internal::charge::Charge;
use conduit_core::internal::pool::FREE_BYTES;

/// The rest of a frame up to which its connection is read together with others.
const LITTLE_BYTES: u64 = 4 * 1024;

/// The largest number of polls in a row of a handler that waits for messages or for room.
const POLLS_PER_TURN: usize = 8;

/// The time that the client has to close it after the server.
const CLOSING_TIME: Duration = Duration::from_secs(10);

/// The output of a stream of bytes: that of a connection, or of a stream of HTTP/2.
pub(in crate::protocol) trait SocketOutput {
    fn has_room(&self) -> bool;

    /// Takes a buffer of the worker for the [`bytes`](Self::bytes), unless they have memory.
    fn begin(&mut self, shared: &mut LinkShared);

    /// The buffer that frames are appended to.
    fn bytes(&mut self) -> &mut Vec<u8>;

    /// Appends the payload of a frame without a copy.
    fn put(&mut self, payload: Bytes);

    /// The address of the client's socket, for the log.
    fn peer(&self) -> SocketAddr;
}

pub(in crate::protocol) struct Socket {
    engine: WebSocketConnection,
    channel: Rc<Channel>,
    /// `None` after its end, or after that of the stream.
    handler: Option<SocketHandler>,
    waker: Arc<HandlerWaker>,
    input: SocketInput,
    /// The Close of the handler or of a stop, once it is sent.
    sent_close: Option<Box<(CloseCode, String)>>,
    /// The client was silent, and a ping is in transit.
    is_pinged: bool,
    /// Counts the messages that have arrived; after 65,535 it begins again.
    messages: u16,
    /// The record of the request, which ends with the WebSocket.
    record: Option<Box<Watched>>,
    /// The memory of the engine; most WebSockets have none.
    charges: Option<Box<SocketCharges>>,
}

/// The parts of the server's memory for bodies that a WebSocket has.
#[derive(Default)]
struct SocketCharges {
    _compressors: Charge,
    /// The unfinished message beyond its first 4 KiB.
    message: Charge,
}

/// The use of input that has arrived.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::protocol) enum SocketInput {
    /// All of it is used, or the rest is an incomplete frame.
    NeedsMore,
    /// More can be used once there is room for output.
    Ready,
    /// The handler has not read the earlier messages yet.
    Paused,
}

impl Socket {
    /// Starts the handler, whose first poll follows before the turn ends. It runs within the span of the request, and as a handler
    /// of its route. A server that stops closes it after that.
    pub(in crate::protocol) fn start(
        socket: PendingSocket,
        exchange: &mut Exchange,
        sender: CommandSender,
        link: &Link,
        shared: &mut Shared,
    ) -> Self {
        let (channel, handler, options) = socket.open();
        let SocketOptions {
            message_bytes,
            queue_bytes,
            deflate,
            charge,
        } = options;
        let config = &shared.config;
        let message_bytes = message_bytes.unwrap_or(config.websocket.message_bytes);
        let message_bytes = u32::try_from(message_bytes).unwrap_or(u32::MAX);
        let limits = WebSocketLimits {
            message_bytes,
            frame_bytes: message_bytes,
            fragments: u32::try_from(config.websocket.fragments).unwrap_or(u32::MAX),
        };
        channel.set_limit(queue_bytes.unwrap_or(config.websocket.queue_bytes));
        let waker = HandlerWaker::new(Arc::clone(&shared.websockets.woken_handlers), sender.exchange());
        waker.wake_up();
        channel.connect(Arc::clone(&waker));
        let scope = exchange.instrument_stream(&shared.environment).into_scope();
        let (in_progress, disconnect) = exchange.continue_handler(link.client(), &shared.environment);
        shared.counts().websockets_opened.add(1);
        let socket = Socket {
            engine: WebSocketConnection::new(limits, deflate),
            channel,
            handler: Some(SocketHandler::new(handler, scope, disconnect, in_progress)),
            waker,
            input: SocketInput::Ready,
            sent_close: None,
            is_pinged: false,
            messages: 0,
            record: exchange.take_record(&shared.environment),
            charges: charge.is_some().then(|| {
                Box::new(SocketCharges {
                    _compressors: charge,
                    message: Charge::default(),
                })
            }),
        };
        if shared.is_stopping() {
            socket.close_for_stop(shared);
        }
        socket
    }

    /// The client has sent bytes: it is alive. Bytes that were received earlier do not count. Returns whether that restarts the
    /// timer: no frame extends the time for the client's Close.
    pub(in crate::protocol) fn end_ping(&mut self) -> bool {
        self.is_pinged = false;
        self.engine.is_open()
    }

    /// The number of the message that has begun and not ended, which differs from that of each message of the same input. Its bytes
    /// do not restart the timer, which measures their rate.
    pub(in crate::protocol) fn unfinished_message(&self) -> Option<u16> {
        self.engine.unfinished_bytes().map(|_| self.messages)
    }

    /// Uses the input, has the handler take the messages, and writes those of the handler, while there is room. The caller
    /// continues with the rest of the input once the output is sent.
    pub(in crate::protocol) fn serve(
        &mut self,
        input: &mut &[u8],
        output: &mut impl SocketOutput,
        shared: &mut Shared,
    ) {
        for _ in 0..POLLS_PER_TURN {
            self.read(input, output, shared);
            let reads = self.poll_reader(shared);
            let writes = self.write_and_poll(output, shared);
            if !(reads || writes) || self.input != SocketInput::Ready || !output.has_room() {
                break;
            }
        }
    }

    /// Uses the input, and has the handler take the messages. [`write_queued`](Self::write_queued) must follow.
    #[cfg(feature = "http2")]
    pub(in crate::protocol) fn receive(
        &mut self,
        input: &mut &[u8],
        output: &mut impl SocketOutput,
        shared: &mut Shared,
    ) {
        for _ in 0..POLLS_PER_TURN {
            self.read(input, output, shared);
            if !self.poll_reader(shared) || self.input != SocketInput::Ready || !output.has_room() {
                return;
            }
        }
        // The rest follows in the next turn.
        self.waker.wake_up();
    }

    /// The handler is woken, or its messages have changed.
    pub(in crate::protocol) fn on_change(&mut self, output: &mut impl SocketOutput, shared: &mut Shared) {
        self.poll_woken(shared);
        for _ in 0..POLLS_PER_TURN {
            if !self.write_and_poll(output, shared) {
                break;
            }
        }
    }

    /// Polls the woken handler as [`on_change`](Self::on_change) does, without output. The key of the handler was taken from the
    /// queue of the worker.
    pub(in crate::protocol) fn poll_woken(&mut self, shared: &Shared) {
        self.resume();
        if self.waker.unqueue() {
            self.poll_handler(&self.waker.waker(), shared);
        }
    }

    /// Polls a handler that waits for a message, or wakes another receiver. Returns whether the handler was polled.
    fn poll_reader(&mut self, shared: &Shared) -> bool {
        let reader = self.channel.take_reader();
        reader.is_some_and(|reader| self.poll_or_wake(reader, shared))
    }

    /// Writes the messages of the handler, and polls it if it waits for room. Returns whether the handler was polled.
    fn write_and_poll(&mut self, output: &mut impl SocketOutput, shared: &mut Shared) -> bool {
        self.write_messages(output, shared);
        if !output.has_room() {
            return false;
        }
        let Some(writers) = self.channel.take_writers() else {
            return false;
        };
        let mut polled = false;
        for writer in *writers {
            polled |= self.poll_or_wake(writer, shared);
        }
        if polled {
            self.write_messages(output, shared);
        }
        polled
    }

    fn poll_or_wake(&mut self, waiting: Waker, shared: &Shared) -> bool {
        let waker = self.waker.waker();
        if self.handler.is_some() && waiting.will_wake(&waker) {
            return self.poll_handler(&waker, shared);
        }
        wake(waiting);
        false
    }

    /// Polls the handler, or has the worker poll it in the next turn, if this turn has spent its budget of operations on resources
    /// of tokio: the handler would find none of them ready. Returns whether the handler was polled.
    fn poll_handler(&mut self, waker: &Waker, shared: &Shared) -> bool {
        let Some(handler) = &mut self.handler else {
            return false;
        };
        if !has_budget_remaining() {
            self.waker.wake_up();
            return false;
        }
        self.waker.begin_poll();
        self.channel.expect_changes();
        let context = &mut Context::from_waker(waker);
        let ended = handler.poll(&self.channel, shared.counts(), context).is_ready();
        if let Some(handler) = self.handler.take_if(|_| ended) {
            handler.discard(&self.channel);
        }
        self.resume();
        true
    }

    /// Uses the frames in the input, until all of it is used, the handler has not read the messages yet, or there is no room for output.
    fn read(&mut self, input: &mut &[u8], output: &mut impl SocketOutput, shared: &mut Shared) {
        if self.input == SocketInput::Paused {
            return;
        }
        output.begin(&mut shared.links);
        self.input = SocketInput::Ready;
        let mut messages = 0;
        while output.has_room() {
            // Input that has arrived is used even so, up to a second limit: the connection would hold it otherwise.
            if self.channel.is_full() {
                self.input = SocketInput::NeedsMore;
                break;
            }
            let codecs = &mut shared.websockets.codecs;
            let event = match self.engine.handle_input(input, codecs, output.bytes()) {
                Ok((used, event)) => {
                    *input = &input[used..];
                    event
                }
                Err(error) => {
                    self.refuse(error, output.peer(), shared);
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
                WebSocketEvent::Close(code, reason) => self.end(code, reason, true, output.peer(), shared),
                WebSocketEvent::NeedMore | WebSocketEvent::Closed => {
                    self.input = SocketInput::NeedsMore;
                    break;
                }
            }
        }
        if self.input == SocketInput::NeedsMore && self.channel.pauses() {
            self.input = SocketInput::Paused;
        }
        shared.counts().received_messages.add(messages);
        // An input has fewer messages than the counter has numbers.
        self.messages = self.messages.wrapping_add(messages as u16);
        self.charge_message(output, shared);
    }

    /// Takes the memory of an unfinished message from the server's, and closes the WebSocket if that has no room.
    fn charge_message(&mut self, output: &mut impl SocketOutput, shared: &mut Shared) {
        let bytes = self.engine.unfinished_bytes().unwrap_or_default();
        let Some(charged_bytes) = bytes.checked_sub(FREE_BYTES).filter(|bytes| *bytes > 0) else {
            if let Some(charges) = &mut self.charges {
                charges.message.lower_to(0);
            }
            return;
        };
        let charge = &mut self.charges.get_or_insert_default().message;
        charge.lower_to(charged_bytes);
        if charge.raise_to(charged_bytes, charged_bytes).is_err() {
            charge.lower_to(0);
            let reason = "the server has no memory for the message: send it again later";
            self.abort(CloseCode::TRY_AGAIN, reason, output, shared);
        }
    }

    /// The client sends a message below the minimum rate.
    pub(in crate::protocol) fn refuse_late(&mut self, output: &mut impl SocketOutput, shared: &mut Shared) {
        shared.counts().record_limit_hit(Limit::BodyRate);
        let reason = "the message arrives too slowly: send it faster, or in smaller messages";
        self.abort(CloseCode::POLICY, reason, output, shared);
    }

    /// Writes Close, and expects nothing of the client.
    #[cold]
    fn abort(&mut self, code: CloseCode, reason: &str, output: &mut impl SocketOutput, shared: &mut Shared) {
        output.begin(&mut shared.links);
        self.engine.abort(code, reason, output.bytes());
        self.end(Some(code), reason.to_owned(), false, output.peer(), shared);
    }

    /// The client broke a rule: Close is written.
    #[cold]
    fn refuse(&mut self, error: WebSocketError, peer: SocketAddr, shared: &mut Shared) {
        let limit = match error.reason() {
            WebSocketReason::FrameTooBig | WebSocketReason::MessageTooBig => Some(Limit::WebSocketMessage),
            WebSocketReason::TooManyFragments => Some(Limit::WebSocketFragments),
            _ => None,
        };
        if let Some(limit) = limit {
            shared.counts().record_limit_hit(limit);
        }
        let detail = error.reason().detail().to_owned();
        self.end(Some(error.code()), detail, false, peer, shared);
    }

    /// The WebSocket has ended: notifies the handler.
    fn end(&mut self, code: Option<CloseCode>, reason: String, is_clean: bool, peer: SocketAddr, shared: &mut Shared) {
        let code_number = code.map(|code| code.0);
        let ended = self.channel.end(WebSocketClosed { code, reason, is_clean });
        if ended {
            shared.counts().websockets_closed.add(1);
            tracing::debug!(%peer, code = code_number, is_clean, "a WebSocket has ended");
            if let Some(mut record) = self.record.take() {
                record.close_code = code_number;
                shared.environment.end_watch(record, is_clean);
            }
            if let Some(handler) = self.handler.take() {
                handler.spawn(Rc::clone(&self.channel), shared.environment.worker_counts());
            }
        }
    }

    /// The stream has ended, possibly without Close.
    pub(in crate::protocol) fn lose(&mut self, peer: SocketAddr, shared: &mut Shared) {
        let (code, reason) = match self.sent_close.take() {
            Some(close) => (Some(close.0), close.1),
            None => (None, String::new()),
        };
        self.end(code, reason, false, peer, shared);
    }

    /// Writes the messages of the handler while there is room, and wakes those that wait for room.
    pub(in crate::protocol) fn write_queued(&mut self, output: &mut impl SocketOutput, shared: &mut Shared) {
        self.write_messages(output, shared);
        if let Some(writers) = self.channel.take_writers() {
            writers.into_iter().for_each(wake);
        }
    }

    fn write_messages(&mut self, output: &mut impl SocketOutput, shared: &mut Shared) {
        if self.channel.has_nothing_queued() {
            return;
        }
        let mut messages = 0;
        while output.has_room() {
            let Some(next) = self.channel.take_queued() else {
                break;
            };
            messages += u64::from(next.is_message());
            self.write(next, output, shared);
        }
        shared.counts().sent_messages.add(messages);
    }

    /// Writes an entry of the queue, and records its bytes.
    fn write(&mut self, next: Queued, output: &mut impl SocketOutput, shared: &mut Shared) {
        output.begin(&mut shared.links);
        let before = output.bytes().len();
        let uncopied = self.write_frame(next, output, shared);
        let written = output.bytes().len() - before;
        if let Some(record) = &mut self.record {
            record.body_bytes += (written + uncopied) as u64;
        }
    }

    /// Returns the number of bytes that are not copied into the output.
    fn write_frame(&mut self, next: Queued, output: &mut impl SocketOutput, shared: &mut Shared) -> usize {
        let codecs = &mut shared.websockets.codecs;
        let (kind, payload) = match next {
            Queued::Close(code, reason) => {
                self.engine.close(Some(code), &reason, output.bytes());
                self.sent_close = Some(Box::new((code, reason)));
                return 0;
            }
            Queued::Message(Message::Text(text)) if self.is_sent_from_place(text.len()) => {
                (MessageKind::Text, Bytes::from(text))
            }
            Queued::Message(Message::Binary(bytes)) if self.is_sent_from_place(bytes.len()) => {
                (MessageKind::Binary, bytes)
            }
            Queued::SharedText(text) => match self.engine.compress_shared(&text, codecs) {
                Some(compressed) => {
                    write_compressed_header(MessageKind::Text, compressed.len(), output.bytes());
                    if compressed.len() < UNCOPIED_BYTES {
                        output.bytes().extend_from_slice(&compressed);
                        return 0;
                    }
                    return put(compressed, output);
                }
                None if self.is_sent_from_place(text.len()) => {
                    (MessageKind::Text, Bytes::from_owner(SharedBytes(text)))
                }
                None => {
                    self.engine.write_text(&text, codecs, output.bytes());
                    return 0;
                }
            },
            Queued::Message(Message::Text(text)) => {
                self.engine.write_text(&text, codecs, output.bytes());
                return 0;
            }
            Queued::Message(Message::Binary(bytes)) => {
                self.engine.write_binary(&bytes, codecs, output.bytes());
                // The bytes may belong to the application, whose drop may panic.
                discard(bytes);
                return 0;
            }
        };
        write_message_header(kind, payload.len(), output.bytes());
        put(payload, output)
    }

    /// Returns whether a message of this length is not copied into the output.
    fn is_sent_from_place(&self, length: usize) -> bool {
        length >= UNCOPIED_BYTES && self.engine.is_open() && !self.engine.compresses(length)
    }

    /// Writes a ping to a silent client.
    pub(in crate::protocol) fn ping(&mut self, output: &mut impl SocketOutput, shared: &mut Shared) {
        output.begin(&mut shared.links);
        self.engine.write_ping(output.bytes());
        self.is_pinged = true;
    }

    /// The handler may have taken messages.
    fn resume(&mut self) {
        if self.channel.check_changes() && self.input == SocketInput::Paused {
            self.input = SocketInput::Ready;
        }
    }

    /// Queues Close: 1012 if another process serves, so that clients connect again, and 1001 otherwise.
    pub(in crate::protocol) fn close_for_stop(&self, shared: &Shared) {
        match shared.stop_state {
            StopState::KeepingIdle => self.channel.close(CloseCode::RESTART, "the server restarts"),
            StopState::Serving | StopState::Closing => self.channel.close(CloseCode::GOING_AWAY, "the server stops"),
        }
    }

    pub(in crate::protocol) fn input(&self) -> SocketInput {
        self.input
    }

    /// The event that it waits for, unless output waits for room.
    pub(in crate::protocol) fn timer(&self, shared: &Shared) -> Timer {
        let config = &shared.config.websocket;
        if !self.engine.is_open() {
            Timer::protocol(ProtocolTimer::Close, CLOSING_TIME)
        } else if self.input == SocketInput::Paused {
            // The handler is late, not the client.
            Timer::Off
        } else if self.engine.unfinished_bytes().is_some() {
            Timer::Receive
        } else if self.is_pinged {
            Timer::protocol(ProtocolTimer::Pong, config.timeout.saturating_sub(ping_after(config)))
        } else {
            Timer::protocol(ProtocolTimer::Quiet, ping_after(config))
        }
    }

    /// Returns whether Close was sent in both directions.
    pub(in crate::protocol) fn is_finished(&self) -> bool {
        self.engine.is_finished()
    }

    /// Returns whether messages wait for the handler.
    pub(in crate::protocol) fn holds_received(&self) -> bool {
        self.channel.holds_received()
    }

    pub(in crate::protocol) fn reads_little(&self) -> bool {
        self.engine.expected_bytes() <= LITTLE_BYTES
    }

    #[cfg(feature = "testing")]
    pub(in crate::protocol) fn buffer_bytes(&self) -> usize {
        self.engine.heap_bytes() + self.channel.buffer_bytes()
    }
}

/// The silence before a ping. A client has half of a timeout that is not longer than the interval of pings.
fn ping_after(config: &WebSocketConfig) -> Duration {
    match config.ping_after < config.timeout {
        true => config.ping_after,
        false => config.timeout / 2,
    }
}

/// Appends a payload without a copy, and returns its length.
fn put(payload: Bytes, output: &mut impl SocketOutput) -> usize {
    let length = payload.len();
    output.put(payload);
    length
}

/// The bytes of a text that several WebSockets share.
struct SharedBytes(Arc<str>);

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}
