//! Path resolution that opens the components in turn, without following links.
//!
//! The directories from the root to the current one remain open, so that `..` in the target of a link returns to the
//! opened directory, even if another process has moved it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, openat, readlinkat, statat};
use rustix::io::Errno;

use super::found::{Attributes, Found};

/// The maximum number of links in one path, as in Linux.
const LINK_LIMIT: usize = 40;

/// Flags for a directory in a path: as for openat2(2), the permission to search it suffices.
#[cfg(target_os = "linux")]
const SEARCH: OFlags = OFlags::PATH;
#[cfg(not(target_os = "linux"))]
const SEARCH: OFlags = OFlags::RDONLY;

/// The object at the end of a path.
enum End {
    Directory(OwnedFd),
    /// An object of another type, and its directory.
    Other {
        /// `None` is the root.
        parent: Option<OwnedFd>,
        name: Vec<u8>,
        stat: Box<Stat>,
    },
}

pub(super) fn find(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Found> {
    let (parent, name, expected) = match resolve(root, path)? {
        End::Directory(_) => return Ok(Found::Directory),
        End::Other { stat, .. } if !is_file(&stat) => return Ok(Found::Special),
        End::Other { parent, name, stat } => (parent, name, Attributes::new(&stat)),
    };
    let parent = parent.as_ref().map_or(root, AsFd::as_fd);
    // The object may be replaced between the calls. `NONBLOCK` prevents waiting for the writer of a pipe.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = openat(parent, name, flags, Mode::empty())?;
    let stat = fstat(&file)?;
    let attributes = Attributes::new(&stat);
    if !is_file(&stat) || !attributes.is_same_file(&expected) {
        return Err(Errno::NOENT.into());
    }
    Ok(Found::File(File::from(file), attributes))
}

pub(super) fn attributes(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Option<Attributes>> {
    let stat = stat(root, path)?;
    Ok(is_file(&stat).then(|| Attributes::new(&stat)))
}

pub(super) fn stat(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<Stat> {
    match resolve(root, path)? {
        End::Directory(directory) => Ok(fstat(&directory)?),
        End::Other { stat, .. } => Ok(*stat),
    }
}

/// Opens a directory for reading its entries.
pub(super) fn open_directory(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<OwnedFd> {
    match resolve(root, path)? {
        End::Directory(directory) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(openat(&directory, ".", flags, Mode::empty())?)
        }
        End::Other { .. } => Err(Errno::NOTDIR.into()),
    }
}

fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

fn resolve(root: BorrowedFd<'_>, path: &[u8]) -> io::Result<End> {
    if path.starts_with(b"/") {
        return Err(Errno::XDEV.into());
    }
    let mut parents: Vec<OwnedFd> = Vec::new();
    // The remaining components in reverse order.
    let mut pending: Vec<Vec<u8>> = Vec::new();
    push(&mut pending, path);
    let mut links = 0;
    while let Some(name) = pending.pop() {
        let current = parents.last().map_or(root, AsFd::as_fd);
        match &name[..] {
            b"" | b"." => continue,
            b".." => {
                parents.pop().ok_or(Errno::XDEV)?;
                continue;
            }
            _ => {}
        }
        let stat = statat(current, &name[..], AtFlags::SYMLINK_NOFOLLOW)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                links += 1;
                if links > LINK_LIMIT {
                    return Err(Errno::LOOP.into());
                }
                let target = readlinkat(current, &name[..], Vec::new())?.into_bytes();
                if target.starts_with(b"/") {
                    return Err(Errno::XDEV.into());
                }
                push(&mut pending, &target);
            }
            FileType::Directory => parents.push(subdirectory(current, &name)?),
            _ if !pending.is_empty() => return Err(Errno::NOTDIR.into()),
            _ => {
                return Ok(End::Other {
                    stat: Box::new(stat),
                    parent: parents.pop(),
                    name,
                });
            }
        }
    }
    match parents.pop() {
        Some(directory) => Ok(End::Directory(directory)),
        None => Ok(End::Directory(subdirectory(root, b".")?)),
    }
}

fn subdirectory(parent: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = SEARCH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

/// Adds the components of a path. A trailing slash is a component, so that a file before it is an error.
fn push(pending: &mut Vec<Vec<u8>>, path: &[u8]) {
    pending.extend(path.split(|&byte| byte == b'/').rev().map(<[u8]>::to_vec));
}
