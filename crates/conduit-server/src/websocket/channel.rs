//! The channel between a connection and the handler of its WebSocket: two bounded queues, and the end.

use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread::LocalKey;

use bytes::Bytes;
use conduit_proto::ws::CloseCode;

use super::queue::{MessageQueue, QueueEntry, QueuePool};
use crate::commands::register;
use crate::exchange_id::ExchangeId;
use crate::ready_queue::ReadyWaker;
use crate::waker_slot::wake;

/// The waker of a handler.
pub(crate) type HandlerWaker = ReadyWaker<ExchangeId>;

/// The memory that a message in a queue counts besides its bytes, so that empty messages are bounded too.
const MESSAGE_BYTES: usize = 64;
/// A message of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8.
    Text(String),
    /// Bytes.
    Binary(Bytes),
}

impl Message {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Message::Text(text) => Some(text),
            Message::Binary(_) => None,
        }
    }

    /// The bytes of either kind.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }
}

impl QueueEntry for Message {
    fn cost(&self) -> usize {
        self.as_bytes().len() + MESSAGE_BYTES
    }

    fn pool() -> &'static LocalKey<QueuePool<Self>> {
        thread_local!(static RECEIVED: QueuePool<Message> = const { RefCell::new(Vec::new()) });
        &RECEIVED
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Message::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Message::Text(text.to_owned())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Self {
        Message::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Message::Binary(bytes.into())
    }
}

/// The end of a WebSocket.
///
/// Returned as an error, it means that the message was not queued.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WebSocketClosed {
    /// The code of the client's Close, or of the server's if the connection ended without one of the client; `None` if it ended
    /// without either, or if the client's Close had no code.
    pub code: Option<CloseCode>,
    /// The reason in that Close.
    pub reason: String,
    /// Both sides have sent Close. Otherwise the connection was lost, or the client broke a rule.
    pub is_clean: bool,
}

impl fmt::Display for WebSocketClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.code {
            Some(code) if self.reason.is_empty() => write!(f, "the WebSocket is closed with {code}"),
            Some(code) => write!(f, "the WebSocket is closed with {code}: {:.60}", self.reason),
            None if self.is_clean => f.write_str("the WebSocket is closed"),
            None => f.write_str("the connection of the WebSocket is lost"),
        }
    }
}

impl std::error::Error for WebSocketClosed {}

/// An entry of the queue to the client.
pub(crate) enum Queued {
    Message(Message),
    /// A text message that several WebSockets share.
    SharedText(Arc<str>),
    Close(CloseCode, String),
}

impl QueueEntry for Queued {
    fn cost(&self) -> usize {
        match self {
            Queued::Message(message) => message.cost(),
            Queued::SharedText(text) => text.len() + MESSAGE_BYTES,
            Queued::Close(..) => 0,
        }
    }

    fn pool() -> &'static LocalKey<QueuePool<Self>> {
        thread_local!(static QUEUED: QueuePool<Queued> = const { RefCell::new(Vec::new()) });
        &QUEUED
    }
}

impl Queued {
    /// Returns whether it is a message.
    pub(crate) fn is_message(&self) -> bool {
        !matches!(self, Queued::Close(..))
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum ChannelPhase {
    #[default]
    Open,
    /// Close is queued or sent.
    Closing,
    Ended,
}

#[derive(Default)]
pub(crate) struct Channel {
    phase: Cell<ChannelPhase>,
    received: MessageQueue<Message>,
    queued: MessageQueue<Queued>,
    /// Half a word: an idle WebSocket holds it.
    limit_bytes: Cell<u32>,
    reader: Cell<Option<Waker>>,
    /// The senders that wait for room.
    #[expect(clippy::box_collection, reason = "one word while no sender waits")]
    writers: Cell<Option<Box<Vec<Waker>>>>,
    end: OnceCell<Box<WebSocketClosed>>,
    /// The waker of the handler, which leads to its connection.
    waker: OnceCell<Arc<HandlerWaker>>,
    /// The connection is going to look for changes.
    is_announced: Cell<bool>,
    /// The connection has paused until the handler has taken messages.
    is_paused: Cell<bool>,
    /// The handler no longer receives messages.
    has_no_reader: Cell<bool>,
    /// The number of handles of the handler. Without one it is abandoned.
    handles: Cell<u32>,
    /// The handler was polled.
    has_begun: Cell<bool>,
}

// The connection's end.
impl Channel {
    pub(crate) fn set_limit(&self, bytes: usize) {
        self.limit_bytes.set(u32::try_from(bytes).unwrap_or(u32::MAX).max(1));
    }

    fn limit(&self) -> usize {
        self.limit_bytes.get() as usize
    }

    /// This waker leads to the connection.
    pub(crate) fn connect(&self, waker: Arc<HandlerWaker>) {
        // It is set once.
        let _ = self.waker.set(waker);
    }

    /// Passes a message to the handler. Its [reader](Self::take_reader) is to be woken.
    pub(crate) fn push(&self, message: Message) {
        if !self.has_no_reader.get() {
            self.received.push(message);
        }
    }

    /// Returns whether the handler has to take messages before more are read; it wakes the connection then.
    pub(crate) fn pauses(&self) -> bool {
        let pauses = self.received.bytes() >= self.limit();
        self.is_paused.set(pauses);
        pauses
    }

    /// Returns whether not even messages that have arrived are passed on.
    pub(crate) fn is_full(&self) -> bool {
        self.received.bytes() >= self.limit().saturating_mul(2)
    }

    /// Returns whether messages wait for the handler.
    pub(crate) fn holds_received(&self) -> bool {
        !self.received.is_empty()
    }

    /// The receiver that waits for a message, if there is one.
    pub(crate) fn take_reader(&self) -> Option<Waker> {
        if self.received.is_empty() {
            return None;
        }
        self.reader.take()
    }

    /// The connection polls the handler, and then looks for changes: those wake nothing before
    /// [`check_changes`](Self::check_changes).
    pub(crate) fn expect_changes(&self) {
        self.is_announced.set(true);
    }

    /// The connection looks for changes, and the next one wakes it. Returns whether a paused connection continues.
    pub(crate) fn check_changes(&self) -> bool {
        self.is_announced.set(false);
        self.is_paused.get() && self.has_taken_enough()
    }

    /// The next entry of the queue. Close is the last one of a handler that has dropped its handles.
    pub(crate) fn take_queued(&self) -> Option<Queued> {
        self.queued.pop().or_else(|| {
            if !self.is_abandoned() || !self.has_begun.get() {
                return None;
            }
            // The connection writes already.
            self.queue_close(CloseCode::NORMAL, "");
            self.queued.pop()
        })
    }

    /// Returns whether the connection has nothing to write: no message, and no Close of a handler without handles.
    pub(crate) fn has_nothing_queued(&self) -> bool {
        self.queued.is_empty() && !self.is_abandoned()
    }

    /// The senders that wait for room in the queue, if there is room.
    #[expect(clippy::box_collection, reason = "one word while no sender waits")]
    pub(crate) fn take_writers(&self) -> Option<Box<Vec<Waker>>> {
        let writers = self.writers.take()?;
        if self.queued.bytes() < self.limit() {
            return Some(writers);
        }
        self.writers.set(Some(writers));
        None
    }

    fn wake_writers(&self) {
        self.writers
            .take()
            .into_iter()
            .flat_map(|writers| *writers)
            .for_each(wake);
    }

    /// Queues Close after the messages that are queued; later ones are refused.
    pub(crate) fn close(&self, code: CloseCode, reason: &str) {
        if self.queue_close(code, reason) {
            self.announce();
        }
    }

    /// Queues Close as [`close`](Self::close) does, without notifying the connection. Returns whether Close was queued.
    fn queue_close(&self, code: CloseCode, reason: &str) -> bool {
        let is_open = self.phase.get() == ChannelPhase::Open;
        if is_open {
            self.phase.set(ChannelPhase::Closing);
            self.queued.push(Queued::Close(code, reason.to_owned()));
            self.wake_writers();
        }
        is_open
    }

    /// The handler was polled: from here on the channel closes once its handles are dropped. Before that the handler may still
    /// fail, which has another code.
    pub(crate) fn has_begun(&self) {
        if !self.has_begun.replace(true) && self.is_abandoned() {
            self.announce();
        }
    }

    fn is_abandoned(&self) -> bool {
        self.handles.get() == 0
    }

    /// The connection has ended. The handler still receives the messages before that.
    pub(crate) fn end(&self, end: WebSocketClosed) -> bool {
        if self.phase.replace(ChannelPhase::Ended) == ChannelPhase::Ended {
            return false;
        }
        // It is set once.
        let _ = self.end.set(Box::new(end));
        self.queued.clear();
        self.wake_writers();
        if let Some(reader) = self.reader.take() {
            wake(reader);
        }
        true
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.phase.get() == ChannelPhase::Ended
    }

    /// The memory of messages.
    #[cfg(feature = "testing")]
    pub(crate) fn buffer_bytes(&self) -> usize {
        self.received.bytes() + self.queued.bytes()
    }
}

// The handler's end.
impl Channel {
    /// Wakes the connection, which then reads the changes.
    fn announce(&self) {
        if let Some(waker) = self.waker.get()
            && !self.is_announced.replace(true)
        {
            waker.wake_up();
        }
    }

    fn has_taken_enough(&self) -> bool {
        self.received.bytes() <= self.limit() / 2
    }

    fn poll_recv(&self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        if let Some(message) = self.received.pop() {
            if self.is_paused.get() && self.has_taken_enough() {
                self.announce();
            }
            return Poll::Ready(Some(message));
        }
        if self.has_ended() {
            return Poll::Ready(None);
        }
        register(&self.reader, context.waker());
        Poll::Pending
    }

    fn poll_send(&self, message: &mut Option<Queued>, context: &mut Context<'_>) -> Poll<Result<(), WebSocketClosed>> {
        if self.phase.get() != ChannelPhase::Open {
            return Poll::Ready(Err(self.closed()));
        }
        if self.queued.bytes() >= self.limit() {
            let mut writers = self.writers.take().unwrap_or_default();
            if !writers.iter().any(|known| known.will_wake(context.waker())) {
                writers.push(context.waker().clone());
            }
            self.writers.set(Some(writers));
            return Poll::Pending;
        }
        if let Some(message) = message.take() {
            self.queued.push(message);
            self.announce();
        }
        Poll::Ready(Ok(()))
    }

    /// The error of a message that is not queued.
    pub(crate) fn closed(&self) -> WebSocketClosed {
        self.end.get().map(|end| (**end).clone()).unwrap_or(WebSocketClosed {
            code: None,
            reason: String::new(),
            is_clean: true,
        })
    }
}

/// A handle of a handler on its WebSocket. The drop of the last one closes it with 1000.
pub struct SocketHandle(Rc<Channel>);

impl Drop for SocketHandle {
    fn drop(&mut self) {
        let left = self.0.handles.get() - 1;
        self.0.handles.set(left);
        if left == 0 {
            self.0.announce();
        }
    }
}

impl SocketHandle {
    pub(super) fn new(channel: Rc<Channel>) -> Self {
        channel.handles.set(channel.handles.get() + 1);
        SocketHandle(channel)
    }

    /// Another handle.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        SocketHandle::new(Rc::clone(&self.0))
    }

    fn channel(&self) -> &Channel {
        &self.0
    }

    /// The next message; `None` after the end.
    pub fn poll_recv(&self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.channel().poll_recv(context)
    }

    /// Queues a message as soon as there is room.
    ///
    /// # Errors
    ///
    /// Returns the end if the WebSocket is closed.
    pub fn send(&self, message: Message) -> impl Future<Output = Result<(), WebSocketClosed>> {
        self.send_queued(Queued::Message(message))
    }

    /// Queues a text message that other WebSockets share, as soon as there is room.
    ///
    /// # Errors
    ///
    /// Returns the end if the WebSocket is closed.
    pub fn send_shared(&self, text: Arc<str>) -> impl Future<Output = Result<(), WebSocketClosed>> {
        self.send_queued(Queued::SharedText(text))
    }

    /// Not an async function, which would store the message twice in the future of an idle handler.
    fn send_queued(&self, message: Queued) -> impl Future<Output = Result<(), WebSocketClosed>> {
        let mut message = Some(message);
        poll_fn(move |context| self.channel().poll_send(&mut message, context))
    }

    /// Queues Close. The handler may receive until the client has closed too.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.channel().close(code, reason);
    }

    /// The end, if the WebSocket has ended.
    pub fn end(&self) -> Option<&WebSocketClosed> {
        self.channel().end.get().map(|end| &**end)
    }

    /// Drops received messages, now and later.
    pub fn stop_receiving(&self) {
        let channel = self.channel();
        channel.has_no_reader.set(true);
        channel.received.clear();
        channel.announce();
    }
}
