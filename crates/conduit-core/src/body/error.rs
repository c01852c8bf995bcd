//! The errors of a body.

#[cfg(feature = "tower")]
use std::error::Error;
use std::fmt;
#[cfg(feature = "tower")]
use std::io;

use crate::current;
use crate::limit::Limit;
use crate::memory::Exhausted;

/// An error of the application, which a stream of bytes or a handler may return.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The error of a body that cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// The body is longer than its limit. Results in a 413.
    TooLarge {
        /// The exceeded limit.
        limit_bytes: u64,
    },
    /// The client disconnected, or violated the protocol, before the end of the body.
    Incomplete,
    /// The server's memory for bodies (`App::body_memory`) is exhausted. Results in a 503 with `retry-after`.
    OutOfMemory,
    /// The body is not valid in the coding that its `content-encoding` declares. Results in a 400.
    Malformed {
        /// The declared coding, such as `gzip`.
        coding: &'static str,
    },
    /// The stream of the body returned this error. Results in a 500.
    Stream(BoxError),
    /// Another library on the path of a request's body, such as a server or a layer of tower, returned this error. Results
    /// in a 400, or in a 413 for a limit of `http-body-util`. Needs the feature `tower`.
    #[cfg(feature = "tower")]
    Unreadable(BoxError),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BodyError::TooLarge { limit_bytes } => {
                write!(f, "the body is longer than the limit of {limit_bytes} bytes")
            }
            BodyError::Incomplete => f.write_str("the body ended before it was complete"),
            BodyError::OutOfMemory => {
                f.write_str("the server has no memory for the body at the moment; try again later")
            }
            BodyError::Malformed { coding } => {
                write!(f, "the body is not valid {coding}, which its content-encoding declares")
            }
            BodyError::Stream(error) => write!(f, "the body's stream failed: {error}"),
            #[cfg(feature = "tower")]
            BodyError::Unreadable(error) => write!(f, "the body could not be read: {error}"),
        }
    }
}

impl BodyError {
    /// Checks the length of a body.
    ///
    /// # Errors
    ///
    /// Returns [`BodyError::TooLarge`] if it exceeds the limit; the server counts the hit.
    pub fn check_length(bytes: u64, limit_bytes: u64) -> Result<(), Self> {
        if bytes > limit_bytes {
            current::record_limit_hit(Limit::BodyBytes);
            return Err(BodyError::TooLarge { limit_bytes });
        }
        Ok(())
    }

    /// The error of a stream: itself if the stream has passed on the error of another body.
    pub fn of_stream(error: BoxError) -> Self {
        error.downcast().map_or_else(BodyError::Stream, |error| *error)
    }
}

impl From<Exhausted> for BodyError {
    fn from(_: Exhausted) -> Self {
        BodyError::OutOfMemory
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            BodyError::Stream(error) => Some(&**error),
            #[cfg(feature = "tower")]
            BodyError::Unreadable(error) => Some(&**error),
            _ => None,
        }
    }
}

/// The error and its sources.
#[cfg(feature = "tower")]
pub(crate) fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        // The source of an `io::Error` is that of the error inside of it.
        match error.downcast_ref().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => (*error).source(),
        }
    })
}
