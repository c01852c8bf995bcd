//! Socket activation: listening sockets that a service manager such as systemd opens and passes to a program.
//! sd_listen_fds(3).
//!
//! The manager sets three environment variables: `LISTEN_FDS` is the number of descriptors, starting at 3; `LISTEN_PID`
//! is the ID of the receiving process; `LISTEN_FDNAMES` contains the names of the descriptors, separated by colons. Without
//! `LISTEN_PID` the sockets are for any process, which lets the tools of the crate `listenfd` pass them to a program that a watcher
//! rebuilds and restarts.
//!
//! ```
//! for activated in conduit_net::socket_activation::take()? {
//!     println!("{activated} at {}", activated.socket.local_address()?);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::Socket;
use crate::io;
use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::FdFlags;
use rustix::net::{SocketType, sockopt};
use std::ffi::OsString;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

/// `SD_LISTEN_FDS_START`: the number of the first descriptor.
const FIRST: RawFd = 3;
/// A larger `LISTEN_FDS` is rejected, because each descriptor is examined.
const MAX_COUNT: RawFd = 4096;

/// A listening stream socket that the service manager passed. It is non-blocking and close-on-exec.
#[derive(Debug)]
#[non_exhaustive]
pub struct ActivatedSocket {
    /// The socket.
    pub socket: Socket,
    /// The name of the socket in the manager, such as systemd's `FileDescriptorName=`; empty if it has none.
    pub name: String,
    /// The number of the descriptor.
    pub number: RawFd,
}

/// `descriptor 3 ("https")`
impl fmt::Display for ActivatedSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "descriptor {} ({:?})", self.number, self.name)
    }
}

/// Takes ownership of the sockets that were passed to this process, or to any process. Returns an empty list if `LISTEN_PID` is
/// another process, and at the second call.
///
/// Every descriptor is examined before the first is taken. On an error the function takes and closes none of them.
///
/// The environment is not changed, because that is unsound in a program with threads. Child processes ignore the
/// variables where `LISTEN_PID` is this process; without it, remove `LISTEN_FDS` from the environment of a child.
///
/// # Errors
/// `LISTEN_FDS` is not a number, or a descriptor is not an open, listening stream socket that was passed to the program: one that
/// it has opened itself is close-on-exec. The message contains the descriptor and the remedy.
pub fn take() -> io::Result<Vec<ActivatedSocket>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let count = count(|name| std::env::var_os(name), std::process::id())?;
    if count == 0 || TAKEN.load(Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let names = std::env::var_os("LISTEN_FDNAMES").unwrap_or_default();
    let names = names.to_string_lossy();
    let names = names.split(':').chain(std::iter::repeat(""));
    let passed: Vec<(RawFd, &str)> = (FIRST..FIRST + count).zip(names).collect();
    for (number, name) in &passed {
        examine(*number).map_err(|why| unusable(*number, name, &why))?;
    }
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    passed
        .into_iter()
        .map(|(number, name)| {
            // SAFETY: the descriptor is an open listening socket without close-on-exec, as just checked, so it was open before
            // the start of the program, and this function takes it only once.
            let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
            rustix::io::fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
            let socket = Socket::from(descriptor);
            socket.set_blocking(false)?;
            Ok(ActivatedSocket {
                socket,
                name: name.to_owned(),
                number,
            })
        })
        .collect()
}

/// The number of descriptors that the environment declares for this process.
fn count(variable: impl Fn(&str) -> Option<OsString>, process: u32) -> io::Result<RawFd> {
    let process = process.to_string();
    let is_meant = variable("LISTEN_PID").is_none_or(|id| id.to_str() == Some(&*process));
    let Some(count) = variable("LISTEN_FDS").filter(|_| is_meant) else {
        return Ok(0);
    };
    match count.to_str().and_then(|count| count.parse().ok()) {
        Some(count @ 0..=MAX_COUNT) => Ok(count),
        _ => {
            let shown: String = count.to_string_lossy().chars().take(20).collect();
            let why = format!("invalid LISTEN_FDS={shown:?}: expected a number of descriptors, at most {MAX_COUNT}");
            Err(io::Error::new(io::ErrorKind::InvalidInput, why))
        }
    }
}

/// Checks that the descriptor is an open, listening stream socket; the error is the actual kind. The descriptor is
/// unchanged.
fn examine(number: RawFd) -> Result<(), String> {
    // SAFETY: the call reads the flags of a descriptor by number, and fails with EBADF if it is closed.
    let flags = unsafe { libc::fcntl(number, libc::F_GETFD) };
    if flags == -1 {
        return Err(format!("is not open ({})", io::Error::last_os_error()));
    }
    // A descriptor that was open before exec(2) has no such flag.
    if flags & libc::FD_CLOEXEC != 0 {
        return Err("was opened by this program, not passed to it".to_owned());
    }
    // SAFETY: the descriptor is open, as just checked, and the borrow ends with this function, which closes nothing.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    match sockopt::socket_type(descriptor) {
        Err(_) => Err("is not a socket".to_owned()),
        Ok(SocketType::STREAM) if listens(descriptor) => Ok(()),
        Ok(SocketType::STREAM) => Err("is a stream socket that does not listen".to_owned()),
        Ok(_) => Err("is not a stream socket".to_owned()),
    }
}

fn unusable(number: RawFd, name: &str, why: &str) -> io::Error {
    let name: String = name.chars().take(40).collect();
    io::Error::other(format!(
        "descriptor {number} ({name:?}) {why}; in a systemd unit, ListenStream= with Accept=no passes a listening stream socket"
    ))
}

#[cfg(not(target_vendor = "apple"))]
fn listens(socket: BorrowedFd<'_>) -> bool {
    sockopt::socket_acceptconn(socket).unwrap_or(false)
}

/// macOS declares `SO_ACCEPTCONN` without implementing it; accepting from a socket that does not listen fails later.
#[cfg(target_vendor = "apple")]
fn listens(_: BorrowedFd<'_>) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ListenOptions, TcpListener, UdpSocket};
    use rustix::fd::AsRawFd;

    fn counted(count_is: &str, process_is: &str) -> io::Result<RawFd> {
        let variable = |name: &str| match name {
            "LISTEN_FDS" => Some(count_is.into()),
            "LISTEN_PID" => Some(process_is.into()),
            _ => None,
        };
        count(variable, 7)
    }

    #[test]
    fn only_the_process_in_listen_pid_takes_sockets() {
        assert_eq!(counted("2", "7").unwrap(), 2);
        assert_eq!(counted("2", "8").unwrap(), 0);
        assert_eq!(counted("2", "").unwrap(), 0);
        assert_eq!(counted("0", "7").unwrap(), 0);
        assert_eq!(counted("x", "8").unwrap(), 0);
        assert_eq!(count(|_| None, 7).unwrap(), 0);
    }

    #[test]
    fn sockets_without_a_process_are_for_any() {
        let variable = |name: &str| (name == "LISTEN_FDS").then(|| "2".into());
        assert_eq!(count(variable, 7).unwrap(), 2);
    }

    #[test]
    fn error_contains_an_invalid_number_of_sockets() {
        for wrong in ["", "-1", "x", "4097", "2147483647", "99999999999"] {
            let error = counted(wrong, "7").unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid LISTEN_FDS={wrong:?}: ")), "{error}");
        }
    }

    #[test]
    fn only_an_open_listening_stream_socket_is_accepted() {
        let passed = |descriptor: &dyn AsRawFd| {
            // SAFETY: the descriptor is open, and the flag is no part of its owner's state.
            unsafe { libc::fcntl(descriptor.as_raw_fd(), libc::F_SETFD, 0) };
        };
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = TcpListener::bind(address, &ListenOptions::new()).unwrap();
        let why = "was opened by this program, not passed to it";
        assert_eq!(examine(listener.as_raw_fd()), Err(why.to_owned()));
        passed(&listener);
        assert_eq!(examine(listener.as_raw_fd()), Ok(()));
        let datagrams = UdpSocket::bind(address).unwrap();
        passed(&datagrams);
        assert_eq!(examine(datagrams.as_raw_fd()), Err("is not a stream socket".to_owned()));
        let stream = Socket::stream().unwrap();
        passed(&stream);
        let why = "is a stream socket that does not listen";
        assert_eq!(examine(stream.as_raw_fd()), Err(why.to_owned()));
        let file = std::fs::File::open("/dev/null").unwrap();
        passed(&file);
        assert_eq!(examine(file.as_raw_fd()), Err("is not a socket".to_owned()));
        let closed = examine(RawFd::MAX).unwrap_err();
        assert!(closed.starts_with("is not open ("), "{closed}");
    }
}
