//! WebSockets (RFC 6455): [`WebSocketUpgrade`] in a handler's arguments opens one.
//!
//! # Example
//!
//! A WebSocket that returns each message:
//!
//! ```
//! use conduit::prelude::*;
//! use conduit::testing::TestClient;
//! use conduit::websocket::WebSocketClosed;
//! use conduit::{WebSocket, WebSocketUpgrade};
//!
//! #[get("/echo")]
//! async fn echo(upgrade: WebSocketUpgrade) -> Response {
//!     upgrade.on_upgrade(return_messages)
//! }
//!
//! async fn return_messages(mut socket: WebSocket) -> Result<(), WebSocketClosed> {
//!     while let Some(message) = socket.recv().await {
//!         socket.send(message).await?;
//!     }
//!     Ok(())
//! }
//!
//! let client = TestClient::new(App::new(()).routes(routes![echo]));
//! let mut socket = client.websocket("/echo").open();
//! socket.send("hello");
//! assert_eq!(socket.recv().as_text(), Some("hello"));
//! ```
//!
//! # Guarantees
//!
//! - **Limits**: a message has at most [1 MiB](crate::App::websocket_message_limit) and
//!   [1,024 frames](crate::App::websocket_fragment_limit). Each direction has a queue of
//!   [64 KiB](crate::App::websocket_queue_limit): a full one delays the handler's `send`, or the client.
//! - **Dead clients**: after [30 s of silence](crate::App::websocket_ping_interval) the server sends a ping, and after
//!   [60 s](crate::App::websocket_timeout) it closes the connection. A client that receives messages more slowly than the [minimum
//!   rate](crate::App::minimum_rate) is disconnected.
//! - **The handler ends with its connection**: `recv` returns `None` and `send` fails. A handler that waits for something else is
//!   dropped 10 s later, or at once if its route has `disconnect = "abort"`.
//! - **Shutdown**: clients receive Close with 1001, or with 1012 if another process takes over, after the queued messages.
//! - **Other origins**: browsers send cookies with requests of any page, so requests from other origins are refused unless they are
//!   [permitted](WebSocketUpgrade::allow_origins).
//!
//! Pings and pongs are not messages: the server responds to them. All messages that arrive together are passed on together,
//! and all that a handler queues meanwhile are sent by one system call. An idle WebSocket has no buffer.

mod json;
mod origin;
mod socket;
mod upgrade;

pub use conduit_proto::ws::{CloseCode, DeflateConfig};

pub use self::json::{JsonMessageError, JsonReceiver, JsonSendError, JsonSender, JsonWebSocket};
pub use self::socket::{WebSocket, WebSocketReceiver, WebSocketSender};
pub use self::upgrade::{SocketOutcome, WebSocketUpgrade};
pub use conduit_server::internal::websocket::{Message, WebSocketClosed};
