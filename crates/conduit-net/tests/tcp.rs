//! TCP over loopback: accepting, connecting, sending, receiving and closing.

use conduit_net::{KeepAlive, ListenOptions, Shutdown, TcpListener, TcpStream};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

fn listen(address: &str) -> TcpListener {
    TcpListener::bind(address.parse().unwrap(), &ListenOptions::new()).unwrap()
}

/// Both ends of a connection, and the address of the first as seen by the second.
fn pair(listener: &TcpListener) -> (TcpStream, TcpStream, SocketAddr) {
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    wait_readable(listener);
    let (far, peer) = listener.accept().unwrap();
    (near, far, peer)
}

fn wait_readable(source: &impl AsFd) {
    let mut one = [rustix::event::PollFd::new(source, rustix::event::PollFlags::IN)];
    while rustix::io::retry_on_intr(|| rustix::event::poll(&mut one, None)).unwrap() == 0 {}
}

fn receive(stream: &TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    while filled < count {
        wait_readable(stream);
        match stream.recv(&mut bytes[filled..]).unwrap() {
            0 => break,
            more => filled += more,
        }
    }
    bytes.truncate(filled);
    bytes
}

#[test]
fn bytes_are_transferred_both_ways_and_addresses_match() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listener = listen(address);
        let (near, far, peer) = pair(&listener);
        assert_eq!(peer, near.local_addr().unwrap());
        assert_eq!(far.peer_addr().unwrap(), peer);
        assert_eq!(near.peer_addr().unwrap(), listener.local_addr().unwrap());
        assert_eq!(near.send(b"to the server").unwrap(), 13);
        assert_eq!(receive(&far, 13), b"to the server");
        assert_eq!(
            far.send_vectored(&[IoSlice::new(b"and "), IoSlice::new(b""), IoSlice::new(b"back")])
                .unwrap(),
            8
        );
        assert_eq!(receive(&near, 8), b"and back");
    }
}

#[test]
fn accept_and_receive_would_block_without_input() {
    let listener = listen("127.0.0.1:0");
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let (near, far, _) = pair(&listener);
    assert_eq!(near.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(far.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn full_buffer_accepts_a_part_and_then_would_block() {
    let listener = listen("127.0.0.1:0");
    let (near, far, _) = pair(&listener);
    near.set_send_buffer_bytes(16 * 1024).unwrap();
    let block = vec![7; 64 * 1024 * 1024];
    let mut sent = near.send(&block).unwrap();
    assert!(sent < block.len());
    loop {
        match near.send(&block[sent..]) {
            Ok(more) => sent += more,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    assert_eq!(receive(&far, sent), block[..sent]);
}

#[test]
#[cfg(any(
    target_os = "linux",
    target_os = "freebsd",
    target_os = "netbsd",
    target_vendor = "apple"
))]
fn bytes_that_the_peer_has_not_received_are_outgoing() {
    let listener = listen("127.0.0.1:0");
    let (near, far, _) = pair(&listener);
    assert_eq!(near.outgoing_bytes().unwrap(), 0);
    let block = vec![7; 1024 * 1024];
    let mut sent = 0;
    while let Ok(more) = near.send(&block) {
        sent += more;
    }
    let outgoing = near.outgoing_bytes().unwrap();
    assert!(0 < outgoing && outgoing < sent, "{outgoing} of {sent}");
    assert_eq!(receive(&far, sent).len(), sent);
    // The last acknowledgement arrives after the bytes.
    while near.outgoing_bytes().unwrap() > 0 {
        std::thread::yield_now();
    }

    let (near, far) = conduit_net::UnixStream::pair().unwrap();
    assert_eq!(near.outgoing_bytes().unwrap(), 0);
    near.send(&block[..1000]).unwrap();
    assert!(near.outgoing_bytes().unwrap() >= 1000);
    assert_eq!(far.recv(&mut [0; 1000]).unwrap(), 1000);
    assert_eq!(near.outgoing_bytes().unwrap(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn accepted_connection_has_the_low_water_mark_of_its_listener() {
    use conduit_net::{Options, option};

    const LOW_WATER: usize = 64 * 1024;
    let block = vec![7; 1024 * 1024];
    let held = |options: ListenOptions| {
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let (_near, far, _) = pair(&listener);
        while far.send(&block).is_ok() {}
        (
            far.option(option::NOT_SENT_LOW_WATER).unwrap(),
            far.outgoing_bytes().unwrap(),
        )
    };
    let (_, without) = held(ListenOptions::new());
    let (inherited, with) = held(ListenOptions::new().not_sent_low_water_bytes(LOW_WATER));
    assert_eq!(inherited, LOW_WATER);
    // The limit excludes the bytes in flight, and loopback segments are large.
    assert!(4 * with < without, "{with}, and {without} without");
}

#[test]
fn half_closed_stream_receives() {
    let listener = listen("127.0.0.1:0");
    let (near, far, _) = pair(&listener);
    near.send(b"last").unwrap();
    near.shutdown(Shutdown::Write).unwrap();
    assert_eq!(receive(&far, 100), b"last");
    assert_eq!(far.recv(&mut [0; 8]).unwrap(), 0);
    far.send(b"answer").unwrap();
    assert_eq!(receive(&near, 6), b"answer");
    assert_eq!(near.send(b"more").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn sending_to_a_closed_connection_is_an_error_without_signal() {
    let listener = listen("127.0.0.1:0");
    let (near, far, _) = pair(&listener);
    far.set_linger(Some(Duration::ZERO)).unwrap();
    drop(far);
    wait_readable(&near);
    assert_eq!(near.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(near.send(b"anyone?").unwrap_err().kind(), ErrorKind::BrokenPipe);
    assert_eq!(
        near.send_vectored(&[IoSlice::new(b"anyone?")]).unwrap_err().kind(),
        ErrorKind::BrokenPipe
    );
}

#[test]
fn dual_stack_accepts_both_versions_and_only_v6_does_not() {
    let both = TcpListener::bind("[::]:0".parse().unwrap(), &ListenOptions::new().only_v6(false)).unwrap();
    let port = both.local_addr().unwrap().port();
    let _four = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    wait_readable(&both);
    assert_eq!(
        both.accept().unwrap().1.ip().to_canonical(),
        std::net::Ipv4Addr::LOCALHOST
    );

    let six = TcpListener::bind("[::]:0".parse().unwrap(), &ListenOptions::new().only_v6(true)).unwrap();
    let port = six.local_addr().unwrap().port();
    let refused = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    TcpStream::connect(SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port))).unwrap();
}

#[test]
fn accepted_connection_inherits_options_of_the_listener() {
    let options = ListenOptions::new()
        .no_delay(true)
        .keep_alive(
            KeepAlive::new()
                .idle(Duration::from_secs(60))
                .interval(Duration::from_secs(10))
                .count(3),
        )
        .linger(Duration::from_secs(2))
        .receive_buffer_bytes(64 * 1024)
        .send_buffer_bytes(32 * 1024);
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let (near, far, _) = pair(&listener);
    assert!(far.no_delay().unwrap());
    assert!(far.keep_alive().unwrap());
    assert_eq!(
        rustix::net::sockopt::tcp_keepidle(&far).unwrap(),
        Duration::from_secs(60)
    );
    assert_eq!(
        rustix::net::sockopt::tcp_keepintvl(&far).unwrap(),
        Duration::from_secs(10)
    );
    assert_eq!(rustix::net::sockopt::tcp_keepcnt(&far).unwrap(), 3);
    assert_eq!(far.linger().unwrap(), Some(Duration::from_secs(2)));
    assert!(far.receive_buffer_bytes().unwrap() >= 64 * 1024);
    assert!(far.send_buffer_bytes().unwrap() >= 32 * 1024);
    assert!(!near.no_delay().unwrap());
    assert!(!near.keep_alive().unwrap());
    assert_eq!(near.linger().unwrap(), None);
}

#[test]
fn stream_options_are_read_back() {
    let listener = listen("127.0.0.1:0");
    let (near, _far, _) = pair(&listener);
    near.set_no_delay(true).unwrap();
    assert!(near.no_delay().unwrap());
    near.set_keep_alive(Some(&KeepAlive::new().count(5))).unwrap();
    assert!(near.keep_alive().unwrap());
    near.set_keep_alive(None).unwrap();
    assert!(!near.keep_alive().unwrap());
    near.set_receive_buffer_bytes(8192).unwrap();
    assert!(near.receive_buffer_bytes().unwrap() >= 8192);
}

#[test]
#[cfg(any(target_os = "linux", target_os = "freebsd"))]
fn listeners_with_reuse_port_share_a_port_and_its_connections() {
    let options = ListenOptions::new().reuse_port(true);
    let one = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let address = one.local_addr().unwrap();
    let two = TcpListener::bind(address, &options).unwrap();
    let _clients: Vec<_> = (0..200).map(|_| TcpStream::connect(address).unwrap()).collect();
    let count = |listener: &TcpListener| std::iter::from_fn(|| listener.accept().ok()).count();
    let (first, second) = (count(&one), count(&two));
    assert_eq!(first + second, 200);
    assert!(first > 0 && second > 0);
}

#[test]
#[cfg(target_os = "linux")]
fn defer_accept_delays_a_connection_until_its_first_bytes() {
    let options = ListenOptions::new().defer_accept(Duration::from_secs(30));
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &options).unwrap();
    let silent = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    silent.send(b"hello").unwrap();
    wait_readable(&listener);
    let (stream, _) = listener.accept().unwrap();
    assert_eq!(stream.recv(&mut [0; 8]).unwrap(), 5);
}

#[test]
fn start_connect_does_not_wait() {
    let listener = listen("127.0.0.1:0");
    let near = TcpStream::start_connect(listener.local_addr().unwrap()).unwrap();
    wait_readable(&listener);
    listener.accept().unwrap();
    let mut one = [rustix::event::PollFd::new(&near, rustix::event::PollFlags::OUT)];
    rustix::event::poll(&mut one, None).unwrap();
    assert!(near.take_error().unwrap().is_none());
    assert!(near.peer_addr().is_ok());
}

#[test]
#[cfg(target_os = "linux")]
fn connect_times_out() {
    // If the accept queue is full, a connection attempt hangs.
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new().backlog(0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    let error = loop {
        match TcpStream::connect_timeout(address, Duration::from_millis(100)) {
            Ok(stream) => queued.push(stream),
            Err(error) => break error,
        }
        assert!(queued.len() < 64);
    };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(error.address(), Some(address));
}

#[test]
fn sockets_are_not_inherited_by_other_programs() {
    let listener = listen("127.0.0.1:0");
    let (near, far, _) = pair(&listener);
    for source in [listener.as_fd(), near.as_fd(), far.as_fd()] {
        assert!(
            rustix::io::fcntl_getfd(source)
                .unwrap()
                .contains(rustix::io::FdFlags::CLOEXEC)
        );
        assert!(
            rustix::fs::fcntl_getfl(source)
                .unwrap()
                .contains(rustix::fs::OFlags::NONBLOCK)
        );
    }
}

#[test]
fn std_sockets_convert_both_ways() {
    let listener = TcpListener::try_from(std::net::TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
    let (near, far, _) = pair(&listener);
    let near = std::net::TcpStream::from(near);
    near.set_nonblocking(false).unwrap();
    far.send(b"to std").unwrap();
    let mut bytes = [0; 6];
    (&near).read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"to std");
    let near = TcpStream::try_from(near).unwrap();
    assert_eq!(near.recv(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);
    let near = TcpStream::from(OwnedFd::from(near));
    (&near).write_all(b"and back").unwrap();
    assert_eq!(receive(&far, 8), b"and back");
    let listener = std::net::TcpListener::from(listener);
    assert!(listener.local_addr().is_ok());
}
