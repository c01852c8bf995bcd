//! Systems without abstract names and vsock.

use super::VsockAddress;
use rustix::io::{Errno, Result};
use rustix::net::{SocketAddrAny, SocketAddrUnix};

/// The maximum length of the path of a Unix socket in bytes, without the terminating zero byte.
pub(crate) const PATH_LIMIT: usize = 103;

/// The maximum length of a Unix address in bytes: the family, a path and a zero byte.
pub(crate) const ADDRESS_LIMIT: usize = 2 + PATH_LIMIT + 1;

pub(crate) fn from_abstract(_name: &[u8]) -> Result<SocketAddrUnix> {
    Err(Errno::OPNOTSUPP)
}

pub(crate) fn abstract_of(_address: &SocketAddrUnix) -> Option<&[u8]> {
    None
}

pub(crate) fn vsock_to_raw(_address: VsockAddress) -> Result<SocketAddrAny> {
    Err(Errno::AFNOSUPPORT)
}

pub(crate) fn vsock_from_raw(_raw: &SocketAddrAny) -> Option<VsockAddress> {
    None
}
