//! A body with fields after it.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream as _;
use http::HeaderMap;

use super::{Body, BoxError, PieceStream};

/// A body, and the future of its trailers.
pub(super) struct WithTrailers {
    body: Body,
    trailers: Trailers,
}

enum Trailers {
    /// The body has not ended, or the future is pending.
    Pending(Pin<Box<dyn Future<Output = HeaderMap>>>, BodyState),
    Ready(HeaderMap),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum BodyState {
    Open,
    Ended,
}

impl WithTrailers {
    pub(super) fn new(body: Body, trailers: Pin<Box<dyn Future<Output = HeaderMap>>>) -> Self {
        WithTrailers {
            body,
            trailers: Trailers::Pending(trailers, BodyState::Open),
        }
    }
}

impl PieceStream for WithTrailers {
    fn poll_piece(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        let WithTrailers { body, trailers } = &mut *self;
        let Trailers::Pending(future, state) = trailers else {
            return Poll::Ready(None);
        };
        if *state == BodyState::Open {
            if let Some(piece) = ready!(Pin::new(&mut *body).poll_next(context)) {
                return Poll::Ready(Some(piece.map_err(BoxError::from)));
            }
            *state = BodyState::Ended;
        }
        let fields = ready!(future.as_mut().poll(context));
        let mut all = body.trailers().unwrap_or_default();
        all.extend(fields);
        *trailers = Trailers::Ready(all);
        Poll::Ready(None)
    }

    fn trailer_fields(&self) -> Option<HeaderMap> {
        match &self.trailers {
            Trailers::Ready(fields) => Some(fields.clone()),
            Trailers::Pending(..) => None,
        }
    }
}
