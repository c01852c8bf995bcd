//! Systems without abstract names and vsock.

use crate::VsockAddress;
use rustix::io::{Errno, Result};
use rustix::net::{SocketAddrAny, SocketAddrUnix};

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
