//! The errors of bodies.

use std::fmt;

/// The maximum number of fields in a part's head.
pub const FIELDS_LIMIT: usize = 32;

/// The input is not `multipart/form-data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MultipartError {
    /// The head of a part exceeds its limit.
    HeadTooLong {
        /// The limit.
        limit_bytes: usize,
    },
    /// The head of a part has more than [`FIELDS_LIMIT`] fields.
    TooManyFields,
    /// The input violates the grammar.
    Malformed {
        /// The violation.
        what: &'static str,
    },
    /// The body has ended before its last delimiter.
    Incomplete,
}

impl fmt::Display for MultipartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MultipartError::HeadTooLong { limit_bytes } => {
                write!(
                    f,
                    "the head of a part is longer than the limit of {limit_bytes} bytes: shorten the names or the fields"
                )
            }
            MultipartError::TooManyFields => {
                write!(
                    f,
                    "the head of a part has more fields than the limit of {FIELDS_LIMIT}: send fewer"
                )
            }
            MultipartError::Malformed { what } => f.write_str(what),
            MultipartError::Incomplete => {
                f.write_str("the body ends before its last delimiter: end it with the boundary and two hyphens")
            }
        }
    }
}

impl std::error::Error for MultipartError {}
