//! The settings of a listening socket.

use crate::Error;
use crate::option::{self, Name, Options};
use core::net::SocketAddr;
use core::time::Duration;
use rustix::fd::{AsFd, BorrowedFd};

/// The settings of a [`TcpListener`](crate::TcpListener). Settings of connections (no delay, keep-alive, buffer sizes)
/// are set once, on the listener; accepted connections inherit them without further system calls.
///
/// ```
/// use conduit_net::ListenOptions;
/// let options = ListenOptions::new().backlog(1024).no_delay(true).only_v6(false);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    backlog: u32,
    reuse_address: bool,
    reuse_port: bool,
    only_v6: Option<bool>,
    no_delay: Option<bool>,
    keep_alive: Option<KeepAlive>,
    linger: Option<Duration>,
    receive_buffer_bytes: Option<usize>,
    send_buffer_bytes: Option<usize>,
    not_sent_low_water_bytes: Option<usize>,
    defer_accept: Option<Duration>,
    fast_open: Option<u32>,
    device: Option<Name>,
}

impl ListenOptions {
    /// The defaults: a backlog of 4096, address reuse, and the system's default for everything else.
    pub const fn new() -> ListenOptions {
        ListenOptions {
            backlog: 4096,
            reuse_address: true,
            reuse_port: false,
            only_v6: None,
            no_delay: None,
            keep_alive: None,
            linger: None,
            receive_buffer_bytes: None,
            send_buffer_bytes: None,
            not_sent_low_water_bytes: None,
            defer_accept: None,
            fast_open: None,
            device: None,
        }
    }

    /// The maximum number of established connections in the accept queue. Default: 4096, the default of
    /// `net.core.somaxconn`, to which Linux silently limits larger values. listen(2).
    pub const fn backlog(mut self, connections: u32) -> ListenOptions {
        self.backlog = connections;
        self
    }

    /// Allows binding the address while closed connections of an earlier socket remain in TIME_WAIT (`SO_REUSEADDR`).
    /// Default: on; without it, a server could not restart for a minute. Two listeners on one port remain an error.
    /// socket(7).
    pub const fn reuse_address(mut self, on: bool) -> ListenOptions {
        self.reuse_address = on;
        self
    }

    /// Allows several listeners of one user, each with this option, to share the port; the kernel distributes
    /// connections among them. Default: off. `SO_REUSEPORT` on Linux 3.9, `SO_REUSEPORT_LB` on FreeBSD 12; macOS shares
    /// the port without distributing; an error on other systems. socket(7).
    pub const fn reuse_port(mut self, on: bool) -> ListenOptions {
        self.reuse_port = on;
        self
    }

    /// Restricts an IPv6 listener to IPv6 (`IPV6_V6ONLY`); no effect on an IPv4 address. If it is off, IPv4 clients
    /// have addresses such as `::ffff:192.0.2.1`. Default: set by the system (off on Linux, `net.ipv6.bindv6only`).
    /// ipv6(7).
    pub const fn only_v6(mut self, on: bool) -> ListenOptions {
        self.only_v6 = Some(on);
        self
    }

    /// Makes connections send small segments without waiting for the acknowledgement of earlier ones (`TCP_NODELAY`).
    /// Default: set by the system (off). tcp(7).
    pub const fn no_delay(mut self, on: bool) -> ListenOptions {
        self.no_delay = Some(on);
        self
    }

    /// Probes idle connections to detect unreachable peers. Default: off. tcp(7).
    pub const fn keep_alive(mut self, probes: KeepAlive) -> ListenOptions {
        self.keep_alive = Some(probes);
        self
    }

    /// The time for which closing a connection waits for unsent bytes, in whole seconds (`SO_LINGER`); zero resets the
    /// connection instead. Default: close at once, while the system sends the remaining bytes. socket(7).
    pub const fn linger(mut self, limit: Duration) -> ListenOptions {
        self.linger = Some(limit);
        self
    }

    /// The size of each connection's receive buffer (`SO_RCVBUF`) in bytes. Linux doubles the value for its overhead,
    /// limits it to `net.core.rmem_max`, and stops adjusting it automatically. Default: adjusted by the system.
    /// socket(7).
    pub const fn receive_buffer_bytes(mut self, bytes: usize) -> ListenOptions {
        self.receive_buffer_bytes = Some(bytes);
        self
    }

    /// The size of each connection's send buffer (`SO_SNDBUF`) in bytes, limited to `net.core.wmem_max` on Linux;
    /// otherwise as [`receive_buffer_bytes`](ListenOptions::receive_buffer_bytes). socket(7).
    pub const fn send_buffer_bytes(mut self, bytes: usize) -> ListenOptions {
        self.send_buffer_bytes = Some(bytes);
        self
    }

    /// The maximum number of unsent bytes in the send buffer of each connection, besides the bytes in flight
    /// (`TCP_NOTSENT_LOWAT`); the socket is writable again when half of them are sent. A slow peer then uses little
    /// kernel memory, and its progress is measured in small steps. Default: set by the system
    /// (`net.ipv4.tcp_notsent_lowat`, no limit). Linux 3.12; an error on other systems. tcp(7).
    pub const fn not_sent_low_water_bytes(mut self, bytes: usize) -> ListenOptions {
        self.not_sent_low_water_bytes = Some(bytes);
        self
    }

    /// Accepts a connection after its first bytes have arrived or this time has passed, rounded up to whole seconds
    /// (`TCP_DEFER_ACCEPT`). Default: off. Linux; an error on other systems. tcp(7).
    pub const fn defer_accept(mut self, limit: Duration) -> ListenOptions {
        self.defer_accept = Some(limit);
        self
    }

    /// Accepts connections whose SYN packet contains data, up to this number pending (`TCP_FASTOPEN`). Default: off.
    /// Linux; an error on other systems. tcp(7), RFC 7413.
    pub const fn fast_open(mut self, pending: u32) -> ListenOptions {
        self.fast_open = Some(pending);
        self
    }

    /// Listens only on the interface with this name (`SO_BINDTODEVICE`), of at most 15 bytes; a longer name is an error
    /// of [`bind`](crate::TcpListener::bind). Default: all interfaces. Linux; an error on other systems. socket(7).
    pub fn device(mut self, name: &str) -> ListenOptions {
        self.device = Some(Name::from(name));
        self
    }

    pub(crate) fn backlog_connections(&self) -> i32 {
        i32::try_from(self.backlog).unwrap_or(i32::MAX)
    }

    /// Applies all settings before binding, because some have no effect later.
    pub(crate) fn apply(&self, socket: BorrowedFd<'_>, address: SocketAddr) -> Result<(), Error> {
        self.set_all(socket, address.is_ipv6())
            .map_err(|error| error.on(address))
    }

    fn set_all(&self, socket: BorrowedFd<'_>, v6: bool) -> Result<(), Error> {
        socket.set_option(option::REUSE_ADDRESS, self.reuse_address)?;
        if self.reuse_port {
            socket.set_option(option::REUSE_PORT, true)?;
        }
        if let (Some(on), true) = (self.only_v6, v6) {
            socket.set_option(option::ONLY_V6, on)?;
        }
        if let Some(device) = self.device {
            socket.set_option(option::BIND_TO_DEVICE, device)?;
        }
        if let Some(on) = self.no_delay {
            socket.set_option(option::NO_DELAY, on)?;
        }
        if let Some(probes) = &self.keep_alive {
            probes.apply(socket)?;
        }
        if let Some(limit) = self.linger {
            socket.set_option(option::LINGER, Some(limit))?;
        }
        if let Some(bytes) = self.receive_buffer_bytes {
            socket.set_option(option::RECEIVE_BUFFER, bytes)?;
        }
        if let Some(bytes) = self.send_buffer_bytes {
            socket.set_option(option::SEND_BUFFER, bytes)?;
        }
        if let Some(bytes) = self.not_sent_low_water_bytes {
            socket.set_option(option::NOT_SENT_LOW_WATER, bytes)?;
        }
        if let Some(limit) = self.defer_accept {
            socket.set_option(option::DEFER_ACCEPT, limit)?;
        }
        if let Some(pending) = self.fast_open {
            socket.set_option(option::FAST_OPEN, pending)?;
        }
        Ok(())
    }
}

impl Default for ListenOptions {
    fn default() -> ListenOptions {
        ListenOptions::new()
    }
}

/// The keep-alive probes of an idle connection (`SO_KEEPALIVE`). Unset values are the system's; on Linux: the first
/// probe after 2 hours, then every 75 s, closed after 9 unanswered probes. tcp(7).
///
/// An unreachable peer is detected after idle + interval × count.
///
/// ```
/// use conduit_net::KeepAlive;
/// use std::time::Duration;
/// let probes = KeepAlive::new().idle(Duration::from_secs(60)).interval(Duration::from_secs(10)).count(3);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeepAlive {
    idle: Option<Duration>,
    interval: Option<Duration>,
    count: Option<u32>,
}

impl KeepAlive {
    /// Keep-alive with the system's times.
    pub const fn new() -> KeepAlive {
        KeepAlive {
            idle: None,
            interval: None,
            count: None,
        }
    }

    /// The idle time before the first probe, in whole seconds, at least one (`TCP_KEEPIDLE`, `TCP_KEEPALIVE`
    /// on macOS). Linux, FreeBSD, macOS.
    pub const fn idle(mut self, idle: Duration) -> KeepAlive {
        self.idle = Some(idle);
        self
    }

    /// The time between probes, in whole seconds, at least one (`TCP_KEEPINTVL`). Linux, FreeBSD, macOS.
    pub const fn interval(mut self, interval: Duration) -> KeepAlive {
        self.interval = Some(interval);
        self
    }

    /// The number of unanswered probes before the connection is closed (`TCP_KEEPCNT`). Linux, FreeBSD, macOS.
    pub const fn count(mut self, probes: u32) -> KeepAlive {
        self.count = Some(probes);
        self
    }

    pub(crate) fn apply(&self, socket: impl AsFd) -> Result<(), Error> {
        socket.set_option(option::KEEP_ALIVE, true)?;
        if let Some(idle) = self.idle {
            socket.set_option(option::KEEP_ALIVE_IDLE, idle)?;
        }
        if let Some(interval) = self.interval {
            socket.set_option(option::KEEP_ALIVE_INTERVAL, interval)?;
        }
        if let Some(count) = self.count {
            socket.set_option(option::KEEP_ALIVE_COUNT, count)?;
        }
        Ok(())
    }
}
