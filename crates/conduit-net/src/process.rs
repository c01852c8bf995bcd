//! The process: its limit of descriptors, its standard input and its clock, and signals to a process.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// A signal that ends a process.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SIGTERM, which a process may handle.
    Terminate,
    /// SIGKILL, which ends it at once.
    Kill,
}

/// Sends a signal to the process with this ID. kill(2).
///
/// # Errors
/// `ESRCH` if there is no such process; `EPERM` if it belongs to another user.
pub fn send_signal(process: u32, signal: Signal) -> io::Result<()> {
    let signal = match signal {
        Signal::Terminate => libc::SIGTERM,
        Signal::Kill => libc::SIGKILL,
    };
    // Zero and negative numbers are groups of processes.
    let process = libc::pid_t::try_from(process).ok().filter(|process| *process > 0);
    let process = process.ok_or_else(|| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: the call has no pointers.
    done(unsafe { libc::kill(process, signal) })
}

/// The limit of open descriptors of the process; `None` without a limit. getrlimit(2), `RLIMIT_NOFILE`.
pub fn descriptor_limit() -> Option<u64> {
    as_number(limits().rlim_cur)
}

/// Raises the limit of open descriptors as far as the process may, and returns the limit; `None` without a limit.
/// setrlimit(2), `RLIMIT_NOFILE`.
pub fn raise_descriptor_limit() -> Option<u64> {
    let limits = limits();
    // macOS rejects a limit above `OPEN_MAX`, also if the maximum is infinite: setrlimit(2) of macOS.
    for most in [limits.rlim_max, limits.rlim_max.min(OPEN_MAX_OF_MACOS)] {
        let raised = libc::rlimit {
            rlim_cur: most,
            ..limits
        };
        // A system may reject the request, or grant less than it.
        // SAFETY: the limits are live.
        if most > limits.rlim_cur && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            break;
        }
    }
    descriptor_limit()
}

/// `OPEN_MAX` of sys/syslimits.h.
const OPEN_MAX_OF_MACOS: libc::rlim_t = 10_240;

fn limits() -> libc::rlimit {
    let mut limits = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: the limits are live and writable. The call cannot fail for this resource; if it did, no limit would be known.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) };
    limits
}

fn as_number(limit: libc::rlim_t) -> Option<u64> {
    (limit != libc::RLIM_INFINITY).then_some(limit as u64)
}

/// Makes standard input another file, and closes the previous one. dup2(2).
///
/// # Errors
/// `EINTR` or `EBUSY`, of the system.
pub fn replace_standard_input(file: &impl AsFd) -> io::Result<()> {
    // SAFETY: both descriptors are open: no owner closes standard input, and `file` is borrowed.
    let result = unsafe { libc::dup2(file.as_fd().as_raw_fd(), libc::STDIN_FILENO) };
    done(result.min(0))
}

/// The time of the monotonic clock, which begins at an unspecified point. clock_gettime(2), `CLOCK_MONOTONIC`.
pub fn monotonic_time() -> Duration {
    crate::clock::now()
}

fn done(result: libc::c_int) -> io::Result<()> {
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_signal_ends_a_process() {
        for (signal, number) in [(Signal::Terminate, libc::SIGTERM), (Signal::Kill, libc::SIGKILL)] {
            let mut child = Command::new("sleep").arg("60").spawn().expect("a process");
            send_signal(child.id(), signal).expect("its signal");
            assert_eq!(child.wait().expect("its end").signal(), Some(number));
        }
    }

    #[test]
    fn no_signal_reaches_a_group_of_processes() {
        for process in [0, u32::MAX, 1 << 31] {
            let error = send_signal(process, Signal::Kill).expect_err("a group");
            assert_eq!(error.raw_os_error(), Some(libc::ESRCH), "{process}");
        }
    }

    #[test]
    fn the_limit_of_descriptors_is_raised_once() {
        let limit = raise_descriptor_limit();
        assert!(limit.is_none_or(|limit| limit > 3), "{limit:?}");
        assert_eq!((descriptor_limit(), raise_descriptor_limit()), (limit, limit));
    }
}
