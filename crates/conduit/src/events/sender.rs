//! A channel into an event stream.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::event::{Event, IntoEvent};
use crate::BoxError;

/// The number of events that wait for a client before `send` waits.
const CAPACITY: usize = 16;

/// Sends events into a stream of [`Events`](super::Events); clones send into the same one. The stream ends with the last
/// of them.
pub struct EventSender<T>(Arc<Channel<T>>);

/// The error of [`EventSender::send`]: the client has disconnected, or the server stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventsClosed;

impl fmt::Display for EventsClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the event stream has ended")
    }
}

impl std::error::Error for EventsClosed {}

struct Channel<T>(Mutex<ChannelState<T>>);

struct ChannelState<T> {
    queued: VecDeque<Event<T>>,
    receiver: Option<Waker>,
    senders: Vec<Waker>,
    sender_count: usize,
    is_closed: bool,
}

impl<T> Channel<T> {
    fn lock(&self) -> MutexGuard<'_, ChannelState<T>> {
        // No code of the application runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A channel.
pub(super) fn channel<T>() -> (EventSender<T>, EventReceiver<T>) {
    let channel = Arc::new(Channel(Mutex::new(ChannelState {
        queued: VecDeque::new(),
        receiver: None,
        senders: Vec::new(),
        sender_count: 1,
        is_closed: false,
    })));
    (EventSender(Arc::clone(&channel)), EventReceiver(channel))
}

impl<T> EventSender<T> {
    /// Queues an event, or the data of one; waits while 16 are queued.
    ///
    /// # Errors
    ///
    /// Returns an error if the stream has ended because its client disconnected or the server is shutting down.
    ///
    /// # Cancel safety
    ///
    /// The event of a call that is dropped while it waits is not sent.
    pub async fn send(&self, event: impl Into<Event<T>>) -> Result<(), EventsClosed> {
        let mut event = Some(event.into());
        poll_fn(|context| {
            let mut state = self.0.lock();
            if state.is_closed {
                return Poll::Ready(Err(EventsClosed));
            }
            if state.queued.len() >= CAPACITY {
                if !state.senders.iter().any(|known| known.will_wake(context.waker())) {
                    state.senders.push(context.waker().clone());
                }
                return Poll::Pending;
            }
            state.queued.extend(event.take());
            let receiver = state.receiver.take();
            drop(state);
            receiver.into_iter().for_each(Waker::wake);
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Returns whether the stream has ended.
    pub fn is_closed(&self) -> bool {
        self.0.lock().is_closed
    }

    /// Waits for the end of the stream, for work that sends nothing for long.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost when the future is dropped.
    pub async fn closed(&self) {
        poll_fn(|context| {
            let mut state = self.0.lock();
            if state.is_closed {
                return Poll::Ready(());
            }
            if !state.senders.iter().any(|known| known.will_wake(context.waker())) {
                state.senders.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

impl<T> From<T> for Event<T> {
    fn from(data: T) -> Self {
        Event::new(data)
    }
}

impl<T> Clone for EventSender<T> {
    fn clone(&self) -> Self {
        self.0.lock().sender_count += 1;
        EventSender(Arc::clone(&self.0))
    }
}

impl<T> Drop for EventSender<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.sender_count -= 1;
        if state.sender_count == 0 {
            let receiver = state.receiver.take();
            drop(state);
            receiver.into_iter().for_each(Waker::wake);
        }
    }
}

impl<T> fmt::Debug for EventSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventSender")
            .field("is_closed", &self.is_closed())
            .finish()
    }
}

/// The end of the channel that the response's stream reads.
pub(super) struct EventReceiver<T>(Arc<Channel<T>>);

impl<T> Stream for EventReceiver<T> {
    type Item = Event<T>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event<T>>> {
        let mut state = self.0.lock();
        if let Some(event) = state.queued.pop_front() {
            let senders = std::mem::take(&mut state.senders);
            drop(state);
            senders.into_iter().for_each(Waker::wake);
            return Poll::Ready(Some(event));
        }
        if state.sender_count == 0 {
            return Poll::Ready(None);
        }
        state.receiver = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for EventReceiver<T> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        let queued = std::mem::take(&mut state.queued);
        let senders = std::mem::take(&mut state.senders);
        drop(state);
        senders.into_iter().for_each(Waker::wake);
        drop(queued);
    }
}

/// The events that a future sends while it runs. The future ends with the client.
pub(super) struct Generator<T, F> {
    /// `None` after its end.
    future: Option<Pin<Box<F>>>,
    failure: Option<BoxError>,
    events: EventReceiver<T>,
}

impl<T, F> Generator<T, F> {
    pub(super) fn new(events: EventReceiver<T>, future: F) -> Self {
        Generator {
            future: Some(Box::pin(future)),
            failure: None,
            events,
        }
    }
}

/// The result of a function that sends events: `()`, or a `Result`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the result of a function that sends events",
    label = "the function of `Events::generate` returns `{Self}`",
    note = "return `()`, or a `Result<(), E>` whose error converts into `Box<dyn std::error::Error + Send + Sync>`"
)]
pub trait EventsOutcome {
    /// Returns the outcome of the function.
    ///
    /// # Errors
    ///
    /// Returns the error of the function.
    fn into_result(self) -> Result<(), BoxError>;
}

impl EventsOutcome for () {
    fn into_result(self) -> Result<(), BoxError> {
        Ok(())
    }
}

impl<E: Into<BoxError>> EventsOutcome for Result<(), E> {
    fn into_result(self) -> Result<(), BoxError> {
        self.map_err(Into::into)
    }
}

impl<T, F> Stream for Generator<T, F>
where
    F: Future,
    F::Output: EventsOutcome,
{
    type Item = Result<Event<T>, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(future) = &mut this.future
            && let Poll::Ready(outcome) = future.as_mut().poll(context)
        {
            this.future = None;
            this.failure = outcome.into_result().err();
        }
        // After the end of the future its events come first.
        match Pin::new(&mut this.events).poll_next(context) {
            Poll::Ready(Some(event)) => Poll::Ready(Some(event.into_event())),
            Poll::Ready(None) => Poll::Ready(this.failure.take().map(Err)),
            Poll::Pending => match this.failure.take() {
                Some(failure) => Poll::Ready(Some(Err(failure))),
                None => Poll::Pending,
            },
        }
    }
}
