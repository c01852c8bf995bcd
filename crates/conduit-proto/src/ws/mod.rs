//! The server's side of WebSocket as an engine without I/O (RFC 6455), with permessage-deflate (RFC 7692).
//!
//! # The order of calls
//!
//! 1. [`Handshake::parse`] checks a request. Its [`accept`](Handshake::accept) is the value of `sec-websocket-accept` in
//!    the response, [`choose_subprotocol`] finds the value of `sec-websocket-protocol`, and
//!    [`DeflateConfig::negotiate`] that of `sec-websocket-extensions`.
//! 2. After the response with 101, a [`WebSocketConnection`] is the state of the client.
//!    [`WebSocketConnection::handle_input`] parses the received bytes until it returns [`WebSocketEvent::NeedMore`]. It
//!    returns the number of consumed bytes and an event; the caller keeps the rest and passes it again with the next
//!    bytes. Responses of the protocol, such as pongs, are appended to a buffer of the caller, so that all frames of
//!    one turn are sent at once.
//! 3. [`WebSocketConnection::write_text`], `write_binary` and `write_ping` at any time, until
//!    [`WebSocketConnection::close`] or the client's Close.
//! 4. If [`WebSocketConnection::is_finished`], close the connection after the output is sent.
//!
//! A [`WebSocketError`] is the client's fault and ends the connection; Close with its code is in the output.
//!
//! ```
//! use conduit_proto::ws::{Codecs, WebSocketConnection, WebSocketEvent, WebSocketLimits};
//!
//! let mut connection = WebSocketConnection::new(WebSocketLimits::default(), None);
//! let (mut codecs, mut output) = (Codecs::new(), Vec::new());
//!
//! // A text frame with a mask, as in RFC 6455, section 5.7.
//! let received = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
//! let (used, event) = connection.handle_input(received, &mut codecs, &mut output)?;
//! assert_eq!((used, event), (received.len(), WebSocketEvent::Text("Hello".to_owned())));
//!
//! connection.write_text("Hello", &mut codecs, &mut output);
//! assert_eq!(output, b"\x81\x05Hello");
//! # Ok::<(), conduit_proto::ws::WebSocketError>(())
//! ```
//!
//! # Protection
//!
//! All limits are on by default ([`WebSocketLimits`]). Memory is reserved for received bytes, not for announced ones: at
//! most 64 KiB ahead. A compressed message is inflated up to the limit of a message and no further. The text of a message
//! that is not compressed is validated as it arrives.
//!
//! # Cost
//!
//! A message costs the allocation that the caller receives. Between messages a connection holds no buffer, unless
//! compression with context takeover was negotiated.

mod connection;
mod deflate;
mod error;
mod frame;
mod handshake;

pub use connection::WebSocketConnection;
pub use deflate::{Codecs, Deflate, DeflateConfig};
pub use error::{CloseCode, WebSocketError, WebSocketReason};
pub use frame::{MessageKind, unmask, write_compressed_header, write_message_header};
pub use handshake::{Handshake, HandshakeError, choose_subprotocol, offers_websocket};

/// The limits of a connection: half words, because each idle connection holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocketLimits {
    /// The size of a message, after decompression. A larger one ends the connection with 1009. Default: 1 MiB.
    pub message_bytes: u32,
    /// The size of a frame. A larger one ends the connection with 1009 before its payload is read. A compressed frame may be
    /// longer by 64 bytes and a 512th of the limit, since data that cannot be compressed becomes longer. Default: 1 MiB.
    pub frame_bytes: u32,
    /// The number of frames of one message. More end the connection with 1008. Default: 1,024.
    pub fragments: u32,
}

impl Default for WebSocketLimits {
    fn default() -> Self {
        Self {
            message_bytes: 1024 * 1024,
            frame_bytes: 1024 * 1024,
            fragments: 1024,
        }
    }
}

/// The event of [`WebSocketConnection::handle_input`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebSocketEvent {
    /// There is no complete event: call again with more input. Some bytes may have been consumed.
    NeedMore,
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
    /// Ping. Pong is in the output.
    Ping,
    /// Pong.
    Pong,
    /// The client's Close: its code, if it has one, and its reason. The response is in the output. Occurs at most once.
    Close(Option<CloseCode>, String),
    /// The connection no longer reads: all input is discarded.
    Closed,
}
