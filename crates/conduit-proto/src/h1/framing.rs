//! The fields that determine the length of a message and the end of its connection (RFC 9112, sections 6 and 9).

use http::HeaderName;

use super::BodyLength;
use super::error::{Reason, RequestError};
use crate::digits::decimal;

/// The fields of a head that determine the length of the message and the end of the connection.
#[derive(Default)]
pub(super) struct Framing {
    content_length: Option<u64>,
    chunked: bool,
    /// An unsupported coding precedes `chunked`.
    other_coding: bool,
    /// A `Transfer-Encoding` with any value is present.
    transfer_encoding: bool,
    pub(super) expects_continue: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
}

impl Framing {
    /// Parses a field, if it is one of these.
    // Inlined, it would load sixteen constants for each head, even if none of them is needed.
    #[inline(never)]
    pub(super) fn read(&mut self, name: &[u8], value: &[u8], old: bool) -> Result<(), Reason> {
        match name.len() {
            6 if !old && name.eq_ignore_ascii_case(b"expect") => self.expect(value),
            10 if name.eq_ignore_ascii_case(b"connection") => self.connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(value),
            _ => Ok(()),
        }
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), Reason> {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Reason::UnknownExpectation);
        }
        self.expects_continue = true;
        Ok(())
    }

    #[inline]
    fn connection(&mut self, value: &[u8]) -> Result<(), Reason> {
        if value.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
            return Ok(());
        }
        for option in value.split(|&byte| byte == b',') {
            let option = option.trim_ascii();
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
        Ok(())
    }

    /// Repeated equal values could be combined (RFC 9110, section 8.6), but a client that sends them is faulty or
    /// malicious, and a proxy in front may interpret them differently.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Reason> {
        let length = decimal(value).ok_or(Reason::ContentLength)?;
        match self.content_length.replace(length) {
            None => Ok(()),
            Some(_) => Err(Reason::RepeatedContentLength),
        }
    }

    /// The lines of the field form one list, whose last element must be `chunked`. An empty element is an error: RFC
    /// 9110, section 5.6.1.2 requires recipients to ignore a few, but parsers differ, and the result determines the
    /// framing.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Reason> {
        self.transfer_encoding = true;
        for coding in value.split(|&byte| byte == b',') {
            let coding = coding.trim_ascii();
            if coding.is_empty() || self.chunked {
                return Err(Reason::TransferEncoding);
            }
            if coding.eq_ignore_ascii_case(b"chunked") {
                self.chunked = true;
            } else {
                self.other_coding = true;
            }
        }
        Ok(())
    }

    pub(super) fn body(&self, old: bool) -> Result<BodyLength, RequestError> {
        if !self.transfer_encoding {
            return Ok(match self.content_length {
                None | Some(0) => BodyLength::None,
                Some(length) => BodyLength::Exact(length),
            });
        }
        Err(RequestError::new(if self.content_length.is_some() {
            Reason::AmbiguousLength
        } else if old {
            Reason::TransferEncodingVersion
        } else if !self.chunked {
            Reason::TransferEncoding
        } else if self.other_coding {
            Reason::UnknownTransferCoding
        } else {
            return Ok(BodyLength::Chunked);
        }))
    }
}

/// Returns whether a field is allowed in a trailer section: it must not affect framing, routing, authentication or the
/// interpretation of the content (RFC 9110, section 6.5.1).
pub(crate) fn is_allowed_trailer(name: &HeaderName) -> bool {
    !matches!(
        name.as_str(),
        "authorization"
            | "cache-control"
            | "connection"
            | "content-encoding"
            | "content-length"
            | "content-range"
            | "content-type"
            | "cookie"
            | "expect"
            | "host"
            | "if-match"
            | "if-none-match"
            | "keep-alive"
            | "max-forwards"
            | "proxy-authorization"
            | "proxy-connection"
            | "range"
            | "set-cookie"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
    )
}
