//! The end of a connection's output that is not copied: large bytes of an answer, or a part of a file.
//!
//! What the engine writes goes into a buffer, which is sent first; a tail stands behind it. Nothing is written while there
//! is a tail, so that one is enough.

use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};

use super::disk;
use super::transport::Transport;
use crate::body::{Body, Kind};
use crate::file::FilePart;

/// From this length on bytes are sent from where they are. Fewer are copied behind their head: that costs less than what a
/// send of several pieces does beyond one of one.
pub(super) const UNCOPIED_BYTES: usize = 8 * 1024;
/// How much of a file is read into the output buffer at a time: where it has to be encrypted, and where it is no longer than
/// that, so that it leaves with the head of its response by one call.
const READ_BYTES: usize = 64 * 1024;
/// How much of a file a turn sends; then other connections have theirs.
const SHARE_BYTES: u64 = 1024 * 1024;

pub(super) struct Tail {
    content: Content,
    /// How many bytes the content had.
    length: u64,
    /// What the framing wants behind the content.
    after: &'static [u8],
    /// A thread reads the next of the file, which is not in memory.
    reading: bool,
}

enum Content {
    Bytes(Bytes),
    File(FilePart),
}

/// How far sending came.
pub(super) enum Progress {
    /// All is sent.
    Done,
    /// The socket has no more room.
    NoRoom,
    /// The turn's share is sent, and there may be more room.
    Share,
    /// The file's next bytes have to be read from the disk.
    NotInMemory,
    /// The file ended, or could not be read, before the length that was announced.
    Broken(io::Error),
}

impl Tail {
    /// The body of a response whose length is known; a stream has none that could be taken.
    pub(super) fn of(body: Body) -> Self {
        let length = body.len().unwrap_or_default();
        let content = match body.0 {
            Kind::Static(bytes) => Content::Bytes(Bytes::from_static(bytes)),
            Kind::Bytes(bytes) => Content::Bytes(bytes),
            Kind::Buffer(buffer) | Kind::Problem(_, buffer) => Content::Bytes(Bytes::from_owner(buffer)),
            Kind::File(part) => Content::File(part),
            Kind::Empty | Kind::Stream(..) | Kind::Incoming(_) => Content::Bytes(Bytes::new()),
            #[cfg(feature = "tower")]
            Kind::Limited(_) => Content::Bytes(Bytes::new()),
        };
        Tail {
            content,
            length,
            after: b"",
            reading: false,
        }
    }

    /// A piece of a stream, and what the framing wants behind it.
    pub(super) fn piece(bytes: Bytes, after: &'static [u8]) -> Self {
        Tail {
            length: bytes.len() as u64,
            content: Content::Bytes(bytes),
            after,
            reading: false,
        }
    }

    /// How much of the content is not sent, while so much of the output before it is not. A file's bytes may be there.
    pub(super) fn left(&self, unsent_bytes: usize) -> u64 {
        match &self.content {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File(part) => self.length.min(part.left() + unsent_bytes as u64),
        }
    }

    pub(super) fn is_reading(&self) -> bool {
        self.reading
    }

    /// The part of the file that is to be read on another thread.
    pub(super) fn start_reading(&mut self) -> Option<FilePart> {
        let Content::File(part) = &self.content else {
            return None;
        };
        self.reading = true;
        Some(part.next(SHARE_BYTES))
    }

    /// The thread has read.
    pub(super) fn has_read(&mut self) {
        if let Content::File(part) = &mut self.content {
            part.warm(SHARE_BYTES);
        }
        self.reading = false;
    }

    /// Sends `output` from `sent` on, and then the content, as far as there is room. Gives how many bytes that were.
    ///
    /// # Errors
    /// The connection is no more.
    pub(super) fn send(
        &mut self,
        transport: &mut Transport,
        output: &mut Vec<u8>,
        sent: &mut usize,
    ) -> io::Result<(u64, Progress)> {
        match &mut self.content {
            Content::Bytes(bytes) => send_bytes(transport, output, sent, bytes, &mut self.after),
            Content::File(part) => send_file(transport, output, sent, part),
        }
    }
}

/// Sends what is in the buffer, the bytes, and what is behind them with one call.
fn send_bytes(
    transport: &mut Transport,
    output: &[u8],
    sent: &mut usize,
    bytes: &mut Bytes,
    after: &mut &'static [u8],
) -> io::Result<(u64, Progress)> {
    let pieces = [IoSlice::new(&output[*sent..]), IoSlice::new(bytes), IoSlice::new(after)];
    let Some(count) = room(transport.send_vectored(&pieces))? else {
        return Ok((0, Progress::NoRoom));
    };
    let of_output = count.min(output.len() - *sent);
    let of_bytes = (count - of_output).min(bytes.len());
    *sent += of_output;
    bytes.advance(of_bytes);
    *after = &after[count - of_output - of_bytes..];
    let done = *sent == output.len() && bytes.is_empty() && after.is_empty();
    Ok((count as u64, if done { Progress::Done } else { Progress::NoRoom }))
}

fn send_file(
    transport: &mut Transport,
    output: &mut Vec<u8>,
    sent: &mut usize,
    part: &mut FilePart,
) -> io::Result<(u64, Progress)> {
    // Otherwise it is sent from where it is, behind its head.
    let reads = part.left() <= READ_BYTES as u64 || !disk::SENDS_FILES || transport.plain_socket().is_none();
    let (mut total, mut share) = (0, SHARE_BYTES);
    while share > 0 {
        let unsent = output.len() - *sent;
        if reads && part.left() > 0 && unsent < READ_BYTES {
            let before = part.left();
            match part.read_to(output, READ_BYTES) {
                Ok(()) => share = share.saturating_sub(before - part.left()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Ok((total, Progress::Broken(error))),
                // What is there already is sent while the disk works.
                Err(_) if unsent > 0 => {}
                Err(_) => return Ok((total, Progress::NotInMemory)),
            }
        }
        if output.len() > *sent {
            let bytes = &output[*sent..];
            // Kept back for the file only if that follows at once, and not when the disk has to be waited for.
            let follows = !reads && part.left() > 0 && part.look(part.left().min(share)).is_ok();
            let result = match transport.plain_socket() {
                Some(socket) if follows => disk::send_before(socket, bytes),
                _ => transport.send(bytes),
            };
            let Some(count) = room(result)? else {
                return Ok((total, Progress::NoRoom));
            };
            *sent += count;
            total += count as u64;
            if *sent < output.len() {
                return Ok((total, Progress::NoRoom));
            }
            output.clear();
            *sent = 0;
        } else if let Some(socket) = transport.plain_socket().filter(|_| part.left() > 0) {
            match part.send_to(socket, part.left().min(share)) {
                Ok(0) => return Ok((total, Progress::NoRoom)),
                Ok(count) => {
                    total += count;
                    share -= count;
                }
                Err(disk::Failed::NotInMemory) => return Ok((total, Progress::NotInMemory)),
                Err(disk::Failed::File(error)) => return Ok((total, Progress::Broken(error))),
                Err(disk::Failed::Socket(error)) => return Err(error),
            }
        }
        if part.left() == 0 && output.is_empty() {
            return Ok((total, Progress::Done));
        }
    }
    Ok((total, Progress::Share))
}

/// What was sent, if there was room.
fn room(sent: io::Result<usize>) -> io::Result<Option<usize>> {
    match sent {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
