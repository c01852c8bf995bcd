//! A file while it is received: in memory, and on the disk when it is long or when the budget of memory is nearly used up.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use conduit_core::internal::charge::Charge;
use conduit_core::internal::current;

use super::file::{FileContent, UploadedFile, storage_problem};
use super::temporary_file::TemporaryFile;
use crate::blocking::blocking;
use crate::pool::{Buffer, FREE_BYTES};
use crate::problem::Problem;

/// The maximum number of bytes of a file in memory; a longer one is written to a temporary file.
const MEMORY_BYTES: usize = 64 * 1024;

pub(super) struct Spool {
    directory: PathBuf,
    /// The bytes that are not on the disk, with their part of the budget of memory.
    buffer: Buffer,
    disk: Option<TemporaryFile>,
    length: u64,
}

impl Spool {
    pub(super) fn new(directory: &Path) -> Self {
        Spool {
            directory: directory.to_owned(),
            buffer: Buffer::default(),
            disk: None,
            length: 0,
        }
    }

    /// The number of bytes so far.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The capacity of the memory that the finished file keeps.
    pub(super) fn kept_bytes(&self) -> usize {
        match self.disk {
            Some(_) => 0,
            None => self.buffer.capacity(),
        }
    }

    /// Adds a chunk; the next one is requested when the disk has taken the bytes that memory has no room for.
    pub(super) async fn write(&mut self, piece: Bytes) -> Result<(), Problem> {
        self.length += piece.len() as u64;
        let needed = self.buffer.len() + piece.len();
        let is_reserved = needed <= self.buffer.capacity().max(FREE_BYTES);
        if needed <= MEMORY_BYTES && (is_reserved || has_room()) && self.buffer.append(&piece).is_ok() {
            return Ok(());
        }
        self.write_out(piece).await
    }

    /// Writes the buffer and the next bytes to the disk.
    async fn write_out(&mut self, next: Bytes) -> Result<(), Problem> {
        // A thread of the pool for blocking work must not drop a `Buffer`, which would stay in that thread's pool of buffers.
        let (mut bytes, charge) = std::mem::take(&mut self.buffer).into_parts();
        let disk = self.disk.take();
        let directory = self.directory.clone();
        let written = blocking(move || {
            let mut file = match disk {
                Some(file) => file,
                None => TemporaryFile::new_in(&directory)?,
            };
            file.write_all(&bytes)?;
            file.write_all(&next)?;
            bytes.clear();
            Ok((file, bytes, charge, next))
        });
        let (file, bytes, charge, _) = written.await.map_err(|error| {
            let directory = self.directory.display();
            let message = format!("cannot store an uploaded file in {directory}: {error}");
            storage_problem(io::Error::new(error.kind(), message))
        })?;
        (self.disk, self.buffer) = (Some(file), Buffer::from_parts(bytes, charge));
        Ok(())
    }

    /// Returns the file. `free_bytes` of its memory are not taken from the budget.
    ///
    /// # Errors
    /// Returns a 503 if the budget has no room for the rest, and a 507 or a 500 if the disk fails.
    pub(super) async fn finish(
        mut self,
        free_bytes: usize,
        file_name: Option<String>,
        content_type: Option<String>,
    ) -> Result<UploadedFile, Problem> {
        if self.disk.is_some() && !self.buffer.is_empty() {
            self.write_out(Bytes::new()).await?;
        }
        let content = match self.disk {
            Some(file) => FileContent::Disk(Arc::new(file)),
            None => FileContent::Memory(charged(self.buffer, free_bytes)?),
        };
        Ok(UploadedFile {
            file_name,
            content_type,
            length: self.length,
            content,
        })
    }
}

/// Returns whether the budget has room for a file that the disk can take instead.
fn has_room() -> bool {
    current::budgets().is_none_or(|budgets| budgets.has_room())
}

/// Returns the bytes with a part of the budget for all of their capacity but `free_bytes`.
fn charged(buffer: Buffer, free_bytes: usize) -> Result<Bytes, Problem> {
    let (bytes, mut charge) = buffer.into_parts();
    let needed = bytes.capacity().saturating_sub(free_bytes);
    charge
        .raise_to(needed, needed)
        .map_err(|exhausted| Problem::of_body_error(&exhausted.into()))?;
    Ok(match charge.is_some() {
        true => Bytes::from_owner(ChargedBytes { bytes, _charge: charge }),
        false => bytes.into(),
    })
}

/// The content of a file, which returns its part of the budget when the last handle of it is dropped, on any thread.
struct ChargedBytes {
    bytes: Vec<u8>,
    _charge: Charge,
}

impl AsRef<[u8]> for ChargedBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
