//! Why a socket could not be made, and what to do about it.

use rustix::io::Errno;
use std::error;
use std::fmt;
use std::io;
use std::net::SocketAddr;

/// A failed attempt to set up a socket: what was tried, on which address, why it failed and, where one is known, the remedy.
///
/// ```
/// # use conduit_net::{ListenOptions, TcpListener};
/// let taken = TcpListener::bind("127.0.0.1:0".parse()?, &ListenOptions::new())?.local_addr()?;
/// # let first = TcpListener::bind(taken, &ListenOptions::new())?;
/// let error = TcpListener::bind(taken, &ListenOptions::new()).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     format!(
///         "cannot bind {taken}: address in use (EADDRINUSE); another socket listens there: stop it, choose another port, \
///          or set reuse_port on every listener of this port"
///     )
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// It becomes an [`io::Error`] of the same kind and text with `?`; an `Error` that was made so is found again by the conversion
/// back.
#[derive(Debug)]
pub struct Error {
    operation: Operation,
    address: Option<SocketAddr>,
    cause: io::Error,
}

/// What was being done when an [`Error`] came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Making a socket: socket(2).
    Open,
    /// Giving a socket its local address: bind(2).
    Bind,
    /// Starting to take connections: listen(2).
    Listen,
    /// Making a connection: connect(2).
    Connect,
    /// Setting or reading the option of this name: setsockopt(2).
    Option(&'static str),
    /// Anything else; from an [`io::Error`] that was not one of this crate's.
    Other,
}

impl Error {
    /// What was tried.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The address that it was tried on.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The kind of the cause.
    pub fn kind(&self) -> io::ErrorKind {
        self.cause.kind()
    }

    /// The system's number for the cause, if the system reported it.
    pub fn raw_os_error(&self) -> Option<i32> {
        self.cause.raw_os_error()
    }

    /// What to do about it, where that is known.
    pub fn remedy(&self) -> Option<&'static str> {
        let errno = Errno::from_raw_os_error(self.cause.raw_os_error()?);
        let privileged_port = self
            .address
            .is_some_and(|address| (1..1024).contains(&address.port()));
        Some(match (self.operation, errno) {
            (Operation::Bind, Errno::ACCESS) if privileged_port => {
                "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher port"
            }
            (Operation::Bind | Operation::Listen, Errno::ADDRINUSE) => {
                "another socket listens there: stop it, choose another port, or set reuse_port on every listener of this port"
            }
            (Operation::Bind, Errno::ADDRNOTAVAIL) => {
                "no interface of this machine has this address: bind 0.0.0.0 or [::] for all interfaces, or one of their own"
            }
            (Operation::Connect, Errno::ADDRNOTAVAIL) => {
                "no local port is free, or this is no address to connect to: check it, or close connections"
            }
            (Operation::Connect, Errno::CONNREFUSED) => {
                "nothing listens there: check the port, and that the server runs"
            }
            (Operation::Connect, Errno::TIMEDOUT) => {
                "nothing answers there: check the address, the route and the firewalls between"
            }
            (Operation::Connect, Errno::NETUNREACH | Errno::HOSTUNREACH) => {
                "there is no route to this address: check the network, or use the other IP version"
            }
            (Operation::Open, Errno::AFNOSUPPORT) => {
                "this system has no support for the IP version: use the other one"
            }
            (Operation::Open, Errno::MFILE) => {
                "the process is at its limit of descriptors: raise it (ulimit -n) or close some"
            }
            (Operation::Open, Errno::NFILE) => {
                "the system is at its limit of descriptors: raise it (fs.file-max) or close some"
            }
            (Operation::Option(_), Errno::PERM | Errno::ACCESS) => {
                "this option needs a privilege (CAP_NET_ADMIN or CAP_NET_RAW)"
            }
            (Operation::Option(_), Errno::NOPROTOOPT | Errno::OPNOTSUPP) => {
                "this system, or this kind of socket, has no such option: leave it out"
            }
            _ => return None,
        })
    }

    pub(crate) fn new(
        operation: Operation,
        address: impl Into<Option<SocketAddr>>,
        cause: impl Into<io::Error>,
    ) -> Error {
        Error {
            operation,
            address: address.into(),
            cause: cause.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.operation, self.address) {
            (Operation::Open, Some(address)) => write!(f, "cannot open a socket for {address}")?,
            (Operation::Open, None) => f.write_str("cannot open a socket")?,
            (Operation::Bind, Some(address)) => write!(f, "cannot bind {address}")?,
            (Operation::Bind, None) => f.write_str("cannot bind")?,
            (Operation::Listen, Some(address)) => write!(f, "cannot listen on {address}")?,
            (Operation::Listen, None) => f.write_str("cannot listen")?,
            (Operation::Connect, Some(address)) => write!(f, "cannot connect to {address}")?,
            (Operation::Connect, None) => f.write_str("cannot connect")?,
            (Operation::Option(name), Some(address)) => {
                write!(f, "cannot set {name} for {address}")?
            }
            (Operation::Option(name), None) => write!(f, "cannot set {name}")?,
            (Operation::Other, Some(address)) => write!(f, "input or output failed on {address}")?,
            (Operation::Other, None) => f.write_str("input or output failed")?,
        }
        match self.cause.raw_os_error().and_then(name_and_meaning) {
            Some((name, meaning)) => write!(f, ": {meaning} ({name})")?,
            None => write!(f, ": {}", self.cause)?,
        }
        match self.remedy() {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.cause)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        io::Error::new(error.kind(), error)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Error {
        match error.downcast::<Error>() {
            Ok(error) => error,
            Err(error) => Error::new(Operation::Other, None, error),
        }
    }
}

/// The name of an error number as in errno(3), and what it means for a socket: the same words on every system.
fn name_and_meaning(code: i32) -> Option<(&'static str, &'static str)> {
    Some(match Errno::from_raw_os_error(code) {
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
