//! Server-sent events (WHATWG HTML, section 9.2): [`Events`] as the return value of a handler is an event stream.
//!
//! # Example
//!
//! A countdown, as a function that sends events:
//!
//! ```
//! use conduit::prelude::*;
//! use conduit::testing::TestClient;
//! use conduit::Events;
//! use std::time::Duration;
//!
//! #[get("/countdown")]
//! async fn countdown() -> Events<u32> {
//!     Events::generate(async |events| {
//!         for second in (0..3).rev() {
//!             events.send(second).await?;
//!             tokio::time::sleep(Duration::from_secs(1)).await;
//!         }
//!         Ok::<_, conduit::BoxError>(())
//!     })
//! }
//!
//! let client = TestClient::new(App::new(()).routes(routes![countdown])).skip_waiting();
//! let mut stream = client.get("/countdown").stream();
//! assert_eq!(stream.event().map(|event| event.data).as_deref(), Some("2"));
//! assert_eq!(stream.event().map(|event| event.data).as_deref(), Some("1"));
//! ```
//!
//! # Guarantees
//!
//! - **At once**: an event is sent when it is available, also through [`Compression`](crate::layer::Compression).
//!   Events that are available at the same time are sent together.
//! - **Back-pressure**: the source is polled only while the client reads its events.
//! - **No injection**: data is JSON, or text in lines; [`EventText`] cannot contain the end of a field.
//! - **Vanished clients**: while there are no events, a comment of three bytes is sent every
//!   [10 s](Events::keep_alive). A client whose system acknowledges nothing for the [grace period](crate::App::minimum_rate) of 30
//!   s is disconnected, at most 45 s after it has vanished. A client that disconnects ends the stream at once.
//! - **Shutdown**: the streams of a worker end one after the other, at most 100 a second if half of the
//!   [shutdown timeout](crate::App::shutdown_timeout) permits that, each with a random `retry` of 1 to 5 s. This spreads the
//!   reconnects of their clients.

mod body;
mod event;
mod last_event_id;
mod sender;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue};
use pin_project_lite::pin_project;
use serde::Serialize;
use tokio::sync::mpsc;

use self::body::EventBody;
#[cfg(feature = "hub")]
pub(crate) use self::event::write_data;
pub use self::event::{Event, EventText, IntoEvent, InvalidEventText};
pub use self::last_event_id::LastEventId;
use self::sender::Generator;
pub use self::sender::{EventSender, EventsClosed, EventsOutcome};
use crate::BoxError;
use crate::body::{Body, EndsWithClient};
use crate::extract::essence;
use crate::openapi::Operation;
use crate::response::{IntoResponse, Response};

/// The media type of event streams.
pub(crate) const MEDIA_TYPE: &str = "text/event-stream";

/// Returns whether a message is an event stream, with any parameters of the media type.
pub(crate) fn is_event_stream(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|content_type| essence(content_type).eq_ignore_ascii_case(MEDIA_TYPE.as_bytes()))
}

/// The default interval of comments.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A response that is a stream of events with data of type `T`, which serde writes as JSON.
///
/// It comes from a [stream](Events::new), from a [function that sends](Events::generate), from a
/// [channel](Events::channel), or from a [topic](crate::hub::Topic::events). The [module](self) states its guarantees.
///
/// In the OpenAPI document it is a response of type `text/event-stream`. The schema describes the data of each event, because
/// OpenAPI 3.1 cannot describe the items of a stream.
///
/// # Example
///
/// Events with IDs, from a stream:
///
/// ```
/// use conduit::prelude::*;
/// use conduit::events::{Event, Events, LastEventId};
/// use futures_core::Stream;
///
/// #[derive(serde::Serialize, JsonSchema)]
/// struct Price {
///     cents: u64,
/// }
///
/// fn prices_after(id: u64) -> impl Stream<Item = Event<Price>> {
///     # struct Empty;
///     # impl Stream for Empty {
///     #     type Item = Event<Price>;
///     #     fn poll_next(
///     #         self: std::pin::Pin<&mut Self>,
///     #         _: &mut std::task::Context<'_>,
///     #     ) -> std::task::Poll<Option<Event<Price>>> {
///     #         std::task::Poll::Ready(None)
///     #     }
///     # }
///     # let _ = id;
///     // …each as `Event::new(price).id(number)`
///     # Empty
/// }
///
/// #[get("/prices")]
/// async fn prices(last: LastEventId) -> Events<Price> {
///     Events::new(prices_after(last.parse().unwrap_or(0)))
/// }
/// # let client = conduit::testing::TestClient::new(App::new(()).routes(routes![prices]));
/// # client.get("/prices").send().assert_status(200).assert_header("content-type", "text/event-stream");
/// ```
pub struct Events<T> {
    /// Makes the body from the source, with the two times.
    body: Box<dyn FnOnce(Duration, Option<Duration>) -> Body>,
    keep_alive: Duration,
    retry: Option<Duration>,
    _data: PhantomData<fn() -> T>,
}

impl<T: Serialize + 'static> Events<T> {
    /// Creates a response from the items of a stream: data, events, or results of them. An error is logged, and aborts the body, so
    /// that the client reconnects.
    pub fn new<S>(stream: S) -> Self
    where
        S: Stream + 'static,
        S::Item: IntoEvent<T>,
    {
        Events::from_encoded(Encode {
            stream,
            _data: PhantomData,
        })
    }

    /// Creates a response from the events that a function sends. The function runs as a part of the response and need not be
    /// `Send`: it is dropped when the client disconnects, and the stream ends when it returns.
    ///
    /// The function returns `()` or a `Result`. An error is logged, and aborts the body, so that the client reconnects.
    pub fn generate<F, R>(function: F) -> Self
    where
        F: FnOnce(EventSender<T>) -> R,
        R: Future + 'static,
        R::Output: EventsOutcome,
    {
        let (sender, receiver) = sender::channel();
        Events::new(Generator::new(receiver, function(sender)))
    }

    /// Returns a sender and the response with its events, for a task or a thread that continues without the response. The sender
    /// waits while 16 events are queued, and the stream ends with the last clone of the sender.
    pub fn channel() -> (EventSender<T>, Self) {
        let (sender, receiver) = sender::channel();
        (sender, Events::new(receiver))
    }
}

impl<T> Events<T> {
    /// Creates a response from events as bytes.
    pub(crate) fn from_encoded(source: impl Stream<Item = Result<Bytes, BoxError>> + 'static) -> Self {
        Events {
            body: Box::new(|keep_alive, retry| Body::from_stream(EventBody::new(source, keep_alive, retry))),
            keep_alive: KEEP_ALIVE,
            retry: None,
            _data: PhantomData,
        }
    }

    /// Sets the time without events after which a comment is sent, in whole seconds from 1 up. Default: 10 s.
    ///
    /// Proxies close connections that are quiet for longer, such as 60 s. A vanished client is noticed at most 35 s after
    /// a comment.
    pub fn keep_alive(mut self, interval: Duration) -> Self {
        self.keep_alive = interval;
        self
    }

    /// Sets the time after which clients connect again when the connection is lost. It is sent first. Default: the choice of the
    /// client, 3 to 5 s in browsers.
    pub fn retry(mut self, time: Duration) -> Self {
        self.retry = Some(time);
        self
    }
}

impl<T: Serialize + 'static> From<mpsc::Receiver<T>> for Events<T> {
    fn from(receiver: mpsc::Receiver<T>) -> Self {
        Events::new(Received(receiver))
    }
}

struct Received<T>(mpsc::Receiver<T>);

impl<T> Stream for Received<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(context)
    }
}

pin_project! {
    /// The bytes of the events of a stream.
    struct Encode<S, T> {
        #[pin]
        stream: S,
        _data: PhantomData<fn() -> T>,
    }
}

impl<S, T> Stream for Encode<S, T>
where
    S: Stream,
    S::Item: IntoEvent<T>,
    T: Serialize,
{
    type Item = Result<Bytes, BoxError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let encode = |item: S::Item| {
            let event = item.into_event()?;
            event.encode().map_err(BoxError::from)
        };
        self.project().stream.poll_next(context).map(|item| item.map(encode))
    }
}

#[diagnostic::do_not_recommend]
impl<T> IntoResponse for Events<T> {
    fn into_response(self) -> Response {
        let mut response = Response::new((self.body)(self.keep_alive, self.retry));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        // nginx buffers responses otherwise.
        headers.insert(
            HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        );
        response.extensions_mut().insert(EndsWithClient);
        response
    }

    fn describe(operation: &mut Operation) {
        operation
            .response_of::<T>(MEDIA_TYPE)
            .response_description("An event stream; the schema describes the data of each event.");
    }
}

impl<T> fmt::Debug for Events<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("keep_alive", &self.keep_alive)
            .field("retry", &self.retry)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_streams_have_their_media_type_with_any_parameters() {
        for (content_type, expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream ; charset=utf-8", true),
            ("text/event-streams", false),
            ("text/plain", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))]);
            assert_eq!(is_event_stream(&headers), expected, "{content_type}");
        }
        assert!(!is_event_stream(&HeaderMap::new()));
    }
}
