//! Directories in the program: the values of `embed!`.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;

use super::disk::Object;
use super::representation::{ByteSource, FileCoding, Representation, content_type};
use super::settings::{FilesSettings, IMMUTABLE};

/// A directory that [`embed!`](macro@crate::embed) compiles into the program. [`Files::embedded`](super::Files::embedded) serves
/// it, and [`asset!`](crate::asset) returns the URLs of its files.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    /// The path on the machine that compiled the program.
    directory: &'static str,
    files: &'static [EmbeddedFile],
    /// The files are read from the directory.
    is_on_disk: bool,
}

/// A file of an [`Embedded`] directory.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddedFile {
    /// The path below the directory.
    pub path: &'static str,
    /// The path with a hash of the content in the name.
    pub hashed: &'static str,
    /// The prefix of the routes, and `hashed`; `path` where files are read from the directory.
    pub url: &'static str,
    /// A hash of the content, in quotes.
    pub tag: &'static str,
    /// The content without a coding.
    pub content: &'static [u8],
    /// The content in zstd, brotli and gzip.
    pub coded: [Option<&'static [u8]>; 3],
}

/// The value of [`embed!`](macro@crate::embed), which generates the call.
pub const fn embedded(directory: &'static str, files: &'static [EmbeddedFile], is_on_disk: bool) -> Embedded {
    Embedded {
        directory,
        files,
        is_on_disk,
    }
}

impl Embedded {
    /// Returns the URL of a file: the prefix of [`embed!`](macro@crate::embed), and the path with a hash of the content in the
    /// name, so that browsers cache it without revalidation, and load a new version at once. [`asset!`](crate::asset) calls it at
    /// compile time.
    ///
    /// # Panics
    ///
    /// Panics if the directory has no file with this path.
    pub const fn url(&self, path: &str) -> &'static str {
        let mut place = 0;
        while place < self.files.len() {
            if is_same(self.files[place].path, path) {
                return self.files[place].url;
            }
            place += 1;
        }
        panic!("the embedded directory has no file with this path: check its spelling, or add the file")
    }

    /// Returns whether the program has a file with this path.
    pub(crate) fn contains(&self, path: &str) -> bool {
        self.files.iter().any(|file| file.path == path)
    }

    /// The paths of all files in the program.
    #[cfg(feature = "minijinja")]
    pub(crate) fn paths(&self) -> impl Iterator<Item = &'static str> {
        self.files.iter().map(|file| file.path)
    }

    /// The content of a file in the program.
    #[cfg(feature = "minijinja")]
    pub(crate) fn content(&self, path: &str) -> Option<&'static [u8]> {
        let file = self.files.iter().find(|file| file.path == path)?;
        Some(file.content)
    }

    /// The directory, if the files are read from it.
    pub(crate) fn on_disk(&self) -> Option<&'static str> {
        self.is_on_disk.then_some(self.directory)
    }
}

/// `==` is not a `const fn`.
const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut place = 0;
    while place < one.len() {
        if one[place] != other[place] {
            return false;
        }
        place += 1;
    }
    true
}

/// The files of an embedded directory on one worker, by their paths.
#[derive(Debug)]
pub(super) struct Table {
    files: HashMap<&'static [u8], [Option<Arc<Representation>>; 4]>,
    directories: HashSet<&'static [u8]>,
}

/// The representation without a coding, after those of [`FileCoding::ALL`].
const PLAIN: usize = FileCoding::ALL.len();

impl Table {
    pub(super) fn new(embedded: Embedded, settings: &FilesSettings) -> Self {
        let mut table = Table {
            files: HashMap::new(),
            directories: HashSet::new(),
        };
        for file in embedded.files {
            let path = file.path.as_bytes();
            table
                .files
                .insert(path, representations(file, settings.cache_control(path), settings));
            let immutable = HeaderValue::from_static(IMMUTABLE);
            table
                .files
                .insert(file.hashed.as_bytes(), representations(file, immutable, settings));
            let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
            table.directories.extend(slashes.map(|(place, _)| &path[..place]));
        }
        table
    }

    pub(super) fn find(&self, path: &[u8], coding: Option<FileCoding>) -> Object {
        match self.files.get(path) {
            Some(representations) => match &representations[coding.map_or(PLAIN, |coding| coding as usize)] {
                Some(file) => Object::File(Arc::clone(file)),
                None => Object::Absent,
            },
            None if self.directories.contains(path) => Object::Directory,
            None => Object::Absent,
        }
    }
}

fn representations(
    file: &EmbeddedFile,
    cache_control: HeaderValue,
    settings: &FilesSettings,
) -> [Option<Arc<Representation>>; 4] {
    let content_type = content_type(file.path.as_bytes(), settings);
    let make = |content: &'static [u8], coding: Option<FileCoding>| {
        let end = coding.map_or(String::new(), |coding| format!(";{}", coding.name()));
        let tag = file.tag.trim_matches('"');
        Arc::new(Representation {
            content: ByteSource::Memory(Bytes::from_static(content)),
            kept: None,
            length: content.len() as u64,
            tag: HeaderValue::try_from(format!("\"{tag}{end}\"")).expect("a hash is visible text"),
            modified: None,
            content_type: content_type.clone(),
            coding,
            cache_control: cache_control.clone(),
            attributes: None,
        })
    };
    let coded = |coding: FileCoding| file.coded[coding as usize].map(|content| make(content, Some(coding)));
    let [zstd, brotli, gzip] = FileCoding::ALL.map(coded);
    [zstd, brotli, gzip, Some(make(file.content, None))]
}
