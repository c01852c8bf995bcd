//! Reading responses one by one from a connection.

use std::io::Read;

use crate::stream::Stream;

/// A connection, with the bytes that were read after the last response.
pub(super) struct Reader {
    pub(super) stream: Stream,
    rest: Vec<u8>,
}

impl Reader {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            rest: Vec::new(),
        }
    }

    /// The next response's status and body.
    pub(super) fn response(&mut self) -> Result<(u16, Vec<u8>), String> {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.more()?;
        };
        let head: Vec<u8> = self.rest.drain(..end).collect();
        let head = String::from_utf8(head).map_err(|_| "a head that is not text")?;
        let status = head.get(9..12).and_then(|code| code.parse().ok()).ok_or("no status")?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        match length.map(str::parse) {
            Some(Ok(length)) => Ok((status, self.take(length)?)),
            _ if head.contains("transfer-encoding: chunked\r\n") => Ok((status, self.chunks()?)),
            _ => Err(format!("a response without length: {head}")),
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                if let Some(at) = self.rest.windows(2).position(|window| window == b"\r\n") {
                    break at;
                }
                self.more()?;
            };
            let line: Vec<u8> = self.take(end + 2)?;
            let size = str::from_utf8(&line[..end])
                .ok()
                .map(|text| usize::from_str_radix(text, 16));
            let Some(Ok(size)) = size else {
                return Err("no chunk size".to_owned());
            };
            body.extend(self.take(size)?);
            if self.take(2)? != b"\r\n" {
                return Err("a chunk does not end".to_owned());
            }
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>, String> {
        while self.rest.len() < length {
            self.more()?;
        }
        Ok(self.rest.drain(..length).collect())
    }

    fn more(&mut self) -> Result<(), String> {
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err("the server closed".to_owned()),
            Ok(count) => {
                self.rest.extend_from_slice(&buffer[..count]);
                Ok(())
            }
            Err(error) => Err(format!("reading: {error}")),
        }
    }
}
