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
        first(host, &resolve(host)?, |address, _| TcpListener::bind(address, options))
    }
}

impl TcpStream {
    /// Connects to the first address of `host:port` that accepts, within `limit` for all of them together. Each attempt has
    /// an equal share of the remaining time, so that an unreachable address leaves time for the others: with two
    /// addresses and a limit of 4 seconds, the first attempt takes at most 2 seconds.
    ///
    /// # Errors
    /// As [`resolve`] and [`connect_timeout`](TcpStream::connect_timeout); the error of the last address, if all fail.
    pub fn connect_host(host: &str, limit: Duration) -> Result<TcpStream, Error> {
        connect_first(host, &resolve(host)?, limit, TcpStream::connect_timeout)
    }
}

fn connect_first(
    host: &str,
    addresses: &[SocketAddr],
    limit: Duration,
    mut connect: impl FnMut(SocketAddr, Duration) -> Result<TcpStream, Error>,
) -> Result<TcpStream, Error> {
    let start = Instant::now();
    first(host, addresses, |address, untried| {
        let left = limit.saturating_sub(start.elapsed());
        connect(address, left / untried)
    })
}

/// Passes each address, and the number of addresses from it to the last one, to `attempt` until an attempt succeeds.
fn first<T>(
    host: &str,
    addresses: &[SocketAddr],
    mut attempt: impl FnMut(SocketAddr, u32) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut last = Err(Error::new(
        Operation::Resolve,
        host,
        io::Error::from(io::ErrorKind::NotFound),
    ));
    for (index, address) in addresses.iter().enumerate() {
        let untried = u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        last = attempt(*address, untried);
        if last.is_ok() {
            break;
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_share_the_remaining_time() {
        let addresses = ["[::1]:1", "127.0.0.1:1"].map(|address| address.parse().expect("an address"));
        let limit = Duration::from_secs(600);
        let mut limits = Vec::new();
        let refused = connect_first("a host", &addresses, limit, |address, limit| {
            limits.push(limit);
            Err(Error::new(Operation::Connect, address, rustix::io::Errno::CONNREFUSED))
        });
        assert_eq!(refused.expect_err("the last error").address(), Some(addresses[1]));
        let [first, last] = limits[..] else {
            panic!("{limits:?}")
        };
        assert!(first <= limit / 2 && limit / 2 < last && last <= limit, "{limits:?}");
    }
}
