//! The server's side of HTTP/1.1 as an engine without I/O (RFC 9112).
//!
//! # The order of calls
//!
//! A [`Connection`] is one client's state. Received bytes go to
//! [`Connection::handle_input`], which returns the number of consumed bytes and an event; the caller
//! keeps the rest and passes it again with the next bytes. Output is appended to a
//! buffer of the caller.
//!
//! 1. `handle_input` until it gives [`Event::Request`]. The [`Head`] is filled.
//! 2. If [`Head::body`] is not [`BodyLength::None`]: `handle_input` gives [`Event::Body`] for each
//!    piece and [`Event::End`] once. Before the first piece, [`Connection::write_continue`]
//!    answers a client that waits for it. An unwanted body need not be read.
//! 3. At any time from 1 on, the answer: [`Connection::write_head`], any number of
//!    [`Connection::write_body`], and [`Connection::write_end`]; or all of them at once with
//!    [`Connection::write_response`].
//! 4. If [`Connection::keep_alive`] is false, close when the buffer is sent. Else go on with 1;
//!    what is left of the last request's body is skipped on the way, without events.
//!
//! Between a complete request and the end of its answer `handle_input` gives [`Event::Blocked`]:
//! requests of a pipeline are answered one by one and in order. A caller need not read meanwhile.
//!
//! A [`RequestError`] is the peer's fault. It ends the reading; the connection may still write an
//! answer if [`Connection::can_answer`], and then has to be closed.
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
//! # Refused input
//!
//! Bytes that two parsers read differently allow request smuggling, so the parser is strict where
//! RFC 9112 leaves a choice: lines end in CR LF and nothing else,
//! fields are not folded, a `Content-Length` is one number and occurs once,
//! `Transfer-Encoding` is `chunked` and HTTP/1.1, a chunk extension follows its grammar. A target
//! that an [`http::Uri`] cannot hold is refused, so that [`Head::path`] and the `Uri` are always
//! equal. Each [`Reason`] names its section. Nothing depends on how the bytes were cut into pieces
//! on their way: the events and errors are the same.
//!
//! A value cannot split the output: a [`http::HeaderValue`] has neither CR nor LF, and
//! the engine alone writes `Content-Length`, `Transfer-Encoding` and `Connection`.
//!
//! # Cost
//!
//! A connection is at most 64 bytes. In the steady state a request without trailers allocates
//! nothing. The work is linear in the bytes, however they come.

pub(crate) mod authority;
mod body;
mod connection;
mod error;
pub(crate) mod framing;
pub(crate) mod head;
pub(crate) mod map;
mod progress;
mod response;
pub(crate) mod scan;
#[cfg(test)]
mod tests;

pub use connection::{Connection, DRAIN_BYTES};
pub use error::{BodyError, Reason, RequestError};
pub use head::Head;
use http::HeaderMap;

/// The longest request target, in bytes: 65,534, which is the longest that an [`http::Uri`] holds. A longer one is refused
/// with 414, however large the limit of the head is.
pub const TARGET_LIMIT: usize = u16::MAX as usize - 1;

/// The limits of a request's head.
///
/// A larger head is refused with 431, or 414 for the request line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The length of the head in bytes, from the first byte of the request line to the empty line
    /// that ends it; the trailers of the same request count too, and the chunk extensions have as
    /// much again. Default: 16 KiB. Values above 1 GiB mean 1 GiB.
    pub head_bytes: usize,
    /// The number of fields, those of the trailers included. Default: 100. Values above 24,576 mean
    /// that, which is what an [`http::HeaderMap`] has room for.
    pub headers: usize,
}

impl Limits {
    /// The limit of the head, small enough for the positions in it to be 32 bits wide.
    fn head_limit(&self) -> usize {
        self.head_bytes.min(1 << 30)
    }

    /// The limit of the fields, small enough for a map of them not to panic.
    fn field_limit(&self) -> usize {
        self.headers.min(24_576)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 16 * 1024,
            headers: 100,
        }
    }
}

/// The framing of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyLength {
    /// There is no body. (A request with `Content-Length: 0` has none either.)
    #[default]
    None,
    /// This many bytes.
    Exact(u64),
    /// As many as come: chunked, or in a response to HTTP/1.0 up to the close.
    Chunked,
}

/// The event of [`Connection::handle_input`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// Nothing complete: call again with more. Something may have been used nevertheless, such as
    /// empty lines before a request or the framing of chunks.
    NeedMore,
    /// A request: its head is in the [`Head`].
    Request,
    /// A piece of the request's body, decoded, not empty.
    Body(&'a [u8]),
    /// The request's body has ended, with these trailers. Comes exactly once for each request
    /// whose [`Head::body`] is not [`BodyLength::None`], unless its answer is finished first.
    ///
    /// Fields that frame, route or authenticate a message, or say how to read it, do not belong in
    /// trailers and are left out (RFC 9110, section 6.5.1).
    End(Option<Box<HeaderMap>>),
    /// A complete request waits for the end of its answer; nothing is used until then.
    Blocked,
    /// The connection reads no more: all input is used, to no effect.
    Closed,
    /// The connection speaks another protocol since an answer with 101, or with 2xx to `CONNECT`;
    /// all input from here on is of that protocol, and nothing is used.
    Upgraded,
}

/// The phase of a connection, for the deadlines of its owner.
///
/// When the peer ends the stream, `Idle` is the only phase in which no message is incomplete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Between requests: no byte of the next one is there.
    Idle,
    /// A part of a head is there.
    Head,
    /// The body of a request is coming in; its answer may be under way already.
    Body,
    /// The request is complete and its answer is not.
    Answer,
    /// The answer is complete; what is left of the request's body is being skipped.
    Drain,
    /// Nothing is read any more; an answer may still be under way.
    Closed,
    /// The connection speaks another protocol.
    Upgraded,
}
