//! Files below a directory: a path is resolved without leaving it, through any links.

mod found;
#[cfg(target_os = "linux")]
mod openat2;
#[cfg(test)]
mod tests;
mod walk;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

pub use self::found::{Attributes, Found, Waiting};

/// An open directory, which opens files and directories by paths that cannot leave it.
///
/// A path is relative, with components separated by `/`. A symbolic link is followed if its target is below the
/// directory; an absolute target, or one outside of the directory, is an error (`CrossesDevices`), even if it names a
/// file below. Only regular files are opened for reading, because opening a device, a named pipe or a terminal has side
/// effects.
///
/// On Linux 5.6 and later, openat2(2) with `RESOLVE_BENEATH` resolves the path in one call. On other systems, and if a
/// filter rejects the call, the components are opened in turn without following links.
///
/// # Example
///
/// The first bytes of a file below a directory:
///
/// ```
/// use conduit_net::{Directory, Found, Waiting};
/// use std::io::Read;
///
/// let directory = Directory::open(env!("CARGO_MANIFEST_DIR").as_ref(), Waiting::Allowed)?;
/// let Found::File(mut file, attributes) = directory.find(b"src/lib.rs", Waiting::Allowed)? else {
///     panic!("a regular file");
/// };
/// let mut start = [0; 3];
/// file.read_exact(&mut start)?;
/// assert_eq!(&start, b"//!");
/// assert!(attributes.length > 3);
/// assert!(directory.find(b"../Cargo.toml", Waiting::Allowed).is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Directory(OwnedFd);

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirectoryEntry {
    /// The name, in the encoding of the file system.
    pub name: OsString,
    /// True for a directory, and for a link to one.
    pub is_directory: bool,
    /// The length in bytes; 0 for a directory.
    pub length: u64,
    /// The time of the last change of the content, in seconds since 1970.
    pub modified: i64,
}

impl Directory {
    /// Opens a directory by a path of the process, which may contain symbolic links.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, `PermissionDenied`; `WouldBlock` with [`Waiting::Never`].
    pub fn open(path: &Path, waiting: Waiting) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        if waiting == Waiting::Never {
            #[cfg(target_os = "linux")]
            return openat2::open_cached(rustix::fs::CWD, path, flags).map(Directory);
            #[cfg(not(target_os = "linux"))]
            return Err(Errno::WOULDBLOCK.into());
        }
        Ok(Directory(rustix::fs::open(path, flags, Mode::empty())?))
    }

    /// Opens the object at a path below the directory. The empty path is the directory.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, `PermissionDenied`; `CrossesDevices` (`EXDEV`) for a path or a link that leaves the
    /// directory; `FilesystemLoop` for too many links; `InvalidFilename` for a name that is too long; `InvalidInput`
    /// for a zero byte; `WouldBlock` with [`Waiting::Never`].
    pub fn find(&self, path: &[u8], waiting: Waiting) -> io::Result<Found> {
        #[cfg(target_os = "linux")]
        match openat2::find(self.0.as_fd(), path, waiting) {
            Err(error) if openat2::is_missing(&error) && waiting == Waiting::Allowed => {}
            result => return result,
        }
        self.find_by_walk(path, waiting)
    }

    /// Opens the object as [`find`](Directory::find) does, with each component opened in turn. Systems without openat2(2)
    /// have only this method. [`Waiting::Never`] always fails.
    fn find_by_walk(&self, path: &[u8], waiting: Waiting) -> io::Result<Found> {
        match waiting {
            Waiting::Allowed => walk::find(self.0.as_fd(), path),
            Waiting::Never => Err(Errno::WOULDBLOCK.into()),
        }
    }

    /// The attributes of the regular file at a path, without opening it for reading; `None` for other objects.
    ///
    /// # Errors
    /// As [`find`](Directory::find).
    pub fn attributes(&self, path: &[u8], waiting: Waiting) -> io::Result<Option<Attributes>> {
        #[cfg(target_os = "linux")]
        match openat2::attributes(self.0.as_fd(), path, waiting) {
            Err(error) if openat2::is_missing(&error) && waiting == Waiting::Allowed => {}
            result => return result,
        }
        match waiting {
            Waiting::Allowed => walk::attributes(self.0.as_fd(), path),
            Waiting::Never => Err(Errno::WOULDBLOCK.into()),
        }
    }

    /// The regular files and directories in the directory at a path, sorted by name, and whether there are more than
    /// `limit`. Links out of the directory and other kinds of objects are omitted. It may block on a disk.
    ///
    /// # Errors
    /// As [`find`](Directory::find); `NotADirectory` for a file.
    pub fn list(&self, path: &[u8], limit: usize) -> io::Result<(Vec<DirectoryEntry>, bool)> {
        let directory = self.subdirectory(path)?;
        let mut names = Vec::new();
        let mut is_cut = false;
        for entry in Dir::read_from(&directory)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() == limit {
                is_cut = true;
                break;
            }
            names.push(name);
        }
        names.sort_unstable();
        let entries = names.into_iter().filter_map(|name| self.entry(path, name).transpose());
        Ok((entries.collect::<io::Result<_>>()?, is_cut))
    }

    /// The description of an entry; `None` if it no longer exists, leaves the directory, or is of another kind.
    fn entry(&self, path: &[u8], name: Vec<u8>) -> io::Result<Option<DirectoryEntry>> {
        let full = if path.is_empty() {
            name.clone()
        } else {
            [path, b"/", &name].concat()
        };
        let stat = match walk::stat(self.0.as_fd(), &full) {
            Err(error) if Directory::is_absence(&error) => return Ok(None),
            stat => stat?,
        };
        let file_type = FileType::from_raw_mode(stat.st_mode);
        let is_directory = file_type == FileType::Directory;
        let is_listed = is_directory || file_type == FileType::RegularFile;
        Ok(is_listed.then(|| DirectoryEntry {
            name: OsString::from_vec(name),
            is_directory,
            length: if is_directory { 0 } else { stat.st_size as u64 },
            modified: stat.st_mtime as i64,
        }))
    }

    /// Returns whether an error of these methods means that a path names nothing that may be read below the directory: all
    /// that [`find`](Directory::find) lists but `WouldBlock`. Others are faults of the system: a disk that fails, a process
    /// without descriptors.
    pub fn is_absence(error: &io::Error) -> bool {
        matches!(
            Errno::from_io_error(error),
            Some(
                Errno::NOENT
                    | Errno::NOTDIR
                    | Errno::ACCESS
                    | Errno::XDEV
                    | Errno::LOOP
                    | Errno::NAMETOOLONG
                    | Errno::INVAL
            )
        ) || error.kind() == io::ErrorKind::InvalidInput
    }

    /// Returns whether an error means that the process or the system has no descriptors left.
    pub fn is_exhaustion(error: &io::Error) -> bool {
        matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
    }

    fn subdirectory(&self, path: &[u8]) -> io::Result<OwnedFd> {
        walk::open_directory(self.0.as_fd(), path)
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
