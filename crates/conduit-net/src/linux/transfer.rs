//! Bytes that never come to user space.

use crate::io;
use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::pipe::SpliceFlags;

/// Sends up to `count` bytes of a file, from `offset` on, which is moved on by what was sent; the file's own position stays. 0 is
/// the end of the file. sendfile(2).
///
/// It is three system calls: two keep SIGPIPE off the thread meanwhile, for which sendfile has no flag.
///
/// A file that shrinks meanwhile ends early; one that is overwritten may be sent in either form.
///
/// # Errors
/// `WouldBlock` if there is no room; `EINVAL` for a source that cannot be mapped (use [`splice`]).
pub fn send_file(socket: &impl AsFd, file: &impl AsFd, offset: &mut u64, count: usize) -> io::Result<usize> {
    loop {
        // Unlike send, it has no flag against SIGPIPE: the signal is kept off the thread while the call runs.
        match without_pipe_signal(|| rustix::fs::sendfile(socket, file, Some(offset), count)) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Sends as much of `bytes` as there is room for, as a stream's `send`, and says that more follows at once, such as a file by
/// [`send_file`]: a packet that is not full is kept back for it, for at most 200 ms. `MSG_MORE`, send(2); a Unix socket has no
/// packets.
///
/// # Errors
/// `WouldBlock` if there is no room; `BrokenPipe` or `ConnectionReset` if the connection is closed.
pub fn send_more(socket: &impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    let flags = crate::sys::socket::SEND_FLAGS | rustix::net::SendFlags::MORE;
    Ok(rustix::io::retry_on_intr(|| rustix::net::send(socket, bytes, flags))?)
}

/// Reads from a file at `offset` what is in memory, and does not wait for the disk; 0 is the end of the file. The file's
/// own position stays. preadv2(2) with `RWF_NOWAIT`.
///
/// A file system without this information (`EOPNOTSUPP`) is read as if its files were in memory, which may wait.
///
/// # Errors
/// `WouldBlock` if the next bytes are not in memory; what the file system reports.
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

/// Moves up to `count` bytes from one descriptor to the other, one of which must be a pipe. 0 is the end of the source.
/// It never waits for the pipe. It waits for a TCP socket in blocking mode, which `SPLICE_F_NONBLOCK` does not cover. splice(2).
///
/// # Errors
/// `WouldBlock` if nothing is there or there is no room; `EINVAL` if neither is a pipe.
pub fn splice(from: &impl AsFd, to: &impl AsFd, count: usize) -> io::Result<usize> {
    loop {
        let moved = without_pipe_signal(|| {
            rustix::pipe::splice(from, None, to, None, count, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)
        });
        match moved {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// Runs a call that would raise SIGPIPE if the peer is gone, without that signal: it is blocked for this thread, and taken off
/// again if the call raised it. Where it was blocked or pending before, it is left as it was.
fn without_pipe_signal<T>(call: impl FnOnce() -> Result<T, Errno>) -> Result<T, Errno> {
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
        if matches!(result, Err(Errno::PIPE)) {
            let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: the set and the time are live; no information is asked for.
            unsafe { libc::sigtimedwait(&raw const pipe, core::ptr::null_mut(), &raw const now) };
        }
        // SAFETY: the set is live and was filled above.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, core::ptr::null_mut()) };
    }
    result
}
