//! One encrypted connection: rustls' unbuffered interface over the worker's own buffers.
//!
//! What is encrypted comes into the second half of the worker's input buffer and goes, decrypted, into the first; what is
//! sent is encrypted into a buffer that all connections of a thread share. A connection keeps only a record that has not
//! come whole, and what the socket did not take. So an idle one holds nothing but its keys.

use std::cell::RefCell;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus};

use crate::server::facts::{Facts, TlsFacts};
use crate::server::transport::{Received, Secure, Transport};

/// How much is encrypted at a time; what the socket does not take of that is held.
const SEND_BYTES: usize = 64 * 1024;
/// The shared buffer is freed rather than kept when something has made it larger than this.
const KEPT_BYTES: usize = 2 * SEND_BYTES;

thread_local! {
    /// What is encrypted before it is sent.
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
    /// How much of `outgoing` has been sent.
    sent: usize,
    /// How many bytes at the beginning of what is to be sent are in `outgoing` already.
    taken: usize,
    /// The client has said that it sends no more.
    ended: bool,
    /// The client has broken the protocol: rustls is not asked any more.
    failed: bool,
    /// close_notify is encrypted: it was sent, or is in `outgoing`.
    end_said: bool,
    facts_taken: bool,
}

impl Session {
    pub(super) fn new(config: Arc<ServerConfig>, stream: Transport) -> io::Result<Self> {
        Ok(Session {
            tls: UnbufferedServerConnection::new(config).map_err(io::Error::other)?,
            stream,
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
            taken: 0,
            ended: false,
            failed: false,
            end_said: false,
            facts_taken: false,
        })
    }

    /// Decrypts what has come into `plain`, and does what the handshake asks for. Says how much of `encrypted` was used
    /// and how much of `plain` was filled.
    fn take_in(&mut self, plain: &mut [u8], encrypted: &mut [u8]) -> io::Result<(usize, usize)> {
        let (mut used, mut filled) = (0, 0);
        loop {
            let UnbufferedStatus { mut discard, state } = self.tls.process_tls_records(&mut encrypted[used..]);
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record.map_err(invalid)?;
                        // What is decrypted is never longer than what it comes from.
                        let place = plain
                            .get_mut(filled..filled + record.payload.len())
                            .ok_or_else(|| invalid("more was decrypted than had come"))?;
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
                Err(error) => {
                    let rest = &mut encrypted[used + discard..];
                    self.alert(rest);
                    return Err(invalid(error));
                }
            }
            used += discard;
        }
    }

    /// Tells the client what it did wrong, as far as there is room for that. `rest` is what was not discarded yet.
    fn alert(&mut self, rest: &mut [u8]) {
        self.failed = true;
        // Once: what is queued comes first, but then rustls would go on with `rest`, and fail anew.
        if let Ok(ConnectionState::EncodeTlsData(mut message)) = self.tls.process_tls_records(rest).state {
            // None of it can fail in a way that matters: the connection is closed in any case.
            let _ = append(&mut self.outgoing, |space| message.encode(space).map_err(encode_needs));
        }
        let _ = self.flush();
    }

    /// Appends `bytes` encrypted, behind what rustls has to say of its own.
    ///
    /// rustls is always given what it has seen and not discarded: it remembers places in it, and would not survive to find
    /// less there. A client that sends the half of a message must not be able to bring that about.
    fn encrypt(&mut self, bytes: &[u8], encrypted: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut self.incoming);
            debug_assert_eq!(discard, 0, "what could be used was used when it came");
            match state.map_err(invalid)? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return append(encrypted, |space| traffic.encrypt(bytes, space).map_err(encrypt_needs));
                }
                ConnectionState::EncodeTlsData(mut message) => {
                    append(encrypted, |space| message.encode(space).map_err(encode_needs))?;
                }
                ConnectionState::TransmitTlsData(messages) => messages.done(),
                ConnectionState::PeerClosed => self.ended = true,
                _ => return Err(invalid("nothing can be sent at this state of the handshake")),
            }
        }
    }

    /// Sends what is encrypted, and holds what there is no room for. Says whether all of it was sent.
    fn transmit(&mut self, encrypted: &[u8]) -> io::Result<bool> {
        let sent = match self.stream.send(encrypted) {
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
}

impl Secure for Session {
    fn recv(&mut self, buffer: &mut [u8]) -> io::Result<Received> {
        let (plain, encrypted) = buffer.split_at_mut(buffer.len() / 2);
        let held = self.incoming.len();
        if held == encrypted.len() {
            return Err(invalid("a message of the handshake is longer than is taken"));
        }
        let received = self.stream.recv(&mut encrypted[held..])?;
        encrypted[..held].copy_from_slice(&self.incoming);
        let filled = held + received.bytes;
        let (used, bytes) = self.take_in(plain, &mut encrypted[..filled])?;
        // An assignment, which frees, rather than a change of length: most often nothing is left.
        self.incoming = encrypted[used..filled].to_vec();
        self.flush()?;
        Ok(Received {
            bytes,
            raw_bytes: received.bytes,
            // An end without a word may be an attacker's cut (RFC 8446, section 6.1), but then it cannot pass for the
            // end of a request: those say how long they are.
            ended: self.ended || received.ended,
            more: received.more,
        })
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.failed {
            return Err(invalid("the client has broken the protocol"));
        }
        self.flush()?;
        if self.holds_output() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let mut counted = std::mem::take(&mut self.taken).min(bytes.len());
        let mut encrypted = ENCRYPTED.take();
        let mut result = Ok(());
        while counted < bytes.len() {
            let piece = &bytes[counted..bytes.len().min(counted + SEND_BYTES)];
            encrypted.clear();
            result = self
                .encrypt(piece, &mut encrypted)
                .and_then(|()| self.transmit(&encrypted))
                .map(|all| {
                    counted += piece.len();
                    if !all {
                        // One byte is not counted, so that the caller comes again when there is room.
                        counted -= 1;
                        self.taken = 1;
                    }
                });
            if result.is_err() || self.taken > 0 {
                break;
            }
        }
        encrypted.clear();
        encrypted.shrink_to(KEPT_BYTES);
        ENCRYPTED.set(encrypted);
        result?;
        if counted == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(counted)
    }

    fn flush(&mut self) -> io::Result<()> {
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
        !self.outgoing.is_empty()
    }

    fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    fn holds_input(&self) -> bool {
        !self.incoming.is_empty()
    }

    fn held_bytes(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    fn take_facts(&mut self) -> Option<Facts> {
        if self.facts_taken || self.tls.is_handshaking() {
            return None;
        }
        self.facts_taken = true;
        let certificates = self.tls.peer_certificates().unwrap_or_default();
        Some(Facts {
            tls: Some(TlsFacts {
                certificates: certificates
                    .iter()
                    .map(|certificate| certificate.as_ref().into())
                    .collect(),
            }),
            ..Facts::default()
        })
    }

    fn say_end(&mut self) {
        // After something that waits it could not be sent in its place.
        if self.end_said || self.failed || self.flush().is_err() || self.holds_output() || self.tls.is_handshaking() {
            return;
        }
        let mut alert = Vec::new();
        while let Ok(state) = self.tls.process_tls_records(&mut self.incoming).state {
            match state {
                ConnectionState::WriteTraffic(mut traffic) => {
                    // It cannot fail in a way that matters: the connection ends in any case.
                    let said = append(&mut alert, |space| {
                        traffic.queue_close_notify(space).map_err(encrypt_needs)
                    });
                    if said.is_ok() && !alert.is_empty() {
                        self.end_said = true;
                        let _ = self.transmit(&alert);
                    }
                    return;
                }
                ConnectionState::EncodeTlsData(mut message) => {
                    if append(&mut alert, |space| message.encode(space).map_err(encode_needs)).is_err() {
                        return;
                    }
                }
                ConnectionState::TransmitTlsData(messages) => messages.done(),
                ConnectionState::PeerClosed => {}
                _ => return,
            }
        }
    }

    fn stream(&self) -> &Transport {
        &self.stream
    }

    fn into_stream(self: Box<Self>) -> Transport {
        self.stream
    }
}

/// What writing into a buffer that is too small needs, or why it cannot be done at all.
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

/// Appends what `write` writes, in as much room as it says it needs.
fn append(buffer: &mut Vec<u8>, mut write: impl FnMut(&mut [u8]) -> Result<usize, Needs>) -> io::Result<()> {
    let before = buffer.len();
    loop {
        match write(&mut buffer[before..]) {
            Ok(written) => {
                buffer.truncate(before + written);
                return Ok(());
            }
            // It has not said so of as much room as it had.
            Err(Needs::Bytes(count)) if before + count > buffer.len() => buffer.resize(before + count, 0),
            Err(Needs::Bytes(_)) => return Err(invalid("rustls needs more room than it says")),
            Err(Needs::Nothing(error)) => return Err(error),
        }
    }
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error)
}
