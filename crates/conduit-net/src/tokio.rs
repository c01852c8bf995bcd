//! Conversions to and from tokio's sockets, and a poller inside tokio's.

use crate::{Poller, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// A [`Poller`] whose own descriptor a tokio runtime watches: the task that polls it is woken when the poller has events.
///
/// tokio watches edge-triggered. Call [`Poller::wait`] with a time-out of zero until it returns no events, and only then
/// [clear](AsyncFdReadyGuard::clear_ready) the readiness; otherwise the events that are left wake no task.
#[derive(Debug)]
pub struct AsyncPoller {
    registered: AsyncFd<Rc<Poller>>,
}

impl AsyncPoller {
    /// Registers the poller with the tokio runtime of this thread.
    ///
    /// # Errors
    /// When the system cannot watch another descriptor.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without I/O.
    pub fn new(poller: Rc<Poller>) -> io::Result<AsyncPoller> {
        // Only readable interest: kqueue refuses to watch another kqueue for anything else.
        // SAFETY: a poller owns one descriptor from its creation to its drop, and `as_raw_fd` returns that one. The `Rc`
        // inside of the `AsyncFd` keeps the poller alive, and no method here gives mutable access that could replace it.
        let registered = unsafe { AsyncFd::register_with_interest(poller, Interest::READABLE) };
        Ok(AsyncPoller {
            registered: registered?,
        })
    }

    /// Ready while the poller has events; otherwise the task of this context is woken when it gets some.
    ///
    /// # Errors
    /// When the runtime shuts down.
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'_, Rc<Poller>>>> {
        self.registered.poll_read_ready(context)
    }

    /// The poller.
    pub fn poller(&self) -> &Rc<Poller> {
        self.registered.get_ref()
    }
}
/// Both ways, through the socket of `std`.
macro_rules! conversions {
    ($($socket:ident: $std:ty, $tokio:ty;)*) => {$(
        impl TryFrom<$tokio> for $socket {
            type Error = io::Error;

            /// Takes the socket out of tokio's runtime.
            fn try_from(socket: $tokio) -> io::Result<$socket> {
                $socket::try_from(socket.into_std()?)
            }
        }

        impl TryFrom<$socket> for $tokio {
            type Error = io::Error;

            /// Gives the socket to the tokio runtime that runs on this thread.
            fn try_from(socket: $socket) -> io::Result<$tokio> {
                // tokio refuses sockets in blocking mode, and a mode may have been set.
                socket.set_blocking(false)?;
                <$tokio>::from_std(<$std>::from(socket))
            }
        }
    )*};
}

conversions! {
    TcpListener: std::net::TcpListener, tokio::net::TcpListener;
    TcpStream: std::net::TcpStream, tokio::net::TcpStream;
    UdpSocket: std::net::UdpSocket, tokio::net::UdpSocket;
    UnixListener: std::os::unix::net::UnixListener, tokio::net::UnixListener;
    UnixStream: std::os::unix::net::UnixStream, tokio::net::UnixStream;
    UnixDatagram: std::os::unix::net::UnixDatagram, tokio::net::UnixDatagram;
}
