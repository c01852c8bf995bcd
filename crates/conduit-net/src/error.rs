//! Errors of socket operations, with their remedies.

#[cfg_attr(feature = "std", path = "error/with_std.rs")]
#[cfg_attr(not(feature = "std"), path = "error/without_std.rs")]
mod conversions;

use crate::{Address, VsockAddress, io};
use core::fmt;
use core::net::SocketAddr;
use rustix::io::Errno;

/// A failed socket operation: the operation, the address, the cause and, if known, the remedy.
///
/// ```
/// # use conduit_net::{ListenOptions, TcpListener};
/// let taken = TcpListener::bind("127.0.0.1:0".parse()?, &ListenOptions::new())?.local_addr()?;
/// # let first = TcpListener::bind(taken, &ListenOptions::new())?;
/// let error = TcpListener::bind(taken, &ListenOptions::new()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     format!(
///         "cannot bind {taken}: address in use (EADDRINUSE); another socket uses the port: stop it, choose another port, \
///          or set reuse_port on every listener of this port"
///     )
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// `?` converts it into a [`std::io::Error`] with the same kind and text; the reverse conversion restores such an
/// `Error`.
#[derive(Debug)]
pub struct Error {
    operation: Operation,
    subject: Subject,
    privilege: Option<&'static str>,
    cause: io::Error,
}

/// The operation that failed with an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Creating a socket: socket(2).
    Open,
    /// Binding a socket to a local address: bind(2).
    Bind,
    /// Listening for connections: listen(2).
    Listen,
    /// Connecting: connect(2).
    Connect,
    /// Waiting for a connection with a timeout: accept(2).
    Accept,
    /// Setting the option of this name: setsockopt(2).
    Option(&'static str),
    /// Reading the option of this name: getsockopt(2).
    ReadOption(&'static str),
    /// Resolving a host name: getaddrinfo(3).
    Resolve,
    /// Another operation, from a [`std::io::Error`] of another origin.
    Other,
}

impl Error {
    /// The operation that failed.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The IP address of the operation.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.subject {
            Subject::Ip(address) => Some(address),
            _ => None,
        }
    }

    /// The error number of the system, if the system reported the cause.
    pub fn raw_os_error(&self) -> Option<i32> {
        Some(io::errno(&self.cause)?.raw_os_error())
    }

    /// The remedy, if one is known.
    pub fn remedy(&self) -> Option<&'static str> {
        use Operation::{Accept, Bind, Connect, Listen, Open, Option as Set, ReadOption as Get};
        let errno = io::errno(&self.cause)?;
        let privileged_port = self
            .address()
            .is_some_and(|address| (1..1024).contains(&address.port()));
        let named = matches!(self.subject, Subject::Name(_));
        Some(match (self.operation, errno) {
            (Bind, Errno::ACCESS) if privileged_port => {
                "ports below 1024 require CAP_NET_BIND_SERVICE: choose a higher port"
            }
            (Bind, Errno::ADDRINUSE) if named => {
                "the path or name is in use: remove the file if no server uses it, or choose another"
            }
            (Bind | Listen, Errno::ADDRINUSE) => {
                "another socket uses the port: stop it, choose another port, or set reuse_port on every listener of this port"
            }
            (Bind, Errno::ADDRNOTAVAIL) => {
                "no interface of this machine has this address: bind 0.0.0.0 or [::] for all interfaces, or the address of one"
            }
            (Bind, Errno::NOENT) => "the directory of the path does not exist: create it",
            (Bind | Connect, Errno::NODEV) => {
                "no interface has the index in the address: `ip link` lists the interfaces"
            }
            (Bind | Connect, Errno::AFNOSUPPORT) => {
                "this system does not support this kind of address: use another one"
            }
            (Connect, Errno::NOENT) => "the path does not exist: check the path, and that the server is running",
            (Connect, Errno::ADDRNOTAVAIL) => {
                "no local port is free, or the address is not valid for connecting: check the address, or close connections"
            }
            (Connect, Errno::CONNREFUSED) if named => "no server listens at the path: check that the server is running",
            (Connect, Errno::AGAIN) if named => "the queue of the server is full: try again later",
            (Connect, Errno::CONNREFUSED) => {
                "no server listens on the port: check the port, and that the server is running"
            }
            (Connect, Errno::TIMEDOUT) => {
                "no response from the address: check the address, the route and the firewalls"
            }
            (Connect, Errno::NETUNREACH | Errno::HOSTUNREACH) => {
                "there is no route to this address: check the network, or use the other IP version"
            }
            (Accept, Errno::TIMEDOUT) => "no connection arrived within the timeout: increase the timeout",
            (Open, Errno::AFNOSUPPORT) => {
                "this system does not support this kind of address: use another one, such as the other IP version"
            }
            (Open, Errno::PERM | Errno::ACCESS) => {
                "raw sockets require CAP_NET_RAW, and a sandbox may forbid other kinds: grant it to the process"
            }
            (Open, Errno::MFILE) => {
                "the process has reached its limit of descriptors: raise it (ulimit -n) or close some"
            }
            (Open, Errno::NFILE) => {
                "the system has reached its limit of descriptors: raise it (fs.file-max) or close some"
            }
            (Set(_), Errno::PERM | Errno::ACCESS) => self
                .privilege
                .unwrap_or("the process lacks a privilege that this option requires"),
            (Set(_), Errno::NODEV) => "no interface has this name or index: `ip link` lists the interfaces",
            (Set(_), Errno::ALREADY) => {
                "the socket may have a ZeroCopy: create one for each socket, without setting the option before"
            }
            (Set(_) | Get(_), Errno::NOPROTOOPT | Errno::OPNOTSUPP) => {
                "this system or this kind of socket does not support the option: remove it"
            }
            _ => return None,
        })
    }

    pub(crate) fn new(operation: Operation, subject: impl Into<Subject>, cause: impl Into<io::Error>) -> Error {
        Error {
            operation,
            subject: subject.into(),
            privilege: None,
            cause: cause.into(),
        }
    }

    pub(crate) fn with_privilege(mut self, privilege: Option<&'static str>) -> Error {
        self.privilege = privilege;
        self
    }

    pub(crate) fn on(mut self, subject: impl Into<Subject>) -> Error {
        self.subject = subject.into();
        self
    }

    pub(crate) fn into_cause(self) -> io::Error {
        self.cause
    }

    #[cfg_attr(not(feature = "std"), expect(dead_code, reason = "error kinds exist only in std"))]
    pub(crate) fn cause(&self) -> &io::Error {
        &self.cause
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, joint) = match self.operation {
            Operation::Open => ("open a socket", " for"),
            Operation::Bind => ("bind", ""),
            Operation::Listen => ("listen", " on"),
            Operation::Connect => ("connect", " to"),
            Operation::Accept => ("accept", " on"),
            Operation::Option(_) => ("set", " for"),
            Operation::ReadOption(_) => ("read", " for"),
            Operation::Resolve => ("resolve the host", ""),
            Operation::Other => ("read or write", " on"),
        };
        write!(f, "cannot {verb}")?;
        if let Operation::Option(name) | Operation::ReadOption(name) = self.operation {
            write!(f, " {name}")?;
        }
        if !matches!(self.subject, Subject::Nothing) {
            write!(f, "{joint} {}", self.subject)?;
        }
        match io::errno(&self.cause).and_then(name_and_meaning) {
            Some((name, meaning)) => write!(f, ": {meaning} ({name})")?,
            None => write!(f, ": {}", self.cause)?,
        }
        match self.remedy() {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

/// The object of the operation. It has no heap memory, so that errors work without `std`.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    Nothing,
    Ip(SocketAddr),
    Vsock(VsockAddress),
    Name(NamePrefix),
}

/// The prefix of a path or host name.
#[derive(Clone, Debug)]
pub(crate) struct NamePrefix {
    bytes: [u8; 64],
    /// `length <= 64`
    length: u8,
    cut: bool,
}

impl NamePrefix {
    fn new(mark: &[u8], text: &[u8]) -> NamePrefix {
        let mut name = NamePrefix {
            bytes: [0; 64],
            length: 0,
            cut: mark.len() + text.len() > 64,
        };
        for (place, &byte) in name.bytes.iter_mut().zip(mark.iter().chain(text)) {
            *place = byte;
            name.length += 1;
        }
        name
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Nothing => Ok(()),
            Subject::Ip(address) => address.fmt(f),
            Subject::Vsock(address) => address.fmt(f),
            Subject::Name(name) => {
                let end = if name.cut { "…" } else { "" };
                write!(f, "{}{end}", name.bytes[..usize::from(name.length)].escape_ascii())
            }
        }
    }
}

impl From<SocketAddr> for Subject {
    fn from(address: SocketAddr) -> Subject {
        Subject::Ip(address)
    }
}

impl From<Option<SocketAddr>> for Subject {
    fn from(address: Option<SocketAddr>) -> Subject {
        address.map_or(Subject::Nothing, Subject::Ip)
    }
}

impl From<&str> for Subject {
    fn from(text: &str) -> Subject {
        Subject::Name(NamePrefix::new(b"", text.as_bytes()))
    }
}

impl From<&Address> for Subject {
    fn from(address: &Address) -> Subject {
        match address {
            Address::Ip(address) => Subject::Ip(*address),
            Address::Vsock(address) => Subject::Vsock(*address),
            Address::Unix(address) => match (address.path_bytes(), address.abstract_name()) {
                (Some(path), _) => Subject::Name(NamePrefix::new(b"", path)),
                (None, Some(name)) => Subject::Name(NamePrefix::new(b"@", name)),
                (None, None) => Subject::Nothing,
            },
            Address::Other(_) => Subject::Nothing,
        }
    }
}

/// The name of an error number in errno(3), and its meaning for a socket: the same text on every system.
fn name_and_meaning(errno: Errno) -> Option<(&'static str, &'static str)> {
    Some(match errno {
        Errno::ACCESS => ("EACCES", "permission denied"),
        Errno::ADDRINUSE => ("EADDRINUSE", "address in use"),
        Errno::ADDRNOTAVAIL => ("EADDRNOTAVAIL", "address not available"),
        Errno::AFNOSUPPORT => ("EAFNOSUPPORT", "address family not supported"),
        Errno::AGAIN => ("EAGAIN", "not ready"),
        Errno::ALREADY => ("EALREADY", "already in progress"),
        Errno::BADF => ("EBADF", "not a descriptor"),
        Errno::CONNABORTED => ("ECONNABORTED", "connection aborted"),
        Errno::CONNREFUSED => ("ECONNREFUSED", "connection refused"),
        Errno::CONNRESET => ("ECONNRESET", "connection reset by the peer"),
        Errno::HOSTUNREACH => ("EHOSTUNREACH", "host unreachable"),
        Errno::INVAL => ("EINVAL", "invalid value"),
        Errno::ISCONN => ("EISCONN", "already connected"),
        Errno::MFILE => ("EMFILE", "too many descriptors in this process"),
        Errno::NETUNREACH => ("ENETUNREACH", "network unreachable"),
        Errno::NFILE => ("ENFILE", "too many descriptors in the system"),
        Errno::NOENT => ("ENOENT", "no such path"),
        Errno::NODEV => ("ENODEV", "no such device"),
        Errno::NOBUFS => ("ENOBUFS", "no buffer space"),
        Errno::NOMEM => ("ENOMEM", "no memory"),
        Errno::NOPROTOOPT => ("ENOPROTOOPT", "no such option"),
        Errno::NOTCONN => ("ENOTCONN", "not connected"),
        Errno::NOTSOCK => ("ENOTSOCK", "not a socket"),
        Errno::OPNOTSUPP => ("EOPNOTSUPP", "not supported"),
        Errno::PERM => ("EPERM", "not permitted"),
        Errno::PIPE => ("EPIPE", "closed for writing"),
        Errno::TIMEDOUT => ("ETIMEDOUT", "timed out"),
        _ => return None,
    })
}
