//! One encrypted connection: rustls' unbuffered interface over the worker's own buffers.
//!
//! A read puts the encrypted bytes into the second half of the worker's input buffer and decrypts them into the first. A send
//! encrypts into a buffer that all connections of a thread share. A connection keeps only an incomplete record or handshake
//! message, and the bytes that the socket had no room for, so an idle one holds its keys and no buffer.
//!
//! One connection with one request takes two sends: the server's flight of the handshake, and the response. Session tickets wait
//! for the response and a close_notify follows it in the same send.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::mem;
use std::sync::Arc;

use conduit_net::tls::TlsError;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus, WriteTraffic,
};
use rustls::{ProtocolVersion, ServerConfig};

use crate::connection_info::{ConnectionInfo, TlsInfo};
use crate::transport::{Received, TlsStream, Transport};

/// The number of bytes that are encrypted at a time. The connection holds the encrypted bytes that the socket does not accept.
/// A connection of HTTP/2 writes at most 96 KiB before a piece of 16 KiB, and one send has all of them.
const SEND_BYTES: usize = 112 * 1024;
/// The shared buffer shrinks to this when something has made it larger.
const KEPT_BYTES: usize = 2 * SEND_BYTES;
/// Minimum free space in the worker's buffer before a read. A record of at most 16 KiB and some bytes always leaves it.
const LEAST_READ_BYTES: usize = 8 * 1024;
/// The limit for a handshake message that is not complete: the 64 KiB that rustls accepts, with room for record headers.
const MAX_MESSAGE_BYTES: usize = 80 * 1024;
/// An alert in plaintext: fatal, decode_error (RFC 8446, section 6.2).
const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

thread_local! {
    /// Memory for encrypted bytes before they are sent. Its length is that of the memory, so that nothing is zeroed again.
    static ENCRYPTED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// One connection.
pub(super) struct Session {
    tls: UnbufferedServerConnection,
    stream: Transport,
    /// Received: the beginning of a record, or of a message of the handshake.
    incoming: Vec<u8>,
    /// Encrypted, and not sent yet.
    outgoing: Vec<u8>,
    /// `outgoing` holds session tickets only, which go with the next bytes.
    deferred: bool,
    /// The number of bytes of `outgoing` that have been sent.
    sent: usize,
    /// The number of bytes at the beginning of the next send that are in `outgoing` already.
    taken: usize,
    close_notify: CloseNotify,
    /// The client has sent a close_notify.
    ended: bool,
    /// The client has broken the protocol, and the alert is written: later input is discarded.
    failed: bool,
    info_taken: bool,
}

/// The alert that ends the server's half of the stream (RFC 8446, section 6.1).
#[derive(Clone, Copy, PartialEq, Eq)]
enum CloseNotify {
    Unsent,
    /// It follows the last byte of the next send.
    WithNextSend,
    Sent,
}

impl Session {
    pub(super) fn new(config: Arc<ServerConfig>, stream: Transport) -> io::Result<Self> {
        Ok(Session {
            tls: UnbufferedServerConnection::new(config).map_err(io::Error::other)?,
            stream,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            deferred: false,
            sent: 0,
            taken: 0,
            close_notify: CloseNotify::Unsent,
            ended: false,
            failed: false,
            info_taken: false,
        })
    }

    /// Decrypts received bytes into `plain`, and continues the handshake. Returns the number of bytes of `encrypted`
    /// that were used and of `plain` that were filled.
    fn take_in(&mut self, plain: &mut [u8], encrypted: &mut [u8]) -> io::Result<(usize, usize)> {
        let (mut used, mut filled) = (0, 0);
        loop {
            let UnbufferedStatus { mut discard, state } = self.tls.process_tls_records(&mut encrypted[used..]);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        // There are never more decrypted bytes than encrypted ones.
                        let place = plain
                            .get_mut(filled..filled + record.payload.len())
                            .ok_or_else(|| invalid("rustls consumed more bytes than were received"))?;
                        place.copy_from_slice(record.payload);
                        filled += record.payload.len();
                        discard += record.discard;
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut message)) => {
                    append(&mut self.outgoing, |space| message.encode(space).map_err(encode_needs))?;
                }
                // They are in `outgoing`, which is sent before anything else.
                Ok(ConnectionState::TransmitTlsData(messages)) => messages.done(),
                Ok(ConnectionState::PeerClosed) => self.ended = true,
                Ok(ConnectionState::Closed) => {
                    self.ended = true;
                    return Ok((used + discard, filled));
                }
                Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => {
                    return Ok((used + discard, filled));
                }
                Ok(_) => return Err(invalid("early data, which is never offered")),
                Err(error) => return Err(self.fail(&mut encrypted[used + discard..], error)),
            }
            used += discard;
        }
    }

    /// Writes the alerts that rustls has queued for a client that broke the protocol, after the messages before them (a
    /// ServerHello, for instance). `rest` is the input that was not discarded.
    fn fail(&mut self, rest: &mut [u8], error: rustls::Error) -> io::Error {
        self.failed = true;
        // No call beyond the queue: rustls would read `rest` again, and fail again.
        while self.tls.wants_write() {
            let Ok(ConnectionState::EncodeTlsData(mut message)) = self.tls.process_tls_records(rest).state else {
                break;
            };
            if append(&mut self.outgoing, |space| message.encode(space).map_err(encode_needs)).is_err() {
                break;
            }
        }
        // rustls rejects the length of a message without an alert.
        if self.outgoing.is_empty() && matches!(error, rustls::Error::InvalidMessage(_)) {
            self.write_decode_error();
        }
        // The connection ends whether or not there is room for the alert.
        let _ = self.flush();
        TlsError::from(error).into()
    }

    /// Rejects a handshake message that is larger than rustls accepts, or that arrives in records of a few bytes.
    fn refuse_message(&mut self) -> io::Error {
        self.failed = true;
        self.incoming = Vec::new();
        self.write_decode_error();
        let _ = self.flush();
        invalid(format!(
            "the client sent an incomplete handshake message of more than {MAX_MESSAGE_BYTES} bytes"
        ))
    }

    /// Writes an alert, as long as alerts are in plaintext: rustls has no call for an encrypted one of the caller's.
    fn write_decode_error(&mut self) {
        if self.tls.protocol_version().is_none() {
            self.outgoing.extend_from_slice(&DECODE_ERROR);
        }
    }

    /// Writes the output of `write` to `encrypted` from `start` on, after the messages that rustls has queued. Returns its end.
    ///
    /// Passes rustls all input that it has seen and not discarded: it keeps offsets into it, and panics if the input is
    /// shorter. A client that sends half a message must not cause that.
    fn write_traffic(
        &mut self,
        encrypted: &mut Vec<u8>,
        start: usize,
        write: impl Fn(
            &mut WriteTraffic<'_, rustls::server::ServerConnectionData>,
            &mut [u8],
        ) -> Result<usize, EncryptError>,
    ) -> io::Result<usize> {
        let mut end = start;
        loop {
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut self.incoming);
            debug_assert_eq!(discard, 0, "received records are processed before output is encrypted");
            match state.map_err(TlsError::from)? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return fill(encrypted, end, |space| {
                        write(&mut traffic, space).map_err(encrypt_needs)
                    });
                }
                ConnectionState::EncodeTlsData(mut message) => {
                    end = fill(encrypted, end, |space| message.encode(space).map_err(encode_needs))?;
                }
                ConnectionState::TransmitTlsData(messages) => messages.done(),
                ConnectionState::PeerClosed => self.ended = true,
                _ => return Err(invalid("nothing can be sent at this state of the handshake")),
            }
        }
    }

    /// Writes the alert to `encrypted` from `start` on. Returns its end.
    fn write_close_notify(&mut self, encrypted: &mut Vec<u8>, start: usize) -> io::Result<usize> {
        self.close_notify = CloseNotify::Sent;
        self.write_traffic(encrypted, start, |traffic, space| traffic.queue_close_notify(space))
    }

    /// Encrypts a piece, after the tickets that wait for it; a close_notify follows the last one if it was announced. Returns the
    /// number of bytes at the beginning of `encrypted`.
    fn encrypt(&mut self, piece: &[u8], is_last: bool, encrypted: &mut Vec<u8>) -> io::Result<usize> {
        let mut end = 0;
        if self.deferred {
            let tickets = self.take_deferred();
            end = tickets.len();
            encrypted.resize(encrypted.len().max(end), 0);
            encrypted[..end].copy_from_slice(&tickets);
        }
        end = self.write_traffic(encrypted, end, |traffic, space| traffic.encrypt(piece, space))?;
        if is_last && self.close_notify == CloseNotify::WithNextSend {
            end = self.write_close_notify(encrypted, end)?;
        }
        Ok(end)
    }

    /// Takes the tickets that wait for the next bytes, if there are any.
    fn take_deferred(&mut self) -> Vec<u8> {
        if mem::take(&mut self.deferred) {
            mem::take(&mut self.outgoing)
        } else {
            Vec::new()
        }
    }

    /// Sends encrypted bytes, and keeps those that the socket does not accept. Returns whether all of them were sent.
    fn transmit(&mut self, encrypted: &[u8]) -> io::Result<bool> {
        let result = match self.close_notify {
            CloseNotify::Sent => self.stream.send_last(encrypted),
            CloseNotify::Unsent | CloseNotify::WithNextSend => self.stream.send(encrypted),
        };
        let sent = match result {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        if sent < encrypted.len() {
            self.outgoing = encrypted[sent..].to_vec();
            self.sent = 0;
        }
        Ok(sent == encrypted.len())
    }

    /// Receives and decrypts once. Returns the result of the stream below, and the number of bytes of `plain` that were filled.
    fn receive(&mut self, plain: &mut [u8], encrypted: &mut [u8]) -> io::Result<(Received, usize)> {
        let held = self.incoming.len();
        if held + LEAST_READ_BYTES > encrypted.len() {
            // A handshake message of more than the buffer.
            let received = self.stream.recv(encrypted)?;
            let mut incoming = mem::take(&mut self.incoming);
            incoming.extend_from_slice(&encrypted[..received.bytes]);
            let (used, bytes) = self.take_in(plain, &mut incoming)?;
            incoming.drain(..used);
            self.incoming = incoming;
            return Ok((received, bytes));
        }
        let received = self.stream.recv(&mut encrypted[held..])?;
        encrypted[..held].copy_from_slice(&self.incoming);
        let filled = held + received.bytes;
        let (used, bytes) = self.take_in(plain, &mut encrypted[..filled])?;
        // An assignment frees the memory, and a change of the length does not; usually no byte is left.
        self.incoming = encrypted[used..filled].to_vec();
        Ok((received, bytes))
    }
}

impl TlsStream for Session {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        if self.failed {
            let received = self.stream.recv(buffer)?;
            return Ok(Received { bytes: 0, ..received });
        }
        let held_output = !self.outgoing.is_empty();
        let (plain, encrypted) = buffer.split_at_mut(buffer.len() / 2);
        let (received, bytes) = self.receive(plain, encrypted)?;
        if self.incoming.len() > MAX_MESSAGE_BYTES {
            return Err(self.refuse_message());
        }
        // A check of the port, which sends nothing, is not a failed handshake.
        let has_begun = self.tls.protocol_version().is_some() || !self.incoming.is_empty();
        if received.ended && has_begun && self.tls.is_handshaking() {
            let why = "the client closed the connection during the TLS handshake";
            return Err(io::Error::new(ErrorKind::UnexpectedEof, why));
        }
        // After the handshake of TLS 1.3, the server's messages are session tickets, for which no client waits.
        let can_wait = !self.tls.is_handshaking() && self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3);
        if !held_output && can_wait {
            self.deferred = !self.outgoing.is_empty();
        } else if !self.deferred {
            self.flush()?;
        }
        Ok(Received {
            bytes,
            raw_bytes: received.bytes,
            // An end without a close_notify may be a truncation by an attacker (RFC 8446, section 6.1), but it cannot pass for the
            // end of a request, because requests declare their length.
            ended: self.ended || received.ended,
            more: received.more,
        })
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed {
            return Err(invalid("the client has broken the protocol"));
        }
        if !self.deferred {
            self.flush()?;
            if self.holds_output() {
                return Err(ErrorKind::WouldBlock.into());
            }
        }
        let mut counted = mem::take(&mut self.taken).min(bytes.len());
        let mut encrypted = ENCRYPTED.take();
        let mut result = Ok(());
        while counted < bytes.len() {
            let piece = &bytes[counted..bytes.len().min(counted + SEND_BYTES)];
            let is_last = counted + piece.len() == bytes.len();
            let end = self.encrypt(piece, is_last, &mut encrypted);
            result = end.and_then(|end| self.transmit(&encrypted[..end])).map(|all| {
                counted += piece.len();
                if !all {
                    // One byte is not counted, so that the caller calls again when there is room.
                    counted -= 1;
                    self.taken = 1;
                }
            });
            if result.is_err() || self.taken > 0 {
                break;
            }
        }
        encrypted.truncate(KEPT_BYTES);
        encrypted.shrink_to(KEPT_BYTES);
        ENCRYPTED.set(encrypted);
        result?;
        if counted == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(counted)
    }

    fn end_with_next_send(&mut self) {
        if self.close_notify == CloseNotify::Unsent {
            self.close_notify = CloseNotify::WithNextSend;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.deferred = false;
        while self.sent < self.outgoing.len() {
            match self.stream.send(&self.outgoing[self.sent..]) {
                Ok(sent) => self.sent += sent,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.outgoing = Vec::new();
        self.sent = 0;
        Ok(())
    }

    fn holds_output(&self) -> bool {
        !self.outgoing.is_empty() && !self.deferred
    }

    fn defers_output(&self) -> bool {
        self.deferred
    }

    fn holds_input(&self) -> bool {
        !self.incoming.is_empty()
    }

    fn held_bytes(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    fn take_info(&mut self) -> Option<ConnectionInfo> {
        if self.info_taken || self.tls.is_handshaking() {
            return None;
        }
        self.info_taken = true;
        let certificates = self.tls.peer_certificates().unwrap_or_default();
        Some(ConnectionInfo {
            tls: Some(TlsInfo {
                certificates: certificates
                    .iter()
                    .map(|certificate| certificate.as_ref().into())
                    .collect(),
            }),
            ..ConnectionInfo::default()
        })
    }

    fn has_selected(&self, protocol: &[u8]) -> bool {
        self.tls.alpn_protocol() == Some(protocol)
    }

    fn send_close_notify(&mut self) {
        if self.failed || self.close_notify == CloseNotify::Sent || self.tls.is_handshaking() {
            return;
        }
        // It would be out of order after bytes that wait for room.
        if !self.deferred && (self.flush().is_err() || self.holds_output()) {
            return;
        }
        let mut last = self.take_deferred();
        let start = last.len();
        if let Ok(end) = self.write_close_notify(&mut last, start) {
            // An error of the stream shows when it is shut down.
            let _ = self.transmit(&last[..end]);
        }
    }

    fn stream(&self) -> &Transport {
        &self.stream
    }

    fn into_stream(self: Box<Self>) -> Transport {
        self.stream
    }
}

/// The required size of a buffer that is too small, or the reason why writing is impossible.
enum Needs {
    Bytes(usize),
    Nothing(io::Error),
}

fn encode_needs(error: EncodeError) -> Needs {
    match error {
        EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => Needs::Bytes(required_size),
        error => Needs::Nothing(invalid(error)),
    }
}

fn encrypt_needs(error: EncryptError) -> Needs {
    match error {
        EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => Needs::Bytes(required_size),
        error => Needs::Nothing(invalid(error)),
    }
}

/// Appends the output of `write`, with the room that it requests.
fn append(buffer: &mut Vec<u8>, write: impl FnMut(&mut [u8]) -> Result<usize, Needs>) -> io::Result<()> {
    let end = fill(buffer, buffer.len(), write)?;
    buffer.truncate(end);
    Ok(())
}

/// Puts the output of `write` into the buffer from `start` on, and makes the room that it requests. Returns its end.
fn fill(
    buffer: &mut Vec<u8>,
    start: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Needs>,
) -> io::Result<usize> {
    loop {
        match write(&mut buffer[start..]) {
            Ok(written) => return Ok(start + written),
            // The buffer had the size that rustls requested.
            Err(Needs::Bytes(count)) if start + count > buffer.len() => buffer.resize(start + count, 0),
            Err(Needs::Bytes(_)) => return Err(invalid("rustls needs more room than it requested")),
            Err(Needs::Nothing(error)) => return Err(error),
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
