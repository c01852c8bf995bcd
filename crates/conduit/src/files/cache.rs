//! The cache of a worker's open files, which all `Files` share.
//!
//! The key of an entry is the number of its `Files`, its coding and its path. A full cache evicts the oldest entry that was not
//! used since its last check (the clock algorithm), so that a request moves no entry.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::representation::{FileCoding, Representation};
use conduit_core::internal::current::{self, FileCacheSettings};
use conduit_core::internal::error_form::is_development_on_this_thread;

/// The time after its last look-up at which a file is closed.
const IDLE: Duration = Duration::from_secs(60);
/// The number of entries that an insertion considers for closing.
const CONSIDERED: usize = 2;
/// The number of bytes of all contents that a worker keeps.
const KEPT_BYTES: usize = 1024 * 1024;

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::new(Cache::default());
}

#[derive(Default)]
struct Cache {
    /// The settings of the worker; `None` before the first look-up.
    settings: Option<FileCacheSettings>,
    entries: HashMap<Rc<[u8]>, CacheEntry>,
    /// The keys of all entries, the one to consider next first.
    order: VecDeque<Rc<[u8]>>,
    /// The length of all contents that the entries keep.
    kept_bytes: usize,
    /// Memory for the key of a look-up.
    key: Vec<u8>,
}

struct CacheEntry {
    /// `None`: no file has this name.
    file: Option<Arc<Representation>>,
    checked: Instant,
    used: bool,
}

/// The result of a look-up.
pub(super) enum Cached {
    /// The entry was checked within the interval. `None`: no file has this name.
    Fresh(Option<Arc<Representation>>),
    /// The path is to be resolved again.
    Stale(Arc<Representation>),
    Missing,
}

/// The key of a file in the cache.
#[derive(Clone, Copy)]
pub(super) struct CacheKey<'a> {
    /// The number of its `Files`.
    pub(super) files: u64,
    pub(super) path: &'a [u8],
    pub(super) coding: Option<FileCoding>,
}

impl CacheKey<'_> {
    fn write_to(&self, key: &mut Vec<u8>) {
        key.clear();
        key.extend_from_slice(&self.files.to_ne_bytes());
        key.push(self.coding.map_or(u8::MAX, |coding| coding as u8));
        key.extend_from_slice(self.path);
    }
}

/// The time for which an entry is fresh.
pub(super) fn check_interval() -> Duration {
    CACHE.with_borrow_mut(|cache| cache.settings().check_interval)
}

pub(super) fn find(place: CacheKey<'_>, now: Instant) -> Cached {
    CACHE.with_borrow_mut(|cache| {
        let interval = cache.settings().check_interval;
        place.write_to(&mut cache.key);
        let Some(entry) = cache.entries.get_mut(&*cache.key) else {
            return Cached::Missing;
        };
        entry.used = true;
        let is_fresh = now.duration_since(entry.checked) < interval;
        match &entry.file {
            file if is_fresh => Cached::Fresh(file.clone()),
            Some(file) => Cached::Stale(Arc::clone(file)),
            None => Cached::Missing,
        }
    })
}

/// Adds or replaces the entry of a key.
pub(super) fn insert(place: CacheKey<'_>, file: Option<Arc<Representation>>, now: Instant) {
    CACHE.with_borrow_mut(|cache| cache.insert(place, file, now));
}

/// Returns whether the content of a file of this length may be kept.
pub(super) fn has_room_for(bytes: u64) -> bool {
    CACHE.with_borrow(|cache| cache.kept_bytes as u64 + bytes <= KEPT_BYTES as u64)
}

/// Removes the entry of a key.
pub(super) fn remove(place: CacheKey<'_>) {
    CACHE.with_borrow_mut(|cache| {
        place.write_to(&mut cache.key);
        // The key stays in the order until it is considered.
        let removed = cache.entries.remove(&*cache.key);
        cache.kept_bytes -= removed.map_or(0, |entry| kept_bytes(&entry.file));
    });
}

/// Closes all files, for a process that has run out of descriptors.
pub(super) fn clear() {
    CACHE.with_borrow_mut(|cache| {
        cache.entries.clear();
        cache.order.clear();
        cache.kept_bytes = 0;
    });
}

impl Cache {
    /// Returns the settings of the worker. In development, each request checks the path, so that the next page contains a saved change.
    fn settings(&mut self) -> FileCacheSettings {
        let mut settings = *self.settings.get_or_insert_with(current::file_cache);
        if is_development_on_this_thread() {
            settings.check_interval = Duration::ZERO;
        }
        settings
    }

    fn insert(&mut self, place: CacheKey<'_>, file: Option<Arc<Representation>>, now: Instant) {
        let limit = self.settings().files;
        if limit == 0 {
            return;
        }
        self.close_idle(now);
        place.write_to(&mut self.key);
        self.kept_bytes += kept_bytes(&file);
        if let Some(entry) = self.entries.get_mut(&*self.key) {
            self.kept_bytes -= kept_bytes(&entry.file);
            entry.file = file;
            entry.checked = now;
            return;
        }
        // Keys without an entry count too, so that the order is bounded.
        while self.order.len() >= limit {
            self.consider_next(|entry| !std::mem::take(&mut entry.used));
        }
        let key: Rc<[u8]> = Rc::from(&*self.key);
        self.order.push_back(Rc::clone(&key));
        let used = false;
        self.entries.insert(
            key,
            CacheEntry {
                file,
                checked: now,
                used,
            },
        );
    }

    fn close_idle(&mut self, now: Instant) {
        for _ in 0..CONSIDERED.min(self.order.len()) {
            self.consider_next(|entry| now.duration_since(entry.checked) >= IDLE);
        }
    }

    /// Removes the next entry, or moves it to the end.
    fn consider_next(&mut self, is_removed: impl FnOnce(&mut CacheEntry) -> bool) {
        let Some(key) = self.order.pop_front() else { return };
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        if is_removed(entry) {
            self.kept_bytes -= kept_bytes(&entry.file);
            self.entries.remove(&key);
        } else {
            self.order.push_back(key);
        }
    }
}

fn kept_bytes(file: &Option<Arc<Representation>>) -> usize {
    let kept = file.as_ref().and_then(|file| file.kept.as_ref());
    kept.map_or(0, bytes::Bytes::len)
}

/// The number of entries of this thread's cache.
#[cfg(test)]
pub(super) fn len() -> usize {
    CACHE.with_borrow(|cache| cache.entries.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> CacheKey<'_> {
        CacheKey {
            files: 1,
            path: path.as_bytes(),
            coding: None,
        }
    }

    /// The cache of this thread, with these bounds.
    fn bounded(files: usize) {
        let check_interval = Duration::from_secs(1);
        CACHE.with_borrow_mut(|cache| {
            *cache = Cache {
                settings: Some(FileCacheSettings { files, check_interval }),
                ..Cache::default()
            }
        });
    }

    fn is_known(path: &str, now: Instant) -> bool {
        matches!(find(place(path), now), Cached::Fresh(None))
    }

    #[test]
    fn full_cache_replaces_unused_entries() {
        bounded(3);
        let now = Instant::now();
        for path in ["a", "b", "c"] {
            insert(place(path), None, now);
        }
        assert!(is_known("a", now));
        insert(place("d"), None, now);
        // The order in which unused entries are considered is not that of their insertion.
        let unused = ["b", "c"].into_iter().filter(|path| is_known(path, now)).count();
        assert!(is_known("a", now) && unused == 1 && is_known("d", now));
        for number in 0..10_000 {
            insert(place(&number.to_string()), None, now);
            remove(place(&(number / 2).to_string()));
            assert!(len() <= 3);
            CACHE.with_borrow(|cache| assert!(cache.order.len() <= 3));
        }
    }

    #[test]
    fn an_entry_is_fresh_for_the_interval_and_closed_after_a_minute() {
        bounded(3);
        let now = Instant::now();
        insert(place("a"), None, now);
        assert!(is_known("a", now + Duration::from_millis(999)));
        assert!(!is_known("a", now + Duration::from_secs(1)));
        assert_eq!(len(), 1);
        insert(place("b"), None, now + IDLE);
        assert_eq!(len(), 1);
    }

    /// A file of the repository with its content, also if a checkout has just written it.
    fn kept(path: &str) -> Arc<Representation> {
        let file = std::fs::File::open(path).expect("a file");
        let attributes = conduit_net::Attributes::of(&file).expect("a file");
        let settings = super::super::settings::FilesSettings::default();
        let file = Representation::of_file(Arc::new(file), attributes, path.as_bytes(), None, &settings);
        let kept = Some(std::fs::read(path).expect("a file").into());
        Arc::new(Representation { kept, ..file })
    }

    #[test]
    fn kept_contents_are_counted_until_their_entries_go() {
        bounded(3);
        let now = Instant::now();
        let file = kept("tests/assets/css/app.css");
        let length = file.kept.as_ref().map_or(0, bytes::Bytes::len);
        assert_eq!(length as u64, file.length);
        let counted = || CACHE.with_borrow(|cache| cache.kept_bytes);
        insert(place("a"), Some(Arc::clone(&file)), now);
        insert(place("a"), Some(Arc::clone(&file)), now);
        assert_eq!(counted(), length, "an entry that is replaced is counted once");
        insert(place("b"), Some(Arc::clone(&file)), now);
        assert_eq!(counted(), 2 * length);
        insert(place("b"), None, now);
        remove(place("a"));
        assert_eq!(counted(), 0);
        for number in 0..100 {
            insert(place(&number.to_string()), Some(Arc::clone(&file)), now);
            assert!(counted() <= 3 * length, "entries that make room are not counted");
        }
        insert(place("late"), None, now + IDLE);
        insert(place("later"), None, now + IDLE);
        assert_eq!(counted(), 0, "closed files are not counted");
        insert(place("a"), Some(file), now);
        clear();
        assert_eq!(counted(), 0);
        assert!(has_room_for(KEPT_BYTES as u64) && !has_room_for(KEPT_BYTES as u64 + 1));
    }

    #[test]
    fn places_of_other_codings_and_files_are_others() {
        bounded(9);
        let now = Instant::now();
        insert(place("a"), None, now);
        let coded = CacheKey {
            coding: Some(FileCoding::Zstd),
            ..place("a")
        };
        let other = CacheKey { files: 2, ..place("a") };
        assert!(matches!(find(coded, now), Cached::Missing) && matches!(find(other, now), Cached::Missing));
    }

    #[test]
    fn a_cache_of_no_files_keeps_none() {
        bounded(0);
        insert(place("a"), None, Instant::now());
        assert_eq!(len(), 0);
    }
}
