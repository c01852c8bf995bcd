//! Transfers between descriptors without a copy in user space.

use crate::io;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io::Errno;
use rustix::pipe::SpliceFlags;

/// Sends up to `count` bytes of a file from `offset`, advances `offset`, and returns the number of sent bytes; 0 is the
/// end of the file. The file position is unchanged. sendfile(2).
///
/// It takes three system calls, and a fourth one where fewer bytes are sent: the others keep SIGPIPE from the thread during the
/// call, because sendfile has no flag for it.
///
/// If the file shrinks during the call, fewer bytes are sent; if it is overwritten, the old or the new bytes are sent.
///
/// # Errors
/// `WouldBlock` if the send buffer is full; `EINVAL` for a source that cannot be mapped (use [`splice`]).
pub fn send_file(socket: &impl AsFd, file: &impl AsFd, offset: &mut u64, count: usize) -> io::Result<usize> {
    loop {
        // Unlike send, sendfile has no flag against SIGPIPE.
        match without_pipe_signal(count, || call_sendfile(socket.as_fd(), file.as_fd(), offset, count)) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

fn call_sendfile(socket: BorrowedFd<'_>, file: BorrowedFd<'_>, offset: &mut u64, count: usize) -> Result<usize, Errno> {
    // The system rejects a negative offset.
    let offset = core::ptr::from_mut(offset).cast::<libc::off64_t>();
    // SAFETY: both descriptors are open, and the offset is live, writable and of the same size.
    let sent = unsafe { libc::sendfile64(socket.as_raw_fd(), file.as_raw_fd(), offset, count) };
    usize::try_from(sent).map_err(|_| io::last_errno())
}

/// Sends as many of `bytes` as the send buffer has room for, and announces that more bytes follow, such as a file by
/// [`send_file`]: the kernel delays a partial packet for at most 200 ms. It has no effect on a Unix socket. send(2),
/// `MSG_MORE`.
///
/// # Errors
/// `WouldBlock` if the send buffer is full; `BrokenPipe` or `ConnectionReset` if the connection is closed.
pub fn send_more(socket: &impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = crate::sys::socket::SEND_FLAGS | rustix::net::SendFlags::MORE;
    Ok(rustix::io::retry_on_intr(|| rustix::net::send(socket, bytes, flags))?)
}

/// Reads bytes of a file at `offset` from the page cache, without waiting for the disk; 0 is the end of the file. The
/// file position is unchanged. preadv2(2), `RWF_NOWAIT`.
///
/// On a file system without this flag (`EOPNOTSUPP`) the call reads from the disk and may block.
///
/// # Errors
/// `WouldBlock` if the next bytes are not in the page cache; the errors of the file system.
pub fn read_cached(file: &impl AsFd, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        let mut pieces = [rustix::io::IoSliceMut::new(&mut *buffer)];
        match rustix::io::preadv2(file, &mut pieces, offset, rustix::io::ReadWriteFlags::NOWAIT) {
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {
                return Ok(rustix::io::retry_on_intr(|| {
                    rustix::io::pread(file, &mut *buffer, offset)
                })?);
            }
            result => return Ok(result?),
        }
    }
}

/// Moves up to `count` bytes from one descriptor to another, one of which must be a pipe; 0 is the end of the source.
/// splice(2).
///
/// The call never blocks on the pipe. It blocks on a TCP socket in blocking mode, because `SPLICE_F_NONBLOCK` applies
/// only to pipes.
///
/// # Errors
/// `WouldBlock` if the source has no bytes or the target has no room; `EINVAL` if neither is a pipe.
pub fn splice(from: &impl AsFd, to: &impl AsFd, count: usize) -> io::Result<usize> {
    loop {
        let moved = without_pipe_signal(count, || {
            rustix::pipe::splice(from, None, to, None, count, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)
        });
        match moved {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Runs a call for this number of bytes that raises SIGPIPE if the peer has closed the connection, without delivering the
/// signal: it is blocked for this thread, and removed if the call raised it. A signal that was blocked or pending before
/// remains so.
///
/// A call that has transferred a part raises the signal too, and returns the number of bytes.
fn without_pipe_signal(count: usize, call: impl FnOnce() -> Result<usize, Errno>) -> Result<usize, Errno> {
    // SAFETY: zero is a valid set of signals.
    let (mut pipe, mut before): (libc::sigset_t, libc::sigset_t) = unsafe { core::mem::zeroed() };
    // SAFETY: both sets are live.
    unsafe {
        libc::sigemptyset(&raw mut pipe);
        libc::sigaddset(&raw mut pipe, libc::SIGPIPE);
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const pipe, &raw mut before);
    }
    // SAFETY: the set is live.
    let was_blocked = unsafe { libc::sigismember(&raw const before, libc::SIGPIPE) } == 1;
    let result = call();
    if !was_blocked {
        let may_have_raised = match result {
            Ok(moved) => moved < count,
            Err(error) => error == Errno::PIPE,
        };
        if may_have_raised {
            let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: the set and the time are live; the null pointer requests no information.
            unsafe { libc::sigtimedwait(&raw const pipe, core::ptr::null_mut(), &raw const now) };
        }
        // SAFETY: the set is live and was filled above.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, core::ptr::null_mut()) };
    }
    result
}
