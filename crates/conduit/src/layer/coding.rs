//! The content codings (RFC 9110, section 8.4.1) and their encoders. An encoder is a writer with an output buffer.

use std::io::{self, Write};

use brotli::CompressorWriter;
use flate2::Compress;
use flate2::write::ZlibEncoder;
use zstd::stream::raw::CParameter;

/// The compression levels: the defaults of the command-line tools, except for brotli, whose default takes ten times as long and
/// saves a few per cent.
const GZIP_LEVEL: u32 = 6;
const BROTLI_LEVEL: u32 = 4;
const ZSTD_LEVEL: i32 = 3;

/// The largest brotli window for a body in memory, as a power of two: 512 KiB. The encoder uses a few times that.
const BROTLI_WINDOW: u32 = 19;
/// The smallest brotli window.
const SMALLEST_BROTLI_WINDOW: u32 = 10;

/// The gzip window for a body in memory, as a power of two: 32 KiB.
const GZIP_WINDOW: u8 = 15;

/// Settings for streams, of which a client may keep many open: windows of 8, 64 and 32 KiB, and small tables.
const STREAM_GZIP_WINDOW: u8 = 13;
const STREAM_BROTLI_LEVEL: u32 = 2;
const STREAM_BROTLI_WINDOW: u32 = 16;
const STREAM_ZSTD_WINDOW: u32 = 15;
const STREAM_ZSTD_TABLE: u32 = 14;

const BUFFER_BYTES: usize = 4096;

/// The coding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// The name in `content-encoding`.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// The maximum memory of a stream's encoder.
    pub(super) const fn stream_bytes(self) -> usize {
        match self {
            Coding::Gzip | Coding::Deflate | Coding::Zstd => 384 * 1024,
            Coding::Brotli => 1024 * 1024,
        }
    }

    /// Returns the coding with this name, which is case-insensitive.
    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];
        if name.eq_ignore_ascii_case("x-gzip") {
            return Some(Coding::Gzip);
        }
        all.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.name()))
    }
}

/// Compresses the bytes written to it.
pub(super) enum Encoder {
    /// The engine writes the gzip format.
    Gzip(ZlibEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// Returns an encoder for a body of this length. `deflate` is sent as gzip, because clients interpret it in two ways.
    pub(super) fn for_length(coding: Coding, length: usize) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip | Coding::Deflate => Encoder::gzip(GZIP_WINDOW),
            Coding::Brotli => {
                let window = (length.max(1).ilog2() + 1).clamp(SMALLEST_BROTLI_WINDOW, BROTLI_WINDOW);
                Encoder::brotli(BROTLI_LEVEL, window)
            }
            Coding::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
        })
    }

    /// Returns an encoder for a stream, which uses about [`stream_bytes`](Coding::stream_bytes) of memory.
    pub(super) fn for_stream(coding: Coding) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip | Coding::Deflate => Encoder::gzip(STREAM_GZIP_WINDOW),
            Coding::Brotli => Encoder::brotli(STREAM_BROTLI_LEVEL, STREAM_BROTLI_WINDOW),
            Coding::Zstd => {
                let mut writer = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                writer.set_parameter(CParameter::WindowLog(STREAM_ZSTD_WINDOW))?;
                writer.set_parameter(CParameter::HashLog(STREAM_ZSTD_TABLE))?;
                writer.set_parameter(CParameter::ChainLog(STREAM_ZSTD_TABLE))?;
                Encoder::Zstd(writer)
            }
        })
    }

    fn gzip(window: u8) -> Self {
        let engine = Compress::new_gzip(flate2::Compression::new(GZIP_LEVEL), window);
        Encoder::Gzip(ZlibEncoder::new_with_compress(Vec::new(), engine))
    }

    fn brotli(level: u32, window: u32) -> Self {
        Encoder::Brotli(Box::new(CompressorWriter::new(Vec::new(), BUFFER_BYTES, level, window)))
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Encoder::Gzip(writer) => writer,
            Encoder::Brotli(writer) => writer,
            Encoder::Zstd(writer) => writer,
        }
    }

    fn output(&mut self) -> &mut Vec<u8> {
        match self {
            Encoder::Gzip(writer) => writer.get_mut(),
            Encoder::Brotli(writer) => writer.get_mut(),
            Encoder::Zstd(writer) => writer.get_mut(),
        }
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer().write_all(bytes)
    }

    /// Moves all pending input to the output, so that the client can decode it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }

    /// The number of available bytes.
    pub(super) fn ready_bytes(&mut self) -> usize {
        self.output().len()
    }

    /// Takes the output so far.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.output())
    }

    /// Ends the body and returns the remaining output.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Gzip(writer) => writer.finish(),
            Encoder::Brotli(writer) => Ok(writer.into_inner()),
            Encoder::Zstd(writer) => writer.finish(),
        }
    }
}
