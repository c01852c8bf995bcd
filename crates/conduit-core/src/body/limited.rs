//! A request's body that another server reads, with the limit of its length.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;

use super::{Body, BodyError};

/// A request's body from another source than a connection of this server, with its limit.
pub struct Limited {
    pub(super) body: Body,
    pub(super) limit: u64,
    pub(super) received: u64,
    /// An error was returned: nothing follows it.
    pub(super) failed: bool,
}

impl Limited {
    /// Fails if the body exceeds the limit, by its declared or its received length.
    pub fn check_limit(&self) -> Result<(), BodyError> {
        let length = self.received.saturating_add(self.body.len().unwrap_or(0));
        BodyError::check_length(length, self.limit)
    }

    pub(super) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.failed {
            return Poll::Ready(None);
        }
        let polled = self.poll_next_piece(context);
        self.failed = matches!(polled, Poll::Ready(Some(Err(_))));
        polled
    }

    fn poll_next_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
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
    pub fn limited(self, limit: u64) -> Self {
        if self.is_empty() {
            return self;
        }
        Body(super::BodyKind::Limited(Box::new(Limited {
            body: self,
            limit,
            received: 0,
            failed: false,
        })))
    }
}
