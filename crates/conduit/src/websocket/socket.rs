//! An open WebSocket, and its halves.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::{CloseCode, Message, WebSocketClosed};
use crate::server::websocket::SocketHandle;

/// An open WebSocket: the argument of the function that [`on_upgrade`](super::WebSocketUpgrade::on_upgrade) takes.
///
/// Dropping it, as at the end of the handler, closes the WebSocket with 1000 after the queued messages.
pub struct WebSocket {
    /// The handle for both directions: a future holds it for long.
    receiver: WebSocketReceiver,
}

impl WebSocket {
    pub(super) fn new(handle: SocketHandle) -> Self {
        WebSocket {
            receiver: WebSocketReceiver(handle),
        }
    }

    /// Receives the next message; `None` after the end, whose cause [`end`](Self::end) returns.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped, as in `tokio::select!`, loses no message.
    pub async fn recv(&mut self) -> Option<Message> {
        self.receiver.recv().await
    }

    /// Queues a message; waits while the queue is full.
    ///
    /// # Errors
    ///
    /// Returns an error if the WebSocket is closed. A queued message may still be lost if the connection ends later:
    /// only a response of the client confirms it.
    ///
    /// # Cancel safety
    ///
    /// The message of a call that is dropped while it waits is not sent.
    pub fn send(&self, message: impl Into<Message>) -> impl Future<Output = Result<(), WebSocketClosed>> {
        self.receiver.0.send(message.into())
    }

    /// Queues a text message as [`send`](Self::send) does, without a copy: for a message that several WebSockets share,
    /// such as a message of a [topic](crate::hub::Topic).
    ///
    /// # Errors
    ///
    /// Returns an error if the WebSocket is closed.
    pub fn send_shared(&self, text: &Arc<str>) -> impl Future<Output = Result<(), WebSocketClosed>> {
        self.receiver.0.send_shared(Arc::clone(text))
    }

    /// Queues Close; later messages are refused. `recv` returns further messages until the client has closed too.
    ///
    /// # Panics
    ///
    /// Panics if the code is [invalid](CloseCode::is_valid) in a frame.
    #[track_caller]
    pub fn close(&self, code: CloseCode, reason: &str) {
        close(&self.receiver.0, code, reason);
    }

    /// Returns the end of the WebSocket; `Some` once `recv` has returned `None`.
    pub fn end(&self) -> Option<&WebSocketClosed> {
        self.receiver.end()
    }

    /// Splits the WebSocket into two halves, for example to send from another task.
    #[must_use]
    pub fn split(self) -> (WebSocketSender, WebSocketReceiver) {
        (WebSocketSender(self.receiver.0.duplicate()), self.receiver)
    }
}

/// The half of a WebSocket that sends. Clones send on the same WebSocket.
pub struct WebSocketSender(SocketHandle);

impl WebSocketSender {
    /// Queues a message as [`WebSocket::send`] does.
    ///
    /// # Errors
    ///
    /// Returns an error if the WebSocket is closed.
    pub fn send(&self, message: impl Into<Message>) -> impl Future<Output = Result<(), WebSocketClosed>> {
        self.0.send(message.into())
    }

    /// Queues a text message as [`WebSocket::send_shared`] does.
    ///
    /// # Errors
    ///
    /// Returns an error if the WebSocket is closed.
    pub fn send_shared(&self, text: &Arc<str>) -> impl Future<Output = Result<(), WebSocketClosed>> {
        self.0.send_shared(Arc::clone(text))
    }

    /// Queues Close as [`WebSocket::close`] does.
    ///
    /// # Panics
    ///
    /// Panics if the code is [invalid](CloseCode::is_valid) in a frame.
    #[track_caller]
    pub fn close(&self, code: CloseCode, reason: &str) {
        close(&self.0, code, reason);
    }
}

impl Clone for WebSocketSender {
    fn clone(&self) -> Self {
        WebSocketSender(self.0.duplicate())
    }
}

/// The half of a WebSocket that receives. Messages that arrive after its drop are discarded.
pub struct WebSocketReceiver(SocketHandle);

impl WebSocketReceiver {
    /// Receives a message as [`WebSocket::recv`] does.
    pub async fn recv(&mut self) -> Option<Message> {
        poll_fn(|context| self.0.poll_recv(context)).await
    }

    /// Returns the end of the WebSocket; `Some` once `recv` has returned `None`.
    pub fn end(&self) -> Option<&WebSocketClosed> {
        self.0.end()
    }
}

impl Stream for WebSocketReceiver {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.0.poll_recv(context)
    }
}

impl Drop for WebSocketReceiver {
    fn drop(&mut self) {
        self.0.stop_receiving();
    }
}

#[track_caller]
fn close(handle: &SocketHandle, code: CloseCode, reason: &str) {
    assert!(code.is_valid(), "a Close frame cannot contain {code}");
    handle.close(code, reason);
}

macro_rules! shows_its_end {
    ($($type:ident: $handle:expr;)*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let handle: fn(&$type) -> &SocketHandle = $handle;
                f.debug_struct(stringify!($type)).field("end", &handle(self).end()).finish()
            }
        }
    )*};
}

shows_its_end! {
    WebSocket: |socket| &socket.receiver.0;
    WebSocketSender: |sender| &sender.0;
    WebSocketReceiver: |receiver| &receiver.0;
}
