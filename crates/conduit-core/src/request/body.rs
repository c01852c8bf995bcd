//! The body of a request until it is taken, and its limit.

use std::rc::Rc;
use std::task::{Context, Poll};

use conduit_proto::h1::BodyLength;

use crate::body::{Body, BodyKind, Channel, ExchangeEventSender, Incoming};

/// A layer's transformation of the body; its arguments are the body and the limit of its length.
pub(super) type Reading = Box<dyn FnOnce(Body, u64) -> Body>;

/// The body of a request until it is taken: the client's, or the one that a layer has set instead. It is empty for a request
/// without a body, and once it is taken.
#[derive(Default)]
pub(super) struct RequestBody {
    body: Body,
    limit_bytes: u64,
    /// The limit applies to the body: it is the client's, or the limit was set after the body.
    is_limited: bool,
    /// The transformation of the body when it is taken.
    reading: Option<Reading>,
    /// The channel of the client's body, which is reused for later requests.
    channel: Rc<Channel>,
}

impl RequestBody {
    /// Sets the body of this length that arrives through the returned channel.
    pub(super) fn open(&mut self, length: BodyLength, sender: ExchangeEventSender) -> Rc<Channel> {
        if Rc::get_mut(&mut self.channel).is_none() {
            self.channel = Rc::default();
        }
        self.channel.open(sender);
        let channel = Rc::clone(&self.channel);
        let declared = match length {
            BodyLength::None => return channel,
            BodyLength::Exact(length) => Some(length),
            BodyLength::Chunked => None,
        };
        let incoming = Incoming::new(Rc::clone(&channel), declared);
        self.receive(Body(BodyKind::Incoming(incoming)));
        channel
    }

    /// Sets a body of the client's bytes.
    pub(super) fn receive(&mut self, body: Body) {
        self.set(body);
        self.is_limited = true;
    }

    /// Sets a body of the application. The client's body, if it was not taken, is discarded.
    pub(super) fn set(&mut self, body: Body) {
        self.body = body;
        self.is_limited = false;
        self.reading = None;
    }

    /// Sets the limit, of the present body too.
    pub(super) fn set_limit(&mut self, bytes: u64) {
        self.limit_bytes = bytes;
        self.is_limited = true;
    }

    /// Sets the transformation of the body when it is taken.
    pub(super) fn read_through(&mut self, reading: Reading) {
        self.reading = Some(reading);
    }

    pub(super) fn take(&mut self) -> Body {
        let mut body = self.take_raw();
        if self.is_limited {
            body = body.limited(self.limit_bytes);
        }
        match self.reading.take() {
            Some(reading) => reading(body, self.limit_bytes),
            None => body,
        }
    }

    /// Takes the body alone: its limit and its transformation remain for the body of [`put_back`](Self::put_back).
    pub(super) fn take_raw(&mut self) -> Body {
        std::mem::take(&mut self.body)
    }

    pub(super) fn put_back(&mut self, body: Body) {
        self.body = body;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    /// The length in bytes, if it is known and there is a body.
    pub(super) fn length(&self) -> Option<u64> {
        self.body.len().filter(|length| *length > 0)
    }

    /// Returns whether the client sends the body without a declared length.
    pub(super) fn is_chunked(&self) -> bool {
        matches!(&self.body.0, BodyKind::Incoming(incoming) if incoming.is_chunked())
    }

    /// Returns whether a body that the client sends ended without a byte, once that is known.
    pub(super) fn poll_is_empty(&self, context: &mut Context<'_>) -> Poll<bool> {
        match &self.body.0 {
            BodyKind::Incoming(incoming) => incoming.poll_is_empty(context),
            _ => Poll::Ready(self.is_empty()),
        }
    }

    /// Discards the body.
    pub(super) fn clear(&mut self) {
        // Most requests have none: the comparison takes fewer instructions than the drop of an empty body.
        if !matches!(self.body.0, BodyKind::Empty) {
            self.body = Body::empty();
        }
        self.reading = None;
    }
}
