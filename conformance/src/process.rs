//! A server in a process of its own: starting it, looking at what it holds, and ending it.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

/// The program `target`, running; killed when it goes out of scope.
pub struct Target {
    child: Child,
    address: SocketAddr,
}

impl Target {
    /// Starts the program that cargo has put beside this one.
    ///
    /// # Panics
    ///
    /// When it is not there, or does not say where it listens.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let program = std::env::current_exe().expect("a program has a path");
        let beside: PathBuf = program.with_file_name("target");
        let mut child = Command::new(&beside)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; build the package's programs first", beside.display()));
        let output = child.stdout.take().expect("it was asked for");
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .expect("it says where it listens");
        let address = line.trim().strip_prefix("Listening on http://").map(str::parse);
        Self {
            child,
            address: address.expect("the line says where").expect("an address"),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many descriptors it has open.
    ///
    /// # Panics
    ///
    /// When it does not run any more.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        let directory = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(directory).expect("the server runs").count()
    }

    /// Its resident memory in KiB.
    ///
    /// # Panics
    ///
    /// When it does not run any more.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("Linux says it")
    }

    /// Ends it with SIGTERM, as an operator does.
    ///
    /// # Panics
    ///
    /// When it cannot be waited for.
    pub fn stop(mut self) -> ExitStatus {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is our child");
        self.child.wait().expect("it is our child")
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It has ended already where `stop` was called.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
