//! Buffers, header maps and request memory that a worker uses again.
//!
//! Each worker thread keeps what its last requests needed: after the first few requests a small request allocates
//! nothing. The pools are bounded in count and in the size of what they keep, so a burst of large requests does not
//! stay in memory.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use http::HeaderMap;

/// How many buffers, and how many header maps, a thread keeps.
const KEPT: usize = 64;
/// A buffer that has grown beyond this is freed rather than kept.
const KEPT_BUFFER_BYTES: usize = 64 * 1024;
/// A header map that has grown beyond this is freed rather than kept.
const KEPT_HEADER_CAPACITY: usize = 64;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static HEADER_MAPS: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
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

/// An empty header map, with the capacity of an earlier one where the pool has one.
pub(crate) fn header_map() -> HeaderMap {
    HEADER_MAPS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Gives a header map back to its thread's pool.
pub(crate) fn recycle_header_map(mut map: HeaderMap) {
    let capacity = map.capacity();
    if capacity == 0 || capacity > KEPT_HEADER_CAPACITY {
        return;
    }
    map.clear();
    HEADER_MAPS.with_borrow_mut(|pool| {
        if pool.len() < KEPT {
            pool.push(map);
        }
    });
}
