//! Every option, one row each: its type and unit, whether it can be read, and where it is described.

use super::codec::*;
use super::{ReadOnly, ReadWrite, Row, SocketOption, WriteOnly};
use crate::sys::constants as at;

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident: $codec:ident, $access:ident, $text:literal, $privilege:expr;)*) => {
        $($(#[$doc])* pub const $name: SocketOption<$codec, $access> =
            SocketOption::new(Row { name: $text, at: at::$name, access: $access::NAME, privilege: $privilege });)*

        /// All options, for those who list them.
        pub const TABLE: &[Row] = &[$($name.row),*];
    };
}

options! {
    /// Allows binding the address while closed connections of an earlier socket linger on it. Default: off (listeners of this
    /// crate: on). All systems. socket(7).
    REUSE_ADDRESS: Flag, ReadWrite, "reuse_address", None;
    /// Allows several sockets, each with this option and of one user, to share a port; connections and datagrams are spread
    /// over them. Default: off. Linux 3.9; FreeBSD 12 (`SO_REUSEPORT_LB`); macOS shares without spreading. socket(7).
    REUSE_PORT: Flag, ReadWrite, "reuse_port", None;
    /// Lets the receiving CPU choose among the sockets that share a port, in the order in which they were bound: CPU number modulo
    /// count of sockets. Set on one of them, for all. Default: a hash of the addresses. Linux 4.5. socket(7).
    STEER_TO_CPU: Steering, WriteOnly, "steer_to_cpu", None;
    /// The number of the CPU that handled the last packet of the socket; set on sockets that share a port, it prefers the one whose
    /// number it is. Default: none. Linux 3.19 (set: 4.4). socket(7).
    INCOMING_CPU: Number, ReadWrite, "incoming_cpu", None;
    /// Allows binding an IPv4 address that no interface has (yet). Default: off. Linux. ip(7).
    FREE_BIND: Flag, ReadWrite, "free_bind", None;
    /// As [`FREE_BIND`], for IPv6. Linux 4.15. ipv6(7).
    FREE_BIND_V6: Flag, ReadWrite, "free_bind_v6", None;
    /// Allows binding a foreign IPv4 address and receiving its traffic, for a transparent proxy. Default: off. Linux; needs
    /// CAP_NET_ADMIN or CAP_NET_RAW. ip(7).
    TRANSPARENT: Flag, ReadWrite, "transparent", Some("it needs CAP_NET_ADMIN or CAP_NET_RAW");
    /// As [`TRANSPARENT`], for IPv6. Linux. ipv6(7).
    TRANSPARENT_V6: Flag, ReadWrite, "transparent_v6", Some("it needs CAP_NET_ADMIN or CAP_NET_RAW");
    /// Sends and receives through this interface only; an empty name ends that. Default: any. Linux; before 5.7, and to change an
    /// existing binding, CAP_NET_RAW is needed. socket(7).
    BIND_TO_DEVICE: Text, ReadWrite, "bind_to_device", Some("it needs CAP_NET_RAW");
    /// Whether an IPv6 socket takes IPv6 only; set it before binding. Default: off on Linux (`net.ipv6.bindv6only`) and macOS, on on
    /// FreeBSD. ipv6(7).
    ONLY_V6: Flag, ReadWrite, "only_v6", None;

    /// The receive buffer in bytes. Linux reads back twice what was set, caps it at `net.core.rmem_max`, and adapts it by itself as
    /// long as it was not set. All systems. socket(7).
    RECEIVE_BUFFER: Bytes, ReadWrite, "receive_buffer", None;
    /// The send buffer in bytes, with the cap `net.core.wmem_max` on Linux; otherwise as [`RECEIVE_BUFFER`]. socket(7).
    SEND_BUFFER: Bytes, ReadWrite, "send_buffer", None;
    /// As [`RECEIVE_BUFFER`] without the cap. Linux; needs CAP_NET_ADMIN. socket(7).
    RECEIVE_BUFFER_FORCE: Bytes, WriteOnly, "receive_buffer_force", Some("it needs CAP_NET_ADMIN");
    /// As [`SEND_BUFFER`] without the cap. Linux; needs CAP_NET_ADMIN. socket(7).
    SEND_BUFFER_FORCE: Bytes, WriteOnly, "send_buffer_force", Some("it needs CAP_NET_ADMIN");
    /// How many bytes must have come before the socket is readable. Default: 1. All systems. socket(7).
    RECEIVE_LOW_WATER: Bytes, ReadWrite, "receive_low_water", None;
    /// The timeout of a blocking receive or accept, to the microsecond; zero, the default, is no limit. All systems. socket(7).
    RECEIVE_TIMEOUT: Timeval, ReadWrite, "receive_timeout", None;
    /// The timeout of a blocking send, to the microsecond; zero, the default, is no limit. All systems. socket(7).
    SEND_TIMEOUT: Timeval, ReadWrite, "send_timeout", None;
    /// The time that a blocking receive polls the device's queue before it sleeps, to the microsecond. Default: `net.core.busy_read`, which
    /// is zero. Linux 3.11; more than the default needs CAP_NET_ADMIN. socket(7).
    BUSY_POLL: Microseconds, ReadWrite, "busy_poll", Some("it needs CAP_NET_ADMIN");
    /// The queueing priority of what is sent, 0 to 6 (more needs CAP_NET_ADMIN). Default: 0. Linux. socket(7).
    PRIORITY: Number, ReadWrite, "priority", Some("it needs CAP_NET_ADMIN");
    /// The mark of what is sent, for routing and packet filters. Default: 0. Linux; needs CAP_NET_ADMIN or (5.17) CAP_NET_RAW.
    /// socket(7).
    MARK: Number, ReadWrite, "mark", Some("it needs CAP_NET_ADMIN or CAP_NET_RAW");
    /// The most bytes per second that are sent. Default: `u64::MAX`, no limit. Linux 3.13 (64 bits: 4.20). socket(7).
    MAX_PACING_RATE: Number64, ReadWrite, "max_pacing_rate", None;

    /// Probes an idle connection to detect vanished peers. Default: off. All systems. socket(7).
    KEEP_ALIVE: Flag, ReadWrite, "keep_alive", None;
    /// The idle time before the first probe, in whole seconds, 1 to 32,767. Default on Linux: 2 hours. tcp(7).
    KEEP_ALIVE_IDLE: Seconds, ReadWrite, "keep_alive_idle", None;
    /// The time between probes, in whole seconds, 1 to 32,767. Default on Linux: 75 s. tcp(7).
    KEEP_ALIVE_INTERVAL: Seconds, ReadWrite, "keep_alive_interval", None;
    /// The number of unanswered probes before the connection is given up, 1 to 127. Default on Linux: 9. tcp(7).
    KEEP_ALIVE_COUNT: Number, ReadWrite, "keep_alive_count", None;
    /// The time that closing waits for unsent bytes, in whole seconds; zero resets the connection; `None`, the default, closes at once and
    /// lets the system send what is left. All systems. socket(7).
    LINGER: Linger, ReadWrite, "linger", None;
    /// The time that sent bytes may stay unacknowledged (or keep-alive probes unanswered) before the connection is given up, to the
    /// millisecond; zero, the default, is the system's own patience (about 15 minutes). Linux 2.6.37. tcp(7).
    USER_TIMEOUT: Milliseconds, ReadWrite, "user_timeout", None;
    /// The hop limit of IPv4 packets, 1 to 255. Default: 64. All systems. ip(7).
    TIME_TO_LIVE: Number, ReadWrite, "time_to_live", None;
    /// The hop limit of IPv6 packets, 1 to 255. Default: 64. All systems. ipv6(7).
    HOP_LIMIT: Number, ReadWrite, "hop_limit", None;
    /// The TOS byte of IPv4 packets: DSCP in the upper 6 bits; TCP keeps the two ECN bits to itself. Default: 0. All systems. ip(7).
    TYPE_OF_SERVICE: Number, ReadWrite, "type_of_service", None;
    /// The traffic class of IPv6 packets; as [`TYPE_OF_SERVICE`]. Default: 0. All systems. ipv6(7).
    TRAFFIC_CLASS: Number, ReadWrite, "traffic_class", None;
    /// The number of the error that waits on the socket, which reading takes off it; 0: none. All systems. socket(7).
    ERROR: Number, ReadOnly, "error", None;
    /// A number that this socket alone has until the next boot. Linux 4.12. socket(7).
    COOKIE: Number64, ReadOnly, "cookie", None;
    /// The process, user and group on the other side of a Unix connection, as they were when it was made. Linux. unix(7).
    PEER_CREDENTIALS: PeerCredentials, ReadOnly, "peer_credentials", None;

    /// Sends small pieces at once instead of after the acknowledgement of the last. Default: off. All systems. tcp(7).
    NO_DELAY: Flag, ReadWrite, "no_delay", None;
    /// Sends full segments only; turning it off sends the rest. On Linux the rest goes after 200 ms in any case. Default:
    /// off. Linux; FreeBSD and macOS (`TCP_NOPUSH`). tcp(7).
    CORK: Flag, ReadWrite, "cork", None;
    /// Sends acknowledgements at once; the system may turn it off again. Default: as the connection goes. Linux.
    /// tcp(7).
    QUICK_ACK: Flag, ReadWrite, "quick_ack", None;
    /// On a listener: how many connections whose first bytes came with the first packet may be pending; 0 is off, the default. Linux
    /// 3.7 (`net.ipv4.tcp_fastopen` must have the bit 2). tcp(7).
    FAST_OPEN: Number, ReadWrite, "fast_open", None;
    /// Before connecting: whether the first bytes sent go with the first packet, if the server is known to take them. Default: off.
    /// Linux 4.11 (`net.ipv4.tcp_fastopen` must have the bit 1). tcp(7).
    FAST_OPEN_CONNECT: Flag, ReadWrite, "fast_open_connect", None;
    /// On a listener: accepts a connection only when its first bytes have come, or this time has passed; rounded up to a number of
    /// retransmissions (1 s, 3 s, 7 s, 15 s, 31 s, …). Default: zero, off. Linux. tcp(7).
    DEFER_ACCEPT: Seconds, ReadWrite, "defer_accept", None;
    /// The socket is writable while fewer bytes than this wait to be sent, so that what is sent is not old. Default:
    /// `net.ipv4.tcp_notsent_lowat`, no limit. Linux 3.12. tcp(7).
    NOT_SENT_LOW_WATER: Bytes, ReadWrite, "not_sent_low_water", None;
    /// The name of the congestion control, such as `cubic`, `reno` or `bbr`. Default: `net.ipv4.tcp_congestion_control`. Linux,
    /// FreeBSD; those outside `tcp_allowed_congestion_control` need CAP_NET_ADMIN. tcp(7).
    CONGESTION_CONTROL: Text, ReadWrite, "congestion_control", Some("it needs CAP_NET_ADMIN");
    /// The largest segment in bytes; on Linux it reads 536 before the connection is established. tcp(7).
    MAX_SEGMENT: Number, ReadWrite, "max_segment", None;
    /// The system's information about the connection: see [`TcpInfo`]. Linux. tcp(7).
    TCP_INFO: Info, ReadOnly, "tcp_info", None;

    /// Allows sending datagrams to broadcast addresses. Default: off. All systems. socket(7).
    BROADCAST: Flag, ReadWrite, "broadcast", None;
    /// Sends a large buffer as datagrams of this many bytes (GSO); 0 is off, the default. Linux 4.18. udp(7).
    SEGMENT_BYTES: Number, ReadWrite, "segment_bytes", None;
    /// Coalesces datagrams of one sender and size into one large buffer, with a control message for their size (GRO).
    /// Default: off. Linux 5.0. udp(7).
    COALESCE: Flag, ReadWrite, "coalesce", None;
    /// Delivers IPv4 multicast to this machine's sockets too. Default: on. All systems. ip(7).
    MULTICAST_LOOP: Flag, ReadWrite, "multicast_loop", None;
    /// The hop limit of IPv4 multicast. Default: 1, this network only. All systems. ip(7).
    MULTICAST_TTL: Byte, ReadWrite, "multicast_ttl", None;
    /// The number of the interface that IPv4 multicast leaves through; 0, the default, lets the routes choose. Linux. ip(7).
    MULTICAST_INTERFACE: Interface4, WriteOnly, "multicast_interface", None;
    /// Delivers groups that other sockets of this machine have joined. Default: on. Linux. ip(7).
    MULTICAST_ALL: Flag, ReadWrite, "multicast_all", None;
    /// As [`MULTICAST_LOOP`], for IPv6. ipv6(7).
    MULTICAST_LOOP_V6: Flag, ReadWrite, "multicast_loop_v6", None;
    /// As [`MULTICAST_TTL`], for IPv6. ipv6(7).
    MULTICAST_HOPS_V6: Number, ReadWrite, "multicast_hops_v6", None;
    /// The number of the interface that IPv6 multicast leaves through; 0, the default, lets the routes choose. All systems. ipv6(7).
    MULTICAST_INTERFACE_V6: Number, ReadWrite, "multicast_interface_v6", None;
    /// Joins an IPv4 multicast group; [`join`](super::Options::join) chooses the option by the group. Linux. ip(7).
    JOIN_V4: Group, WriteOnly, "join_v4", None;
    /// Leaves it. ip(7).
    LEAVE_V4: Group, WriteOnly, "leave_v4", None;
    /// Joins an IPv6 multicast group. Linux. ipv6(7).
    JOIN_V6: Group, WriteOnly, "join_v6", None;
    /// Leaves it. ipv6(7).
    LEAVE_V6: Group, WriteOnly, "leave_v6", None;
    /// Joins an IPv4 multicast group for one sender only. Linux. ip(7).
    JOIN_SOURCE_V4: SourceGroup, WriteOnly, "join_source_v4", None;
    /// Leaves it. ip(7).
    LEAVE_SOURCE_V4: SourceGroup, WriteOnly, "leave_source_v4", None;
    /// Joins an IPv6 multicast group for one sender only. Linux. ipv6(7).
    JOIN_SOURCE_V6: SourceGroup, WriteOnly, "join_source_v6", None;
    /// Leaves it. ipv6(7).
    LEAVE_SOURCE_V6: SourceGroup, WriteOnly, "leave_source_v6", None;

    /// Reports the interface and destination of each IPv4 datagram, as [`ControlMessage::PacketInfo4`](crate::ControlMessage).
    /// Default: off. Linux. ip(7).
    RECEIVE_PACKET_INFO: Flag, ReadWrite, "receive_packet_info", None;
    /// As [`RECEIVE_PACKET_INFO`], for IPv6. Linux, FreeBSD. ipv6(7).
    RECEIVE_PACKET_INFO_V6: Flag, ReadWrite, "receive_packet_info_v6", None;
    /// Reports the remaining hops of each IPv4 datagram. Default: off. ip(7).
    RECEIVE_TIME_TO_LIVE: Flag, ReadWrite, "receive_time_to_live", None;
    /// As [`RECEIVE_TIME_TO_LIVE`], for IPv6. ipv6(7).
    RECEIVE_HOP_LIMIT: Flag, ReadWrite, "receive_hop_limit", None;
    /// Reports the TOS byte of each IPv4 datagram, with the ECN bits. Default: off. ip(7).
    RECEIVE_TYPE_OF_SERVICE: Flag, ReadWrite, "receive_type_of_service", None;
    /// As [`RECEIVE_TYPE_OF_SERVICE`], for IPv6. ipv6(7).
    RECEIVE_TRAFFIC_CLASS: Flag, ReadWrite, "receive_traffic_class", None;
    /// Reports the time when the kernel received each datagram, to the nanosecond of the real-time clock. Default: off. Linux. socket(7).
    RECEIVE_TIMESTAMP: Flag, ReadWrite, "receive_timestamp", None;
    /// Time stamps of more kinds, of receiving and of sending, by software and by hardware: the `SOF_TIMESTAMPING_` flags. Default: 0.
    /// Linux 2.6.30; see the kernel's networking/timestamping document.
    TIMESTAMPING: Number, ReadWrite, "timestamping", None;
    /// Reports the process, user and group of the sender of each message on a Unix socket. Default: off. Linux. unix(7).
    RECEIVE_CREDENTIALS: Flag, ReadWrite, "receive_credentials", None;
    /// Reports with each datagram the number of datagrams dropped before it for lack of room. Default: off. Linux 2.6.33. socket(7).
    RECEIVE_DROPS: Flag, ReadWrite, "receive_drops", None;
    /// Queues ICMP errors for an IPv4 socket, to be read with their cause by `receive_error`. Default: off. Linux. ip(7).
    RECEIVE_ERRORS: Flag, ReadWrite, "receive_errors", None;
    /// As [`RECEIVE_ERRORS`], for IPv6. ipv6(7).
    RECEIVE_ERRORS_V6: Flag, ReadWrite, "receive_errors_v6", None;
    /// Allows zero-copy sends: see [`ZeroCopy`](crate::ZeroCopy). Default: off. Linux 4.14 (UDP: 5.0). socket(7).
    ZERO_COPY: Flag, ReadWrite, "zero_copy", None;
}
