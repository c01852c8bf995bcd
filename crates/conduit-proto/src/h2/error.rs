//! Error codes, and the rules that a peer can violate.

use std::fmt;

use http::StatusCode;

/// An error code of RST_STREAM and GOAWAY (RFC 9113, section 7). A peer may send unknown codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ErrorCode(pub u32);

impl ErrorCode {
    /// NO_ERROR.
    pub const NO_ERROR: Self = Self(0x0);
    /// PROTOCOL_ERROR.
    pub const PROTOCOL_ERROR: Self = Self(0x1);
    /// INTERNAL_ERROR.
    pub const INTERNAL_ERROR: Self = Self(0x2);
    /// FLOW_CONTROL_ERROR.
    pub const FLOW_CONTROL_ERROR: Self = Self(0x3);
    /// SETTINGS_TIMEOUT.
    pub const SETTINGS_TIMEOUT: Self = Self(0x4);
    /// STREAM_CLOSED.
    pub const STREAM_CLOSED: Self = Self(0x5);
    /// FRAME_SIZE_ERROR.
    pub const FRAME_SIZE_ERROR: Self = Self(0x6);
    /// REFUSED_STREAM.
    pub const REFUSED_STREAM: Self = Self(0x7);
    /// CANCEL.
    pub const CANCEL: Self = Self(0x8);
    /// COMPRESSION_ERROR.
    pub const COMPRESSION_ERROR: Self = Self(0x9);
    /// CONNECT_ERROR.
    pub const CONNECT_ERROR: Self = Self(0xa);
    /// ENHANCE_YOUR_CALM.
    pub const ENHANCE_YOUR_CALM: Self = Self(0xb);
    /// INADEQUATE_SECURITY.
    pub const INADEQUATE_SECURITY: Self = Self(0xc);
    /// HTTP_1_1_REQUIRED.
    pub const HTTP_1_1_REQUIRED: Self = Self(0xd);

    /// The name of the code, if it is known.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        NAMES.get(self.0 as usize).copied()
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "unknown error code {:#x}", self.0),
        }
    }
}

/// A connection error: the peer violated the protocol, and GOAWAY with the code is in the output. Send the output, then
/// close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionError {
    reason: Http2Reason,
}

impl ConnectionError {
    pub(super) const fn new(reason: Http2Reason) -> Self {
        Self { reason }
    }

    /// The violated rule.
    #[must_use]
    pub fn reason(&self) -> Http2Reason {
        self.reason
    }

    /// The code in the GOAWAY frame.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.reason.code()
    }
}

impl fmt::Display for ConnectionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.reason.detail())
    }
}

impl std::error::Error for ConnectionError {}

/// Declares the reasons with their code and their message.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident $code:ident $detail:literal;)*) => {
        /// The rule that a peer violates.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Http2Reason {
            $($(#[doc = $doc])* $name,)*
        }

        impl Http2Reason {
            /// The error code that the peer receives.
            #[must_use]
            pub fn code(self) -> ErrorCode {
                match self {
                    $(Self::$name => ErrorCode::$code,)*
                }
            }

            /// One sentence with the rule and the remedy.
            #[must_use]
            pub fn detail(self) -> &'static str {
                match self {
                    $(Self::$name => $detail,)*
                }
            }
        }
    };
}

reasons! {
    /// The connection does not start with the client's preface (RFC 9113, section 3.4).
    Preface PROTOCOL_ERROR "the connection preface is invalid: start with PRI * HTTP/2.0";
    /// The first frame is not SETTINGS (RFC 9113, section 3.4).
    MissingSettings PROTOCOL_ERROR "the first frame is not SETTINGS: send SETTINGS after the preface";
    /// A frame is longer than SETTINGS_MAX_FRAME_SIZE, or its length is invalid for its type (RFC 9113, section 4.2).
    FrameSize FRAME_SIZE_ERROR "the length of a frame is invalid: send at most 16384 bytes, and the length that the type requires";
    /// A frame of a stream has the stream number 0, or the reverse, or a request has an even number (RFC 9113, section
    /// 5.1.1).
    StreamNumber PROTOCOL_ERROR "the stream number is invalid for the frame: use odd numbers for requests, and 0 for the connection";
    /// A frame for a stream that was not opened (RFC 9113, section 5.1).
    IdleStream PROTOCOL_ERROR "a frame for an idle stream: open it with HEADERS";
    /// A frame for a closed stream (RFC 9113, section 5.1).
    ClosedStream STREAM_CLOSED "a frame for a closed stream: send nothing after END_STREAM or RST_STREAM";
    /// A request whose number is below that of an earlier one (RFC 9113, section 5.1.1).
    StreamOrder PROTOCOL_ERROR "the stream number is below that of an earlier request: open streams in ascending order";
    /// DATA or HEADERS after END_STREAM (RFC 9113, section 5.1).
    HalfClosed STREAM_CLOSED "a frame after the end of the request: send nothing after END_STREAM";
    /// CONTINUATION without HEADERS (RFC 9113, section 6.10).
    UnexpectedContinuation PROTOCOL_ERROR "CONTINUATION without an open field block: start with HEADERS";
    /// Another frame within a field block (RFC 9113, section 6.10).
    ExpectedContinuation PROTOCOL_ERROR "another frame within a field block: send CONTINUATION until END_HEADERS";
    /// PUSH_PROMISE from a client (RFC 9113, section 8.4).
    PushPromise PROTOCOL_ERROR "PUSH_PROMISE from a client: send it only as a server";
    /// The padding is not shorter than the payload (RFC 9113, section 6.1).
    Padding PROTOCOL_ERROR "the padding exceeds the frame: shorten it";
    /// A setting has an invalid value (RFC 9113, section 6.5.2).
    SettingValue PROTOCOL_ERROR "the value of a setting is invalid: use a value within its range";
    /// SETTINGS_INITIAL_WINDOW_SIZE exceeds 2^31-1, or makes the window of a stream exceed it (RFC 9113, section
    /// 6.9.2).
    SettingWindow FLOW_CONTROL_ERROR "SETTINGS_INITIAL_WINDOW_SIZE makes a window larger than 2^31-1: reduce it";
    /// WINDOW_UPDATE by 0 (RFC 9113, section 6.9).
    ZeroIncrement PROTOCOL_ERROR "WINDOW_UPDATE by 0: send a positive increment";
    /// WINDOW_UPDATE makes a window exceed 2^31-1 (RFC 9113, section 6.9.1).
    WindowOverflow FLOW_CONTROL_ERROR "WINDOW_UPDATE makes a window larger than 2^31-1: reduce the increment";
    /// DATA exceeds the window (RFC 9113, section 6.9.1).
    WindowExceeded FLOW_CONTROL_ERROR "DATA exceeds the flow-control window: wait for WINDOW_UPDATE";
    /// A field block cannot be decompressed (RFC 9113, section 4.3).
    Compression COMPRESSION_ERROR "a field block cannot be decompressed: encode it as RFC 7541 requires";
    /// More CONTINUATION frames than the limit.
    TooManyContinuations ENHANCE_YOUR_CALM "a field block has too many CONTINUATION frames: send larger frames";
    /// A field block is longer than any section within the limit.
    BlockTooLarge ENHANCE_YOUR_CALM "a field block exceeds the limit of the field section: send fewer fields";
    /// The budget of frames that cost work and transfer nothing is used up.
    Flood ENHANCE_YOUR_CALM "too many resets, PING, SETTINGS, PRIORITY, WINDOW_UPDATE, or empty frames: send fewer of them";
    /// A stream depends on itself (RFC 7540, section 5.3.1).
    SelfDependency PROTOCOL_ERROR "a stream depends on itself: omit the priority";
    /// PRIORITY_UPDATE for the stream 0, or a pushed one (RFC 9218, section 7.1).
    PriorityUpdate PROTOCOL_ERROR "PRIORITY_UPDATE for a stream that is not a request: use the stream of a request";
    /// More streams than the limit (RFC 9113, section 5.1.2).
    TooManyStreams REFUSED_STREAM "more concurrent streams than SETTINGS_MAX_CONCURRENT_STREAMS: wait for responses";
    /// A pseudo-header field is unknown, repeated, or after a field (RFC 9113, section 8.3).
    PseudoField PROTOCOL_ERROR "a pseudo-header field is unknown, repeated, or after a field: send each one once, before all fields";
    /// A pseudo-header field is missing, or does not belong to the method (RFC 9113, section 8.3.1).
    MissingPseudoField PROTOCOL_ERROR "the pseudo-header fields are invalid for the method: send :method, :scheme, :path and :authority";
    /// The name of a field is not a lower-case token (RFC 9113, section 8.2.1).
    FieldName PROTOCOL_ERROR "the name of a field is not a lower-case token: use lower-case letters";
    /// The value of a field has a control character, or surrounding white space (RFC 9113, section 8.2.1).
    FieldValue PROTOCOL_ERROR "the value of a field has a control character or surrounding white space: remove it";
    /// A connection-specific field of HTTP/1.1 (RFC 9113, section 8.2.2).
    ConnectionField PROTOCOL_ERROR "a connection-specific field, which HTTP/2 forbids: remove it";
    /// `te` other than `trailers` (RFC 9113, section 8.2.2).
    Te PROTOCOL_ERROR "the field te is not 'trailers': send that value, or remove the field";
    /// `:method` is not a token (RFC 9110, section 9.1).
    Method PROTOCOL_ERROR "the method is not a token: use a method such as GET";
    /// `:scheme` is not a scheme (RFC 3986, section 3.1).
    Scheme PROTOCOL_ERROR "the scheme is invalid: use http or https";
    /// `:path` is not a path with an optional query, nor `*` for `OPTIONS` (RFC 9113, section 8.3.1).
    Path PROTOCOL_ERROR "the path is invalid: start with '/' and percent-encode bytes that a URI does not allow";
    /// `:authority` or `host` is not a host with an optional port (RFC 9113, section 8.3.1).
    Authority PROTOCOL_ERROR "the authority is invalid: write a host and optionally a colon and a port";
    /// `host` is repeated or differs from `:authority` (RFC 9113, section 8.3.1).
    Host PROTOCOL_ERROR "the field host is repeated or differs from :authority: remove it";
    /// `content-length` is repeated or not one decimal number below 2^64 (RFC 9110, section 8.6).
    ContentLength PROTOCOL_ERROR "content-length is invalid: send one decimal number below 2^64";
    /// The length of the body differs from `content-length` (RFC 9113, section 8.1.1).
    BodyLength PROTOCOL_ERROR "the length of the body differs from content-length: send the actual length, or none";
    /// Trailers without END_STREAM (RFC 9113, section 8.1).
    TrailersWithoutEnd PROTOCOL_ERROR "trailers without END_STREAM: end the stream with them";
    /// HEADERS on a stream that CONNECT has connected (RFC 9113, section 8.5).
    Connected PROTOCOL_ERROR "HEADERS on a connected stream: send DATA";
    /// The trailers exceed the limits of the head.
    TrailersTooLarge ENHANCE_YOUR_CALM "the trailers exceed the limits of the head: send fewer";
    /// The field section exceeds the limit: respond with 431.
    HeadTooLarge ENHANCE_YOUR_CALM "the field section exceeds the limit: send fewer or shorter fields";
    /// The number of fields exceeds the limit: respond with 431.
    TooManyFields ENHANCE_YOUR_CALM "the number of fields exceeds the limit: send fewer, including parts of cookies";
    /// The path is longer than the maximum of [`http::Uri`]: respond with 414.
    TargetTooLong ENHANCE_YOUR_CALM "the path exceeds the limit: shorten it";
    /// `expect` is not `100-continue` (RFC 9110, section 10.1.1): respond with 417.
    UnknownExpectation PROTOCOL_ERROR "the expectation is not supported: send only '100-continue'";
}

impl Http2Reason {
    /// The status of the response to a request that is valid but exceeds a limit, or has an unknown expectation.
    #[must_use]
    pub fn status(self) -> Option<StatusCode> {
        match self {
            Self::HeadTooLarge | Self::TooManyFields => Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
            Self::TargetTooLong => Some(StatusCode::URI_TOO_LONG),
            Self::UnknownExpectation => Some(StatusCode::EXPECTATION_FAILED),
            _ => None,
        }
    }
}
