//! Listening sockets that the program's manager has opened for it, such as systemd: sd_listen_fds(3).
//!
//! A small place of this crate that is `unsafe`: a descriptor whose number the environment tells is taken over.
#![allow(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use conduit_net::Socket;
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::{SocketType, sockopt};

use crate::error::{Error, Result};

/// The number of the first descriptor that is passed: `SD_LISTEN_FDS_START`.
const FIRST: RawFd = 3;
/// More are an error in the environment: each is looked at.
const MOST: RawFd = 4096;
const COUNT: &str = "LISTEN_FDS";
const PROCESS: &str = "LISTEN_PID";
const NAMES: &str = "LISTEN_FDNAMES";

/// A socket that was passed.
pub(super) struct Given {
    pub(super) socket: Socket,
    /// What the manager calls it, such as systemd with `FileDescriptorName=`.
    pub(super) name: String,
    /// For messages: its number and name.
    pub(super) description: String,
}

/// The sockets that were passed to this process; none if none were, and at a second call.
///
/// The variables stay: to change the environment of a program with threads is unsound. They mean nothing to programs that
/// this one starts, because `LISTEN_PID` names this process, and the sockets are closed in them.
pub(super) fn take() -> Result<Vec<Given>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let Some(count) = count(|name| std::env::var_os(name), std::process::id())? else {
        return Ok(Vec::new());
    };
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let names = std::env::var_os(NAMES).unwrap_or_default();
    let names = names.to_string_lossy();
    let mut names = names.split(':');
    // All are taken before one is refused, so that none stays open in programs that this one starts.
    let taken: Vec<Result<Given>> = (FIRST..FIRST + count)
        .map(|number| take_one(number, names.next().unwrap_or_default()))
        .collect();
    taken.into_iter().collect()
}

/// How many descriptors the environment says were passed to the process with this number.
fn count(variable: impl Fn(&str) -> Option<OsString>, process: u32) -> Result<Option<RawFd>> {
    let Some(count) = variable(COUNT) else {
        return Ok(None);
    };
    // Another process, which this one was started by, was meant.
    if variable(PROCESS).as_deref().and_then(OsStr::to_str) != Some(process.to_string().as_str()) {
        return Ok(None);
    }
    match count.to_str().and_then(|count| count.parse().ok()) {
        Some(0) => Ok(None),
        Some(number @ 1..=MOST) => Ok(Some(number)),
        _ => Err(Error::variable(
            COUNT,
            count.to_string_lossy(),
            "a number of descriptors, at most 4096,",
        )),
    }
}

fn take_one(number: RawFd, name: &str) -> Result<Given> {
    let description = format!("descriptor {number} ({name:?})");
    let failed = |why: String| Error::system("take a socket of LISTEN_FDS", io::Error::other(why));
    let closes = {
        // SAFETY: the borrow ends before anything else is done with the number. That it is open is what is found out here:
        // the kernel says EBADF of one that is not.
        let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
        fcntl_getfd(borrowed).and_then(|flags| fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC))
    };
    closes.map_err(|error| failed(format!("{description}: {error}")))?;
    // SAFETY: it is open, as was just found. It was opened for this process before it began, `LISTEN_PID` says so, and for
    // nobody but who reads these variables; that is done once.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    let listens = sockopt::socket_type(&descriptor).is_ok_and(|kind| kind == SocketType::STREAM)
        && takes_connections(&descriptor);
    if !listens {
        return Err(failed(format!(
            "{description} is no stream socket that listens; in a unit for systemd, ListenStream= and Accept=no make one"
        )));
    }
    let socket = Socket::from(descriptor);
    socket
        .set_blocking(false)
        .map_err(|error| failed(format!("{description}: {error}")))?;
    Ok(Given {
        socket,
        name: name.to_owned(),
        description,
    })
}

#[cfg(not(target_vendor = "apple"))]
fn takes_connections(socket: &OwnedFd) -> bool {
    sockopt::socket_acceptconn(socket).unwrap_or(false)
}

/// The system declares `SO_ACCEPTCONN` and does not have it; one that does not listen is found when it is accepted from.
#[cfg(target_vendor = "apple")]
fn takes_connections(_: &OwnedFd) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(count_is: &str, process_is: &str) -> Option<Option<RawFd>> {
        let variable = |name: &str| match name {
            COUNT => Some(count_is.into()),
            PROCESS => Some(process_is.into()),
            _ => None,
        };
        count(variable, 7).ok()
    }

    #[test]
    fn only_sockets_that_are_meant_for_this_process_are_taken() {
        assert_eq!(counted("2", "7"), Some(Some(2)));
        assert_eq!(counted("2", "8"), Some(None));
        assert_eq!(counted("2", ""), Some(None));
        assert_eq!(counted("0", "7"), Some(None));
        assert_eq!(count(|_| None, 7).ok(), Some(None));
    }

    #[test]
    fn a_number_of_sockets_that_is_none_is_an_error() {
        for wrong in ["", "-1", "x", "4097", "2147483647", "99999999999"] {
            assert_eq!(counted(wrong, "7"), None, "{wrong}");
        }
    }
}
