//! All options, one row each: codec, access, name and required privilege, with the default, the systems and the man
//! page.

use super::codec::*;
use super::sys as at;
use super::{ReadOnly, ReadWrite, Row, SocketOption, WriteOnly};

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident: $codec:ident, $access:ident, $text:literal, $privilege:expr;)*) => {
        $($(#[$doc])* pub const $name: SocketOption<$codec, $access> =
            SocketOption::new(Row { name: $text, at: at::$name, access: $access::NAME, privilege: $privilege });)*

        /// All options, for iteration.
        pub const TABLE: &[Row] = &[$($name.row),*];
    };
}

options! {
    /// Allows binding the address while closed connections of an earlier socket remain in TIME_WAIT. Default: off (on
    /// for the listeners of this crate). All systems. socket(7).
    REUSE_ADDRESS: Flag, ReadWrite, "reuse_address", None;
    /// Allows several sockets of one user, each with this option, to share a port; the kernel distributes connections
    /// and datagrams among them. Default: off. Linux 3.9; FreeBSD 12 (`SO_REUSEPORT_LB`); macOS shares without
    /// distributing. socket(7).
    REUSE_PORT: Flag, ReadWrite, "reuse_port", None;
    /// Makes the receiving CPU select among the sockets that share a port: the socket with the index CPU number modulo
    /// number of sockets, in the order of binding. Set it on one of them. Default: a hash of the addresses. Linux 4.5.
    /// socket(7).
    STEER_TO_CPU: Steering, WriteOnly, "steer_to_cpu", None;
    /// The number of the CPU that handled the last packet of the socket. If it is set on sockets that share a port, the
    /// kernel prefers the socket with the number of the receiving CPU. Default: `u32::MAX`, none. Linux 3.19 (set: 4.4).
    /// socket(7).
    INCOMING_CPU: Number, ReadWrite, "incoming_cpu", None;
    /// Allows binding an IPv4 address that no interface has yet. Default: off. Linux. ip(7).
    FREE_BIND: Flag, ReadWrite, "free_bind", None;
    /// The same as [`FREE_BIND`], for IPv6. Linux 4.15. ipv6(7).
    FREE_BIND_V6: Flag, ReadWrite, "free_bind_v6", None;
    /// Allows binding an IPv4 address of another machine and receiving its traffic, for a transparent proxy. Default:
    /// off. Linux; requires CAP_NET_ADMIN or CAP_NET_RAW. ip(7).
    TRANSPARENT: Flag, ReadWrite, "transparent", Some("it requires CAP_NET_ADMIN or CAP_NET_RAW");
    /// The same as [`TRANSPARENT`], for IPv6. Linux. ipv6(7).
    TRANSPARENT_V6: Flag, ReadWrite, "transparent_v6", Some("it requires CAP_NET_ADMIN or CAP_NET_RAW");
    /// Restricts the socket to this interface; an empty name removes the restriction. Default: none. Linux; before 5.7,
    /// and to change an existing binding, it requires CAP_NET_RAW. socket(7).
    BIND_TO_DEVICE: Text, ReadWrite, "bind_to_device", Some("it requires CAP_NET_RAW");
    /// Restricts an IPv6 socket to IPv6. Set it before binding. Default: off on Linux (`net.ipv6.bindv6only`) and macOS; FreeBSD
    /// enables it. ipv6(7).
    ONLY_V6: Flag, ReadWrite, "only_v6", None;

    /// The size of the receive buffer in bytes. Linux limits the value to `net.core.rmem_max`, returns twice the set
    /// value, and adjusts the size automatically only if it is unset. All systems. socket(7).
    RECEIVE_BUFFER: Bytes, ReadWrite, "receive_buffer", None;
    /// The size of the send buffer in bytes, limited to `net.core.wmem_max` on Linux; otherwise as [`RECEIVE_BUFFER`].
    /// socket(7).
    SEND_BUFFER: Bytes, ReadWrite, "send_buffer", None;
    /// The same as [`RECEIVE_BUFFER`], without the limit. Linux; requires CAP_NET_ADMIN. socket(7).
    RECEIVE_BUFFER_FORCE: Bytes, WriteOnly, "receive_buffer_force", Some("it requires CAP_NET_ADMIN");
    /// The same as [`SEND_BUFFER`], without the limit. Linux; requires CAP_NET_ADMIN. socket(7).
    SEND_BUFFER_FORCE: Bytes, WriteOnly, "send_buffer_force", Some("it requires CAP_NET_ADMIN");
    /// The minimum number of received bytes for which the socket is readable. Default: 1. All systems. socket(7).
    RECEIVE_LOW_WATER: Bytes, ReadWrite, "receive_low_water", None;
    /// The timeout of a blocking receive or accept, in microseconds. Default: zero, no limit. All systems. socket(7).
    RECEIVE_TIMEOUT: Timeval, ReadWrite, "receive_timeout", None;
    /// The timeout of a blocking send, in microseconds. Default: zero, no limit. All systems. socket(7).
    SEND_TIMEOUT: Timeval, ReadWrite, "send_timeout", None;
    /// The time for which a blocking receive polls the queue of the device before it sleeps, in microseconds. Default:
    /// `net.core.busy_read`, which is zero. Linux 3.11; a larger value requires CAP_NET_ADMIN. socket(7).
    BUSY_POLL: Microseconds, ReadWrite, "busy_poll", Some("it requires CAP_NET_ADMIN");
    /// The queueing priority of sent packets, 0 to 6; a larger value requires CAP_NET_ADMIN. Default: 0. Linux.
    /// socket(7).
    PRIORITY: Number, ReadWrite, "priority", Some("it requires CAP_NET_ADMIN");
    /// The mark of sent packets, for routing and packet filters. Default: 0. Linux; requires CAP_NET_ADMIN or, since
    /// 5.17, CAP_NET_RAW. socket(7).
    MARK: Number, ReadWrite, "mark", Some("it requires CAP_NET_ADMIN or CAP_NET_RAW");
    /// The maximum send rate in bytes per second. Default: `u64::MAX`, no limit. Linux 3.13 (64 bits: 4.20). socket(7).
    MAX_PACING_RATE: Number64, ReadWrite, "max_pacing_rate", None;

    /// Probes an idle connection to detect an unreachable peer. Default: off. All systems. socket(7).
    KEEP_ALIVE: Flag, ReadWrite, "keep_alive", None;
    /// The idle time before the first probe, in whole seconds, 1 to 32,767. Default on Linux: 2 hours. tcp(7).
    KEEP_ALIVE_IDLE: Seconds, ReadWrite, "keep_alive_idle", None;
    /// The time between probes, in whole seconds, 1 to 32,767. Default on Linux: 75 s. tcp(7).
    KEEP_ALIVE_INTERVAL: Seconds, ReadWrite, "keep_alive_interval", None;
    /// The number of unanswered probes before the connection is closed, 1 to 127. Default on Linux: 9. tcp(7).
    KEEP_ALIVE_COUNT: Number, ReadWrite, "keep_alive_count", None;
    /// The time for which close(2) waits for unsent bytes, in whole seconds. Zero resets the connection. Default:
    /// `None`, which closes at once while the system sends the remaining bytes. All systems. socket(7).
    LINGER: Linger, ReadWrite, "linger", None;
    /// The time for which sent bytes may be unacknowledged, or keep-alive probes unanswered, before the connection is
    /// closed, in milliseconds. Default: zero, the system's timeout (about 15 minutes). Linux 2.6.37. tcp(7).
    USER_TIMEOUT: Milliseconds, ReadWrite, "user_timeout", None;
    /// The hop limit of IPv4 packets, 1 to 255. Default: 64. All systems. ip(7).
    TIME_TO_LIVE: Number, ReadWrite, "time_to_live", None;
    /// The hop limit of IPv6 packets, 1 to 255. Default: 64. All systems. ipv6(7).
    HOP_LIMIT: Number, ReadWrite, "hop_limit", None;
    /// The TOS byte of IPv4 packets, 0 to 255: DSCP in the upper 6 bits; TCP sets the two ECN bits itself. Linux uses the
    /// low 8 bits of a larger number. Default: 0. All systems. ip(7).
    TYPE_OF_SERVICE: Number, ReadWrite, "type_of_service", None;
    /// The traffic class of IPv6 packets; as [`TYPE_OF_SERVICE`], but a number above 255 is `EINVAL`. Default: 0. All
    /// systems. ipv6(7).
    TRAFFIC_CLASS: Number, ReadWrite, "traffic_class", None;
    /// The number of the pending error, which reading resets; 0 means no error. All systems. socket(7).
    ERROR: Number, ReadOnly, "error", None;
    /// The identifier of the socket, unique until the next boot. Linux 4.12. socket(7).
    COOKIE: Number64, ReadOnly, "cookie", None;
    /// The process, user and group of the peer of a Unix connection at the time of connecting. Linux. unix(7).
    PEER_CREDENTIALS: PeerCredentials, ReadOnly, "peer_credentials", None;

    /// Sends small segments without waiting for the acknowledgement of earlier ones. Default: off. All systems. tcp(7).
    NO_DELAY: Flag, ReadWrite, "no_delay", None;
    /// Sends only full segments; turning it off sends the rest. Linux sends the rest after 200 ms in any case. Default:
    /// off. Linux; FreeBSD and macOS (`TCP_NOPUSH`). tcp(7).
    CORK: Flag, ReadWrite, "cork", None;
    /// Sends acknowledgements without delay; the system may turn it off again. Default: set by the system. Linux.
    /// tcp(7).
    QUICK_ACK: Flag, ReadWrite, "quick_ack", None;
    /// On a listener: the maximum number of pending connections whose SYN packet contains data (TCP Fast Open, RFC
    /// 7413). Default: 0, off. Linux 3.7 (requires bit 2 of `net.ipv4.tcp_fastopen`). tcp(7).
    FAST_OPEN: Number, ReadWrite, "fast_open", None;
    /// On a client, before connecting: sends the first bytes in the SYN packet if the server is known to accept it (TCP
    /// Fast Open, RFC 7413). Default: off. Linux 4.11 (requires bit 1 of `net.ipv4.tcp_fastopen`). tcp(7).
    FAST_OPEN_CONNECT: Flag, ReadWrite, "fast_open_connect", None;
    /// On a listener: accepts a connection after its first bytes have arrived or this time has passed, rounded up to a
    /// number of retransmissions (1 s, 3 s, 7 s, 15 s, 31 s, …). Default: zero, off. Linux. tcp(7).
    DEFER_ACCEPT: Seconds, ReadWrite, "defer_accept", None;
    /// The limit of unsent bytes below which the socket is writable; a low limit keeps unsent data recent. Default:
    /// `net.ipv4.tcp_notsent_lowat`, no limit. Linux 3.12. tcp(7).
    NOT_SENT_LOW_WATER: Bytes, ReadWrite, "not_sent_low_water", None;
    /// The name of the congestion control algorithm, such as `cubic`, `reno` or `bbr`. Default:
    /// `net.ipv4.tcp_congestion_control`. Linux, FreeBSD; an algorithm outside `tcp_allowed_congestion_control`
    /// requires CAP_NET_ADMIN. tcp(7).
    CONGESTION_CONTROL: Text, ReadWrite, "congestion_control", Some("it requires CAP_NET_ADMIN");
    /// The maximum segment size in bytes; Linux returns 536 before the connection is established. tcp(7).
    MAX_SEGMENT: Number, ReadWrite, "max_segment", None;
    /// Kernel statistics of the connection: see [`TcpInfo`]. Linux. tcp(7).
    TCP_INFO: Info, ReadOnly, "tcp_info", None;

    /// Allows sending datagrams to broadcast addresses. Default: off. All systems. socket(7).
    BROADCAST: Flag, ReadWrite, "broadcast", None;
    /// The size of the datagrams into which a large buffer is split (GSO), in bytes. Default: 0, off. Linux 4.18.
    /// udp(7).
    SEGMENT_BYTES: Number, ReadWrite, "segment_bytes", None;
    /// Coalesces datagrams of one sender and size into one large buffer, with their size in a control message (GRO).
    /// Receive with buffers of 64 KiB: a shorter one loses whole datagrams. Default: off. Linux 5.0. udp(7).
    COALESCE: Flag, ReadWrite, "coalesce", None;
    /// Delivers sent IPv4 multicast to the sockets of this machine too. Default: on. All systems. ip(7).
    MULTICAST_LOOP: ByteFlag, ReadWrite, "multicast_loop", None;
    /// The hop limit of IPv4 multicast. Default: 1, the local network. All systems. ip(7).
    MULTICAST_TTL: Byte, ReadWrite, "multicast_ttl", None;
    /// The index of the interface for outgoing IPv4 multicast. Default: 0, the routing table selects it. Linux. ip(7).
    MULTICAST_INTERFACE: Interface4, WriteOnly, "multicast_interface", None;
    /// Receives groups that other sockets of this machine have joined. Default: on. Linux. ip(7).
    MULTICAST_ALL: Flag, ReadWrite, "multicast_all", None;
    /// The same as [`MULTICAST_LOOP`], for IPv6. ipv6(7).
    MULTICAST_LOOP_V6: Flag, ReadWrite, "multicast_loop_v6", None;
    /// The same as [`MULTICAST_TTL`], for IPv6. ipv6(7).
    MULTICAST_HOPS_V6: Number, ReadWrite, "multicast_hops_v6", None;
    /// The index of the interface for outgoing IPv6 multicast. Default: 0, the routing table selects it. All systems.
    /// ipv6(7).
    MULTICAST_INTERFACE_V6: Number, ReadWrite, "multicast_interface_v6", None;
    /// Joins an IPv4 multicast group; [`join`](super::Options::join) selects the option for the group. Linux. ip(7).
    JOIN_V4: Group, WriteOnly, "join_v4", None;
    /// Leaves an IPv4 multicast group. ip(7).
    LEAVE_V4: Group, WriteOnly, "leave_v4", None;
    /// Joins an IPv6 multicast group. Linux. ipv6(7).
    JOIN_V6: Group, WriteOnly, "join_v6", None;
    /// Leaves an IPv6 multicast group. ipv6(7).
    LEAVE_V6: Group, WriteOnly, "leave_v6", None;
    /// Joins an IPv4 multicast group for one sender. Linux. ip(7).
    JOIN_SOURCE_V4: SourceGroup, WriteOnly, "join_source_v4", None;
    /// Leaves an IPv4 multicast group for one sender. ip(7).
    LEAVE_SOURCE_V4: SourceGroup, WriteOnly, "leave_source_v4", None;
    /// Joins an IPv6 multicast group for one sender. Linux. ipv6(7).
    JOIN_SOURCE_V6: SourceGroup, WriteOnly, "join_source_v6", None;
    /// Leaves an IPv6 multicast group for one sender. ipv6(7).
    LEAVE_SOURCE_V6: SourceGroup, WriteOnly, "leave_source_v6", None;

    /// Reports the interface and destination of each IPv4 datagram, as
    /// [`ControlMessage::PacketInfo4`](crate::ControlMessage). Default: off. Linux. ip(7).
    RECEIVE_PACKET_INFO: Flag, ReadWrite, "receive_packet_info", None;
    /// The same as [`RECEIVE_PACKET_INFO`], for IPv6. Linux, FreeBSD. ipv6(7).
    RECEIVE_PACKET_INFO_V6: Flag, ReadWrite, "receive_packet_info_v6", None;
    /// Reports the remaining hops of each IPv4 datagram. Default: off. ip(7).
    RECEIVE_TIME_TO_LIVE: Flag, ReadWrite, "receive_time_to_live", None;
    /// The same as [`RECEIVE_TIME_TO_LIVE`], for IPv6. ipv6(7).
    RECEIVE_HOP_LIMIT: Flag, ReadWrite, "receive_hop_limit", None;
    /// Reports the TOS byte of each IPv4 datagram, with the ECN bits. Default: off. ip(7).
    RECEIVE_TYPE_OF_SERVICE: Flag, ReadWrite, "receive_type_of_service", None;
    /// The same as [`RECEIVE_TYPE_OF_SERVICE`], for IPv6. ipv6(7).
    RECEIVE_TRAFFIC_CLASS: Flag, ReadWrite, "receive_traffic_class", None;
    /// Reports the receive time of each datagram, in nanoseconds of the real-time clock. Default: off. Linux.
    /// socket(7).
    RECEIVE_TIMESTAMP: Flag, ReadWrite, "receive_timestamp", None;
    /// Timestamps of receiving and sending, by software and hardware: the `SOF_TIMESTAMPING_` flags. Default: 0. Linux
    /// 2.6.30; see networking/timestamping in the documentation of the kernel.
    TIMESTAMPING: Number, ReadWrite, "timestamping", None;
    /// Reports the process, user and group of the sender of each message. Unix sockets. Default: off. Linux. unix(7).
    RECEIVE_CREDENTIALS: Flag, ReadWrite, "receive_credentials", None;
    /// Reports the number of datagrams dropped for lack of buffer space. Default: off. Linux 2.6.33. socket(7).
    RECEIVE_DROPS: Flag, ReadWrite, "receive_drops", None;
    /// Queues ICMP errors for an IPv4 socket, for `receive_error`. Default: off. Linux. ip(7).
    RECEIVE_ERRORS: Flag, ReadWrite, "receive_errors", None;
    /// The same as [`RECEIVE_ERRORS`], for IPv6. ipv6(7).
    RECEIVE_ERRORS_V6: Flag, ReadWrite, "receive_errors_v6", None;
    /// The permission of zero-copy sends, which [`ZeroCopy`](crate::ZeroCopy) sets. Default: off. Linux 4.14. socket(7).
    ///
    /// It cannot be reset, because it prevents a second `ZeroCopy` of a socket:
    ///
    /// ```compile_fail,E0277
    /// # fn reset(socket: &conduit_net::Socket) {
    /// use conduit_net::{Options, option};
    /// let _ = socket.set_option(option::ZERO_COPY, false);
    /// # }
    /// ```
    ZERO_COPY: Flag, ReadOnly, "zero_copy", None;
}
