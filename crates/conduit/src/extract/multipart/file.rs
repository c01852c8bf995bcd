//! Files that clients have sent.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use tempfile::{NamedTempFile, PersistError};

use super::temporary_file::TemporaryFile;
use crate::blocking::blocking;
use crate::body::Body;
use crate::extract::fields::{FILE, KEPT_FILE};
use crate::problem::Problem;

/// A file that a client has sent in a form: a field of the struct that a [`MultipartForm`](super::MultipartForm) reads.
///
/// A file of up to 64 KiB is in memory, a longer one in a temporary file, which only the server's user can read, and which is
/// removed when this value is dropped. Memory counts for [`App::body_memory`](crate::App::body_memory) until the content is dropped;
/// while less than an eighth of that is free, files of more than 4 KiB are in temporary files too. Disks are read and written by
/// threads of tokio's pool for blocking work.
pub struct UploadedFile {
    pub(super) file_name: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) length: u64,
    pub(super) content: FileContent,
}

#[derive(Clone)]
pub(super) enum FileContent {
    /// Bytes that own their part of the budget of memory.
    Memory(Bytes),
    /// A file that only the table of the form's files shares, while the form is read.
    Disk(Arc<TemporaryFile>),
}

impl UploadedFile {
    /// The client's name of the file: the last component, after any slash or backslash (RFC 7578, section 4.2).
    ///
    /// Use it for display and as data only: a client may choose a name that does harm as a file name on this machine.
    pub fn file_name(&self) -> Option<&str> {
        self.file_name.as_deref()
    }

    /// The media type that the client declares; it is not compared with the content.
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The number of bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Returns whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Returns the whole content.
    ///
    /// # Errors
    ///
    /// Returns an error if the temporary file cannot be read.
    pub async fn bytes(&self) -> io::Result<Bytes> {
        let file = match &self.content {
            FileContent::Memory(bytes) => return Ok(bytes.clone()),
            FileContent::Disk(file) => file.file().as_file().try_clone()?,
        };
        let length = usize::try_from(self.length).map_err(io::Error::other)?;
        blocking(move || {
            let mut all = vec![0; length];
            // The descriptor shares its position with that of the form.
            file.read_exact_at(&mut all, 0)?;
            Ok(all.into())
        })
        .await
    }

    /// Returns an open file, positioned at its beginning. It has no name in a directory, and is removed from the disk when it is
    /// closed; content in memory is written to such a file first.
    ///
    /// # Errors
    ///
    /// Returns a 507 if the disk is full, and a 500 if the file cannot be written or read for another reason.
    pub async fn into_file(self) -> Result<File, Problem> {
        let file = blocking(move || {
            let mut file = match self.content {
                FileContent::Disk(file) => unshared(file).into_file(),
                FileContent::Memory(bytes) => {
                    let mut file = tempfile::tempfile()?;
                    file.write_all(&bytes)?;
                    file
                }
            };
            file.rewind()?;
            Ok(file)
        });
        file.await.map_err(storage_problem)
    }

    /// Converts the file to the body of a response. A file on the disk has no name from then on: the worker closes it at the end of
    /// the body, and the system frees its blocks.
    pub fn into_body(self) -> Body {
        match self.content {
            FileContent::Memory(bytes) => Body::from(bytes),
            FileContent::Disk(file) => Body::from_file(unshared(file).into_file(), 0..self.length),
        }
    }

    /// Moves the file to this path atomically, and replaces an existing one. Only the server's user can read it until its
    /// permissions are changed.
    ///
    /// A temporary file on another file system is copied: set its directory with
    /// [`MultipartLimits::directory`](super::MultipartLimits::directory) to avoid that.
    ///
    /// # Errors
    ///
    /// Returns a 507 if the disk is full, and a 500 if the file cannot be written there for another reason; the temporary file is
    /// removed.
    pub async fn save(self, path: impl AsRef<Path>) -> Result<(), Problem> {
        self.save_synced(path, false).await.map(drop)
    }

    /// Saves as [`save`](Self::save) does, and returns the length; with `is_synced`, waits until the disk has the file and its name.
    pub(super) async fn save_synced(self, path: impl AsRef<Path>, is_synced: bool) -> Result<u64, Problem> {
        let path = path.as_ref().to_owned();
        let saved = blocking(move || {
            let file = match self.content {
                FileContent::Memory(bytes) => copy_near(&mut io::Cursor::new(bytes), &path)?,
                FileContent::Disk(file) => unshared(file),
            };
            persist(file, &path, is_synced).or_else(|refused| match refused.error.kind() {
                ErrorKind::CrossesDevices => {
                    let copy = copy_near(&mut refused.file.reopen()?, &path)?;
                    persist(copy, &path, is_synced).map_err(|refused| refused.error)
                }
                _ => Err(refused.error),
            })?;
            if is_synced {
                File::open(directory_of(&path))?.sync_all()?;
            }
            Ok(self.length)
        });
        saved.await.map_err(storage_problem)
    }
}

/// A temporary file in the directory of the target.
fn copy_near(source: &mut dyn Read, target: &Path) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(directory_of(target))?;
    io::copy(source, &mut file)?;
    Ok(file)
}

/// Moves the file to its target.
fn persist(file: NamedTempFile, target: &Path, is_synced: bool) -> Result<(), PersistError> {
    if is_synced && let Err(error) = file.as_file().sync_all() {
        return Err(PersistError { error, file });
    }
    file.persist(target).map(drop)
}

/// Returns the file of a form that has been read, after which no table shares it.
fn unshared(file: Arc<TemporaryFile>) -> NamedTempFile {
    Arc::into_inner(file)
        .expect("a file is shared only while its form is read")
        .into_inner()
}

/// The directory that a file at this path is in.
pub(super) fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Returns a 507 (RFC 4918, section 11.5) if the disk is full, otherwise a 500.
pub(super) fn storage_problem(error: io::Error) -> Problem {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Problem::new(StatusCode::INSUFFICIENT_STORAGE)
                .with_detail("the server's disk has no room for the file")
                .with_cause(&error)
        }
        _ => Problem::internal(&error),
    }
}

impl fmt::Debug for UploadedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadedFile")
            .field("file_name", &self.file_name)
            .field("content_type", &self.content_type)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl UploadedFile {
    /// Returns another handle of the same file, for another attempt to read its form.
    fn share(&self) -> Self {
        UploadedFile {
            file_name: self.file_name.clone(),
            content_type: self.content_type.clone(),
            length: self.length,
            content: self.content.clone(),
        }
    }
}

/// The error for an `UploadedFile` outside a form.
const NO_FORM: &str = "files are accepted only in a form with files, multipart/form-data";

thread_local! {
    /// The files of the form that is being read into a struct on this thread; none outside of that.
    static FILES: RefCell<Option<Vec<UploadedFile>>> = const { RefCell::new(None) };
}

/// Calls `read`, in which an [`UploadedFile`] is deserialized from its index in `files`.
pub(super) fn with_files<R>(files: Vec<UploadedFile>, read: impl FnOnce() -> R) -> R {
    /// The previous value, restored even if `read` panics.
    struct Before(Option<Vec<UploadedFile>>);
    impl Drop for Before {
        fn drop(&mut self) {
            FILES.set(self.0.take());
        }
    }
    let _before = Before(FILES.replace(Some(files)));
    read()
}

impl<'de> Deserialize<'de> for UploadedFile {
    /// Deserializes the field of a [`MultipartForm`](super::MultipartForm); any other deserializer results in an error.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(FILE, FileVisitor)
    }
}

struct FileVisitor;

impl<'de> Visitor<'de> for FileVisitor {
    type Value = UploadedFile;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file")
    }

    fn visit_u64<E: de::Error>(self, place: u64) -> Result<UploadedFile, E> {
        let place = usize::try_from(place).unwrap_or(usize::MAX);
        FILES
            .with_borrow(|files| files.as_ref()?.get(place).map(UploadedFile::share))
            .ok_or_else(|| E::custom(NO_FORM))
    }

    /// Accepts the field of a flattened struct, which serde keeps as bytes that are not UTF-8.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, kept: D) -> Result<UploadedFile, D::Error> {
        if FILES.with_borrow(Option::is_none) {
            return Err(de::Error::custom(NO_FORM));
        }
        let place = kept.deserialize_bytes(KeptPlace);
        self.visit_u64(place.map_err(|_| de::Error::custom("expected a file, found a text field"))?)
    }
}

struct KeptPlace;

impl<'de> Visitor<'de> for KeptPlace {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a file")
    }

    fn visit_bytes<E: de::Error>(self, kept: &[u8]) -> Result<u64, E> {
        let place = kept.strip_prefix(&[KEPT_FILE]).and_then(|place| place.try_into().ok());
        place
            .map(u64::from_le_bytes)
            .ok_or_else(|| E::invalid_value(de::Unexpected::Bytes(kept), &self))
    }
}

#[cfg(feature = "openapi")]
impl schemars::JsonSchema for UploadedFile {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "UploadedFile".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "binary" })
    }
}
