//! openat2(2): the kernel resolves the path below the directory.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use rustix::path::Arg;

use super::found::{Attributes, Found, Waiting};

/// The number of attempts if another process renames directories in the path (`EAGAIN`, openat2(2)).
const ATTEMPTS: usize = 16;

/// Flags for reading, without waiting for the writer of a pipe and without acquiring a controlling terminal.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

/// Returns whether the call does not exist (Linux before 5.6), or a container's filter rejects it.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOSYS | Errno::PERM))
}

/// Opens the object, and checks its type before opening it for reading.
pub(super) fn find(directory: BorrowedFd<'_>, path: &[u8], waiting: Waiting) -> io::Result<Found> {
    let object = open(directory, path, OFlags::PATH | OFlags::CLOEXEC, waiting)?;
    let stat = fstat(&object)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            let file = reopen(directory, path, &object, &Attributes::new(&stat), waiting)?;
            Ok(Found::File(File::from(file), Attributes::new(&stat)))
        }
        FileType::Directory => Ok(Found::Directory),
        _ => Ok(Found::Special),
    }
}

pub(super) fn attributes(directory: BorrowedFd<'_>, path: &[u8], waiting: Waiting) -> io::Result<Option<Attributes>> {
    let object = open(directory, path, OFlags::PATH | OFlags::CLOEXEC, waiting)?;
    let stat = fstat(&object)?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    Ok(is_file.then(|| Attributes::new(&stat)))
}

/// Opens a path if its components are in the cache of the kernel.
pub(super) fn open_cached(directory: BorrowedFd<'_>, path: impl Arg, flags: OFlags) -> io::Result<OwnedFd> {
    static IS_UNKNOWN: AtomicBool = AtomicBool::new(false);
    if IS_UNKNOWN.load(Relaxed) {
        return Err(Errno::WOULDBLOCK.into());
    }
    // A zero byte is an error here, before the call, whose `EINVAL` means an unknown flag.
    let path = path.into_c_str()?;
    loop {
        match openat2(directory, &*path, flags, Mode::empty(), ResolveFlags::CACHED) {
            Err(Errno::INTR) => {}
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => {
                IS_UNKNOWN.store(true, Relaxed);
                return Err(Errno::WOULDBLOCK.into());
            }
            result => return Ok(result?),
        }
    }
}

/// Opens `object` for reading. Through `/proc` this has no race; without `/proc`, the path is resolved again.
fn reopen(
    directory: BorrowedFd<'_>,
    path: &[u8],
    object: &OwnedFd,
    attributes: &Attributes,
    waiting: Waiting,
) -> io::Result<OwnedFd> {
    match rustix::fs::open(format!("/proc/self/fd/{}", object.as_raw_fd()), READ, Mode::empty()) {
        Err(Errno::NOENT | Errno::NOTDIR) => {}
        result => return Ok(result?),
    }
    let file = open(directory, path, READ, waiting)?;
    if !Attributes::of(&file)?.is_same_file(attributes) {
        return Err(Errno::NOENT.into());
    }
    Ok(file)
}

fn open(directory: BorrowedFd<'_>, path: &[u8], flags: OFlags, waiting: Waiting) -> io::Result<OwnedFd> {
    static CACHED_IS_UNKNOWN: AtomicBool = AtomicBool::new(false);
    if path.contains(&0) {
        return Err(Errno::INVAL.into());
    }
    let path = if path.is_empty() { b"." } else { path };
    let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    if waiting == Waiting::Never {
        if CACHED_IS_UNKNOWN.load(Relaxed) {
            return Err(Errno::WOULDBLOCK.into());
        }
        resolve |= ResolveFlags::CACHED;
    }
    for _ in 0..ATTEMPTS {
        match openat2(directory.as_fd(), path, flags, Mode::empty(), resolve) {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) if waiting == Waiting::Allowed => {}
            Err(Errno::NOSYS | Errno::PERM) if waiting == Waiting::Never => return Err(Errno::WOULDBLOCK.into()),
            // Linux 5.6 to 5.11 lacks `RESOLVE_CACHED`.
            Err(Errno::INVAL) if waiting == Waiting::Never => {
                CACHED_IS_UNKNOWN.store(true, Relaxed);
                return Err(Errno::WOULDBLOCK.into());
            }
            result => return Ok(result?),
        }
    }
    Err(Errno::AGAIN.into())
}
