//! The cache of a worker's open files, which all `Files` share.
//!
//! The key of an entry is the number of its `Files`, its coding and its path. The absence of a compressed variant is a part of the
//! entry of its file, so that it takes the place of no other file. A full cache evicts the oldest entry that was not
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
    file: Arc<Representation>,
    checked: Instant,
    used: bool,
    /// For each coding, the last time at which the file had no compressed variant.
    absent: [Option<Instant>; FileCoding::ALL.len()],
}

/// The result of a look-up.
pub(super) enum Cached {
    /// The entry was checked within the interval.
    Fresh(Arc<Representation>),
    /// The file had no such variant within the interval.
    Absent,
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
    /// The key of the file without a coding.
    fn plain(self) -> Self {
        CacheKey { coding: None, ..self }
    }

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
        let is_fresh = |checked: Instant| now.duration_since(checked) < interval;
        place.write_to(&mut cache.key);
        if let Some(entry) = cache.entries.get_mut(&*cache.key) {
            entry.used = true;
            let file = Arc::clone(&entry.file);
            return match is_fresh(entry.checked) {
                true => Cached::Fresh(file),
                false => Cached::Stale(file),
            };
        }
        let is_absent = place.coding.is_some_and(|coding| {
            place.plain().write_to(&mut cache.key);
            let plain = cache.entries.get(&*cache.key);
            plain.is_some_and(|plain| plain.absent[coding as usize].is_some_and(is_fresh))
        });
        match is_absent {
            true => Cached::Absent,
            false => Cached::Missing,
        }
    })
}

/// Adds or replaces the entry of a key.
pub(super) fn insert(place: CacheKey<'_>, file: Arc<Representation>, now: Instant) {
    CACHE.with_borrow_mut(|cache| cache.insert(place, file, now));
}

/// Removes the entry of a key whose file is absent. The absence of a compressed variant is kept while the entry of its file is.
pub(super) fn insert_absence(place: CacheKey<'_>, now: Instant) {
    CACHE.with_borrow_mut(|cache| {
        cache.remove(place);
        if let Some(coding) = place.coding {
            place.plain().write_to(&mut cache.key);
            if let Some(plain) = cache.entries.get_mut(&*cache.key) {
                plain.absent[coding as usize] = Some(now);
            }
        }
    });
}

/// Returns whether the content of a file of this length may be kept.
pub(super) fn has_room_for(bytes: u64) -> bool {
    CACHE.with_borrow(|cache| cache.kept_bytes as u64 + bytes <= KEPT_BYTES as u64)
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

    fn remove(&mut self, place: CacheKey<'_>) {
        place.write_to(&mut self.key);
        // The key stays in the order until it is considered.
        let removed = self.entries.remove(&*self.key);
        self.kept_bytes -= removed.map_or(0, |entry| kept_bytes(&entry.file));
    }

    fn insert(&mut self, place: CacheKey<'_>, file: Arc<Representation>, now: Instant) {
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
                absent: [None; FileCoding::ALL.len()],
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

fn kept_bytes(file: &Representation) -> usize {
    file.kept.as_ref().map_or(0, bytes::Bytes::len)
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
        matches!(find(place(path), now), Cached::Fresh(_))
    }

    #[test]
    fn full_cache_replaces_unused_entries() {
        bounded(3);
        let now = Instant::now();
        let file = open();
        for path in ["a", "b", "c"] {
            insert(place(path), Arc::clone(&file), now);
        }
        assert!(is_known("a", now));
        insert(place("d"), Arc::clone(&file), now);
        // The order in which unused entries are considered is not that of their insertion.
        let unused = ["b", "c"].into_iter().filter(|path| is_known(path, now)).count();
        assert!(is_known("a", now) && unused == 1 && is_known("d", now));
        for number in 0..10_000 {
            insert(place(&number.to_string()), Arc::clone(&file), now);
            insert_absence(place(&(number / 2).to_string()), now);
            assert!(len() <= 3);
            CACHE.with_borrow(|cache| assert!(cache.order.len() <= 3));
        }
    }

    #[test]
    fn an_entry_is_fresh_for_the_interval_and_closed_after_a_minute() {
        bounded(3);
        let now = Instant::now();
        insert(place("a"), open(), now);
        assert!(is_known("a", now + Duration::from_millis(999)));
        assert!(!is_known("a", now + Duration::from_secs(1)));
        assert_eq!(len(), 1);
        insert(place("b"), open(), now + IDLE);
        assert_eq!(len(), 1);
    }

    /// A file of the repository.
    fn open() -> Arc<Representation> {
        let file = kept("tests/assets/css/app.css");
        Arc::new(Representation {
            kept: None,
            ..(*file).clone()
        })
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
        insert(place("a"), Arc::clone(&file), now);
        insert(place("a"), Arc::clone(&file), now);
        assert_eq!(counted(), length, "an entry that is replaced is counted once");
        insert(place("b"), Arc::clone(&file), now);
        assert_eq!(counted(), 2 * length);
        insert(place("b"), open(), now);
        insert_absence(place("a"), now);
        assert_eq!(counted(), 0);
        for number in 0..100 {
            insert(place(&number.to_string()), Arc::clone(&file), now);
            assert!(counted() <= 3 * length, "entries that make room are not counted");
        }
        insert(place("late"), open(), now + IDLE);
        insert(place("later"), open(), now + IDLE);
        assert_eq!(counted(), 0, "closed files are not counted");
        insert(place("a"), file, now);
        clear();
        assert_eq!(counted(), 0);
        assert!(has_room_for(KEPT_BYTES as u64) && !has_room_for(KEPT_BYTES as u64 + 1));
    }

    #[test]
    fn places_of_other_codings_and_files_are_others() {
        bounded(9);
        let now = Instant::now();
        insert(place("a"), open(), now);
        let coded = CacheKey {
            coding: Some(FileCoding::Zstd),
            ..place("a")
        };
        let other = CacheKey { files: 2, ..place("a") };
        assert!(matches!(find(coded, now), Cached::Missing) && matches!(find(other, now), Cached::Missing));
    }

    #[test]
    fn absent_variants_displace_no_file() {
        bounded(2);
        let now = Instant::now();
        let coded = |coding| CacheKey {
            coding: Some(coding),
            ..place("a")
        };
        let absent = |coding, now| matches!(find(coded(coding), now), Cached::Absent);
        insert(place("a"), open(), now);
        insert(place("b"), open(), now);
        for coding in FileCoding::ALL {
            assert!(matches!(find(coded(coding), now), Cached::Missing));
            insert_absence(coded(coding), now);
            assert!(absent(coding, now));
            assert!(!absent(coding, now + Duration::from_secs(1)));
        }
        assert!(is_known("a", now) && is_known("b", now));

        bounded(2);
        insert(place("a"), open(), now);
        insert(coded(FileCoding::Gzip), open(), now);
        assert!(matches!(find(coded(FileCoding::Gzip), now), Cached::Fresh(_)));
        insert_absence(coded(FileCoding::Gzip), now);
        assert!(absent(FileCoding::Gzip, now) && !absent(FileCoding::Brotli, now));
        assert_eq!(len(), 1);
        insert_absence(place("a"), now);
        assert!(!absent(FileCoding::Gzip, now) && len() == 0);
    }

    #[test]
    fn a_cache_of_no_files_keeps_none() {
        bounded(0);
        insert(place("a"), open(), Instant::now());
        assert_eq!(len(), 0);
    }
}
