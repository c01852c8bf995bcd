//! Parts of files as output: read into the buffer or sent by the system, without waiting for the disk.

use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use crate::disk::{self, Failed};
use crate::file::{FilePart, shorter};

/// Appends up to `bytes` of the file to the buffer, and does not wait for the disk.
///
/// # Errors
/// `WouldBlock` where it would have to wait; `UnexpectedEof` where the file has become shorter.
pub(crate) fn read_to(part: &mut FilePart, buffer: &mut Vec<u8>, bytes: usize) -> io::Result<()> {
    let before = buffer.len();
    let wanted = usize::try_from(part.left()).unwrap_or(bytes).min(bytes);
    buffer.resize(before + wanted, 0);
    let read = if part.offset() < part.warm_up_to() {
        part.file().read_at(&mut buffer[before..], part.offset())
    } else {
        disk::read_from_memory(part.file(), &mut buffer[before..], part.offset())
    };
    buffer.truncate(before + *read.as_ref().unwrap_or(&0));
    part.advance(read? as u64)
}

/// Returns whether the next `bytes`, at least one, can be sent without waiting for the disk.
pub(super) fn check_in_memory(part: &FilePart, bytes: u64) -> Result<(), Failed> {
    let last = part.offset() + bytes - 1;
    if last < part.warm_up_to() {
        return Ok(());
    }
    // The last byte represents all: the kernel reads ahead in order, and evicts in about the same order.
    match disk::read_from_memory(part.file(), &mut [0], last) {
        Ok(0) => Err(Failed::File(shorter())),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(Failed::NotInMemory),
        Err(error) => Err(Failed::File(error)),
    }
}

/// Sends up to `bytes` of the file without bringing them to user space. They are in memory, so that it does not wait for the
/// disk. 0: there is no room.
pub(super) fn send_to(part: &mut FilePart, socket: BorrowedFd<'_>, bytes: u64) -> Result<u64, Failed> {
    let sent = disk::send(socket, part.file(), part.offset(), bytes)?;
    match sent {
        None => Ok(0),
        Some(count) => part.advance(count).map(|()| count).map_err(Failed::File),
    }
}
