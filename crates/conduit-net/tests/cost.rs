//! The cost of the hot functions: one system call each, and no allocation.
#![cfg(all(target_os = "linux", not(conduit_portable)))]

use conduit_net::io::{IoSlice, IoSliceMut};
use conduit_net::{
    Events, Interest, ListenOptions, Poller, ReceiveControl, SendControl, TcpListener, TcpStream, UdpSocket,
    wait_readable,
};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::process::Command;
use std::time::Duration;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

/// Counts per thread, because tests run in parallel.
struct Counting;

// SAFETY: every call is passed to the system allocator.
#[expect(unsafe_code, reason = "an allocator that counts is an unsafe implementation")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller fulfils the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller fulfils the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Scene {
    listener: TcpListener,
    poller: Poller,
    events: Events,
    near: TcpStream,
    far: TcpStream,
    udp: UdpSocket,
    _queued: TcpStream,
}

fn scene() -> Scene {
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap(), &ListenOptions::new()).unwrap();
    let address = listener.local_addr().unwrap();
    let near = TcpStream::connect(address).unwrap();
    let (far, _) = listener.accept_timeout(Duration::from_secs(5)).unwrap();
    let queued = TcpStream::connect(address).unwrap();
    wait_readable(&listener, None).unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    Scene {
        listener,
        poller: Poller::new().unwrap(),
        events: Events::with_capacity(16),
        near,
        far,
        udp,
        _queued: queued,
    }
}

/// Each of the hot functions once, in the order of `EXPECTED`.
fn hot_calls(scene: &mut Scene) {
    let Scene {
        listener,
        poller,
        events,
        near,
        far,
        udp,
        ..
    } = scene;
    let mut buffer = [0; 64];
    let stream = listener.accept().unwrap().0;
    poller.add(&stream, 1, Interest::READABLE).unwrap();
    poller.modify(&stream, 1, Interest::BOTH).unwrap();
    poller.wait(events, Some(Duration::ZERO)).unwrap();
    poller.wait(events, Some(Duration::from_millis(1))).unwrap();
    poller.wait(events, Some(Duration::from_nanos(1_000_001))).unwrap();
    near.send(b"ping").unwrap();
    far.recv(&mut buffer).unwrap();
    far.send_vectored(&[IoSlice::new(b"po"), IoSlice::new(b"ng")]).unwrap();
    near.recv(&mut buffer).unwrap();
    udp.send_to(b"datagram", udp.local_addr().unwrap()).unwrap();
    udp.recv_from(&mut buffer).unwrap();
    near.send_message(&[IoSlice::new(b"x")], &SendControl::new()).unwrap();
    far.receive_message(&mut [IoSliceMut::new(&mut buffer)], &mut ReceiveControl::new())
        .unwrap();
    poller.notify().unwrap();
    poller.wait(events, None).unwrap();
    poller.close(stream).unwrap();
}

const EXPECTED: [&str; 18] = [
    "accept4",
    "epoll_ctl",
    "epoll_ctl",
    "epoll_wait",
    "epoll_wait",
    "epoll_pwait2",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvfrom",
    "getsockname",
    "sendto",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "write",
    "epoll_wait",
    "close",
];

#[test]
fn hot_functions_do_not_allocate() {
    let mut scene = scene();
    let before = ALLOCATIONS.get();
    hot_calls(&mut scene);
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

#[test]
fn each_hot_function_is_one_system_call() {
    const TEST: &str = "each_hot_function_is_one_system_call";
    if std::env::var_os("CONDUIT_NET_TRACED").is_some() {
        let mut scene = scene();
        // Calls that no other code makes mark the start and the end of the trace.
        rustix::process::getsid(None).unwrap();
        hot_calls(&mut scene);
        rustix::process::getsid(None).unwrap();
        return;
    }
    let trace = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("system_calls.txt");
    let strace = Command::new("strace")
        .args(["-f", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--test-threads=1"])
        .env("CONDUIT_NET_TRACED", "1")
        .output();
    match strace {
        Ok(output) if output.status.success() => {}
        other => {
            // CI installs it, but its machine may forbid to trace.
            let is_missing = other
                .as_ref()
                .is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound);
            assert!(
                !is_missing || std::env::var_os("CI").is_none(),
                "strace is installed in CI"
            );
            eprintln!("skipped: strace does not run here: {other:?}");
            return;
        }
    }
    let text = std::fs::read_to_string(trace).unwrap();
    let marker = text
        .lines()
        .find(|line| line.contains("getsid("))
        .expect("no marker in the trace");
    let thread = marker.split_whitespace().next().unwrap();
    let calls: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix(thread)?.trim_start().split_once('('))
        .map(|(call, _)| if call == "epoll_pwait" { "epoll_wait" } else { call })
        .skip_while(|call| *call != "getsid")
        .skip(1)
        .take_while(|call| *call != "getsid")
        // Debug builds of std check a descriptor before closing it.
        .filter(|call| *call != "fcntl")
        .collect();
    assert_eq!(calls, EXPECTED);
}
