//! Trailer fields of a body.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream as _;
use http::HeaderMap;

use super::{Body, BoxError, PieceStream};

impl Body {
    /// Sends these fields after the body (RFC 9110, section 6.5), such as a checksum of the body: the future is polled after
    /// the last chunk. Fields that frame, route or authenticate a message are omitted. The trailers of a body that has some are
    /// sent too.
    ///
    /// HTTP/1.1 has trailers only in the chunked transfer coding, so the body declares no length, and a client of HTTP/1.0
    /// receives none. A client may ignore them, and a proxy may remove them.
    ///
    /// # Example
    ///
    /// ```
    /// use conduit::prelude::*;
    /// use http::{HeaderMap, HeaderValue};
    ///
    /// #[get("/measured")]
    /// async fn measured() -> Body {
    ///     let fields = HeaderMap::from_iter([(http::HeaderName::from_static("x-rows"), HeaderValue::from_static("2"))]);
    ///     Body::from("a,b").with_trailers(std::future::ready(fields))
    /// }
    ///
    /// let client = conduit::testing::TestClient::new(App::new(()).routes(routes![measured]));
    /// assert_eq!(client.get("/measured").send().text(), "a,b");
    /// ```
    pub fn with_trailers(self, trailers: impl Future<Output = HeaderMap> + 'static) -> Self {
        Body::from_pieces(WithTrailers::new(self, Box::pin(trailers)))
    }
}

/// A body, and the future of its trailers.
struct WithTrailers {
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
    fn new(body: Body, trailers: Pin<Box<dyn Future<Output = HeaderMap>>>) -> Self {
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
