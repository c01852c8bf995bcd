//! Where layers keep what all workers, or all servers, must agree on.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
// The runtime's clock, which a test may move.
use tokio::time::Instant;

/// How many parts a store in memory has, each with a lock of its own.
const SHARDS: usize = 16;
/// What an entry costs beside its key and value, about.
const ENTRY_BYTES: usize = 160;

/// Values by their key, each for a limited time, that are changed only if nobody else has changed them since: where
/// [`RateLimit`](super::RateLimit) and [`Idempotency`](super::Idempotency) keep what they count.
///
/// [`MemoryStore`] is one for a single process. A service with several processes implements it for a database that they
/// share. In Redis, for one, `get` is `GET`; `replace` is `SET key value PX lifetime NX` where nothing is expected, and else
/// a script of four lines that compares and sets.
///
/// # Example
///
/// A store that passes everything on to another, and counts the calls:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use std::time::Duration;
/// use conduit::Bytes;
/// use conduit::layer::{MemoryStore, Store};
///
/// #[derive(Clone)]
/// struct Counted(MemoryStore, Arc<AtomicU64>);
///
/// impl Store for Counted {
///     type Error = <MemoryStore as Store>::Error;
///
///     async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Self::Error> {
///         self.1.fetch_add(1, Ordering::Relaxed);
///         self.0.get(key).await
///     }
///
///     async fn replace(
///         &self,
///         key: &[u8],
///         expected: Option<&[u8]>,
///         value: Option<&[u8]>,
///         lifetime: Duration,
///     ) -> Result<bool, Self::Error> {
///         self.1.fetch_add(1, Ordering::Relaxed);
///         self.0.replace(key, expected, value, lifetime).await
///     }
/// }
/// ```
pub trait Store: Clone + Send + 'static {
    /// Why the store could not be asked.
    type Error: fmt::Display;

    /// The value of a key, unless its time is over.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Bytes>, Self::Error>>;

    /// Sets the value of a key for `lifetime`, or removes it, if its value is still `expected`: both in one step that
    /// nothing can come between. Gives whether it was.
    ///
    /// # Errors
    ///
    /// When the store cannot be asked.
    fn replace(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
        lifetime: Duration,
    ) -> impl Future<Output = Result<bool, Self::Error>>;
}

/// A [`Store`] in the memory of this process, of a bounded size; clones are the same store.
///
/// When it is full, entries whose time is over go first, and then those whose time is over next.
#[derive(Clone)]
pub struct MemoryStore(Arc<Shards>);

struct Shards {
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
    /// How many bytes each shard may have.
    limit_bytes: usize,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<Bytes, Entry>,
    /// The keys by the end of their time.
    ends: BTreeSet<(Instant, Bytes)>,
    bytes: usize,
}

struct Entry {
    value: Bytes,
    until: Instant,
}

impl MemoryStore {
    /// A store of at most about so many bytes.
    pub fn new(limit_bytes: usize) -> Self {
        MemoryStore(Arc::new(Shards {
            hasher: RandomState::new(),
            shards: [const { None::<Shard> }; SHARDS].map(|_| Mutex::default()),
            limit_bytes: limit_bytes / SHARDS,
        }))
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        let place = self.0.hasher.hash_one(key) as usize % SHARDS;
        // A panic while it was held has left no entry half written.
        self.0.shards[place].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get_at(&self, key: &[u8], now: Instant) -> Option<Bytes> {
        let shard = self.shard(key);
        shard.live(key, now).cloned()
    }

    fn replace_at(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
        lifetime: Duration,
        now: Instant,
    ) -> bool {
        let mut shard = self.shard(key);
        if shard.live(key, now).map(|value| &value[..]) != expected {
            return false;
        }
        shard.remove(key);
        let Some(value) = value else { return true };
        let until = now.checked_add(lifetime).unwrap_or(now);
        let room = self.0.limit_bytes.saturating_sub(size(key, value));
        shard.make_room(room, now);
        shard.insert(key, value, until);
        true
    }
}

/// 16 MiB: the budgets of about 80,000 clients, or a thousand stored answers of 16 KiB.
impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore::new(16 * 1024 * 1024)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("limit_bytes", &(self.0.limit_bytes * SHARDS))
            .finish_non_exhaustive()
    }
}

impl Shard {
    fn live(&self, key: &[u8], now: Instant) -> Option<&Bytes> {
        let entry = self.entries.get(key)?;
        (entry.until > now).then_some(&entry.value)
    }

    fn insert(&mut self, key: &[u8], value: &[u8], until: Instant) {
        self.bytes += size(key, value);
        let key = Bytes::copy_from_slice(key);
        self.ends.insert((until, key.clone()));
        let value = Bytes::copy_from_slice(value);
        self.entries.insert(key, Entry { value, until });
    }

    fn remove(&mut self, key: &[u8]) {
        if let Some((key, entry)) = self.entries.remove_entry(key) {
            self.bytes -= size(&key, &entry.value);
            self.ends.remove(&(entry.until, key));
        }
    }

    /// Removes what has ended, and then what ends first, until no more than `bytes` are left.
    fn make_room(&mut self, bytes: usize, now: Instant) {
        while let Some((until, key)) = self.ends.first() {
            if *until > now && self.bytes <= bytes {
                return;
            }
            let key = key.clone();
            self.remove(&key);
        }
    }
}

fn size(key: &[u8], value: &[u8]) -> usize {
    2 * key.len() + value.len() + ENTRY_BYTES
}

impl Store for MemoryStore {
    type Error = Infallible;

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Infallible> {
        Ok(self.get_at(key, Instant::now()))
    }

    async fn replace(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        value: Option<&[u8]>,
        lifetime: Duration,
    ) -> Result<bool, Infallible> {
        Ok(self.replace_at(key, expected, value, lifetime, Instant::now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_value_is_replaced_only_if_it_is_what_is_expected() {
        let (store, now) = (MemoryStore::default(), Instant::now());
        assert!(!store.replace_at(b"k", Some(b"1"), Some(b"2"), MINUTE, now));
        assert!(store.replace_at(b"k", None, Some(b"1"), MINUTE, now));
        assert!(!store.replace_at(b"k", None, Some(b"2"), MINUTE, now));
        assert!(!store.replace_at(b"k", Some(b"0"), Some(b"2"), MINUTE, now));
        assert_eq!(store.get_at(b"k", now).as_deref(), Some(&b"1"[..]));
        assert!(store.replace_at(b"k", Some(b"1"), Some(b"2"), MINUTE, now));
        assert!(store.replace_at(b"k", Some(b"2"), None, MINUTE, now));
        assert_eq!(store.get_at(b"k", now), None);
    }

    #[test]
    fn a_value_is_there_for_its_lifetime() {
        let (store, now) = (MemoryStore::default(), Instant::now());
        assert!(store.replace_at(b"k", None, Some(b"1"), MINUTE, now));
        assert!(store.get_at(b"k", now + MINUTE / 2).is_some());
        assert_eq!(store.get_at(b"k", now + MINUTE), None);
        assert!(store.replace_at(b"k", None, Some(b"2"), MINUTE, now + MINUTE));
    }

    #[test]
    fn the_size_is_bounded_and_what_ends_first_goes_first() {
        let limit = 64 * 1024;
        let (store, now) = (MemoryStore::new(limit), Instant::now());
        for number in 0..10_000_u32 {
            let lifetime = MINUTE + Duration::from_millis(number.into());
            assert!(store.replace_at(&number.to_be_bytes(), None, Some(b"12345678"), lifetime, now));
        }
        let bytes: usize = store
            .0
            .shards
            .iter()
            .map(|shard| shard.lock().expect("no panic").bytes)
            .sum();
        assert!(bytes <= limit && bytes > limit / 2, "{bytes} bytes");
        assert_eq!(store.get_at(&0_u32.to_be_bytes(), now), None);
        assert!(store.get_at(&9_999_u32.to_be_bytes(), now).is_some());
    }

    #[test]
    fn what_has_ended_makes_room() {
        let (store, now) = (MemoryStore::default(), Instant::now());
        for number in 0..1_000_u32 {
            store.replace_at(&number.to_be_bytes(), None, Some(b"1"), MINUTE, now);
        }
        for number in 1_000..2_000_u32 {
            store.replace_at(&number.to_be_bytes(), None, Some(b"1"), MINUTE, now + 2 * MINUTE);
        }
        let left: usize = store
            .0
            .shards
            .iter()
            .map(|shard| shard.lock().expect("no panic").entries.len())
            .sum();
        assert_eq!(left, 1_000);
    }
}
