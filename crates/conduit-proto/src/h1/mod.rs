//! The server side of HTTP/1.1 as an engine without I/O (RFC 9112).
//!
//! # The order of calls
//!
//! A [`Connection`] is the state of one client. Pass received bytes to [`Connection::handle_input`], which returns the
//! number of consumed bytes and an event; keep the remaining bytes and pass them again together with the next ones.
//! Output is appended to a buffer of the caller.
//!
//! 1. Call `handle_input` until it returns [`Event::Request`]. The [`Head`] is filled.
//! 2. If [`Head::body`] is not [`BodyLength::None`], `handle_input` returns [`Event::Body`] for each piece and [`Event::End`]
//!    once. Before the first piece, [`Connection::write_continue`] responds to a client that expects `100 Continue`. An
//!    unwanted body need not be read.
//! 3. At any time after step 1, write the response: [`Connection::write_head`], any number of [`Connection::write_body`], and
//!    [`Connection::write_end`]; or all at once with [`Connection::write_response`].
//! 4. If [`Connection::keep_alive`] is false, close the connection after sending the output. Otherwise continue with step 1;
//!    the rest of the request body is discarded without events.
//!
//! Between a complete request and the end of its response, `handle_input` returns [`Event::Blocked`]: pipelined
//! requests are processed one at a time and in order. The caller need not read meanwhile.
//!
//! A [`RequestError`] is caused by the peer and ends reading. Write a response if [`Connection::can_answer`], then
//! close the connection.
//!
//! ```
//! use conduit_proto::h1::{BodyLength, Connection, Event, Head, Limits};
//!
//! let (mut connection, mut head) = (Connection::new(), Head::new());
//! let (mut body, mut output) = (Vec::new(), Vec::new());
//! let (limits, date) = (Limits::default(), conduit_proto::http_date(0));
//!
//! // Bytes as a socket returns them, in two arbitrary pieces.
//! let mut pending = Vec::new();
//! for received in [
//!     &b"POST /echo HTTP/1.1\r\nHost: example.org\r\nTransfer-En"[..],
//!     b"coding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
//! ] {
//!     pending.extend_from_slice(received);
//!     let mut start = 0;
//!     loop {
//!         let (used, event) = connection.handle_input(&pending[start..], &mut head, &limits)?;
//!         start += used;
//!         match event {
//!             Event::Request => assert_eq!(head.body(), BodyLength::Chunked),
//!             Event::Body(piece) => body.extend_from_slice(piece),
//!             Event::End(_trailers) => {
//!                 let headers = http::HeaderMap::new();
//!                 connection.write_response(&mut output, http::StatusCode::OK, &headers, &body, &date);
//!             }
//!             Event::NeedMore | Event::Blocked | Event::Closed | Event::Upgraded => break,
//!         }
//!     }
//!     pending.drain(..start);
//! }
//! assert!(output.ends_with(b"\r\n\r\nabcde"));
//! # Ok::<(), conduit_proto::h1::RequestError>(())
//! ```
//!
//! # Rejected input
//!
//! Bytes that two parsers interpret differently allow request smuggling, so the parser is strict where RFC 9112 leaves
//! a choice: lines end only in CR LF, fields are not folded, `Content-Length` is one number and occurs once,
//! `Transfer-Encoding` is `chunked` and requires HTTP/1.1, and chunk extensions follow their grammar. A target that is
//! not a valid [`http::Uri`] is rejected, so that [`Head::path`] and the `Uri` are always equal. Each [`Reason`] names
//! its section. Events and errors do not depend on the division of the input into pieces.
//!
//! A value cannot split the output: an [`http::HeaderValue`] contains neither CR nor LF, and only the engine writes
//! `Content-Length`, `Transfer-Encoding` and `Connection`.
//!
//! # Cost
//!
//! The size of a connection is at most 64 bytes. In the steady state, a request without trailers does not allocate. The
//! work is linear in the number of bytes, independent of the pieces.

pub(crate) mod authority;
mod body;
mod connection;
mod error;
pub(crate) mod framing;
pub(crate) mod head;
pub(crate) mod limits;
pub(crate) mod map;
mod progress;
mod response;
pub(crate) mod scan;
#[cfg(test)]
mod tests;

pub use connection::{Connection, DRAIN_BYTES};
pub use error::{BodyError, Reason, RequestError};
pub use head::Head;
pub use limits::{Limits, TARGET_LIMIT};

pub use crate::message::BodyLength;
use http::HeaderMap;

/// The event of [`Connection::handle_input`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// There is no complete event: call again with more input. Some bytes may have been consumed, such as empty lines
    /// before a request or the framing of chunks.
    NeedMore,
    /// The head of a request, in the [`Head`].
    Request,
    /// A non-empty, decoded piece of the request body.
    Body(&'a [u8]),
    /// The end of the request body, with its trailers. It occurs exactly once for each request whose [`Head::body`] is
    /// not [`BodyLength::None`], unless the response is finished first.
    ///
    /// Fields that affect framing, routing, authentication or the interpretation of the content are not allowed in
    /// trailers and are removed (RFC 9110, section 6.5.1).
    End(Option<Box<HeaderMap>>),
    /// The request is complete and its response is not; no input is consumed until then.
    Blocked,
    /// The connection no longer reads: all input is discarded.
    Closed,
    /// The connection has switched protocols by a response with 101, or with 2xx to `CONNECT`. Further input belongs to
    /// the new protocol and is not consumed.
    Upgraded,
}

/// The phase of a connection, for deadlines.
///
/// If the peer ends the stream, `Idle` is the only phase without an incomplete message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Between requests: no byte of the next one has arrived.
    Idle,
    /// A part of a head has arrived.
    Head,
    /// The request body is incomplete; its response may have started.
    Body,
    /// The request is complete and its response is not.
    Answer,
    /// The response is complete, and the rest of the request body is discarded.
    Drain,
    /// Input is ignored; a response may be incomplete.
    Closed,
    /// The connection has switched protocols.
    Upgraded,
}
