//! The worker's poller inside tokio's: beside `given` the one place of this crate that is `unsafe`.
#![allow(unsafe_code)]

use std::io;
use std::rc::Rc;

use conduit_net::Poller;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers the poller's own descriptor with the tokio runtime of this thread. It is readable while the poller has
/// events. Only that is asked for: kqueue refuses to watch another kqueue for anything else.
pub(super) fn nest(poller: Rc<Poller>) -> io::Result<AsyncFd<Rc<Poller>>> {
    // SAFETY: `Poller::as_raw_fd` gives the descriptor that the poller owns from its making to its drop and never
    // replaces; the `Rc` that the `AsyncFd` holds keeps the poller from being dropped before it.
    let registered = unsafe { AsyncFd::register_with_interest(poller, Interest::READABLE) };
    Ok(registered?)
}
