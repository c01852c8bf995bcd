//! Bodies that have been read in whole or in part.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream as _;
use http::HeaderMap;

use crate::body::{Body, BoxError, PieceStream};

/// A body of these bytes and the rest.
pub(crate) fn resumed(first: Bytes, rest: Body) -> Body {
    let length = rest.len().and_then(|rest| rest.checked_add(first.len() as u64));
    let first = Some(first).filter(|first| !first.is_empty());
    Body::from_sized_pieces(Resumed { first, rest }, length)
}

/// A body of these bytes and trailer fields.
pub(crate) fn whole(bytes: impl Into<Body>, trailers: Option<HeaderMap>) -> Body {
    let body = bytes.into();
    match trailers {
        Some(trailers) => body.with_trailers(std::future::ready(trailers)),
        None => body,
    }
}

struct Resumed {
    first: Option<Bytes>,
    rest: Body,
}

impl PieceStream for Resumed {
    fn poll_piece(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        match self.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => Pin::new(&mut self.rest).poll_next(context).map_err(BoxError::from),
        }
    }

    fn trailer_fields(&self) -> Option<HeaderMap> {
        self.rest.trailers()
    }
}
