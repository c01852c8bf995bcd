//! A temporary file that is removed without a wait of the worker, unless it becomes the body of a response: then the worker closes
//! the file, and frees its blocks, at the end of the body.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;
use tokio::runtime::Handle;

/// A file of at least this length is removed by a thread for blocking work: the system may take long to free its blocks.
const LONG_BYTES: u64 = 16 << 20;

/// A file with a name, removed when this value is dropped.
pub(super) struct TemporaryFile {
    /// `None` once it is taken or removed.
    file: Option<NamedTempFile>,
    length: u64,
}

impl TemporaryFile {
    pub(super) fn new_in(directory: &Path) -> io::Result<Self> {
        Ok(TemporaryFile {
            file: Some(NamedTempFile::new_in(directory)?),
            length: 0,
        })
    }

    pub(super) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.length += bytes.len() as u64;
        self.file.as_mut().expect(PRESENT).write_all(bytes)
    }

    pub(super) fn file(&self) -> &NamedTempFile {
        self.file.as_ref().expect(PRESENT)
    }

    pub(super) fn into_inner(mut self) -> NamedTempFile {
        self.file.take().expect(PRESENT)
    }
}

const PRESENT: &str = "only `into_inner` takes the file";

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        let Some(file) = self.file.take().filter(|_| self.length >= LONG_BYTES) else {
            return;
        };
        if let Ok(runtime) = Handle::try_current() {
            drop(runtime.spawn_blocking(move || drop(file)));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn long_file_is_removed_by_a_thread_for_blocking_work() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .max_blocking_threads(1)
            .build()
            .expect("a runtime");
        let directory = tempfile::tempdir().expect("a directory");
        let count = || std::fs::read_dir(directory.path()).expect("a directory").count();
        let file = |length| {
            let file = Some(NamedTempFile::new_in(directory.path()).expect("a file"));
            TemporaryFile { file, length }
        };
        runtime.block_on(async {
            let (release, is_released) = mpsc::channel::<()>();
            let occupied = tokio::task::spawn_blocking(move || is_released.recv());
            drop(file(LONG_BYTES - 1));
            assert_eq!(count(), 0);
            drop(file(LONG_BYTES));
            assert_eq!(count(), 1);
            release.send(()).expect("the thread waits");
            occupied.await.expect("no panic").expect("a message");
            // The only thread has also removed the file before it begins this task.
            tokio::task::spawn_blocking(|| ()).await.expect("no panic");
            assert_eq!(count(), 0);
        });
        drop(file(LONG_BYTES));
        assert_eq!(count(), 0);
    }
}
