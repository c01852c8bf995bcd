//! Buffers and response heads that a worker reuses.
//!
//! Each worker thread keeps the memory of its last requests: after the first few requests a small request allocates
//! nothing. The pools are bounded in count and size, so that the memory of a burst of large requests is freed.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http::{HeaderValue, StatusCode, Version};

use crate::charge::Charge;
use crate::memory::Exhausted;
use crate::panics::discard;

/// The number of buffers, and of response heads of each content type, that a thread keeps.
const KEPT: usize = 64;
/// A buffer that has grown beyond this is freed rather than kept.
const KEPT_BUFFER_BYTES: usize = 64 * 1024;
/// The capacity of a buffer that is not taken from the budget of memory.
pub const FREE_BYTES: usize = 4 * 1024;
/// A header map that has grown beyond this is freed rather than kept.
const KEPT_HEADER_CAPACITY: usize = 64;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static RESPONSE_PARTS: RefCell<[Vec<Parts>; MEDIA_TYPES.len()]> =
        const { RefCell::new([const { Vec::new() }; MEDIA_TYPES.len()]) };
}

/// A byte buffer that returns to the pool of its thread when it is dropped.
#[derive(Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    /// The part of the budget of memory that the capacity takes, where [`append`](Buffer::append) has raised it.
    charge: Charge,
}

impl Buffer {
    /// An empty buffer, with the capacity of an earlier one where the pool has one.
    pub fn take() -> Self {
        Buffer::from(BUFFERS.with_borrow_mut(Vec::pop).unwrap_or_default())
    }

    /// The bytes as a vector, which does not return to the pool.
    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// The bytes as a vector, and its part of the budget of memory.
    pub fn into_parts(mut self) -> (Vec<u8>, Charge) {
        (std::mem::take(&mut self.bytes), std::mem::take(&mut self.charge))
    }

    /// The buffer of these parts, as [`into_parts`](Buffer::into_parts) returns them.
    pub fn from_parts(bytes: Vec<u8>, charge: Charge) -> Self {
        Buffer { bytes, charge }
    }

    /// Appends bytes of a body, whose memory is taken from the server's budget.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), Exhausted> {
        // The first bytes also pay for the capacity that the buffer has from the pool.
        let is_paid = !self.bytes.is_empty() || self.bytes.capacity() <= FREE_BYTES;
        if self.bytes.capacity() - self.bytes.len() < bytes.len() || !is_paid {
            self.grow(bytes.len())?;
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    #[cold]
    fn grow(&mut self, more: usize) -> Result<(), Exhausted> {
        let needed = self.bytes.len() + more;
        let capacity = self.bytes.capacity();
        let charged = |capacity: usize| capacity.saturating_sub(FREE_BYTES);
        if self.bytes.is_empty() && needed <= capacity {
            if self.charge.raise_to(charged(capacity), charged(needed))? < charged(capacity) {
                // The budget has room for the bytes, but not for the capacity.
                self.bytes = Vec::with_capacity(needed);
            }
            return Ok(());
        }
        let doubled = needed.max(2 * capacity);
        let raised = self.charge.raise_to(charged(doubled), charged(needed))?;
        let capacity = if raised == charged(doubled) { doubled } else { needed };
        self.bytes.reserve_exact(capacity - self.bytes.len());
        Ok(())
    }
}

impl From<Buffer> for Bytes {
    /// The bytes keep their part of the budget of memory, if they have one.
    fn from(buffer: Buffer) -> Self {
        if buffer.charge.is_some() {
            return Bytes::from_owner(buffer);
        }
        Bytes::from(buffer.into_vec())
    }
}

/// The vector's memory serves later buffers of the thread.
impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        Buffer::from_parts(bytes, Charge::default())
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let capacity = self.bytes.capacity();
        if capacity == 0 || capacity > KEPT_BUFFER_BYTES {
            return;
        }
        self.bytes.clear();
        let buffer = std::mem::take(&mut self.bytes);
        // A body can outlive the locals of its thread; then it is freed.
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
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

/// The content types of the responses of Conduit.
#[derive(Clone, Copy)]
pub enum MediaType {
    /// `text/plain; charset=utf-8`
    Text,
    /// `application/json`
    Json,
    /// `text/html; charset=utf-8`
    Html,
    /// `application/octet-stream`
    Bytes,
    /// `application/problem+json`
    Problem,
    /// `application/x-www-form-urlencoded`
    Form,
}

macro_rules! media_types {
    ($($value:literal,)*) => {
        /// The values of the media types, in the order of [`MediaType`].
        static MEDIA_TYPES: [&str; 6] = [$($value,)*];

        /// The heads of the responses of [`response`] as text, in the same order.
        static HEADS: [&str; 6] = [$(concat!("HTTP/1.1 200 OK\r\ncontent-type: ", $value, "\r\n"),)*];
    };
}

media_types! {
    "text/plain; charset=utf-8",
    "application/json",
    "text/html; charset=utf-8",
    "application/octet-stream",
    "application/problem+json",
    "application/x-www-form-urlencoded",
}

impl MediaType {
    /// Type and subtype, without parameters.
    pub fn essence(self) -> &'static str {
        let value = MEDIA_TYPES[self as usize];
        value.split_once(';').map_or(value, |(essence, _)| essence)
    }
}

/// A response with status 200, this body and this content type, and no other field.
///
/// Most responses are sent with only that field, so most heads return to the pool unchanged. Each type has a pool, and the next
/// response of the type has nothing to insert.
#[inline]
pub fn response<B>(body: B, media_type: MediaType) -> http::Response<B> {
    let place = media_type as usize;
    let kept = RESPONSE_PARTS.with_borrow_mut(|pools| pools[place].pop());
    match kept {
        Some(parts) => http::Response::from_parts(parts, body),
        None => new_response(body, place),
    }
}

#[cold]
fn new_response<B>(body: B, place: usize) -> http::Response<B> {
    let mut response = http::Response::new(body);
    response.headers_mut().reserve(4);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPES[place]));
    response
}

/// A head that is unchanged since [`response`] returned it.
#[derive(Clone, Copy)]
pub struct Untouched(usize);

impl Untouched {
    /// The media type of a response, if it is one of these.
    #[inline]
    pub fn of<B>(response: &http::Response<B>) -> Option<Self> {
        let headers = response.headers();
        let is_plain = response.status() == StatusCode::OK
            && response.version() == Version::HTTP_11
            && headers.len() == 1
            && headers.capacity() <= KEPT_HEADER_CAPACITY
            && response.extensions().is_empty();
        if !is_plain {
            return None;
        }
        let (name, value) = headers.iter().next()?;
        if *name != CONTENT_TYPE {
            return None;
        }
        place_of(value).map(Untouched)
    }

    /// The value of `content-type`, the only field.
    #[inline]
    pub fn content_type(self) -> &'static str {
        MEDIA_TYPES[self.0]
    }

    /// The status line and the fields.
    pub fn written(self) -> &'static [u8] {
        HEADS[self.0].as_bytes()
    }
}

/// The content type that this value is the text of. The same address and length are the same text, since it never changes; the
/// same text elsewhere would at worst mean that a head is not kept.
#[inline]
fn place_of(value: &HeaderValue) -> Option<usize> {
    MEDIA_TYPES
        .iter()
        .position(|known| std::ptr::eq(known.as_bytes(), value.as_bytes()))
}

/// Returns a response's head to the pool of its thread, if it has one of the content types of [`response`].
pub fn recycle(mut parts: Parts, untouched: Option<Untouched>) {
    if let Some(Untouched(place)) = untouched {
        return keep(parts, place);
    }
    if parts.headers.capacity() > KEPT_HEADER_CAPACITY || !parts.extensions.is_empty() {
        return discard(parts);
    }
    let Some(place) = parts.headers.get(CONTENT_TYPE).and_then(place_of) else {
        return;
    };
    if parts.headers.len() > 1 {
        // Fields of handlers and layers are removed; the map keeps its memory.
        parts.headers.clear();
        parts
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPES[place]));
    }
    parts.status = StatusCode::OK;
    parts.version = Version::HTTP_11;
    keep(parts, place);
}

#[inline]
fn keep(parts: Parts, place: usize) {
    RESPONSE_PARTS.with_borrow_mut(|pools| {
        if pools[place].len() < KEPT {
            pools[place].push(parts);
        }
    });
}
