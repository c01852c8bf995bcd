//! Socket addresses: an IP address and port, a Unix path or name, or a virtual machine and port.

#[cfg_attr(target_os = "linux", path = "address/sys/linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "address/sys/other.rs")]
mod sys;

use crate::io;
use core::fmt;
use core::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use rustix::io::Errno;
use rustix::net::addr::SocketAddrArg;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

/// The address of a socket.
///
/// ```
/// use conduit_net::{Address, UnixAddress};
/// let ip = Address::from("[::1]:8080".parse::<std::net::SocketAddr>()?);
/// assert_eq!(ip.to_string(), "[::1]:8080");
/// let path = Address::from(UnixAddress::from_path("/run/app.sock")?);
/// assert_eq!(path.to_string(), "/run/app.sock");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Address {
    /// An IPv4 or IPv6 address and a port. ip(7), ipv6(7).
    Ip(SocketAddr),
    /// A Unix path or name. unix(7).
    Unix(UnixAddress),
    /// A port of a virtual machine or its host. Linux. vsock(7).
    Vsock(VsockAddress),
    /// The family of an address that this crate does not decode.
    Other(u16),
}

impl Address {
    /// The address as an IP address, if it is one.
    pub fn as_ip(&self) -> Option<SocketAddr> {
        match self {
            Address::Ip(address) => Some(*address),
            _ => None,
        }
    }

    pub(crate) fn to_raw(&self) -> io::Result<SocketAddrAny> {
        Ok(match self {
            Address::Ip(address) => (*address).into(),
            Address::Unix(address) => address.inner.as_ref().ok_or(Errno::INVAL)?.as_any(),
            Address::Vsock(address) => sys::vsock_to_raw(*address)?,
            Address::Other(_) => return Err(Errno::AFNOSUPPORT.into()),
        })
    }

    pub(crate) fn from_raw(raw: &SocketAddrAny) -> Address {
        match raw.address_family() {
            // Only the family: a socket that is not bound.
            AddressFamily::UNIX if raw.addr_len() as usize <= size_of::<[u8; 2]>() => {
                Some(UnixAddress::unnamed().into())
            }
            AddressFamily::INET => SocketAddrV4::try_from(raw.clone())
                .map(|address| Address::Ip(address.into()))
                .ok(),
            AddressFamily::INET6 => SocketAddrV6::try_from(raw.clone())
                .map(|address| Address::Ip(address.into()))
                .ok(),
            // A peer may be bound to a path of 108 bytes. Linux returns it with a zero byte after the structure, and
            // rustix panics because it searches for this byte inside of the structure.
            AddressFamily::UNIX if raw.addr_len() as usize > sys::ADDRESS_LIMIT => None,
            AddressFamily::UNIX => SocketAddrUnix::try_from(raw.clone())
                .map(|inner| UnixAddress { inner: Some(inner) }.into())
                .ok(),
            _ => sys::vsock_from_raw(raw).map(Address::Vsock),
        }
        .unwrap_or(Address::Other(raw.address_family().as_raw()))
    }

    pub(crate) fn from_raw_or_unnamed(raw: Option<SocketAddrAny>) -> Address {
        raw.as_ref()
            .map_or_else(|| UnixAddress::unnamed().into(), Address::from_raw)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Unix(address) => address.fmt(f),
            Address::Vsock(address) => address.fmt(f),
            Address::Other(family) => write!(f, "an address of family {family}"),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Ip(address)
    }
}

impl From<UnixAddress> for Address {
    fn from(address: UnixAddress) -> Address {
        Address::Unix(address)
    }
}

impl From<VsockAddress> for Address {
    fn from(address: VsockAddress) -> Address {
        Address::Vsock(address)
    }
}

/// The address of a Unix socket: a path, an abstract name (Linux), or unnamed. unix(7).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct UnixAddress {
    /// `None`: unnamed.
    inner: Option<SocketAddrUnix>,
}

impl UnixAddress {
    /// A path in the file system, of 1 to 107 bytes (103 on macOS and the BSDs). Binding creates the file; remove it
    /// before binding the path again.
    ///
    /// Linux also accepts 108 bytes, without a terminating zero byte, but many programs cannot read such an address.
    ///
    /// # Errors
    /// `ENAMETOOLONG` for a longer path; `EINVAL` for an empty path and for a path with a zero byte.
    pub fn from_path(path: impl rustix::path::Arg) -> io::Result<UnixAddress> {
        let address = UnixAddress {
            inner: Some(SocketAddrUnix::new(path)?),
        };
        match address.path_bytes() {
            // An empty path would be an abstract name.
            None => Err(Errno::INVAL.into()),
            Some(path) if path.len() > sys::PATH_LIMIT => Err(Errno::NAMETOOLONG.into()),
            Some(_) => Ok(address),
        }
    }

    /// A name in the abstract namespace of Linux, of at most 107 arbitrary bytes. It is not a file, and it disappears
    /// with its socket.
    ///
    /// # Errors
    /// `ENAMETOOLONG` for a longer name; `EOPNOTSUPP` on other systems.
    pub fn from_abstract_name(name: &[u8]) -> io::Result<UnixAddress> {
        Ok(UnixAddress {
            inner: Some(sys::from_abstract(name)?),
        })
    }

    /// The unnamed address, which a socket has before it is bound.
    pub fn unnamed() -> UnixAddress {
        UnixAddress { inner: None }
    }

    /// The bytes of the path, if the address is a path.
    pub fn path_bytes(&self) -> Option<&[u8]> {
        let path = self.inner.as_ref()?.path_bytes()?;
        // rustix keeps the zero byte after the longest path.
        Some(path.strip_suffix(b"\0").unwrap_or(path))
    }

    /// The abstract name, if the address is one.
    pub fn abstract_name(&self) -> Option<&[u8]> {
        sys::abstract_of(self.inner.as_ref()?)
    }

    /// Returns whether the address is unnamed.
    pub fn is_unnamed(&self) -> bool {
        self.path_bytes().is_none() && self.abstract_name().is_none()
    }
}

impl fmt::Display for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.path_bytes(), self.abstract_name()) {
            (Some(path), _) => write!(f, "{}", path.escape_ascii()),
            (None, Some(name)) => write!(f, "@{}", name.escape_ascii()),
            (None, None) => f.write_str("(unnamed)"),
        }
    }
}

impl fmt::Debug for UnixAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The address of a vsock socket: a context and a port. Linux. vsock(7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VsockAddress {
    /// The context: [`HOST`](VsockAddress::HOST), [`LOCAL`](VsockAddress::LOCAL), [`ANY`](VsockAddress::ANY) or the
    /// number of a guest.
    pub context: u32,
    /// The port; for binding, `u32::MAX` makes the system select one.
    pub port: u32,
}

impl VsockAddress {
    /// For binding: any context of this machine (`VMADDR_CID_ANY`).
    pub const ANY: u32 = u32::MAX;
    /// This machine (`VMADDR_CID_LOCAL`).
    pub const LOCAL: u32 = 1;
    /// The host of this virtual machine (`VMADDR_CID_HOST`).
    pub const HOST: u32 = 2;

    /// The address of a port in a context.
    pub const fn new(context: u32, port: u32) -> VsockAddress {
        VsockAddress { context, port }
    }
}

impl fmt::Display for VsockAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vsock:{}:{}", self.context, self.port)
    }
}
