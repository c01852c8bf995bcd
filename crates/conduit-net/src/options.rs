//! What a listening socket is set up with.

use crate::sys;
use crate::{Error, Operation};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use rustix::net::sockopt;
use std::net::SocketAddr;
use std::time::Duration;

/// How a [`TcpListener`](crate::TcpListener) is set up. What it sets for connections (no delay, keep-alive, buffer sizes) is
/// set once, on the listener: the connections that it accepts inherit it, at no system call of their own.
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
    defer_accept: Option<Duration>,
}

impl ListenOptions {
    /// The defaults: a backlog of 4096, address reuse on, everything else as the system has it.
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
            defer_accept: None,
        }
    }

    /// How many finished connections may wait to be accepted. Default: 4096, the system's own upper limit on Linux
    /// (`net.core.somaxconn`), which cuts down anything larger without a word. listen(2).
    pub const fn backlog(mut self, connections: u32) -> ListenOptions {
        self.backlog = connections;
        self
    }

    /// Whether the address may be bound while closed connections of an earlier socket linger on it (`SO_REUSEADDR`).
    /// Default: on, or a server could not be restarted for a minute. Two listeners on one port remain an error. socket(7).
    pub const fn reuse_address(mut self, on: bool) -> ListenOptions {
        self.reuse_address = on;
        self
    }

    /// Whether several listeners, each with this option and of one user, may share the port and have the connections spread
    /// over them. Default: off. `SO_REUSEPORT` on Linux 3.9, `SO_REUSEPORT_LB` on FreeBSD 12; macOS shares the port without
    /// spreading; an error elsewhere. socket(7).
    pub const fn reuse_port(mut self, on: bool) -> ListenOptions {
        self.reuse_port = on;
        self
    }

    /// Whether an IPv6 listener takes IPv6 only (`IPV6_V6ONLY`); without effect on an IPv4 address. Where it is off, IPv4
    /// clients come with addresses such as `::ffff:192.0.2.1`. Default: as the system has it (off on Linux,
    /// `net.ipv6.bindv6only`). ipv6(7).
    pub const fn only_v6(mut self, on: bool) -> ListenOptions {
        self.only_v6 = Some(on);
        self
    }

    /// Whether connections send small pieces at once rather than wait for the acknowledgement of the last (`TCP_NODELAY`).
    /// Default: as the system has it (off). tcp(7).
    pub const fn no_delay(mut self, on: bool) -> ListenOptions {
        self.no_delay = Some(on);
        self
    }

    /// Probes idle connections, so that vanished peers are found out. Default: off. tcp(7).
    pub const fn keep_alive(mut self, probes: KeepAlive) -> ListenOptions {
        self.keep_alive = Some(probes);
        self
    }

    /// How long closing a connection waits for unsent bytes, in whole seconds (`SO_LINGER`); zero resets the connection
    /// instead. Default: closing returns at once and the system sends what is left. socket(7).
    pub const fn linger(mut self, limit: Duration) -> ListenOptions {
        self.linger = Some(limit);
        self
    }

    /// The size of each connection's receive buffer (`SO_RCVBUF`). Linux doubles it for its own book-keeping, caps it at
    /// `net.core.rmem_max`, and no longer adapts it by itself. Default: the system adapts it. socket(7).
    pub const fn receive_buffer_bytes(mut self, bytes: usize) -> ListenOptions {
        self.receive_buffer_bytes = Some(bytes);
        self
    }

    /// The size of each connection's send buffer (`SO_SNDBUF`), with the cap `net.core.wmem_max` on Linux; otherwise as
    /// [`receive_buffer_bytes`](ListenOptions::receive_buffer_bytes). socket(7).
    pub const fn send_buffer_bytes(mut self, bytes: usize) -> ListenOptions {
        self.send_buffer_bytes = Some(bytes);
        self
    }

    /// Accepts a connection only when its first bytes have come, or this time has passed, rounded up to whole seconds
    /// (`TCP_DEFER_ACCEPT`). Default: off. Linux; an error elsewhere. tcp(7).
    pub const fn defer_accept(mut self, limit: Duration) -> ListenOptions {
        self.defer_accept = Some(limit);
        self
    }

    pub(crate) fn backlog_connections(&self) -> i32 {
        i32::try_from(self.backlog).unwrap_or(i32::MAX)
    }

    /// Sets what must be set before the socket is bound; for the rest that is early enough.
    pub(crate) fn apply(&self, socket: BorrowedFd<'_>, address: SocketAddr) -> Result<(), Error> {
        let set = |name, result: Result<(), Errno>| {
            result.map_err(|errno| Error::new(Operation::Option(name), address, errno))
        };
        set(
            "reuse_address",
            sockopt::set_socket_reuseaddr(socket, self.reuse_address),
        )?;
        if self.reuse_port {
            set("reuse_port", sys::socket::set_reuse_port(socket, true))?;
        }
        if let (Some(on), true) = (self.only_v6, address.is_ipv6()) {
            set("only_v6", sockopt::set_ipv6_v6only(socket, on))?;
        }
        if let Some(on) = self.no_delay {
            set("no_delay", sockopt::set_tcp_nodelay(socket, on))?;
        }
        if let Some(probes) = &self.keep_alive {
            set("keep_alive", probes.apply(socket))?;
        }
        if let Some(limit) = self.linger {
            set("linger", sockopt::set_socket_linger(socket, Some(limit)))?;
        }
        if let Some(bytes) = self.receive_buffer_bytes {
            set(
                "receive_buffer_bytes",
                sockopt::set_socket_recv_buffer_size(socket, bytes),
            )?;
        }
        if let Some(bytes) = self.send_buffer_bytes {
            set(
                "send_buffer_bytes",
                sockopt::set_socket_send_buffer_size(socket, bytes),
            )?;
        }
        if let Some(limit) = self.defer_accept {
            set("defer_accept", sys::socket::set_defer_accept(socket, limit))?;
        }
        Ok(())
    }
}

impl Default for ListenOptions {
    fn default() -> ListenOptions {
        ListenOptions::new()
    }
}

/// When and how an idle connection is probed (`SO_KEEPALIVE`). What is not set is as the system has it; on Linux: the first
/// probe after 2 hours, then every 75 s, and given up after 9. tcp(7).
///
/// A peer that vanished is found out after idle + interval × count.
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
    /// Keep-alive with the times of the system.
    pub const fn new() -> KeepAlive {
        KeepAlive {
            idle: None,
            interval: None,
            count: None,
        }
    }

    /// How long a connection is idle before the first probe, in whole seconds, at least one (`TCP_KEEPIDLE`, `TCP_KEEPALIVE`
    /// on macOS). Not on OpenBSD.
    pub const fn idle(mut self, idle: Duration) -> KeepAlive {
        self.idle = Some(idle);
        self
    }

    /// The time between probes, in whole seconds, at least one (`TCP_KEEPINTVL`). Not on OpenBSD.
    pub const fn interval(mut self, interval: Duration) -> KeepAlive {
        self.interval = Some(interval);
        self
    }

    /// How many probes may stay unanswered (`TCP_KEEPCNT`). Not on OpenBSD.
    pub const fn count(mut self, probes: u32) -> KeepAlive {
        self.count = Some(probes);
        self
    }

    pub(crate) fn apply(&self, socket: impl AsFd) -> Result<(), Errno> {
        let socket = socket.as_fd();
        sockopt::set_socket_keepalive(socket, true)?;
        if let Some(idle) = self.idle {
            sockopt::set_tcp_keepidle(socket, idle)?;
        }
        if let Some(interval) = self.interval {
            sockopt::set_tcp_keepintvl(socket, interval)?;
        }
        if let Some(count) = self.count {
            sockopt::set_tcp_keepcnt(socket, count)?;
        }
        Ok(())
    }
}
