//! A part of a file as a body.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::server::disk::{self, Failed};

/// The size of a read when a file is an ordinary stream.
const PIECE_BYTES: u64 = 64 * 1024;

/// The unsent range of a file.
pub(crate) struct FilePart {
    file: Arc<File>,
    offset: u64,
    left: u64,
    /// The range before this position was just read from the disk, and is known to be in memory.
    warm_up_to: u64,
    piece: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl FilePart {
    pub(crate) fn new(file: File, offset: u64, length: u64) -> Self {
        FilePart {
            file: Arc::new(file),
            offset,
            left: length,
            warm_up_to: 0,
            piece: None,
        }
    }

    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// The part that comes next, of at most `bytes`.
    pub(crate) fn next(&self, bytes: u64) -> Self {
        FilePart {
            file: Arc::clone(&self.file),
            offset: self.offset,
            left: self.left.min(bytes),
            warm_up_to: 0,
            piece: None,
        }
    }

    /// Says that the next `bytes` were read.
    pub(crate) fn warm(&mut self, bytes: u64) {
        self.warm_up_to = self.offset + bytes;
    }

    /// Reads all of the part, so that it is in memory. It may wait for the disk. The read for sending
    /// meets its errors again.
    pub(crate) fn load(mut self) {
        while self.left > 0 && self.read_piece().is_ok() {}
    }

    /// Appends up to `bytes` of the file to the buffer, and does not wait for the disk.
    ///
    /// # Errors
    /// `WouldBlock` where it would have to wait; `UnexpectedEof` where the file has become shorter.
    pub(crate) fn read_to(&mut self, buffer: &mut Vec<u8>, bytes: usize) -> io::Result<()> {
        let before = buffer.len();
        let wanted = usize::try_from(self.left).unwrap_or(bytes).min(bytes);
        buffer.resize(before + wanted, 0);
        let read = if self.offset < self.warm_up_to {
            self.file.read_at(&mut buffer[before..], self.offset)
        } else {
            disk::read_from_memory(&self.file, &mut buffer[before..], self.offset)
        };
        buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        self.advance(read? as u64)
    }

    /// Returns whether the next `bytes`, at least one, can be sent without waiting for the disk.
    pub(crate) fn look(&self, bytes: u64) -> Result<(), Failed> {
        let last = self.offset + bytes - 1;
        if last < self.warm_up_to {
            return Ok(());
        }
        // The last byte stands for all: the kernel reads ahead in order, and throws away in about the same.
        match disk::read_from_memory(&self.file, &mut [0], last) {
            Ok(0) => Err(Failed::File(shorter())),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Failed::NotInMemory),
            Err(error) => Err(Failed::File(error)),
        }
    }

    /// Sends up to `bytes` of the file without bringing them to user space, and does not wait for the disk. 0: there is no
    /// room.
    pub(crate) fn send_to(&mut self, socket: BorrowedFd<'_>, bytes: u64) -> Result<u64, Failed> {
        self.look(bytes)?;
        let sent = disk::send(socket, &self.file, self.offset, bytes)?;
        match sent {
            None => Ok(0),
            Some(count) => self.advance(count).map(|()| count).map_err(Failed::File),
        }
    }

    fn advance(&mut self, count: u64) -> io::Result<()> {
        if count == 0 {
            return Err(shorter());
        }
        self.offset += count;
        self.left -= count;
        Ok(())
    }

    fn read_piece(&mut self) -> io::Result<Vec<u8>> {
        let mut piece = vec![0; self.left.min(PIECE_BYTES) as usize];
        let count = self.file.read_at(&mut piece, self.offset)?;
        piece.truncate(count);
        self.advance(count as u64)?;
        Ok(piece)
    }

    /// The next piece, read on a thread for that.
    pub(crate) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut next = self.next(PIECE_BYTES);
        let piece = self
            .piece
            .get_or_insert_with(|| tokio::task::spawn_blocking(move || next.read_piece()));
        let read = ready!(Pin::new(piece).poll(context));
        self.piece = None;
        let read = read.map_err(io::Error::other).and_then(|piece| piece);
        if let Ok(piece) = &read {
            self.offset += piece.len() as u64;
            self.left -= piece.len() as u64;
        } else {
            // Nothing follows an error.
            self.left = 0;
        }
        Poll::Ready(Some(read.map(Bytes::from)))
    }
}

fn shorter() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the file is shorter than the part of it that was to be sent",
    )
}
