//! Commands that tasks send to the worker that owns their connection.
//!
//! Only the worker touches a connection. A handler, a response's stream or the reader of a request's body runs as a task on
//! the same thread: it puts a command into the worker's queue and wakes it. The worker takes its commands at its next turn
//! and discards those whose connection has closed or whose exchange is over.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;

use bytes::Bytes;

use crate::body::BodyError;
use crate::response::Response;

/// Identifies a connection of a worker. The lower half is its index, the upper half the number of connections before it, so
/// that no two connections of a worker have the same.
pub(crate) type ConnectionId = u64;

/// Identifies a stream of a connection. HTTP/1.1 has one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StreamId(u32);

impl StreamId {
    /// The stream of a protocol that has no others.
    pub(crate) const ONLY: StreamId = StreamId(0);
}

/// Identifies an exchange: the address of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ExchangeId {
    pub(crate) connection: ConnectionId,
    pub(crate) stream: StreamId,
    /// The number of exchanges on the stream so far, this one included; it may wrap around.
    pub(crate) generation: u32,
}

/// An event on an exchange besides input, room for output, and time.
pub(crate) enum Command {
    /// The handler has responded.
    Response(Response),
    /// The response's stream has returned a piece.
    Piece(Bytes),
    /// The response's stream has ended, or has failed.
    StreamEnd(Result<(), BodyError>),
    /// The next bytes of the response's file are in memory.
    FileRead,
    /// The handler wants more of the request's body than has arrived.
    BodyWanted,
    /// The handler has dropped the request's body.
    BodyAbandoned,
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

    /// Registers the worker's waker.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut worker = self.worker.borrow_mut();
        if !worker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *worker = Some(waker.clone());
        }
    }

    /// Wakes the worker, with or without a command.
    pub(crate) fn wake(&self) {
        if let Some(waker) = &*self.worker.borrow() {
            waker.wake_by_ref();
        }
    }
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
        self.queue.commands.borrow_mut().push((self.exchange, command));
        self.queue.wake();
    }
}
