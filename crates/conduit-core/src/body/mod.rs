//! Bodies of requests and responses.

mod error;
pub(crate) mod incoming;
pub(crate) mod kind;
mod limited;
mod trailers;

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;

#[cfg(feature = "tower")]
pub(crate) use self::error::causes;
pub use self::error::{BodyError, BoxError};
pub(crate) use self::incoming::{Channel, ExchangeEventSender, Incoming};
pub(crate) use self::kind::{BodyKind, PieceStream};
use crate::file::FilePart;
use crate::pool::Buffer;

/// The body of a request or of a response: nothing, bytes, or a stream of bytes.
///
/// A response's body is created from strings and bytes with [`From`], or from a stream with [`Body::from_stream`]. As an
/// argument of a handler it is the request's body: a [`Stream`] of its chunks as received, with back-pressure, or
/// the whole body with [`Body::collect`]. An echo is `async fn echo(body: Body) -> Body { body }`.
///
/// The request's body ends with its response: a task that reads it later gets the bytes that have arrived until then, and after
/// an incomplete body an error.
///
/// # Limits
///
/// A request's body is never longer than the application's limit (`App::body_limit`, 2 MiB
/// unless set) or the one set with [`Body::with_limit`]; reading beyond it fails with
/// [`BodyError::TooLarge`], which results in a 413. A body that a layer sets has no limit, unless an inner layer sets one.
pub struct Body(#[doc(hidden)] pub BodyKind);

impl Body {
    /// Returns whether the whole body is in memory, so that reading it never waits.
    pub fn is_in_memory(&self) -> bool {
        !matches!(
            self.0,
            BodyKind::File(_) | BodyKind::Stream(..) | BodyKind::Incoming(_) | BodyKind::Limited(_)
        )
    }

    /// A body without bytes.
    pub const fn empty() -> Self {
        Body(BodyKind::Empty)
    }

    /// A body whose chunks come from a stream. Its length is unknown, so it is sent with the chunked transfer coding
    /// (RFC 9112, section 7.1), or, to an HTTP/1.0 client, until the connection closes.
    ///
    /// The next chunk is requested when the client has received enough of the previous ones. When the stream returns an
    /// error, the connection is closed in the middle of the body, so that the client notices the truncation, and
    /// the error is logged.
    pub fn from_stream<S, B, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<B, E>> + 'static,
        B: Into<Bytes>,
        E: Into<BoxError>,
    {
        Body(BodyKind::Stream(Box::pin(stream), None))
    }

    /// Creates a body as [`from_stream`](Body::from_stream) does, from a stream whose chunks have `length` bytes in total: the
    /// response declares the length in `content-length`.
    ///
    /// When the stream returns more or fewer bytes, the connection is closed in the middle of the body, so that the client
    /// notices the truncation, and the error is logged.
    pub fn from_sized_stream<S, B, E>(stream: S, length: u64) -> Self
    where
        S: Stream<Item = Result<B, E>> + 'static,
        B: Into<Bytes>,
        E: Into<BoxError>,
    {
        Body(BodyKind::Stream(Box::pin(stream), Some(length)))
    }

    /// The bytes of a file from `range.start` to `range.end`, counted from its beginning; a range that ends before it starts
    /// is empty. The file's own position is neither used nor changed.
    ///
    /// # Transmission
    ///
    /// On Linux the bytes of a large file are sent from the kernel's page cache to the socket without a copy in this program
    /// (sendfile(2)); up to 64 KiB, and over TLS, they are read into the worker's buffer and sent with the head of the
    /// response. Ranges that are not in the cache are read by a thread of tokio's pool for blocking work, so that a slow disk
    /// does not block the worker. The worker itself waits for the disk only where the kernel does not report the state of its
    /// cache (systems other than Linux, some file systems).
    ///
    /// Opening a file waits for the disk, too: open it with `tokio::fs::File` and use `into_std`, if that matters.
    ///
    /// When the file turns out to be shorter, or cannot be read, the connection is closed in the middle of the body, so
    /// that the client notices the truncation, and the error is logged. A file that is overwritten meanwhile may be sent as a
    /// mixture of both versions; replace files by renaming.
    ///
    /// # Example
    ///
    /// A whole file:
    ///
    /// ```
    /// use conduit::prelude::*;
    ///
    /// #[get("/report.csv")]
    /// async fn report() -> Result<Body, Problem> {
    ///     let file = std::fs::File::open("report.csv")?;
    ///     let length = file.metadata()?.len();
    ///     Ok(Body::from_file(file, 0..length))
    /// }
    /// ```
    pub fn from_file(file: std::fs::File, range: Range<u64>) -> Self {
        Body(BodyKind::File(FilePart::new(
            file,
            range.start,
            range.end.saturating_sub(range.start),
        )))
    }

    /// The number of bytes, if it is known before they are read.
    pub fn len(&self) -> Option<u64> {
        match &self.0 {
            BodyKind::Empty => Some(0),
            BodyKind::Static(bytes) => Some(bytes.len() as u64),
            BodyKind::Bytes(bytes) => Some(bytes.len() as u64),
            BodyKind::Buffer(buffer) | BodyKind::Presented(_, buffer) => Some(buffer.len() as u64),
            BodyKind::File(part) => Some(part.left()),
            BodyKind::Stream(_, length) => *length,
            BodyKind::Incoming(incoming) => incoming.declared.map(|length| length.saturating_sub(incoming.received)),
            BodyKind::Limited(limited) => limited.body.len(),
        }
    }

    /// Returns whether the body is known to have no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Sets the maximum length of a request's body in bytes, in place of the application's limit. It has no effect on a body
    /// without a limit, such as one that the application has created, unless a layer has limited that body.
    pub fn with_limit(mut self, bytes: u64) -> Self {
        match &mut self.0 {
            BodyKind::Incoming(incoming) => incoming.limit = bytes,
            BodyKind::Limited(limited) => limited.limit = bytes,
            _ => {}
        }
        self
    }

    /// Reads all bytes of the body.
    ///
    /// # Errors
    ///
    /// Returns an error if a request's body is longer than the limit, is incomplete or is malformed, or if the stream of a
    /// response's body fails.
    pub async fn collect(self) -> Result<Bytes, BodyError> {
        match self.0 {
            BodyKind::Static(bytes) => Ok(Bytes::from_static(bytes)),
            BodyKind::Bytes(bytes) => Ok(bytes),
            kind => Ok(Bytes::from(Body(kind).collect_buffer().await?)),
        }
    }

    /// The trailer fields after the body (RFC 9110, section 6.5); `None` before the body has been read to its end, or where
    /// none were sent.
    pub fn trailers(&self) -> Option<HeaderMap> {
        match &self.0 {
            BodyKind::Incoming(incoming) => incoming.channel.trailers.borrow().as_deref().cloned(),
            BodyKind::Stream(stream, _) => stream.trailer_fields(),
            BodyKind::Limited(limited) => limited.body.trailers(),
            _ => None,
        }
    }
}

impl Default for Body {
    fn default() -> Self {
        Body::empty()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.len() {
            Some(length) => write!(f, "Body({length} bytes)"),
            None => f.write_str("Body(stream)"),
        }
    }
}

impl Stream for Body {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let body = self.get_mut();
        let bytes = match &mut body.0 {
            BodyKind::Stream(stream, length) => {
                let piece = stream.as_mut().poll_piece(context);
                if let (Poll::Ready(Some(Ok(piece))), Some(left)) = (&piece, length) {
                    *left = left.saturating_sub(piece.len() as u64);
                }
                return piece.map_err(BodyError::of_stream);
            }
            BodyKind::File(part) => {
                return part
                    .poll_piece(context)
                    .map_err(|error| BodyError::of_stream(Box::new(error)));
            }
            BodyKind::Incoming(incoming) => {
                let polled = incoming.poll_piece(context);
                return body.fused(polled);
            }
            BodyKind::Limited(limited) => {
                let polled = limited.poll_piece(context);
                return body.fused(polled);
            }
            BodyKind::Empty => return Poll::Ready(None),
            BodyKind::Static(bytes) => Bytes::from_static(bytes),
            BodyKind::Bytes(bytes) => std::mem::take(bytes),
            BodyKind::Buffer(buffer) | BodyKind::Presented(_, buffer) => Bytes::from(std::mem::take(buffer)),
        };
        body.0 = BodyKind::Empty;
        Poll::Ready((!bytes.is_empty()).then_some(Ok(bytes)))
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Body(BodyKind::Static(text.as_bytes()))
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Body(BodyKind::Static(bytes))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Body::from(text.into_bytes())
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Body(BodyKind::Buffer(Buffer::from(bytes)))
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Body(BodyKind::Bytes(bytes))
    }
}

impl From<Buffer> for Body {
    fn from(buffer: Buffer) -> Self {
        Body(BodyKind::Buffer(buffer))
    }
}

type PolledPiece = Poll<Option<Result<Bytes, BodyError>>>;

impl Body {
    /// Ends a request's body at its first error: nothing follows it.
    fn fused(&mut self, polled: PolledPiece) -> PolledPiece {
        if let Poll::Ready(Some(Err(_))) = polled {
            self.0 = BodyKind::Empty;
        }
        polled
    }
}

/// Methods for the other crates of the workspace.
#[doc(hidden)]
impl Body {
    /// The bytes, if it is not a stream.
    #[inline]
    pub fn whole(&self) -> Option<&[u8]> {
        match &self.0 {
            BodyKind::Empty => Some(&[]),
            BodyKind::Static(bytes) => Some(bytes),
            BodyKind::Bytes(bytes) => Some(bytes),
            BodyKind::Buffer(buffer) | BodyKind::Presented(_, buffer) => Some(buffer),
            BodyKind::File(_) | BodyKind::Stream(..) | BodyKind::Incoming(_) | BodyKind::Limited(_) => None,
        }
    }

    /// The bytes without a copy; none of a stream or a file.
    pub fn into_whole(self) -> Bytes {
        match self.0 {
            BodyKind::Static(bytes) => Bytes::from_static(bytes),
            BodyKind::Bytes(bytes) => bytes,
            BodyKind::Buffer(buffer) | BodyKind::Presented(_, buffer) => Bytes::from_owner(buffer),
            BodyKind::Empty
            | BodyKind::File(_)
            | BodyKind::Stream(..)
            | BodyKind::Incoming(_)
            | BodyKind::Limited(_) => Bytes::new(),
        }
    }

    /// A body of pieces with trailer fields: of a layer that changes another body and keeps its trailers.
    pub fn from_pieces(pieces: impl PieceStream + 'static) -> Self {
        Body(BodyKind::Stream(Box::pin(pieces), None))
    }

    /// Creates a body of pieces as [`from_pieces`](Body::from_pieces) does: of a layer that changes neither the bytes of the other
    /// body nor, if it is known, its length.
    pub fn from_sized_pieces(pieces: impl PieceStream + 'static, length: Option<u64>) -> Self {
        Body(BodyKind::Stream(Box::pin(pieces), length))
    }

    /// Reads all bytes as [`collect`](Body::collect) does, and returns them with the trailer fields after them.
    pub async fn collect_with_trailers(mut self) -> Result<(Bytes, Option<HeaderMap>), BodyError> {
        if let BodyKind::Static(_) | BodyKind::Bytes(_) = self.0 {
            return Ok((self.collect().await?, None));
        }
        let mut all = Buffer::take();
        while let Some(piece) = std::future::poll_fn(|context| Pin::new(&mut self).poll_next(context)).await {
            all.append(&piece?)?;
        }
        Ok((
            Bytes::from(all),
            self.trailers().filter(|trailers| !trailers.is_empty()),
        ))
    }

    /// Reads all bytes as [`collect`](Body::collect) does, into a buffer of the worker's pool: a small body allocates nothing.
    pub async fn collect_buffer(mut self) -> Result<Buffer, BodyError> {
        if let BodyKind::Incoming(incoming) = &mut self.0 {
            return std::future::poll_fn(|context| incoming.poll_all(context)).await;
        }
        let mut all = Buffer::take();
        while let Some(piece) = std::future::poll_fn(|context| Pin::new(&mut self).poll_next(context)).await {
            all.append(&piece?)?;
        }
        Ok(all)
    }
}
