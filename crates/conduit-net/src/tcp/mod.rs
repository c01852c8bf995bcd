//! TCP: tcp(7), ip(7), ipv6(7).

mod listener;
mod stream;

pub use listener::TcpListener;
pub use stream::TcpStream;

use crate::io;
use core::net::SocketAddr;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny};

pub(crate) fn family(address: SocketAddr) -> AddressFamily {
    match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    }
}

#[inline]
pub(crate) fn ip_address(address: Option<SocketAddrAny>) -> io::Result<SocketAddr> {
    Ok(SocketAddr::try_from(address.ok_or(Errno::AFNOSUPPORT)?)?)
}
