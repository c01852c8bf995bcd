//! A request's body that does not come from a connection of this server, with the limit of its length.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

use super::{Body, BodyError, BodyKind};

/// A request's body from another source than a connection of this server, with its limit.
pub struct Limited {
    pub(super) body: Body,
    pub(super) limit: u64,
    received: u64,
}

impl Limited {
    /// Fails if the body exceeds the limit, by its declared or its received length.
    pub fn check_limit(&self) -> Result<(), BodyError> {
        let length = self.received.saturating_add(self.body.len().unwrap_or(0));
        BodyError::check_length(length, self.limit)
    }

    pub(super) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        // Before reading: the client may wait before it sends a body that is rejected anyway.
        self.check_limit()?;
        let next = std::task::ready!(Pin::new(&mut self.body).poll_next(context));
        if let Some(Ok(piece)) = &next {
            self.received += piece.len() as u64;
            self.check_limit()?;
        }
        Poll::Ready(next)
    }
}

impl Body {
    /// Returns a body that fails after a number of bytes, until [`with_limit`](Body::with_limit) sets another.
    pub(crate) fn limited(self, limit: u64) -> Self {
        match self.0 {
            BodyKind::Incoming(_) | BodyKind::Limited(_) => self.with_limit(limit),
            _ if self.is_empty() => self,
            _ => Body(BodyKind::Limited(Box::new(Limited {
                body: self,
                limit,
                received: 0,
            }))),
        }
    }
}
