//! The end of a client over HTTP.
//!
//! Since the revision 2026-07-28 a client cancels a request by closing its response, and a server must treat each disconnect as a
//! cancellation. Before it a disconnect should not be interpreted as one (2025-11-25, "Transports").

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http::header::CONTENT_TYPE;
use http_body::Body as _;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use tokio::sync::{Notify, mpsc, watch};

use crate::body::{Body, EndsWithClient};
use crate::events::{MEDIA_TYPE, is_event_stream};
use crate::request::Request;
use crate::response::{IntoResponse as _, Response};
use crate::route::Disconnect;

/// The first revision in which a disconnect is a cancellation. Revisions are dates, whose texts have their order.
const CANCELLED_BY_DISCONNECT: &[u8] = b"2026-07-28";

/// The action at the end of the client that has sent this message; `default` is that of the application.
pub(crate) fn disconnect_of(message: &Request, default: Disconnect) -> Disconnect {
    let revision = message.header("mcp-protocol-version");
    match revision.is_some_and(|revision| revision >= CANCELLED_BY_DISCONNECT) {
        true => Disconnect::Abort,
        false => default,
    }
}

/// The client that waits for a response: its end is the drop of this value.
pub(super) struct Connected {
    _sender: watch::Sender<()>,
    is_followed: Arc<Notify>,
}

impl Connected {
    pub(super) fn new() -> (Self, ClientEnd) {
        let (sender, end) = watch::channel(());
        let is_followed = Arc::new(Notify::new());
        let client = Connected {
            _sender: sender,
            is_followed: Arc::clone(&is_followed),
        };
        (client, ClientEnd { end, is_followed })
    }

    /// Waits until the call of the message waits for the end of this client.
    pub(super) async fn followed(&self) {
        self.is_followed.notified().await;
    }
}

/// The end of the client of a message.
#[derive(Clone)]
pub(super) struct ClientEnd {
    end: watch::Receiver<()>,
    is_followed: Arc<Notify>,
}

impl ClientEnd {
    pub(super) async fn wait(mut self) {
        self.is_followed.notify_one();
        // The sender sends no value.
        while self.end.changed().await.is_ok() {}
    }
}

/// The response to a call that ends with its client. It begins before its messages, because a disconnect ends nothing before a
/// response has begun.
pub(super) fn begun<F>(response: F, client: Connected) -> Response
where
    F: Future<Output = http::Response<BoxBody<Bytes, Infallible>>> + 'static,
{
    let messages = async {
        let response = response.await;
        if is_event_stream(response.headers()) {
            return response.into_body();
        }
        let Ok(message) = response.into_body().collect().await;
        let event = [b"data: ", &*message.to_bytes(), b"\n\n"].concat();
        Full::new(Bytes::from(event)).boxed()
    };
    let body = Body::from_stream(BegunMessages {
        messages: BegunBody::Pending(Box::pin(messages)),
        _client: client,
    });
    let mut response = ([(CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
    response.extensions_mut().insert(EndsWithClient);
    response
}

/// The events of a response that has begun before its first message.
struct BegunMessages {
    messages: BegunBody,
    _client: Connected,
}

enum BegunBody {
    Pending(Pin<Box<dyn Future<Output = BoxBody<Bytes, Infallible>>>>),
    Messages(BoxBody<Bytes, Infallible>),
}

impl Stream for BegunMessages {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            match &mut self.messages {
                BegunBody::Pending(messages) => {
                    let messages = ready!(messages.as_mut().poll(context));
                    self.messages = BegunBody::Messages(messages);
                }
                BegunBody::Messages(messages) => match ready!(Pin::new(messages).poll_frame(context)) {
                    Some(Ok(frame)) => {
                        if let Ok(bytes) = frame.into_data() {
                            return Poll::Ready(Some(Ok(bytes)));
                        }
                    }
                    None => return Poll::Ready(None),
                },
            }
        }
    }
}

/// A stream of messages that continues to its end without its client: its drop would cancel the call.
pub(super) fn without_cancellation(mut messages: BoxBody<Bytes, Infallible>, client: Connected) -> Body {
    let (sender, receiver) = mpsc::channel(1);
    tokio::task::spawn_local(async move {
        while let Some(Ok(frame)) = messages.frame().await {
            if let Ok(bytes) = frame.into_data() {
                // A client that has disconnected receives nothing more.
                let _ = sender.send(bytes).await;
            }
        }
    });
    Body::from_stream(Messages {
        receiver,
        _client: client,
    })
}

struct Messages {
    receiver: mpsc::Receiver<Bytes>,
    _client: Connected,
}

impl Stream for Messages {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(context).map(|bytes| bytes.map(Ok))
    }
}
