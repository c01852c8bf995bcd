//! Conversions from and to tokio's sockets, and a poller nested in a tokio runtime.

use crate::{Poller, TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};

/// A [`Poller`] whose descriptor is registered with a tokio runtime: the task that polls it is woken when the poller
/// has events.
///
/// tokio is edge-triggered. Call [`Poller::wait`] with a timeout of zero until it returns no events, and only then
/// [clear](AsyncFdReadyGuard::clear_ready) the readiness; remaining events would not wake the task.
#[derive(Debug)]
pub struct AsyncPoller {
    registered: AsyncFd<Rc<Poller>>,
}

impl AsyncPoller {
    /// Registers the poller with the tokio runtime of this thread.
    ///
    /// # Errors
    /// An error of the system, such as too many registered descriptors.
    ///
    /// # Panics
    /// Panics outside of a tokio runtime, and in one without I/O enabled.
    pub fn new(poller: Rc<Poller>) -> io::Result<AsyncPoller> {
        // Only readable interest: kqueue rejects other interest in a nested kqueue. SAFETY: a poller owns one
        // descriptor from its creation to its drop, and `as_raw_fd` returns it. The `Rc` in the `AsyncFd` keeps the
        // poller alive, and no method gives mutable access that could replace it.
        let registered = unsafe { AsyncFd::register_with_interest(poller, Interest::READABLE) };
        Ok(AsyncPoller {
            registered: registered?,
        })
    }

    /// Polls the readiness: ready if the poller has events; otherwise the task of this context is woken when it has some.
    ///
    /// # Errors
    /// The runtime shuts down.
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<AsyncFdReadyGuard<'_, Rc<Poller>>>> {
        self.registered.poll_read_ready(context)
    }

    /// The registered poller.
    pub fn poller(&self) -> &Rc<Poller> {
        self.registered.get_ref()
    }
}

/// Conversions in both directions, through the socket of `std`.
macro_rules! conversions {
    ($($socket:ident: $std:ty, $tokio:ty;)*) => {$(
        impl TryFrom<$tokio> for $socket {
            type Error = io::Error;

            /// Deregisters the socket from the tokio runtime.
            fn try_from(socket: $tokio) -> io::Result<$socket> {
                $socket::try_from(socket.into_std()?)
            }
        }

        impl TryFrom<$socket> for $tokio {
            type Error = io::Error;

            /// Registers the socket with the tokio runtime of this thread.
            fn try_from(socket: $socket) -> io::Result<$tokio> {
                // tokio rejects a socket in blocking mode, which the caller may have set.
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
