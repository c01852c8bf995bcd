//! The messages of the channels, which wait for the engine within a bound.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_core::Stream;
use redis::Msg;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

/// The maximum number of bytes of messages that wait.
pub(crate) const WAITING_BYTES: usize = 64 * 1024 * 1024;
/// The approximate memory of a message besides its payload.
const MESSAGE_BYTES: usize = 256;

/// The messages that a connection has received. The client of Redis reads them without a bound, also while the engine waits
/// for a response. A task takes them from it, and ends when too many wait: the messages end as with a lost connection.
pub(crate) struct ReceivedMessages {
    receiver: UnboundedReceiver<Msg>,
    waiting_bytes: Arc<AtomicUsize>,
    task: AbortHandle,
}

impl ReceivedMessages {
    pub(crate) fn new(messages: impl Stream<Item = Msg> + Send + 'static, limit_bytes: usize) -> Self {
        let (sender, receiver) = unbounded_channel();
        let waiting_bytes = Arc::default();
        let task = tokio::spawn(forward(messages, sender, Arc::clone(&waiting_bytes), limit_bytes));
        ReceivedMessages {
            receiver,
            waiting_bytes,
            task: task.abort_handle(),
        }
    }

    /// The next message; `None` after the end of the connection. A future that is dropped takes no message.
    pub(crate) async fn next(&mut self) -> Option<Msg> {
        let message = self.receiver.recv().await?;
        self.waiting_bytes.fetch_sub(cost(&message), Ordering::Relaxed);
        Some(message)
    }
}

impl Drop for ReceivedMessages {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(
    messages: impl Stream<Item = Msg>,
    sender: UnboundedSender<Msg>,
    waiting_bytes: Arc<AtomicUsize>,
    limit_bytes: usize,
) {
    let mut messages = pin!(messages);
    while let Some(message) = poll_fn(|context| messages.as_mut().poll_next(context)).await {
        let cost = cost(&message);
        if waiting_bytes.fetch_add(cost, Ordering::Relaxed) + cost > limit_bytes {
            tracing::warn!("more than {limit_bytes} bytes of messages of Redis wait; the engine reconnects");
            return;
        }
        // Sending fails at the end of the session.
        if sender.send(message).is_err() {
            return;
        }
    }
}

fn cost(message: &Msg) -> usize {
    message.get_payload_bytes().len() + MESSAGE_BYTES
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use redis::Value;

    use super::*;

    struct Messages(VecDeque<Msg>);

    impl Stream for Messages {
        type Item = Msg;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Msg>> {
            self.0
                .pop_front()
                .map_or(Poll::Pending, |message| Poll::Ready(Some(message)))
        }
    }

    fn message(payload: &[u8]) -> Msg {
        let parts = [b"message", &b"channel"[..], payload].map(|part| Value::BulkString(part.to_vec()));
        Msg::from_owned_value(Value::Array(parts.into())).expect("a message")
    }

    #[tokio::test]
    async fn messages_end_after_those_that_fit_within_the_bound() {
        let messages = || [&b"1"[..], b"22", &[b'3'; 1000]].map(message);
        let sum: usize = messages().iter().map(cost).sum();
        for (limit_bytes, fits) in [(sum, true), (sum - 1, false)] {
            let mut received = ReceivedMessages::new(Messages(messages().into()), limit_bytes);
            for payload in [&b"1"[..], b"22"] {
                assert_eq!(received.next().await.expect("it fits").get_payload_bytes(), payload);
            }
            if fits {
                assert_eq!(received.next().await.expect("it fits").get_payload_bytes().len(), 1000);
                assert_eq!(received.waiting_bytes.load(Ordering::Relaxed), 0);
            } else {
                assert!(received.next().await.is_none());
            }
        }
    }
}
