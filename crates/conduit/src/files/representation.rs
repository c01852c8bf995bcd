//! A representation of a file: its bytes in one coding, and the header fields that describe them.

use std::fs::File;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use conduit_net::Attributes;
use http::HeaderValue;

use super::settings::FilesSettings;
use crate::body::{Body, BodyKind};
use crate::layer::strong_tag;
use conduit_core::internal::file::FilePart;

/// A content coding of files, which their names show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileCoding {
    Zstd,
    Brotli,
    Gzip,
}

impl FileCoding {
    /// All codings, in the order that applies if the client has no preference.
    pub(super) const ALL: [FileCoding; 3] = [FileCoding::Zstd, FileCoding::Brotli, FileCoding::Gzip];
    /// The names of the codings in `accept-encoding`, in the same order.
    pub(super) const NAMES: [&'static str; 3] = ["zstd", "br", "gzip"];

    /// Returns the name in `content-encoding`.
    pub(super) const fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    /// The end of the name of a file in this coding.
    pub(super) const fn extension(self) -> &'static str {
        match self {
            FileCoding::Zstd => ".zst",
            FileCoding::Brotli => ".br",
            FileCoding::Gzip => ".gz",
        }
    }
}

/// The maximum length of a file whose content is kept in memory. The kernel sends a longer one without a copy.
pub(super) const KEPT_FILE_BYTES: u64 = 16 * 1024;
/// The age of a change after which the next change has a different timestamp: file systems have timestamps of limited resolution.
const SETTLED: Duration = Duration::from_secs(2);

/// The bytes of a representation.
#[derive(Clone, Debug)]
pub(super) enum ByteSource {
    File(Arc<File>),
    Memory(Bytes),
}

impl ByteSource {
    /// Returns a range of the bytes, which must exist.
    pub(super) fn part(&self, range: Range<u64>) -> Body {
        match self {
            ByteSource::File(file) => Body(BodyKind::File(FilePart::shared(
                Arc::clone(file),
                range.start,
                range.end - range.start,
            ))),
            // The length of bytes in memory fits into `usize`.
            ByteSource::Memory(bytes) => Body::from(bytes.slice(range.start as usize..range.end as usize)),
        }
    }
}

/// One representation of a file.
#[derive(Clone, Debug)]
pub(super) struct Representation {
    pub(super) content: ByteSource,
    /// The content of a small file as it was at the time in `attributes`.
    pub(super) kept: Option<Bytes>,
    pub(super) length: u64,
    /// A strong tag.
    pub(super) tag: HeaderValue,
    /// Seconds since 1970, and the same as a date. `None` if the time is in the future (RFC 9110, section 8.8.2.1).
    pub(super) modified: Option<(u64, HeaderValue)>,
    pub(super) content_type: HeaderValue,
    pub(super) coding: Option<FileCoding>,
    pub(super) cache_control: HeaderValue,
    /// The attributes of the open file.
    pub(super) attributes: Option<Attributes>,
}

impl Representation {
    /// Creates the representation of an open file. `path` is the path without the extension of the coding.
    ///
    /// The tag covers the change time (`st_ctime`), which no program can set, and the inode: two versions with the same length and
    /// modification time, as from reproducible builds, have different tags.
    pub(super) fn of_file(
        file: Arc<File>,
        attributes: Attributes,
        path: &[u8],
        coding: Option<FileCoding>,
        settings: &FilesSettings,
    ) -> Self {
        let Attributes {
            device,
            inode,
            length,
            modified,
            changed,
        } = attributes;
        let tag = strong_tag(format!("{device} {inode} {length} {modified:?} {changed:?} {coding:?}").as_bytes());
        Representation {
            content: ByteSource::File(file),
            kept: None,
            length,
            tag,
            modified: date(modified.0),
            content_type: content_type(path, settings),
            coding,
            cache_control: settings.cache_control(path),
            attributes: Some(attributes),
        }
    }

    /// Returns whether `last-modified` was omitted because the time was in the future, which it is no longer.
    pub(super) fn is_date_due(&self) -> bool {
        let attributes = self.attributes.filter(|_| self.modified.is_none());
        attributes.is_some_and(|attributes| date(attributes.modified.0).is_some())
    }

    /// The bytes, from memory if they are kept there.
    pub(super) fn source(&self) -> ByteSource {
        match &self.kept {
            Some(bytes) => ByteSource::Memory(bytes.clone()),
            None => self.content.clone(),
        }
    }

    /// Returns a copy with the content in memory if the file is small, has not changed recently, and can be read without waiting
    /// for the disk.
    pub(super) fn with_kept_content(&self) -> Option<Self> {
        let (ByteSource::File(file), Some(attributes)) = (&self.content, self.attributes) else {
            return None;
        };
        if self.kept.is_some() || !(1..=KEPT_FILE_BYTES).contains(&self.length) || !is_settled(&attributes) {
            return None;
        }
        let mut bytes = vec![0; self.length as usize];
        let is_whole = conduit_net::read_cached(file, &mut bytes, 0).is_ok_and(|count| count == bytes.len());
        // A write during the read changes the time.
        let is_same = Attributes::of(file).is_ok_and(|now| now == attributes);
        (is_whole && is_same).then(|| Representation {
            kept: Some(bytes.into()),
            ..self.clone()
        })
    }
}

/// Returns whether the next change of a file will have a different timestamp than its last one.
pub(super) fn is_settled(attributes: &Attributes) -> bool {
    let changed = u64::try_from(attributes.changed.0).unwrap_or(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    now.saturating_sub(Duration::from_secs(changed)) > SETTLED
}

/// The value of `last-modified`, unless it is in the future or before 1970.
fn date(seconds: i64) -> Option<(u64, HeaderValue)> {
    let seconds = u64::try_from(seconds).ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
    if seconds > now {
        return None;
    }
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    Some((seconds, HeaderValue::try_from(text).ok()?))
}

/// The media type by the settings, or by the extension. Text is UTF-8.
pub(super) fn content_type(path: &[u8], settings: &FilesSettings) -> HeaderValue {
    if let Some(chosen) = settings.content_type(path) {
        return chosen;
    }
    let name = Path::new(std::ffi::OsStr::from_bytes(path));
    let known = mime_infer::from_path(name).first_raw();
    match known.unwrap_or("application/octet-stream") {
        text if text.starts_with("text/") => {
            HeaderValue::try_from(format!("{text}; charset=utf-8")).expect("a media type is visible text")
        }
        other => HeaderValue::from_static(other),
    }
}
