//! The state of a connection: reading requests and writing responses.

use http::{StatusCode, Version};

use super::body::{Chunked, Decoded};
use super::error::{Reason, RequestError};
use super::head::Head;
use super::progress::Progress;
use super::{BodyLength, Event, Limits, Phase, scan};
use crate::message::MethodKind;

/// The number of bytes of a request body that are discarded after its response: 64 KiB. If more remain, closing the
/// connection is cheaper.
pub const DRAIN_BYTES: u64 = 64 * 1024;

/// The maximum number of empty lines before a request line (RFC 9112, section 2.2 requires one).
const BLANK_LINES: u8 = 8;

/// The server side of one HTTP/1.1 connection. See [the module](super) for the order of calls.
///
/// Its size is at most 64 bytes, without heap memory: the caller keeps unconsumed bytes.
#[derive(Debug)]
pub struct Connection {
    pub(super) reading: Reading,
    pub(super) writing: Writing,
    /// The remaining part of the head limit for trailers.
    trailer_bytes_left: u32,
    /// The remaining length of chunk extensions.
    extension_room: u32,
    /// The number of body bytes discarded after the response.
    drained: u32,
    /// The number of fields in the head.
    fields: u32,
    /// The request has version HTTP/1.0.
    pub(super) old: bool,
    /// The method of the request, or of a head that is incomplete or invalid, on which its refusal depends. It is `Other`
    /// until the token of the method is complete.
    pub(super) method: MethodKind,
    /// The connection may persist after this response.
    pub(super) keep_alive: bool,
    /// The client expects `100 Continue` and has received no response.
    pub(super) continue_pending: bool,
}

/// The state of reading requests.
///
/// ```text
///            head complete, chunked
///        ┌───────────────────────────▶ Chunked ──last chunk──▶ Trailers ─┐
///        │   head complete, length                                       │ empty line
///      Head ─────────────────────────▶ Exact ────────────all bytes───────┤
///        │   head complete, no body                                      ▼
///        ├───────────────────────────────────────────────────────────▶ Complete
///        ▲                                                               │
///        └───────────── response finished, connection kept ──────────────┘
///
///      any ── an error, or a response finished that does not keep the connection ──▶ Closed
/// ```
///
/// If the response is finished before the body, `Exact`, `Chunked` and `Trailers` discard the rest without events, and
/// lead to `Head` at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reading {
    /// Before or in a head. `blank_lines <= 8`.
    Head { progress: Progress, blank_lines: u8 },
    /// In a body of known length, with the number of remaining bytes.
    Exact { left: u64 },
    /// In a chunked body.
    Chunked(Chunked),
    /// After the last chunk.
    Trailers(Progress),
    /// The request is complete.
    Complete,
    /// Input is ignored.
    Closed,
}

impl Reading {
    const START: Self = Self::Head {
        progress: Progress::START,
        blank_lines: 0,
    };
}

/// The state of writing the response.
///
/// ```text
///  Nothing ──request──▶ Waiting ──write_head──▶ Exact | Chunked | UntilClose | Bodiless
///     ▲                    │                                   │ write_end
///     │                    └── 101, or 2xx to CONNECT          ▼
///     └── request complete ───────────┼─────────────────────  Done
///                                     ▼
///                                  Upgraded
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    /// There is no request.
    Nothing,
    /// A request, or an invalid one, has no response yet.
    Waiting,
    /// In a body of declared length, with the number of remaining bytes.
    Exact { left: u64 },
    /// In a chunked body.
    Chunked,
    /// In a body that ends with the connection.
    UntilClose,
    /// The response has no body on the wire; body writes are discarded.
    Bodiless,
    /// The response is finished; the request is not.
    Done,
    /// The bytes of the connection belong to the caller.
    Upgraded,
}

impl Connection {
    /// A new connection.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            reading: Reading::START,
            writing: Writing::Nothing,
            trailer_bytes_left: 0,
            extension_room: 0,
            drained: 0,
            fields: 0,
            old: false,
            method: MethodKind::Other,
            keep_alive: true,
            continue_pending: false,
        }
    }

    /// Parses received bytes, and returns the number of consumed bytes and one event.
    ///
    /// `input` starts with the first unconsumed byte and contains at least the bytes that the last call left. The event
    /// [`Event::Request`] means that `head` is filled; before that, its content is unspecified, and it may differ
    /// between calls. After `Request`, `Body` and `End`, call again at once, because the input may contain further
    /// events.
    ///
    /// # Errors
    ///
    /// The peer violated the protocol, and the start of its next message is unknown. Respond with the
    /// [`RequestError::status`] if [`Connection::can_answer`], then close the connection.
    #[inline]
    pub fn handle_input<'a>(
        &mut self,
        input: &'a [u8],
        head: &mut Head,
        limits: &Limits,
    ) -> Result<(usize, Event<'a>), RequestError> {
        let mut at = 0;
        loop {
            let skipping = self.writing == Writing::Done && self.reading != Reading::Closed;
            let step = match self.reading {
                Reading::Head { .. } => self.read_head(&input[at..], head, limits),
                Reading::Complete if self.writing == Writing::Upgraded => Ok((0, Event::Upgraded)),
                Reading::Complete => Ok((0, Event::Blocked)),
                Reading::Closed => Ok((input.len() - at, Event::Closed)),
                _ => self.read_body(&input[at..], limits),
            };
            let (used, event) = match step {
                Ok(step) => step,
                Err(error) => return Err(self.fail(error)),
            };
            at += used;
            if skipping && self.skip(used, &event) {
                continue;
            }
            return Ok((at, event));
        }
    }

    /// Returns whether the head of a response may be written: a request or a [`RequestError`] has no response yet, or
    /// there has been no request at all.
    #[must_use]
    pub fn can_answer(&self) -> bool {
        matches!(self.writing, Writing::Waiting | Writing::Nothing)
    }

    /// Returns whether a response with this status is final, as [`MethodKind::has_final`] does for the method of the request.
    #[must_use]
    #[inline]
    pub fn is_final(&self, status: StatusCode) -> bool {
        self.method.has_final(status)
    }

    /// Returns whether the response has no body because the method is `HEAD` (RFC 9110, section 9.3.2). The method of a
    /// head that is incomplete or invalid counts once its token is complete.
    #[must_use]
    pub fn is_head_only(&self) -> bool {
        self.method == MethodKind::Head
    }

    /// Returns whether the response has a body to write: its head is written, and neither the method nor the status
    /// forbids a body. If false, the caller need not produce one.
    #[must_use]
    pub fn wants_body(&self) -> bool {
        matches!(
            self.writing,
            Writing::Exact { .. } | Writing::Chunked | Writing::UntilClose
        )
    }

    /// Returns whether the end of the stream delimits the current response, as for an unknown length with a client of
    /// HTTP/1.0 (RFC 9112, section 6.3). If such a response cannot be completed, only a reset indicates that to the
    /// client (section 8). Call it before [`abort`](Self::abort).
    #[must_use]
    pub fn ends_with_stream(&self) -> bool {
        self.writing == Writing::UntilClose
    }

    /// Returns whether the connection persists. If false, close it after sending all output.
    ///
    /// The head of the response determines and announces it. It may become false later: after an error, after
    /// [`abort`](Self::abort), after a body that was too short, or if too much of the request body remains.
    #[must_use]
    pub fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// The phase of the connection, for deadlines.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.reading {
            Reading::Head { progress, .. } if progress == Progress::START => Phase::Idle,
            Reading::Head { .. } => Phase::Head,
            Reading::Complete if self.writing == Writing::Upgraded => Phase::Upgraded,
            Reading::Complete => Phase::Answer,
            Reading::Closed => Phase::Closed,
            _ if self.writing == Writing::Done => Phase::Drain,
            _ => Phase::Body,
        }
    }

    /// Stops reading: the rest of the request is ignored. The current response continues; close the connection after
    /// it.
    pub fn stop_reading(&mut self) {
        self.keep_alive = false;
        self.reading = Reading::Closed;
        self.continue_pending = false;
    }

    /// Stops reading and writing; close the connection. Use it for a response that cannot be completed: the client
    /// detects that it is incomplete.
    pub fn abort(&mut self) {
        self.keep_alive = false;
        self.reading = Reading::Closed;
        self.writing = Writing::Done;
    }

    /// Ends the response, and starts the next request if the connection persists.
    pub(super) fn finish_answer(&mut self) {
        self.writing = Writing::Done;
        self.drained = 0;
        match self.reading {
            _ if !self.keep_alive => self.abort(),
            Reading::Complete => self.next_request(),
            Reading::Exact { left } if left > DRAIN_BYTES => self.abort(),
            _ => {}
        }
    }

    fn next_request(&mut self) {
        self.reading = Reading::START;
        self.writing = Writing::Nothing;
        self.method = MethodKind::Other;
    }

    /// Records an error: it ends reading, and the connection closes after the response.
    #[cold]
    fn fail(&mut self, error: RequestError) -> RequestError {
        self.stop_reading();
        if self.writing == Writing::Nothing {
            // The head is incomplete, so the response is one to an HTTP/1.1 request.
            self.writing = Writing::Waiting;
            self.old = false;
        }
        error
    }

    /// Discards a body event of a request that has its response; returns false if the caller receives the event.
    #[cold]
    fn skip(&mut self, used: usize, event: &Event<'_>) -> bool {
        self.drained = self.drained.saturating_add(u32::try_from(used).unwrap_or(u32::MAX));
        if u64::from(self.drained) > DRAIN_BYTES {
            self.abort();
            return true;
        }
        if matches!(event, Event::End(_)) {
            self.next_request();
            return true;
        }
        matches!(event, Event::Body(_))
    }

    #[inline]
    fn read_head<'a>(
        &mut self,
        input: &'a [u8],
        head: &mut Head,
        limits: &Limits,
    ) -> Result<(usize, Event<'a>), RequestError> {
        let Reading::Head {
            mut progress,
            mut blank_lines,
        } = self.reading
        else {
            return Ok((0, Event::NeedMore));
        };
        let mut start = 0;
        if progress == Progress::START && matches!(input.first(), Some(b'\r' | b'\n')) {
            start = skip_blank_lines(input, &mut blank_lines)?;
        }
        let window = &input[start..];
        let parsed = match window.first() {
            // No byte, or a CR that may start an empty line.
            None | Some(b'\r') => Ok(None),
            // No method starts with this byte: another protocol, such as TLS, is rejected at its first byte.
            Some(&byte) if !scan::is_token_byte(byte) => {
                return Err(RequestError::at(Reason::Method, 0));
            }
            Some(_) => head.parse(window, &mut progress, limits),
        };
        if let Ok(Some(length)) = parsed {
            self.begin_request(head, length, limits);
            return Ok((start + length, Event::Request));
        }
        self.method = first_method(window);
        self.reading = Reading::Head { progress, blank_lines };
        parsed.map(|_| (start, Event::NeedMore))
    }

    #[inline]
    fn begin_request(&mut self, head: &Head, length: usize, limits: &Limits) {
        self.reading = match head.body() {
            BodyLength::None => Reading::Complete,
            BodyLength::Exact(left) => Reading::Exact { left },
            BodyLength::Chunked => {
                // The empty line that ends the trailers is not counted.
                self.trailer_bytes_left = (limits.head_limit() - length + 2) as u32;
                self.extension_room = limits.head_limit() as u32;
                Reading::Chunked(Chunked::START)
            }
        };
        self.writing = Writing::Waiting;
        self.fields = head.headers().len() as u32;
        self.old = head.version() == Version::HTTP_10;
        self.method = MethodKind::of(head.method());
        self.keep_alive = head.keep_alive();
        self.continue_pending = head.expects_continue();
    }

    fn read_body<'a>(&mut self, input: &'a [u8], limits: &Limits) -> Result<(usize, Event<'a>), RequestError> {
        if self.reading == (Reading::Exact { left: 0 }) {
            self.reading = Reading::Complete;
            return Ok((0, Event::End(None)));
        }
        if input.is_empty() {
            return Ok((0, Event::NeedMore));
        }
        // The client has sent its body without `100 Continue` (RFC 9110, section 10.1.1).
        self.continue_pending = false;
        let mut at = 0;
        if let Reading::Exact { left } = self.reading {
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
            self.reading = Reading::Exact {
                left: left - length as u64,
            };
            return Ok((length, Event::Body(&input[..length])));
        }
        if let Reading::Chunked(mut chunked) = self.reading {
            let (used, decoded) = chunked.decode(input, &mut self.extension_room)?;
            self.reading = Reading::Chunked(chunked);
            match decoded {
                Decoded::NeedMore => return Ok((used, Event::NeedMore)),
                Decoded::Data(piece) => return Ok((used, Event::Body(piece))),
                Decoded::Trailers => {
                    self.reading = Reading::Trailers(Progress::START);
                    at = used;
                }
            }
        }
        if let Reading::Trailers(mut progress) = self.reading {
            let left = Limits {
                head_bytes: self.trailer_bytes_left as usize,
                headers: limits.field_limit().saturating_sub(self.fields as usize),
            };
            match progress.parse_trailers(&input[at..], &left)? {
                None => self.reading = Reading::Trailers(progress),
                Some((length, trailers)) => {
                    self.reading = Reading::Complete;
                    return Ok((at + length, Event::End(trailers)));
                }
            }
        }
        Ok((at, Event::NeedMore))
    }
}

impl Default for Connection {
    fn default() -> Self {
        Self::new()
    }
}

/// The method at the start of a head that is incomplete or invalid, once its token is complete.
fn first_method(window: &[u8]) -> MethodKind {
    if window.starts_with(b"HEAD ") {
        MethodKind::Head
    } else {
        MethodKind::Other
    }
}

/// The length of the empty lines at the start of the input.
#[cold]
fn skip_blank_lines(input: &[u8], count: &mut u8) -> Result<usize, RequestError> {
    let mut at = 0;
    loop {
        match input.get(at) {
            Some(b'\r') => {}
            Some(b'\n') => return Err(RequestError::new(Reason::LineEnd)),
            _ => return Ok(at),
        }
        match input.get(at + 1) {
            Some(b'\n') => at += 2,
            Some(_) => return Err(RequestError::new(Reason::LineEnd)),
            None => return Ok(at),
        }
        *count += 1;
        if *count > BLANK_LINES {
            return Err(RequestError::new(Reason::BlankLines));
        }
    }
}
