//! A client's stream, plain or encrypted, for clients that use both in the same way.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// The address that a client connects to, and the transport.
#[derive(Clone, Debug)]
pub enum Door {
    /// Plain TCP.
    Http(SocketAddr),
    /// TLS, with the certificates that the client trusts.
    Https(SocketAddr, Arc<ClientConfig>),
}

impl Door {
    /// Returns the address of the socket.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Http(address) | Self::Https(address, _) => *address,
        }
    }

    /// Connects, with `TCP_NODELAY` and this timeout for each read and write. Over TLS, the handshake is complete.
    ///
    /// # Errors
    ///
    /// Returns the errors of the system and of the handshake.
    pub fn connect(&self, timeout: Duration) -> io::Result<Stream> {
        let mut stream = TcpStream::connect(self.address())?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        let Self::Https(_, config) = self else {
            return Ok(Stream::Plain(stream));
        };
        let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
        let mut session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(Stream::Secure(Box::new(StreamOwned::new(session, stream))))
    }
}

/// Returns the first message of a client's handshake, in its record.
///
/// # Panics
///
/// Panics if rustls cannot write one.
#[must_use]
pub fn client_hello(config: &Arc<ClientConfig>) -> Vec<u8> {
    let name = ServerName::try_from("localhost").expect("a name");
    let mut session = ClientConnection::new(Arc::clone(config), name).expect("a session");
    let mut wire = Vec::new();
    session.write_tls(&mut wire).expect("memory takes all");
    wire
}

/// The stream of [`Door::connect`]. A read of a [`Secure`](Self::Secure) stream that ends without a `close_notify` is an error,
/// because it may be truncated (RFC 8446, section 6.1).
#[derive(Debug)]
pub enum Stream {
    /// Plain bytes.
    Plain(TcpStream),
    /// TLS.
    Secure(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Secure(stream) => &stream.sock,
        }
    }

    /// Ends the client's half of the stream.
    ///
    /// # Errors
    ///
    /// Returns an error if the connection is closed.
    pub fn end(&mut self) -> io::Result<()> {
        if let Self::Secure(stream) = self {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        self.socket().shutdown(Shutdown::Write)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Secure(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Secure(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Secure(stream) => stream.flush(),
        }
    }
}
