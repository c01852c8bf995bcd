//! A running server: on one core, killed when it is dropped, measured through `/proc` (`man 5 proc`).

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::Result;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A server that has accepted connections.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

/// CPU time that a process has used, all its threads together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CpuTime {
    /// The account of the scheduler, in nanoseconds.
    pub(crate) nanoseconds: u64,
    /// Timer ticks during which the process was in user mode, in units of 10 ms.
    pub(crate) user_ticks: u64,
    /// Timer ticks during which it was in the kernel.
    pub(crate) system_ticks: u64,
}

impl CpuTime {
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            nanoseconds: self.nanoseconds.saturating_sub(earlier.nanoseconds),
            user_ticks: self.user_ticks.saturating_sub(earlier.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(earlier.system_ticks),
        }
    }
}

/// Resident memory of a process, in bytes, without memory of the kernel such as socket buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    /// Without the pages of files, such as the program and its libraries.
    pub(crate) anonymous: u64,
}

/// Binds this thread, and the processes that it will start, to one core.
///
/// # Errors
///
/// Returns an error if the machine has no such core.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).map_err(|error| format!("cannot run on core {core}: {error}"))
}

impl Process {
    /// Starts a server on `server_core`; `command` returns the command for an address. The caller stays on `load_core`.
    ///
    /// # Errors
    ///
    /// Returns an error if the program cannot be started.
    pub(crate) fn start(
        command: impl FnOnce(SocketAddr) -> Result<Command>,
        server_core: usize,
        load_core: usize,
    ) -> Result<Self> {
        let address = free_address();
        let mut command = command(address)?;
        command.stdin(Stdio::null()).stdout(Stdio::null());
        // A child inherits the affinity of the thread that starts it, so it never runs on another core.
        pin(server_core)?;
        let child = command.spawn();
        pin(load_core)?;
        let child = child.map_err(|error| format!("cannot start {}: {error}", command.get_program().display()))?;
        Ok(Self { child, address })
    }

    /// Connects as soon as the server listens, with attempts without a pause, because the row `start` measures this time.
    ///
    /// # Errors
    ///
    /// Returns an error if the server ends, or does not listen within 10 seconds.
    pub(crate) fn connect_when_ready(&mut self) -> Result<TcpStream> {
        let start = Instant::now();
        loop {
            if let Ok(stream) = TcpStream::connect(self.address) {
                return Ok(stream);
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(format!("ended before it listened on {}: {status}", self.address));
            }
            if start.elapsed() > TIMEOUT {
                return Err(format!("does not listen on {} after {TIMEOUT:?}", self.address));
            }
        }
    }

    /// Waits until the server is idle: until its CPU time no longer increases.
    pub(crate) fn settle(&self) -> Result<()> {
        let start = Instant::now();
        let mut before = self.cpu_time()?;
        loop {
            thread::sleep(Duration::from_millis(20));
            let now = self.cpu_time()?;
            // Timers and clock threads may wake occasionally: less than 0.2 ms counts as idle.
            if now.nanoseconds - before.nanoseconds < 200_000 || start.elapsed() > Duration::from_secs(2) {
                return Ok(());
            }
            before = now;
        }
    }

    /// Sends a signal to the server.
    ///
    /// # Errors
    ///
    /// Returns an error if the process has ended.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).map_err(|error| format!("cannot send a signal: {error}"))
    }

    /// # Errors
    ///
    /// Returns an error if the process has ended, or if the kernel was built without schedstat.
    pub(crate) fn cpu_time(&self) -> Result<CpuTime> {
        let directory = self.proc_directory();
        let tasks = fs::read_dir(format!("{directory}/task")).map_err(|error| format!("{directory}/task: {error}"))?;
        let mut time = stat_ticks(&read(&format!("{directory}/stat"))?).unwrap_or_default();
        for task in tasks.flatten() {
            // A thread may end between the listing and the reading.
            if let Ok(text) = fs::read_to_string(task.path().join("schedstat")) {
                time.nanoseconds += schedstat_nanoseconds(&text);
            }
        }
        match time.nanoseconds {
            0 => Err(format!(
                "{directory}/task/*/schedstat is empty: the kernel needs CONFIG_SCHED_INFO"
            )),
            _ => Ok(time),
        }
    }

    /// # Errors
    ///
    /// Returns an error if the process has ended.
    pub(crate) fn memory(&self) -> Result<Memory> {
        // smaps_rollup counts pages; the counters of /proc/PID/status may lag by some hundred KiB.
        let text = read(&format!("{}/smaps_rollup", self.proc_directory()))?;
        Ok(Memory {
            resident: field_bytes(&text, "Rss:"),
            anonymous: field_bytes(&text, "Anonymous:"),
        })
    }

    fn proc_directory(&self) -> String {
        format!("/proc/{}", self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A free port below the ephemeral range, and another one each time: connections of the previous one may still be in
/// TIME_WAIT.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    loop {
        let port = 20_000 + NEXT.fetch_add(1, Ordering::Relaxed) % 10_000;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

fn read(path: &str) -> Result<String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

/// User and system ticks from `/proc/PID/stat`: fields 14 and 15, counted after the name, which may contain any characters.
fn stat_ticks(text: &str) -> Option<CpuTime> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut ticks = fields.split_ascii_whitespace().skip(11).map(|field| field.parse().ok());
    Some(CpuTime {
        nanoseconds: 0,
        user_ticks: ticks.next()??,
        system_ticks: ticks.next()??,
    })
}

fn schedstat_nanoseconds(text: &str) -> u64 {
    text.split_ascii_whitespace()
        .next()
        .and_then(|field| field.parse().ok())
        .unwrap_or(0)
}

fn field_bytes(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line
        .and_then(|rest| rest.split_ascii_whitespace().next())
        .and_then(|number| number.parse().ok());
    kibibytes.unwrap_or(0_u64) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_after_a_name_with_spaces_and_brackets() {
        let text = "77 (a) b c) S 1 77 77 0 -1 4194560 103 0 0 0 12 34 0 0 20 0 1 0 1000";
        assert_eq!(
            stat_ticks(text),
            Some(CpuTime {
                nanoseconds: 0,
                user_ticks: 12,
                system_ticks: 34
            })
        );
    }

    #[test]
    fn memory_is_given_in_bytes() {
        let text = "Rss:                3000 kB\nPss:                1000 kB\nAnonymous:           124 kB\n";
        assert_eq!(
            (field_bytes(text, "Rss:"), field_bytes(text, "Anonymous:")),
            (3000 * 1024, 124 * 1024)
        );
    }

    #[test]
    fn a_process_that_worked_has_cpu_time_and_memory() {
        let child = Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process {
            child,
            address: free_address(),
        };
        while process.memory().unwrap_or_default().anonymous == 0 {
            thread::yield_now();
        }
        assert!(process.cpu_time().unwrap().nanoseconds > 0);
    }
}
