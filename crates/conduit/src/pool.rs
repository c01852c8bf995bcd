//! Buffers and heads of responses that a worker uses again.
//!
//! Each worker thread keeps what its last requests needed: after the first few requests a small request allocates
//! nothing. The pools are bounded in count and in the size of what they keep, so a burst of large requests does not
//! stay in memory.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use http::header::CONTENT_TYPE;
use http::response::Parts;
use http::{HeaderValue, StatusCode, Version};

use crate::panics::discard;

/// How many buffers, and how many heads of responses of each content type, a thread keeps.
const KEPT: usize = 64;
/// A buffer that has grown beyond this is freed rather than kept.
const KEPT_BUFFER_BYTES: usize = 64 * 1024;
/// A header map that has grown beyond this is freed rather than kept.
const KEPT_HEADER_CAPACITY: usize = 64;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static RESPONSE_PARTS: RefCell<[Vec<Parts>; MEDIA_TYPES.len()]> =
        const { RefCell::new([const { Vec::new() }; MEDIA_TYPES.len()]) };
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

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
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

impl MediaType {
    /// Type and subtype, without parameters.
    pub(crate) fn essence(self) -> &'static str {
        let value = MEDIA_TYPES[self as usize];
        value.split_once(';').map_or(value, |(essence, _)| essence)
    }
}

/// The head of a response with status 200 and this content type, and no other field.
///
/// Most responses are sent with just that field, and so most heads come back as they were given: one pool for each
/// type, and the next response of the type has nothing to insert.
pub(crate) fn response_parts(media_type: MediaType) -> Parts {
    let place = media_type as usize;
    let kept = RESPONSE_PARTS.with_borrow_mut(|pools| pools[place].pop());
    kept.unwrap_or_else(|| {
        let mut parts = http::Response::new(()).into_parts().0;
        parts.headers.reserve(4);
        parts
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPES[place]));
        parts
    })
}

/// Gives a response's head back to its thread's pool, if it has one of the content types that [`response_parts`] gives.
pub(crate) fn recycle(mut parts: Parts) {
    if parts.headers.capacity() > KEPT_HEADER_CAPACITY || !parts.extensions.is_empty() {
        return discard(parts);
    }
    // It is the first field in every head of the pool; only where a handler has put one in its place is it looked for.
    let first = parts.headers.iter().next().filter(|(name, _)| **name == CONTENT_TYPE);
    let content_type = first.map_or_else(|| parts.headers.get(CONTENT_TYPE), |(_, value)| Some(value));
    // The same address is the same text; another address would at worst mean that the head is not kept.
    let place = content_type.and_then(|value| {
        MEDIA_TYPES
            .iter()
            .position(|known| std::ptr::eq(known.as_bytes(), value.as_bytes()))
    });
    let Some(place) = place else { return };
    if parts.headers.len() > 1 {
        // What a handler or a layer has added goes; the map keeps its memory.
        parts.headers.clear();
        parts
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPES[place]));
    }
    parts.status = StatusCode::OK;
    parts.version = Version::HTTP_11;
    RESPONSE_PARTS.with_borrow_mut(|pools| {
        if pools[place].len() < KEPT {
            pools[place].push(parts);
        }
    });
}
