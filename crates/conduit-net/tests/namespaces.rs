//! Two hosts on one machine: network namespaces connected by veth pairs, which the tests create if they have the
//! privilege.
#![cfg(target_os = "linux")]

use conduit_net::option::{self, Name};
use conduit_net::{KeepAlive, ListenOptions, Options, TcpListener, TcpStream, UdpSocket, wait_readable, wait_writable};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(20);

/// Two namespaces, `a` and `b`, with two links: 10.9.1.1 to 10.9.1.2 (devices `one`) and 10.9.2.1 to 10.9.2.2 (devices
/// `two`).
struct Hosts {
    a: String,
    b: String,
}

impl Hosts {
    /// Returns `None`, and prints the reason, if the process cannot create namespaces.
    fn new() -> Option<Hosts> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("cn{}-{}-{side}", std::process::id(), number);
        let hosts = Hosts {
            a: name('a'),
            b: name('b'),
        };
        for space in [&hosts.a, &hosts.b] {
            if let Err(reason) = ip(&["netns", "add", space]) {
                eprintln!("skipped: this process cannot create network namespaces: {reason}");
                return None;
            }
        }
        for (device, net) in [("one", 1), ("two", 2)] {
            let peer = ["type", "veth", "peer", "name", device, "netns", &hosts.b];
            if let Err(reason) = ip(&[&["-n", &hosts.a, "link", "add", device], &peer[..]].concat()) {
                eprintln!("skipped: this system has no veth devices: {reason}");
                return None;
            }
            for (space, host) in [(&hosts.a, 1), (&hosts.b, 2)] {
                ip(&[
                    "-n",
                    space,
                    "address",
                    "add",
                    &format!("10.9.{net}.{host}/24"),
                    "dev",
                    device,
                ])
                .unwrap();
                ip(&["-n", space, "link", "set", device, "up"]).unwrap();
                ip(&["-n", space, "link", "set", "lo", "up"]).unwrap();
            }
        }
        Some(hosts)
    }

    /// Runs `work` on a thread in the namespace; its sockets remain there.
    fn on<T: Send>(space: &str, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let file = std::fs::File::open(format!("/var/run/netns/{space}")).unwrap();
                    let kind = rustix::thread::LinkNameSpaceType::Network;
                    rustix::thread::move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), Some(kind)).unwrap();
                    work()
                })
                .join()
                .unwrap()
        })
    }

    /// A connection from `a` to `b` over the first link.
    fn connected(&self) -> (TcpStream, TcpStream) {
        let listener = Hosts::on(&self.b, || {
            TcpListener::bind("10.9.1.2:0".parse().unwrap(), &ListenOptions::new()).unwrap()
        });
        let address = listener.local_addr().unwrap();
        let near = Hosts::on(&self.a, || TcpStream::connect_timeout(address, TIMEOUT).unwrap());
        (near, listener.accept_timeout(TIMEOUT).unwrap().0)
    }

    /// Disconnects the peer without a FIN, by taking its side of the link down.
    fn take_link_down(&self) {
        ip(&["-n", &self.b, "link", "set", "one", "down"]).unwrap();
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for space in [&self.a, &self.b] {
            let _ = ip(&["netns", "delete", space]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    run("ip", arguments)
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

#[test]
fn socket_bound_to_a_device_receives_only_from_its_link() {
    let Some(hosts) = Hosts::new() else { return };
    let any: SocketAddr = "0.0.0.0:0".parse().unwrap();
    let receiver = Hosts::on(&hosts.b, || {
        UdpSocket::bind_with(any, |socket| {
            socket.set_option(option::BIND_TO_DEVICE, Name::from("two"))
        })
        .unwrap()
    });
    let port = receiver.local_addr().unwrap().port();
    let sender = Hosts::on(&hosts.a, || UdpSocket::bind(any).unwrap());
    sender
        .send_to(b"over one", SocketAddr::from(([10, 9, 1, 2], port)))
        .unwrap();
    sender
        .send_to(b"over two", SocketAddr::from(([10, 9, 2, 2], port)))
        .unwrap();
    assert!(wait_readable(&receiver, Some(TIMEOUT)).unwrap());
    let mut bytes = [0; 16];
    let count = receiver.recv(&mut bytes).unwrap();
    assert_eq!(&bytes[..count], b"over two");
    assert_eq!(receiver.recv(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);

    let listener = Hosts::on(&hosts.b, || {
        TcpListener::bind(any, &ListenOptions::new().device("two")).unwrap()
    });
    let port = listener.local_addr().unwrap().port();
    let connect = |address| {
        Hosts::on(&hosts.a, move || {
            TcpStream::connect_timeout(SocketAddr::from((address, port)), TIMEOUT)
        })
    };
    assert_eq!(connect([10, 9, 1, 2]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    connect([10, 9, 2, 2]).unwrap();
}

#[test]
fn multicast_reaches_other_hosts() {
    let Some(hosts) = Hosts::new() else { return };
    let group: IpAddr = "239.9.9.9".parse().unwrap();
    // Interface 0 selects the interface by the route to the group.
    for space in [&hosts.a, &hosts.b] {
        ip(&["-n", space, "route", "add", "239.0.0.0/8", "dev", "one"]).unwrap();
    }
    let receiver = Hosts::on(&hosts.b, || {
        let socket = UdpSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
        socket.join(group, 0).unwrap();
        socket
    });
    let sender = Hosts::on(&hosts.a, || UdpSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap());
    sender.set_option(option::MULTICAST_TTL, 1).unwrap();
    let to = SocketAddr::new(group, receiver.local_addr().unwrap().port());
    sender.send_to(b"to all hosts", to).unwrap();
    assert!(wait_readable(&receiver, Some(TIMEOUT)).unwrap());
    let (count, from) = receiver.recv_from(&mut [0; 32]).unwrap();
    assert_eq!((count, from.ip().to_string().as_str()), (12, "10.9.1.1"));
    receiver.leave(group, 0).unwrap();

    // Joined for one sender only: datagrams of the other one are not received.
    let (wanted, unwanted): (IpAddr, IpAddr) = ("10.9.1.1".parse().unwrap(), "10.9.1.77".parse().unwrap());
    receiver.set_option(option::MULTICAST_ALL, false).unwrap();
    receiver.join_source(group, unwanted, 0).unwrap();
    sender.send_to(b"not received", to).unwrap();
    receiver.join_source(group, wanted, 0).unwrap();
    sender.send_to(b"wanted", to).unwrap();
    assert!(wait_readable(&receiver, Some(TIMEOUT)).unwrap());
    assert_eq!(receiver.recv(&mut [0; 32]).unwrap(), b"wanted".len());
}

#[test]
fn user_timeout_closes_the_connection_to_an_unreachable_peer() {
    let Some(hosts) = Hosts::new() else { return };
    let (near, _far) = hosts.connected();
    near.set_option(option::USER_TIMEOUT, Duration::from_millis(300))
        .unwrap();
    hosts.take_link_down();
    near.send(b"anyone?").unwrap();
    assert!(
        wait_readable(&near, Some(TIMEOUT)).unwrap(),
        "the connection was not closed"
    );
    assert_eq!(near.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn keep_alive_detects_a_half_open_connection() {
    let Some(hosts) = Hosts::new() else { return };
    let (near, _far) = hosts.connected();
    let second = Duration::from_secs(1);
    near.set_keep_alive(Some(&KeepAlive::new().idle(second).interval(second).count(1)))
        .unwrap();
    hosts.take_link_down();
    assert!(
        wait_readable(&near, Some(TIMEOUT)).unwrap(),
        "the half-open connection was not detected"
    );
    assert_eq!(near.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
}

#[test]
fn peer_without_the_connection_resets_it() {
    let Some(hosts) = Hosts::new() else { return };
    let (near, far) = hosts.connected();
    hosts.take_link_down();
    // The peer closes while its packets are lost, as a host that restarts does.
    far.set_linger(Some(Duration::ZERO)).unwrap();
    drop(far);
    ip(&["-n", &hosts.b, "link", "set", "one", "up"]).unwrap();
    near.send(b"still there?").unwrap();
    assert!(wait_readable(&near, Some(TIMEOUT)).unwrap());
    assert_eq!(near.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn transfer_is_lossless_over_a_slow_link_with_packet_loss() {
    let Some(hosts) = Hosts::new() else { return };
    let netem = [
        "-n", &hosts.a, "qdisc", "add", "dev", "one", "root", "netem", "delay", "5ms", "loss", "5%",
    ];
    if let Err(reason) = run("tc", &netem) {
        eprintln!("skipped: this system cannot lose and delay packets: {reason}");
        return;
    }
    let (near, far) = hosts.connected();
    let text: Vec<u8> = (0..300_000u32).map(|number| (number % 251) as u8).collect();
    let (mut sent, mut got) = (0, Vec::new());
    while got.len() < text.len() {
        if sent < text.len() && wait_writable(&near, Some(Duration::ZERO)).unwrap() {
            sent += near.send(&text[sent..]).unwrap();
        }
        if wait_readable(&far, Some(Duration::from_millis(5))).unwrap() {
            got.reserve(65536);
            far.recv_spare(&mut got).unwrap();
        }
    }
    assert!(got == text);
    assert!(near.option(option::TCP_INFO).unwrap().round_trip >= Duration::from_millis(5));
}

#[test]
fn ipv6_multicast_reaches_other_hosts() {
    let Some(hosts) = Hosts::new() else { return };
    for (space, host) in [(&hosts.a, 1), (&hosts.b, 2)] {
        let address = format!("fd09::{host}/64");
        if let Err(reason) = ip(&["-n", space, "address", "add", &address, "dev", "one", "nodad"]) {
            eprintln!("skipped: this system has no IPv6: {reason}");
            return;
        }
    }
    let group: IpAddr = "ff05::9".parse().unwrap();
    let (receiver, index) = Hosts::on(&hosts.b, || {
        let socket = UdpSocket::bind_only_v6("[::]:0".parse().unwrap(), true).unwrap();
        socket.join(group, index_of_one()).unwrap();
        (socket, index_of_one())
    });
    let sender = Hosts::on(&hosts.a, || {
        let socket = UdpSocket::bind("[fd09::1]:0".parse().unwrap()).unwrap();
        socket
            .set_option(option::MULTICAST_INTERFACE_V6, index_of_one())
            .unwrap();
        socket.set_option(option::MULTICAST_HOPS_V6, 1).unwrap();
        socket
    });
    sender
        .send_to(
            b"to all hosts",
            SocketAddr::new(group, receiver.local_addr().unwrap().port()),
        )
        .unwrap();
    assert!(wait_readable(&receiver, Some(TIMEOUT)).unwrap());
    let (count, from) = receiver.recv_from(&mut [0; 32]).unwrap();
    assert_eq!((count, from.ip().to_string().as_str()), (12, "fd09::1"));
    receiver.leave(group, index).unwrap();
    receiver.join_source(group, "fd09::1".parse().unwrap(), index).unwrap();
    receiver.leave_source(group, "fd09::1".parse().unwrap(), index).unwrap();
}

/// The index of the device `one` in the namespace of this thread.
#[expect(unsafe_code, reason = "the call of a C function")]
fn index_of_one() -> u32 {
    // SAFETY: a live string with a terminating zero.
    unsafe { libc::if_nametoindex(c"one".as_ptr()) }
}

#[test]
fn fast_open_sends_data_in_the_syn_packet() {
    let Some(hosts) = Hosts::new() else { return };
    for space in [&hosts.a, &hosts.b] {
        // Each namespace has a separate setting; the bits for clients and servers together allow both.
        Hosts::on(space, || std::fs::write("/proc/sys/net/ipv4/tcp_fastopen", "3")).unwrap();
    }
    let listener = Hosts::on(&hosts.b, || {
        TcpListener::bind("10.9.1.2:0".parse().unwrap(), &ListenOptions::new().fast_open(16)).unwrap()
    });
    let address = conduit_net::Address::from(listener.local_addr().unwrap());
    // The first connection obtains a cookie, the second one uses it.
    for _ in 0..2 {
        let socket = Hosts::on(&hosts.a, || conduit_net::Socket::stream().unwrap());
        socket.set_option(option::FAST_OPEN_CONNECT, true).unwrap();
        socket.start_connect(&address).unwrap();
        let sent = socket.send(b"early");
        if let Err(error) = &sent {
            // Without a cookie the bytes are sent after the handshake.
            assert_eq!(error.kind(), ErrorKind::WouldBlock);
            assert!(wait_writable(&socket, Some(TIMEOUT)).unwrap());
            socket.send(b"early").unwrap();
        }
        let (stream, _) = listener.accept_timeout(TIMEOUT).unwrap();
        assert!(wait_readable(&stream, Some(TIMEOUT)).unwrap());
        assert_eq!(stream.recv(&mut [0; 16]).unwrap(), 5);
    }
    let text = Hosts::on(&hosts.b, || std::fs::read_to_string("/proc/thread-self/net/netstat")).unwrap();
    let mut lines = text
        .lines()
        .filter(|line| line.starts_with("TcpExt:"))
        .map(str::split_whitespace);
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let early = names
        .zip(values)
        .find(|(name, _)| *name == "TCPFastOpenPassive")
        .unwrap()
        .1;
    assert_eq!(early, "1");
}
