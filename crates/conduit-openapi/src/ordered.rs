//! Ordered sets and JSON objects that are built by insertion.
//!
//! `collect` sorts its input first, which adds 6 KB of code to a program for each type of key and value. A document has few
//! entries, so insertion is fast enough. Names are the only keys, because each other type of key adds a copy of the tree.

use std::collections::BTreeSet;

/// The set of these names.
pub(crate) fn set(names: impl Iterator<Item = String>) -> BTreeSet<String> {
    let mut set = BTreeSet::new();
    set.extend(names);
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
