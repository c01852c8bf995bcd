//! The framing of a response by the method of its request and its status, which is the same in all versions of HTTP.

use http::{Method, StatusCode};

use crate::digits::decimal;

/// The framing of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyLength {
    /// No body, or `Content-Length: 0` in a request.
    #[default]
    None,
    /// A body of this number of bytes.
    Exact(u64),
    /// A body of unknown length: chunked, or, in a response to HTTP/1.0, delimited by the end of the connection.
    Chunked,
}

/// The value of `content-length` (RFC 9110, section 8.6): a decimal number below 2^64, of digits only.
#[must_use]
pub fn content_length(value: &[u8]) -> Option<u64> {
    decimal(value)
}

/// The property of a request's method that its response depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MethodKind {
    /// `HEAD`: the response has no body.
    Head,
    /// `CONNECT`: a successful response opens a tunnel.
    Connect,
    /// Every other method.
    Other,
}

impl MethodKind {
    /// The kind of this method.
    #[must_use]
    pub fn of(method: &Method) -> Self {
        match *method {
            Method::HEAD => MethodKind::Head,
            Method::CONNECT => MethodKind::Connect,
            _ => MethodKind::Other,
        }
    }

    /// Returns whether a response with this status is final. It is not with 1xx, and not with 2xx to `CONNECT`, after which
    /// the bytes of the connection belong to the caller (RFC 9110, sections 9.3.6 and 15.2).
    #[must_use]
    #[inline]
    pub fn has_final(self, status: StatusCode) -> bool {
        !(status.is_informational() || self == MethodKind::Connect && status.is_success())
    }
}

/// The body of a final response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseBody {
    /// The response ends with its head, which has this `content-length` if it has one.
    Bodiless(Option<u64>),
    /// The body follows the head.
    Present(BodyLength),
}

impl ResponseBody {
    /// Returns the framing that is sent for a response with a body of this length. `declared` returns the `content-length` in the
    /// response's own fields: that of the response to a GET (RFC 9110, sections 8.6, 15.3.5, 15.3.6 and 15.4.5).
    pub fn of(
        method: MethodKind,
        status: StatusCode,
        body: BodyLength,
        declared: impl FnOnce() -> Option<u64>,
    ) -> Self {
        match (status, body) {
            (StatusCode::NO_CONTENT, _) => ResponseBody::Bodiless(None),
            (StatusCode::RESET_CONTENT, _) => ResponseBody::Bodiless(Some(0)),
            (StatusCode::NOT_MODIFIED, _) => ResponseBody::Bodiless(declared()),
            (_, BodyLength::Exact(length)) if method == MethodKind::Head => {
                ResponseBody::Bodiless(declared().or(Some(length)))
            }
            _ if method == MethodKind::Head => ResponseBody::Bodiless(declared()),
            _ => ResponseBody::Present(body),
        }
    }
}
