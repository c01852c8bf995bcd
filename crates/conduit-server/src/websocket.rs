//! WebSockets: the channel between a connection and its handler, and the transfer of the handler from the response with 101 to
//! the connection.
//!
//! ```text
//!   response with a Ticket ──101──> PendingSocket ──> protocol::websocket (worker) <── Channel ──> handler
//! ```
//!
//! Both ends of a channel are on the worker's thread. The connection puts messages into it, polls the handler that waits for
//! them, and writes the messages that the handler has queued. Anything else that wakes the handler puts the address of its
//! exchange into the worker's queue of `WokenHandlers`, as another task does that sends or receives messages. At the end of a
//! turn their connections poll the handlers: 128, and no more than the turn has budget left for operations on resources of
//! tokio. The next turn begins with the rest, in the order of the wake-ups.

mod channel;
mod queue;

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use conduit_core::internal::charge::Charge;
pub use conduit_proto::ws::CloseCode;
use conduit_proto::ws::{Codecs, Deflate};

pub(crate) use self::channel::{Channel, HandlerWaker, Queued};
pub use self::channel::{Message, SocketHandle, WebSocketClosed};
use crate::exchange_id::ExchangeId;
use crate::live;
use crate::ready_queue::ReadyQueue;

/// The result of a handler: an error is logged, and closes the WebSocket with 1011.
pub type SocketResult = Result<(), conduit_core::body::BoxError>;

/// The handlers of a worker that their connections are to poll.
pub(crate) type WokenHandlers = ReadyQueue<ExchangeId>;

/// The state of a worker that its WebSockets share.
#[derive(Default)]
pub(crate) struct WebSocketShared {
    /// The compressors without context takeover.
    pub(crate) codecs: Codecs,
    pub(crate) woken_handlers: Arc<WokenHandlers>,
}

/// The handler of a WebSocket.
pub type SocketFuture = Pin<Box<dyn Future<Output = SocketResult>>>;

/// A WebSocket whose response is not written to the connection yet.
pub struct PendingSocket {
    channel: Rc<Channel>,
    handler: SocketFuture,
    options: SocketOptions,
}

/// The choices of a handler for its WebSocket.
#[derive(Debug, Default)]
pub struct SocketOptions {
    /// The limit of a message, unless it is the server's.
    pub message_bytes: Option<usize>,
    /// The limit of each queue, unless it is the server's.
    pub queue_bytes: Option<usize>,
    /// The result of the negotiation of permessage-deflate.
    pub deflate: Option<Deflate>,
    /// The memory of its compressors.
    pub charge: Charge,
}

impl PendingSocket {
    /// A WebSocket with this handler.
    pub fn new(options: SocketOptions, handler: impl FnOnce(SocketHandle) -> SocketFuture) -> Self {
        let channel = Rc::new(Channel::default());
        PendingSocket {
            handler: handler(SocketHandle::new(Rc::clone(&channel))),
            channel,
            options,
        }
    }

    /// Keeps the WebSocket until a response with the ticket arrives at the connection, or the ticket is dropped.
    pub fn into_ticket(self) -> Ticket {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        PENDING.with_borrow_mut(|pending| pending.push((number, self)));
        Ticket(Arc::new(TicketNumber(number)))
    }

    /// The parts for the connection.
    pub(crate) fn open(self) -> (Rc<Channel>, SocketFuture, SocketOptions) {
        (self.channel, self.handler, self.options)
    }
}

/// The extension of a response with 101 that leads to its WebSocket: an extension must be `Send`, which a handler is not.
#[derive(Clone, Debug)]
pub struct Ticket(Arc<TicketNumber>);

#[derive(Debug)]
struct TicketNumber(u64);

thread_local! {
    // Not a part of the current worker: a ticket may be dropped while the locals of its thread are.
    static PENDING: RefCell<Vec<(u64, PendingSocket)>> = const { RefCell::new(Vec::new()) };
}

/// Returns whether the connections of this thread can switch to a WebSocket. Those of another server, which calls the
/// application as a service, cannot.
pub fn is_served() -> bool {
    live::has_worker()
}

impl Ticket {
    /// Returns the WebSocket: once, and on its own thread.
    pub(crate) fn redeem(&self) -> Option<PendingSocket> {
        take(self.0.0)
    }
}

fn take(number: u64) -> Option<PendingSocket> {
    let taken = PENDING.try_with(|pending| {
        let mut pending = pending.borrow_mut();
        let at = pending.iter().position(|(known, _)| *known == number)?;
        Some(pending.swap_remove(at).1)
    });
    taken.ok().flatten()
}

impl Drop for TicketNumber {
    fn drop(&mut self) {
        if let Some(pending) = take(self.0) {
            crate::panics::discard(pending);
        }
    }
}
