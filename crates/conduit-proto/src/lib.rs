//! Protocol engines without I/O: bytes in, events and bytes out.
//!
//! An engine does not open a socket, read a clock or start a thread. The caller transfers the bytes and provides the
//! time, so an engine behaves equally with epoll, with TLS, in a test and in a fuzzer. The crate contains no `unsafe`.
//!
//! - [`h1`]: the server side of HTTP/1.1 (RFC 9112).
//! - `h2`, with the feature `h2`: the server side of HTTP/2 (RFC 9113).
//! - [`message`]: the framing of responses by method and status.
//! - [`multipart`]: the bodies of forms with files (RFC 7578).
//! - [`proxy`]: the header of the PROXY protocol.
//! - `ws`, with the feature `ws`: the server side of WebSocket (RFC 6455, 7692).
//! - [`range`]: the field `Range` (RFC 9110, section 14). [`file_path`]: the path of a file from that of a request.
//! - [`http_date`]: the value of the `Date` field.
//!
//! A server with one connection, without the socket:
//!
//! ```
//! use conduit_proto::h1::{BodyLength, Connection, Event, Head, Limits};
//! use conduit_proto::http_date;
//!
//! let mut connection = Connection::new();
//! let (mut head, mut output) = (Head::new(), Vec::new());
//!
//! let mut input: &[u8] = b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n";
//! let (used, event) = connection.handle_input(input, &mut head, &Limits::default())?;
//! input = &input[used..];
//! assert_eq!(event, Event::Request);
//!
//! let headers = http::HeaderMap::new();
//! connection.write_response(&mut output, http::StatusCode::OK, &headers, b"hello", &http_date(0));
//! assert_eq!(
//!     output,
//!     b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\nhello"
//! );
//! assert!(connection.keep_alive() && input.is_empty());
//! # Ok::<(), conduit_proto::h1::RequestError>(())
//! ```
#![forbid(unsafe_code)]

mod date;
mod digits;
pub mod file_path;
pub mod h1;
#[cfg(feature = "h2")]
pub mod h2;
pub mod message;
pub mod multipart;
pub mod proxy;
pub mod range;
#[cfg(feature = "ws")]
pub mod ws;

pub use date::http_date;

/// The code of the README, compiled as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
