//! nginx and h2o as foreground processes, with the files that they serve.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use conduit_conformance::certificate::{Certificate, Files};
use conduit_conformance::process::proportional_kib;
use conduit_conformance::stream::Door;

use crate::clients::exchange;

/// A server for the comparison with Conduit, and the text of its configuration.
#[derive(Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    configuration: fn(&Site<'_>) -> String,
}

/// The servers, with two threads or workers and deadlines and limits like those that Conduit has by default.
pub(crate) const PEERS: [Peer; 2] = [
    Peer {
        name: "nginx",
        configuration: nginx,
    },
    Peer {
        name: "h2o",
        configuration: h2o,
    },
];

/// The addresses and the files of a server.
struct Site<'a> {
    http: SocketAddr,
    https: SocketAddr,
    directory: &'a Path,
    files: &'a Files,
}

fn nginx(site: &Site<'_>) -> String {
    let Site { http, https, .. } = site;
    let (at, chain, key) = (
        site.directory.display(),
        site.files.chain().display(),
        site.files.key().display(),
    );
    format!(
        "daemon off; pid {at}/pid; error_log /dev/null; worker_processes 2; worker_rlimit_nofile 20000;
        events {{ worker_connections 19000; }}
        http {{
            access_log off; sendfile on; root {at}; client_body_temp_path {at}/body; proxy_temp_path {at}/proxy;
            fastcgi_temp_path {at}/fastcgi; uwsgi_temp_path {at}/uwsgi; scgi_temp_path {at}/scgi;
            client_header_timeout 10; client_body_timeout 10; send_timeout 10; keepalive_timeout 75;
            keepalive_requests 1000000; client_max_body_size 2m; large_client_header_buffers 4 4k;
            server {{
                listen {http} reuseport;
                listen {https} ssl http2 reuseport;
                ssl_certificate {chain}; ssl_certificate_key {key}; ssl_protocols TLSv1.2 TLSv1.3;
                location = /plain {{ return 200 plain; }}
                location = /echo {{ proxy_pass http://{http}/plain; }}
                location = /file {{ }}
            }}
        }}"
    )
}

/// Its file handler responds to `/plain`; `POST /echo` is a 405.
fn h2o(site: &Site<'_>) -> String {
    let [http, https] = [site.http, site.https].map(|address| {
        let (host, port) = (address.ip(), address.port());
        format!("listen:\n  host: {host}\n  port: {port}\n")
    });
    let (at, chain, key) = (
        site.directory.display(),
        site.files.chain().display(),
        site.files.key().display(),
    );
    format!(
        "num-threads: 2\nuser: root\nmax-connections: 19000\nlimit-request-body: 2097152\nhttp1-request-timeout: 10\n\
         http2-idle-timeout: 75\n{http}{https}  ssl:\n    certificate-file: {chain}\n    key-file: {key}\n\
         hosts:\n  default:\n    paths:\n      /:\n        file.dir: {at}\n"
    )
}

/// A running server, ended when it goes out of scope.
pub(crate) struct RunningPeer {
    child: Child,
    http: SocketAddr,
    https: SocketAddr,
    certificate: Certificate,
    directory: PathBuf,
    /// Readable by new workers, which read them again.
    _files: Files,
}

impl Peer {
    /// Starts the server, and waits for its first response.
    pub(crate) fn start(self) -> io::Result<RunningPeer> {
        let [http, https] = free_addresses()?;
        let certificate = Certificate::make();
        let files = certificate.files();
        let directory = std::env::temp_dir().join(format!("conduit-attack-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join("plain"), "plain")?;
        std::fs::write(directory.join("file"), vec![b'f'; 10_000_000])?;
        let configuration = (self.configuration)(&Site {
            http,
            https,
            directory: &directory,
            files: &files,
        });
        let path = directory.join("configuration");
        std::fs::write(&path, configuration)?;
        let child = Command::new(self.name)
            .arg("-c")
            .arg(path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let running = RunningPeer {
            child,
            http,
            https,
            certificate,
            directory,
            _files: files,
        };
        let answers = |door: Door| {
            let stream = door.connect(Duration::from_secs(1));
            stream.is_ok_and(|mut stream| exchange(&mut stream).is_ok())
        };
        for _ in 0..500 {
            if answers(running.door(false)) && answers(running.door(true)) {
                return Ok(running);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(io::Error::other(format!("{} does not answer", self.name)))
    }
}

impl RunningPeer {
    /// The address for clients, over plain TCP or TLS.
    pub(crate) fn door(&self, secure: bool) -> Door {
        if secure {
            Door::Https(self.https, Arc::clone(self.certificate.clients()))
        } else {
            Door::Http(self.http)
        }
    }

    /// The memory of the process and its children.
    pub(crate) fn memory_kib(&self) -> u64 {
        let master = self.child.id();
        let children = format!("/proc/{master}/task/{master}/children");
        let workers = std::fs::read_to_string(children).unwrap_or_default();
        let workers = workers.split_whitespace().filter_map(|worker| worker.parse().ok());
        std::iter::once(master).chain(workers).map(proportional_kib).sum()
    }
}

/// Returns addresses that were free a moment ago.
fn free_addresses() -> io::Result<[SocketAddr; 2]> {
    let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    Ok([listeners[0].local_addr()?, listeners[1].local_addr()?])
}

impl Drop for RunningPeer {
    fn drop(&mut self) {
        // SIGQUIT would wait for the clients; SIGTERM lets the master end its workers.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
