//! A limit on the number of concurrent requests.

use std::borrow::Cow;
use std::cell::RefCell;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream as _;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{Layer, Next, SECONDS_TO_WAIT};
use crate::body::{Body, BoxError, PieceStream};
use crate::openapi::{LayerLimit, Operation};
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// Limits the number of concurrent requests, across all workers. A further request gets a 503 with `retry-after` at once, or
/// waits if [`wait`](ConcurrencyLimit::wait) is set.
///
/// A request counts until its response is returned; with a streamed response or a file, until it ends or the client disconnects. Such
/// a file is read by the process, without sendfile(2).
/// All clones of a layer share the limit: on a group, it applies to the whole group. A call of a tool over HTTP shares the slot of
/// its message in a limit that applies to both.
///
/// # Example
///
/// An expensive handler that serves at most four requests at a time, while others wait for up to a second:
///
/// ```
/// use std::time::Duration;
/// use conduit::layer::ConcurrencyLimit;
/// use conduit::prelude::*;
///
/// #[post("/render")]
/// async fn render() -> &'static str {
///     "rendered"
/// }
///
/// let app = App::new(()).routes(routes![
///     #[layer(ConcurrencyLimit::new(4).wait(Duration::from_secs(1)))] render
/// ]);
/// ```
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit {
    limit: usize,
    places: Arc<Semaphore>,
    wait: Duration,
}

impl ConcurrencyLimit {
    /// Allows at most `limit` concurrent requests.
    ///
    /// # Panics
    ///
    /// Panics if `limit` is 0.
    pub fn new(limit: usize) -> Self {
        assert!(
            limit > 0,
            "a concurrency limit of 0 rejects every request: use at least 1"
        );
        ConcurrencyLimit {
            limit,
            places: Arc::new(Semaphore::new(limit.min(Semaphore::MAX_PERMITS))),
            wait: Duration::ZERO,
        }
    }

    /// Sets how long a request waits for a free slot before it is rejected with a 503. Default: zero.
    pub fn wait(mut self, limit: Duration) -> Self {
        self.wait = limit;
        self
    }

    /// The identity of the limit, while a request holds one of its slots.
    fn slot(&self) -> usize {
        Arc::as_ptr(&self.places).addr()
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => Some(place),
            Err(_) if self.wait.is_zero() => None,
            Err(_) => {
                let place = Arc::clone(&self.places).acquire_owned();
                tokio::time::timeout(self.wait, place).await.ok()?.ok()
            }
        }
    }
}

impl Layer for ConcurrencyLimit {
    async fn call(&self, request: Request, next: Next) -> Response {
        let slot = self.slot();
        let is_counted = request
            .extensions()
            .get::<HeldSlots>()
            .is_some_and(|held| held.0.contains(&slot));
        if is_counted {
            return next.run(request).await;
        }
        let Some(place) = self.place().await else {
            return Problem::new(StatusCode::SERVICE_UNAVAILABLE)
                .with_detail("the server is busy; try again in a moment")
                .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
                .into_response();
        };
        let mut inner = pin!(next.run(request));
        let response = poll_fn(|context| {
            let _entered = Entered::new(slot);
            inner.as_mut().poll(context)
        })
        .await;
        if response.body().is_in_memory() {
            return response;
        }
        response.map(|body| {
            let length = body.len();
            Body::from_sized_pieces(Held { body, _place: place }, length)
        })
    }

    fn describe(&self, operation: &mut Operation) {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        operation
            .problem(status, "The server is busy.")
            .at_status(status, |operation| {
                operation.response_header(RETRY_AFTER.as_str(), SECONDS_TO_WAIT);
            })
            .limit(LayerLimit::ConcurrentRequests(self.limit));
    }

    fn name(&self) -> Cow<'static, str> {
        format!("ConcurrencyLimit({})", self.limit).into()
    }
}

thread_local! {
    /// The limits around the code that runs on this thread.
    static ENTERED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

/// The slots that a request holds while it makes requests of the process itself: these need no second slot.
#[derive(Clone)]
pub(crate) struct HeldSlots(Arc<[usize]>);

impl HeldSlots {
    /// The slots of the request whose handler runs.
    #[cfg_attr(
        not(feature = "mcp"),
        expect(dead_code, reason = "only calls of tools are requests of the process")
    )]
    pub(crate) fn of_this_request() -> Self {
        HeldSlots(ENTERED.with_borrow(|entered| entered.as_slice().into()))
    }
}

/// Marks a limit as held for the time of one poll.
struct Entered;

impl Entered {
    fn new(slot: usize) -> Self {
        ENTERED.with_borrow_mut(|entered| entered.push(slot));
        Entered
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        ENTERED.with_borrow_mut(Vec::pop);
    }
}

/// A body that holds its request's slot until it ends.
struct Held {
    body: Body,
    _place: OwnedSemaphorePermit,
}

impl PieceStream for Held {
    fn poll_piece(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BoxError>>> {
        Pin::new(&mut self.body).poll_next(context).map_err(BoxError::from)
    }

    fn trailer_fields(&self) -> Option<HeaderMap> {
        self.body.trailers()
    }
}
