//! Conversions to and from tokio's sockets.

use crate::{TcpListener, TcpStream, UdpSocket, UnixDatagram, UnixListener, UnixStream};
use std::io;

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
