//! Host names.

use crate::{Error, ListenOptions, Operation, TcpListener, TcpStream, io};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

/// The addresses of `host:port`, in the order in which to try them. It may query name servers, and blocks until they
/// respond. getaddrinfo(3).
///
/// ```
/// let addresses = conduit_net::resolve("localhost:8080")?;
/// assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 8080));
/// # Ok::<(), conduit_net::Error>(())
/// ```
///
/// # Errors
/// The name is unknown, no name server responds, or the port is missing. The error contains the name.
pub fn resolve(host: &str) -> Result<Vec<SocketAddr>, Error> {
    let failed = |cause: io::Error| Error::new(Operation::Resolve, host, cause);
    let addresses: Vec<_> = host.to_socket_addrs().map_err(failed)?.collect();
    if addresses.is_empty() {
        return Err(failed(io::Error::new(
            io::ErrorKind::NotFound,
            "the name has no address",
        )));
    }
    Ok(addresses)
}

impl TcpListener {
    /// Listens on the first address of `host:port` that can be bound.
    ///
    /// # Errors
    /// As [`resolve`] and [`bind`](TcpListener::bind); the error of the last address, if all fail.
    pub fn bind_host(host: &str, options: &ListenOptions) -> Result<TcpListener, Error> {
        first(host, |address| TcpListener::bind(address, options))
    }
}

impl TcpStream {
    /// Connects to the first address of `host:port` that accepts, within `limit` for all of them together.
    ///
    /// # Errors
    /// As [`resolve`] and [`connect_timeout`](TcpStream::connect_timeout); the error of the last address, if all fail.
    pub fn connect_host(host: &str, limit: Duration) -> Result<TcpStream, Error> {
        let start = Instant::now();
        first(host, |address| {
            TcpStream::connect_timeout(address, limit.saturating_sub(start.elapsed()))
        })
    }
}

fn first<T>(host: &str, mut attempt: impl FnMut(SocketAddr) -> Result<T, Error>) -> Result<T, Error> {
    let mut last = Err(Error::new(
        Operation::Resolve,
        host,
        io::Error::from(io::ErrorKind::NotFound),
    ));
    for address in resolve(host)? {
        last = attempt(address);
        if last.is_ok() {
            break;
        }
    }
    last
}
