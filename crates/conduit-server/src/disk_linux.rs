//! Reading and sending files without waiting for the disk: preadv2(2) with `RWF_NOWAIT`, and sendfile(2).

use std::fs::File;
use std::io;
use std::os::fd::BorrowedFd;

use super::Failed;

pub(crate) fn read_from_memory(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    conduit_net::read_cached(file, buffer, offset)
}

/// True if a file can be sent without being read.
pub(crate) const SENDS_FILES: bool = true;

pub(crate) fn send(socket: BorrowedFd<'_>, file: &File, offset: u64, bytes: u64) -> Result<Option<u64>, Failed> {
    let mut offset = offset;
    match conduit_net::send_file(&socket, file, &mut offset, usize::try_from(bytes).unwrap_or(usize::MAX)) {
        Ok(count) => Ok(Some(count as u64)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if is_of_connection(error.kind()) => Err(Failed::Socket(error)),
        Err(error) => Err(Failed::File(error)),
    }
}

/// Returns whether an error concerns the connection. All others are of the file, and are logged.
fn is_of_connection(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, HostUnreachable, NetworkDown, NetworkUnreachable, NotConnected,
        TimedOut,
    };
    matches!(
        kind,
        BrokenPipe
            | ConnectionAborted
            | ConnectionReset
            | HostUnreachable
            | NetworkDown
            | NetworkUnreachable
            | NotConnected
            | TimedOut
    )
}

/// Sends bytes that a part of a file or the end of the stream follows: they wait for it, to leave in one packet.
pub(crate) fn send_before(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    conduit_net::send_more(&socket, bytes)
}
