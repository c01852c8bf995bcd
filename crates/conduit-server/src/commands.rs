//! Commands that tasks send to the worker that owns their connection.
//!
//! Only the worker touches a connection. A handler, a response's stream or the reader of a request's body runs as a task on
//! the same thread: it puts a command into the worker's queue and wakes it. The worker takes its commands at its next turn
//! and discards those whose connection has closed or whose exchange is over.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::body::{BodyError, BodyEvent, ExchangeEventSender, ExchangeEvents};
use crate::exchange_id::ExchangeId;
use crate::response::Response;
use crate::waker_slot;

/// The trailers after a response's stream, or its error.
pub(crate) type StreamEnd = Result<Option<Box<HeaderMap>>, BodyError>;

/// An event on an exchange besides input, room for output, and time.
pub(crate) enum Command {
    /// The handler has responded.
    Response(Response),
    /// The response's stream has returned a piece.
    Piece(Bytes),
    /// The response's stream has ended, with these trailers, or has failed.
    StreamEnd(StreamEnd),
    /// The handler sends an informational response.
    Inform(Box<(StatusCode, HeaderMap)>),
    /// The next bytes of the response's file are in memory.
    FileRead,
    /// The handler of a WebSocket is woken, or another task has queued messages or taken some. Only the worker creates this
    /// command, never a task.
    #[cfg(feature = "websocket")]
    Socket,
    /// The handler wants more of the request's body, or has dropped it.
    Body(BodyEvent),
}

/// The commands of one worker.
#[derive(Default)]
pub(crate) struct CommandQueue {
    commands: RefCell<Vec<(ExchangeId, Command)>>,
    worker: RefCell<Option<Waker>>,
}

impl CommandQueue {
    /// Takes all commands, and leaves `empty` for the next ones.
    pub(crate) fn take(&self, empty: Vec<(ExchangeId, Command)>) -> Vec<(ExchangeId, Command)> {
        self.commands.replace(empty)
    }

    fn push(&self, exchange: ExchangeId, command: Command) {
        self.commands.borrow_mut().push((exchange, command));
        self.wake();
    }

    /// Registers the worker's waker.
    pub(crate) fn register(&self, waker: &Waker) {
        waker_slot::register(&mut self.worker.borrow_mut(), waker);
    }

    /// Wakes the worker, with or without a command.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.worker.borrow() {
            waker.wake_by_ref();
        }
    }
}

impl ExchangeEvents for CommandQueue {
    fn send(&self, exchange: ExchangeId, event: BodyEvent) {
        self.push(exchange, Command::Body(event));
    }

    fn inform(&self, exchange: ExchangeId, status: StatusCode, headers: HeaderMap) {
        self.push(exchange, Command::Inform(Box::new((status, headers))));
    }
}

/// Registers the waker of a task that waits for its connection.
pub(crate) fn register(task: &Cell<Option<Waker>>, waker: &Waker) {
    let mut known = task.take();
    waker_slot::register(&mut known, waker);
    task.set(known);
}

/// Sends the commands of one exchange.
#[derive(Clone)]
pub(crate) struct CommandSender {
    queue: Rc<CommandQueue>,
    exchange: ExchangeId,
}

impl CommandSender {
    pub(crate) fn new(queue: Rc<CommandQueue>, exchange: ExchangeId) -> Self {
        CommandSender { queue, exchange }
    }

    pub(crate) fn send(&self, command: Command) {
        self.queue.push(self.exchange, command);
    }

    /// The address of the commands.
    #[cfg(feature = "websocket")]
    pub(crate) fn exchange(&self) -> ExchangeId {
        self.exchange
    }

    /// The sender for the request: for the reading end of its body, and for informational responses.
    pub(crate) fn for_request(self) -> ExchangeEventSender {
        ExchangeEventSender::new(self.queue, self.exchange)
    }
}
