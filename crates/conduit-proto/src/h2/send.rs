//! Responses: heads, bodies within the windows, trailers (RFC 9113, section 8.1).

use http::header::{self, HeaderMap};
use http::{HeaderName, StatusCode};

use super::connection::Http2Connection;
use super::error::ErrorCode;
use super::frame::{self, FrameKind, flags};
use super::stream::{ResponseState, StreamId};
use crate::digits::decimal;
use crate::h1::framing::is_allowed_trailer;
use crate::h1::{BodyError, BodyLength};
use crate::message::{MethodKind, ResponseBody};

/// A shorter frame, which the window has limited, earns no WINDOW_UPDATE: otherwise a client could request single
/// bytes.
const USEFUL_BYTES: usize = 1024;

impl Http2Connection {
    /// Appends the head of a response: status, `headers`, `content-length`, `date`.
    ///
    /// As in HTTP/1.1, the fields `connection`, `keep-alive`, `proxy-connection`, `transfer-encoding`, `upgrade` and
    /// `content-length` in `headers` are not sent, except for the `content-length` of a response to `HEAD` and of a
    /// 304. A `date` in `headers` replaces `date`. A 1xx is sent at once and does not replace the response; 101 does
    /// not exist in HTTP/2 and is discarded.
    ///
    /// A response to `HEAD`, a 204, 205 or 304, and a response with [`BodyLength::None`] ends with its head. At the end
    /// of a response, an incomplete request is ended with RST_STREAM(NO_ERROR).
    ///
    /// For a closed stream, or after the head of its response, nothing is written.
    pub fn write_head(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        status: StatusCode,
        headers: &HeaderMap,
        body: BodyLength,
        date: &[u8; 29],
    ) {
        if status.is_informational() {
            return self.inform(out, stream, status, headers);
        }
        let Some(state) = self.unanswered(stream) else {
            return;
        };
        let is_connected = state.method == MethodKind::Connect && status.is_success();
        let (length, writing) = if is_connected {
            (None, ResponseState::Body { left: None })
        } else {
            match ResponseBody::of(state.method, status, body, || declared_length(headers)) {
                ResponseBody::Bodiless(length) => (length, ResponseState::Ended),
                ResponseBody::Present(BodyLength::None | BodyLength::Exact(0)) => (Some(0), ResponseState::Ended),
                ResponseBody::Present(BodyLength::Exact(length)) => {
                    (Some(length), ResponseState::Body { left: Some(length) })
                }
                ResponseBody::Present(BodyLength::Chunked) => (None, ResponseState::Body { left: None }),
            }
        };
        state.writing = writing;

        let start = frame::begin_headers(out);
        self.encoder.begin(out);
        self.encoder.status(out, status);
        let has_date = self.encode_fields(out, headers, |name| !is_owned(name));
        if let Some(length) = length {
            self.encoder.content_length(out, length);
        }
        if !has_date {
            self.encoder.date(out, date);
        }
        let is_end = writing == ResponseState::Ended;
        frame::end_headers(out, start, stream.number(), is_end, self.peer.max_payload);
        if is_end {
            self.end_response(out, stream);
        }
    }

    /// Appends an informational response, such as 103, before the response (RFC 9110, section 15.2).
    pub fn inform(&mut self, out: &mut Vec<u8>, stream: StreamId, status: StatusCode, headers: &HeaderMap) {
        let is_permitted = status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
        debug_assert!(
            is_permitted || status == StatusCode::SWITCHING_PROTOCOLS,
            "{status} is a final status: use write_head"
        );
        let Some(state) = self.unanswered(stream).filter(|_| is_permitted) else {
            return;
        };
        if status == StatusCode::CONTINUE {
            state.expects_continue = false;
        }
        let start = frame::begin_headers(out);
        self.encoder.begin(out);
        self.encoder.status(out, status);
        self.encode_fields(out, headers, |name| !is_owned(name));
        frame::end_headers(out, start, stream.number(), false, self.peer.max_payload);
    }

    /// Appends `100 Continue` if the client expects it: once, before the response. Call it when the body is wanted.
    pub fn write_continue(&mut self, out: &mut Vec<u8>, stream: StreamId) {
        if matches!(self.unanswered(stream), Some(state) if state.expects_continue) {
            self.inform(out, stream, StatusCode::CONTINUE, &HeaderMap::new());
        }
    }

    /// The number of bytes of DATA that the windows permit for this stream now.
    #[must_use]
    pub fn sendable(&self, stream: StreamId) -> usize {
        match self.streams.get(stream) {
            Some(state) => state.send.available().min(self.send.available()),
            None => 0,
        }
    }

    /// Returns whether the peer has closed the window of this stream; that of the connection is another one.
    #[must_use]
    pub fn is_window_closed(&self, stream: StreamId) -> bool {
        matches!(self.streams.get(stream), Some(state) if state.send.available() == 0)
    }

    /// The number of bytes of DATA that the window of the connection permits for all streams together.
    #[must_use]
    pub fn connection_window(&self) -> usize {
        self.send.available()
    }

    /// Returns whether the response has a body to write. If false, the caller need not produce one.
    #[must_use]
    pub fn wants_body(&self, stream: StreamId) -> bool {
        matches!(self.streams.get(stream), Some(state) if matches!(state.writing, ResponseState::Body { .. }))
    }

    /// Returns whether the body of the response has the length that its head declared. Then only the end is left, which needs no
    /// window (RFC 9113, section 6.9.1).
    #[must_use]
    pub fn is_body_written(&self, stream: StreamId) -> bool {
        matches!(self.streams.get(stream), Some(state) if state.writing == ResponseState::Body { left: Some(0) })
    }

    /// Returns whether the response may end after the bytes that are written: its head has declared no length, or this one. The
    /// end needs no window (RFC 9113, section 6.9.1).
    #[must_use]
    pub fn may_end(&self, stream: StreamId) -> bool {
        let state = self.streams.get(stream);
        state.is_some_and(|state| matches!(state.writing, ResponseState::Body { left: None | Some(0) }))
    }

    /// Appends as much of a piece as the windows permit, in frames, and returns the number of accepted bytes. If
    /// `is_last` and all bytes are accepted, the response ends, as with [`write_end`](Self::write_end).
    ///
    /// If the response has no body, all bytes are accepted and discarded.
    ///
    /// # Errors
    ///
    /// [`BodyError::TooLong`] if the head declared fewer bytes: the declared bytes are written, the others discarded.
    /// [`BodyError::TooShort`] if the last piece does not reach the declared length: the stream is reset.
    pub fn write_body(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        piece: &[u8],
        is_last: bool,
    ) -> Result<usize, BodyError> {
        let max_payload = self.peer.max_payload;
        let Some(state) = self.streams.get_mut(stream) else {
            return Ok(piece.len());
        };
        let ResponseState::Body { left } = &mut state.writing else {
            return Ok(piece.len());
        };
        let declared = left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let fitting = &piece[..piece.len().min(declared)];
        let excess = piece.len() - fitting.len();
        let taken = fitting.len().min(state.send.available()).min(self.send.available());
        if let Some(left) = left {
            *left -= taken as u64;
        }
        let is_whole = taken == fitting.len();
        let missing = left.unwrap_or(0);
        let ends = is_last && is_whole && missing == 0;
        state.send.send(taken);
        state.sent += taken as u64;
        self.send.send(taken);

        let mut rest = &fitting[..taken];
        while !rest.is_empty() || ends && taken == 0 {
            let (part, after) = rest.split_at(rest.len().min(max_payload));
            rest = after;
            let end = if ends && rest.is_empty() { flags::END_STREAM } else { 0 };
            frame::write_header(out, part.len(), FrameKind::Data, end, stream.number());
            out.extend_from_slice(part);
            if is_whole || part.len() >= USEFUL_BYTES {
                self.add_credit();
            }
            if rest.is_empty() {
                break;
            }
        }
        if ends {
            self.end_response(out, stream);
        } else if is_last && is_whole {
            self.reset(out, stream, ErrorCode::INTERNAL_ERROR);
            return Err(BodyError::TooShort { missing });
        }
        match excess as u64 {
            excess if excess > 0 && is_whole => Err(BodyError::TooLong { excess }),
            _ => Ok(taken),
        }
    }

    /// Appends one DATA frame as [`write_body`](Self::write_body) does, without a copy of the payload. `fill` receives the maximum
    /// length of the payload, which is not 0, and returns the actual length, and true if these bytes are the last ones. It appends
    /// the bytes to the output, or the caller sends them after the output. Returns the length of the payload.
    ///
    /// Where no byte may be sent now, `fill` is not called.
    ///
    /// # Errors
    ///
    /// The error of `fill`, after which nothing is written.
    pub fn write_body_with<E>(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        fill: impl FnOnce(&mut Vec<u8>, usize) -> Result<(usize, bool), E>,
    ) -> Result<usize, E> {
        let most = self.sendable(stream).min(self.peer.max_payload);
        let Some(state) = self.streams.get_mut(stream) else {
            return Ok(0);
        };
        let ResponseState::Body { left } = &mut state.writing else {
            return Ok(0);
        };
        let declared = left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let most = most.min(declared);
        if most == 0 {
            return Ok(0);
        }
        let start = out.len();
        frame::write_header(out, 0, FrameKind::Data, 0, stream.number());
        let payload = out.len();
        let (count, is_last) = match fill(out, most) {
            Ok(filled) => filled,
            Err(error) => {
                out.truncate(start);
                return Err(error);
            }
        };
        debug_assert!(count <= most, "{count} bytes for a frame of at most {most}");
        let taken = count.min(most);
        out.truncate(payload + taken);
        if let Some(left) = left {
            *left -= taken as u64;
        }
        let ends = is_last && left.unwrap_or(0) == 0;
        if taken == 0 && !ends {
            out.truncate(start);
            return Ok(0);
        }
        state.send.send(taken);
        state.sent += taken as u64;
        self.send.send(taken);
        let end = if ends { flags::END_STREAM } else { 0 };
        let header = frame::header_bytes(taken, FrameKind::Data, end, stream.number());
        out[start..payload].copy_from_slice(&header);
        if ends || taken >= USEFUL_BYTES {
            self.add_credit();
        }
        if ends {
            self.end_response(out, stream);
        }
        Ok(taken)
    }

    /// Ends the response, with optional trailers; fields that are not allowed there are removed (RFC 9110, section
    /// 6.5.1). The stream closes: an incomplete request is ended with RST_STREAM(NO_ERROR).
    ///
    /// # Errors
    ///
    /// [`BodyError::TooShort`] if the head declared more bytes: the stream is reset.
    pub fn write_end(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        trailers: Option<&HeaderMap>,
    ) -> Result<(), BodyError> {
        let is_allowed = |name: &HeaderName| is_allowed_trailer(name) && !is_owned(name);
        let trailers = trailers.filter(|trailers| trailers.keys().any(is_allowed));
        let Some(trailers) = trailers else {
            return self.write_body(out, stream, b"", true).map(|_| ());
        };
        let Some(state) = self.streams.get(stream) else {
            return Ok(());
        };
        match state.writing {
            ResponseState::Body {
                left: Some(missing @ 1..),
            } => {
                self.reset(out, stream, ErrorCode::INTERNAL_ERROR);
                return Err(BodyError::TooShort { missing });
            }
            // Only DATA may be sent on a connected stream (RFC 9113, section 8.5).
            ResponseState::Body { .. } if state.method == MethodKind::Connect => {
                return self.write_body(out, stream, b"", true).map(|_| ());
            }
            ResponseState::Body { .. } => {}
            ResponseState::Head | ResponseState::Ended => return Ok(()),
        }
        let start = frame::begin_headers(out);
        self.encoder.begin(out);
        self.encode_fields(out, trailers, is_allowed);
        frame::end_headers(out, start, stream.number(), true, self.peer.max_payload);
        self.end_response(out, stream);
        Ok(())
    }

    /// Appends a whole response: [`write_head`](Self::write_head) with the length of `body`, and as much of `body` as
    /// the windows permit. Returns the number of accepted bytes of `body`; write the others with
    /// [`write_body`](Self::write_body).
    pub fn write_response(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        date: &[u8; 29],
    ) -> usize {
        self.write_head(out, stream, status, headers, BodyLength::Exact(body.len() as u64), date);
        let most = self.send.available().min(self.peer.max_payload);
        if let Some(state) = self.streams.get_mut(stream)
            && state.writing
                == (ResponseState::Body {
                    left: Some(body.len() as u64),
                })
            && body.len() <= most.min(state.send.available())
        {
            // One frame, which is the case for most responses.
            state.send.send(body.len());
            self.write_last_frame(out, stream, body);
            return body.len();
        }
        // The head has declared this length, so there is no error.
        self.write_body(out, stream, body, true).unwrap_or(body.len())
    }

    /// Appends a whole response with status 200 and the one field `content-type`, as
    /// [`write_response`](Self::write_response) with these headers does. Returns false, and appends nothing, where the response
    /// is not a HEADERS frame of few bytes and one DATA frame: use `write_response` then.
    #[inline]
    pub fn write_typed_response(
        &mut self,
        out: &mut Vec<u8>,
        stream: StreamId,
        content_type: &'static str,
        body: &[u8],
        date: &[u8; 29],
    ) -> bool {
        let most = self.send.available().min(self.peer.max_payload);
        let Some(state) = self.streams.get_mut(stream) else {
            return false;
        };
        let is_whole = state.writing == ResponseState::Head
            && !matches!(state.method, MethodKind::Head | MethodKind::Connect)
            && !body.is_empty()
            && body.len() <= most.min(state.send.available());
        if !is_whole {
            return false;
        }
        let start = frame::begin_headers(out);
        if !self.encoder.typed(out, content_type, body.len() as u64, date) {
            out.truncate(start);
            return false;
        }
        state.writing = ResponseState::Ended;
        state.send.send(body.len());
        frame::end_headers(out, start, stream.number(), false, self.peer.max_payload);
        self.write_last_frame(out, stream, body);
        true
    }

    /// Appends a frame of DATA that ends the stream, whose window the caller has reduced.
    #[inline]
    fn write_last_frame(&mut self, out: &mut Vec<u8>, stream: StreamId, body: &[u8]) {
        self.send.send(body.len());
        frame::write_header(out, body.len(), FrameKind::Data, flags::END_STREAM, stream.number());
        out.extend_from_slice(body);
        self.add_credit();
        self.end_response(out, stream);
    }

    /// Records whether the caller has bytes of DATA that were not accepted yet.
    pub fn set_pending(&mut self, stream: StreamId, is_pending: bool) {
        if let Some(state) = self.streams.get_mut(stream) {
            state.pending = is_pending;
        }
    }

    /// Returns the stream to send from next, among those that are [pending](Self::set_pending) and whose windows have
    /// room, in the order of RFC 9218.
    ///
    /// Pass a piece of about 16 KiB to [`write_body`](Self::write_body), and call again while there is room in the
    /// output. Large responses of one urgency then take turns, and small ones do not wait for them.
    pub fn next_pending(&mut self) -> Option<StreamId> {
        if self.send.available() == 0 {
            return None;
        }
        self.streams.next_pending()
    }

    /// Encodes the fields that `keep` accepts. Returns whether `date` is among them.
    fn encode_fields(&mut self, out: &mut Vec<u8>, headers: &HeaderMap, keep: impl Fn(&HeaderName) -> bool) -> bool {
        let mut has_date = false;
        for (name, value) in headers {
            if keep(name) {
                self.encoder.field(out, name, value);
                has_date |= *name == header::DATE;
            }
        }
        has_date
    }
}

/// Returns whether the engine writes the field, or HTTP/2 forbids it (RFC 9113, section 8.2.2).
fn is_owned(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "content-length" | "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade"
    )
}

/// The value of `content-length`.
fn declared_length(headers: &HeaderMap) -> Option<u64> {
    decimal(headers.get(header::CONTENT_LENGTH)?.as_bytes())
}
