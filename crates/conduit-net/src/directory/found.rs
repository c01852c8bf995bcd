//! The objects that a path names.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::Stat;

/// The permission of a call to block on a disk or a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The call may block.
    Allowed,
    /// The call fails with `WouldBlock` unless the path is in the cache of the kernel (`RESOLVE_CACHED`, Linux 5.12).
    /// On other systems it always fails with `WouldBlock`.
    Never,
}

/// An object that a path names.
#[derive(Debug)]
pub enum Found {
    /// A regular file, open for reading.
    File(File, Attributes),
    /// A directory.
    Directory,
    /// A device, a named pipe, or a socket.
    Special,
}

/// The identity, length and times of a file. fstat(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The number of the file system.
    pub device: u64,
    /// The number of the file in the file system.
    pub inode: u64,
    /// The length in bytes.
    pub length: u64,
    /// The time of the last change of the content: seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
    /// The time of the last change of content or attributes, which programs cannot set: seconds since 1970, and
    /// nanoseconds.
    pub changed: (i64, u32),
}

impl Attributes {
    /// The attributes of an open file. The call does not block on a disk, because the kernel caches the attributes of
    /// open files. A network file system may send a request.
    ///
    /// # Errors
    /// The errors of fstat(2).
    pub fn of(file: &impl AsFd) -> io::Result<Self> {
        Ok(Attributes::new(&rustix::fs::fstat(file)?))
    }

    pub(super) fn new(stat: &Stat) -> Self {
        Attributes {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            length: stat.st_size as u64,
            modified: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            changed: (stat.st_ctime as i64, stat.st_ctime_nsec as u32),
        }
    }

    /// Returns whether both are attributes of the same file, whose content may differ.
    pub fn is_same_file(&self, other: &Attributes) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}
