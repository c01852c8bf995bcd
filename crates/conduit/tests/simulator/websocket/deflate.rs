//! The client's side of permessage-deflate (RFC 7692).

use conduit::websocket::DeflateConfig;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// The end of a message's compressed form, which is not sent (RFC 7692, section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];
/// The bytes for which a buffer has room at least.
const ROOM: usize = 4096;

/// The configuration of a WebSocket, which its client states in its path.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Plain,
    Shared,
    /// Each side keeps its context between messages.
    Kept,
}

impl Mode {
    pub(super) const ALL: [Mode; 3] = [Mode::Plain, Mode::Shared, Mode::Kept];

    pub(super) fn name(self) -> &'static str {
        match self {
            Mode::Plain => "plain",
            Mode::Shared => "shared",
            Mode::Kept => "kept",
        }
    }

    /// The configuration of the server for the mode with this name.
    pub(super) fn config(name: &str) -> Option<DeflateConfig> {
        let mode = Mode::ALL.into_iter().find(|mode| mode.name() == name)?;
        (mode != Mode::Plain).then_some(DeflateConfig {
            context_takeover: mode == Mode::Kept,
            least_bytes: 20,
            ..DeflateConfig::default()
        })
    }

    /// The value of `sec-websocket-extensions` in the response to an offer without parameters.
    pub(super) fn accepted(self) -> Option<&'static str> {
        match self {
            Mode::Plain => None,
            Mode::Shared => Some("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
            Mode::Kept => Some("permessage-deflate"),
        }
    }
}

pub(super) struct Deflate {
    keeps: bool,
    compress: Compress,
    decompress: Decompress,
}

impl Deflate {
    /// `None` without compression.
    pub(super) fn new(mode: Mode) -> Option<Self> {
        (mode != Mode::Plain).then(|| Deflate {
            keeps: mode == Mode::Kept,
            compress: Compress::new(Compression::fast(), false),
            decompress: Decompress::new(false),
        })
    }

    pub(super) fn compress(&mut self, message: &[u8]) -> Vec<u8> {
        if message.is_empty() {
            return vec![0];
        }
        if !self.keeps {
            self.compress.reset();
        }
        let (mut rest, mut compressed) = (message, Vec::new());
        while !rest.is_empty() || compressed.len() == compressed.capacity() {
            compressed.reserve(ROOM);
            let before = self.compress.total_in();
            let ended = self.compress.compress_vec(rest, &mut compressed, FlushCompress::Sync);
            ended.expect("the stream is valid");
            rest = &rest[(self.compress.total_in() - before) as usize..];
        }
        assert!(compressed.ends_with(&TAIL));
        compressed.truncate(compressed.len() - TAIL.len());
        compressed
    }

    pub(super) fn decompress(&mut self, payload: &[u8]) -> Result<Vec<u8>, String> {
        if !self.keeps {
            self.decompress.reset(false);
        }
        let input = [payload, &TAIL].concat();
        let (mut rest, mut message) = (&input[..], Vec::new());
        while !rest.is_empty() || message.len() == message.capacity() {
            message.reserve(ROOM);
            let before = self.decompress.total_in();
            let ended = self
                .decompress
                .decompress_vec(rest, &mut message, FlushDecompress::Sync);
            ended.map_err(|error| format!("a message is not compressed well: {error}"))?;
            rest = &rest[(self.decompress.total_in() - before) as usize..];
        }
        Ok(message)
    }
}
