//! The server side of HTTP/2 as an engine without I/O (RFC 9113), with HPACK (RFC 7541), priorities (RFC 9218) and
//! extended CONNECT (RFC 8441).
//!
//! # The order of calls
//!
//! An [`Http2Connection`] is the state of one client. All output is appended to a buffer of the caller, so that the
//! frames of one turn are sent together. [`Http2Connection::new`] appends the server's SETTINGS. Then, in each turn:
//!
//! 1. Pass the received bytes to [`Http2Connection::handle_input`] until it returns [`Http2Event::NeedMore`]. It
//!    returns the number of consumed bytes and an event; keep the remaining bytes and pass them again together with
//!    the next ones.
//!    - [`Http2Event::Request`]: the [`Head`](crate::h1::Head) is filled, as by HTTP/1.1. If its
//!      [`body`](crate::h1::Head::body) is not [`BodyLength::None`](crate::h1::BodyLength::None), [`Http2Event::Body`]
//!      follows for each piece and [`Http2Event::End`] once.
//!    - [`Http2Event::Reset`]: the stream is closed. Its handler may be cancelled; nothing more is sent.
//! 2. Call [`Http2Connection::consumed`] for each part of a body that its reader has consumed, for flow control.
//! 3. Write the response at any time after the request: [`Http2Connection::write_head`], any number of
//!    [`Http2Connection::write_body`], and [`Http2Connection::write_end`]; or all at once with
//!    [`Http2Connection::write_response`]. `write_body` accepts as many bytes as flow control permits.
//! 4. If it has not accepted all bytes, call [`Http2Connection::set_pending`]. While there is room for output,
//!    [`Http2Connection::next_pending`] returns the stream that sends next.
//! 5. If [`Http2Connection::is_finished`], close the connection after sending the output.
//!
//! A [`ConnectionError`] is caused by the peer and ends the connection; GOAWAY is in the output. An error of a single
//! stream ends it with RST_STREAM, without an action of the caller.
//!
//! ```
//! use std::time::Duration;
//!
//! use conduit_proto::h1::Head;
//! use conduit_proto::h2::{Http2Connection, Http2Event, Http2Limits};
//!
//! let (mut head, mut output) = (Head::new(), Vec::new());
//! let mut connection = Http2Connection::new(&Http2Limits::default(), &mut output);
//! let now = Duration::ZERO;
//!
//! // The preface, empty SETTINGS, and HEADERS: GET / with the authority "a".
//! let received = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
//!     \0\0\0\x04\0\0\0\0\0\0\0\x06\x01\x05\0\0\0\x01\x82\x84\x86\x41\x01a";
//! let mut start = 0;
//! loop {
//!     let (used, event) = connection.handle_input(&received[start..], &mut head, &mut output, now)?;
//!     start += used;
//!     match event {
//!         Http2Event::Request(stream) => {
//!             assert_eq!((head.path(), head.authority()), ("/", Some("a")));
//!             let (headers, date) = (http::HeaderMap::new(), conduit_proto::http_date(0));
//!             connection.write_response(&mut output, stream, http::StatusCode::OK, &headers, b"hello", &date);
//!         }
//!         Http2Event::NeedMore => break,
//!         _ => {}
//!     }
//! }
//! assert_eq!(start, received.len());
//! assert!(output.ends_with(b"\0\0\x05\0\x01\0\0\0\x01hello"));
//! # Ok::<(), conduit_proto::h2::ConnectionError>(())
//! ```
//!
//! # Protection
//!
//! All limits have defaults ([`Http2Limits`]). Frames that cost work and transfer nothing, such as resets in either
//! direction, SETTINGS, PRIORITY and DATA of less than 5 bytes, share one budget. If it is used up, the connection is first
//! delayed ([`Http2Event::Delayed`]) and later closed with ENHANCE_YOUR_CALM. WINDOW_UPDATE and PING count only if there are
//! more than three for each request and each sent DATA frame. The tree of RFC 7540 priorities is ignored.
//!
//! # Cost
//!
//! In the steady state, a request without trailers does not allocate. Streams reuse the slots of earlier ones; the
//! tables of HPACK are allocated at their first entry.

mod connection;
mod data;
mod error;
mod flow;
mod frame;
mod glitch;
mod headers;
pub mod hpack;
mod preface;
mod priority;
mod receive;
mod request;
mod send;
mod settings;
mod stream;

use std::time::Duration;

use http::HeaderMap;

pub use connection::{Http2Connection, Http2Phase};
pub use error::{ConnectionError, ErrorCode, Http2Reason};
pub use preface::{PREFACE_LINE, Preface, detect_preface};
pub use priority::Priority;
pub use stream::StreamId;

use crate::h1::limits::MAX_FIELDS;

/// The limits of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Http2Limits {
    /// The number of concurrent streams. Further ones are refused with REFUSED_STREAM, so that a client may retry.
    /// Default: 128. Values above 65,535 mean 65,535.
    pub streams: u32,
    /// The size of a field section as defined for SETTINGS_MAX_HEADER_LIST_SIZE: the length of name and value, and 32
    /// bytes, for each field. A larger request is [refused](Http2Event::Refused) with 431. Default: 64 KiB. Values
    /// above 1 GiB mean 1 GiB.
    pub header_list_bytes: usize,
    /// The number of fields in a section, including each part of a cookie, without pseudo-header fields. Default: 100. Values
    /// above 24,000 mean 24,000.
    pub headers: usize,
    /// The number of CONTINUATION frames of one section. Default: 8.
    pub continuations: u8,
    /// The number of unconsumed bytes of the body of a stream. Default: 64 KiB.
    pub stream_window: u32,
    /// The maximum window of a stream, to which it grows while its reader consumes everything. Default: 1 MiB.
    pub max_stream_window: u32,
    /// The number of unconsumed bytes of all bodies of a connection. Default: 1 MiB. Values below 65,535 mean 65,535.
    pub connection_window: u32,
    /// The burst of useless frames. Default: 1,000.
    pub glitches: u32,
    /// The sustained number of useless frames per second. Default: 33.
    pub glitches_per_second: u32,
    /// Offers extended CONNECT (RFC 8441). Default: false.
    pub extended_connect: bool,
}

impl Http2Limits {
    /// The limits, clamped to the documented ranges.
    fn clamped(mut self) -> Self {
        self.streams = self.streams.min(u16::MAX.into());
        self.header_list_bytes = self.header_list_bytes.min(1 << 30);
        self.headers = self.headers.min(MAX_FIELDS);
        self.stream_window = self.stream_window.min(flow::MAX_WINDOW);
        self.connection_window = self.connection_window.clamp(flow::DEFAULT_WINDOW, flow::MAX_WINDOW);
        self
    }
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            streams: 128,
            header_list_bytes: 64 * 1024,
            headers: 100,
            continuations: 8,
            stream_window: 64 * 1024,
            max_stream_window: 1024 * 1024,
            connection_window: 1024 * 1024,
            glitches: 1000,
            glitches_per_second: 33,
            extended_connect: false,
        }
    }
}

/// The event of [`Http2Connection::handle_input`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Http2Event<'a> {
    /// There is no complete event: call again with more input. Some bytes may have been consumed.
    NeedMore,
    /// The head of a request, in the [`Head`](crate::h1::Head).
    Request(StreamId),
    /// A request that exceeds a limit, or has an unknown expectation: respond with the [status](Http2Reason::status) of the
    /// reason. The head is incomplete, and the body is discarded.
    Refused(StreamId, Http2Reason),
    /// A non-empty piece of the request body. The caller calls [`Http2Connection::consumed`] after its reader has
    /// consumed it.
    Body(StreamId, &'a [u8]),
    /// The end of the request body, with its trailers. It occurs exactly once for each request whose body is not
    /// [`BodyLength::None`](crate::h1::BodyLength::None), unless the stream is closed first. Fields that are not
    /// allowed in trailers are removed (RFC 9110, section 6.5.1).
    End(StreamId, Option<Box<HeaderMap>>),
    /// The stream of a request was closed, by the client or because the client violated a rule.
    Reset(StreamId, ResetCause),
    /// A stream was reset before its request became an event, for this reason. For logs and counters.
    Rejected(Http2Reason),
    /// The client sends too many useless frames: stop reading, and call again at this time.
    Delayed(Duration),
    /// The connection no longer reads: all input is discarded.
    Closed,
}

/// The cause of the end of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetCause {
    /// RST_STREAM from the client.
    Peer(ErrorCode),
    /// The client violated a rule and was sent RST_STREAM.
    Rule(Http2Reason),
}
