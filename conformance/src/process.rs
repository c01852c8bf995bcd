//! A server in a separate process: its start, its resources, and its end.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;

use rustls::ClientConfig;

use crate::certificate::Certificate;
use crate::stream::Door;

/// A running program `target`, which is killed on drop.
pub struct Target {
    child: Child,
    address: SocketAddr,
    /// The address of its listener for TLS, with a client configuration that trusts it.
    secure: Option<(SocketAddr, Arc<ClientConfig>)>,
}

impl Target {
    /// Starts the program, which is in the directory of the current one.
    ///
    /// # Panics
    ///
    /// Panics if the program does not exist, or does not print its addresses.
    #[must_use]
    pub fn start(arguments: &[&str]) -> Self {
        let (child, [address]) = spawn(arguments);
        Self {
            child,
            address,
            secure: None,
        }
    }

    /// Starts the program as [`start`](Self::start) does, with a second port over TLS and a new certificate.
    ///
    /// # Panics
    ///
    /// Panics as [`start`](Self::start) does.
    #[must_use]
    pub fn start_with_tls(arguments: &[&str]) -> Self {
        let certificate = Certificate::make();
        // The program has read the files when it prints its addresses.
        let files = certificate.files();
        let paths = [files.chain(), files.key()].map(|path| path.to_str().expect("a path of ours"));
        let (child, [address, secure]) = spawn(&[arguments, &paths].concat());
        Self {
            child,
            address,
            secure: Some((secure, Arc::clone(certificate.clients()))),
        }
    }

    /// Returns the addresses of its listeners: plain TCP, and TLS if it was started with TLS.
    pub fn doors(&self) -> impl Iterator<Item = Door> {
        let secure = self.secure.as_ref();
        let secure = secure.map(|(address, config)| Door::Https(*address, Arc::clone(config)));
        std::iter::once(Door::Http(self.address)).chain(secure)
    }

    /// Returns the address of its listener for plain TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the number of open descriptors.
    ///
    /// # Panics
    ///
    /// Panics if the process has ended.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        let directory = format!("/proc/{}/fd", self.child.id());
        std::fs::read_dir(directory).expect("the server runs").count()
    }

    /// Returns its resident memory in KiB.
    ///
    /// # Panics
    ///
    /// Panics if the process has ended.
    #[must_use]
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.expect("Linux reports it")
    }

    /// Returns its [`proportional_kib`].
    ///
    /// # Panics
    ///
    /// Panics if the process has ended.
    #[must_use]
    pub fn proportional_kib(&self) -> u64 {
        proportional_kib(self.child.id())
    }

    /// Ends the process with SIGTERM, as an operator does.
    ///
    /// # Panics
    ///
    /// Panics if waiting for the process fails.
    pub fn stop(mut self) -> ExitStatus {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is our child");
        self.child.wait().expect("it is our child")
    }
}

/// The proportional set size in KiB: private pages, and a share of shared pages.
///
/// # Panics
///
/// If the process does not exist or belongs to another user.
#[must_use]
pub fn proportional_kib(process: u32) -> u64 {
    let sums = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).expect("the process runs");
    let line = sums.lines().find_map(|line| line.strip_prefix("Pss:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("Linux reports it")
}

/// Raises this process's limit of descriptors as far as it may, and returns the new limit.
#[must_use]
pub fn descriptor_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let most = getrlimit(Resource::Nofile).maximum;
    let raised = Rlimit {
        current: most,
        maximum: most,
    };
    // If the call fails, the limit is unchanged.
    let _ = setrlimit(Resource::Nofile, raised);
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Starts the program with these arguments, and reads its addresses.
fn spawn<const PORTS: usize>(arguments: &[&str]) -> (Child, [SocketAddr; PORTS]) {
    let program = std::env::current_exe().expect("a program has a path");
    let mut target: PathBuf = program.with_file_name("target");
    if !target.exists() {
        // The programs of tests are in a subdirectory.
        target = program.parent().expect("a directory").with_file_name("target");
    }
    let mut child = Command::new(&target)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}; build the package's programs first", target.display()));
    let mut lines = BufReader::new(child.stdout.take().expect("the output is piped")).lines();
    let addresses = [(); PORTS].map(|()| {
        let line = lines.next().and_then(Result::ok).expect("it prints its addresses");
        let address = line.split_once("://").expect("a scheme and an address").1;
        address.parse().expect("an address")
    });
    (child, addresses)
}

impl Drop for Target {
    fn drop(&mut self) {
        // It has ended already where `stop` was called.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
