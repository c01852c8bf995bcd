//! An incremental parser for `multipart/form-data` (RFC 7578; RFC 2046, section 5.1).
//!
//! A [`MultipartParser`] accepts the body in pieces of any size and returns [`MultipartEvent`]s. It buffers at most the
//! head of one part, which has a limit, or the end of a piece that may start a delimiter. It processes each byte a
//! bounded number of times.
//!
//! ```text
//!            delimiter                   CR LF             CR LF CR LF
//! Preamble ─────────────> Delimited ───────────────> Head ──────────────> Content ── delimiter ──> Delimited
//!                             │ "--"                      event Part          event Content   event EndOfPart
//!                             v
//!                         Epilogue   event End
//! ```
//!
//! A part of two bytes, followed by half of a delimiter:
//!
//! ```
//! use bytes::Bytes;
//! use conduit_proto::multipart::{MultipartEvent, MultipartParser, boundary};
//!
//! let boundary = boundary(b"multipart/form-data; boundary=xyz")?.expect("the type is that of a form");
//! let mut parser = MultipartParser::new(&boundary);
//! parser.handle_input(Bytes::from_static(
//!     b"--xyz\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nhi\r\n--x",
//! ));
//! let Some(MultipartEvent::Part(part)) = parser.poll_event()? else { panic!("the head is whole") };
//! assert_eq!(part.name, "a");
//! assert_eq!(parser.poll_event()?, Some(MultipartEvent::Content(Bytes::from_static(b"hi"))));
//! assert_eq!(parser.poll_event()?, None);
//! parser.handle_input(Bytes::from_static(b"yz--\r\n"));
//! assert_eq!(parser.poll_event()?, Some(MultipartEvent::EndOfPart));
//! assert_eq!(parser.poll_event()?, Some(MultipartEvent::End));
//! # Ok::<(), conduit_proto::multipart::MultipartError>(())
//! ```
//!
//! # Rejected input
//!
//! - a boundary that RFC 2046 does not allow
//! - a delimiter that is followed by other text than white space on its line
//! - a head that exceeds its limit, has more than [`FIELDS_LIMIT`] fields, a folded line, or a bare `CR` or `LF`
//! - a part without a `Content-Disposition: form-data` with a name, or with a repeated one, or with repeated parameters
//! - a name that is not UTF-8
//! - a body that ends before its last delimiter

mod error;
mod head;

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem::{self, Finder};

pub use error::{FIELDS_LIMIT, MultipartError};
pub use head::{PartHead, boundary};

/// The default limit of a part's head in bytes; see [`MultipartParser::head_limit`].
pub const HEAD_LIMIT_BYTES: usize = 8 * 1024;

/// The next event of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultipartEvent {
    /// The start of a part.
    Part(PartHead),
    /// A non-empty piece of the content of the part.
    Content(Bytes),
    /// The end of the part.
    EndOfPart,
    /// The end of the body. Bytes after the last delimiter are ignored.
    End,
}

/// An incremental parser for one body.
///
/// After each [`handle_input`](MultipartParser::handle_input), and after [`handle_end`](MultipartParser::handle_end),
/// call [`poll_event`](MultipartParser::poll_event) until it returns `None`.
#[derive(Debug)]
pub struct MultipartParser {
    /// Received bytes that have not been returned yet.
    buffer: BytesMut,
    /// CR, LF, two hyphens and the boundary.
    delimiter: Finder<'static>,
    state: State,
    head_limit: usize,
    /// The length of the prefix of the buffer that does not contain the end of the head, or of the delimiter's line.
    searched: usize,
    /// The end of the head's last line is still in the buffer, because a delimiter may start with it; the part is then
    /// empty.
    is_at_start: bool,
    has_ended: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Preamble,
    /// After a delimiter, on its line.
    Delimited,
    Head,
    Content,
    Epilogue,
    Failed(MultipartError),
}

impl MultipartParser {
    /// A parser for a body with this boundary.
    pub fn new(boundary: &str) -> Self {
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        MultipartParser {
            // The first delimiter may be at the start of the body; with a preceding line end it is found as all others.
            buffer: BytesMut::from(&b"\r\n"[..]),
            delimiter: Finder::new(&delimiter).into_owned(),
            state: State::Preamble,
            head_limit: HEAD_LIMIT_BYTES,
            searched: 0,
            is_at_start: false,
            has_ended: false,
        }
    }

    /// Sets the maximum length of the head of each part, in bytes. Default: [`HEAD_LIMIT_BYTES`].
    pub fn head_limit(mut self, bytes: usize) -> Self {
        self.head_limit = bytes;
        self
    }

    /// Adds the next piece of the body.
    pub fn handle_input(&mut self, piece: Bytes) {
        if matches!(self.state, State::Epilogue | State::Failed(_)) {
            return;
        }
        if self.buffer.is_empty() {
            // A piece that is not shared is not copied.
            self.buffer = piece
                .try_into_mut()
                .unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        } else {
            self.buffer.extend_from_slice(&piece);
        }
    }

    /// Marks the end of the body.
    pub fn handle_end(&mut self) {
        self.has_ended = true;
    }

    /// Returns the next event; `None` if more of the body is required, and after the end.
    ///
    /// # Errors
    ///
    /// The input is not `multipart/form-data`, or exceeds a limit. Each further call returns the same error.
    pub fn poll_event(&mut self) -> Result<Option<MultipartEvent>, MultipartError> {
        let event = self.next_event();
        match event {
            Err(error) => {
                self.state = State::Failed(error);
                self.buffer.clear();
            }
            Ok(None) if self.has_ended && self.state != State::Epilogue => {
                self.state = State::Failed(MultipartError::Incomplete);
                return Err(MultipartError::Incomplete);
            }
            Ok(_) => {}
        }
        event
    }

    fn next_event(&mut self) -> Result<Option<MultipartEvent>, MultipartError> {
        loop {
            match self.state {
                State::Preamble => match self.delimiter.find(&self.buffer) {
                    Some(at) => self.pass_delimiter(at),
                    None => {
                        let kept = self.buffer.len().min(self.delimiter.needle().len() - 1);
                        self.buffer.advance(self.buffer.len() - kept);
                        return Ok(None);
                    }
                },
                State::Delimited => {
                    let is_there = self.end_of_delimiter()?;
                    if !is_there {
                        return Ok(None);
                    }
                    if self.state == State::Epilogue {
                        return Ok(Some(MultipartEvent::End));
                    }
                }
                State::Head => {
                    let Some(head) = self.head()? else { return Ok(None) };
                    self.state = State::Content;
                    return Ok(Some(MultipartEvent::Part(head)));
                }
                State::Content => return Ok(self.content()),
                State::Epilogue => return Ok(None),
                State::Failed(error) => return Err(error),
            }
        }
    }

    fn pass_delimiter(&mut self, at: usize) {
        self.buffer.advance(at + self.delimiter.needle().len());
        self.state = State::Delimited;
        self.searched = 0;
    }

    /// Parses the rest of a delimiter's line; returns false if it is incomplete.
    fn end_of_delimiter(&mut self) -> Result<bool, MultipartError> {
        let malformed = MultipartError::Malformed {
            what: "a boundary is followed by other text on its line: end the line after it",
        };
        if self.buffer.starts_with(b"--") {
            self.buffer.clear();
            self.state = State::Epilogue;
            return Ok(true);
        }
        // "Transport padding" (RFC 2046, section 5.1.1).
        let padding = &mut self.searched;
        let rest = &self.buffer[*padding..];
        *padding += rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let padding = *padding;
        if padding > self.head_limit {
            return Err(malformed);
        }
        match &self.buffer[padding..] {
            [b'\r', b'\n', ..] => {
                self.buffer.advance(padding + 2);
                self.state = State::Head;
                self.searched = 0;
                Ok(true)
            }
            [] | [b'\r'] => Ok(false),
            [b'-'] if padding == 0 => Ok(false),
            _ => Err(malformed),
        }
    }

    fn head(&mut self) -> Result<Option<PartHead>, MultipartError> {
        // The end of the head may start up to three bytes before the end of the searched part.
        let from = self.searched.saturating_sub(3);
        let end = memmem::find(&self.buffer[from..], b"\r\n\r\n").map(|at| from + at + 4);
        let limit_bytes = self.head_limit;
        if end.unwrap_or(self.buffer.len()) > limit_bytes {
            return Err(MultipartError::HeadTooLong { limit_bytes });
        }
        match end {
            Some(end) => {
                // A parser that searches only for boundaries would find another part here.
                let lines = &self.buffer[..end - 4];
                if lines.starts_with(&self.delimiter.needle()[2..]) || self.delimiter.find(lines).is_some() {
                    return Err(MultipartError::Malformed {
                        what: "the head of a part contains the boundary: choose another boundary",
                    });
                }
                self.is_at_start = true;
                PartHead::parse(&self.buffer.split_to(end - 2)[..end - 4]).map(Some)
            }
            None => {
                self.searched = self.buffer.len();
                Ok(None)
            }
        }
    }

    fn content(&mut self) -> Option<MultipartEvent> {
        if self.is_at_start && !self.buffer.starts_with(self.delimiter.needle()) {
            if self.delimiter.needle().starts_with(&self.buffer) {
                return None;
            }
            self.buffer.advance(2);
        }
        self.is_at_start = false;
        let length = match self.delimiter.find(&self.buffer) {
            Some(0) => {
                self.pass_delimiter(0);
                return Some(MultipartEvent::EndOfPart);
            }
            Some(at) => at,
            None => self.buffer.len() - self.held_back(),
        };
        (length > 0).then(|| MultipartEvent::Content(self.buffer.split_to(length).freeze()))
    }

    /// The number of bytes at the end of the buffer that may start a delimiter. A delimiter has a CR only at its start,
    /// so it can start only at the last CR.
    fn held_back(&self) -> usize {
        let needle = self.delimiter.needle();
        let tail = &self.buffer[self.buffer.len().saturating_sub(needle.len() - 1)..];
        match memchr::memrchr(b'\r', tail) {
            Some(at) if needle.starts_with(&tail[at..]) => tail.len() - at,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_of_a_delimiter_is_examined_once() {
        let mut parser = MultipartParser::new("xyz");
        parser.handle_input(Bytes::from_static(b"--xyz"));
        assert_eq!(parser.poll_event(), Ok(None));
        for count in 1..=HEAD_LIMIT_BYTES {
            parser.handle_input(Bytes::from_static(b" "));
            assert_eq!(parser.poll_event(), Ok(None));
            assert_eq!(parser.searched, count);
            // A second examination would reject this byte.
            parser.buffer[count - 1] = b'?';
        }
        parser.handle_input(Bytes::from_static(b"\r\n"));
        assert_eq!(parser.poll_event(), Ok(None));
        assert_eq!((parser.state, parser.searched), (State::Head, 0));
    }

    #[test]
    fn failed_parser_buffers_nothing() {
        let mut parser = MultipartParser::new("xyz");
        parser.handle_input(Bytes::from_static(b"--xyz?"));
        let error = parser.poll_event().unwrap_err();
        for _ in 0..3 {
            parser.handle_input(Bytes::from_static(&[b'a'; 1000]));
            assert_eq!(parser.poll_event(), Err(error));
        }
        assert!(parser.buffer.is_empty());
    }
}
