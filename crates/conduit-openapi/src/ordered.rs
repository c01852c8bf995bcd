//! Ordered maps and sets that are built by insertion.
//!
//! `collect` sorts its input first, which adds 6 KB of code to a program for each type of key and value. A document has few
//! entries, so insertion is fast enough.

use std::collections::{BTreeMap, BTreeSet};

/// The map of these pairs; the last of those with an equal key counts.
pub(crate) fn map<K: Ord, V>(pairs: impl Iterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut map = BTreeMap::new();
    map.extend(pairs);
    map
}

/// The set of these keys.
pub(crate) fn set<K: Ord>(keys: impl Iterator<Item = K>) -> BTreeSet<K> {
    let mut set = BTreeSet::new();
    set.extend(keys);
    set
}

/// The JSON object of these members.
pub(crate) fn object(
    members: impl Iterator<Item = (String, serde_json::Value)>,
) -> serde_json::Map<String, serde_json::Value> {
    let mut object = serde_json::Map::new();
    object.extend(members);
    object
}
