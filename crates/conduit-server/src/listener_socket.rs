//! A listening socket of any family.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use conduit_net::{Options as _, TcpListener, UnixListener, option};

/// The maximum of `TCP_KEEPIDLE` on Linux.
const KEEP_ALIVE_IDLE_MAX: Duration = Duration::from_secs(32767);
/// The time between two probes of a silent connection.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// The number of unanswered probes after which the system closes a connection.
const KEEP_ALIVE_PROBES: u32 = 4;

/// A socket that accepts connections.
#[derive(Debug)]
pub(crate) enum ListenerSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl AsFd for ListenerSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            ListenerSocket::Tcp(listener) => listener.as_fd(),
            ListenerSocket::Unix(listener) => listener.as_fd(),
        }
    }
}

impl ListenerSocket {
    /// Makes the system probe accepted connections that are idle for this time; zero disables probes. Accepted
    /// connections inherit the options, without a system call for each.
    pub(super) fn set_keep_alive(&self, idle: Duration) -> std::result::Result<(), conduit_net::Error> {
        if let ListenerSocket::Unix(_) = self {
            return Ok(());
        }
        self.set_option(option::KEEP_ALIVE, !idle.is_zero())?;
        if !idle.is_zero() && option::KEEP_ALIVE_IDLE.is_supported() {
            let idle = idle.clamp(Duration::from_secs(1), KEEP_ALIVE_IDLE_MAX);
            self.set_option(option::KEEP_ALIVE_IDLE, idle)?;
            self.set_option(option::KEEP_ALIVE_INTERVAL, KEEP_ALIVE_INTERVAL)?;
            self.set_option(option::KEEP_ALIVE_COUNT, KEEP_ALIVE_PROBES)?;
        }
        Ok(())
    }
}
