//! Typed socket options: one constant each, with its type, unit, default, systems and man page.
//!
//! [`Options`] reads and sets them on anything with a descriptor, including the sockets of `std` and tokio. All
//! constants exist on all systems, so that portable code compiles; an unsupported option is an error that names it.
//!
//! ```
//! use conduit_net::{ListenOptions, Options, TcpListener, option};
//! use std::time::Duration;
//!
//! let listener = TcpListener::bind("127.0.0.1:0".parse()?, &ListenOptions::new())?;
//! listener.set_option(option::NO_DELAY, true)?;
//! assert!(listener.option(option::NO_DELAY)?);
//! let std_listener = std::net::TcpListener::from(listener);
//! std_listener.set_option(option::LINGER, Some(Duration::from_secs(3)))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod codec;
#[cfg_attr(target_os = "linux", path = "sys/linux.rs")]
#[cfg_attr(target_os = "freebsd", path = "sys/freebsd.rs")]
#[cfg_attr(target_vendor = "apple", path = "sys/apple.rs")]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "freebsd", target_vendor = "apple")),
    path = "sys/posix.rs"
)]
mod sys;
mod table;

pub use codec::{
    Byte, ByteFlag, Bytes, Codec, Credentials, Flag, Group, Info, Interface4, Linger, Membership, Microseconds,
    Milliseconds, Name, Number, Number64, PeerCredentials, Seconds, SourceGroup, SourceMembership, Steering, TcpInfo,
    Text, Timeval,
};
pub use table::*;

use self::sys::Location;
use crate::{Error, Operation, io};
use core::fmt;
use core::marker::PhantomData;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::io::Errno;

/// An option with values of the codec `C` and the access `A`. The constants of this module are instances;
/// [`raw`](SocketOption::raw) creates others.
pub struct SocketOption<C, A> {
    pub(crate) row: Row,
    kind: PhantomData<(C, A)>,
}

impl<C, A> Clone for SocketOption<C, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C, A> Copy for SocketOption<C, A> {}

impl<C, A> fmt::Debug for SocketOption<C, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row.name)
    }
}

impl<C, A> SocketOption<C, A> {
    pub(crate) const fn new(row: Row) -> Self {
        SocketOption { row, kind: PhantomData }
    }

    /// An option that this module lacks, by its level and number in the headers of the system.
    ///
    /// ```
    /// use conduit_net::{ListenOptions, Options, TcpListener, option};
    /// # #[cfg(target_os = "linux")] {
    /// // SAFETY: the kernel writes an int, and follows no address.
    /// let domain = unsafe { option::SocketOption::<option::Number, option::ReadOnly>::raw("SO_DOMAIN", 1, 39) };
    /// let listener = TcpListener::bind("127.0.0.1:0".parse()?, &ListenOptions::new())?;
    /// assert_eq!(listener.option(domain)?, 2);
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Safety
    /// For every kind of socket on which the program uses the option:
    /// - The kernel reads and writes at most the number of bytes that the codec `C` passes. Linux breaks this rule for
    ///   `SO_GET_FILTER`: it counts instructions of 8 bytes, so a buffer of 4 bytes receives up to 32.
    /// - The kernel follows no address in these bytes, unless the program may read or write the memory there.
    ///   `TCP_ZEROCOPY_RECEIVE` writes through addresses in the value that it reads, `SO_ATTACH_FILTER` reads through
    ///   one.
    /// - These bytes contain no number of a descriptor that the program may not use, as in `SO_ATTACH_BPF`.
    ///
    /// So safe code cannot create an option:
    ///
    /// ```compile_fail,E0133
    /// use conduit_net::option::{Number, ReadOnly, SocketOption};
    /// let filter = SocketOption::<Number, ReadOnly>::raw("SO_GET_FILTER", 1, 26);
    /// ```
    pub const unsafe fn raw(name: &'static str, level: i32, number: i32) -> Self {
        SocketOption::new(Row {
            name,
            at: Some((level, number)),
            access: "raw",
            privilege: None,
        })
    }

    /// The name of the option, as in errors.
    pub const fn name(self) -> &'static str {
        self.row.name
    }

    /// Returns whether this system has the option. An old kernel may lack it.
    pub const fn is_supported(self) -> bool {
        self.row.at.is_some()
    }
}

/// One row of [`TABLE`].
#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub(crate) name: &'static str,
    pub(crate) at: Location,
    pub(crate) access: &'static str,
    pub(crate) privilege: Option<&'static str>,
}

impl Row {
    /// The name of the option.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The level and number of the option on this system, if it exists.
    pub const fn location(&self) -> Option<(i32, i32)> {
        self.at
    }

    /// `get and set`, `get` or `set`.
    pub const fn access(&self) -> &'static str {
        self.access
    }

    /// The privilege that setting the option may require.
    pub const fn privilege(&self) -> Option<&'static str> {
        self.privilege
    }

    fn failed(&self, operation: Operation, cause: Errno) -> Error {
        Error::new(operation, None, cause).with_privilege(self.privilege)
    }
}

/// The option can be read and set.
#[derive(Clone, Copy, Debug)]
pub struct ReadWrite;
/// The option can be read.
#[derive(Clone, Copy, Debug)]
pub struct ReadOnly;
/// The option can be set.
#[derive(Clone, Copy, Debug)]
pub struct WriteOnly;

impl ReadWrite {
    pub(crate) const NAME: &'static str = "get and set";
}

impl ReadOnly {
    pub(crate) const NAME: &'static str = "get";
}

impl WriteOnly {
    pub(crate) const NAME: &'static str = "set";
}

/// Options that can be read: [`ReadWrite`] and [`ReadOnly`].
pub trait Readable: private::Sealed {}
/// Options that can be set: [`ReadWrite`] and [`WriteOnly`].
pub trait Writable: private::Sealed {}

impl Readable for ReadWrite {}
impl Readable for ReadOnly {}
impl Writable for ReadWrite {}
impl Writable for WriteOnly {}

mod private {
    pub trait Sealed {}
    impl Sealed for super::ReadWrite {}
    impl Sealed for super::ReadOnly {}
    impl Sealed for super::WriteOnly {}
}

/// Reads and sets the options of anything with a descriptor.
pub trait Options: AsFd {
    /// Sets an option with one system call, setsockopt(2).
    ///
    /// # Errors
    /// The error names the option and the remedy: `EPERM` or `EACCES` if the process lacks the required privilege,
    /// `EOPNOTSUPP` or `ENOPROTOOPT` if the system or the kind of socket lacks the option, `EINVAL` or `EDOM` for a
    /// value out of range.
    fn set_option<C: Codec, A: Writable>(&self, option: SocketOption<C, A>, value: C::Value) -> Result<(), Error> {
        let row = option.row;
        let failed = |cause| row.failed(Operation::Option(row.name), cause);
        let (level, number) = row.at.ok_or(Errno::OPNOTSUPP).map_err(failed)?;
        // SAFETY: the codec and the number are those of an option of the table, or of `SocketOption::raw`, whose caller
        // guarantees that they match.
        C::encode(value, |bytes| unsafe { set(self.as_fd(), level, number, bytes) }).map_err(failed)
    }

    /// Reads an option with one system call, getsockopt(2).
    ///
    /// # Errors
    /// The system or the kind of socket lacks the option, which the error names.
    fn option<C: Codec, A: Readable>(&self, option: SocketOption<C, A>) -> Result<C::Value, Error> {
        let row = option.row;
        let failed = |cause| row.failed(Operation::ReadOption(row.name), cause);
        let (level, number) = row.at.ok_or(Errno::OPNOTSUPP).map_err(failed)?;
        // SAFETY: the codec and the number are those of an option of the table, or of `SocketOption::raw`, whose caller
        // guarantees that they match.
        C::decode(|bytes| unsafe { get(self.as_fd(), level, number, bytes) }).map_err(failed)
    }

    /// Joins a multicast group, IPv4 or IPv6, on the interface with this index (0: the routing table selects it).
    /// Linux.
    ///
    /// # Errors
    /// `EINVAL` if `group` is not a multicast address, `ENODEV` for an unknown interface, `EADDRINUSE` if already
    /// joined.
    fn join(&self, group: core::net::IpAddr, interface: u32) -> Result<(), Error> {
        self.set_option(
            if group.is_ipv4() { JOIN_V4 } else { JOIN_V6 },
            Membership { group, interface },
        )
    }

    /// Leaves a multicast group.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if the group was not joined.
    fn leave(&self, group: core::net::IpAddr, interface: u32) -> Result<(), Error> {
        self.set_option(
            if group.is_ipv4() { LEAVE_V4 } else { LEAVE_V6 },
            Membership { group, interface },
        )
    }

    /// Joins a multicast group for datagrams from `source` only. Linux.
    ///
    /// # Errors
    /// As [`join`](Options::join).
    fn join_source(&self, group: core::net::IpAddr, source: core::net::IpAddr, interface: u32) -> Result<(), Error> {
        let option = if group.is_ipv4() {
            JOIN_SOURCE_V4
        } else {
            JOIN_SOURCE_V6
        };
        self.set_option(
            option,
            SourceMembership {
                group,
                source,
                interface,
            },
        )
    }

    /// Leaves a multicast group that was joined for one source.
    ///
    /// # Errors
    /// `EADDRNOTAVAIL` if the group was not joined.
    fn leave_source(&self, group: core::net::IpAddr, source: core::net::IpAddr, interface: u32) -> Result<(), Error> {
        let option = if group.is_ipv4() {
            LEAVE_SOURCE_V4
        } else {
            LEAVE_SOURCE_V6
        };
        self.set_option(
            option,
            SourceMembership {
                group,
                source,
                interface,
            },
        )
    }
}

impl<S: AsFd + ?Sized> Options for S {}

/// # Safety
/// For this option the kernel reads at most the number of bytes, follows no address in them that the program may not
/// access, and uses no descriptor in them that the program may not use.
unsafe fn set(socket: BorrowedFd<'_>, level: i32, number: i32, value: &[u8]) -> Result<(), Errno> {
    // SAFETY: the bytes are live, and the caller guarantees that the kernel accesses nothing else.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            number,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::last_errno()) }
}

/// Reads the option into `value` and returns the number of bytes that the kernel wrote.
///
/// # Safety
/// For this option the kernel writes at most the number of bytes, and follows no address in them that the program may
/// not access.
unsafe fn get(socket: BorrowedFd<'_>, level: i32, number: i32, value: &mut [u8]) -> Result<usize, Errno> {
    let mut length = value.len() as libc::socklen_t;
    // SAFETY: the buffer and its length are live and writable, and the caller guarantees that the kernel accesses
    // nothing else.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            number,
            value.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok((length as usize).min(value.len()))
    } else {
        Err(io::last_errno())
    }
}
