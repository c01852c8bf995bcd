//! A Redis server of a test, which can be stopped and started again with its data.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A server with a Unix socket in a temporary directory, which is removed at the end.
#[allow(dead_code, reason = "not each test file stops the server")]
pub(crate) struct RedisServer {
    child: Child,
    directory: PathBuf,
    arguments: Vec<String>,
}

#[allow(dead_code, reason = "not each test file uses all of these")]
impl RedisServer {
    /// Starts a server that keeps its data across restarts. `None` where Redis is not installed. The default of `appendfsync`
    /// delays writes while the disk is busy, so that a kill could lose them.
    pub(crate) fn durable() -> Option<Self> {
        RedisServer::with(&["--appendonly", "yes", "--appendfsync", "always"])
    }

    /// Starts a server whose end loses its data.
    pub(crate) fn volatile() -> Option<Self> {
        RedisServer::with(&["--appendonly", "no"])
    }

    /// Starts a server with TLS on this port, with a certificate and its key in PEM. `None` where the port is taken, too.
    pub(crate) fn tls(port: u16, certificate: &str, key: &str) -> Option<Self> {
        let arguments = [
            "--appendonly",
            "no",
            "--bind",
            "127.0.0.1",
            "--tls-auth-clients",
            "no",
            "--tls-port",
        ];
        let mut arguments: Vec<String> = arguments.map(str::to_owned).to_vec();
        arguments.push(port.to_string());
        RedisServer::in_directory(arguments, |directory| {
            let mut files = Vec::new();
            for (name, pem) in [("cert", certificate), ("key", key)] {
                let file = directory.join(name);
                std::fs::write(&file, pem).expect("a file");
                files.extend([format!("--tls-{name}-file"), file.display().to_string()]);
            }
            files
        })
    }

    fn with(arguments: &[&str]) -> Option<Self> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        RedisServer::in_directory(arguments, |_| Vec::new())
    }

    fn in_directory(mut arguments: Vec<String>, files: impl FnOnce(&Path) -> Vec<String>) -> Option<Self> {
        static NUMBERS: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let name = format!("conduit-redis-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        // A killed process with this id may have left it.
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir(&directory).expect("a directory");
        arguments.extend(files(&directory));
        let Some(child) = spawn(&directory, &arguments) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "CI needs Redis: apt-get install redis-server"
            );
            eprintln!("SKIPPED: no Redis is installed (apt-get install redis-server)");
            let _ = std::fs::remove_dir(directory);
            return None;
        };
        let mut server = RedisServer {
            child,
            directory,
            arguments,
        };
        server.wait().then_some(server)
    }

    pub(crate) fn url(&self) -> String {
        format!("redis+unix://{}/socket", self.directory.display())
    }

    /// Executes a command without spaces in its arguments.
    pub(crate) fn execute(&self, command: &str) {
        let mut stream = UnixStream::connect(self.directory.join("socket")).expect("a connection");
        stream
            .write_all(format!("{command}\r\n").as_bytes())
            .expect("it is sent");
        let mut reply = [0; 64];
        let count = stream.read(&mut reply).expect("a reply");
        assert!(
            reply.starts_with(b"+OK"),
            "{}",
            String::from_utf8_lossy(&reply[..count])
        );
    }

    /// Ends the server with a signal, and waits for its end.
    pub(crate) fn stop(&mut self, signal: Signal) {
        // It may have ended.
        let _ = kill_process(Pid::from_child(&self.child), signal);
        let _ = self.child.wait();
        let _ = std::fs::remove_file(self.directory.join("socket"));
    }

    /// Starts the server again, with the data that it has kept.
    pub(crate) fn start(&mut self) {
        self.child = spawn(&self.directory, &self.arguments).expect("it was started before");
        assert!(self.wait(), "the server does not start again");
    }

    /// Waits until the server has loaded its data. Returns whether it has: its port may be taken.
    fn wait(&mut self) -> bool {
        let deadline = Instant::now() + Duration::from_secs(60);
        let log = || std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
        while !log().contains("eady to accept connections") || !self.directory.join("socket").exists() {
            assert!(Instant::now() < deadline, "Redis does not start: {}", log());
            if log().contains("Address already in use") {
                return false;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

/// Starts the program; `None` where it is not installed. Valkey and other servers: `CONDUIT_TEST_REDIS_SERVER`.
fn spawn(directory: &Path, arguments: &[String]) -> Option<Child> {
    let program = std::env::var_os("CONDUIT_TEST_REDIS_SERVER").unwrap_or_else(|| "redis-server".into());
    let _ = std::fs::remove_file(directory.join("log"));
    let mut command = Command::new(program);
    command
        .args(["--port", "0", "--save", "", "--unixsocket"])
        .arg(directory.join("socket"))
        .arg("--dir")
        .arg(directory)
        .arg("--logfile")
        .arg(directory.join("log"))
        .args(arguments);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().ok()
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.stop(Signal::KILL);
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
