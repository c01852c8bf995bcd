//! Files, for a thread that must not wait.
//!
//! The read itself checks whether the next bytes of a file are in memory. Other bytes are read by a separate thread,
//! and the worker continues with its other connections.

use std::io;

use crate::erased::spawn_blocking;
use crate::file::FilePart;

#[cfg_attr(target_os = "linux", path = "disk_linux.rs")]
#[cfg_attr(not(target_os = "linux"), path = "disk_other.rs")]
mod sys;

pub(crate) use sys::{SENDS_FILES, read_from_memory, send, send_before};

/// The reason for which nothing of a file was sent.
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "nothing is sent from a file there")
)]
pub(crate) enum Failed {
    /// The bytes must first be read from the disk.
    NotInMemory,
    /// An error of the file.
    File(io::Error),
    /// The connection is closed.
    Socket(io::Error),
}

/// Reads a part of a file on another thread, so that it is in memory, then calls `then` on this one. An error of the read is
/// reported by the next read.
pub(crate) fn load(part: FilePart, then: Box<dyn FnOnce()>) {
    let reading = spawn_blocking(Box::new(|| part.load()));
    tokio::task::spawn_local(async move {
        let _ = reading.await;
        then();
    });
}
