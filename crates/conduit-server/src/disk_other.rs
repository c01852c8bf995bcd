//! Reading files on systems without information about the page cache: as nginx does, the worker reads and waits for the disk.

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use super::Failed;

pub(crate) fn read_from_memory(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    file.read_at(buffer, offset)
}

/// True if a file can be sent without being read.
pub(crate) const SENDS_FILES: bool = false;

pub(crate) fn send(_socket: BorrowedFd<'_>, _file: &File, _offset: u64, _bytes: u64) -> Result<Option<u64>, Failed> {
    Err(Failed::Socket(io::ErrorKind::Unsupported.into()))
}

pub(crate) fn send_before(_socket: BorrowedFd<'_>, _bytes: &[u8]) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}
