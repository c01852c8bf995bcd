//! Writing the answer: status line, fields, and the framing of the body (RFC 9112, section 6).

use http::header::{self, HeaderMap, HeaderValue};
use http::{StatusCode, header::CONTENT_LENGTH};

use super::BodyLength;
use super::connection::{Connection, DRAIN_BYTES, MethodKind, Reading, Writing};
use super::error::BodyError;
use super::framing::{decimal, is_allowed_trailer};

impl Connection {
    /// Appends the head of a response: status line, `headers`, framing, `Connection`, `Date`.
    ///
    /// The engine owns the framing. `content-length`, `transfer-encoding`, `connection` and
    /// `keep-alive` in `headers` are not sent; what they are used for is this: `connection: close`
    /// closes, and `content-length` is sent in the answer to `HEAD` and in a 304, which have no
    /// body to be measured. A `date` in `headers` stands for `date`.
    ///
    /// - 204 and 304 have no body, nor has the answer to `HEAD`; what is written of it is left
    ///   out. A 205 is empty.
    /// - [`BodyLength::Chunked`] is sent chunked, and up to the close to a client of HTTP/1.0.
    /// - A 1xx other than 101 is sent at once, and the response is still to come. A client of
    ///   HTTP/1.0 does not get it.
    /// - 101, and 2xx to `CONNECT`, end HTTP on this connection: there is no body, what follows is
    ///   the caller's. `headers` has the `upgrade`, the engine adds `connection: upgrade`.
    ///
    /// Here it is decided whether the connection goes on, as [`keep_alive`](Self::keep_alive) says
    /// afterwards: not if the client does not want it, after an error, or if the client still waits
    /// for `100 Continue`. A body of the request that is still coming may be read during the response;
    /// if more than [`DRAIN_BYTES`] of it are left when the answer ends, the connection closes then.
    ///
    /// Without a request, such as for a 408, the answer closes the connection. Once a head is
    /// written there is no other: one that is written nevertheless is a mistake of the caller,
    /// which is left out and closes the connection.
    pub fn write_head(
        &mut self,
        out: &mut Vec<u8>,
        status: StatusCode,
        headers: &HeaderMap,
        body: BodyLength,
        date: &[u8; 29],
    ) {
        if !self.can_answer() {
            debug_assert!(false, "a response's head is written twice");
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
            self.method = MethodKind::Other;
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
        if status == StatusCode::SWITCHING_PROTOCOLS {
            out.extend_from_slice(b"connection: upgrade\r\n");
        } else if !self.keep_alive {
            out.extend_from_slice(b"connection: close\r\n");
        } else if self.old {
            out.extend_from_slice(b"connection: keep-alive\r\n");
        }
        if owned.date {
            out.extend_from_slice(b"\r\n");
        } else {
            write_date_and_end(out, date);
        }
    }

    /// Appends a piece of the response's body, framed as the head has said.
    ///
    /// If the response has no body, to `HEAD` or with 204, the piece is omitted without an error. An
    /// empty piece writes nothing.
    ///
    /// # Errors
    ///
    /// [`BodyError::TooLong`] if the head declared fewer bytes: what fits is written, the framing
    /// is right, and the connection goes on.
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

    /// Ends the response: after its last piece, and after the head of one without a body.
    ///
    /// `trailers` are sent if the body is chunked, and are left out otherwise, as are fields that
    /// frame, route or authenticate (RFC 9110, section 6.5.1).
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

    /// Appends a whole response: [`write_head`](Self::write_head) with the length of `body`,
    /// `body`, and the end.
    ///
    /// The request's body is not read after it: if more than [`DRAIN_BYTES`] of a known length are
    /// still to come, the response says that the connection closes.
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

    /// As [`write_response`](Self::write_response), of a head that was written out before: `start` is the status line of a 200
    /// and field lines, each with its CRLF, none of them `date` or one that the engine owns.
    ///
    /// Gives whether it was the usual case: a request of HTTP/1.1 that has come whole and keeps the connection, and whose
    /// method is neither `HEAD` nor `CONNECT`. In any other nothing was written.
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

    /// As [`write_response`](Self::write_response), but for the body's bytes: gives whether they belong to the answer, in
    /// which case the caller sends exactly `length` of them after the bytes in `out`, before anything that is written later.
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

    /// As [`write_body`](Self::write_body) of a piece of `length` bytes, but for the bytes themselves: appends the framing
    /// before them. Returns the number of bytes that the caller sends after those in `out`, and the framing after
    /// them, before anything that is written later.
    ///
    /// # Errors
    ///
    /// [`BodyError::TooLong`] if the head declared fewer bytes: nothing is written, and nothing of the piece may be sent.
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

    /// Appends `100 Continue` if the client waits for it: once, before its body and before the
    /// response's head; else nothing. Call it when the body is wanted.
    pub fn write_continue(&mut self, out: &mut Vec<u8>) {
        if self.continue_pending && self.writing == Writing::Waiting {
            self.continue_pending = false;
            out.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
    }

    /// A response before the response (RFC 9110, section 15.2).
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

    /// Writes the field that says how long the body is, and gives the state to write it in.
    fn write_framing(
        &mut self,
        out: &mut Vec<u8>,
        status: StatusCode,
        body: BodyLength,
        declared: Option<u64>,
    ) -> Writing {
        match status {
            StatusCode::NO_CONTENT => return Writing::Bodiless,
            StatusCode::RESET_CONTENT => {
                write_content_length(out, 0);
                return Writing::Bodiless;
            }
            StatusCode::NOT_MODIFIED => {
                if let Some(length) = declared {
                    write_content_length(out, length);
                }
                return Writing::Bodiless;
            }
            _ => {}
        }
        if self.method == MethodKind::Head {
            // The length that a GET would have, if it is known (RFC 9110, section 8.6).
            if let Some(length) = declared {
                write_content_length(out, length);
            } else if let BodyLength::Exact(length) = body {
                write_content_length(out, length);
            }
            return Writing::Bodiless;
        }
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

/// The fields in `headers` that the engine writes.
#[derive(Default)]
struct Owned {
    content_length: Option<u64>,
    close: bool,
    date: bool,
}

/// Writes the fields, but for those that the engine owns.
#[inline]
fn write_fields(out: &mut Vec<u8>, headers: &HeaderMap) -> Owned {
    let mut owned = Owned::default();
    for (name, value) in headers {
        // The one field that nearly every response has.
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

/// The `date` and the empty line after it.
///
/// Each piece is written to where it stays: one that was put together in a local first would be read before it has left
/// the processor's store buffer, in other sizes than it was written in, and for that the processor waits.
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
    // The space stays when there is no reason phrase (RFC 9112, section 4).
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
            /// As many as 64 bits can have.
            const DIGITS: usize = 20;
            let mut digits = [0; DIGITS];
            let (mut rest, mut at) = (length, DIGITS);
            while rest > 0 {
                at -= 1;
                digits[at] = digit(rest);
                rest /= 10;
            }
            out.extend_from_slice(&digits[at..]);
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
