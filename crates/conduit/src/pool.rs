//! Buffers, header maps and request memory that a worker uses again.
//!
//! Each worker thread keeps what its last requests needed: after the first few requests a small request allocates
//! nothing. The pools are bounded in count and in the size of what they keep, so a burst of large requests does not
//! stay in memory.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

/// How many buffers, and how many header maps of each content type, a thread keeps.
const KEPT: usize = 64;
/// A buffer that has grown beyond this is freed rather than kept.
const KEPT_BUFFER_BYTES: usize = 64 * 1024;
/// A header map that has grown beyond this is freed rather than kept.
const KEPT_HEADER_CAPACITY: usize = 64;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static HEADER_MAPS: RefCell<[Vec<HeaderMap>; MEDIA_TYPES.len()]> = const { RefCell::new([const { Vec::new() }; MEDIA_TYPES.len()]) };
}

/// A byte buffer that goes back to its thread's pool when it is dropped.
#[derive(Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    /// An empty buffer, with the capacity of an earlier one where the pool has one.
    pub(crate) fn take() -> Self {
        Buffer(BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default())
    }

    /// The bytes as a vector of the caller's own; it does not come back to the pool.
    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// The vector's memory serves later buffers of the thread.
impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Buffer(bytes)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let capacity = self.0.capacity();
        if capacity == 0 || capacity > KEPT_BUFFER_BYTES {
            return;
        }
        self.0.clear();
        let buffer = std::mem::take(&mut self.0);
        // A body can outlive its thread's locals; then it is simply freed.
        let _ = BUFFERS.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < KEPT {
                pool.push(buffer);
            }
        });
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

/// The content types that Conduit's own responses have.
#[derive(Clone, Copy)]
pub(crate) enum MediaType {
    Text,
    Json,
    Html,
    Bytes,
    Problem,
    Form,
}

/// Their values, in the order of [`MediaType`].
static MEDIA_TYPES: [&str; 6] = [
    "text/plain; charset=utf-8",
    "application/json",
    "text/html; charset=utf-8",
    "application/octet-stream",
    "application/problem+json",
    "application/x-www-form-urlencoded",
];

/// A header map that has this content type and no other field.
///
/// Most responses end with just that field, and so do most maps that come back: they are kept as they are, one pool for
/// each type, and the next response of the type has nothing to insert.
pub(crate) fn header_map(media_type: MediaType) -> HeaderMap {
    let place = media_type as usize;
    let kept = HEADER_MAPS.with_borrow_mut(|pools| pools[place].pop());
    kept.unwrap_or_else(|| {
        let mut map = HeaderMap::with_capacity(4);
        map.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPES[place]));
        map
    })
}

/// Gives a header map back to its thread's pool, if it is still as [`header_map`] gives them.
pub(crate) fn recycle_header_map(map: HeaderMap) {
    if map.len() != 1 || map.capacity() > KEPT_HEADER_CAPACITY {
        return;
    }
    let Some((name, value)) = map.iter().next() else { return };
    // The same address is the same text; another address would at worst mean that the map is not kept.
    let place = MEDIA_TYPES
        .iter()
        .position(|known| std::ptr::eq(known.as_bytes(), value.as_bytes()));
    if let Some(place) = place
        && *name == CONTENT_TYPE
    {
        HEADER_MAPS.with_borrow_mut(|pools| {
            if pools[place].len() < KEPT {
                pools[place].push(map);
            }
        });
    }
}
