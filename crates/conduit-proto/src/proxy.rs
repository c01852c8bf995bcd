//! The PROXY protocol, versions 1 and 2: the address of the client, sent by a proxy that forwards bytes.
//!
//! The header precedes all other bytes of a connection, including TLS. The sender can claim any address, so accept it
//! only from known proxies. The specification is `proxy-protocol.txt` of HAProxy.
//!
//! A [`HeaderParser`] receives bytes and returns the number of bytes that belong to the header. It stores at most 232
//! bytes, and never consumes bytes after the header.
//!
//! ```
//! use conduit_proto::proxy::{Header, HeaderParser};
//!
//! let mut parser = HeaderParser::new();
//! let (used, header) = parser.handle_input(b"PROXY TCP4 192.0.2.7 ")?;
//! assert_eq!((used, header), (21, None));
//! let (used, header) = parser.handle_input(b"198.51.100.1 56324 443\r\nGET / HTTP/1.1\r\n")?;
//! assert_eq!(used, 24);
//! let Some(Header::Internet { source, destination }) = header else { panic!("a header of TCP") };
//! assert_eq!(source, "192.0.2.7:56324".parse().unwrap());
//! assert_eq!(destination, "198.51.100.1:443".parse().unwrap());
//! # Ok::<(), conduit_proto::proxy::HeaderError>(())
//! ```
//!
//! # Rejected input
//!
//! The input is rejected at the first byte that cannot be part of a header. In version 1: a line of more than 107
//! bytes, other spacing than one space, numbers with leading zeros, addresses of the other family, a line that does not
//! end in CR and LF. In version 2: an unknown version or command, a family or transport that the specification does not
//! define, and a length that is too short for the addresses or exceeds [`LENGTH_LIMIT`]. Extensions (TLVs) are skipped
//! without validation.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The maximum length of a version 2 header in bytes, after its first 16: 4096. Addresses take at most 216; the rest is
/// for extensions, such as TLS names and certificates.
pub const LENGTH_LIMIT: usize = 4096;

/// The maximum length of a version 1 line, including its end.
const LINE_LIMIT: usize = 107;
/// The signature of version 2.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The fixed part of version 2: signature, version and command, family and transport, length.
const FIXED: usize = 16;
/// The length of the addresses of two Unix sockets, which are the longest.
const ADDRESSES: usize = 216;

/// The content of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Header {
    /// `LOCAL`: the proxy opened the connection itself, such as for a health check; the client is the proxy.
    Local,
    /// The proxy forwards a connection whose addresses are unknown or unsupported, such as those of Unix sockets.
    Unknown,
    /// The proxy forwards a connection over TCP, or datagrams over UDP.
    Internet {
        /// The address of the client.
        source: SocketAddr,
        /// The address to which the client connected.
        destination: SocketAddr,
    },
}

/// The input is not a header of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderError {
    /// The input starts with the signature of neither version.
    Signature,
    /// The line of version 1 is longer than 107 bytes, or does not end in CR and LF.
    Line,
    /// A word in the line of version 1 is invalid: the protocol, an address, a port, or their number.
    Word,
    /// The command of version 2 is neither `LOCAL` nor `PROXY`.
    Command,
    /// Version 2 does not define the family or the transport in a header with the command `PROXY`.
    Family,
    /// The length in version 2 is too short for the addresses, or exceeds [`LENGTH_LIMIT`].
    Length,
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HeaderError::Signature => {
                "the connection does not start with a PROXY header: configure the proxy to send one"
            }
            HeaderError::Line => "the PROXY line does not end in CR and LF within 107 bytes: end it as version 1 of the \
                PROXY protocol requires",
            HeaderError::Word => "the PROXY line has an invalid protocol, address or port",
            HeaderError::Command => "the PROXY header has an unknown version or command: configure the proxy to send version 1 or 2, with LOCAL or PROXY",
            HeaderError::Family => "the PROXY header has an unknown family or transport",
            HeaderError::Length => "the length in the PROXY header is too short for its addresses or exceeds the limit",
        })
    }
}

impl std::error::Error for HeaderError {}

/// An incremental parser for the header of one connection.
#[derive(Clone)]
pub struct HeaderParser {
    /// The stored part of the header, without extensions.
    kept: [u8; FIXED + ADDRESSES],
    /// The number of received bytes; `received <= FIXED + LENGTH_LIMIT`.
    received: usize,
}

impl HeaderParser {
    /// A parser for a new connection.
    #[must_use]
    pub const fn new() -> Self {
        HeaderParser {
            kept: [0; FIXED + ADDRESSES],
            received: 0,
        }
    }

    /// Parses received bytes. Returns the number of bytes that belong to the header, and the header if it is complete;
    /// until then, all of `input` belongs to it. Must not be called again after a header or an error.
    ///
    /// # Errors
    ///
    /// The input is not a header, from the first byte that cannot be part of one. Close the connection.
    pub fn handle_input(&mut self, input: &[u8]) -> Result<(usize, Option<Header>), HeaderError> {
        let mut used = 0;
        while used < input.len() {
            let wanted = self.wanted()?;
            let step = wanted.min(input.len() - used);
            let piece = &input[used..used + step];
            // Bytes after the addresses are counted and discarded.
            if let Some(room) = self.kept.get_mut(self.received..) {
                let fits = room.len().min(step);
                room[..fits].copy_from_slice(&piece[..fits]);
            }
            self.received += step;
            used += step;
            if let Some(header) = self.header()? {
                return Ok((used, Some(header)));
            }
        }
        Ok((used, None))
    }

    /// The number of bytes until the next decision; at least 1.
    fn wanted(&self) -> Result<usize, HeaderError> {
        if self.received < FIXED || self.kept[0] == b'P' {
            // The line may end at any byte, and errors are reported at once.
            return Ok(1);
        }
        Ok(FIXED + self.length()? - self.received)
    }

    /// The length of the bytes after the fixed part of version 2.
    fn length(&self) -> Result<usize, HeaderError> {
        let length = usize::from(u16::from_be_bytes([self.kept[14], self.kept[15]]));
        if length > LENGTH_LIMIT {
            return Err(HeaderError::Length);
        }
        Ok(length)
    }

    /// The header, if it is complete; an error if it cannot become valid.
    fn header(&self) -> Result<Option<Header>, HeaderError> {
        let received = &self.kept[..self.received.min(self.kept.len())];
        if received[0] == b'P' {
            return line(received);
        }
        let begun = received.len().min(SIGNATURE.len());
        if received[..begun] != SIGNATURE[..begun] {
            return Err(HeaderError::Signature);
        }
        if received.get(12).is_some_and(|command| !matches!(command, 0x20 | 0x21)) {
            return Err(HeaderError::Command);
        }
        let is_local = received.get(12) == Some(&0x20);
        // TCP and UDP over IPv4 and IPv6, both kinds of Unix sockets, and unspecified. The family of LOCAL is ignored
        // (section 2.2): it must not make a health check fail.
        let families = |family: &u8| matches!(family, 0x00 | 0x11 | 0x12 | 0x21 | 0x22 | 0x31 | 0x32);
        if !is_local && received.get(13).is_some_and(|family| !families(family)) {
            return Err(HeaderError::Family);
        }
        if self.received < FIXED {
            return Ok(None);
        }
        let length = self.length()?;
        let addresses = match received[13] >> 4 {
            // The addresses of LOCAL are ignored too.
            _ if is_local => 0,
            1 => 12,
            2 => 36,
            3 => ADDRESSES,
            _ => 0,
        };
        if length < addresses {
            return Err(HeaderError::Length);
        }
        if self.received < FIXED + length {
            return Ok(None);
        }
        let addresses = &received[FIXED..FIXED + addresses];
        Ok(Some(match addresses.len() {
            _ if is_local => Header::Local,
            12 | 36 => internet(addresses),
            _ => Header::Unknown,
        }))
    }
}

impl Default for HeaderParser {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HeaderParser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderParser")
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// Parses a complete line of version 1.
fn line(received: &[u8]) -> Result<Option<Header>, HeaderError> {
    const START: &[u8] = b"PROXY ";
    let begun = received.len().min(START.len());
    if received[..begun] != START[..begun] {
        return Err(HeaderError::Signature);
    }
    let Some(line) = received.strip_suffix(b"\n") else {
        return if received.len() < LINE_LIMIT {
            Ok(None)
        } else {
            Err(HeaderError::Line)
        };
    };
    let line = line.strip_suffix(b"\r").ok_or(HeaderError::Line)?;
    let words = &line[START.len()..];
    // The rest of such a line is ignored, and need not be text (section 2.1).
    if words.split(|byte| *byte == b' ').next() == Some(b"UNKNOWN") {
        return Ok(Some(Header::Unknown));
    }
    let words = str::from_utf8(words).map_err(|_| HeaderError::Word)?;
    let mut words = words.split(' ');
    let is_v4 = match words.next() {
        Some("TCP4") => true,
        Some("TCP6") => false,
        _ => return Err(HeaderError::Word),
    };
    let address = |word: Option<&str>| {
        let word = word.ok_or(HeaderError::Word)?;
        if is_v4 {
            word.parse().map(IpAddr::V4).map_err(|_| HeaderError::Word)
        } else {
            word.parse().map(IpAddr::V6).map_err(|_| HeaderError::Word)
        }
    };
    let (source, destination) = (address(words.next())?, address(words.next())?);
    let (source_port, destination_port) = (port(words.next())?, port(words.next())?);
    if words.next().is_some() {
        return Err(HeaderError::Word);
    }
    Ok(Some(Header::Internet {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    }))
}

/// A decimal number up to 65535 without leading zeros.
fn port(word: Option<&str>) -> Result<u16, HeaderError> {
    let word = word.ok_or(HeaderError::Word)?;
    let digits = word.bytes().all(|byte| byte.is_ascii_digit());
    if !digits || (word.len() > 1 && word.starts_with('0')) {
        return Err(HeaderError::Word);
    }
    word.parse().map_err(|_| HeaderError::Word)
}

/// The addresses of version 2: 4 or 16 bytes of the source, as many of the destination, and the ports of both.
fn internet(addresses: &[u8]) -> Header {
    let size = (addresses.len() - 4) / 2;
    let address = |at: usize| {
        let bytes = &addresses[at..at + size];
        match <[u8; 4]>::try_from(bytes) {
            Ok(bytes) => IpAddr::V4(Ipv4Addr::from(bytes)),
            Err(_) => IpAddr::V6(<[u8; 16]>::try_from(bytes).map_or(Ipv6Addr::UNSPECIFIED, Ipv6Addr::from)),
        }
    };
    let port = |at: usize| u16::from_be_bytes([addresses[at], addresses[at + 1]]);
    Header::Internet {
        source: SocketAddr::new(address(0), port(2 * size)),
        destination: SocketAddr::new(address(size), port(2 * size + 2)),
    }
}
