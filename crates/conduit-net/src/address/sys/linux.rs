//! Addresses that only Linux supports: abstract names and vsock.

use super::VsockAddress;
use rustix::io::Result;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

/// The maximum length of the path of a Unix socket in bytes, without the terminating zero byte.
pub(crate) const PATH_LIMIT: usize = 107;

/// The maximum length of a Unix address in bytes: the family, a path and a zero byte.
pub(crate) const ADDRESS_LIMIT: usize = 2 + PATH_LIMIT + 1;

pub(crate) fn from_abstract(name: &[u8]) -> Result<SocketAddrUnix> {
    SocketAddrUnix::new_abstract_name(name)
}

pub(crate) fn abstract_of(address: &SocketAddrUnix) -> Option<&[u8]> {
    address.abstract_name()
}

pub(crate) fn vsock_to_raw(address: VsockAddress) -> Result<SocketAddrAny> {
    // SAFETY: zero is a valid value of every field.
    let mut raw: libc::sockaddr_vm = unsafe { core::mem::zeroed() };
    raw.svm_family = libc::AF_VSOCK as libc::sa_family_t;
    raw.svm_cid = address.context;
    raw.svm_port = address.port;
    // SAFETY: a whole address of the given length, which is copied.
    Ok(unsafe { SocketAddrAny::read((&raw const raw).cast(), size_of::<libc::sockaddr_vm>() as u32) })
}

pub(crate) fn vsock_from_raw(raw: &SocketAddrAny) -> Option<VsockAddress> {
    if raw.address_family() != AddressFamily::VSOCK || (raw.addr_len() as usize) < size_of::<libc::sockaddr_vm>() {
        return None;
    }
    // SAFETY: the family determines the type, and the length was checked; `read_unaligned` requires no alignment.
    let address = unsafe { raw.as_ptr().cast::<libc::sockaddr_vm>().read_unaligned() };
    Some(VsockAddress::new(address.svm_cid, address.svm_port))
}
