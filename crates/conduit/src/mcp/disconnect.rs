//! The end of a client over HTTP.
//!
//! Since the revision 2026-07-28 a client cancels a request by closing its response, and a server must treat each disconnect as a
//! cancellation. Before it a disconnect should not be interpreted as one (2025-11-25, "Transports").

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_core::Stream;
use http_body_util::BodyExt as _;
use http_body_util::combinators::BoxBody;
use tokio::sync::{mpsc, watch};

use crate::body::Body;
use crate::request::Request;
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
}

impl Connected {
    pub(super) fn new() -> (Self, ClientEnd) {
        let (sender, receiver) = watch::channel(());
        (Connected { _sender: sender }, ClientEnd(receiver))
    }
}

/// The end of the client of a message.
#[derive(Clone)]
pub(super) struct ClientEnd(watch::Receiver<()>);

impl ClientEnd {
    pub(super) async fn wait(mut self) {
        // The sender sends no value.
        while self.0.changed().await.is_ok() {}
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
