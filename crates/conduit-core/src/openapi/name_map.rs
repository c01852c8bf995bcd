//! A map with the names of a description as keys.

use std::ops::Index;

use serde_json::{Map, Value};

/// Values by name, in the order of the names.
///
/// A sorted list: a description has few names, and the methods of a `BTreeMap` add 40 KB of code to a debug build for each
/// type of values.
#[derive(Clone, Debug, PartialEq)]
pub struct NameMap<V>(Vec<(String, V)>);

impl<V> NameMap<V> {
    /// A map without entries.
    pub const fn new() -> Self {
        NameMap(Vec::new())
    }

    /// Returns whether the map has no entries.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the index of the entry with this name, or the index at which it belongs.
    fn search(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_str().cmp(name))
    }

    /// Returns the value with this name.
    pub fn get(&self, name: &str) -> Option<&V> {
        let index = self.search(name).ok()?;
        Some(&self.0[index].1)
    }

    /// Returns the value with this name, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut V> {
        let index = self.search(name).ok()?;
        Some(&mut self.0[index].1)
    }

    /// Returns whether the map has an entry with this name.
    pub fn contains(&self, name: &str) -> bool {
        self.search(name).is_ok()
    }

    /// Returns the value with this name, which is the default one if there was none.
    pub fn or_default(&mut self, name: &str) -> &mut V
    where
        V: Default,
    {
        let index = self.search(name).unwrap_or_else(|index| {
            self.0.insert(index, (name.to_owned(), V::default()));
            index
        });
        &mut self.0[index].1
    }

    /// Sets the value with this name. Returns whether the name is new.
    pub fn insert(&mut self, name: String, value: V) -> bool {
        match self.search(&name) {
            Ok(index) => self.0[index].1 = value,
            Err(index) => {
                self.0.insert(index, (name, value));
                return true;
            }
        }
        false
    }

    /// Removes the value with this name.
    pub fn remove(&mut self, name: &str) -> Option<V> {
        let index = self.search(name).ok()?;
        Some(self.0.remove(index).1)
    }

    /// The names and values of the map.
    pub fn iter(&self) -> std::slice::Iter<'_, (String, V)> {
        self.0.iter()
    }

    /// The names and values of the map; the values may be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut V)> {
        self.0.iter_mut().map(|(name, value)| (name.as_str(), value))
    }

    /// The names of the map.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    /// Removes the entries for which a function returns false.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &V) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }
}

impl<V> Default for NameMap<V> {
    fn default() -> Self {
        NameMap::new()
    }
}

impl<V> IntoIterator for NameMap<V> {
    type Item = (String, V);
    type IntoIter = std::vec::IntoIter<(String, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Panics where there is no value with this name.
impl<V> Index<&str> for NameMap<V> {
    type Output = V;

    fn index(&self, name: &str) -> &V {
        self.get(name).expect("the name is in the map")
    }
}

impl<'m, V> IntoIterator for &'m NameMap<V> {
    type Item = &'m (String, V);
    type IntoIter = std::slice::Iter<'m, (String, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The JSON object of a map.
impl<V: Into<Value>> From<NameMap<V>> for Value {
    fn from(map: NameMap<V>) -> Value {
        let mut object = Map::new();
        for (name, value) in map {
            object.insert(name, value.into());
        }
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::NameMap;

    proptest! {
        /// The plain twin is a `BTreeMap`.
        #[test]
        fn name_map_is_equal_to_an_ordered_map(changes in prop::collection::vec(("[ab]{0,3}", 0..3_u8, 0..9_u8), 0..40)) {
            let (mut map, mut twin) = (NameMap::new(), BTreeMap::new());
            for (name, change, value) in changes {
                match change {
                    0 => prop_assert_eq!(map.insert(name.clone(), value), twin.insert(name.clone(), value).is_none()),
                    1 => prop_assert_eq!(map.remove(&name), twin.remove(&name)),
                    _ => prop_assert_eq!(map.or_default(&name), twin.entry(name.clone()).or_default()),
                }
                prop_assert_eq!(map.get(&name), twin.get(&name));
                prop_assert_eq!(map.contains(&name), twin.contains_key(&name));
                prop_assert!(map.keys().eq(twin.keys()));
            }
            map.retain(|_, value| *value > 4);
            twin.retain(|_, value| *value > 4);
            prop_assert!(map.into_iter().eq(twin));
        }
    }
}
