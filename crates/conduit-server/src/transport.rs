//! The byte stream of a connection: TCP, a Unix socket, or TLS over one of them.
//!
//! A link does not depend on the kind: it receives into the buffer of the worker, sends the output of the protocol, and
//! queries the state of TLS where it is used.

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use conduit_net::{Interest, Poller, Shutdown, TcpStream, UnixStream};

use http::HeaderValue;

use crate::connection_info::ConnectionInfo;
use crate::disk;
use crate::error::Result;

/// True if `conduit-net` polls through the `polling` crate.
pub(super) const PORTABLE_POLLER: bool = cfg!(any(conduit_portable, not(target_os = "linux")));

/// The stream of one connection.
pub enum Transport {
    /// A TCP connection.
    Tcp(TcpStream),
    /// A connection on a Unix socket.
    Unix(UnixStream),
    /// A trait object: a program that never calls `App::tls` does not contain TLS, and its connections stay small.
    Tls(Box<dyn TlsStream>),
    /// In the memory of this process: the client is a test.
    #[cfg(feature = "testing")]
    Memory(super::in_process::ServerEnd),
}

/// Calls `$plain` for a stream that sends bytes unchanged, or `$encrypted` for TLS.
macro_rules! each {
    ($transport:expr, $stream:ident => $plain:expr, $tls:pat => $encrypted:expr) => {
        match $transport {
            Transport::Tcp($stream) => $plain,
            Transport::Unix($stream) => $plain,
            #[cfg(feature = "testing")]
            Transport::Memory($stream) => $plain,
            Transport::Tls($tls) => $encrypted,
        }
    };
}

/// The result of a read.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// The number of input bytes at the beginning of the buffer.
    pub(super) bytes: usize,
    /// The number of bytes from the network: an incomplete record has not produced input yet.
    pub(super) raw_bytes: usize,
    /// The client has ended its half of the stream: nothing comes after these bytes.
    pub(super) ended: bool,
    /// The socket may have more, although the poller may not report it again.
    pub(super) more: bool,
}

/// A TLS stream.
pub trait TlsStream {
    /// Receives as `Transport::recv` does, with the whole buffer as memory for encrypted bytes. 0 bytes without an end: the
    /// received bytes contained no data.
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<Received>;

    /// As `Transport::send`.
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Announces that the next send is the last one: the stream ends together with its last byte.
    fn end_with_next_send(&mut self);

    /// As `Transport::flush`.
    fn flush(&mut self) -> io::Result<()>;

    /// As `Transport::defers_output`.
    fn defers_output(&self) -> bool;

    /// As `Transport::holds_output`.
    fn holds_output(&self) -> bool;

    /// As `Transport::holds_input`.
    fn holds_input(&self) -> bool;

    /// The number of encrypted bytes that wait for room.
    fn held_bytes(&self) -> usize;

    /// As `Transport::take_info`.
    fn take_info(&mut self) -> Option<ConnectionInfo>;

    /// As `Transport::has_selected`.
    fn has_selected(&self, protocol: &[u8]) -> bool;

    /// Ends the server's half of the encrypted stream, as far as there is room.
    fn send_close_notify(&mut self);

    /// The stream below.
    fn stream(&self) -> &Transport;

    /// The stream below, which is only closed after this.
    fn into_stream(self: Box<Self>) -> Transport;
}

/// The certificates of a server, which accepts encrypted streams with them.
pub trait TlsAcceptor: Send + Sync + fmt::Debug {
    /// Begins an encrypted stream over this one. It receives and sends nothing yet.
    fn accept(&self, below: Transport) -> io::Result<Box<dyn TlsStream>>;

    /// Reads the files again if one of them has changed.
    fn reload_if_changed(&self);

    /// Reads the files again.
    fn reload(&self);

    /// The time at which the first of the certificates expires.
    fn not_after(&self) -> SystemTime;

    /// The number of times that files could not be used when they were read again.
    fn failed_reloads(&self) -> u64;

    /// Returns whether certificates come from files.
    fn has_files(&self) -> bool;

    /// The value of `strict-transport-security`, if it is configured.
    fn hsts(&self) -> Option<HeaderValue>;

    /// Returns whether requests over plain TCP are redirected to HTTPS.
    fn redirects(&self) -> bool;
}

/// The settings of TLS.
pub trait TlsConfig: Send + Sync + fmt::Debug {
    /// Reads the certificates for the first time.
    fn load(&self) -> Result<Arc<dyn TlsAcceptor>>;
}

impl Transport {
    /// Returns whether the client is a test in memory, without a proxy.
    pub(super) fn is_in_memory_without_proxy(&self) -> bool {
        match self {
            #[cfg(feature = "testing")]
            Transport::Memory(end) => !end.is_raw(),
            _ => false,
        }
    }

    /// Receives the bytes that have arrived, at most the length of `buffer`.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there yet; otherwise the connection is closed.
    #[inline]
    pub(super) fn recv(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let bytes = each!(self, stream => stream.recv(buffer)?, tls => return tls.recv(buffer));
        Ok(Received {
            bytes,
            raw_bytes: bytes,
            ended: bytes == 0,
            more: bytes == buffer.len(),
        })
    }

    /// Peeks at the received bytes of the network, below TLS.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there yet; otherwise the connection is closed.
    pub(super) fn peek_raw(&self, buffer: &mut [u8]) -> io::Result<usize> {
        each!(self, stream => stream.peek(buffer), tls => tls.stream().peek_raw(buffer))
    }

    /// Receives bytes of the network, below TLS; 0 is the end.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there yet; otherwise the connection has failed.
    pub(super) fn take_raw(&self, buffer: &mut [u8]) -> io::Result<usize> {
        each!(self, stream => stream.recv(buffer), tls => tls.stream().take_raw(buffer))
    }

    /// Sends as much as there is room for, and returns the number of bytes. Uncounted bytes must be passed again, at the
    /// beginning of the next call: TLS may have consumed a part of them already.
    ///
    /// # Errors
    /// `WouldBlock` if there is no room; otherwise the connection is closed.
    #[inline]
    pub(super) fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        each!(self, stream => stream.send(bytes), tls => tls.send(bytes))
    }

    /// Sends as [`send`](Self::send) does, several pieces with one call.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(super) fn send_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        each!(self, stream => return stream.send_vectored(pieces), _ => {});
        // Encryption copies the pieces: one call for all of them has no advantage.
        let mut sent = 0;
        for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
            match self.send(piece) {
                Ok(count) => {
                    sent += count;
                    if count < piece.len() {
                        break;
                    }
                }
                Err(_) if sent > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Sends as [`send`](Self::send) does, the last bytes. When all are sent, [`shutdown`](Self::shutdown) must follow at once: the
    /// kernel delays a partial packet, so that the end of the stream is in it. An encrypted stream ends with its last byte.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    #[cold]
    pub(super) fn send_last(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(socket) = self.plain_socket().filter(|_| disk::SENDS_FILES) {
            return disk::send_before(socket, bytes);
        }
        if let Some(tls) = self.tls_mut() {
            tls.end_with_next_send();
        }
        self.send(bytes)
    }

    /// Returns whether TLS messages wait for the next output. After a second or two [`flush`](Self::flush) sends
    /// them alone.
    #[inline]
    pub(super) fn defers_output(&self) -> bool {
        self.tls().is_some_and(|tls| tls.defers_output())
    }

    /// Sends the TLS messages, such as those of the handshake.
    ///
    /// # Errors
    /// The connection has failed. A full socket is not an error.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.tls_mut().map_or(Ok(()), |tls| tls.flush())
    }

    /// Returns whether TLS messages wait for room.
    #[inline]
    pub(super) fn holds_output(&self) -> bool {
        self.tls().is_some_and(|tls| tls.holds_output())
    }

    /// Returns whether a part of an encrypted record has arrived, without the rest that it needs.
    #[inline]
    pub(super) fn holds_input(&self) -> bool {
        self.tls().is_some_and(|tls| tls.holds_input())
    }

    /// The number of sent bytes that the client's system has not received yet; 0 on systems without this information.
    /// It costs a system call.
    pub(super) fn outgoing_bytes(&self) -> usize {
        each!(
            self,
            stream => stream.outgoing_bytes().unwrap_or(0),
            tls => tls.held_bytes() + tls.stream().outgoing_bytes()
        )
    }

    /// The number of sent bytes that the client's system has not acknowledged; 0 on systems without this information, and for
    /// clients that cannot vanish. It costs a system call.
    pub(super) fn unacknowledged_bytes(&self) -> usize {
        match self {
            Transport::Unix(_) => 0,
            Transport::Tls(stream) => stream.held_bytes() + stream.stream().unacknowledged_bytes(),
            #[cfg(feature = "testing")]
            Transport::Memory(end) => end.unacknowledged_bytes(),
            _ => self.outgoing_bytes(),
        }
    }

    /// The information about the client from the handshake: once, at the first call after its end.
    #[inline]
    pub(super) fn take_info(&mut self) -> Option<ConnectionInfo> {
        self.tls_mut().and_then(|tls| tls.take_info())
    }

    /// Returns whether the handshake has selected this application protocol (RFC 7301).
    pub(super) fn has_selected(&self, protocol: &[u8]) -> bool {
        self.tls().is_some_and(|tls| tls.has_selected(protocol))
    }

    /// The socket, if bytes are sent unchanged: the kernel can send a file into it.
    pub(super) fn plain_socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Transport::Tls(_) => None,
            plain => plain.descriptor(),
        }
    }

    /// Returns whether the stream is encrypted.
    pub(super) fn is_secure(&self) -> bool {
        self.tls().is_some()
    }

    /// Ends the server's half of the stream: the client reads the end after all earlier bytes.
    ///
    /// # Errors
    /// `WouldBlock` if the end of TLS waits for room: [`flush`](Self::flush), then call it again. Otherwise the
    /// connection has failed.
    pub(super) fn shutdown(&mut self) -> io::Result<()> {
        if let Some(tls) = self.tls_mut() {
            tls.send_close_notify();
            if tls.holds_output() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
        }
        self.shutdown_raw()
    }

    /// Ends the server's half of the stream below TLS.
    fn shutdown_raw(&self) -> io::Result<()> {
        each!(self, stream => stream.shutdown(Shutdown::Write), tls => tls.stream().shutdown_raw())
    }

    /// The connection in memory, below TLS.
    #[cfg(feature = "testing")]
    pub(super) fn memory(&self) -> Option<&super::in_process::ServerEnd> {
        match self {
            Transport::Memory(end) => Some(end),
            Transport::Tls(stream) => stream.stream().memory(),
            Transport::Tcp(_) | Transport::Unix(_) => None,
        }
    }

    /// Closes the stream with a reset instead of an end; bytes that the client has not taken are lost. A Unix socket has no
    /// reset, so its client reads an end.
    pub(super) fn reset(self, poller: &Poller, known: bool) {
        match self {
            Transport::Tls(stream) => return stream.into_stream().reset(poller, known),
            // An error means that the client has reset the connection.
            Transport::Tcp(ref stream) => drop(stream.set_linger(Some(Duration::ZERO))),
            _ => {}
        }
        self.close(poller, known);
    }

    /// Closes the stream, and removes it from the poller if that knows it.
    pub(super) fn close(self, poller: &Poller, known: bool) {
        let socket: OwnedFd = match self {
            Transport::Tcp(stream) => stream.into(),
            Transport::Unix(stream) => stream.into(),
            #[cfg(feature = "testing")]
            Transport::Memory(_) => return,
            Transport::Tls(mut stream) => {
                stream.send_close_notify();
                return stream.into_stream().close(poller, known);
            }
        };
        if known {
            // An error has no effect: the descriptor is closed in any case.
            let _ = poller.close(socket);
        }
    }

    /// Watches the stream for `interest`, and lets the poller report its current state at once; `known` is true if the poller
    /// watches the stream already. Each change is reported once, so that the kernel need not check the socket again at the
    /// next wait. The portable poller does not report an end after bytes, so it stays level-triggered.
    ///
    /// # Errors
    /// An error of the system.
    #[inline]
    pub(super) fn watch(&self, poller: &Poller, key: u64, interest: Interest, known: bool) -> io::Result<()> {
        let Some(descriptor) = self.descriptor() else {
            return Ok(());
        };
        let interest = if PORTABLE_POLLER { interest } else { interest.edge() };
        if known {
            poller.modify(&descriptor, key, interest)
        } else {
            poller.add(&descriptor, key, interest)
        }
    }

    /// Returns whether the poller reports each change once.
    #[inline]
    pub(super) fn is_edge_triggered(&self) -> bool {
        !PORTABLE_POLLER && self.descriptor().is_some()
    }

    /// The encrypted stream, if it is one.
    #[inline]
    fn tls(&self) -> Option<&dyn TlsStream> {
        match self {
            Transport::Tls(stream) => Some(&**stream),
            _ => None,
        }
    }

    #[inline]
    fn tls_mut(&mut self) -> Option<&mut (dyn TlsStream + 'static)> {
        match self {
            Transport::Tls(stream) => Some(&mut **stream),
            _ => None,
        }
    }

    /// The socket below; memory has none.
    #[inline]
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Transport::Tcp(stream) => Some(stream.as_fd()),
            Transport::Unix(stream) => Some(stream.as_fd()),
            Transport::Tls(stream) => stream.stream().descriptor(),
            #[cfg(feature = "testing")]
            Transport::Memory(_) => None,
        }
    }
}
