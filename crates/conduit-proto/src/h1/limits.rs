//! The limits of a request head.

/// The maximum length of a request target in bytes: 65,534, the maximum of [`http::Uri`]. A longer one is rejected with
/// 414, regardless of the limit of the head.
pub const TARGET_LIMIT: usize = u16::MAX as usize - 1;

/// The maximum number of received fields. A [`HeaderMap`](http::HeaderMap) panics beyond 24,576. The authority of the target may
/// become one more field, and layers of the caller add others.
pub(crate) const MAX_FIELDS: usize = 24_000;

/// The limits of a request head.
///
/// A larger head is rejected with 431, or with 414 if the request line exceeds the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The length of the head in bytes, from the first byte of the request line to the empty line at its end. The
    /// trailers of the request count too; chunk extensions have a separate limit of the same size. Default: 16 KiB.
    /// Values above 1 GiB mean 1 GiB.
    pub head_bytes: usize,
    /// The number of fields, including trailers. Default: 100. Values above 24,000 mean 24,000, so that
    /// an [`http::HeaderMap`] of a request has room for further fields.
    pub headers: usize,
}

impl Limits {
    /// The limit of the head, so that positions in it fit into 32 bits.
    pub(super) fn head_limit(&self) -> usize {
        self.head_bytes.min(1 << 30)
    }

    /// The limit of the number of fields, so that a map of them does not panic.
    pub(super) fn field_limit(&self) -> usize {
        self.headers.min(MAX_FIELDS)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 16 * 1024,
            headers: 100,
        }
    }
}
