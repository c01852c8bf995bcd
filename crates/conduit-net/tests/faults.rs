//! Faults: no free descriptors, resets in every state, full buffers, single bytes, frequent signals.
#![cfg(target_os = "linux")]

#[path = "support/timer.rs"]
mod timer;

use conduit_net::{
    Address, Domain, Events, Interest, Kind, ListenOptions, Poller, Protocol, Shutdown, Socket, TcpListener, TcpStream,
    UnixAddress, UnixStream, can_accept_after, send_file, send_more, splice, wait_readable, wait_writable,
};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;
use timer::KernelTimer;

const TIMEOUT: Duration = Duration::from_secs(20);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new()).unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (near, listener.accept_timeout(TIMEOUT).unwrap().0)
}

/// Closes the connection by a reset.
fn reset(stream: TcpStream) {
    stream.set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
}

/// Runs a test of this file in a separate process, where it may change process-wide settings.
fn alone(test: &str, run: impl FnOnce()) {
    if std::env::var_os("CONDUIT_NET_ALONE").is_some_and(|name| name == test) {
        return run();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env("CONDUIT_NET_ALONE", test)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
}

/// The echo example serves with a low limit of descriptors; the clients are in this process, with a high limit.
#[test]
fn accepting_resumes_after_running_out_of_descriptors_and_drops_no_client() {
    alone(
        "accepting_resumes_after_running_out_of_descriptors_and_drops_no_client",
        || {
            let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
            let most = limit.maximum.unwrap_or(1 << 20);
            rustix::process::setrlimit(
                rustix::process::Resource::Nofile,
                rustix::process::Rlimit {
                    current: Some(most),
                    maximum: limit.maximum,
                },
            )
            .unwrap();
            let clients = 20_000.min(most as usize - 100);
            eprintln!("{clients} clients (the limit of descriptors is {most})");

            let mut example = std::env::current_exe().unwrap();
            example.pop();
            let example = example.with_file_name("examples").join("echo");
            assert!(example.exists(), "the example is not built: run cargo build --examples");
            let mut server = Command::new("sh")
                .args(["-c", "ulimit -n 500 && exec \"$0\" --bind 127.0.0.1:0"])
                .arg(example)
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            let mut banner = String::new();
            std::io::BufRead::read_line(&mut std::io::BufReader::new(server.stdout.take().unwrap()), &mut banner)
                .unwrap();
            let address = banner
                .split(" on ")
                .nth(1)
                .unwrap()
                .split(';')
                .next()
                .unwrap()
                .parse()
                .unwrap();

            // A wave has more connections than the server has descriptors, and at most as many as its backlog.
            let served = std::panic::catch_unwind(|| {
                let mut done = 0;
                while done < clients {
                    let wave: Vec<_> = (done..clients.min(done + 3_000))
                        .map(|_| TcpStream::connect(address).unwrap())
                        .collect();
                    for stream in &wave {
                        stream.send(b"hello").unwrap();
                    }
                    // A served client closes its connection, which frees a descriptor for the next one.
                    for (number, stream) in wave.into_iter().enumerate() {
                        assert!(
                            wait_readable(&stream, Some(TIMEOUT)).unwrap(),
                            "client {number} of a wave was not served"
                        );
                        assert_eq!(stream.recv(&mut [0; 8]).unwrap(), 5);
                        done += 1;
                    }
                }
            });
            server.kill().unwrap();
            server.wait().unwrap();
            served.unwrap();
        },
    );
}

#[test]
fn reset_before_accept_does_not_stop_the_listener() {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new()).unwrap();
    let address = listener.local_addr().unwrap();
    reset(TcpStream::connect(address).unwrap());
    let good = TcpStream::connect(address).unwrap();
    // Some systems drop the first connection from the queue, others return its error.
    let stream = loop {
        let (stream, peer) = listener.accept_timeout(TIMEOUT).unwrap();
        if peer == good.local_addr().unwrap() {
            break stream;
        }
        assert_eq!(stream.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    };
    stream.send(b"x").unwrap();
}

#[test]
fn reset_with_unread_bytes_is_never_an_end_of_stream() {
    let (near, far) = pair();
    far.send(b"waiting").unwrap();
    assert!(wait_readable(&near, Some(TIMEOUT)).unwrap());
    reset(far);
    // The reset may arrive after the bytes were read.
    let mut bytes = 0;
    let error = loop {
        match near.recv(&mut [0; 64]) {
            Ok(count) => {
                assert_ne!(count, 0, "an end of stream instead of a reset");
                bytes += count;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                assert!(wait_readable(&near, Some(TIMEOUT)).unwrap(), "no reset arrived");
            }
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(bytes == 0 || bytes == b"waiting".len(), "{bytes} bytes");
}

#[test]
fn reset_after_half_close_is_an_error_on_both_paths() {
    let (near, far) = pair();
    near.shutdown(Shutdown::Write).unwrap();
    assert!(wait_readable(&far, Some(TIMEOUT)).unwrap());
    assert_eq!(far.recv(&mut [0; 8]).unwrap(), 0);
    reset(far);
    assert!(wait_readable(&near, Some(TIMEOUT)).unwrap());
    assert_eq!(near.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(near.send(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
}

#[test]
fn reset_ends_a_wait_for_writability() {
    let (near, far) = pair();
    while near.send(&[0; 65536]).is_ok() {}
    assert!(!wait_writable(&near, Some(Duration::ZERO)).unwrap());
    reset(far);
    assert!(wait_writable(&near, Some(TIMEOUT)).unwrap());
    assert_eq!(near.send(b"x").unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn closing_with_unread_bytes_resets_the_peer() {
    let (near, far) = pair();
    near.send(b"never read").unwrap();
    assert!(wait_readable(&far, Some(TIMEOUT)).unwrap());
    drop(far);
    assert!(wait_readable(&near, Some(TIMEOUT)).unwrap());
    assert_eq!(near.recv(&mut [0; 8]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn full_send_buffer_becomes_writable_when_the_peer_reads() {
    let (near, far) = pair();
    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    poller.add(&near, 1, Interest::WRITABLE).unwrap();
    let mut sent = 0;
    while let Ok(count) = near.send(&[1; 65536]) {
        sent += count;
    }
    assert_eq!(poller.wait(&mut events, Some(Duration::ZERO)).unwrap(), 0);
    let mut buffer = vec![0; 65536];
    let mut received = 0;
    while received < sent {
        assert!(wait_readable(&far, Some(TIMEOUT)).unwrap());
        received += far.recv(&mut buffer).unwrap();
    }
    assert_eq!(poller.wait(&mut events, None).unwrap(), 1);
    assert!(events.iter().all(|event| event.writable));
}

#[test]
fn single_byte_reads_are_lossless() {
    let (near, far) = pair();
    let text: Vec<u8> = (0..=255).collect();
    near.send(&text).unwrap();
    drop(near);
    let mut got = Vec::new();
    let mut byte = [0];
    loop {
        assert!(wait_readable(&far, Some(TIMEOUT)).unwrap());
        match far.recv(&mut byte).unwrap() {
            0 => break,
            _ => got.push(byte[0]),
        }
    }
    assert_eq!(got, text);
    assert_eq!(far.recv(&mut []).unwrap(), 0);
}

/// The handler is set without SA_RESTART, so that signals interrupt every blocking call repeatedly.
#[test]
#[expect(unsafe_code, reason = "calls of C functions")]
fn frequent_signals_do_not_affect_blocking_calls() {
    alone("frequent_signals_do_not_affect_blocking_calls", || {
        extern "C" fn count(_signal: libc::c_int) {
            SIGNALS.fetch_add(1, SeqCst);
        }
        // SAFETY: zero is a valid action; the handler adds to an atomic number, which is safe in a signal handler.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = count as *const () as usize;
            assert_eq!(
                libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()),
                0
            );
        }
        let done = AtomicBool::new(false);
        // SAFETY: the call only returns the ID of this thread.
        let target = unsafe { libc::pthread_self() };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(SeqCst) {
                    // SAFETY: the thread runs until the end of the scope.
                    unsafe { libc::pthread_kill(target, libc::SIGUSR1) };
                    // A rate, on which no result depends: without an interval the thread would execute its handler only.
                    std::thread::sleep(Duration::from_micros(50));
                }
            });
            // The signals end after a failure too.
            let calls = std::panic::catch_unwind(|| {
                blocking_calls();
                blocking_connect_to_a_full_queue();
            });
            done.store(true, SeqCst);
            calls.unwrap();
        });
    });
}

/// The number of signals that the handler has received.
static SIGNALS: AtomicUsize = AtomicUsize::new(0);

/// Waits for signals of the other thread, which interrupt the call that blocks it.
fn wait_for_signals() {
    let end = SIGNALS.load(SeqCst) + 100;
    while SIGNALS.load(SeqCst) < end {
        std::thread::yield_now();
    }
}

fn blocking_calls() {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new()).unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_blocking(true).unwrap();
    // The other thread blocks in a call meanwhile.
    let peer = std::thread::spawn(move || {
        wait_for_signals();
        let stream = TcpStream::connect(address).unwrap();
        stream.set_blocking(true).unwrap();
        wait_for_signals();
        (&stream).write_all(b"late").unwrap();
        wait_for_signals();
        let mut got = Vec::new();
        (&stream).read_to_end(&mut got).unwrap();
        got.len()
    });
    let (stream, _) = listener.accept().unwrap();
    stream.set_blocking(true).unwrap();
    let mut bytes = [0; 4];
    (&stream).read_exact(&mut bytes).unwrap();
    let mut left = 8_000_000;
    while left > 0 {
        // An interrupted partial send returns its length.
        left -= stream.send(&vec![3; left]).unwrap();
    }
    drop(stream);
    assert_eq!(peer.join().unwrap(), 8_000_000);

    let poller = Poller::new().unwrap();
    let mut events = Events::with_capacity(8);
    for timeout in [Duration::from_millis(50), Duration::from_nanos(20_000_001)] {
        let (timer, before) = (KernelTimer::start(timeout), SIGNALS.load(SeqCst));
        assert_eq!(poller.wait(&mut events, Some(timeout)).unwrap(), 0);
        assert!(timer.has_expired(), "{timeout:?}");
        assert!(SIGNALS.load(SeqCst) > before, "no signal has interrupted the wait");
    }
    assert!(!wait_readable(&listener, Some(Duration::from_millis(30))).unwrap());
    // The timeout is implemented only for non-blocking sockets.
    listener.set_blocking(false).unwrap();
    assert_eq!(
        listener.accept_timeout(Duration::from_millis(30)).unwrap_err().kind(),
        ErrorKind::TimedOut
    );
}

/// A blocking Unix socket waits in connect(2) for room in the queue of the listener.
fn blocking_connect_to_a_full_queue() {
    let listener = Socket::new(Domain::UNIX, Kind::STREAM, Protocol::DEFAULT).unwrap();
    let name = format!("conduit-net-faults-{}", std::process::id());
    let unix = UnixAddress::from_abstract_name(name.as_bytes()).unwrap();
    let address = Address::from(unix.clone());
    listener.bind(&address).unwrap();
    listener.listen(1).unwrap();
    let mut queued = Vec::new();
    let full = loop {
        match UnixStream::connect(&unix) {
            Ok(stream) => queued.push(stream),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    let accepting = std::thread::spawn(move || {
        wait_for_signals();
        let accepted: Vec<_> = queued.iter().map(|_| listener.accept().unwrap()).collect();
        (listener.accept_timeout(TIMEOUT).unwrap(), accepted.len())
    });
    let socket = Socket::new(Domain::UNIX, Kind::STREAM, Protocol::DEFAULT).unwrap();
    socket.set_blocking(true).unwrap();
    socket.connect(&address, None).unwrap();
    assert_eq!(socket.peer_address().unwrap(), address);
    accepting.join().unwrap();
}

/// Linux returns network errors of a connection at accept(2). A filter of system calls returns them here.
#[test]
fn accepting_with_a_timeout_continues_after_an_error_of_one_connection() {
    let limit = Duration::from_millis(30);
    let of_one_connection = [
        libc::ECONNABORTED,
        libc::ECONNRESET,
        libc::ENETDOWN,
        libc::ENETUNREACH,
        libc::ENONET,
        libc::EHOSTDOWN,
        libc::EHOSTUNREACH,
        libc::EPROTO,
        libc::ENOPROTOOPT,
        libc::ETIMEDOUT,
    ];
    let of_all = [
        libc::EMFILE,
        libc::ENFILE,
        libc::ENOBUFS,
        libc::ENOMEM,
        libc::EOPNOTSUPP,
        libc::EPERM,
    ];
    for number in of_one_connection.into_iter().chain(of_all) {
        let continues = of_one_connection.contains(&number);
        assert_eq!(
            can_accept_after(&std::io::Error::from_raw_os_error(number)),
            continues,
            "{number}"
        );
        let expected = if continues { libc::ETIMEDOUT } else { number };
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let accepting = std::thread::spawn(move || {
            fail(libc::SYS_accept4, number as u32);
            assert_eq!(listener.accept().unwrap_err().raw_os_error(), Some(number));
            listener.accept_timeout(limit).unwrap_err().raw_os_error()
        });
        assert_eq!(accepting.join().unwrap(), Some(expected), "{number}");
    }
}

/// Makes a system call return an error on this thread (seccomp(2)).
#[expect(unsafe_code, reason = "the filter of system calls")]
fn fail(call: libc::c_long, number: u32) {
    let instruction = |code, if_false, operand| libc::sock_filter {
        code,
        jt: 0,
        jf: if_false,
        k: operand,
    };
    // The opcodes are those of linux/bpf_common.h. The number of the call is at offset 0 of `struct seccomp_data`.
    let mut filter = [
        instruction(0x20, 0, 0),
        instruction(0x15, 1, call as u32),
        instruction(0x06, 0, libc::SECCOMP_RET_ERRNO | number),
        instruction(0x06, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the calls read live memory, and change only what this thread may do.
    let result = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            | libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
    };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// Waits of 30 days exceed an int of milliseconds.
#[test]
fn long_timeout_needs_no_new_system_call() {
    alone("long_timeout_needs_no_new_system_call", || {
        fail(libc::SYS_epoll_pwait2, libc::ENOSYS as u32);
        let poller = Arc::new(Poller::new().unwrap());
        let mut events = Events::with_capacity(8);
        for timeout in [Duration::from_secs(30 * 24 * 3600), Duration::new(u64::MAX, 1)] {
            let waker = Arc::clone(&poller);
            let wakes = std::thread::spawn(move || waker.notify().unwrap());
            poller.wait(&mut events, Some(timeout)).unwrap();
            assert!(events.is_empty());
            wakes.join().unwrap();
        }
    });
}

/// Sets the default action of SIGPIPE, and returns the one before.
#[allow(unsafe_code, reason = "std has no function for it")]
fn default_action_of_sigpipe() -> libc::sighandler_t {
    // SAFETY: the default action is no handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) }
}

/// The runtime of Rust ignores SIGPIPE; a program without it, or a library in another program, does not.
#[test]
fn closed_peer_raises_no_signal_where_the_default_action_ends_the_program() {
    alone(
        "closed_peer_raises_no_signal_where_the_default_action_ends_the_program",
        || {
            let ignored = default_action_of_sigpipe();
            assert_eq!(ignored, libc::SIG_IGN);
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let pair = || {
                let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
                (near, listener.accept().unwrap().0)
            };
            let file = rustix::fs::memfd_create("zeros", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
            rustix::fs::ftruncate(&file, 1 << 30).unwrap();
            // The peer closes during a call that has sent a part.
            let (near, mut far) = pair();
            let reader = std::thread::spawn(move || {
                let mut bytes = vec![0; 1 << 20];
                std::io::Read::read_exact(&mut far, &mut bytes).unwrap();
                // The reset after the end of the peer's half is EPIPE, not ECONNRESET.
                far.shutdown(std::net::Shutdown::Write).unwrap();
            });
            let mut offset = 0;
            while send_file(&near, &file, &mut offset, 1 << 30).is_ok() {}
            assert!(offset > 1 << 20);
            reader.join().unwrap();
            // It has closed before.
            let error = send_file(&near, &file, &mut 0, 4096).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
            assert_eq!(
                send_more(&near, b"x").unwrap_err().kind(),
                std::io::ErrorKind::BrokenPipe
            );
            let (reader, mut writer) = std::io::pipe().unwrap();
            std::io::Write::write_all(&mut writer, b"x").unwrap();
            let error = splice(&reader, &near, 16).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
            let stream = TcpStream::from(OwnedFd::from(near));
            assert_eq!(stream.send(b"x").unwrap_err().kind(), std::io::ErrorKind::BrokenPipe);
            eprintln!("no signal");
        },
    );
}
