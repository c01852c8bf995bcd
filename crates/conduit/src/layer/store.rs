//! Stores for state that workers or servers share.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
// The runtime's clock, which tests can advance.
use tokio::time::Instant;

use super::budget::{Budget, Taken};
use super::hash::hash;
use crate::server::clock;

/// The maximum number of shards of a memory store, each with a lock.
const SHARDS: usize = 16;
/// The store size per shard.
const SHARD_BYTES: usize = 4 * 1024 * 1024;
/// The approximate memory of an entry without its key and value.
const ENTRY_BYTES: usize = 320;
/// The number of attempts to set a value by `get` and `replace`.
const ATTEMPTS: usize = 8;
/// The number of attempts to take from a budget by `get` and `replace`. Of concurrent ones, each round has one that succeeds.
const TAKE_ATTEMPTS: usize = 64;
/// The account of budgets: those that are closest to full are evicted first, regardless of the client.
const BUDGETS: &str = "rate";
/// The longest client name that is used in a key without hashing.
const NAME_BYTES: usize = 64;

/// A key-value store with lifetimes and atomic changes: the state of [`RateLimit`](super::RateLimit),
/// [`Idempotency`](super::Idempotency) and sessions.
///
/// [`MemoryStore`] serves a single process; processes that share a database use a store in it. `get` and `replace` are
/// required. A store in a database should also implement [`take`](Self::take) and [`insert`](Self::insert) as one request each: the
/// provided implementations make several requests, and repeat them if another request changes the key. Configure such a database to
/// reject writes when it is full rather than to evict.
///
/// # Example
///
/// A store that forwards to another, and counts the calls:
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use conduit::Bytes;
/// use conduit::layer::{MemoryStore, Store, Value};
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
///         value: Option<Value<'_>>,
///     ) -> Result<bool, Self::Error> {
///         self.1.fetch_add(1, Ordering::Relaxed);
///         self.0.replace(key, expected, value).await
///     }
/// }
/// ```
pub trait Store: Clone + Send + 'static {
    /// The error of a failed operation.
    type Error: fmt::Display;

    /// Returns the value of a key, unless it has expired.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable.
    fn get(&self, key: &[u8]) -> impl Future<Output = Result<Option<Bytes>, Self::Error>>;

    /// Sets or removes the value of a key if its current value is `expected`, atomically. Returns whether it was.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or full.
    fn replace(
        &self,
        key: &[u8],
        expected: Option<&[u8]>,
        value: Option<Value<'_>>,
    ) -> impl Future<Output = Result<bool, Self::Error>>;

    /// Sets the value of a key that has none, atomically, and returns `None`; otherwise returns the existing value. The provided
    /// implementation returns a copy of `value` after eight attempts that lost to other requests.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or full.
    fn insert(&self, key: &[u8], value: Value<'_>) -> impl Future<Output = Result<Option<Bytes>, Self::Error>> {
        async move {
            for _ in 0..ATTEMPTS {
                if self.replace(key, None, Some(value)).await? {
                    return Ok(None);
                }
                // A value that has expired meanwhile makes room for this one.
                if let Some(found) = self.get(key).await? {
                    return Ok(Some(found));
                }
            }
            // Concurrent requests won every attempt, and their values have expired: return the caller's value as if another request
            // had set it.
            Ok(Some(Bytes::copy_from_slice(value.bytes)))
        }
    }

    /// Takes one request from the budget of a key, atomically. A key without a value has the whole budget. The store may
    /// forget a budget that has refilled. The provided implementation rejects a request that loses 64 attempts to concurrent
    /// requests of the same key, although the budget may not be exhausted.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or full.
    fn take(&self, key: &[u8], budget: Budget) -> impl Future<Output = Result<Taken, Self::Error>> {
        async move {
            for _ in 0..TAKE_ATTEMPTS {
                let stored = self.get(key).await?;
                let (taken, next) = take_of(stored.as_deref(), budget);
                let Some(next) = next else { return Ok(taken) };
                if self.replace(key, stored.as_deref(), Some(next.value())).await? {
                    return Ok(taken);
                }
            }
            // Concurrent requests of the same client won every attempt.
            Ok(Taken {
                is_accepted: false,
                left: 0,
                wait: budget.interval(),
            })
        }
    }
}

/// The values of a store in a transaction of the caller: they change when it commits, together with its other effects.
/// `Session::update_in` and [`IdempotencyKey::complete_in`](super::IdempotencyKey::complete_in)
/// use it. `PostgresStore::within` of `conduit-postgres` is one.
///
/// Reads see the changes of the transaction, and those that others have committed. A change waits for the end of other
/// transactions that change the same key.
pub trait StoreTransaction {
    /// The error of a failed operation.
    type Error: fmt::Display;

    /// Returns the value of a key, unless it has expired.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable.
    fn get(&mut self, key: &[u8]) -> impl Future<Output = Result<Option<Bytes>, Self::Error>>;

    /// Sets or removes the value of a key if its current value is `expected`. Returns whether it was.
    ///
    /// # Errors
    ///
    /// Returns an error if the store is unreachable or full.
    fn replace(
        &mut self,
        key: &[u8],
        expected: Option<&[u8]>,
        value: Option<Value<'_>>,
    ) -> impl Future<Output = Result<bool, Self::Error>>;
}

/// The stored form of a budget: the arrival time in microseconds since 1970.
struct StoredBudget {
    arrival: [u8; 8],
    lifetime: Duration,
}

impl StoredBudget {
    fn value(&self) -> Value<'_> {
        Value {
            bytes: &self.arrival,
            lifetime: self.lifetime,
            account: BUDGETS,
            is_pinned: false,
        }
    }
}

/// Takes a request from the budget with this stored form. Returns the form to store; `None` if the budget is exhausted.
fn take_of(stored: Option<&[u8]>, budget: Budget) -> (Taken, Option<StoredBudget>) {
    let now = u64::try_from(clock::since_epoch().as_micros()).unwrap_or(u64::MAX);
    let arrival = stored
        .and_then(|value| value.try_into().ok())
        .map_or(0, u64::from_be_bytes);
    let (taken, next) = budget.take_at(arrival, now);
    let stored = StoredBudget {
        arrival: next.to_be_bytes(),
        lifetime: Duration::from_micros(next - now) + Duration::from_millis(1),
    };
    (taken, taken.is_accepted.then_some(stored))
}

/// A value for a [`Store`].
#[derive(Clone, Copy, Debug)]
pub struct Value<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// The time until the store discards the value. The stores of Conduit shorten it to at most
    /// [`LONGEST_LIFETIME`](Self::LONGEST_LIFETIME).
    pub lifetime: Duration,
    /// The account that is charged for the memory of the value, such as a client's address.
    pub account: &'a str,
    /// The store keeps the value for its whole lifetime, even when it is full.
    pub is_pinned: bool,
}

impl Value<'_> {
    /// The longest lifetime: a hundred years, each of 366 days.
    pub const LONGEST_LIFETIME: Duration = Duration::from_secs(100 * 366 * 24 * 3600);
}

/// A [`Store`] of bounded size in the memory of this process; clones share it.
///
/// A full store first removes expired values. For more room, it evicts the value that expires next from the account with the
/// most bytes, so that one account cannot displace the values of others. Pinned values are not evicted. They may use at most
/// half of the store, and a quarter of it per account; a further one is rejected with [`StoreFull`].
#[derive(Clone)]
pub struct MemoryStore(Arc<Shards>);

/// The error of a [`MemoryStore`] that has no room for a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreFull;

impl fmt::Display for StoreFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the store in memory has no room for the value; give `MemoryStore::new` more bytes")
    }
}

impl std::error::Error for StoreFull {}

struct Shards {
    hasher: RandomState,
    shards: Box<[Mutex<Shard>]>,
    /// The maximum size of each shard.
    limit_bytes: usize,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<Bytes, Entry>,
    accounts: HashMap<Arc<str>, Account>,
    /// The accounts with evictable values, ordered by the size of those.
    evictable: BTreeSet<(usize, Arc<str>)>,
    /// All keys, ordered by expiry.
    ends: BTreeSet<(Instant, Bytes)>,
    bytes: usize,
    pinned_bytes: usize,
}

#[derive(Default)]
struct Account {
    /// The keys of evictable values, ordered by expiry.
    ends: BTreeSet<(Instant, Bytes)>,
    evictable_bytes: usize,
    pinned_bytes: usize,
}

struct Entry {
    value: Bytes,
    until: Instant,
    account: Arc<str>,
    is_pinned: bool,
}

impl MemoryStore {
    /// Creates a store of about `limit_bytes` at most.
    pub fn new(limit_bytes: usize) -> Self {
        let shards = (limit_bytes / SHARD_BYTES).clamp(1, SHARDS);
        MemoryStore(Arc::new(Shards {
            hasher: RandomState::new(),
            shards: (0..shards).map(|_| Mutex::default()).collect(),
            limit_bytes: limit_bytes / shards,
        }))
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        let place = self.0.hasher.hash_one(key) as usize % self.0.shards.len();
        // A panic while the lock is held leaves no entry half written.
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
        value: Option<Value<'_>>,
        now: Instant,
    ) -> Result<bool, StoreFull> {
        let mut shard = self.shard(key);
        if shard.live(key, now).map(|value| &value[..]) != expected {
            return Ok(false);
        }
        match value {
            Some(value) => shard.set(key, value, self.0.limit_bytes, now)?,
            None => drop(shard.remove(key)),
        }
        Ok(true)
    }
}

/// 16 MiB: the budgets of about 40,000 clients, or a thousand stored responses of 16 KiB.
impl Default for MemoryStore {
    fn default() -> Self {
        MemoryStore::new(16 * 1024 * 1024)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("limit_bytes", &(self.0.limit_bytes * self.0.shards.len()))
            .finish_non_exhaustive()
    }
}

impl Shard {
    fn live(&self, key: &[u8], now: Instant) -> Option<&Bytes> {
        let entry = self.entries.get(key)?;
        (entry.until > now).then_some(&entry.value)
    }

    /// The name of an account, shared by its values.
    fn account(&self, name: &str) -> Arc<str> {
        match self.accounts.get_key_value(name) {
            Some((known, _)) => Arc::clone(known),
            None => Arc::from(name),
        }
    }

    /// Sets the value of a key. If there is no room, the previous one remains.
    fn set(&mut self, key: &[u8], value: Value<'_>, limit_bytes: usize, now: Instant) -> Result<(), StoreFull> {
        let before = self.remove(key);
        let entry = Entry {
            value: Bytes::copy_from_slice(value.bytes),
            until: now + value.lifetime.min(Value::LONGEST_LIFETIME),
            account: self.account(value.account),
            is_pinned: value.is_pinned,
        };
        let key = Bytes::copy_from_slice(key);
        let room = self.make_room(&key, &entry, limit_bytes, now);
        if room.is_ok() {
            self.insert(key, entry);
        } else if let Some(before) = before {
            // It still fits in its room.
            self.insert(key, before);
        }
        room
    }

    fn insert(&mut self, key: Bytes, entry: Entry) {
        let bytes = size(&key, &entry);
        self.bytes += bytes;
        self.ends.insert((entry.until, key.clone()));
        if entry.is_pinned {
            self.pinned_bytes += bytes;
        }
        self.change_account(&entry.account, |account| {
            if entry.is_pinned {
                account.pinned_bytes += bytes;
            } else {
                account.evictable_bytes += bytes;
                account.ends.insert((entry.until, key.clone()));
            }
        });
        self.entries.insert(key, entry);
    }

    fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let (key, entry) = self.entries.remove_entry(key)?;
        let bytes = size(&key, &entry);
        self.bytes -= bytes;
        let end = (entry.until, key);
        self.ends.remove(&end);
        if entry.is_pinned {
            self.pinned_bytes -= bytes;
        }
        self.change_account(&entry.account, |account| {
            if entry.is_pinned {
                account.pinned_bytes -= bytes;
            } else {
                account.evictable_bytes -= bytes;
                account.ends.remove(&end);
            }
        });
        Some(entry)
    }

    /// Changes an account, and updates the order of accounts.
    fn change_account(&mut self, name: &Arc<str>, change: impl FnOnce(&mut Account)) {
        let account = self.accounts.entry(Arc::clone(name)).or_default();
        let before = account.evictable_bytes;
        change(account);
        let after = account.evictable_bytes;
        let is_empty = after == 0 && account.pinned_bytes == 0;
        if before != after {
            self.evictable.remove(&(before, Arc::clone(name)));
            if after > 0 {
                self.evictable.insert((after, Arc::clone(name)));
            }
        }
        if is_empty {
            self.accounts.remove(name);
        }
    }

    /// Evicts values until this one fits, or returns an error if it cannot.
    fn make_room(&mut self, key: &Bytes, entry: &Entry, limit_bytes: usize, now: Instant) -> Result<(), StoreFull> {
        while let Some((until, key)) = self.ends.first()
            && *until <= now
        {
            let key = key.clone();
            self.remove(&key);
        }
        let bytes = size(key, entry);
        if entry.is_pinned {
            let of_account = self
                .accounts
                .get(&entry.account)
                .map_or(0, |account| account.pinned_bytes);
            if self.pinned_bytes + bytes > limit_bytes / 2 || of_account + bytes > limit_bytes / 4 {
                return Err(StoreFull);
            }
        }
        if self.pinned_bytes + bytes > limit_bytes {
            return Err(StoreFull);
        }
        while self.bytes + bytes > limit_bytes {
            let largest = self.evictable.last().and_then(|(_, name)| self.accounts.get(name));
            let Some((_, key)) = largest.and_then(|account| account.ends.first()) else {
                return Err(StoreFull);
            };
            let key = key.clone();
            self.remove(&key);
        }
        Ok(())
    }
}

fn size(key: &[u8], entry: &Entry) -> usize {
    key.len() + entry.value.len() + entry.account.len() + ENTRY_BYTES
}

/// A client's name as part of a key. A long name, which the client may have chosen, is hashed, and also a name that could equal
/// a hash.
pub(super) fn short_name(name: String) -> String {
    if name.len() <= NAME_BYTES && !name.starts_with('#') {
        return name;
    }
    hashed_name(&name)
}

/// The hash of a name, as part of a key: 33 bytes without a colon, the first of which is `#`.
pub(super) fn hashed_name(name: &str) -> String {
    format!("#{:032x}", u128::from_be_bytes(hash([name.as_bytes()])))
}

impl Store for MemoryStore {
    type Error = StoreFull;

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreFull> {
        Ok(self.get_at(key, Instant::now()))
    }

    async fn replace(&self, key: &[u8], expected: Option<&[u8]>, value: Option<Value<'_>>) -> Result<bool, StoreFull> {
        self.replace_at(key, expected, value, Instant::now())
    }

    async fn insert(&self, key: &[u8], value: Value<'_>) -> Result<Option<Bytes>, StoreFull> {
        let now = Instant::now();
        let mut shard = self.shard(key);
        match shard.live(key, now).cloned() {
            Some(found) => Ok(Some(found)),
            None => shard.set(key, value, self.0.limit_bytes, now).map(|()| None),
        }
    }

    async fn take(&self, key: &[u8], budget: Budget) -> Result<Taken, StoreFull> {
        let now = Instant::now();
        let mut shard = self.shard(key);
        let (taken, next) = take_of(shard.live(key, now).map(|value| &value[..]), budget);
        if let Some(next) = next {
            shard.set(key, next.value(), self.0.limit_bytes, now)?;
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn value<'a>(bytes: &'a [u8], account: &'a str) -> Option<Value<'a>> {
        Some(Value {
            bytes,
            lifetime: MINUTE,
            account,
            is_pinned: false,
        })
    }

    fn pinned<'a>(bytes: &'a [u8], account: &'a str) -> Option<Value<'a>> {
        value(bytes, account).map(|value| Value {
            is_pinned: true,
            ..value
        })
    }

    fn bytes(store: &MemoryStore) -> usize {
        let shards = store.0.shards.iter();
        shards.map(|shard| shard.lock().expect("no panic").bytes).sum()
    }

    #[test]
    fn value_is_replaced_only_if_it_is_the_expected_one() {
        let (store, now) = (MemoryStore::default(), Instant::now());
        let replace = |expected: Option<&[u8]>, new: Option<&'static [u8]>| {
            store.replace_at(b"k", expected, new.and_then(|new| value(new, "")), now)
        };
        assert_eq!(replace(Some(b"1"), Some(b"2")), Ok(false));
        assert_eq!(replace(None, Some(b"1")), Ok(true));
        assert_eq!(replace(None, Some(b"2")), Ok(false));
        assert_eq!(replace(Some(b"0"), Some(b"2")), Ok(false));
        assert_eq!(store.get_at(b"k", now).as_deref(), Some(&b"1"[..]));
        assert_eq!(replace(Some(b"1"), Some(b"2")), Ok(true));
        assert_eq!(replace(Some(b"2"), None), Ok(true));
        assert_eq!(store.get_at(b"k", now), None);
        assert_eq!(bytes(&store), 0);
    }

    #[test]
    fn value_is_kept_for_its_lifetime() {
        let (store, now) = (MemoryStore::default(), Instant::now());
        assert_eq!(store.replace_at(b"k", None, pinned(b"1", ""), now), Ok(true));
        assert!(store.get_at(b"k", now + MINUTE / 2).is_some());
        assert_eq!(store.get_at(b"k", now + MINUTE), None);
        assert_eq!(store.replace_at(b"k", None, value(b"2", ""), now + MINUTE), Ok(true));
        for number in 0..1_000_u32 {
            let replaced = store.replace_at(&number.to_be_bytes(), None, value(b"1", ""), now + MINUTE);
            assert_eq!(replaced, Ok(true));
        }
        let later = now + 3 * MINUTE;
        assert_eq!(store.replace_at(b"k", None, None, later), Ok(true));
        for number in 0..100_u32 {
            assert_eq!(
                store.replace_at(&number.to_be_bytes(), None, value(b"1", ""), later),
                Ok(true)
            );
        }
        let shards = store.0.shards.iter().map(|shard| shard.lock().expect("no panic"));
        assert_eq!(shards.map(|shard| shard.entries.len()).sum::<usize>(), 100);
    }

    #[test]
    fn value_with_the_longest_lifetime_is_kept() {
        let (store, now) = (MemoryStore::default(), Instant::now());
        let longest = value(b"1", "").map(|value| Value {
            lifetime: Duration::MAX,
            ..value
        });
        assert_eq!(store.replace_at(b"k", None, longest, now), Ok(true));
        let ten_years = Duration::from_secs(10 * 365 * 24 * 3600);
        assert!(store.get_at(b"k", now).is_some() && store.get_at(b"k", now + ten_years).is_some());
    }

    /// A client could otherwise choose the hash of another client's name.
    #[test]
    fn short_form_of_a_long_name_is_not_the_form_of_another_name() {
        let hashed = short_name("x".repeat(NAME_BYTES + 1));
        assert_ne!(short_name(hashed.clone()), hashed);
        // The addresses of networks remain readable.
        assert_eq!(short_name("2001:db8:0:1".to_owned()), "2001:db8:0:1");
    }

    #[test]
    fn size_is_bounded_and_the_value_that_ends_next_goes_first() {
        let limit = 64 * 1024;
        let (store, now) = (MemoryStore::new(limit), Instant::now());
        for number in 0..10_000_u32 {
            let value = value(b"12345678", "one").map(|value| Value {
                lifetime: MINUTE + Duration::from_millis(number.into()),
                ..value
            });
            assert_eq!(store.replace_at(&number.to_be_bytes(), None, value, now), Ok(true));
        }
        let bytes = bytes(&store);
        assert!(bytes <= limit && bytes > limit / 2, "{bytes} bytes");
        assert_eq!(store.get_at(&0_u32.to_be_bytes(), now), None);
        assert!(store.get_at(&9_999_u32.to_be_bytes(), now).is_some());
    }

    #[test]
    fn account_that_fills_the_store_displaces_only_its_values() {
        let (store, now) = (MemoryStore::new(64 * 1024), Instant::now());
        assert_eq!(store.replace_at(b"done", None, value(b"answer", "ada"), now), Ok(true));
        for number in 0..10_000_u32 {
            let new = value(&[0; 100], "mallory");
            assert_eq!(store.replace_at(&number.to_be_bytes(), None, new, now), Ok(true));
        }
        assert!(store.get_at(b"done", now).is_some());
    }

    #[test]
    fn pinned_values_stay_and_have_a_bound() {
        let (store, now) = (MemoryStore::new(64 * 1024), Instant::now());
        let mut kept = 0;
        for number in 0..1_000_u32 {
            let key = [b"pinned".as_slice(), &number.to_be_bytes()].concat();
            kept += u32::from(store.replace_at(&key, None, pinned(b"running", "mallory"), now) == Ok(true));
        }
        assert!((20..100).contains(&kept), "{kept}");
        // Another account keeps its share.
        assert_eq!(store.replace_at(b"ada", None, pinned(b"running", "ada"), now), Ok(true));
        for number in 0..10_000_u32 {
            assert_eq!(
                store.replace_at(&number.to_be_bytes(), None, value(&[0; 100], "bob"), now),
                Ok(true)
            );
        }
        assert!(store.get_at(b"ada", now).is_some());
        let is_there = |number: &u32| {
            let key = [b"pinned".as_slice(), &number.to_be_bytes()].concat();
            store.get_at(&key, now).is_some()
        };
        assert_eq!((0..1_000).filter(is_there).count() as u32, kept);
    }

    #[test]
    fn value_without_room_leaves_the_one_before() {
        let (store, now) = (MemoryStore::new(64 * 1024), Instant::now());
        assert_eq!(store.replace_at(b"k", None, pinned(b"running", "ada"), now), Ok(true));
        let long = vec![0; 100 * 1024];
        assert_eq!(
            store.replace_at(b"k", Some(b"running"), value(&long, "ada"), now),
            Err(StoreFull)
        );
        assert_eq!(store.get_at(b"k", now).as_deref(), Some(&b"running"[..]));
    }
}
