//! Datagrams, Unix sockets, control messages, batches, and transfers without a copy.
#![cfg(target_os = "linux")]

use conduit_net::option::{self, Credentials};
use conduit_net::{
    Address, ControlMessage, Domain, Kind, ListenOptions, Options, Protocol, ReceiveBatch, ReceiveControl, SendBatch,
    SendControl, Shutdown, Socket, TcpListener, TcpStream, UdpSocket, UnixAddress, UnixDatagram, UnixListener,
    UnixStream, VsockAddress, ZeroCopy, receive_error, send_file, send_more, splice, wait_readable,
};
use std::io::{ErrorKind, IoSlice, IoSliceMut, Read, Seek, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(10);

fn udp() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap()
}

fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new()).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept_timeout(TIMEOUT).unwrap().0)
}

#[test]
fn datagrams_have_their_sender_and_boundaries() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let one = UdpSocket::bind(address.parse().unwrap()).unwrap();
        let two = UdpSocket::bind(address.parse().unwrap()).unwrap();
        one.send_to(b"first", two.local_addr().unwrap()).unwrap();
        one.send_to(b"", two.local_addr().unwrap()).unwrap();
        one.send_to(b"third", two.local_addr().unwrap()).unwrap();
        let mut bytes = [0; 3];
        assert_eq!(two.peek_from(&mut bytes).unwrap(), (3, one.local_addr().unwrap()));
        assert_eq!(two.recv_from(&mut [0; 16]).unwrap(), (5, one.local_addr().unwrap()));
        assert_eq!(two.recv_from(&mut bytes).unwrap().0, 0);
        let got = two
            .receive_message(&mut [IoSliceMut::new(&mut bytes)], &mut ReceiveControl::new())
            .unwrap();
        assert!(got.truncated && got.bytes == 3 && got.from == Some(one.local_addr().unwrap().into()));
        assert_eq!(two.recv_from(&mut bytes).unwrap_err().kind(), ErrorKind::WouldBlock);
        two.connect(one.local_addr().unwrap()).unwrap();
        assert_eq!(two.peer_addr().unwrap(), one.local_addr().unwrap());
        two.send(b"back").unwrap();
        assert_eq!(one.recv(&mut [0; 16]).unwrap(), 4);
    }
}

#[test]
fn closed_port_is_an_error_of_a_connected_datagram_socket() {
    let closed = udp().local_addr().unwrap();
    let socket = udp();
    socket.connect(closed).unwrap();
    socket.send(b"anyone?").unwrap();
    assert_eq!(
        socket.recv(&mut [0; 8]).unwrap_err().kind(),
        ErrorKind::ConnectionRefused
    );
    assert_eq!(
        socket.send_to(&[0; 70_000], closed).unwrap_err().raw_os_error(),
        Some(90)
    );
}

#[test]
fn bytes_are_received_into_uninitialised_memory_and_spare_capacity() {
    let (near, far) = tcp_pair();
    near.send(b"hello world").unwrap();
    wait_readable(&far, None).unwrap();
    assert_eq!(far.peek(&mut [0; 64]).unwrap(), 11);
    let mut room = [MaybeUninit::uninit(); 5];
    assert_eq!(far.recv_uninit(&mut room).unwrap(), b"hello");
    let (mut one, mut two) = ([0; 1], [0; 2]);
    assert_eq!(
        far.recv_vectored(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)])
            .unwrap(),
        3
    );
    assert_eq!((&one, &two), (b" ", b"wo"));
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(b"> ");
    assert_eq!(far.recv_spare(&mut bytes).unwrap(), 3);
    assert_eq!(bytes, b"> rld");
}

#[test]
fn unix_sockets_have_a_path_or_an_abstract_name_or_no_name() {
    let path = std::env::temp_dir().join(format!("conduit-net-{}.sock", std::process::id()));
    let address = UnixAddress::from_path(path.as_os_str()).unwrap();
    let listener = UnixListener::bind(&address).unwrap();
    assert_eq!(listener.local_addr().unwrap(), address);
    let taken = UnixListener::bind(&address).unwrap_err().to_string();
    assert!(taken.contains("remove the file if no server uses it"), "{taken}");
    let near = UnixStream::connect(&address).unwrap();
    let (far, peer) = listener.accept_timeout(TIMEOUT).unwrap();
    assert!(peer.is_unnamed());
    assert_eq!(near.peer_addr().unwrap(), address);
    near.send(b"x").unwrap();
    assert_eq!(far.recv(&mut [0; 4]).unwrap(), 1);
    std::fs::remove_file(&path).unwrap();
    assert!(
        UnixStream::connect(&address)
            .unwrap_err()
            .to_string()
            .contains("the path does not exist")
    );

    let name = UnixAddress::from_abstract_name(format!("conduit-net-{}", std::process::id()).as_bytes()).unwrap();
    let server = UnixDatagram::bind(&name).unwrap();
    assert_eq!(
        server.local_addr().unwrap().to_string(),
        format!("@conduit-net-{}", std::process::id())
    );
    let client = UnixDatagram::unbound().unwrap();
    client.send_to(b"by name", &name).unwrap();
    let (count, from) = server.recv_from(&mut [0; 16]).unwrap();
    assert!(count == 7 && from.is_unnamed());
}

#[test]
fn unix_path_has_1_to_107_bytes_and_abstract_name_at_most_107() {
    let error = |address: std::io::Result<UnixAddress>| address.unwrap_err().raw_os_error().unwrap();
    let too_long = rustix::io::Errno::NAMETOOLONG.raw_os_error();
    let longest = UnixAddress::from_path("x".repeat(107)).unwrap();
    assert_eq!(longest.path_bytes(), Some("x".repeat(107).as_bytes()));
    for length in [108, 109, 200] {
        assert_eq!(error(UnixAddress::from_path("x".repeat(length))), too_long, "{length}");
    }
    let invalid = rustix::io::Errno::INVAL.raw_os_error();
    assert_eq!(error(UnixAddress::from_path("")), invalid);
    assert_eq!(error(UnixAddress::from_path("a\0b")), invalid);
    let longest = UnixAddress::from_abstract_name(&[0xff; 107]).unwrap();
    assert_eq!(longest.abstract_name(), Some(&[0xff; 107][..]));
    assert_eq!(error(UnixAddress::from_abstract_name(&[b'x'; 108])), too_long);
}

/// Linux binds a path that fills `sun_path` without a terminating zero byte.
#[cfg(target_os = "linux")]
#[test]
fn peer_bound_to_a_path_of_108_bytes_is_accepted() {
    use rustix::net::{AddressFamily, SocketAddrUnix, SocketType, bind, connect, socket};
    let directory = std::env::temp_dir();
    let path = |length: usize| {
        let start = format!("{}/conduit-net-{}-", directory.display(), std::process::id());
        format!("{start}{}", "x".repeat(length - start.len()))
    };
    let served = path(107);
    let listener = UnixListener::bind(&UnixAddress::from_path(&*served).unwrap()).unwrap();
    let peer = socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    let bound = path(108);
    bind(&peer, &SocketAddrUnix::new(&*bound).unwrap()).unwrap();
    connect(&peer, &SocketAddrUnix::new(&*served).unwrap()).unwrap();
    let (far, address) = listener.accept_timeout(TIMEOUT).unwrap();
    assert!(address.path_bytes().is_none(), "{address}");
    assert!(far.peer_addr().unwrap().path_bytes().is_none());
    for path in [served, bound] {
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn descriptors_that_are_not_taken_are_closed() {
    let (one, two) = UnixStream::pair().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut control = SendControl::new();
    control.push_descriptors(&[writer.as_fd(), writer.as_fd()]).unwrap();
    one.send_message(&[IoSlice::new(b"!")], &control).unwrap();
    drop(writer);
    let mut received = ReceiveControl::new();
    let got = two
        .receive_message(&mut [IoSliceMut::new(&mut [0; 4])], &mut received)
        .unwrap();
    assert!(got.bytes == 1 && !got.control_truncated);
    let mut taken: Vec<OwnedFd> = Vec::new();
    for message in received.messages() {
        let ControlMessage::Descriptors(mut descriptors) = message else {
            panic!("{message:?}")
        };
        taken.extend(descriptors.next());
    }
    assert!(
        rustix::io::fcntl_getfd(&taken[0])
            .unwrap()
            .contains(rustix::io::FdFlags::CLOEXEC)
    );
    std::fs::File::from(taken.pop().unwrap()).write_all(b"through").unwrap();
    let mut text = String::new();
    // The end arrives only because the descriptor that was not taken is closed.
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "through");
}

#[test]
fn descriptors_of_unread_messages_are_closed() {
    let (one, two) = UnixStream::pair().unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut control = SendControl::new();
    control.push_descriptors(&[writer.as_fd()]).unwrap();
    one.send_message(&[IoSlice::new(b"!")], &control).unwrap();
    drop(writer);
    let mut received = ReceiveControl::new();
    two.receive_message(&mut [IoSliceMut::new(&mut [0; 4])], &mut received)
        .unwrap();
    drop(received);
    assert_eq!(reader.read(&mut [0; 4]).unwrap(), 0);
}

#[test]
fn message_has_the_credentials_of_its_sender() {
    let (one, two) = UnixDatagram::pair().unwrap();
    two.set_option(option::RECEIVE_CREDENTIALS, true).unwrap();
    let me = Credentials {
        process: std::process::id() as i32,
        user: rustix::process::geteuid().as_raw(),
        group: rustix::process::getegid().as_raw(),
    };
    let mut control = SendControl::new();
    control.push_credentials(me).unwrap();
    one.send_message(&[IoSlice::new(b"it is me")], &control).unwrap();
    let mut received = ReceiveControl::new();
    two.receive_message(&mut [IoSliceMut::new(&mut [0; 16])], &mut received)
        .unwrap();
    assert!(
        received
            .messages()
            .any(|message| matches!(message, ControlMessage::Credentials(from) if from == me))
    );
}

#[test]
fn packet_info_reports_and_selects_addresses() {
    let receiver = UdpSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
    receiver.set_option(option::RECEIVE_PACKET_INFO, true).unwrap();
    let to = format!("127.0.0.9:{}", receiver.local_addr().unwrap().port())
        .parse::<std::net::SocketAddr>()
        .unwrap();
    let sender = UdpSocket::bind("0.0.0.0:0".parse().unwrap()).unwrap();
    let mut control = SendControl::new();
    control.push_packet_info4(0, "127.0.0.7".parse().unwrap()).unwrap();
    control.push_hops4(9).unwrap();
    control.push_traffic_class4(1).unwrap();
    sender
        .send_message_to(&[IoSlice::new(b"x")], &to.into(), &control)
        .unwrap();
    let mut received = ReceiveControl::new();
    let got = receiver
        .receive_message(&mut [IoSliceMut::new(&mut [0; 16])], &mut received)
        .unwrap();
    assert_eq!(got.from.unwrap().as_ip().unwrap().ip().to_string(), "127.0.0.7");
    let info = received.messages().next().unwrap();
    let ControlMessage::PacketInfo4 {
        interface: 1,
        local,
        destination,
    } = info
    else {
        panic!("{info:?}")
    };
    assert_eq!(
        (local.to_string().as_str(), destination.to_string().as_str()),
        ("127.0.0.9", "127.0.0.9")
    );

    let mut received = ReceiveControl::new();
    let receiver = UdpSocket::bind("[::1]:0".parse().unwrap()).unwrap();
    receiver.set_option(option::RECEIVE_PACKET_INFO_V6, true).unwrap();
    receiver.set_option(option::RECEIVE_HOP_LIMIT, true).unwrap();
    receiver.set_option(option::RECEIVE_TRAFFIC_CLASS, true).unwrap();
    let sender = UdpSocket::bind("[::1]:0".parse().unwrap()).unwrap();
    let mut control = SendControl::new();
    control.push_packet_info6(1, "::1".parse().unwrap()).unwrap();
    control.push_hops6(9).unwrap();
    control.push_traffic_class6(2).unwrap();
    sender
        .send_message_to(&[IoSlice::new(b"x")], &receiver.local_addr().unwrap().into(), &control)
        .unwrap();
    receiver
        .receive_message(&mut [IoSliceMut::new(&mut [0; 16])], &mut received)
        .unwrap();
    let got: Vec<_> = received.messages().map(|message| format!("{message:?}")).collect();
    assert_eq!(
        got,
        [
            "PacketInfo6 { interface: 1, destination: ::1 }",
            "Hops(9)",
            "TrafficClass(2)"
        ]
    );
}

#[test]
#[expect(unsafe_code, reason = "an option that the crate lacks")]
fn unknown_control_message_is_returned_raw() {
    // IP_RECVORIGDSTADDR is 20 at level 0; this crate does not decode its control message.
    // SAFETY: the kernel reads an int.
    let original = unsafe { option::SocketOption::<option::Flag, option::WriteOnly>::raw("IP_RECVORIGDSTADDR", 0, 20) };
    let (one, two) = (udp(), udp());
    two.set_option(original, true).unwrap();
    one.send_to(b"x", two.local_addr().unwrap()).unwrap();
    let mut received = ReceiveControl::new();
    two.receive_message(&mut [IoSliceMut::new(&mut [0; 16])], &mut received)
        .unwrap();
    let message = received.messages().next().unwrap();
    let ControlMessage::Unknown {
        level: 0,
        kind: 20,
        data,
    } = message
    else {
        panic!("{message:?}")
    };
    assert_eq!(data.len(), 16);
}

#[test]
#[expect(unsafe_code, reason = "a control message without a typed form")]
fn truncated_control_messages_are_reported() {
    let (one, two) = (udp(), udp());
    two.set_option(option::RECEIVE_PACKET_INFO, true).unwrap();
    one.send_to(b"x", two.local_addr().unwrap()).unwrap();
    let mut small = ReceiveControl::<1>::with_words();
    let got = two
        .receive_message(&mut [IoSliceMut::new(&mut [0; 16])], &mut small)
        .unwrap();
    assert!(got.control_truncated);
    assert_eq!(small.messages().count(), 0);
    let mut full = SendControl::<1>::with_words();
    assert_eq!(full.push_hops4(1).unwrap_err().kind(), ErrorKind::InvalidInput);
    let mut raw = SendControl::new();
    // SAFETY: the message is rejected, so the descriptor is not used.
    assert!(unsafe { raw.push_raw(1, 1, &0i32.to_ne_bytes()) }.is_err());
    // SAFETY: the data of IP_TTL is an int.
    unsafe { raw.push_raw(0, 2, &5i32.to_ne_bytes()) }.unwrap();
    one.send_message_to(&[IoSlice::new(b"x")], &two.local_addr().unwrap().into(), &raw)
        .unwrap();
}

#[test]
fn segmentation_and_coalescing_round_trip() {
    let (one, two) = (udp(), udp());
    two.set_option(option::COALESCE, true).unwrap();
    let mut control = SendControl::new();
    control.push_segment_bytes(1000).unwrap();
    let text = vec![5; 9500];
    one.send_message_to(&[IoSlice::new(&text)], &two.local_addr().unwrap().into(), &control)
        .unwrap();
    let mut received = ReceiveControl::new();
    let mut buffer = vec![0; 65536];
    let mut total = 0;
    while total < text.len() {
        let got = two
            .receive_message(&mut [IoSliceMut::new(&mut buffer)], &mut received)
            .unwrap();
        total += got.bytes;
        if got.bytes > 1000 {
            assert!(
                received
                    .messages()
                    .any(|message| matches!(message, ControlMessage::SegmentBytes(1000)))
            );
        }
    }
    assert_eq!(total, text.len());
}

#[test]
fn batch_transfers_datagrams_with_control_messages() {
    let (one, two) = (udp(), udp());
    two.set_option(option::RECEIVE_TIME_TO_LIVE, true).unwrap();
    let to = Address::from(two.local_addr().unwrap());
    let texts: Vec<_> = (0..40).map(|number| format!("datagram {number}")).collect();
    let mut control = SendControl::new();
    control.push_hops4(33).unwrap();
    let mut batch = SendBatch::new();
    for text in &texts {
        batch.push(text.as_bytes(), Some(&to), &control).unwrap();
    }
    assert_eq!(
        (batch.len(), batch.send(&one).unwrap(), batch.is_empty()),
        (40, 40, true)
    );
    let mut receiving = ReceiveBatch::new(16, 11);
    let mut got = 0;
    while got < 40 {
        wait_readable(&two, None).unwrap();
        receiving.receive(&two).unwrap();
        for mut datagram in receiving.iter_mut() {
            let text = texts[got].as_bytes();
            assert_eq!(datagram.bytes, &text[..text.len().min(11)]);
            assert_eq!(datagram.from, Some(one.local_addr().unwrap().into()));
            assert!(!datagram.truncated);
            assert!(matches!(datagram.control.next(), Some(ControlMessage::Hops(33))));
            got += 1;
        }
    }
    assert_eq!(receiving.receive(&two).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(receiving.iter_mut().len(), 0);
}

#[test]
fn batch_on_a_blocking_socket_returns_available_datagrams() {
    let (one, two) = (udp(), udp());
    two.set_blocking(true).unwrap();
    for text in [b"1", b"2", b"3"] {
        one.send_to(text, two.local_addr().unwrap()).unwrap();
    }
    let (sender, received) = std::sync::mpsc::channel();
    // A thread that waits for more datagrams sends no count.
    std::thread::spawn(move || drop(sender.send(ReceiveBatch::new(8, 16).receive(&two))));
    let count = received
        .recv_timeout(TIMEOUT)
        .expect("the batch waits until it is full");
    assert_eq!(count.unwrap(), 3);
}

#[test]
fn batch_reports_truncated_control_messages_and_closes_their_descriptors() {
    let (one, two) = UnixDatagram::pair().unwrap();
    // A buffer of 256 bytes has room for a header and 60 descriptors.
    let mut control = SendControl::<128>::with_words();
    control.push_descriptors(&[one.as_fd(); 100]).unwrap();
    one.send_message(&[IoSlice::new(b"many")], &control).unwrap();
    let mut control: SendControl<'_> = SendControl::new();
    control.push_descriptors(&[one.as_fd()]).unwrap();
    one.send_message(&[IoSlice::new(b"one")], &control).unwrap();
    let mut batch = ReceiveBatch::new(4, 16);
    assert_eq!(batch.receive(&two).unwrap(), 2);
    let mut received = Vec::new();
    let mut descriptors = Vec::new();
    for datagram in batch.iter_mut() {
        received.push((datagram.bytes.to_vec(), datagram.control_truncated));
        for message in datagram.control {
            if let ControlMessage::Descriptors(passed) = message {
                descriptors.push(passed.map(|descriptor| descriptor.as_raw_fd()).collect::<Vec<_>>());
            }
        }
    }
    assert_eq!(received, [(b"many".to_vec(), true), (b"one".to_vec(), false)]);
    let counts: Vec<usize> = descriptors.iter().map(Vec::len).collect();
    assert_eq!(counts, [60, 1]);
}

#[test]
fn file_is_sent_from_the_kernel() {
    let path = std::env::temp_dir().join(format!("conduit-net-file-{}", std::process::id()));
    let mut file = std::fs::File::options()
        .create(true)
        .truncate(true)
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    let text: Vec<_> = (0..300_000u32).flat_map(u32::to_le_bytes).collect();
    file.write_all(&text).unwrap();
    file.rewind().unwrap();
    let (near, far) = tcp_pair();
    let receiving = std::thread::spawn(move || {
        far.set_blocking(true).unwrap();
        let mut got = Vec::new();
        (&far).read_to_end(&mut got).unwrap();
        got
    });
    assert_eq!(send_more(&near, b"what goes before it").unwrap(), 19);
    let mut offset = 4;
    while offset < text.len() as u64 {
        match send_file(&near, &file, &mut offset, text.len()) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                conduit_net::wait_writable(&near, None).unwrap();
            }
        }
    }
    near.shutdown(Shutdown::Write).unwrap();
    let got = receiving.join().unwrap();
    assert_eq!(got.strip_prefix(b"what goes before it"), Some(&text[4..]));
}

#[test]
fn bytes_are_spliced_from_socket_to_socket() {
    let (client, server) = tcp_pair();
    let (forward, target) = tcp_pair();
    let (reader, writer) = std::io::pipe().unwrap();
    client.send(b"through the kernel").unwrap();
    wait_readable(&server, None).unwrap();
    assert_eq!(splice(&server, &writer, 4096).unwrap(), 18);
    assert_eq!(
        splice(&server, &writer, 4096).unwrap_err().kind(),
        ErrorKind::WouldBlock
    );
    assert_eq!(splice(&reader, &forward, 4096).unwrap(), 18);
    wait_readable(&target, None).unwrap();
    let mut bytes = [0; 32];
    assert_eq!(target.recv(&mut bytes).unwrap(), 18);
    assert_eq!(&bytes[..18], b"through the kernel");
}

#[test]
fn zero_copy_returns_every_buffer_once() {
    let (near, far) = tcp_pair();
    let mut sender = ZeroCopy::new(near).unwrap();
    let buffers: Vec<Arc<[u8]>> = (0..20u8).map(|number| vec![number; 20_000].into()).collect();
    let mut received = Vec::new();
    let mut back = 0;
    let drain = |received: &mut Vec<u8>| {
        received.reserve(65536);
        let _ = far.recv_spare(received);
    };
    for buffer in &buffers {
        let mut sent = 0;
        while sent < buffer.len() {
            match sender.send(buffer, sent..buffer.len()) {
                Ok(count) => sent += count,
                Err(_) => {
                    drain(&mut received);
                    back += sender.complete(|_| {}).unwrap();
                }
            }
        }
    }
    while received.len() < 400_000 {
        drain(&mut received);
    }
    while sender.pending() > 0 {
        back += sender
            .complete(|completion| assert_eq!(completion.buffer.len(), 20_000))
            .unwrap();
    }
    assert!(back >= 20);
    assert!(buffers.iter().all(|buffer| Arc::strong_count(buffer) == 1));
    assert!(
        received
            .chunks(20_000)
            .zip(0u8..)
            .all(|(chunk, number)| chunk.iter().all(|&byte| byte == number))
    );
    assert!(sender.stream().peer_addr().is_ok());
}

/// The kernel numbers the sends of a socket: a second sender would release buffers of the first one.
#[test]
fn socket_has_one_zero_copy_sender() {
    let (near, _far) = tcp_pair();
    let duplicate = near.try_clone().unwrap();
    let _sender = ZeroCopy::new(near).unwrap();
    let error = ZeroCopy::new(duplicate).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EALREADY), "{error}");
}

#[test]
fn socket_of_any_kind_connects_and_accepts_with_a_timeout() {
    let (one, two) = Socket::pair(Kind::SEQUENTIAL_PACKETS).unwrap();
    one.send(b"a packet").unwrap();
    one.send(b"another").unwrap();
    assert_eq!(two.recv(&mut [0; 32]).unwrap(), 8);
    let listener = Socket::stream().unwrap();
    listener.bind(&Address::Ip("127.0.0.1:0".parse().unwrap())).unwrap();
    listener.listen(16).unwrap();
    assert_eq!(
        listener.accept_timeout(Duration::from_millis(10)).unwrap_err().kind(),
        ErrorKind::TimedOut
    );
    let client = Socket::stream().unwrap();
    client
        .connect(&listener.local_address().unwrap(), Some(TIMEOUT))
        .unwrap();
    let (server, peer) = listener.accept_timeout(TIMEOUT).unwrap();
    assert_eq!(peer, client.local_address().unwrap());
    assert_eq!(server.peer_address().unwrap(), peer);
    let listener = TcpListener::from(listener);
    assert_eq!(
        listener
            .accept_timeout(Duration::from_millis(1))
            .unwrap_err()
            .to_string(),
        format!(
            "cannot accept on {}: timed out (ETIMEDOUT); no connection arrived within the timeout: increase the timeout",
            listener.local_addr().unwrap()
        )
    );
}

#[test]
fn host_names_are_resolved() {
    let listener = TcpListener::bind_host("localhost:0", &ListenOptions::new()).unwrap();
    let port = listener.local_addr().unwrap().port();
    TcpStream::connect_host(&format!("localhost:{port}"), TIMEOUT).unwrap();
    let error = TcpStream::connect_host("no port", TIMEOUT).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot resolve the host no port: "),
        "{error}"
    );
}

#[test]
fn clone_shares_the_socket() {
    let (near, far) = tcp_pair();
    let clone = near.try_clone().unwrap();
    drop(near);
    clone.send(b"x").unwrap();
    wait_readable(&far, None).unwrap();
    assert_eq!(far.recv(&mut [0; 4]).unwrap(), 1);
}

#[test]
fn vsock_connects_within_the_machine() {
    let domain = Domain::VSOCK;
    let Ok(listener) = Socket::new(domain, Kind::STREAM, Protocol::DEFAULT) else {
        eprintln!("skipped: this kernel has no vsock");
        return;
    };
    listener
        .bind(&VsockAddress::new(VsockAddress::ANY, u32::MAX).into())
        .unwrap();
    listener.listen(4).unwrap();
    let Address::Vsock(VsockAddress { port, .. }) = listener.local_address().unwrap() else {
        panic!()
    };
    let client = Socket::new(domain, Kind::STREAM, Protocol::DEFAULT).unwrap();
    if let Err(error) = client.connect(
        &VsockAddress::new(VsockAddress::LOCAL, port).into(),
        Some(Duration::from_secs(1)),
    ) {
        eprintln!("skipped: this machine has no vsock loopback: {error}");
        return;
    }
    let (server, _) = listener.accept_timeout(TIMEOUT).unwrap();
    client.send(b"x").unwrap();
    wait_readable(&server, None).unwrap();
    assert_eq!(server.recv(&mut [0; 4]).unwrap(), 1);
}

#[test]
fn icmp_error_is_read_with_its_cause() {
    for (address, receive, origin) in [
        ("127.0.0.1:0", option::RECEIVE_ERRORS, 2),
        ("[::1]:0", option::RECEIVE_ERRORS_V6, 3),
    ] {
        let closed = UdpSocket::bind(address.parse().unwrap()).unwrap().local_addr().unwrap();
        let socket = UdpSocket::bind(address.parse().unwrap()).unwrap();
        socket.set_option(receive, true).unwrap();
        socket.send_to(b"anyone?", closed).unwrap();
        let mut control = ReceiveControl::new();
        let mut bytes = [0; 16];
        let got = receive_error(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut control).unwrap();
        // The sent bytes are returned with their destination.
        assert_eq!((&bytes[..got.bytes], got.from), (&b"anyone?"[..], Some(closed.into())));
        let error = control.messages().find_map(|message| match message {
            ControlMessage::QueuedError(error) => Some((error.number, error.origin)),
            _ => None,
        });
        assert_eq!(error, Some((111, origin)));
        assert_eq!(
            receive_error(&socket, &mut [], &mut control).unwrap_err().kind(),
            ErrorKind::WouldBlock
        );
    }
}

#[test]
fn buffer_of_a_pending_send_is_not_freed() {
    let (near, far) = tcp_pair();
    let mut sender = ZeroCopy::new(near).unwrap();
    let buffer: Arc<[u8]> = vec![9; 1 << 20].into();
    // Without a reader the last sends fail.
    while sender.send(&buffer, 0..buffer.len()).is_ok() {}
    let pending = sender.pending();
    drop(sender);
    assert!(pending > 0 && Arc::strong_count(&buffer) > 1);
    drop(far);
}

#[test]
fn datagram_that_cannot_be_sent_is_skipped() {
    let (sender, receiver) = (udp(), udp());
    let to = receiver.local_addr().unwrap().into();
    let (large, control) = (vec![0; 70_000], SendControl::new());
    let mut batch = SendBatch::new();
    batch.push(&large, Some(&to), &control).unwrap();
    batch.push(b"small", Some(&to), &control).unwrap();
    for _ in 0..2 {
        let error = batch.send(&sender).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EMSGSIZE), "{error}");
    }
    assert!(batch.skip());
    assert_eq!(batch.send(&sender).unwrap(), 1);
    assert!(!batch.skip() && batch.is_empty());
    let mut bytes = [0; 16];
    assert_eq!(receiver.recv(&mut bytes).unwrap(), 5);
}
