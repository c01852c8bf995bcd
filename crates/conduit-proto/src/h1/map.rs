//! Fields as a map.
//!
//! Building a map costs about 300 instructions per field: the name is looked up among the known names, hashed, and
//! inserted. Requests of one client, and of similar clients, have the same names in the same order. So each thread
//! keeps the names of a map, and the next map is a copy with other values if the names are equal. No value of a request
//! is kept.

use std::cell::RefCell;
use std::mem::replace;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::scan::Field;

/// Fields of at most this total length share one allocation.
const SMALL_BYTES: usize = 256;
/// The names are not kept if there are more fields, or more bytes.
const KEPT_NAMES: usize = 32;
const KEPT_BYTES: usize = 1024;
/// The number of maps with other names before the kept names are replaced, so that different kinds of clients in turn
/// cause little wasted work.
const MAXIMUM_MISSES: u32 = 4;

thread_local! {
    static LAST: RefCell<Last> = RefCell::default();
}

/// The names of a map that this thread has built.
#[derive(Default)]
struct Last {
    /// The names in their order, without repetition; each value is empty.
    map: HeaderMap,
    /// The received names, concatenated, and the end of each. A byte comparison is faster than a case-insensitive one,
    /// and a client always sends a name in the same case.
    sent: Vec<u8>,
    ends: Vec<usize>,
    /// The number of maps with other names since these names were kept.
    others: u32,
}

/// The fields as a map. The values share one copy of the bytes.
pub(super) fn map_of(bytes: &[u8], fields: &[Field]) -> HeaderMap {
    // The thread-local value no longer exists while the thread ends.
    LAST.try_with(|last| last.borrow_mut().map_of(bytes, fields))
        .unwrap_or_else(|_| map_from_nothing(bytes, fields))
}

fn map_from_nothing(bytes: &[u8], fields: &[Field]) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(fields.len());
    fill_map(&mut map, bytes, fields, |_| true);
    map
}

impl Last {
    fn map_of(&mut self, bytes: &[u8], fields: &[Field]) -> HeaderMap {
        if self.has_the_names(bytes, fields) {
            let mut map = self.map.clone();
            if set_values(&mut map, bytes, fields) {
                return map;
            }
        }
        let map = map_from_nothing(bytes, fields);
        self.others += 1;
        if self.map.is_empty() || self.others >= MAXIMUM_MISSES {
            self.keep(&map, bytes, fields);
        }
        map
    }

    fn has_the_names(&self, bytes: &[u8], fields: &[Field]) -> bool {
        let mut start = 0;
        let is_same = |(end, field): (&usize, &Field)| field.name(bytes) == &self.sent[replace(&mut start, *end)..*end];
        self.ends.len() == fields.len() && self.ends.iter().zip(fields).all(is_same)
    }

    fn keep(&mut self, map: &HeaderMap, bytes: &[u8], fields: &[Field]) {
        let names_bytes: usize = fields.iter().map(|field| field.name(bytes).len()).sum();
        // Repeated names are a single name of the map.
        if map.keys_len() != fields.len() || fields.len() > KEPT_NAMES || names_bytes > KEPT_BYTES {
            return;
        }
        self.others = 0;
        self.sent.clear();
        self.ends.clear();
        for field in fields {
            self.sent.extend_from_slice(field.name(bytes));
            self.ends.push(self.sent.len());
        }
        self.map = HeaderMap::with_capacity(fields.len());
        for name in map.keys() {
            self.map.insert(name.clone(), HeaderValue::from_static(""));
        }
    }
}

/// Sets each name to the value of the field at its position; returns false if a value is invalid.
fn set_values(map: &mut HeaderMap, bytes: &[u8], fields: &[Field]) -> bool {
    let Some((start, shared)) = shared(bytes, fields) else {
        return true;
    };
    for (place, field) in map.values_mut().zip(fields) {
        match HeaderValue::from_maybe_shared(value(&shared, start, field)) {
            Ok(value) => *place = value,
            Err(_) => return false,
        }
    }
    true
}

/// Adds the fields to the map; each value is a slice of one shared copy of the bytes.
pub(crate) fn fill_map(map: &mut HeaderMap, bytes: &[u8], fields: &[Field], keep: impl Fn(&HeaderName) -> bool) {
    let Some((start, shared)) = shared(bytes, fields) else {
        return;
    };
    for field in fields {
        // The scanner accepts exactly the names and values that the map accepts.
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(field.name(bytes)),
            HeaderValue::from_maybe_shared(value(&shared, start, field)),
        ) && keep(&name)
        {
            map.append(name, value);
        }
    }
}

fn value(shared: &Bytes, start: usize, field: &Field) -> Bytes {
    shared.slice(field.value as usize - start..field.value_end as usize - start)
}

/// A copy of the bytes from the first field to the last, and its start.
fn shared(bytes: &[u8], fields: &[Field]) -> Option<(usize, Bytes)> {
    let (first, last) = (fields.first()?, fields.last()?);
    let start = first.name as usize;
    let bytes = &bytes[start..last.value_end as usize];
    let shared = match Small::of(bytes) {
        Some(small) => Bytes::from_owner(small),
        None => Bytes::copy_from_slice(bytes),
    };
    Some((start, shared))
}

/// Bytes and their reference count in one allocation.
struct Small {
    bytes: [u8; SMALL_BYTES],
    length: usize,
}

impl Small {
    fn of(bytes: &[u8]) -> Option<Self> {
        let mut small = Small {
            bytes: [0; SMALL_BYTES],
            length: bytes.len(),
        };
        small.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(small)
    }
}

impl AsRef<[u8]> for Small {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A head with these lines, and its fields.
    fn head(lines: &[(String, String)]) -> (Vec<u8>, Vec<Field>) {
        let (mut bytes, mut fields) = (b"GET / HTTP/1.1\r\n".to_vec(), Vec::new());
        for (name, value) in lines {
            let name_start = bytes.len() as u32;
            bytes.extend_from_slice(name.as_bytes());
            let name_end = bytes.len() as u32;
            bytes.extend_from_slice(b": ");
            let value_start = bytes.len() as u32;
            bytes.extend_from_slice(value.as_bytes());
            fields.push(Field {
                name: name_start,
                name_end,
                value: value_start,
                value_end: bytes.len() as u32,
            });
            bytes.extend_from_slice(b"\r\n");
        }
        (bytes, fields)
    }

    fn lines() -> impl Strategy<Value = Vec<(String, String)>> {
        let name = prop_oneof![
            Just("host".to_owned()),
            Just("Accept".to_owned()),
            Just("accept".to_owned()),
            Just("x-client".to_owned()),
            "[a-zA-Z0-9-]{1,70}",
        ];
        prop::collection::vec((name, "[ -~&&[^ ]]{0,40}"), 0..40)
    }

    proptest! {
        #[test]
        fn map_does_not_depend_on_previous_maps(heads in prop::collection::vec((lines(), 1_usize..7), 1..6)) {
            let mut last = Last::default();
            for (lines, times) in heads {
                for time in 0..times {
                    // The same names with other values.
                    let lines: Vec<_> = lines.iter().map(|(name, value)| (name.clone(), format!("{value}{time}"))).collect();
                    let (bytes, fields) = head(&lines);
                    let (quick, plain) = (last.map_of(&bytes, &fields), map_from_nothing(&bytes, &fields));
                    let pairs = |map: &HeaderMap| -> Vec<_> {
                        map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
                    };
                    prop_assert_eq!(pairs(&quick), pairs(&plain));
                    for (name, _) in &lines {
                        let name = name.to_ascii_lowercase();
                        prop_assert_eq!(quick.get(&name), plain.get(&name));
                    }
                }
            }
        }
    }

    #[test]
    fn only_names_are_kept_for_the_next_map() {
        let client = |name: &str| {
            head(&[
                ("host".to_owned(), "a".to_owned()),
                (name.to_owned(), "secret".to_owned()),
            ])
        };
        let mut last = Last::default();
        let mut send = |name: &str| {
            let (bytes, fields) = client(name);
            last.map_of(&bytes, &fields);
            assert!(last.map.values().all(HeaderValue::is_empty));
            last.map.keys().map(HeaderName::to_string).collect::<Vec<_>>()
        };
        assert_eq!(send("x-one"), ["host", "x-one"]);
        for _ in 1..MAXIMUM_MISSES {
            assert_eq!(send("x-other"), ["host", "x-one"]);
        }
        assert_eq!(send("x-other"), ["host", "x-other"]);
    }
}
