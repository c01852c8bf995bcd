//! Responses: status line, fields, and the framing of the body (RFC 9112, section 6).

use http::header::{self, HeaderMap, HeaderValue};
use http::{StatusCode, header::CONTENT_LENGTH};

use super::BodyLength;
use super::connection::{Connection, DRAIN_BYTES, Reading, Writing};
use super::error::BodyError;
use super::framing::is_allowed_trailer;
use crate::digits::decimal;
use crate::digits::{MAX_DIGITS, digits};
use crate::message::{MethodKind, ResponseBody};

impl Connection {
    /// Appends the head of a response: status line, `headers`, framing, `Connection`, `Date`.
    ///
    /// The engine determines the framing. The fields `content-length`, `transfer-encoding`, `connection` and
    /// `keep-alive` in `headers` are not sent, with two exceptions: `connection: close` closes the connection, and
    /// `content-length` is sent in a response to `HEAD` and in a 304, which have no body. A `date` in `headers`
    /// replaces `date`.
    ///
    /// - 204, 304 and responses to `HEAD` have no body; body writes are discarded. A 205 has an empty body.
    /// - [`BodyLength::Chunked`] is sent chunked, or delimited by the end of the connection to a client of HTTP/1.0.
    /// - A 1xx other than 101 is sent at once and does not replace the response. A client of HTTP/1.0 does not receive
    ///   it.
    /// - 101, and 2xx to `CONNECT`, end HTTP on this connection: there is no body, and subsequent bytes belong to the
    ///   caller.
    ///
    /// To an `upgrade` in `headers`, which a 101 and a 426 have, the engine adds `connection: upgrade` (RFC 9110, section 7.8).
    ///
    /// The head determines whether the connection persists ([`keep_alive`](Self::keep_alive)): it does not if the
    /// client refuses, after an error, or if the client still expects `100 Continue`. An incomplete request body may be
    /// read during the response; if more than [`DRAIN_BYTES`] of it remain at the end of the response, the connection
    /// closes.
    ///
    /// Without a request, such as for a 408, the response closes the connection. It has no body if the incomplete head
    /// begins with `HEAD` and a space. A second head is an error of the caller; it is discarded and closes the connection.
    pub fn write_head(
        &mut self,
        out: &mut Vec<u8>,
        status: StatusCode,
        headers: &HeaderMap,
        body: BodyLength,
        date: &[u8; 29],
    ) {
        if !self.can_answer() {
            debug_assert!(false, "the head of a response is written twice");
            self.keep_alive = false;
            return;
        }
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            self.write_interim(out, status, headers);
            return;
        }
        if self.writing == Writing::Nothing {
            self.abort();
            self.old = false;
        }
        if self.continue_pending {
            self.keep_alive = false;
        }

        write_status_line(out, status);
        let owned = write_fields(out, headers);
        if owned.close {
            self.keep_alive = false;
        }
        let switching =
            status == StatusCode::SWITCHING_PROTOCOLS || self.method == MethodKind::Connect && status.is_success();
        self.writing = if switching {
            Writing::Upgraded
        } else {
            self.write_framing(out, status, body, owned.content_length)
        };
        // After 101 the connection belongs to the other protocol.
        let persists = self.keep_alive || status == StatusCode::SWITCHING_PROTOCOLS;
        if owned.upgrade || status == StatusCode::SWITCHING_PROTOCOLS {
            out.extend_from_slice(b"connection: upgrade\r\n");
        }
        if !persists {
            out.extend_from_slice(b"connection: close\r\n");
        } else if self.old && status != StatusCode::SWITCHING_PROTOCOLS {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        if owned.date {
            out.extend_from_slice(b"\r\n");
        } else {
            write_date_and_end(out, date);
        }
    }

    /// Appends a piece of the response body, framed according to the head.
    ///
    /// The piece is discarded without an error if the response has no body (to `HEAD`, or with 204). An empty piece
    /// writes nothing.
    ///
    /// # Errors
    ///
    /// [`BodyError::TooLong`] if the head declared fewer bytes: the declared bytes are written, the framing is correct,
    /// and the connection continues.
    pub fn write_body(&mut self, out: &mut Vec<u8>, piece: &[u8]) -> Result<(), BodyError> {
        match self.writing {
            Writing::Exact { left } => {
                let fits = usize::try_from(left).unwrap_or(usize::MAX).min(piece.len());
                out.extend_from_slice(&piece[..fits]);
                self.writing = Writing::Exact {
                    left: left - fits as u64,
                };
                match (piece.len() - fits) as u64 {
                    0 => Ok(()),
                    excess => Err(BodyError::TooLong { excess }),
                }
            }
            Writing::Chunked if !piece.is_empty() => {
                write_hexadecimal(out, piece.len() as u64);
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(piece);
                out.extend_from_slice(b"\r\n");
                Ok(())
            }
            Writing::UntilClose => {
                out.extend_from_slice(piece);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Ends the response, after its last piece, or after the head of a response without a body.
    ///
    /// `trailers` are sent only with a chunked body, without fields that affect framing, routing or authentication (RFC
    /// 9110, section 6.5.1).
    ///
    /// # Errors
    ///
    /// [`BodyError::TooShort`] if the head declared more bytes: the connection is aborted.
    pub fn write_end(&mut self, out: &mut Vec<u8>, trailers: Option<&HeaderMap>) -> Result<(), BodyError> {
        match self.writing {
            Writing::Exact { left } if left > 0 => {
                self.abort();
                return Err(BodyError::TooShort { missing: left });
            }
            Writing::Chunked => {
                out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.into_iter().flatten() {
                    if is_allowed_trailer(name) {
                        write_line(out, name.as_str().as_bytes(), value);
                    }
                }
                out.extend_from_slice(b"\r\n");
            }
            Writing::Exact { .. } | Writing::Bodiless | Writing::UntilClose => {}
            Writing::Nothing | Writing::Waiting | Writing::Done | Writing::Upgraded => {
                return Ok(());
            }
        }
        self.finish_answer();
        Ok(())
    }

    /// Appends a whole response: [`write_head`](Self::write_head) with the length of `body`, `body`, and the end.
    ///
    /// The rest of the request body is discarded: if more than [`DRAIN_BYTES`] of a known length remain, the response
    /// announces that the connection closes.
    pub fn write_response(
        &mut self,
        out: &mut Vec<u8>,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        date: &[u8; 29],
    ) {
        if self.write_response_head(out, status, headers, body.len() as u64, date) {
            out.extend_from_slice(body);
        }
    }

    /// Appends a whole response as [`write_response`](Self::write_response) does, with a prepared head: `start` is the status line
    /// of a 200 and field lines, each with its CRLF, without `date` and without fields that the engine writes.
    ///
    /// Returns whether the fast path applies: a complete HTTP/1.1 request that keeps the connection, with a method
    /// other than `HEAD` and `CONNECT`. Otherwise nothing is written.
    ///
    /// ```
    /// use conduit_proto::h1::{Connection, Head, Limits};
    ///
    /// let (mut connection, mut head, mut out) = (Connection::new(), Head::new(), Vec::new());
    /// connection.handle_input(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", &mut head, &Limits::default())?;
    /// let start = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n";
    /// assert!(connection.write_usual(&mut out, start, b"hello", b"Fri, 27 Nov 2026 00:00:00 GMT"));
    /// assert!(out.starts_with(start) && out.ends_with(b"\r\n\r\nhello"));
    /// # Ok::<(), conduit_proto::h1::RequestError>(())
    /// ```
    pub fn write_usual(&mut self, out: &mut Vec<u8>, start: &[u8], body: &[u8], date: &[u8; 29]) -> bool {
        let is_usual = matches!((self.reading, self.writing), (Reading::Complete, Writing::Waiting))
            && self.method == MethodKind::Other
            && self.keep_alive
            && !self.old
            && !self.continue_pending;
        if is_usual {
            out.extend_from_slice(start);
            write_content_length(out, body.len() as u64);
            write_date_and_end(out, date);
            out.extend_from_slice(body);
            self.finish_answer();
        }
        is_usual
    }

    /// Appends a response as [`write_response`](Self::write_response) does, without the bytes of the body. Returns whether the
    /// response has a body; if so, the caller sends exactly `length` bytes after the bytes in `out`, before any later output.
    pub fn write_response_head(
        &mut self,
        out: &mut Vec<u8>,
        status: StatusCode,
        headers: &HeaderMap,
        length: u64,
        date: &[u8; 29],
    ) -> bool {
        let answering = self.can_answer();
        if matches!(self.reading, Reading::Exact { left } if left > DRAIN_BYTES) {
            self.keep_alive = false;
        }
        self.write_head(out, status, headers, BodyLength::Exact(length), date);
        if !answering {
            return false;
        }
        let wanted = matches!(self.writing, Writing::Exact { .. });
        if wanted || self.writing == Writing::Bodiless {
            self.finish_answer();
        }
        wanted
    }

    /// Appends the framing before a piece of `length` bytes, as [`write_body`](Self::write_body) does, without the bytes. Returns
    /// the number of bytes that the caller sends after the bytes in `out`, and the framing that follows them, before any later
    /// output.
    ///
    /// # Errors
    ///
    /// [`BodyError::TooLong`] if the head declared fewer bytes: nothing is written, and the piece must not be sent.
    pub fn frame_body(&mut self, out: &mut Vec<u8>, length: u64) -> Result<(u64, &'static [u8]), BodyError> {
        match self.writing {
            Writing::Exact { left } if length > left => Err(BodyError::TooLong { excess: length - left }),
            Writing::Exact { left } => {
                self.writing = Writing::Exact { left: left - length };
                Ok((length, b""))
            }
            Writing::Chunked if length > 0 => {
                write_hexadecimal(out, length);
                out.extend_from_slice(b"\r\n");
                Ok((length, b"\r\n"))
            }
            Writing::UntilClose => Ok((length, b"")),
            _ => Ok((0, b"")),
        }
    }

    /// Appends `100 Continue` if the client expects it: once, before its body and before the head of the response. Call
    /// it when the body is wanted.
    pub fn write_continue(&mut self, out: &mut Vec<u8>) {
        if self.continue_pending && self.writing == Writing::Waiting {
            self.continue_pending = false;
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// Writes an informational response (RFC 9110, section 15.2).
    #[cold]
    fn write_interim(&mut self, out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
        if self.old || self.writing == Writing::Nothing {
            return;
        }
        if status == StatusCode::CONTINUE {
            self.continue_pending = false;
        }
        write_status_line(out, status);
        write_fields(out, headers);
        out.extend_from_slice(b"\r\n");
    }

    /// Writes the field that declares the length of the body, and returns the state for writing the body.
    fn write_framing(
        &mut self,
        out: &mut Vec<u8>,
        status: StatusCode,
        body: BodyLength,
        declared: Option<u64>,
    ) -> Writing {
        let body = match ResponseBody::of(self.method, status, body, || declared) {
            ResponseBody::Present(body) => body,
            ResponseBody::Bodiless(length) => {
                if let Some(length) = length {
                    write_content_length(out, length);
                }
                return Writing::Bodiless;
            }
        };
        match body {
            BodyLength::None => {
                write_content_length(out, 0);
                Writing::Exact { left: 0 }
            }
            BodyLength::Exact(length) => {
                write_content_length(out, length);
                Writing::Exact { left: length }
            }
            BodyLength::Chunked if self.old => {
                self.keep_alive = false;
                Writing::UntilClose
            }
            BodyLength::Chunked => {
                out.extend_from_slice(b"transfer-encoding: chunked\r\n");
                Writing::Chunked
            }
        }
    }
}

/// The fields in `headers` that the engine handles itself.
#[derive(Default)]
struct Owned {
    content_length: Option<u64>,
    close: bool,
    date: bool,
    upgrade: bool,
}

/// Writes all fields except those that the engine handles itself.
#[inline]
fn write_fields(out: &mut Vec<u8>, headers: &HeaderMap) -> Owned {
    let mut owned = Owned::default();
    for (name, value) in headers {
        // Nearly every response has this field.
        if *name == header::CONTENT_TYPE {
            write_line(out, b"content-type", value);
        } else if *name == CONTENT_LENGTH {
            owned.content_length = decimal(value.as_bytes());
        } else if *name == header::CONNECTION {
            owned.close |= value
                .as_bytes()
                .split(|&byte| byte == b',')
                .any(|option| option.trim_ascii().eq_ignore_ascii_case(b"close"));
        } else if *name != header::TRANSFER_ENCODING && name.as_str() != "keep-alive" {
            owned.date |= *name == header::DATE;
            owned.upgrade |= *name == header::UPGRADE;
            write_line(out, name.as_str().as_bytes(), value);
        }
    }
    owned
}

#[inline]
fn write_line(out: &mut Vec<u8>, name: &[u8], value: &HeaderValue) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes `date` and the empty line.
///
/// Each piece is written directly to its place. A local buffer would be read in other sizes than it was written in,
/// before the processor's store buffer is flushed, and the processor would stall.
#[inline]
fn write_date_and_end(out: &mut Vec<u8>, date: &[u8; 29]) {
    out.extend_from_slice(b"date: ");
    out.extend_from_slice(date);
    out.extend_from_slice(b"\r\n\r\n");
}

#[inline]
fn write_status_line(out: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    // The space is required without a reason phrase too (RFC 9112, section 4).
    out.extend_from_slice(b" ");
    out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
}

#[inline]
fn write_content_length(out: &mut Vec<u8>, length: u64) {
    let digit = |number: u64| b'0' + (number % 10) as u8;
    out.extend_from_slice(b"content-length: ");
    match length {
        0..10 => out.extend_from_slice(&[digit(length), b'\r', b'\n']),
        10..100 => out.extend_from_slice(&[digit(length / 10), digit(length), b'\r', b'\n']),
        _ => {
            out.extend_from_slice(digits(length, &mut [0; MAX_DIGITS]));
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn write_hexadecimal(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 16];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(rest & 15) as usize];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}
