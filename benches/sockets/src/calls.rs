//! One small message through a pair of Unix sockets, sent and received on one thread: only the two system calls, through the
//! functions of libc and inlined by conduit-net.

use conduit_net::UnixStream;
use std::error::Error;
use std::os::fd::AsRawFd;
use std::time::Duration;

const PAIRS: u32 = 200_000;
const BYTES: usize = 64;

/// CPU time per message by libc and by conduit-net: the minimum of several alternating rounds.
pub fn run() -> Result<[Duration; 2], Box<dyn Error>> {
    let (one, two) = UnixStream::pair()?;
    let mut best = [Duration::MAX; 2];
    for _ in 0..5 {
        for (way, best) in [by_libc, by_conduit].into_iter().zip(&mut best) {
            let before = crate::udp::thread_cpu();
            for _ in 0..PAIRS {
                way(&one, &two)?;
            }
            *best = (*best).min((crate::udp::thread_cpu() - before) / PAIRS);
        }
    }
    Ok(best)
}

fn by_libc(one: &UnixStream, two: &UnixStream) -> std::io::Result<()> {
    let mut buffer = [0u8; BYTES];
    // SAFETY: the buffer is live and has the length that is passed, and both descriptors are open.
    let counts = unsafe {
        let sent = libc::send(one.as_raw_fd(), buffer.as_ptr().cast(), BYTES, libc::MSG_NOSIGNAL);
        (sent, libc::recv(two.as_raw_fd(), buffer.as_mut_ptr().cast(), BYTES, 0))
    };
    if counts == (BYTES as isize, BYTES as isize) {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}

fn by_conduit(one: &UnixStream, two: &UnixStream) -> std::io::Result<()> {
    let mut buffer = [0; BYTES];
    one.send(&buffer)?;
    two.recv(&mut buffer)?;
    Ok(())
}
