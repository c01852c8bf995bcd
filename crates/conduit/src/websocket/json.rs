//! Messages as JSON.

use std::fmt;
use std::marker::PhantomData;

use serde::Serialize;

use super::socket::{WebSocket, WebSocketReceiver, WebSocketSender};
use super::{CloseCode, Message, WebSocketClosed};
use crate::extract::Readable;

impl WebSocket {
    /// Reads and writes text messages as JSON: values of `In` from the client, and of `Out` to it.
    #[must_use]
    pub fn json<In: Readable, Out: Serialize>(self) -> JsonWebSocket<In, Out> {
        JsonWebSocket::new(self)
    }
}

/// A WebSocket whose messages are JSON: values of `In` from the client, and of `Out` to it.
///
/// # Example
///
/// A calculator:
///
/// ```
/// use conduit::WebSocketUpgrade;
/// use conduit::prelude::*;
/// use conduit::testing::TestClient;
/// use serde::{Deserialize, Serialize};
/// use serde_json::json;
///
/// #[derive(Deserialize)]
/// struct Add {
///     a: i64,
///     b: i64,
/// }
///
/// #[derive(Serialize)]
/// #[serde(rename_all = "lowercase")]
/// enum Answer {
///     Sum(i64),
///     Error(String),
/// }
///
/// #[get("/add")]
/// async fn add(upgrade: WebSocketUpgrade) -> Response {
///     upgrade.on_upgrade(|socket| async move {
///         let mut socket = socket.json::<Add, Answer>();
///         while let Some(message) = socket.recv().await {
///             let answer = match message {
///                 Ok(Add { a, b }) => Answer::Sum(a + b),
///                 Err(error) => Answer::Error(error.to_string()),
///             };
///             socket.send(&answer).await?;
///         }
///         Ok::<_, conduit::BoxError>(())
///     })
/// }
///
/// let client = TestClient::new(App::new(()).routes(routes![add]));
/// let mut socket = client.websocket("/add").open();
/// socket.send_json(&json!({ "a": 1, "b": 2 }));
/// assert_eq!(socket.recv_json(), json!({ "sum": 3 }));
/// socket.send("{}");
/// assert!(socket.recv().as_text().is_some_and(|text| text.contains("missing field `a`")));
/// ```
pub struct JsonWebSocket<In, Out> {
    sender: JsonSender<Out>,
    receiver: JsonReceiver<In>,
}

impl<In: Readable, Out: Serialize> JsonWebSocket<In, Out> {
    pub(super) fn new(socket: WebSocket) -> Self {
        let (sender, receiver) = socket.split();
        JsonWebSocket {
            sender: JsonSender(sender, PhantomData),
            receiver: JsonReceiver(receiver, PhantomData),
        }
    }

    /// Receives the next value; `None` after the end. A message that is not a value of `In` is an error, and the WebSocket stays open.
    ///
    /// # Cancel safety
    ///
    /// A call that is dropped, as in `tokio::select!`, loses no message.
    pub async fn recv(&mut self) -> Option<Result<In, JsonMessageError>> {
        self.receiver.recv().await
    }

    /// Queues a value; waits while the queue is full.
    ///
    /// # Errors
    ///
    /// Returns an error if the WebSocket is closed, or if the value cannot be serialized as JSON, such as a map with keys that are not
    /// strings. After the latter, the WebSocket stays open.
    ///
    /// # Cancel safety
    ///
    /// The value of a call that is dropped while it waits is not sent.
    pub async fn send(&self, value: &Out) -> Result<(), JsonSendError> {
        self.sender.send(value).await
    }

    /// Queues Close as [`WebSocket::close`] does.
    ///
    /// # Panics
    ///
    /// Panics if the code is [invalid](CloseCode::is_valid) in a frame.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.sender.0.close(code, reason);
    }

    /// Returns the end of the WebSocket; `Some` once `recv` has returned `None`.
    pub fn end(&self) -> Option<&WebSocketClosed> {
        self.receiver.0.end()
    }

    /// Splits the WebSocket into two halves.
    #[must_use]
    pub fn split(self) -> (JsonSender<Out>, JsonReceiver<In>) {
        (self.sender, self.receiver)
    }
}

/// The half of a [`JsonWebSocket`] that sends. Clones send on the same WebSocket.
pub struct JsonSender<Out>(WebSocketSender, PhantomData<fn(Out)>);

impl<Out: Serialize> JsonSender<Out> {
    /// Queues a value as [`JsonWebSocket::send`] does.
    ///
    /// # Errors
    ///
    /// Returns an error if the WebSocket is closed, or if the value cannot be serialized as JSON.
    pub async fn send(&self, value: &Out) -> Result<(), JsonSendError> {
        let text = serde_json::to_string(value).map_err(JsonSendError::NotJson)?;
        self.0.send(text).await.map_err(JsonSendError::Closed)
    }

    /// Queues Close as [`WebSocket::close`] does.
    ///
    /// # Panics
    ///
    /// Panics if the code is [invalid](CloseCode::is_valid) in a frame.
    pub fn close(&self, code: CloseCode, reason: &str) {
        self.0.close(code, reason);
    }
}

impl<Out> Clone for JsonSender<Out> {
    fn clone(&self) -> Self {
        JsonSender(self.0.clone(), PhantomData)
    }
}

/// The half of a [`JsonWebSocket`] that receives.
pub struct JsonReceiver<In>(WebSocketReceiver, PhantomData<fn() -> In>);

impl<In: Readable> JsonReceiver<In> {
    /// Receives a value as [`JsonWebSocket::recv`] does.
    pub async fn recv(&mut self) -> Option<Result<In, JsonMessageError>> {
        let message = self.0.recv().await?;
        Some(serde_json::from_slice(message.as_bytes()).map_err(|error| JsonMessageError { error, message }))
    }

    /// Returns the end of the WebSocket; `Some` once `recv` has returned `None`.
    pub fn end(&self) -> Option<&WebSocketClosed> {
        self.0.end()
    }
}

/// The error of a value that was not sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum JsonSendError {
    /// The WebSocket is closed.
    Closed(WebSocketClosed),
    /// The value cannot be serialized as JSON. The WebSocket is open.
    NotJson(serde_json::Error),
}

impl fmt::Display for JsonSendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            JsonSendError::Closed(end) => end.fmt(f),
            JsonSendError::NotJson(error) => write!(f, "the message cannot be serialized as JSON: {error}"),
        }
    }
}

impl std::error::Error for JsonSendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            JsonSendError::Closed(end) => Some(end),
            JsonSendError::NotJson(error) => Some(error),
        }
    }
}

/// A message that is not the expected JSON.
pub struct JsonMessageError {
    error: serde_json::Error,
    message: Message,
}

impl JsonMessageError {
    /// The message.
    pub fn message(&self) -> &Message {
        &self.message
    }
}

impl fmt::Display for JsonMessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the message is not the expected JSON: {}", self.error)
    }
}

impl fmt::Debug for JsonMessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JsonMessageError").field(&self.error).finish()
    }
}

impl std::error::Error for JsonMessageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}
