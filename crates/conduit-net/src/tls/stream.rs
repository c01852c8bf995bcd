//! A TLS connection.

use super::{TlsClient, TlsError, TlsServer};
use crate::Interest;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, Connection, ServerConnection};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

/// A TLS connection over a stream, as server or client. A call returns `WouldBlock` if the stream would block; call it
/// again when the stream is ready for [`interest`](TlsStream::interest).
///
/// It uses about 20 KB during the handshake, then 2 KB and the buffered bytes.
pub struct TlsStream<S> {
    connection: Connection,
    stream: S,
    /// The buffer of the stream may have bytes.
    has_unflushed: bool,
}

impl<S: Read + Write> TlsStream<S> {
    /// Creates the server side, without reading or writing.
    ///
    /// # Errors
    /// The system provides no random numbers.
    pub fn accept(server: &TlsServer, stream: S) -> Result<TlsStream<S>, TlsError> {
        Ok(TlsStream {
            connection: ServerConnection::new(server.config.clone())?.into(),
            stream,
            has_unflushed: false,
        })
    }

    /// Creates the client side, without reading or writing. The peer's certificate must be valid for `host`, which is a
    /// name (sent as SNI) or an IP address.
    ///
    /// # Errors
    /// `host` is neither a name nor an IP address.
    pub fn connect(client: &TlsClient, host: &str, stream: S) -> Result<TlsStream<S>, TlsError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|cause| TlsError::configuration("the host name", host, cause))?;
        Ok(TlsStream {
            connection: ClientConnection::new(client.config.clone(), name)?.into(),
            stream,
            has_unflushed: false,
        })
    }

    /// Continues the handshake until it is complete (`true`) or the stream would block (`false`). Reading and writing
    /// call it; a separate call is required only to examine the peer before the first byte.
    ///
    /// # Errors
    /// The handshake failed. The peer receives an alert if the stream has room for it.
    pub fn handshake(&mut self) -> Result<bool, TlsError> {
        while self.connection.is_handshaking() {
            match self.step() {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        match self.send_pending() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error.into()),
            _ => Ok(true),
        }
    }

    /// Sends the end of the data (`close_notify`), which TLS requires before the stream is closed: without it, the peer
    /// cannot distinguish the end from a truncation attack.
    ///
    /// # Errors
    /// As for writing.
    pub fn finish(&mut self) -> io::Result<()> {
        self.connection.send_close_notify();
        self.send_pending()
    }

    /// Runs one step of the handshake: sends pending bytes, else reads.
    fn step(&mut self) -> io::Result<()> {
        if self.has_unsent() {
            self.send_pending()
        } else {
            self.take_in().map(|_| ())
        }
    }

    /// Reads and processes bytes of the stream; false at its end.
    fn take_in(&mut self) -> io::Result<bool> {
        let count = match self.connection.read_tls(&mut self.stream) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            result => result?,
        };
        if let Err(cause) = self.connection.process_new_packets() {
            // Sends the alert. If the stream has no room for it, the peer receives only the end of the stream.
            let _ = self.send_pending();
            return Err(TlsError::from(cause).into());
        }
        if count == 0 && self.connection.is_handshaking() {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the peer closed the connection during the TLS handshake",
            ));
        }
        Ok(count > 0)
    }

    fn send_pending(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.stream) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                result => {
                    result?;
                    self.has_unflushed = true;
                }
            }
        }
        if self.has_unflushed {
            self.stream.flush()?;
            self.has_unflushed = false;
        }
        Ok(())
    }
}

impl<S> TlsStream<S> {
    /// Returns whether bytes are not sent, or are in the buffer of the stream.
    fn has_unsent(&self) -> bool {
        self.connection.wants_write() || self.has_unflushed
    }

    /// The readiness of the stream that the next call requires.
    pub fn interest(&self) -> Interest {
        match (self.connection.wants_read(), self.has_unsent()) {
            (true, true) => Interest::BOTH,
            (false, true) => Interest::WRITABLE,
            _ => Interest::READABLE,
        }
    }

    /// The protocol that ALPN selected, after the handshake.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// The host that the client requested (SNI), on the server's side.
    pub fn host(&self) -> Option<&str> {
        match &self.connection {
            Connection::Server(connection) => connection.server_name(),
            Connection::Client(_) => None,
        }
    }

    /// The certificates of the peer, its end-entity certificate first, after the handshake.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.connection.peer_certificates()
    }

    /// The underlying stream.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The connection of rustls, for features that this type lacks.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}

impl<S: Read + Write> Read for TlsStream<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.handshake()? {
            return Err(ErrorKind::WouldBlock.into());
        }
        loop {
            match self.connection.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The end of the data by `close_notify`, or the end of the stream without it: an error, because it may
                // be an attack.
                result => return result,
            }
            self.take_in()?;
            // A message may require a reply, such as a key update.
            match self.send_pending() {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }
}

impl<S: Read + Write> Write for TlsStream<S> {
    /// Buffers bytes that the stream has no room for; the next call, or [`flush`](Write::flush), sends them.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.handshake()? {
            return Err(ErrorKind::WouldBlock.into());
        }
        // Bytes of earlier calls are sent first, so that the buffer remains bounded.
        self.send_pending()?;
        let taken = self.connection.writer().write(bytes)?;
        match self.send_pending() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send_pending()
    }
}

impl<S: fmt::Debug> fmt::Debug for TlsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream")
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}
