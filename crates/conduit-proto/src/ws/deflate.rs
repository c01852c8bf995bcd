//! permessage-deflate (RFC 7692): its negotiation, and the compression of messages.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use http::{HeaderMap, header};

/// The end of a message's compressed form, which is not sent (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// An empty block without compression (RFC 1951, section 3.2.4). The bits after its type are ignored at the start of a block; at
/// any other position these bytes are an error or data.
const EMPTY_BLOCK: [u8; 5] = [0xf8, 0x00, 0x00, 0xff, 0xff];
/// The same as the last block of a stream.
const LAST_BLOCK: [u8; 5] = [0xf9, 0x00, 0x00, 0xff, 0xff];
/// The number of empty blocks that are longer than the rest of any header of a dynamic block: at most 14 bits, 19 code lengths of
/// 3 bits, and 316 lengths of 7 bits (RFC 1951, section 3.2.7). The first symbol after the header has at most 48 bits.
const EMPTY_BLOCKS: usize = 60;
/// The largest window (RFC 7692, section 7.1.2).
const MAX_BITS: u8 = 15;
/// The smallest window of the compressor: zlib has no raw stream with 8 bits.
const MIN_BITS: u8 = 9;
/// The memory that is reserved at first for an inflated message.
const FIRST_OUTPUT_BYTES: usize = 4 * 1024;
/// A shared buffer is freed when a message has made it larger than this.
const KEPT_BYTES: usize = 256 * 1024;
/// The number of shared messages whose compressed forms are kept, and the most bytes of them besides the last one.
const SHARED_TEXTS: usize = 8;
const SHARED_BYTES: usize = 256 * 1024;

/// The server's parameters for permessage-deflate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeflateConfig {
    /// Keeps the context of both directions between messages, where the client permits that. It costs a compressor and a
    /// decompressor for each connection, up to 300 KiB. Otherwise all connections of a thread share one of each.
    /// Default: false.
    pub context_takeover: bool,
    /// The window of the server's compressor in bits, from 9 to 15. Default: 15.
    pub server_max_window_bits: u8,
    /// The window of the client's compressor in bits, from 8 to 15, where the client permits a limit. Default: 15.
    pub client_max_window_bits: u8,
    /// The level of compression, from 1 (fast) to 9 (small). Default: 1.
    pub level: u8,
    /// The minimum size of a message to compress, in bytes. Default: 128.
    pub least_bytes: usize,
}

impl Default for DeflateConfig {
    fn default() -> Self {
        Self {
            context_takeover: false,
            server_max_window_bits: MAX_BITS,
            client_max_window_bits: MAX_BITS,
            level: 1,
            least_bytes: 128,
        }
    }
}

impl DeflateConfig {
    /// Selects the first offer in `sec-websocket-extensions` that the server accepts, and returns it with the value of the field in
    /// the response. An offer with an unknown, repeated or invalid parameter is declined (RFC 7692, section 7.1).
    #[must_use]
    pub fn negotiate(&self, headers: &HeaderMap) -> Option<(Deflate, String)> {
        let values = headers.get_all(header::SEC_WEBSOCKET_EXTENSIONS).into_iter();
        let mut offers = values.flat_map(|value| split_quoted(value.as_bytes(), b','));
        let offer = offers.find_map(Offer::parse)?;
        let takeover = self.context_takeover;
        let server_bits = self.server_max_window_bits.clamp(MIN_BITS, MAX_BITS);
        let server_bits = offer.server_bits.map_or(server_bits, |bits| bits.min(server_bits));
        // A client that does not mention its window cannot limit it.
        let client_bits = match offer.client_bits {
            ClientBits::Unlimited => MAX_BITS,
            ClientBits::Any => self.client_max_window_bits.clamp(8, MAX_BITS),
            ClientBits::AtMost(bits) => self.client_max_window_bits.clamp(8, MAX_BITS).min(bits),
        };
        let deflate = Deflate {
            server_bits,
            client_bits,
            level: self.level.clamp(1, 9),
            least_bytes: self.least_bytes.max(1),
            compressor: match takeover && !offer.server_no_context_takeover {
                true => Compressor::Own(None),
                false => Compressor::Shared,
            },
            decompressor: match takeover && !offer.client_no_context_takeover {
                true => Decompressor::Own(None),
                false => Decompressor::Shared,
            },
        };
        let mut response = String::from("permessage-deflate");
        if let Compressor::Shared = deflate.compressor {
            response += "; server_no_context_takeover";
        }
        if let Decompressor::Shared = deflate.decompressor {
            response += "; client_no_context_takeover";
        }
        if server_bits < MAX_BITS || offer.server_bits.is_some() {
            // A write to a string cannot fail.
            let _ = write!(response, "; server_max_window_bits={server_bits}");
        }
        if client_bits < MAX_BITS {
            let _ = write!(response, "; client_max_window_bits={client_bits}");
        }
        Some((deflate, response))
    }
}

/// The parameters of an offer.
#[derive(Debug, Default)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_bits: Option<u8>,
    client_bits: ClientBits,
}

#[derive(Debug, Default)]
enum ClientBits {
    /// The parameter is missing.
    #[default]
    Unlimited,
    /// The parameter has no value.
    Any,
    AtMost(u8),
}

impl Offer {
    /// The parameters, if the server can accept them.
    fn parse(offer: &[u8]) -> Option<Self> {
        let mut parts = split_quoted(offer, b';');
        if !parts.next()?.trim_ascii().eq_ignore_ascii_case(b"permessage-deflate") {
            return None;
        }
        let mut parsed = Offer::default();
        for part in parts {
            let (name, value) = match part.iter().position(|&byte| byte == b'=') {
                Some(at) => (&part[..at], Some(unquote(part[at + 1..].trim_ascii())?)),
                None => (part, None),
            };
            match (name.trim_ascii(), value) {
                (b"server_no_context_takeover", None) if !parsed.server_no_context_takeover => {
                    parsed.server_no_context_takeover = true;
                }
                (b"client_no_context_takeover", None) if !parsed.client_no_context_takeover => {
                    parsed.client_no_context_takeover = true;
                }
                (b"server_max_window_bits", Some(value)) if parsed.server_bits.is_none() => {
                    // zlib has no compressor with 8 bits.
                    parsed.server_bits = Some(window_bits(value).filter(|&bits| bits >= MIN_BITS)?);
                }
                (b"client_max_window_bits", value) if matches!(parsed.client_bits, ClientBits::Unlimited) => {
                    parsed.client_bits = match value {
                        None => ClientBits::Any,
                        Some(value) => ClientBits::AtMost(window_bits(value)?),
                    };
                }
                _ => return None,
            }
        }
        Some(parsed)
    }
}

/// The parts between separators that are not within quotes.
fn split_quoted(list: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    list.split(move |&byte| {
        let escapes = is_quoted && !is_escaped && byte == b'\\';
        if byte == b'"' && !is_escaped {
            is_quoted = !is_quoted;
        }
        is_escaped = escapes;
        byte == separator && !is_quoted
    })
}

/// The value without its quotes. Values with escapes are never numbers.
fn unquote(value: &[u8]) -> Option<&[u8]> {
    match value {
        [b'"', inner @ .., b'"'] if !inner.contains(&b'"') => Some(inner),
        _ if value.contains(&b'"') => None,
        _ => Some(value),
    }
}

/// A decimal number from 8 to 15 without leading zeros.
fn window_bits(value: &[u8]) -> Option<u8> {
    match value {
        [digit @ b'8'..=b'9'] => Some(digit - b'0'),
        [b'1', digit @ b'0'..=b'5'] => Some(10 + digit - b'0'),
        _ => None,
    }
}

/// The negotiated parameters of a connection, and its compressors if it has some.
#[derive(Debug)]
pub struct Deflate {
    server_bits: u8,
    client_bits: u8,
    level: u8,
    least_bytes: usize,
    compressor: Compressor,
    decompressor: Decompressor,
}

impl Deflate {
    /// The estimated maximum memory of the connection's compressors in bytes; 0 if it has none. The first message in each direction
    /// allocates them.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        /// zlib: a hash table and pending output, besides the windows.
        const COMPRESSOR: usize = 192 * 1024;
        /// The window has 32 KiB for each negotiated size.
        const DECOMPRESSOR: usize = 48 * 1024;
        let compressor = match self.compressor {
            Compressor::Shared => 0,
            Compressor::Own(_) => COMPRESSOR + (2 << self.server_bits),
        };
        let decompressor = match self.decompressor {
            Decompressor::Shared => 0,
            Decompressor::Own(_) => DECOMPRESSOR,
        };
        compressor + decompressor
    }
}

/// The compressor of a connection.
#[derive(Debug)]
enum Compressor {
    Shared,
    /// Allocated by the first message.
    Own(Option<Compress>),
}

#[derive(Debug)]
enum Decompressor {
    Shared,
    /// Allocated by the first message.
    Own(Option<Decompress>),
}

/// The compressors that connections without context takeover share, and the buffer for compressed messages. Nothing is
/// allocated before the first compressed message.
#[derive(Debug, Default)]
pub struct Codecs {
    /// The compressors, by window and level.
    compressors: Vec<((u8, u8), Compress)>,
    decompressor: Option<Decompress>,
    compressed: Vec<u8>,
    /// The last messages that connections share, the latest one at the end.
    shared: VecDeque<SharedText>,
    compressions: u64,
}

/// A text that connections share, in its compressed form for those with this window and level.
#[derive(Debug)]
struct SharedText {
    key: (u8, u8),
    /// The text, kept alive so that no other text gets its address.
    text: Arc<str>,
    compressed: Bytes,
}

impl SharedText {
    fn bytes(&self) -> usize {
        self.text.len() + self.compressed.len()
    }
}

impl Codecs {
    /// Creates the codecs; nothing is allocated yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The number of messages that were compressed.
    #[must_use]
    pub fn compressions(&self) -> u64 {
        self.compressions
    }

    fn keep(&mut self, text: SharedText) {
        self.shared.push_back(text);
        while self.shared.len() > 1
            && (self.shared.len() > SHARED_TEXTS
                || self.shared.iter().map(SharedText::bytes).sum::<usize>() > SHARED_BYTES)
        {
            self.shared.pop_front();
        }
    }
}

/// The failure of decompression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InflateError {
    Invalid,
    TooLarge,
}

impl Deflate {
    pub(super) fn compresses(&self, length: usize) -> bool {
        length >= self.least_bytes
    }

    /// The compressed form of a message (RFC 7692, section 7.2.1).
    pub(super) fn deflate<'a>(&mut self, message: &[u8], codecs: &'a mut Codecs) -> &'a [u8] {
        let key = (self.server_bits, self.level);
        let new = || Compress::new_with_window_bits(Compression::new(key.1.into()), false, key.0);
        let Codecs {
            compressors,
            compressed,
            compressions,
            ..
        } = codecs;
        *compressions += 1;
        let compressor = match &mut self.compressor {
            Compressor::Own(own) => own.get_or_insert_with(new),
            Compressor::Shared => {
                let at = compressors.iter().position(|(known, _)| *known == key);
                let at = at.unwrap_or_else(|| {
                    compressors.push((key, new()));
                    compressors.len() - 1
                });
                let compressor = &mut compressors[at].1;
                // The output must not refer to a message of another connection.
                compressor.reset();
                compressor
            }
        };
        compressed.clear();
        compressed.shrink_to(KEPT_BYTES);
        let start = compressor.total_in();
        loop {
            compressed.reserve((message.len() / 2).max(FIRST_OUTPUT_BYTES));
            let rest = &message[(compressor.total_in() - start) as usize..];
            // It fails only if a stream was finished before.
            let _ = compressor.compress_vec(rest, compressed, FlushCompress::Sync);
            let is_taken = (compressor.total_in() - start) as usize == message.len();
            if is_taken && compressed.len() < compressed.capacity() {
                break;
            }
        }
        if compressed.ends_with(&TAIL) {
            compressed.truncate(compressed.len() - TAIL.len());
        }
        compressed
    }

    /// The compressed form of a text message that connections share, which is made for the first of them. Returns none for
    /// a connection with its own compressor: there the form depends on earlier messages.
    pub(super) fn deflate_shared(&mut self, text: &Arc<str>, codecs: &mut Codecs) -> Option<Bytes> {
        let Compressor::Shared = self.compressor else {
            return None;
        };
        let key = (self.server_bits, self.level);
        let is_same = |known: &&SharedText| known.key == key && Arc::ptr_eq(&known.text, text);
        if let Some(known) = codecs.shared.iter().rev().find(is_same) {
            return Some(known.compressed.clone());
        }
        let compressed = Bytes::copy_from_slice(self.deflate(text.as_bytes(), codecs));
        codecs.keep(SharedText {
            key,
            text: Arc::clone(text),
            compressed: compressed.clone(),
        });
        Some(compressed)
    }

    /// The message with this compressed form, of at most `limit` bytes (RFC 7692, section 7.2.2).
    ///
    /// The form ends with the header of an empty block, whose rest is the tail (section 7.2.1), or with a last block of
    /// a stream. An incomplete block, and the empty form, are invalid: the tail would become a part of the message, or
    /// of the next one.
    pub(super) fn inflate(
        &mut self,
        compressed: &[u8],
        limit: usize,
        codecs: &mut Codecs,
    ) -> Result<Vec<u8>, InflateError> {
        let bits = self.client_bits.max(MIN_BITS);
        let limit = limit.min(usize::MAX / 2);
        let keeps_context = matches!(self.decompressor, Decompressor::Own(_));
        let decompressor = match &mut self.decompressor {
            Decompressor::Own(own) => own.get_or_insert_with(|| Decompress::new_with_window_bits(false, bits)),
            Decompressor::Shared => {
                let shared = codecs.decompressor.get_or_insert_with(|| Decompress::new(false));
                shared.reset(false);
                shared
            }
        };
        let mut message = Vec::new();
        if inflate_part(decompressor, compressed, limit, &mut message)? == Status::Ok {
            let length = message.len();
            let end = inflate_part(decompressor, &TAIL, limit, &mut message);
            let is_whole = match end {
                Ok(Status::StreamEnd) => true,
                Ok(_) => is_between_blocks(decompressor, keeps_context),
                Err(_) => false,
            };
            if !is_whole || message.len() > length {
                return Err(InflateError::Invalid);
            }
        }
        Ok(message)
    }
}

/// The number of further streams of DEFLATE that any compressed message may have.
const STREAMS: usize = 16;
/// A message may have one more for this number of compressed bytes.
const STREAM_BYTES: usize = 1024;

/// Returns whether the decompressor is between two blocks: there, empty blocks have no effect, and a last block ends the stream.
/// Within a block both are data. A header of a dynamic block has no output; it does not end the stream, and ends within many
/// empty blocks, which then are the data of its block.
fn is_between_blocks(decompressor: &mut Decompress, keeps_context: bool) -> bool {
    let (probe, expected) = match keeps_context {
        true => (const { [EMPTY_BLOCK; EMPTY_BLOCKS].as_flattened() }, Status::Ok),
        // The end of the stream costs less, and loses the context.
        false => (&LAST_BLOCK[..], Status::StreamEnd),
    };
    let (taken, produced) = (decompressor.total_in(), decompressor.total_out());
    let status = decompressor.decompress(probe, &mut [0], FlushDecompress::Sync);
    status.is_ok_and(|status| status == expected)
        && decompressor.total_in() - taken == probe.len() as u64
        && decompressor.total_out() == produced
}

/// Inflates a part of a message. `StreamEnd` means that it ended with the last block of a stream, so that the tail does
/// not belong to it; another stream may follow a block with BFINAL (RFC 7692, section 7.2.3.4). A stream may be as short as two bytes
/// and each costs a reset of the decompressor, so their number is bounded by [`STREAMS`] and [`STREAM_BYTES`].
fn inflate_part(
    decompressor: &mut Decompress,
    mut input: &[u8],
    limit: usize,
    message: &mut Vec<u8>,
) -> Result<Status, InflateError> {
    let mut streams = STREAMS + input.len() / STREAM_BYTES;
    loop {
        if message.len() == message.capacity() {
            let more = message.len().max(input.len() * 2).max(FIRST_OUTPUT_BYTES);
            // One byte beyond the limit shows that the message is too large.
            message.reserve_exact(more.min(limit + 1 - message.len()));
        }
        let before = decompressor.total_in();
        let status = decompressor
            .decompress_vec(input, message, FlushDecompress::Sync)
            .map_err(|_| InflateError::Invalid)?;
        input = &input[(decompressor.total_in() - before) as usize..];
        if message.len() > limit {
            return Err(InflateError::TooLarge);
        }
        match status {
            Status::StreamEnd => {
                decompressor.reset(false);
                if input.is_empty() {
                    return Ok(Status::StreamEnd);
                }
                streams = streams.checked_sub(1).ok_or(InflateError::Invalid)?;
            }
            _ if message.len() == message.capacity() => {}
            _ if input.is_empty() => return Ok(Status::Ok),
            _ => return Err(InflateError::Invalid),
        }
    }
}
