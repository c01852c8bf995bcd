//! How tasks, bodies and streams speak to the worker that owns their connection.
//!
//! Only the worker touches a connection. Whatever else runs on its thread puts a letter into the mailbox and rings; the
//! worker reads its letters at its next turn. A letter whose connection has gone is thrown away.

use std::cell::RefCell;
use std::rc::Rc;
use std::task::Waker;

use bytes::Bytes;

use crate::body::BodyError;
use crate::response::Response;

/// A connection's name, never used twice on a worker: its place and the count of connections before it.
pub(crate) type Key = u64;

/// What can happen to a connection besides readiness and time.
pub(crate) enum Letter {
    /// The handler has answered.
    Response(Response),
    /// The response's stream has given a piece.
    Piece(Bytes),
    /// The response's stream has ended, well or badly.
    StreamEnd(Result<(), BodyError>),
    /// What comes next of the response's file is in memory now.
    FileRead,
    /// The handler wants more of the request's body than has come.
    BodyWanted,
    /// Nobody will read what is still to come of the request's body.
    BodyAbandoned,
}

/// The request that a letter belongs to. A letter of an earlier request of the same connection is thrown away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RequestId {
    pub(crate) connection: Key,
    /// The number of requests that the connection has read, this one included; it may wrap around.
    pub(crate) generation: u32,
}

/// The letters of one worker.
#[derive(Default)]
pub(crate) struct Mailbox {
    letters: RefCell<Vec<(RequestId, Letter)>>,
    worker: RefCell<Option<Waker>>,
}

impl Mailbox {
    /// Takes all letters, and leaves `empty` for the next ones.
    pub(crate) fn take(&self, empty: Vec<(RequestId, Letter)>) -> Vec<(RequestId, Letter)> {
        self.letters.replace(empty)
    }

    /// Remembers whom to wake.
    pub(crate) fn attend(&self, waker: &Waker) {
        let mut worker = self.worker.borrow_mut();
        if !worker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *worker = Some(waker.clone());
        }
    }

    /// Wakes the worker, letter or not.
    pub(crate) fn ring(&self) {
        if let Some(waker) = &*self.worker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// Where a request's task or body puts its letters.
#[derive(Clone)]
pub(crate) struct Outbox {
    mailbox: Rc<Mailbox>,
    request: RequestId,
}

impl Outbox {
    pub(crate) fn new(mailbox: Rc<Mailbox>, request: RequestId) -> Self {
        Outbox { mailbox, request }
    }

    pub(crate) fn send(&self, letter: Letter) {
        self.mailbox.letters.borrow_mut().push((self.request, letter));
        self.mailbox.ring();
    }
}
