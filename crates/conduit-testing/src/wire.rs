//! The client's end of a connection: a pipe in memory or a socket.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use conduit_net::option::{self, Options as _};
use conduit_server::internal::in_process::ClientEnd;

/// A connection to the application; its drop closes it. A clone is the same connection.
#[derive(Clone, Debug)]
pub(super) enum Wire {
    Memory(Arc<ClientEnd>, Duration),
    Socket(Arc<TcpStream>),
}

impl Wire {
    /// Reads the available bytes, at least one; 0 is the end.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Memory(end, timeout) => end.read(buffer, *timeout),
            Wire::Socket(stream) => (&**stream).read(buffer),
        }
    }

    /// Reads the available bytes; `WouldBlock` or `TimedOut` if no byte is available.
    pub(super) fn read_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Wire::Memory(end, _) => end.read(buffer, Duration::ZERO),
            Wire::Socket(stream) => {
                stream.set_nonblocking(true)?;
                let read = (&**stream).read(buffer);
                stream.set_nonblocking(false)?;
                read
            }
        }
    }

    pub(super) fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Wire::Memory(end, timeout) => end.write_all(bytes, *timeout),
            Wire::Socket(stream) => (&**stream).write_all(bytes),
        }
    }

    /// Writes the bytes that fit without waiting, and returns their number.
    pub(super) fn write_now(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Memory(end, _) => end.write_now(bytes),
            Wire::Socket(stream) => {
                stream.set_nonblocking(true)?;
                let written = (&**stream).write(bytes);
                stream.set_nonblocking(false)?;
                match written {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                    written => written,
                }
            }
        }
    }

    /// The number of calls by which the server has sent bytes; `None` for a socket.
    pub(super) fn server_sends(&self) -> Option<usize> {
        match self {
            Wire::Memory(end, _) => Some(end.sends()),
            Wire::Socket(_) => None,
        }
    }

    /// Shortens the server's transfers to lengths that depend on this seed. Returns false for a socket.
    pub(super) fn shorten_transfers(&self, seed: u64) -> bool {
        match self {
            Wire::Memory(end, _) => {
                end.shorten_transfers(seed);
                true
            }
            Wire::Socket(_) => false,
        }
    }

    /// Ends this half of the connection for all clones.
    pub(super) fn end(&self) {
        match self {
            Wire::Memory(end, _) => end.end(),
            // It fails if the server has closed already.
            Wire::Socket(stream) => drop(stream.shutdown(Shutdown::Write)),
        }
    }

    /// Resets the connection for all clones; a socket when the last of them is dropped.
    pub(super) fn reset(&self) -> io::Result<()> {
        match self {
            Wire::Memory(end, _) => end.reset(),
            Wire::Socket(stream) => stream.set_option(option::LINGER, Some(Duration::ZERO))?,
        }
        Ok(())
    }

    /// Cuts the connection without a notice to the server. Returns false for a socket.
    pub(super) fn vanish(&self) -> bool {
        match self {
            Wire::Memory(end, _) => {
                end.vanish();
                true
            }
            Wire::Socket(_) => false,
        }
    }

    /// Closes the connection for all clones.
    pub(super) fn close(&self) {
        match self {
            Wire::Memory(end, _) => end.close(),
            // It fails if the server has closed already.
            Wire::Socket(stream) => drop(stream.shutdown(Shutdown::Both)),
        }
    }
}
