//! Errors of requests, and their messages.

use std::fmt;

use http::StatusCode;

/// A protocol violation by the peer: respond with [`status`](Self::status), then close the connection.
///
/// It displays as one sentence with the position, the rule and the remedy. It never contains bytes of the peer, so it
/// is safe for logs and responses.
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

    /// The status of the response: 400, 414, 417, 431, 501 or 505.
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

    /// The violated rule.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// The position in bytes from the start of the request line, if the error is in the head.
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

/// The rule that a request violates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// More than eight empty lines before a request line (RFC 9112, section 2.2).
    BlankLines,
    /// A line ends in LF without CR, or CR is not followed by LF (RFC 9112, section 2.2).
    LineEnd,
    /// The method is empty or contains a byte that is not allowed in a token (RFC 9110, section 9.1).
    Method,
    /// The request line is not method, space, target, space, version (RFC 9112, section 3).
    RequestLine,
    /// The request target has none of the four forms, or not one that its method allows, or contains a byte that is not
    /// allowed in a URI: not visible ASCII, `#`, `<`, `>`, a backtick in the path, a `"` in the query, a `%` in the
    /// host (RFC 9112, section 3.2).
    Target,
    /// The request line does not end in `HTTP/` and two digits (RFC 9112, section 2.3).
    Version,
    /// A version of HTTP other than 1.x (RFC 9110, section 15.6.6).
    UnsupportedVersion,
    /// The request line exceeds the limit of the head, or its target exceeds [`TARGET_LIMIT`](super::TARGET_LIMIT) (RFC
    /// 9112, section 3).
    RequestLineTooLong,
    /// The method alone exceeds the limit of the head: no such method is implemented (RFC 9112, section 3).
    MethodTooLong,
    /// The head exceeds the limit.
    HeadTooLarge,
    /// The number of fields exceeds the limit.
    TooManyFields,
    /// A field line starts with white space: obsolete line folding (RFC 9112, section 5.2).
    Folding,
    /// White space between a field's name and its colon (RFC 9112, section 5.1).
    SpaceBeforeColon,
    /// The name of a field is empty, contains a byte that is not allowed in a token, or is not followed by a colon (RFC
    /// 9110, section 5.1).
    FieldName,
    /// The value of a field contains a control character (RFC 9110, section 5.5).
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
    /// The last coding in `Transfer-Encoding` is not `chunked`, or `chunked` is repeated, or an element is empty (RFC
    /// 9112, section 6.3; RFC 9110, section 5.6.1.1).
    TransferEncoding,
    /// A transfer coding other than `chunked` (RFC 9112, section 6.1).
    UnknownTransferCoding,
    /// `Transfer-Encoding` in HTTP/1.0 (RFC 9112, section 6.1).
    TransferEncodingVersion,
    /// `Expect` other than `100-continue` (RFC 9110, section 10.1.1).
    UnknownExpectation,
    /// The size of a chunk is not 1 to 16 hexadecimal digits below 2^63 (RFC 9112, section 7.1).
    ChunkSize,
    /// A chunk extension is not a name with an optional value (a token or a quoted string), or all extensions together
    /// exceed the limit of the head (RFC 9112, section 7.1.1).
    ChunkExtension,
    /// The data of a chunk is longer than its size (RFC 9112, section 7.1).
    ChunkEnd,
    /// Head and trailers together exceed the limits of the head (RFC 9112, section 7.1.2).
    TrailersTooLarge,
}

impl Reason {
    /// One sentence with the rule and the remedy.
    #[must_use]
    pub fn detail(self) -> &'static str {
        match self {
            Self::BlankLines => "too many empty lines before the request line: send at most 8",
            Self::LineEnd => "a bare CR or LF: end each line with CR and LF, and use neither elsewhere",
            Self::Method => "the method is not a token: use a method such as GET",
            Self::RequestLine => "the request line is malformed: write method, one space, target, one space, HTTP/1.1",
            Self::Target => {
                "the request target is invalid: write a path with '/' first, percent-encode '\"', '<', '>', '`' and all \
                 bytes that are not visible ASCII, and omit the fragment; '*' is for OPTIONS, host:port for CONNECT"
            }
            Self::Version => "the version is malformed: use HTTP/1.1",
            Self::UnsupportedVersion => "this version of HTTP is not supported: use HTTP/1.1",
            Self::MethodTooLong => "the method exceeds the limit of the head: use a method such as GET",
            Self::RequestLineTooLong => "the request line or its target exceeds the limit: shorten the target",
            Self::HeadTooLarge => "the head exceeds the limit: send fewer or shorter fields",
            Self::TooManyFields => "the number of fields exceeds the limit: send fewer",
            Self::Folding => "a field line starts with white space: write each field in one line",
            Self::SpaceBeforeColon => "white space between a field's name and its colon: remove it",
            Self::FieldName => "a field line does not start with a valid name and a colon: write 'name: value'",
            Self::FieldValue => "a field's value contains a control character: remove or encode it",
            Self::MissingHost => "the Host field is missing: send exactly one",
            Self::RepeatedHost => "the Host field is repeated: send exactly one",
            Self::Host => "the Host field is invalid: write a host and optionally a colon and a port",
            Self::ContentLength => "Content-Length is invalid: send one decimal number below 2^64",
            Self::RepeatedContentLength => "Content-Length is repeated: send exactly one",
            Self::AmbiguousLength => {
                "both Content-Length and Transfer-Encoding: the length of the body is ambiguous: send only one of them"
            }
            Self::TransferEncoding => {
                "Transfer-Encoding does not end in one 'chunked', or has an empty element, so the length of the body is \
                 unknown: write 'Transfer-Encoding: chunked'"
            }
            Self::UnknownTransferCoding => "the transfer coding is not supported: use only 'chunked'",
            Self::TransferEncodingVersion => {
                "Transfer-Encoding is not defined for HTTP/1.0: use HTTP/1.1 or Content-Length"
            }
            Self::UnknownExpectation => "the expectation is not supported: send only '100-continue'",
            Self::ChunkSize => {
                "a chunk size is invalid: send 1 to 16 hexadecimal digits below 2^63, followed by CR and LF or an extension"
            }
            Self::ChunkExtension => {
                "a chunk extension is malformed, or all extensions together exceed the limit of the head: \
                 write ';name', ';name=token' or ';name=\"text\"', or remove them"
            }
            Self::ChunkEnd => "a chunk is not followed by CR and LF: send as many bytes as its size",
            Self::TrailersTooLarge => "head and trailers together exceed the limits: send fewer trailers",
        }
    }
}

/// The length of the caller's body differs from the length in the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyError {
    /// More bytes than declared: the excess is discarded, and the framing of the response is correct.
    TooLong {
        /// The number of discarded bytes.
        excess: u64,
    },
    /// Fewer bytes than declared: close the connection, which is the only indication for the peer.
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
                "the response body has {excess} bytes more than its head declared: declare the actual length, or none"
            ),
            Self::TooShort { missing } => write!(
                f,
                "the response body has {missing} bytes fewer than its head declared: declare the actual length, or none"
            ),
        }
    }
}

impl std::error::Error for BodyError {}
