//! The limits of a request head.

/// The maximum length of a request target in bytes: 65,534, the maximum of [`http::Uri`]. A longer one is rejected with
/// 414, regardless of the limit of the head.
pub const TARGET_LIMIT: usize = u16::MAX as usize - 1;

/// The maximum number of received fields. A [`HeaderMap`](http::HeaderMap) panics beyond 24,576, and the authority of the
/// target may become one more field.
pub(crate) const MAX_FIELDS: usize = 24_575;

/// The limits of a request head.
///
/// A larger head is rejected with 431, or with 414 if the request line exceeds the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The length of the head in bytes, from the first byte of the request line to the empty line at its end. The
    /// trailers of the request count too; chunk extensions have a separate limit of the same size. Default: 16 KiB.
    /// Values above 1 GiB mean 1 GiB.
    pub head_bytes: usize,
    /// The number of fields, including trailers. Default: 100. Values above 24,575, the capacity of an
    /// [`http::HeaderMap`] without the `host` of the request's target, mean 24,575.
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
