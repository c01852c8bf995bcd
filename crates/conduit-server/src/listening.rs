//! Listening sockets: their creation, their distribution among the workers, and their removal.
//!
//! On a TCP address each worker has a separate socket (`SO_REUSEPORT`): the kernel distributes the connections, and no worker
//! waits for another. All workers share a Unix socket, or a socket that the program's manager has opened.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, ToSocketAddrs};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use conduit_net::socket_activation::{self, ActivatedSocket};
use conduit_net::{
    Address, Domain, Kind, ListenOptions, Options, Protocol, Socket, TcpListener, UnixAddress, UnixListener,
    UnixStream, option,
};
use rustix::io::Errno;

use crate::address::{ListenAddress, Location, Scheme};
use crate::config::Config;
use crate::connection_info::{ConnectionInfo, PeerProcess};
use crate::descriptors::too_many_workers;
use crate::error::{Error, Result};
use crate::handover::{self, Kept, Passed, Predecessor, SocketSource};
use crate::listener_socket::ListenerSocket;
use crate::panics::emit;
use crate::transport::{TlsAcceptor, TlsConfig, Transport};

/// The placeholder address of the peer of a Unix socket.
const NO_ADDRESS: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0));
/// The length of a Unix socket's queue of connections.
const UNIX_BACKLOG: u32 = 4096;

/// The unsent data that the system buffers for a client: enough that a fast client never waits for the worker, and
/// a few percent of the socket buffer that a client which does not read would occupy.
const NOT_SENT_BYTES: usize = 128 * 1024;

/// A listening socket as a worker has it.
#[derive(Clone, Debug)]
pub(super) struct Listener {
    pub(super) socket: Arc<ListenerSocket>,
    /// The certificates, if its connections are encrypted.
    pub(super) tls: Option<Arc<dyn TlsAcceptor>>,
}

/// A connection that was accepted.
pub(super) struct Accepted {
    pub(super) transport: Transport,
    pub(super) peer: SocketAddr,
    pub(super) info: Option<Rc<ConnectionInfo>>,
}

/// The reason why no connection was accepted.
#[derive(Debug)]
pub(super) enum AcceptError {
    /// No connection is waiting.
    Empty,
    /// This client has disconnected; the next may be waiting.
    Client,
    /// The process lacks resources: no descriptor, no memory.
    System(io::Error),
}

impl Listener {
    pub(super) fn accept(&self) -> std::result::Result<Accepted, AcceptError> {
        match &*self.socket {
            ListenerSocket::Tcp(listener) => {
                let (stream, peer) = listener.accept().map_err(AcceptError::from)?;
                let mut transport = Transport::Tcp(stream);
                if let Some(tls) = &self.tls {
                    transport = Transport::Tls(tls.accept(transport).map_err(AcceptError::System)?);
                }
                Ok(Accepted {
                    transport,
                    peer,
                    info: None,
                })
            }
            ListenerSocket::Unix(listener) => {
                let (stream, _) = listener.accept().map_err(AcceptError::from)?;
                let info = unix_peer(&stream).map(|peer| {
                    Rc::new(ConnectionInfo {
                        unix: Some(peer),
                        ..ConnectionInfo::default()
                    })
                });
                Ok(Accepted {
                    transport: Transport::Unix(stream),
                    peer: NO_ADDRESS,
                    info,
                })
            }
        }
    }
}

/// The peer process, if the system reports it.
fn unix_peer(stream: &UnixStream) -> Option<PeerProcess> {
    let peer = stream.option(option::PEER_CREDENTIALS).ok()?;
    Some(PeerProcess {
        process: u32::try_from(peer.process).ok()?,
        user: peer.user,
        group: peer.group,
    })
}

impl From<io::Error> for AcceptError {
    /// Linux reports network errors of the connection at accept(2), which are treated as if no connection had waited.
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::WouldBlock {
            AcceptError::Empty
        } else if conduit_net::can_accept_after(&error) {
            AcceptError::Client
        } else {
            AcceptError::System(error)
        }
    }
}

/// The actual listening addresses of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// An IP address and its protocol.
    Ip(SocketAddr, Scheme),
    /// A Unix socket by its name.
    Unix(String),
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Ip(address, Scheme::Http) => write!(f, "http://{address}"),
            Bound::Ip(address, Scheme::Https) => write!(f, "https://{address}"),
            Bound::Unix(name) => write!(f, "unix:{name}"),
        }
    }
}

/// The listening sockets of a server.
pub struct Listening {
    pub(super) bound: Vec<Bound>,
    /// The listening sockets of each worker.
    pub(super) workers: Vec<Vec<Listener>>,
    pub(super) tls: Option<Arc<dyn TlsAcceptor>>,
    /// Removed when the server has ended.
    pub(super) files: Vec<SocketFile>,
    /// Duplicates of the sockets, for a successor.
    pub(super) kept: Vec<Kept>,
    /// The origin of the sockets, if another process has passed them.
    pub(super) predecessor: Option<Predecessor>,
}

impl Listening {
    /// Listens on these addresses, with one socket for each worker.
    pub fn on(addresses: &[ListenAddress], workers: usize, config: &Config) -> Result<Self> {
        let mut listening = Listening {
            tls: config.tls.as_deref().map(TlsConfig::load).transpose()?,
            bound: Vec::new(),
            workers: vec![Vec::new(); workers],
            files: Vec::new(),
            kept: Vec::new(),
            predecessor: None,
        };
        let mut passed = Vec::new();
        if let Some((predecessor, sockets)) = handover::take()? {
            listening.predecessor = Some(predecessor);
            passed = sockets;
        }
        let activated =
            socket_activation::take().map_err(|cause| Error::system("take the sockets of LISTEN_FDS", cause))?;
        let activated = activated
            .into_iter()
            .map(Activated::from)
            .chain(activated_before(&mut passed));
        for activated in activated {
            let origin = SocketSource::Named(activated.name.clone());
            let (bound, socket) = listening.on_activated(activated)?;
            listening.add(bound, origin, vec![socket], config)?;
        }
        if !listening.bound.is_empty() {
            return Ok(listening);
        }
        for address in addresses {
            let origin = SocketSource::Requested(address.to_string());
            if let Some(place) = passed.iter().position(|passed| passed.origin == origin) {
                let sockets = passed.swap_remove(place).sockets;
                if let Some((bound, sockets)) = listening.passed(address, sockets)? {
                    listening.add(bound, origin, sockets, config)?;
                    continue;
                }
            }
            let (bound, sockets) = match &address.place {
                Location::Ip(ip) => {
                    let scheme = listening.scheme_of(address)?;
                    let (ip, sockets) = on_ip(*ip, addresses, workers)?;
                    (Bound::Ip(ip, scheme), sockets)
                }
                Location::Host(host) => {
                    let scheme = listening.scheme_of(address)?;
                    let (ip, sockets) = on_host(host, addresses, workers)?;
                    (Bound::Ip(ip, scheme), sockets)
                }
                Location::Unix(path, mode) => {
                    let (socket, file) = on_path(path, *mode)?;
                    listening.files.push(file);
                    (Bound::Unix(path.display().to_string()), vec![socket])
                }
                Location::Abstract(name) => {
                    let unix = UnixAddress::from_abstract_name(name.as_bytes())
                        .map_err(|cause| Error::address(address.to_string(), cause))?;
                    let socket = UnixListener::bind(&unix).map_err(Error::listen)?;
                    (Bound::Unix(format!("@{name}")), vec![ListenerSocket::Unix(socket)])
                }
            };
            listening.add(bound, origin, sockets, config)?;
        }
        for passed in passed {
            emit(
                &|| tracing::warn!(address = %passed.origin, "closed a passed listener whose address is no longer configured"),
            );
        }
        if listening.bound.is_empty() {
            let nothing = io::Error::other("the list of addresses is empty");
            return Err(Error::address("", nothing));
        }
        Ok(listening)
    }

    /// Sockets of this address from the predecessor. `None` if they are unusable.
    fn passed(
        &mut self,
        address: &ListenAddress,
        sockets: Vec<Socket>,
    ) -> Result<Option<(Bound, Vec<ListenerSocket>)>> {
        let failed = |cause: io::Error| Error::address(address.to_string(), cause);
        let Some(first) = sockets.first() else {
            return Ok(None);
        };
        let bound = match &address.place {
            Location::Ip(_) | Location::Host(_) => match first.local_address().map_err(failed)? {
                Address::Ip(ip) => Bound::Ip(ip, self.scheme_of(address)?),
                other => {
                    let why = format!("the previous process passed a socket at {other}");
                    return Err(failed(io::Error::other(why)));
                }
            },
            Location::Unix(path, _) => {
                // Without its file no client can connect to it.
                let Ok(file) = SocketFile::of(path) else {
                    return Ok(None);
                };
                self.files.push(file);
                Bound::Unix(path.display().to_string())
            }
            Location::Abstract(name) => Bound::Unix(format!("@{name}")),
        };
        let listens = |socket: Socket| match &bound {
            Bound::Ip(..) => ListenerSocket::Tcp(socket.into()),
            Bound::Unix(_) => ListenerSocket::Unix(socket.into()),
        };
        let sockets = sockets.into_iter().map(listens).collect();
        Ok(Some((bound, sockets)))
    }

    /// A socket that the service manager has opened. Its name chooses between HTTP and HTTPS.
    fn on_activated(&self, activated: Activated) -> Result<(Bound, ListenerSocket)> {
        let Activated {
            socket,
            name,
            description,
        } = activated;
        let failed = |cause: io::Error| Error::system("listen on a socket of LISTEN_FDS", cause);
        match socket.local_address().map_err(failed)? {
            Address::Ip(ip) => {
                let named = match name.as_str() {
                    "http" => Some(Scheme::Http),
                    "https" => Some(Scheme::Https),
                    _ => None,
                };
                let scheme = self.scheme(named).ok_or_else(|| {
                    let why = format!("{description} needs certificates: call App::tls");
                    failed(io::Error::other(why))
                })?;
                // Accepted connections inherit it.
                socket.set_option(option::NO_DELAY, true).map_err(Error::listen)?;
                if option::NOT_SENT_LOW_WATER.is_supported() {
                    socket
                        .set_option(option::NOT_SENT_LOW_WATER, NOT_SENT_BYTES)
                        .map_err(Error::listen)?;
                }
                Ok((Bound::Ip(ip, scheme), ListenerSocket::Tcp(socket.into())))
            }
            Address::Unix(unix) => {
                let name = match (unix.path_bytes(), unix.abstract_name()) {
                    (Some(path), _) => String::from_utf8_lossy(path).into_owned(),
                    (None, Some(name)) => format!("@{}", String::from_utf8_lossy(name)),
                    (None, None) => description,
                };
                Ok((Bound::Unix(name), ListenerSocket::Unix(socket.into())))
            }
            other => {
                let why = format!("{description} is at {other}, which is neither an IP address nor a Unix socket");
                Err(failed(io::Error::other(why)))
            }
        }
    }

    /// The protocol at an IP address: that of its text, otherwise TLS if there are certificates.
    fn scheme_of(&self, address: &ListenAddress) -> Result<Scheme> {
        self.scheme(address.scheme).ok_or_else(|| {
            let cause = io::Error::other("https:// needs certificates: call App::tls");
            Error::address(address.to_string(), cause)
        })
    }

    /// `None` for TLS without certificates.
    fn scheme(&self, asked: Option<Scheme>) -> Option<Scheme> {
        if asked == Some(Scheme::Https) && self.tls.is_none() {
            return None;
        }
        let usual = if self.tls.is_some() {
            Scheme::Https
        } else {
            Scheme::Http
        };
        Some(asked.unwrap_or(usual))
    }

    /// The port to which clients on plain TCP are redirected, if they are.
    pub(super) fn redirect(&self) -> Option<u16> {
        self.tls.as_ref().filter(|tls| tls.redirects())?;
        self.bound.iter().find_map(|bound| match bound {
            Bound::Ip(address, Scheme::Https) => Some(address.port()),
            _ => None,
        })
    }

    /// No socket and one worker: connections come from this process's memory.
    #[cfg(feature = "testing")]
    pub fn in_process() -> Self {
        Listening {
            bound: Vec::new(),
            workers: vec![Vec::new()],
            tls: None,
            files: Vec::new(),
            kept: Vec::new(),
            predecessor: None,
        }
    }

    /// Distributes the sockets of one address: one for each worker, or shared ones if there are fewer.
    fn add(&mut self, bound: Bound, origin: SocketSource, sockets: Vec<ListenerSocket>, config: &Config) -> Result {
        for socket in &sockets {
            socket.set_keep_alive(config.tcp_keep_alive).map_err(Error::listen)?;
        }
        let sockets: Vec<Arc<ListenerSocket>> = sockets.into_iter().map(Arc::new).collect();
        let workers = self.workers.len();
        let tls = self
            .tls
            .as_ref()
            .filter(|_| matches!(bound, Bound::Ip(_, Scheme::Https)));
        for turn in 0..workers.max(sockets.len()) {
            self.workers[turn % workers].push(Listener {
                socket: Arc::clone(&sockets[turn % sockets.len()]),
                tls: tls.cloned(),
            });
        }
        self.bound.push(bound);
        self.kept.push((origin, sockets));
        Ok(())
    }
}

/// A socket that the service manager has opened, for this process or for its predecessor.
struct Activated {
    socket: Socket,
    name: String,
    /// The socket in an error message.
    description: String,
}

impl From<ActivatedSocket> for Activated {
    fn from(activated: ActivatedSocket) -> Self {
        Activated {
            description: activated.to_string(),
            socket: activated.socket,
            name: activated.name,
        }
    }
}

/// Takes the sockets that the service manager opened for the predecessor out of those that the predecessor passed.
fn activated_before(passed: &mut Vec<Passed>) -> Vec<Activated> {
    let activated = |Passed { origin, sockets }: Passed| match origin {
        SocketSource::Requested(_) => Vec::new(),
        SocketSource::Named(name) => {
            let description = format!("a socket of the predecessor ({name:?})");
            let activated = |socket| Activated {
                socket,
                name: name.clone(),
                description: description.clone(),
            };
            sockets.into_iter().map(activated).collect()
        }
    };
    passed
        .extract_if(.., |passed| matches!(passed.origin, SocketSource::Named(_)))
        .flat_map(activated)
        .collect()
}

fn on_host(host: &str, all: &[ListenAddress], workers: usize) -> Result<(SocketAddr, Vec<ListenerSocket>)> {
    let mut failed = Error::address(host, io::Error::other("the name has no address"));
    let addresses = host.to_socket_addrs().map_err(|cause| Error::address(host, cause))?;
    for address in addresses {
        match on_ip(address, all, workers) {
            Ok(listening) => return Ok(listening),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// A socket for each worker, so that the kernel distributes the connections and no worker waits for another.
fn on_ip(address: SocketAddr, all: &[ListenAddress], workers: usize) -> Result<(SocketAddr, Vec<ListenerSocket>)> {
    // Workers share one socket on systems whose sockets cannot share a port.
    let workers = if option::REUSE_PORT.is_supported() { workers } else { 1 };
    // `[::]` includes IPv4 on some systems, and its port would conflict with `0.0.0.0` in the same list.
    let beside_v4 = address.is_ipv6()
        && all.iter().any(
            |other| matches!(other.place, Location::Ip(SocketAddr::V4(other)) if other.port() == address.port() && other.port() != 0),
        );
    let mut options = ListenOptions::new().no_delay(true).reuse_port(workers > 1);
    if option::NOT_SENT_LOW_WATER.is_supported() {
        options = options.not_sent_low_water_bytes(NOT_SENT_BYTES);
    }
    if beside_v4 {
        options = options.only_v6(true);
    }
    if workers > 1 {
        refuse_taken(address, beside_v4).map_err(|error| listen_error(error, workers))?;
    }
    let failed = |error| listen_error(error, workers);
    let first = TcpListener::bind(address, &options).map_err(failed)?;
    let address = first
        .local_addr()
        .map_err(|cause| Error::system("read the listening address", cause))?;
    let mut sockets = vec![ListenerSocket::Tcp(first)];
    while sockets.len() < workers {
        let socket = TcpListener::bind(address, &options).map_err(failed)?;
        sockets.push(ListenerSocket::Tcp(socket));
    }
    Ok((address, sockets))
}

/// Fails if another process listens on the address. Workers share it by SO_REUSEPORT, which by itself would also allow a
/// second program of the same user to take a part of the first one's connections.
fn refuse_taken(address: SocketAddr, only_v6: bool) -> std::result::Result<(), conduit_net::Error> {
    let domain = if address.is_ipv4() { Domain::V4 } else { Domain::V6 };
    let socket = Socket::new(domain, Kind::STREAM, Protocol::DEFAULT)?;
    socket.set_option(option::REUSE_ADDRESS, true)?;
    if only_v6 {
        socket.set_option(option::ONLY_V6, true)?;
    }
    socket.bind(&Address::Ip(address))
}

/// The error of one of `workers` listening sockets at an IP address. The remedies of the socket's error for a port in use and for a
/// missing descriptor are those of another program.
fn listen_error(error: conduit_net::Error, workers: usize) -> Error {
    match (error.raw_os_error().map(Errno::from_raw_os_error), error.address()) {
        (Some(Errno::ADDRINUSE), Some(address)) => Error::in_use(address),
        (Some(Errno::MFILE), _) if workers > 1 => too_many_workers(workers),
        _ => Error::listen(error),
    }
}

/// Listens on a path. A stale file of a server that no longer runs is removed first.
fn on_path(path: &Path, mode: Option<u32>) -> Result<(ListenerSocket, SocketFile)> {
    let failed = |cause: io::Error| Error::address(format!("unix:{}", path.display()), cause);
    let address = UnixAddress::from_path(path).map_err(|cause| {
        failed(io::Error::other(match Errno::from_io_error(&cause) {
            Some(Errno::NAMETOOLONG) => {
                "the path of a Unix socket has at most 107 bytes (103 on macOS and the BSDs): use a shorter one"
            }
            _ => "the path of a Unix socket must not be empty or contain a zero byte: use another one",
        }))
    })?;
    let _lock = lock_directory(path);
    if is_stale(path, &address) {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    let socket = Socket::new(Domain::UNIX, Kind::STREAM, Protocol::DEFAULT).map_err(Error::listen)?;
    socket.bind(&Address::Unix(address)).map_err(Error::listen)?;
    let file = SocketFile::of(path).map_err(failed)?;
    // Before it listens: until then no client can connect, so the permissions of the umask never apply.
    if let Some(mode) = mode {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    }
    socket.listen(UNIX_BACKLOG).map_err(Error::listen)?;
    Ok((ListenerSocket::Unix(socket.into()), file))
}

/// Excludes other starts at the same path until the new socket listens: before, its file looks stale. The lock is that of the
/// directory, flock(2), because the file is replaced. `None` if the process must not read the directory, or if another
/// program holds the lock for more than a second.
fn lock_directory(path: &Path) -> Option<File> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = File::open(parent.unwrap_or(Path::new("."))).ok()?;
    for _ in 0..100 {
        match directory.try_lock() {
            Ok(()) => return Some(directory),
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(TryLockError::Error(_)) => return None,
        }
    }
    None
}

/// Returns whether the path is a socket without a listener.
fn is_stale(path: &Path, address: &UnixAddress) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    is_socket
        && UnixStream::connect(address)
            .is_err_and(|error| error.raw_os_error() == Some(Errno::CONNREFUSED.raw_os_error()))
}

/// The file of a Unix socket, which is removed when this is dropped, unless another server has replaced it.
#[derive(Debug)]
pub(super) struct SocketFile {
    path: PathBuf,
    /// Its device and inode: they identify the file.
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(SocketFile {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }
}

impl SocketFile {
    /// Keeps the file, which belongs to another process now.
    pub(super) fn leave(self) {
        std::mem::forget(self);
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            // No caller could receive an error; the next server removes the file.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = std::fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_belongs_to_one_client_does_not_concern_the_others() {
        for errno in [
            Errno::PROTO,
            Errno::NETDOWN,
            Errno::HOSTUNREACH,
            Errno::CONNABORTED,
            Errno::CONNRESET,
            Errno::TIMEDOUT,
        ] {
            assert!(
                matches!(AcceptError::from(io::Error::from(errno)), AcceptError::Client),
                "{errno}"
            );
        }
        // A security module returns EPERM before a connection is taken from the queue, also for the next one.
        for errno in [
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOBUFS,
            Errno::NOMEM,
            Errno::BADF,
            Errno::PERM,
            Errno::OPNOTSUPP,
        ] {
            assert!(
                matches!(AcceptError::from(io::Error::from(errno)), AcceptError::System(_)),
                "{errno}"
            );
        }
        assert!(matches!(
            AcceptError::from(io::Error::from(Errno::WOULDBLOCK)),
            AcceptError::Empty
        ));
    }

    #[test]
    fn two_starts_at_one_path_leave_one_server() {
        let directory = std::env::temp_dir().join(format!("conduit-listening-{}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a directory");
        let path = directory.join("socket");
        for round in 0..300 {
            // The file of a server that has ended.
            drop(std::os::unix::net::UnixListener::bind(&path).expect("a socket"));
            let barrier = std::sync::Barrier::new(2);
            let start = || {
                barrier.wait();
                on_path(&path, None)
            };
            let started = std::thread::scope(|scope| {
                [scope.spawn(start), scope.spawn(start)].map(|thread| thread.join().expect("no panic"))
            });
            let servers = started.iter().filter(|started| started.is_ok()).count();
            assert_eq!(servers, 1, "round {round}: {started:?}");
            std::os::unix::net::UnixStream::connect(&path).expect("a listener at the path");
        }
        std::fs::remove_dir_all(&directory).expect("the directory");
    }

    #[test]
    fn error_of_a_path_has_its_cause() {
        for (path, expected) in [
            ("/run/\0", "must not be empty or contain a zero byte"),
            (&*format!("/run/{}", "x".repeat(200)), "at most 107 bytes"),
        ] {
            let error = on_path(Path::new(path), None).expect_err("an unusable path");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
