//! The faults of a peer, and the messages for them.

use std::fmt;

use http::StatusCode;

/// The peer broke the protocol: answer it with [`status`](Self::status), then close.
///
/// Displays as one sentence with the place, the rule and the remedy; it never quotes the peer's
/// bytes, so it may be logged and sent back as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestError {
    reason: Reason,
    offset: Option<u32>,
}

impl RequestError {
    pub(super) const fn new(reason: Reason) -> Self {
        Self { reason, offset: None }
    }

    pub(super) const fn at(reason: Reason, offset: usize) -> Self {
        Self {
            reason,
            offset: Some(offset as u32),
        }
    }

    /// The status to answer with: 400, 414, 417, 431, 501 or 505.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        use Reason as R;
        match self.reason {
            R::RequestLineTooLong => StatusCode::URI_TOO_LONG,
            R::UnknownExpectation => StatusCode::EXPECTATION_FAILED,
            R::HeadTooLarge | R::TooManyFields | R::TrailersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            R::UnknownTransferCoding | R::MethodTooLong => StatusCode::NOT_IMPLEMENTED,
            R::UnsupportedVersion => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// Which rule was broken.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Where, in bytes from the first byte of the request line, if the place is in the head.
    #[must_use]
    pub fn offset(&self) -> Option<usize> {
        self.offset.map(|offset| offset as usize)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason.detail())?;
        match self.offset {
            Some(offset) => write!(f, " (byte {offset} of the request)"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for RequestError {}

/// The rule that a request broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// More than eight empty lines before a request line (RFC 9112, section 2.2).
    BlankLines,
    /// A line ends in LF without CR, or CR is not followed by LF (RFC 9112, section 2.2).
    LineEnd,
    /// The method is empty or has a byte that no token has (RFC 9110, section 9.1).
    Method,
    /// The request line is not method, space, target, space, version (RFC 9112, section 3).
    RequestLine,
    /// The request target is in none of the four forms, or not in the one that the method wants, or
    /// it has a byte that no URI has: not visible ASCII, `#`, `<`, `>`, a backtick in the path, a
    /// `"` in the query, a `%` in the host (RFC 9112, section 3.2).
    Target,
    /// The request line does not end in `HTTP/` and two digits (RFC 9112, section 2.3).
    Version,
    /// A version of HTTP other than 1.x (RFC 9110, section 15.6.6).
    UnsupportedVersion,
    /// The request line alone is longer than the limit of the head, or its target is longer than
    /// [`TARGET_LIMIT`](super::TARGET_LIMIT) (RFC 9112, section 3).
    RequestLineTooLong,
    /// The method alone fills the limit of the head: no such method is implemented (RFC 9112,
    /// section 3).
    MethodTooLong,
    /// The head is longer than the limit.
    HeadTooLarge,
    /// More fields than the limit.
    TooManyFields,
    /// A field line starts with white space: obsolete line folding (RFC 9112, section 5.2).
    Folding,
    /// White space between a field's name and its colon (RFC 9112, section 5.1).
    SpaceBeforeColon,
    /// A field's name is empty, has a byte that no token has, or has no colon after it
    /// (RFC 9110, section 5.1).
    FieldName,
    /// A field's value has a control byte (RFC 9110, section 5.5).
    FieldValue,
    /// HTTP/1.1 without `Host` (RFC 9112, section 3.2).
    MissingHost,
    /// More than one `Host` (RFC 9112, section 3.2).
    RepeatedHost,
    /// `Host` is not a host with an optional port (RFC 9112, section 3.2).
    Host,
    /// `Content-Length` is not one decimal number below 2^64 (RFC 9110, section 8.6).
    ContentLength,
    /// More than one `Content-Length` (RFC 9110, section 8.6).
    RepeatedContentLength,
    /// Both `Content-Length` and `Transfer-Encoding` (RFC 9112, section 6.1).
    AmbiguousLength,
    /// `Transfer-Encoding` whose last coding is not `chunked`, or that has it twice, or that has an
    /// empty element (RFC 9112, section 6.3; RFC 9110, section 5.6.1.1).
    TransferEncoding,
    /// A transfer coding other than `chunked` (RFC 9112, section 6.1).
    UnknownTransferCoding,
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112, section 6.1).
    TransferEncodingVersion,
    /// `Expect` other than `100-continue` (RFC 9110, section 10.1.1).
    UnknownExpectation,
    /// A chunk's size is not 1 to 16 hexadecimal digits below 2^63 (RFC 9112, section 7.1).
    ChunkSize,
    /// A chunk's extension is not a name with an optional value, which is a token or a quoted
    /// string, or all extensions together are longer than the limit of the head (RFC 9112, section
    /// 7.1.1).
    ChunkExtension,
    /// A chunk is longer than its size said (RFC 9112, section 7.1).
    ChunkEnd,
    /// Head and trailers together are over the limits of the head (RFC 9112, section 7.1.2).
    TrailersTooLarge,
}

impl Reason {
    /// One sentence: the rule, and what to write instead.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::BlankLines => "too many empty lines before the request line: send at most 8",
            Self::LineEnd => "a bare CR or LF: end each line with CR and LF, and use neither elsewhere",
            Self::Method => "the method is not a token: use letters, such as GET",
            Self::RequestLine => "the request line is malformed: write method, one space, target, one space, HTTP/1.1",
            Self::Target => {
                "the request target is invalid: write a path with '/' first, percent-encode '\"', '<', '>', '`' and all \
                 bytes that are not visible ASCII, and leave out the fragment; '*' is for OPTIONS, host:port for CONNECT"
            }
            Self::Version => "the version is malformed: write HTTP/1.1",
            Self::UnsupportedVersion => "this version of HTTP is not spoken here: use HTTP/1.1",
            Self::MethodTooLong => "the method is longer than the limit of the head: use a method such as GET",
            Self::RequestLineTooLong => "the request line or its target is longer than the limit: shorten the target",
            Self::HeadTooLarge => "the head is longer than the limit: send fewer or shorter fields",
            Self::TooManyFields => "more fields than the limit: send fewer",
            Self::Folding => "a field line starts with white space: write each field in one line",
            Self::SpaceBeforeColon => "white space between a field's name and its colon: remove it",
            Self::FieldName => "a field line has no valid name and colon: write 'name: value'",
            Self::FieldValue => "a field's value has a control character: remove or encode it",
            Self::MissingHost => "the Host field is missing: HTTP/1.1 wants exactly one",
            Self::RepeatedHost => "the Host field is repeated: send exactly one",
            Self::Host => "the Host field is invalid: write a host and, if need be, a colon and a port",
            Self::ContentLength => "Content-Length is not one decimal number below 2^64",
            Self::RepeatedContentLength => "Content-Length is repeated: send exactly one",
            Self::AmbiguousLength => {
                "both Content-Length and Transfer-Encoding: the length of the body is ambiguous, send only one of them"
            }
            Self::TransferEncoding => {
                "Transfer-Encoding does not end in one 'chunked', or has an empty element: the length of the body is \
                 unknown, write 'Transfer-Encoding: chunked'"
            }
            Self::UnknownTransferCoding => "a transfer coding that is not implemented here: use only 'chunked'",
            Self::TransferEncodingVersion => {
                "Transfer-Encoding in HTTP/1.0, which does not have it: use HTTP/1.1 or Content-Length"
            }
            Self::UnknownExpectation => "an unknown expectation: only '100-continue' can be met",
            Self::ChunkSize => {
                "a chunk size is not 1 to 16 hexadecimal digits below 2^63, or is followed by another byte"
            }
            Self::ChunkExtension => {
                "a chunk extension is malformed, or all extensions together are longer than the limit of the head: \
                 write ';name', ';name=token' or ';name=\"text\"', or leave them out"
            }
            Self::ChunkEnd => "a chunk is not followed by CR and LF: its size does not fit its data",
            Self::TrailersTooLarge => "head and trailers together are over the limits: send fewer trailers",
        }
    }
}

/// The caller's body is not as long as the head that it wrote has declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// More bytes than declared: these many were left out, and the response is framed right.
    TooLong {
        /// The number of bytes of the piece that did not fit.
        excess: u64,
    },
    /// Fewer bytes than declared: the connection must be closed, which alone reveals it to the peer.
    TooShort {
        /// The number of missing bytes.
        missing: u64,
    },
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { excess } => write!(
                f,
                "the response's body has {excess} bytes more than its head declared; they were left out: \
                 declare the real length, or none"
            ),
            Self::TooShort { missing } => write!(
                f,
                "the response's body has {missing} bytes fewer than its head declared; the connection closes: \
                 declare the real length, or none"
            ),
        }
    }
}

impl std::error::Error for BodyError {}
