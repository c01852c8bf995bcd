//! The reading end of a request's body, and the channel that the worker feeds.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::error::BodyError;
use crate::exchange_id::ExchangeId;
use crate::pool::Buffer;
use crate::waker_slot::register;

/// The buffer size of a request's body for a handler that reads it as a stream; when it is full, the server stops
/// reading from the socket, and TCP slows the client down.
const STREAM_WINDOW_BYTES: usize = 64 * 1024;

/// The reading half of a request's body.
pub struct Incoming {
    pub(super) channel: Rc<Channel>,
    pub(super) limit: u64,
    pub(super) received: u64,
    pub(super) declared: Option<u64>,
}

impl Incoming {
    /// A body that arrives through a channel. Its limit is set when it is taken.
    pub fn new(channel: Rc<Channel>, declared: Option<u64>) -> Self {
        Incoming {
            channel,
            limit: u64::MAX,
            received: 0,
            declared,
        }
    }

    /// Returns whether no length is declared.
    pub(crate) fn is_chunked(&self) -> bool {
        self.declared.is_none()
    }

    /// Returns whether the body ended without further bytes, once that is known. Received bytes stay in the buffer.
    pub(crate) fn poll_is_empty(&self, context: &mut Context<'_>) -> Poll<bool> {
        self.channel.poll_is_empty(context)
    }

    /// Fails if the body exceeds the limit, by its declared or its received length.
    pub fn check_limit(&self, received: u64) -> Result<(), BodyError> {
        let length = self.declared.unwrap_or(0).max(received);
        BodyError::check_length(length, self.limit)
    }

    pub(super) fn poll_all(&mut self, context: &mut Context<'_>) -> Poll<Result<Buffer, BodyError>> {
        self.check_limit(self.received + self.channel.buffer.borrow().len() as u64)?;
        match self.channel.state.get() {
            State::Open => {
                self.channel
                    .window
                    .set(usize::try_from(self.limit).unwrap_or(usize::MAX).saturating_add(1));
                self.channel.is_collected.set(true);
                self.channel.wait(context);
                Poll::Pending
            }
            State::Broken => Poll::Ready(Err(BodyError::Incomplete)),
            State::Refused => Poll::Ready(Err(BodyError::OutOfMemory)),
            State::Ended => {
                let all = self.channel.buffer.take();
                self.channel.resume_if_paused();
                Poll::Ready(Ok(all))
            }
        }
    }

    /// The complete body, if it has arrived, is within its limit, and has no trailers.
    #[cfg(feature = "tower")]
    pub(crate) fn take_whole(&mut self) -> Option<Buffer> {
        let channel = &*self.channel;
        let is_whole = channel.state.get() == State::Ended && channel.trailers.borrow().is_none();
        let received = self.received + channel.buffer.borrow().len() as u64;
        if !is_whole || self.check_limit(received).is_err() {
            return None;
        }
        let whole = channel.buffer.take();
        self.channel.resume_if_paused();
        Some(whole)
    }

    pub(super) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        let piece = self.channel.buffer.take();
        self.received += piece.len() as u64;
        if let Err(error) = self.check_limit(self.received) {
            return Poll::Ready(Some(Err(error)));
        }
        if !piece.is_empty() {
            self.channel.resume_if_paused();
            // From here on it is in the memory of the stream's reader.
            return Poll::Ready(Some(Ok(Bytes::from(piece.into_vec()))));
        }
        match self.channel.state.get() {
            State::Open => {
                self.channel.wait(context);
                Poll::Pending
            }
            State::Broken => Poll::Ready(Some(Err(BodyError::Incomplete))),
            State::Refused => Poll::Ready(Some(Err(BodyError::OutOfMemory))),
            State::Ended => Poll::Ready(None),
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.channel.abandon();
    }
}

/// An event at the reading end of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyEvent {
    /// The reader wants more than has arrived.
    Wanted,
    /// The reader is dropped.
    Abandoned,
}

/// The recipient of the events of exchanges, which the worker implements: those at the reading end of a request's body, and
/// informational responses.
pub trait ExchangeEvents {
    /// Adds an event of the body of this exchange.
    fn send(&self, exchange: ExchangeId, event: BodyEvent);

    /// Sends an informational response on this exchange, unless its response has begun.
    fn inform(&self, exchange: ExchangeId, status: StatusCode, headers: HeaderMap);
}

/// Sends the events of one exchange.
#[derive(Clone)]
pub struct ExchangeEventSender {
    events: Rc<dyn ExchangeEvents>,
    exchange: ExchangeId,
}

impl ExchangeEventSender {
    /// A sender of the events of this exchange.
    pub fn new(events: Rc<dyn ExchangeEvents>, exchange: ExchangeId) -> Self {
        ExchangeEventSender { events, exchange }
    }

    fn send(&self, event: BodyEvent) {
        self.events.send(self.exchange, event);
    }

    /// Sends an informational response, unless the response has begun.
    pub(crate) fn inform(&self, status: StatusCode, headers: HeaderMap) {
        self.events.inform(self.exchange, status, headers);
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Open,
    Ended,
    Broken,
    /// The server has no memory for it.
    Refused,
}

/// The state that the worker and the reader of one request's body share. Both are on the same thread.
#[derive(Default)]
pub struct Channel {
    /// The received bytes that are not read yet.
    buffer: RefCell<Buffer>,
    /// The worker stops reading from the socket while `buffer` holds at least this many bytes.
    window: Cell<usize>,
    /// The reader wants the whole body at once.
    is_collected: Cell<bool>,
    state: Cell<State>,
    pub(super) trailers: RefCell<Option<Box<HeaderMap>>>,
    reader: RefCell<Option<Waker>>,
    /// The worker stopped reading, or waits to send `100 Continue`: notify it when the reader wants more.
    worker_waits: Cell<bool>,
    abandoned: Cell<bool>,
    sender: RefCell<Option<ExchangeEventSender>>,
}

impl Channel {
    /// Prepares the channel for a new request.
    pub fn open(&self, sender: ExchangeEventSender) {
        self.buffer.take();
        self.window.set(STREAM_WINDOW_BYTES);
        self.is_collected.set(false);
        self.state.set(State::Open);
        self.trailers.take();
        self.reader.take();
        self.worker_waits.set(false);
        self.abandoned.set(false);
        *self.sender.borrow_mut() = Some(sender);
    }

    /// Adds a piece. Returns whether the socket may be read further now.
    pub fn push(&self, piece: &[u8]) -> bool {
        if self.abandoned.get() {
            return true;
        }
        let mut buffer = self.buffer.borrow_mut();
        if buffer.capacity() == 0 {
            *buffer = Buffer::take();
        }
        if buffer.append(piece).is_err() {
            drop(buffer);
            self.refuse();
            return true;
        }
        let room = buffer.len() < self.window.get();
        drop(buffer);
        self.wake();
        room
    }

    /// The reader is dropped: frees the memory of the body and discards the rest, so reading must not stay paused.
    fn abandon(&self) {
        self.buffer.take();
        self.abandoned.set(true);
        self.notify_worker(BodyEvent::Abandoned);
    }

    /// Frees the memory of the body, and discards the rest.
    #[cold]
    fn refuse(&self) {
        self.buffer.take();
        self.abandoned.set(true);
        self.state.set(State::Refused);
        self.wake();
    }

    /// Ends the body.
    pub fn end(&self, trailers: Option<Box<HeaderMap>>) {
        *self.trailers.borrow_mut() = trailers;
        if self.state.get() == State::Open {
            self.state.set(State::Ended);
        }
        self.wake();
    }

    /// Aborts the body: its end was not received.
    pub fn abort(&self) {
        if self.state.get() == State::Open {
            self.state.set(State::Broken);
            self.wake();
        }
    }

    /// Aborts the body together with its stream or connection: frees the part that has arrived if that is not the whole.
    pub fn cancel(&self) {
        if self.state.get() == State::Open {
            self.buffer.take();
            self.abort();
        }
    }

    /// Returns whether the reader does not want more bytes: it has not requested them since the worker stopped reading, or it was
    /// dropped.
    pub fn is_unwanted(&self) -> bool {
        self.worker_waits.get() || self.abandoned.get()
    }

    /// The number of received bytes that the reader has not taken. A reader of the whole body has taken all that has arrived.
    pub fn unread_bytes(&self) -> usize {
        if self.is_collected.get() {
            0
        } else {
            self.buffer.borrow().len()
        }
    }

    /// The memory of received bytes that were not read.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer.borrow().capacity()
    }

    /// The memory of a complete body that remains for its reader after [`cancel`](Self::cancel). The body of a reader that waits
    /// for all of it is the reader's.
    pub fn kept_bytes(&self) -> usize {
        match self.state.get() {
            State::Ended if !self.is_collected.get() => self.buffer_bytes(),
            _ => 0,
        }
    }

    /// Makes the reader send [`BodyEvent::Wanted`] when it wants more bytes.
    pub fn notify_when_wanted(&self) {
        self.worker_waits.set(true);
    }

    /// Returns whether the body ended without a byte, once that is known. Received bytes stay in the buffer.
    fn poll_is_empty(&self, context: &mut Context<'_>) -> Poll<bool> {
        if !self.buffer.borrow().is_empty() {
            return Poll::Ready(false);
        }
        match self.state.get() {
            State::Open => {
                self.wait(context);
                Poll::Pending
            }
            State::Ended => Poll::Ready(true),
            State::Broken | State::Refused => Poll::Ready(false),
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wait(&self, context: &mut Context<'_>) {
        self.resume_if_paused();
        register(&mut self.reader.borrow_mut(), context.waker());
    }

    fn resume_if_paused(&self) {
        self.notify_worker(BodyEvent::Wanted);
    }

    fn notify_worker(&self, event: BodyEvent) {
        if self.worker_waits.replace(false)
            && let Some(sender) = &*self.sender.borrow()
        {
            sender.send(event);
        }
    }
}
