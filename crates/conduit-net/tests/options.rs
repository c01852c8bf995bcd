//! Every option: set, read back from the kernel, and its effect if it is observable on loopback.
#![cfg(target_os = "linux")]

use conduit_net::option::{self, Codec, Name, ReadWrite, SocketOption};
use conduit_net::{
    ControlMessage, Domain, Kind, ListenOptions, Options, Protocol, ReceiveControl, Socket, TcpListener, TcpStream,
    UdpSocket, UnixStream, wait_readable, wait_writable,
};
use std::fmt::Debug;
use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

fn tcp() -> Socket {
    Socket::stream().unwrap()
}

fn tcp6() -> Socket {
    Socket::new(Domain::V6, Kind::STREAM, Protocol::TCP).unwrap()
}

fn udp() -> Socket {
    Socket::new(Domain::V4, Kind::DATAGRAM, Protocol::UDP).unwrap()
}

fn udp6() -> Socket {
    Socket::new(Domain::V6, Kind::DATAGRAM, Protocol::DEFAULT).unwrap()
}

fn unix() -> Socket {
    Socket::new(Domain::UNIX, Kind::DATAGRAM, Protocol::DEFAULT).unwrap()
}

fn connected() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new()).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept_timeout(Duration::from_secs(5)).unwrap().0)
}

/// The options that a test has set and read back.
#[derive(Default)]
struct Covered(Vec<&'static str>);

impl Covered {
    fn keeps<C>(
        &mut self,
        socket: &Socket,
        option: SocketOption<C, ReadWrite>,
        values: impl IntoIterator<Item = C::Value>,
    ) where
        C: Codec<Value: Copy + PartialEq + Debug>,
    {
        for value in values {
            self.reads(socket, option, value, value);
        }
    }

    fn reads<C>(&mut self, socket: &Socket, option: SocketOption<C, ReadWrite>, set: C::Value, read: C::Value)
    where
        C: Codec<Value: PartialEq + Debug>,
    {
        socket.set_option(option, set).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(socket.option(option).unwrap(), read, "{option:?}");
        self.0.push(option.name());
    }

    /// Tests an option that requires a privilege; the error without it names the privilege.
    fn privileged<C>(&mut self, socket: &Socket, option: SocketOption<C, ReadWrite>, value: C::Value, privilege: &str)
    where
        C: Codec<Value: Copy + PartialEq + Debug>,
    {
        match socket.set_option(option, value) {
            Ok(()) => assert_eq!(socket.option(option).unwrap(), value, "{option:?}"),
            Err(error) => {
                eprintln!("not read back because a privilege is missing: {error}");
                assert!(error.to_string().contains(privilege), "{error}");
            }
        }
        self.0.push(option.name());
    }
}

#[test]
fn options_are_read_back() {
    let mut covered = Covered::default();
    sharing(&mut covered);
    scheduling(&mut covered);
    connections(&mut covered);
    datagrams(&mut covered);
    control_messages(&mut covered);
    // Each of these options has a separate test below.
    covered.0.extend([
        "steer_to_cpu",
        "receive_buffer_force",
        "send_buffer_force",
        "error",
        "cookie",
        "peer_credentials",
        "tcp_info",
        // In messages.rs.
        "zero_copy",
    ]);
    covered.0.extend([
        "join_v4",
        "leave_v4",
        "join_v6",
        "leave_v6",
        "join_source_v4",
        "leave_source_v4",
        "join_source_v6",
    ]);
    covered.0.extend(["leave_source_v6", "multicast_interface"]);
    let missing: Vec<_> = option::TABLE
        .iter()
        .map(|row| row.name())
        .filter(|name| !covered.0.contains(name))
        .collect();
    assert_eq!(missing, [""; 0], "options that no test sets");
}

fn sharing(covered: &mut Covered) {
    covered.keeps(&tcp(), option::REUSE_ADDRESS, [true, false]);
    covered.keeps(&tcp(), option::REUSE_PORT, [true, false]);
    covered.keeps(&tcp(), option::INCOMING_CPU, [0]);
    covered.keeps(&tcp(), option::FREE_BIND, [true, false]);
    covered.keeps(&tcp6(), option::FREE_BIND_V6, [true, false]);
    covered.privileged(&tcp(), option::TRANSPARENT, true, "CAP_NET_ADMIN");
    covered.privileged(&tcp6(), option::TRANSPARENT_V6, true, "CAP_NET_ADMIN");
    covered.keeps(&tcp(), option::BIND_TO_DEVICE, [Name::from("lo")]);
    covered.keeps(&tcp6(), option::ONLY_V6, [true, false]);
}

fn scheduling(covered: &mut Covered) {
    covered.reads(&tcp(), option::RECEIVE_BUFFER, 32 * 1024, 64 * 1024);
    covered.reads(&tcp(), option::SEND_BUFFER, 32 * 1024, 64 * 1024);
    covered.keeps(&tcp(), option::RECEIVE_LOW_WATER, [100, 1]);
    // The kernel counts in ticks of at least one millisecond.
    covered.keeps(
        &tcp(),
        option::RECEIVE_TIMEOUT,
        [Duration::from_secs(3), Duration::from_millis(500), Duration::ZERO],
    );
    covered.keeps(&tcp(), option::SEND_TIMEOUT, [Duration::from_secs(3), Duration::ZERO]);
    covered.privileged(&tcp(), option::BUSY_POLL, Duration::from_micros(50), "CAP_NET_ADMIN");
    covered.keeps(&tcp(), option::PRIORITY, [0, 6]);
    covered.privileged(&tcp(), option::MARK, 0xffff_fff0, "CAP_NET_ADMIN");
    covered.keeps(&tcp(), option::MAX_PACING_RATE, [1 << 40, 1_000_000]);
}

fn connections(covered: &mut Covered) {
    covered.keeps(&tcp(), option::KEEP_ALIVE, [true, false]);
    covered.keeps(
        &tcp(),
        option::KEEP_ALIVE_IDLE,
        [Duration::from_secs(1), Duration::from_secs(32_767)],
    );
    covered.keeps(&tcp(), option::KEEP_ALIVE_INTERVAL, [Duration::from_secs(5)]);
    covered.keeps(&tcp(), option::KEEP_ALIVE_COUNT, [1, 127]);
    covered.keeps(
        &tcp(),
        option::LINGER,
        [Some(Duration::from_secs(4)), Some(Duration::ZERO), None],
    );
    covered.keeps(
        &tcp(),
        option::USER_TIMEOUT,
        [Duration::from_millis(1234), Duration::ZERO],
    );
    covered.keeps(&tcp(), option::TIME_TO_LIVE, [1, 255]);
    covered.keeps(&tcp6(), option::HOP_LIMIT, [1, 255]);
    covered.keeps(&udp(), option::TYPE_OF_SERVICE, [0xb9, 0]);
    covered.keeps(&udp6(), option::TRAFFIC_CLASS, [0xb9, 0]);
    covered.keeps(&tcp(), option::NO_DELAY, [true, false]);
    covered.keeps(&tcp(), option::CORK, [true, false]);
    covered.keeps(&Socket::from(connected().0), option::QUICK_ACK, [false, true]);
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new()).unwrap();
    covered.keeps(&Socket::from(listener), option::FAST_OPEN, [16]);
    covered.keeps(&tcp(), option::FAST_OPEN_CONNECT, [true, false]);
    // The kernel stores a number of retransmissions: 1 s, 3 s, 7 s, …
    covered.reads(
        &tcp(),
        option::DEFER_ACCEPT,
        Duration::from_millis(2500),
        Duration::from_secs(3),
    );
    covered.keeps(&tcp(), option::NOT_SENT_LOW_WATER, [16 * 1024]);
    covered.keeps(&tcp(), option::CONGESTION_CONTROL, [Name::from("reno")]);
    covered.reads(&tcp(), option::MAX_SEGMENT, 1000, 1000);
}

fn datagrams(covered: &mut Covered) {
    covered.keeps(&udp(), option::BROADCAST, [true, false]);
    covered.keeps(&udp(), option::SEGMENT_BYTES, [1200, 0]);
    covered.keeps(&udp(), option::COALESCE, [true, false]);
    covered.keeps(&udp(), option::MULTICAST_LOOP, [false, true]);
    covered.keeps(&udp(), option::MULTICAST_TTL, [7, 255]);
    covered.keeps(&udp(), option::MULTICAST_ALL, [false, true]);
    covered.keeps(&udp6(), option::MULTICAST_LOOP_V6, [false, true]);
    covered.keeps(&udp6(), option::MULTICAST_HOPS_V6, [7, 255]);
    covered.keeps(&udp6(), option::MULTICAST_INTERFACE_V6, [1, 0]);
}

fn control_messages(covered: &mut Covered) {
    covered.keeps(&udp(), option::RECEIVE_PACKET_INFO, [true, false]);
    covered.keeps(&udp6(), option::RECEIVE_PACKET_INFO_V6, [true, false]);
    covered.keeps(&udp(), option::RECEIVE_TIME_TO_LIVE, [true, false]);
    covered.keeps(&udp6(), option::RECEIVE_HOP_LIMIT, [true, false]);
    covered.keeps(&udp(), option::RECEIVE_TYPE_OF_SERVICE, [true, false]);
    covered.keeps(&udp6(), option::RECEIVE_TRAFFIC_CLASS, [true, false]);
    covered.keeps(&udp(), option::RECEIVE_TIMESTAMP, [true, false]);
    covered.keeps(&udp(), option::TIMESTAMPING, [(1 << 3) | (1 << 4), 0]);
    covered.keeps(&unix(), option::RECEIVE_CREDENTIALS, [true, false]);
    covered.keeps(&udp(), option::RECEIVE_DROPS, [true, false]);
    covered.keeps(&udp(), option::RECEIVE_ERRORS, [true, false]);
    covered.keeps(&udp6(), option::RECEIVE_ERRORS_V6, [true, false]);
}

#[test]
fn forced_buffers_exceed_the_limit_or_name_the_privilege() {
    for (force, read) in [
        (option::RECEIVE_BUFFER_FORCE, option::RECEIVE_BUFFER),
        (option::SEND_BUFFER_FORCE, option::SEND_BUFFER),
    ] {
        let socket = tcp();
        match socket.set_option(force, 64 << 20) {
            Ok(()) => assert_eq!(socket.option(read).unwrap(), 128 << 20),
            Err(error) => assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}"),
        }
    }
}

/// Runs on a thread without capabilities, so that the result does not depend on the user.
#[test]
fn error_names_a_missing_privilege() {
    std::thread::spawn(|| {
        let sets = rustix::thread::capabilities(None).unwrap();
        rustix::thread::set_capabilities(
            None,
            rustix::thread::CapabilitySets {
                effective: rustix::thread::CapabilitySet::empty(),
                ..sets
            },
        )
        .unwrap();
        let error = tcp().set_option(option::MARK, 1).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot set mark: not permitted (EPERM); it requires CAP_NET_ADMIN or CAP_NET_RAW"
        );
        let error = tcp().set_option(option::RECEIVE_BUFFER_FORCE, 1 << 20).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot set receive_buffer_force: not permitted (EPERM); it requires CAP_NET_ADMIN"
        );
        let error = Socket::new(Domain::V4, Kind::RAW, Protocol::ICMP).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot open a socket: not permitted (EPERM); raw sockets require CAP_NET_RAW, and a sandbox may forbid other kinds: \
             grant it to the process"
        );
    })
    .join()
    .unwrap();
}

#[test]
fn numbers_out_of_range_and_defaults_are_those_of_the_documentation() {
    assert_eq!(tcp().option(option::INCOMING_CPU).unwrap(), u32::MAX);
    let socket = udp();
    socket.set_option(option::TYPE_OF_SERVICE, 256 + 4).unwrap();
    assert_eq!(socket.option(option::TYPE_OF_SERVICE).unwrap(), 4);
    let error = udp6().set_option(option::TRAFFIC_CLASS, 256).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn error_names_an_unsupported_option() {
    let error = udp().set_option(option::NO_DELAY, true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot set no_delay: no such option (ENOPROTOOPT); this system or this kind of socket does not support the option: remove it"
    );
    assert!(tcp().option(option::PEER_CREDENTIALS).is_ok());
    let error = tcp()
        .set_option(option::BIND_TO_DEVICE, Name::from("no-such-device"))
        .unwrap_err();
    assert!(error.to_string().contains("`ip link` lists the interfaces"), "{error}");
}

/// Linux would truncate the name to 15 bytes, or at the zero byte, and set another one.
#[test]
fn name_that_linux_would_truncate_is_rejected() {
    let too_long = [
        "lo\0",
        "lo\0other",
        "sixteen-bytes-xy",
        "a name of more than sixteen bytes",
    ];
    for name in too_long.map(Name::from) {
        for option in [option::BIND_TO_DEVICE, option::CONGESTION_CONTROL] {
            let error = tcp().set_option(option, name).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput, "{option:?} {name:?}");
        }
    }
    let error = tcp()
        .set_option(option::BIND_TO_DEVICE, Name::from("fifteen-bytes-x"))
        .unwrap_err();
    assert!(error.to_string().contains("ENODEV"), "{error}");
}

#[test]
fn tcp_info_reports_the_connection() {
    let (near, far) = connected();
    near.send(&[1; 5000]).unwrap();
    wait_readable(&far, None).unwrap();
    let info = near.option(option::TCP_INFO).unwrap();
    assert_eq!(info.state, 1);
    assert!(
        info.send_segment_bytes > 500 && info.congestion_window > 0 && info.retransmission_timeout > Duration::ZERO
    );
    assert!(far.option(option::TCP_INFO).unwrap().bytes_received <= 5000);
    assert_ne!(
        near.option(option::COOKIE).unwrap(),
        far.option(option::COOKIE).unwrap()
    );
    assert_eq!(near.option(option::ERROR).unwrap(), 0);
}

#[test]
fn unix_peer_has_credentials() {
    let (one, _two) = UnixStream::pair().unwrap();
    let peer = one.option(option::PEER_CREDENTIALS).unwrap();
    assert_eq!(peer.process as u32, std::process::id());
    assert_eq!(peer.user, rustix::process::geteuid().as_raw());
}

#[test]
fn receive_low_water_mark_delays_readiness() {
    let (near, far) = connected();
    far.set_option(option::RECEIVE_LOW_WATER, 10).unwrap();
    near.send(b"12345").unwrap();
    // A negative check against the kernel requires a time limit.
    assert!(!wait_readable(&far, Some(Duration::from_millis(20))).unwrap());
    near.send(b"67890").unwrap();
    assert!(wait_readable(&far, None).unwrap());
}

#[test]
fn not_sent_low_water_mark_limits_writability() {
    let (near, _far) = connected();
    near.set_option(option::NOT_SENT_LOW_WATER, 1).unwrap();
    while near.send(&[0; 65536]).is_ok() {}
    assert!(!wait_writable(&near, Some(Duration::ZERO)).unwrap());
    assert!(near.option(option::TCP_INFO).unwrap().not_sent_bytes > 0);
}

#[test]
fn corked_stream_delays_partial_segments() {
    let (near, far) = connected();
    near.set_option(option::CORK, true).unwrap();
    near.send(b"held").unwrap();
    assert_eq!(near.option(option::TCP_INFO).unwrap().not_sent_bytes, 4);
    near.set_option(option::CORK, false).unwrap();
    assert!(wait_readable(&far, None).unwrap());
}

#[test]
fn hops_and_traffic_class_are_received_as_set() {
    let receiver = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    receiver.set_option(option::RECEIVE_TIME_TO_LIVE, true).unwrap();
    receiver.set_option(option::RECEIVE_TYPE_OF_SERVICE, true).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    sender.set_option(option::TIME_TO_LIVE, 17).unwrap();
    sender.set_option(option::TYPE_OF_SERVICE, 0xb9).unwrap();
    sender.send_to(b"x", receiver.local_addr().unwrap()).unwrap();
    let mut control = ReceiveControl::new();
    receiver
        .receive_message(&mut [IoSliceMut::new(&mut [0; 8])], &mut control)
        .unwrap();
    let got: Vec<_> = control.messages().map(|message| format!("{message:?}")).collect();
    assert_eq!(got, ["Hops(17)", "TrafficClass(185)"]);
}

#[test]
fn free_bind_binds_a_foreign_address() {
    let address: SocketAddr = "192.0.2.77:0".parse().unwrap();
    assert!(UdpSocket::bind(address).is_err());
    UdpSocket::bind_with(address, |socket| socket.set_option(option::FREE_BIND, true)).unwrap();
}

#[test]
fn socket_bound_to_a_device_receives_only_from_it() {
    let any = "0.0.0.0:0".parse().unwrap();
    let socket = UdpSocket::bind_with(any, |socket| {
        socket.set_option(option::BIND_TO_DEVICE, Name::from("lo"))
    })
    .unwrap();
    let port = socket.local_addr().unwrap().port();
    let sender = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    sender.send_to(b"x", SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    assert!(wait_readable(&socket, None).unwrap());
}

#[test]
#[expect(unsafe_code, reason = "the call of a C function")]
fn steering_assigns_each_cpu_to_one_socket() {
    let options = ListenOptions::new().reuse_port(true);
    let one = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let address = one.local_addr().unwrap();
    let two = TcpListener::bind(address, &options).unwrap();
    one.set_option(option::STEER_TO_CPU, 2).unwrap();
    std::thread::spawn(move || {
        // SAFETY: the call only returns a number. (rustix reads the vDSO in a way that valgrind does not support.)
        let cpu = unsafe { libc::sched_getcpu() } as usize;
        let mut only = rustix::thread::CpuSet::new();
        only.set(cpu);
        rustix::thread::sched_setaffinity(None, &only).unwrap();
        let _streams: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
        let count = |listener: &TcpListener| std::iter::from_fn(|| listener.accept().ok()).count();
        let counts = [count(&one), count(&two)];
        assert_eq!(counts[cpu % 2], 20, "{counts:?} on CPU {cpu}");
    })
    .join()
    .unwrap();
}

#[test]
fn multicast_is_received_by_members() {
    for (group, bind) in [("239.1.2.3", "0.0.0.0:0"), ("ff01::1234", "[::]:0")] {
        let group: IpAddr = group.parse().unwrap();
        let receiver = UdpSocket::bind(bind.parse().unwrap()).unwrap();
        let sender = UdpSocket::bind(bind.parse().unwrap()).unwrap();
        let interface = 1; // the loopback interface of every network namespace
        match group {
            IpAddr::V4(_) => sender.set_option(option::MULTICAST_INTERFACE, interface).unwrap(),
            IpAddr::V6(_) => sender.set_option(option::MULTICAST_INTERFACE_V6, interface).unwrap(),
        }
        let to = SocketAddr::new(group, receiver.local_addr().unwrap().port());
        receiver.join(group, interface).unwrap();
        assert!(
            receiver
                .join(group, interface)
                .unwrap_err()
                .to_string()
                .contains("EADDRINUSE")
        );
        if let Err(error) = sender.send_to(b"to all", to) {
            assert_eq!(error.kind(), std::io::ErrorKind::NetworkUnreachable);
            eprintln!("skipped: the loopback interface has no route for {group}");
            continue;
        }
        assert!(wait_readable(&receiver, None).unwrap());
        assert_eq!(receiver.recv(&mut [0; 16]).unwrap(), 6);
        receiver.leave(group, interface).unwrap();
        assert!(receiver.leave(group, interface).is_err());
    }
}

#[test]
fn source_specific_multicast_receives_one_sender_only() {
    let group: IpAddr = "232.1.2.3".parse().unwrap();
    let receiver = UdpSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
    receiver.set_option(option::MULTICAST_ALL, false).unwrap();
    let to = SocketAddr::new(group, receiver.local_addr().unwrap().port());
    let senders = ["127.0.0.1", "127.0.0.2"].map(|from| {
        let socket = UdpSocket::bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        socket.set_option(option::MULTICAST_INTERFACE, 1).unwrap();
        socket
    });
    receiver.join_source(group, "127.0.0.2".parse().unwrap(), 1).unwrap();
    senders[0].send_to(b"unwanted", to).unwrap();
    senders[1].send_to(b"wanted", to).unwrap();
    assert!(wait_readable(&receiver, None).unwrap());
    let mut bytes = [0; 16];
    let count = receiver.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..count], b"wanted");
    assert!(receiver.recv(&mut bytes).is_err());
    receiver.leave_source(group, "127.0.0.2".parse().unwrap(), 1).unwrap();

    let group: IpAddr = "ff31::8000:1234".parse().unwrap();
    let receiver = UdpSocket::bind("[::]:0".parse().unwrap()).unwrap();
    receiver.join_source(group, "::1".parse().unwrap(), 1).unwrap();
    receiver.leave_source(group, "::1".parse().unwrap(), 1).unwrap();
}

#[test]
fn fast_open_sends_data_in_the_syn_packet() {
    let mode = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_fastopen").unwrap();
    if mode.trim().parse::<u32>().unwrap() & 3 != 3 {
        eprintln!("skipped: net.ipv4.tcp_fastopen is {}, not 3", mode.trim());
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new().fast_open(16)).unwrap();
    for _ in 0..2 {
        let socket = tcp();
        socket.set_option(option::FAST_OPEN_CONNECT, true).unwrap();
        socket.start_connect(&listener.local_addr().unwrap().into()).unwrap();
        socket.send(b"early").unwrap();
        let (stream, _) = listener.accept_timeout(Duration::from_secs(5)).unwrap();
        wait_readable(&stream, None).unwrap();
        assert_eq!(stream.recv(&mut [0; 16]).unwrap(), 5);
    }
}

#[test]
fn datagram_has_timestamp_and_number_of_drops() {
    let receiver = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    receiver.set_option(option::RECEIVE_TIMESTAMP, true).unwrap();
    receiver.set_option(option::RECEIVE_DROPS, true).unwrap();
    receiver.set_option(option::RECEIVE_BUFFER, 2048).unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let before = std::time::UNIX_EPOCH.elapsed().unwrap();
    for _ in 0..50 {
        sender.send_to(&[0; 500], receiver.local_addr().unwrap()).unwrap();
    }
    let mut control = ReceiveControl::new();
    while receiver
        .receive_message(&mut [IoSliceMut::new(&mut [0; 512])], &mut control)
        .is_ok()
    {
        assert!(
            control
                .messages()
                .any(|message| matches!(message, ControlMessage::Timestamp(at) if at >= before))
        );
    }
    sender.send_to(b"last", receiver.local_addr().unwrap()).unwrap();
    receiver
        .receive_message(&mut [IoSliceMut::new(&mut [0; 512])], &mut control)
        .unwrap();
    assert!(
        control
            .messages()
            .any(|message| matches!(message, ControlMessage::Drops(count) if count > 0))
    );
}

#[test]
fn linux_has_all_options_of_the_table() {
    assert!(option::TABLE.iter().all(|row| row.location().is_some()));
    assert!(option::MARK.is_supported());
    assert!(
        option::TABLE
            .iter()
            .any(|row| row.privilege().is_some() && row.access() == "get and set")
    );
}

#[test]
fn files_of_all_systems_define_the_same_options() {
    let names = |source: &'static str| -> Vec<&str> {
        let lines = source.lines().filter_map(|line| line.strip_prefix("pub(crate) const "));
        lines
            .map(|line| line.split_once(": Location = ").expect("a location").0)
            .collect()
    };
    let linux = names(include_str!("../src/option/sys/linux.rs"));
    assert!(linux.len() >= option::TABLE.len(), "{linux:?}");
    for (system, source) in [
        ("apple", include_str!("../src/option/sys/apple.rs")),
        ("freebsd", include_str!("../src/option/sys/freebsd.rs")),
        ("posix", include_str!("../src/option/sys/posix.rs")),
    ] {
        assert_eq!(names(source), linux, "{system}");
    }
}
