//! The kinds of bodies.

use std::any::Any;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;

use super::error::BoxError;
use super::incoming::Incoming;
use super::limited::Limited;
use crate::file::FilePart;
use crate::pool::Buffer;

/// The content of a body.
pub enum BodyKind {
    /// No bytes.
    Empty,
    /// Bytes of the program.
    Static(&'static [u8]),
    /// Shared bytes.
    Bytes(Bytes),
    /// Bytes in a buffer of the pool.
    Buffer(Buffer),
    /// Bytes, and the value that they represent: a later step may write it in another form.
    Presented(Box<dyn Any>, Buffer),
    /// A part of a file.
    File(FilePart),
    /// A stream, with the total length of its chunks if that is known.
    Stream(Pin<Box<dyn PieceStream>>, Option<u64>),
    /// The body of a request of this server.
    Incoming(Incoming),
    /// A request's body that another server reads or that a layer has set, with the limit that applies to it.
    Limited(Box<Limited>),
}

/// A stream of values that convert into bytes, without its type.
pub trait PieceStream {
    /// The next piece.
    fn poll_piece(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>>;

    /// The trailer fields, after the last piece.
    fn trailer_fields(&self) -> Option<HeaderMap> {
        None
    }
}

impl<S, B, E> PieceStream for S
where
    S: Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
    E: Into<BoxError>,
{
    fn poll_piece(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        self.poll_next(context)
            .map(|item| item.map(|piece| piece.map(Into::into).map_err(Into::into)))
    }
}

/// A response extension: the stream of the body is dropped when the client disconnects, on every route.
#[derive(Clone, Copy, Debug)]
pub struct EndsWithClient;
