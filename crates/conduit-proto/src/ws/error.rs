//! The codes of Close, and the rules that a client can break.

use std::fmt;

/// The code of a Close frame (RFC 6455, section 7.4).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The server stops, or the user has left the page.
    pub const GOING_AWAY: Self = Self(1001);
    /// The peer broke the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1002);
    /// A kind of message that the receiver does not accept.
    pub const UNSUPPORTED: Self = Self(1003);
    /// A message whose content does not match its type, such as a text message that is not UTF-8.
    pub const INVALID_PAYLOAD: Self = Self(1007);
    /// A message that violates a policy.
    pub const POLICY: Self = Self(1008);
    /// A message that is too large.
    pub const TOO_BIG: Self = Self(1009);
    /// An extension that the client expected was not negotiated. Only clients send it.
    pub const MISSING_EXTENSION: Self = Self(1010);
    /// The server cannot fulfil the request.
    pub const INTERNAL_ERROR: Self = Self(1011);
    /// The server restarts: connect again.
    pub const RESTART: Self = Self(1012);
    /// The server is overloaded: connect again later.
    pub const TRY_AGAIN: Self = Self(1013);

    /// Returns whether a Close frame may contain it (RFC 6455, section 7.4.2, and the registry of IANA).
    #[must_use]
    pub fn is_valid(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

impl fmt::Debug for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CloseCode({})", self.0)
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The client broke a rule, and the connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebSocketError {
    reason: WebSocketReason,
}

impl WebSocketError {
    pub(super) const fn new(reason: WebSocketReason) -> Self {
        Self { reason }
    }

    /// The rule that was broken.
    #[must_use]
    pub fn reason(&self) -> WebSocketReason {
        self.reason
    }

    /// The code in the Close frame.
    #[must_use]
    pub fn code(&self) -> CloseCode {
        self.reason.code()
    }
}

impl fmt::Display for WebSocketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.reason.detail())
    }
}

impl std::error::Error for WebSocketError {}

/// Declares the reasons with their code and their message.
macro_rules! reasons {
    ($($(#[doc = $doc:literal])* $name:ident $code:ident $detail:literal;)*) => {
        /// The rule that a client broke.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum WebSocketReason {
            $($(#[doc = $doc])* $name,)*
        }

        impl WebSocketReason {
            /// The code that the client receives.
            #[must_use]
            pub fn code(self) -> CloseCode {
                match self {
                    $(Self::$name => CloseCode::$code,)*
                }
            }

            /// One sentence: the rule, and the remedy. At most 123 bytes: it is the reason in the Close frame.
            #[must_use]
            pub fn detail(self) -> &'static str {
                match self {
                    $(Self::$name => $detail,)*
                }
            }

            /// All reasons.
            #[cfg(test)]
            pub(super) const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

reasons! {
    /// A reserved bit without an extension that uses it (RFC 6455, section 5.2).
    ReservedBit PROTOCOL_ERROR "a reserved bit is set: clear it, because no negotiated extension uses it";
    /// An opcode without a meaning (RFC 6455, section 5.2).
    Opcode PROTOCOL_ERROR "the opcode is unknown: send text, binary, close, ping or pong";
    /// A frame without a mask (RFC 6455, section 5.1).
    Unmasked PROTOCOL_ERROR "a frame has no mask: mask every frame";
    /// A length that is not encoded in the least bytes, or beyond 2^63 (RFC 6455, section 5.2).
    Length PROTOCOL_ERROR "the length of a frame is not encoded in the fewest bytes: use the shortest form, below 2^63";
    /// A control frame above 125 bytes (RFC 6455, section 5.5).
    ControlLength PROTOCOL_ERROR "a control frame is too long: send at most 125 bytes";
    /// A control frame without FIN (RFC 6455, section 5.5).
    ControlFragment PROTOCOL_ERROR "a control frame is fragmented: set FIN";
    /// A continuation without a message (RFC 6455, section 5.4).
    UnexpectedContinuation PROTOCOL_ERROR "a continuation without a message: begin with text or binary";
    /// A message within another one (RFC 6455, section 5.4).
    ExpectedContinuation PROTOCOL_ERROR "a message within a fragmented one: send continuations until FIN";
    /// A Close frame with one byte, or with a code that has no meaning there (RFC 6455, sections 5.5.1 and 7.4).
    CloseCode PROTOCOL_ERROR "the code of Close is invalid: send 1000 to 1003, 1007 to 1014, or 3000 to 4999";
    /// The reason of a Close frame is not UTF-8 (RFC 6455, section 5.5.1).
    CloseReason INVALID_PAYLOAD "the reason of Close is not UTF-8: encode it as UTF-8";
    /// A text is not UTF-8 (RFC 6455, section 8.1).
    Utf8 INVALID_PAYLOAD "a text message is not UTF-8: send binary";
    /// A compressed message cannot be inflated (RFC 7692, section 7.2.2).
    Compression INVALID_PAYLOAD "a compressed message cannot be decompressed: encode it as RFC 7692 requires";
    /// A frame above the limit.
    FrameTooBig TOO_BIG "a frame is larger than the limit: send smaller fragments";
    /// A message above the limit.
    MessageTooBig TOO_BIG "a message is larger than the limit: send smaller messages";
    /// A message with more frames than the limit.
    TooManyFragments POLICY "a message has more frames than the limit: send larger fragments";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_detail_fits_into_a_close_frame() {
        for reason in WebSocketReason::ALL {
            assert!(reason.detail().len() <= 123, "{reason:?}");
            assert!(reason.code().is_valid());
        }
    }
}
