//! Responses as received: the head, then the body piece by piece (RFC 9112, sections 6 and 7).

use std::io;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::wire::Wire;

/// The largest number of header fields that a response may have.
const FIELDS: usize = 256;

/// The framing of a response body, with the state of its reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Left(u64),
    /// Before a chunk's size.
    Chunks,
    /// The remaining bytes of a chunk, before its line end.
    Chunk(u64),
    UntilClose,
    Ended,
}

/// The reader of the response to one request.
#[derive(Debug)]
pub(super) struct Reading {
    wire: Wire,
    pending: Vec<u8>,
    framing: Framing,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.wire.close();
    }
}

impl Reading {
    pub(super) fn new(wire: Wire) -> Self {
        Reading {
            wire,
            pending: Vec::new(),
            framing: Framing::Ended,
        }
    }

    /// Reads a head, and skips informational ones.
    pub(super) fn head(&mut self, method: &Method) -> io::Result<(StatusCode, HeaderMap)> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; FIELDS];
            let mut head = httparse::Response::new(&mut fields);
            let length = match head.parse(&self.pending).map_err(malformed)? {
                httparse::Status::Complete(length) => length,
                httparse::Status::Partial => {
                    self.need_more()?;
                    continue;
                }
            };
            let status = StatusCode::from_u16(head.code.unwrap_or(0)).map_err(malformed)?;
            let mut headers = HeaderMap::new();
            for field in head.headers.iter() {
                let name = HeaderName::try_from(field.name).map_err(malformed)?;
                headers.append(name, HeaderValue::from_bytes(field.value).map_err(malformed)?);
            }
            self.pending.drain(..length);
            if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                continue;
            }
            self.framing = framing(method, status, &headers)?;
            return Ok((status, headers));
        }
    }

    /// The next received bytes of the body; `None` at its end.
    pub(super) fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            match self.framing {
                Framing::Ended | Framing::Left(0) => return Ok(None),
                Framing::Left(left) => {
                    let piece = self.up_to(left)?;
                    self.framing = Framing::Left(left - piece.len() as u64);
                    return Ok(Some(piece));
                }
                Framing::UntilClose => {
                    if self.pending.is_empty() && !self.more()? {
                        self.framing = Framing::Ended;
                    } else {
                        return Ok(Some(std::mem::take(&mut self.pending)));
                    }
                }
                Framing::Chunks => {
                    let line = self.line()?;
                    let size = line.split(';').next().unwrap_or_default().trim();
                    match u64::from_str_radix(size, 16).map_err(malformed)? {
                        0 => {
                            while !self.line()?.is_empty() {}
                            self.framing = Framing::Ended;
                        }
                        size => self.framing = Framing::Chunk(size),
                    }
                }
                Framing::Chunk(left) => {
                    let piece = self.up_to(left)?;
                    let left = left - piece.len() as u64;
                    self.framing = Framing::Chunk(left);
                    if left == 0 {
                        if !self.line()?.is_empty() {
                            return Err(malformed("a chunk is longer than its size"));
                        }
                        self.framing = Framing::Chunks;
                    }
                    return Ok(Some(piece));
                }
            }
        }
    }

    fn up_to(&mut self, left: u64) -> io::Result<Vec<u8>> {
        if self.pending.is_empty() {
            self.need_more()?;
        }
        let count = usize::try_from(left).map_or(self.pending.len(), |left| left.min(self.pending.len()));
        Ok(self.pending.drain(..count).collect())
    }

    fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(place) = self.pending.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.pending.drain(..place + 2).take(place).collect();
                return String::from_utf8(line).map_err(malformed);
            }
            self.need_more()?;
        }
    }

    fn need_more(&mut self) -> io::Result<()> {
        if self.more()? {
            return Ok(());
        }
        Err(io::ErrorKind::UnexpectedEof.into())
    }

    fn more(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let count = self.wire.read(&mut buffer)?;
        self.pending.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }
}

fn framing(method: &Method, status: StatusCode, headers: &HeaderMap) -> io::Result<Framing> {
    let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED) || status.is_informational();
    if method == Method::HEAD || bodiless {
        return Ok(Framing::Ended);
    }
    if headers.contains_key("transfer-encoding") {
        return Ok(Framing::Chunks);
    }
    match headers.get("content-length") {
        None => Ok(Framing::UntilClose),
        Some(length) => {
            let length = length.to_str().map_err(malformed)?;
            Ok(Framing::Left(length.parse().map_err(malformed)?))
        }
    }
}

fn malformed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Returns whether the server has ended the connection within a response.
pub(super) fn is_cut_short(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
    )
}

/// The reason why a response cannot be read, with a remedy.
pub(super) fn failure_message(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            "the application sent nothing within the timeout of the test; if the handler waits for a timer, advance the \
             clock with `advance`, or use `skip_waiting`"
                .to_owned()
        }
        io::ErrorKind::UnexpectedEof => "the application closed the connection before the end of its response".to_owned(),
        _ => format!("the response cannot be read: {error}"),
    }
}
