//! Output that is not copied into the buffer: many bytes, or a part of a file.
//!
//! The buffer is sent first, the uncopied output follows it. Nothing is written while there is uncopied output, so that one
//! is enough.

use std::io::{self, IoSlice};

use bytes::{Buf, Bytes};

use crate::disk::{self, Failed};
use crate::file::FilePart;
use crate::link::file;
use crate::transport::Transport;

/// The length from which on bytes are not copied. A copy of fewer bytes costs less than the difference between a send of
/// several pieces and a send of one.
pub(crate) const UNCOPIED_BYTES: usize = 8 * 1024;
/// The number of bytes of a file that are read into the output buffer at a time: of a file that is encrypted, and of a short
/// file, which leaves together with the output before it.
const READ_BYTES: usize = 64 * 1024;
/// The number of bytes of a file that a turn sends before other connections have theirs.
const SHARE_BYTES: u64 = 1024 * 1024;

pub(crate) struct Uncopied {
    content: UncopiedContent,
    /// The number of bytes that the content had.
    length: u64,
    /// The framing after the content.
    after: &'static [u8],
    state: UncopiedState,
}

enum UncopiedContent {
    Bytes(Bytes),
    File(FilePart),
}

enum UncopiedState {
    Sending,
    /// The file's next bytes have to be read from the disk.
    NotInMemory,
    /// A thread reads them.
    Loading,
    /// The file ended, or could not be read, before the length that was announced.
    Failed(io::Error),
}

/// The progress of sending.
pub(super) enum SendProgress {
    /// All is sent.
    Done,
    /// The rest waits for room or for the disk, or cannot be sent.
    Waits,
    /// The turn's share is sent, and there may be more room.
    Share,
}

impl Uncopied {
    /// Bytes, and the framing after them.
    pub(crate) fn bytes(bytes: Bytes, after: &'static [u8]) -> Self {
        Self::new(bytes.len() as u64, UncopiedContent::Bytes(bytes), after)
    }

    /// A part of a file.
    pub(crate) fn file(part: FilePart) -> Self {
        Self::new(part.left(), UncopiedContent::File(part), b"")
    }

    fn new(length: u64, content: UncopiedContent, after: &'static [u8]) -> Self {
        Uncopied {
            content,
            length,
            after,
            state: UncopiedState::Sending,
        }
    }

    /// The number of bytes of the content that are not sent, while `unsent_bytes` of the buffer before it are not. The
    /// buffer may hold bytes of a file.
    pub(super) fn left(&self, unsent_bytes: usize) -> u64 {
        match &self.content {
            UncopiedContent::Bytes(bytes) => bytes.len() as u64,
            UncopiedContent::File(part) => self.length.min(part.left() + unsent_bytes as u64),
        }
    }

    pub(super) fn is_sending(&self) -> bool {
        matches!(self.state, UncopiedState::Sending)
    }

    /// Returns whether the output waits for the disk and not for the client.
    pub(super) fn waits_for_disk(&self) -> bool {
        matches!(self.state, UncopiedState::NotInMemory | UncopiedState::Loading)
    }

    /// The part of the file that is to be read on another thread, once.
    pub(super) fn take_load(&mut self) -> Option<FilePart> {
        match (&self.content, &self.state) {
            (UncopiedContent::File(part), UncopiedState::NotInMemory) => {
                self.state = UncopiedState::Loading;
                Some(part.next(SHARE_BYTES))
            }
            _ => None,
        }
    }

    /// The thread has read it.
    pub(super) fn mark_loaded(&mut self) {
        if let (UncopiedContent::File(part), UncopiedState::Loading) = (&mut self.content, &self.state) {
            part.warm(SHARE_BYTES);
            self.state = UncopiedState::Sending;
        }
    }

    /// The error of the file, if it cannot be sent to its end.
    pub(super) fn take_failure(&mut self) -> Option<io::Error> {
        match std::mem::replace(&mut self.state, UncopiedState::Sending) {
            UncopiedState::Failed(error) => Some(error),
            state => {
                self.state = state;
                None
            }
        }
    }

    /// Sends `output` from `sent` on, and then the content, as far as there is room. Returns the number of bytes that were
    /// sent. Records that the file is not in memory, or that it has failed.
    ///
    /// # Errors
    /// The connection has failed.
    pub(super) fn send(
        &mut self,
        transport: &mut Transport,
        output: &mut Vec<u8>,
        sent: &mut usize,
    ) -> io::Result<(u64, SendProgress)> {
        let mut total = 0;
        let progress = match &mut self.content {
            UncopiedContent::Bytes(bytes) => send_bytes(transport, output, sent, bytes, &mut self.after, &mut total)?,
            UncopiedContent::File(part) => match send_file(transport, output, sent, part, &mut total) {
                Ok(progress) => progress,
                Err(Failed::NotInMemory) => {
                    self.state = UncopiedState::NotInMemory;
                    SendProgress::Waits
                }
                Err(Failed::File(error)) => {
                    self.state = UncopiedState::Failed(error);
                    SendProgress::Waits
                }
                Err(Failed::Socket(error)) => return Err(error),
            },
        };
        Ok((total, progress))
    }
}

/// Sends the buffer, the bytes and the framing after them with one call. Sets `total` to the number of sent bytes.
fn send_bytes(
    transport: &mut Transport,
    output: &[u8],
    sent: &mut usize,
    bytes: &mut Bytes,
    after: &mut &'static [u8],
    total: &mut u64,
) -> io::Result<SendProgress> {
    let pieces = [IoSlice::new(&output[*sent..]), IoSlice::new(bytes), IoSlice::new(after)];
    let Some(count) = room(transport.send_vectored(&pieces))? else {
        return Ok(SendProgress::Waits);
    };
    *total = count as u64;
    let of_output = count.min(output.len() - *sent);
    let of_bytes = (count - of_output).min(bytes.len());
    *sent += of_output;
    bytes.advance(of_bytes);
    *after = &after[count - of_output - of_bytes..];
    let is_done = *sent == output.len() && bytes.is_empty() && after.is_empty();
    Ok(if is_done {
        SendProgress::Done
    } else {
        SendProgress::Waits
    })
}

/// Sends the buffer and then the file, and adds the number of sent bytes to `total`.
///
/// # Errors
/// The file is not in memory or has failed, or the connection has failed. `total` counts the bytes that were sent before.
fn send_file(
    transport: &mut Transport,
    output: &mut Vec<u8>,
    sent: &mut usize,
    part: &mut FilePart,
    total: &mut u64,
) -> Result<SendProgress, Failed> {
    // Otherwise the system sends the file after the output.
    let reads = part.left() <= READ_BYTES as u64 || !disk::SENDS_FILES || transport.plain_socket().is_none();
    let mut share = SHARE_BYTES;
    // The next bytes of the file are in memory.
    let mut is_checked = false;
    while share > 0 {
        let unsent = output.len() - *sent;
        if reads && part.left() > 0 && unsent < READ_BYTES {
            let before = part.left();
            match file::read_to(part, output, READ_BYTES) {
                Ok(()) => share = share.saturating_sub(before - part.left()),
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(Failed::File(error)),
                // The bytes in memory are sent while the disk works.
                Err(_) if unsent > 0 => {}
                Err(_) => return Err(Failed::NotInMemory),
            }
        }
        if output.len() > *sent {
            let bytes = &output[*sent..];
            // The kernel holds the output back only if the file follows at once, without a wait for the disk.
            is_checked = !reads && part.left() > 0 && file::check_in_memory(part, part.left().min(share)).is_ok();
            let result = match transport.plain_socket() {
                Some(socket) if is_checked => disk::send_before(socket, bytes),
                _ => transport.send(bytes),
            };
            let Some(count) = room(result).map_err(Failed::Socket)? else {
                return Ok(SendProgress::Waits);
            };
            *sent += count;
            *total += count as u64;
            if *sent < output.len() {
                return Ok(SendProgress::Waits);
            }
            output.clear();
            *sent = 0;
        } else if let Some(socket) = transport.plain_socket().filter(|_| part.left() > 0) {
            let bytes = part.left().min(share);
            let checked = match std::mem::take(&mut is_checked) {
                true => Ok(()),
                false => file::check_in_memory(part, bytes),
            };
            checked?;
            match file::send_to(part, socket, bytes)? {
                0 => return Ok(SendProgress::Waits),
                count => {
                    *total += count;
                    share -= count;
                }
            }
        }
        if part.left() == 0 && output.is_empty() {
            return Ok(SendProgress::Done);
        }
    }
    Ok(SendProgress::Share)
}

/// The number of bytes that were sent, if there was room.
pub(super) fn room(sent: io::Result<usize>) -> io::Result<Option<usize>> {
    match sent {
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
