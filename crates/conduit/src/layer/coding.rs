//! The content codings (RFC 9110, section 8.4.1) and their encoders, as writers: bytes go in, and the output is taken later.

use std::io::{self, Write};

use brotli::CompressorWriter;
use flate2::write::GzEncoder;

/// The speed and size that the codings are set to: that of their own tools' defaults, but for brotli, whose default takes
/// ten times as long for a few per cent.
const GZIP_LEVEL: u32 = 6;
const BROTLI_LEVEL: u32 = 4;
const ZSTD_LEVEL: i32 = 3;

/// Brotli's window, as a power of two: 512 KiB. Its memory is a few times that.
const BROTLI_WINDOW: u32 = 19;
/// The same for the smallest bodies.
const SMALLEST_BROTLI_WINDOW: u32 = 10;
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
    /// As `content-encoding` has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Deflate => "deflate",
            Coding::Brotli => "br",
            Coding::Zstd => "zstd",
        }
    }

    /// The coding with this name, in any case.
    pub(super) fn named(name: &str) -> Option<Self> {
        let all = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];
        if name.eq_ignore_ascii_case("x-gzip") {
            return Some(Coding::Gzip);
        }
        all.into_iter().find(|coding| name.eq_ignore_ascii_case(coding.name()))
    }
}

/// Compresses what is written into it.
pub(super) enum Encoder {
    Gzip(GzEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// An encoder for so many bytes, where that is known. Nothing is compressed with `deflate`, which clients read in two ways.
    pub(super) fn new(coding: Coding, length: Option<usize>) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip | Coding::Deflate => {
                Encoder::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL)))
            }
            Coding::Brotli => {
                let bits = length.map_or(BROTLI_WINDOW, |length| length.max(1).ilog2() + 1);
                let window = bits.clamp(SMALLEST_BROTLI_WINDOW, BROTLI_WINDOW);
                let writer = CompressorWriter::new(Vec::new(), BUFFER_BYTES, BROTLI_LEVEL, window);
                Encoder::Brotli(Box::new(writer))
            }
            Coding::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
        })
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

    /// Brings everything that was written into the output, so that the client can read it.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.writer().flush()
    }

    /// The number of available bytes.
    pub(super) fn ready_bytes(&mut self) -> usize {
        self.output().len()
    }

    /// Takes what has come out so far.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(self.output())
    }

    /// Ends the body: what is left of the output.
    pub(super) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Encoder::Gzip(writer) => writer.finish(),
            Encoder::Brotli(writer) => Ok(writer.into_inner()),
            Encoder::Zstd(writer) => writer.finish(),
        }
    }
}
