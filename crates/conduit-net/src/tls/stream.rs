//! One connection.

use super::{TlsClient, TlsError, TlsServer};
use crate::Interest;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConnection, Connection, ServerConnection};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};

/// TLS over a stream, on either side. It reads and writes as the stream does: what would block there is `WouldBlock` here, and is
/// to be tried again when the stream is ready for [`interest`](TlsStream::interest).
///
/// It takes about 20 KB while the handshake runs and 2 KB and what is buffered after.
pub struct TlsStream<S> {
    connection: Connection,
    stream: S,
}

impl<S: Read + Write> TlsStream<S> {
    /// The server's side. Nothing is read or written yet.
    ///
    /// # Errors
    /// When no random numbers are to be had.
    pub fn accept(server: &TlsServer, stream: S) -> Result<TlsStream<S>, TlsError> {
        Ok(TlsStream {
            connection: ServerConnection::new(server.config.clone())?.into(),
            stream,
        })
    }

    /// The client's side, which expects the peer to be `host`: a name (it is also told to the peer) or an IP address. Nothing is
    /// read or written yet.
    ///
    /// # Errors
    /// When `host` is neither name nor address.
    pub fn connect(client: &TlsClient, host: &str, stream: S) -> Result<TlsStream<S>, TlsError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|cause| TlsError::configuration("the host name", host, cause))?;
        Ok(TlsStream {
            connection: ClientConnection::new(client.config.clone(), name)?.into(),
            stream,
        })
    }

    /// Goes on with the handshake as far as the stream lets it; true when it is done. Reading and writing do this by themselves;
    /// alone it is for those who want to know the peer first.
    ///
    /// # Errors
    /// Which side failed, and why. The peer has been told, as far as the stream took it.
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

    /// Tells the peer that nothing more is sent, as TLS wants it before the stream is closed: otherwise the peer cannot tell an
    /// end from an attack that cut it off.
    ///
    /// # Errors
    /// As for writing.
    pub fn finish(&mut self) -> io::Result<()> {
        self.connection.send_close_notify();
        self.send_pending()
    }

    /// One move of the handshake: what is to be sent goes first.
    fn step(&mut self) -> io::Result<()> {
        if self.connection.wants_write() {
            self.connection.write_tls(&mut self.stream).map(|_| ())
        } else {
            self.take_in().map(|_| ())
        }
    }

    /// Reads what is there below; false at its end.
    fn take_in(&mut self) -> io::Result<bool> {
        let count = match self.connection.read_tls(&mut self.stream) {
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            result => result?,
        };
        if let Err(cause) = self.connection.process_new_packets() {
            // The alert that tells the peer; if there is no room for it, the peer sees the end only.
            let _ = self.send_pending();
            return Err(TlsError::from(cause).into());
        }
        if count == 0 && self.connection.is_handshaking() {
            return Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the peer ended the connection during the TLS handshake",
            ));
        }
        Ok(count > 0)
    }

    fn send_pending(&mut self) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut self.stream) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                result => drop(result?),
            }
        }
        Ok(())
    }
}

impl<S> TlsStream<S> {
    /// What the stream below should be watched for.
    pub fn interest(&self) -> Interest {
        match (self.connection.wants_read(), self.connection.wants_write()) {
            (true, true) => Interest::BOTH,
            (false, true) => Interest::WRITABLE,
            _ => Interest::READABLE,
        }
    }

    /// The protocol that was agreed on, once the handshake is done.
    pub fn protocol(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// The host that the client asked for, on the server's side.
    pub fn host(&self) -> Option<&str> {
        match &self.connection {
            Connection::Server(connection) => connection.server_name(),
            Connection::Client(_) => None,
        }
    }

    /// The peer's certificates, its own first, once the handshake is done.
    pub fn peer_certificates(&self) -> Option<&[CertificateDer<'static>]> {
        self.connection.peer_certificates()
    }

    /// The stream below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The connection of rustls, for what this type does not do.
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
                // The peer said that it is done, or an end without that, which is an error: it may be an attack.
                result => return result,
            }
            self.take_in()?;
            // What came may want an answer, such as a new key.
            match self.send_pending() {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }
}

impl<S: Read + Write> Write for TlsStream<S> {
    /// What was taken is sent with the next call at the latest; [`flush`](Write::flush) sends it now.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.handshake()? {
            return Err(ErrorKind::WouldBlock.into());
        }
        // What was taken before goes first, so that the buffer stays bounded.
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
