//! A process without free descriptors.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The time in which a program must do something that it does at once or after a second.
const LIMIT: Duration = Duration::from_secs(20);

/// Connects while the process has no free descriptor, and checks that it pauses accepting, continues to run, and serves the
/// connection later. `request` is answered by at least one byte.
pub(crate) fn serves_after_running_out_of_descriptors(process: u32, address: &str, request: &[u8]) {
    let pid = Pid::from_raw(process as i32);
    wait_for_source(process, "the listener is not in the poller", |events| {
        events & READABLE != 0 && events & libc::EPOLLET as u32 == 0
    });
    // The process has inherited the limits of this one.
    let none = Rlimit {
        current: Some(0),
        ..getrlimit(Resource::Nofile)
    };
    let before = prlimit(pid, Resource::Nofile, none).unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.write_all(request).unwrap();
    wait_for_source(process, "the listener is not paused", |events| {
        events & (READABLE | libc::EPOLLOUT as u32) == 0
    });
    prlimit(pid, Resource::Nofile, before).unwrap();
    client.set_read_timeout(Some(LIMIT)).unwrap();
    client.read_exact(&mut [0]).unwrap();
}

const READABLE: u32 = libc::EPOLLIN as u32;

/// Waits until an epoll descriptor of the process has a source with such events: proc_pid_fdinfo(5).
fn wait_for_source(process: u32, otherwise: &str, matches: impl Fn(u32) -> bool) {
    let start = Instant::now();
    loop {
        let sources = std::fs::read_dir(format!("/proc/{process}/fdinfo"))
            .unwrap()
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap_or_default())
            .collect::<String>();
        let mut events = sources
            .lines()
            .filter(|line| line.starts_with("tfd:"))
            .map(|line| u32::from_str_radix(line.split_whitespace().nth(3).unwrap(), 16).unwrap());
        if events.any(&matches) {
            return;
        }
        assert!(start.elapsed() < LIMIT, "{otherwise}");
        std::thread::sleep(Duration::from_millis(1));
    }
}
