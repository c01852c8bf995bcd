//! The files of a directory, through the worker's cache.
//!
//! A path that is not in the cache is resolved on the worker if the kernel has it in its cache (`RESOLVE_CACHED`), and otherwise on
//! a thread for blocking calls.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use conduit_net::{Attributes, Directory, DirectoryEntry, Found, Waiting};
use tokio::time::Instant;

use super::cache::{self, CacheKey, Cached};
use super::representation::{FileCoding, Representation};
use super::settings::FilesSettings;
use crate::blocking::blocking;

/// A directory on one worker.
#[derive(Debug)]
pub(super) struct Disk {
    path: Arc<Path>,
    /// The number that identifies the `Files` in the caches of workers.
    number: u64,
    root: RefCell<Option<OpenRoot>>,
}

/// The open directory. It is opened again each interval, since a deployment may replace it, or a link to it.
#[derive(Clone, Debug)]
struct OpenRoot {
    directory: Arc<Directory>,
    opened: Instant,
}

/// An object at a path.
pub(super) enum Object {
    File(Arc<Representation>),
    Directory,
    /// No object, or one that is not served.
    Absent,
}

impl Clone for Disk {
    /// The same directory for another worker.
    fn clone(&self) -> Self {
        Disk {
            path: Arc::clone(&self.path),
            number: self.number,
            root: RefCell::new(None),
        }
    }
}

impl Disk {
    pub(super) fn new(path: &Path) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Disk {
            // The working directory may change. An empty path cannot be made absolute, and does not name the working directory.
            path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).into(),
            number: COUNT.fetch_add(1, Relaxed),
            root: RefCell::new(None),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the object at a path; with a coding, the compressed variant next to the file, whose absence is cached too.
    ///
    /// # Errors
    /// Returns an error if the system has no resources, or if the disk fails.
    pub(super) async fn find(
        &self,
        path: &[u8],
        coding: Option<FileCoding>,
        settings: &FilesSettings,
    ) -> io::Result<Object> {
        let now = Instant::now();
        let place = CacheKey {
            files: self.number,
            path,
            coding,
        };
        let known = match cache::find(place, now) {
            Cached::Fresh(file) => return self.current(place, file, settings, now),
            Cached::Absent => return Ok(Object::Absent),
            Cached::Stale(file) => Some(file),
            Cached::Missing => None,
        };
        let task = LookUp {
            root: Arc::clone(&self.path),
            directory: self.directory(now),
            path: [path, coding.map_or("", FileCoding::extension).as_bytes()].concat(),
            known: known.as_ref().and_then(|file| file.attributes),
        };
        let (directory, outcome) = match task.run(Waiting::Never) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => blocking(move || task.run(Waiting::Allowed)).await?,
            result => result?,
        };
        self.keep(directory, now);
        let is_directory = matches!(outcome, Outcome::Directory);
        let file = match outcome {
            Outcome::Same => known.map(with_kept_content),
            Outcome::File(file, attributes) => Some(Arc::new(Representation::of_file(
                Arc::new(file),
                attributes,
                path,
                coding,
                settings,
            ))),
            Outcome::Directory | Outcome::Absent => None,
        };
        match file {
            Some(file) => {
                cache::insert(place, Arc::clone(&file), now);
                self.current(place, file, settings, now)
            }
            None => {
                cache::insert_absence(place, now);
                Ok(if is_directory {
                    Object::Directory
                } else {
                    Object::Absent
                })
            }
        }
    }

    /// Returns the file with its current attributes, because the tag of a response must match the bytes that are sent.
    fn current(
        &self,
        place: CacheKey<'_>,
        file: Arc<Representation>,
        settings: &FilesSettings,
        now: Instant,
    ) -> io::Result<Object> {
        let super::representation::ByteSource::File(open) = &file.content else {
            return Ok(Object::File(file));
        };
        let attributes = Attributes::of(open)?;
        if Some(attributes) == file.attributes && !file.is_date_due() {
            return Ok(Object::File(file));
        }
        let changed = Representation::of_file(Arc::clone(open), attributes, place.path, place.coding, settings);
        let changed = Arc::new(changed);
        cache::insert(place, Arc::clone(&changed), now);
        Ok(Object::File(changed))
    }

    /// Returns the files and directories at a path, up to `limit`, and whether there are more.
    pub(super) async fn list(&self, path: &[u8], limit: usize) -> io::Result<Option<(Vec<DirectoryEntry>, bool)>> {
        let (root, path) = (Arc::clone(&self.path), path.to_vec());
        let listed = blocking(move || Directory::open(&root, Waiting::Allowed)?.list(&path, limit)).await;
        match listed {
            Err(error) if Directory::is_absence(&error) => Ok(None),
            result => result.map(Some),
        }
    }

    /// The directory, unless it is to be opened again.
    fn directory(&self, now: Instant) -> Option<Arc<Directory>> {
        let root = self.root.borrow();
        let root = root.as_ref()?;
        (now.duration_since(root.opened) < cache::check_interval()).then(|| Arc::clone(&root.directory))
    }

    fn keep(&self, directory: Option<Arc<Directory>>, now: Instant) {
        if let Some(directory) = directory {
            *self.root.borrow_mut() = Some(OpenRoot { directory, opened: now });
        }
    }
}

/// Returns the file with its content in memory if there is room. Called for a file that was requested before.
fn with_kept_content(file: Arc<Representation>) -> Arc<Representation> {
    match cache::has_room_for(file.length) {
        true => file.with_kept_content().map_or(file, Arc::new),
        false => file,
    }
}

/// The calls of a look-up, for any thread.
struct LookUp {
    root: Arc<Path>,
    directory: Option<Arc<Directory>>,
    path: Vec<u8>,
    /// The attributes of the open file at the path.
    known: Option<Attributes>,
}

enum Outcome {
    /// The open file is still at the path.
    Same,
    File(File, Attributes),
    Directory,
    Absent,
}

impl LookUp {
    /// Resolves the path. Also returns the directory if it had to be opened.
    fn run(&self, waiting: Waiting) -> io::Result<(Option<Arc<Directory>>, Outcome)> {
        let opened = match self.directory {
            Some(_) => None,
            None => match Directory::open(&self.root, waiting) {
                Err(error) if Directory::is_absence(&error) => return Ok((None, Outcome::Absent)),
                result => Some(Arc::new(result?)),
            },
        };
        let directory = self.directory.as_ref().or(opened.as_ref()).expect("it was opened");
        let outcome = match self.look(directory, waiting) {
            Err(error) if Directory::is_absence(&error) => Outcome::Absent,
            result => result?,
        };
        Ok((opened, outcome))
    }

    fn look(&self, directory: &Directory, waiting: Waiting) -> io::Result<Outcome> {
        if let Some(known) = &self.known {
            let attributes = directory.attributes(&self.path, waiting)?;
            if attributes.is_some_and(|attributes| attributes.is_same_file(known)) {
                return Ok(Outcome::Same);
            }
        }
        Ok(match directory.find(&self.path, waiting)? {
            Found::File(file, attributes) => Outcome::File(file, attributes),
            Found::Directory => Outcome::Directory,
            Found::Special => Outcome::Absent,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::files::representation::is_settled;

    /// The file at a path.
    async fn file(disk: &Disk, path: &str) -> Arc<Representation> {
        match disk.find(path.as_bytes(), None, &FilesSettings::default()).await {
            Ok(Object::File(file)) => file,
            _ => panic!("no file {path}"),
        }
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        runtime.expect("a runtime").block_on(test);
    }

    /// Waits until the content of a file may be kept: a checkout may have just written it.
    fn settle(path: &str) {
        let file = File::open(path).expect("a file");
        for _ in 0..200 {
            if is_settled(&Attributes::of(&file).expect("its attributes")) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("{path} has changed in the future: set the clock, or touch the file");
    }

    #[test]
    fn content_of_a_file_that_is_requested_again_after_the_interval_is_kept() {
        settle("tests/assets/css/app.css");
        run(async {
            let disk = Disk::new(Path::new("tests/assets"));
            assert_eq!(file(&disk, "css/app.css").await.kept, None);
            assert_eq!(file(&disk, "css/app.css").await.kept, None);
            tokio::time::advance(cache::check_interval()).await;
            let content = std::fs::read("tests/assets/css/app.css").expect("a file");
            for _ in 0..2 {
                assert_eq!(
                    file(&disk, "css/app.css").await.kept,
                    Some(Bytes::from(content.clone()))
                );
                tokio::time::advance(cache::check_interval() / 2).await;
            }
        });
    }

    #[test]
    fn kept_content_ends_with_a_change_in_place_and_does_not_begin_within_a_tick_of_one() {
        run(async {
            let directory = tempfile::tempdir().expect("a directory");
            std::fs::write(directory.path().join("a"), "old").expect("a file");
            let disk = Disk::new(directory.path());
            let found = file(&disk, "a").await;
            tokio::time::advance(cache::check_interval()).await;
            assert_eq!(
                file(&disk, "a").await.kept,
                None,
                "a further change may have the same time"
            );

            let (files, path, coding) = (disk.number, "a".as_bytes(), None);
            let kept = Some(Bytes::from_static(b"old"));
            let kept = Arc::new(Representation {
                kept,
                ..(*found).clone()
            });
            cache::insert(CacheKey { files, path, coding }, kept, Instant::now());
            assert!(file(&disk, "a").await.kept.is_some());
            std::fs::write(directory.path().join("a"), "newer").expect("a file");
            let changed = file(&disk, "a").await;
            assert_eq!((&changed.kept, changed.length), (&None, 5));
            assert_ne!(changed.tag, found.tag);
        });
    }

    #[test]
    fn date_that_was_in_the_future_is_sent_once_it_has_passed() {
        run(async {
            let disk = Disk::new(Path::new("tests/assets"));
            let found = file(&disk, "app.js").await;
            assert!(found.modified.is_some());
            // As for a file that another machine, whose clock is ahead, has just written.
            let early = Arc::new(Representation {
                modified: None,
                ..(*found).clone()
            });
            let (files, path, coding) = (disk.number, "app.js".as_bytes(), None);
            cache::insert(CacheKey { files, path, coding }, early, Instant::now());
            assert_eq!(file(&disk, "app.js").await.modified, found.modified);
        });
    }
}
