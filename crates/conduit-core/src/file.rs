//! A part of a file as a body.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;

/// The size of a read when a file is an ordinary stream.
const PIECE_BYTES: u64 = 64 * 1024;

/// The unsent range of a file.
pub struct FilePart {
    file: Arc<File>,
    offset: u64,
    left: u64,
    /// The range before this position was just read from the disk, and is known to be in memory.
    warm_up_to: u64,
    piece: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

impl FilePart {
    /// The part of a file from `offset` on.
    pub fn new(file: File, offset: u64, length: u64) -> Self {
        FilePart::shared(Arc::new(file), offset, length)
    }

    /// A part of a shared file.
    pub fn shared(file: Arc<File>, offset: u64, length: u64) -> Self {
        FilePart {
            file,
            offset,
            left: length,
            warm_up_to: 0,
            piece: None,
        }
    }

    /// The number of bytes that are not read yet.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next part of at most `bytes`.
    pub fn next(&self, bytes: u64) -> Self {
        FilePart {
            file: Arc::clone(&self.file),
            offset: self.offset,
            left: self.left.min(bytes),
            warm_up_to: 0,
            piece: None,
        }
    }

    /// Records that the next `bytes` were read.
    pub fn warm(&mut self, bytes: u64) {
        self.warm_up_to = self.offset + bytes;
    }

    /// Reads the part, so that it is in memory. It may wait for the disk. Errors are ignored: the read before the send returns
    /// them again.
    pub fn load(mut self) {
        while self.left > 0 && self.read_piece().is_ok() {}
    }

    /// The file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The position of the next byte.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The range before this position was just read from the disk, and is known to be in memory.
    pub fn warm_up_to(&self) -> u64 {
        self.warm_up_to
    }

    /// Records that the next `count` bytes are sent.
    ///
    /// # Errors
    /// `UnexpectedEof` where no such bytes exist: the file has become shorter.
    pub fn advance(&mut self, count: u64) -> io::Result<()> {
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

    /// Reads the next piece on a thread of the pool for blocking work.
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

/// The error of a file that ends before its part does.
pub fn shorter() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the file ends before the range to send: it was truncated; replace files by renaming",
    )
}
