//! The content codings (RFC 9110, section 8.4.1), as writers: bytes go in, and what comes out is taken when it suits.

use std::io::{self, Write};

use brotli::{CompressorWriter, DecompressorWriter};
use flate2::write::{GzEncoder, MultiGzDecoder, ZlibDecoder};

use crate::body::BodyError;

/// The speed and size that the codings are set to: that of their own tools' defaults, but for brotli, whose default takes
/// ten times as long for a few per cent.
const GZIP_LEVEL: u32 = 6;
const BROTLI_LEVEL: u32 = 4;
const ZSTD_LEVEL: i32 = 3;

/// How far brotli looks back, as a power of two: 512 KiB. Its memory is a few times that.
const BROTLI_WINDOW: u32 = 19;
/// The same for the smallest bodies.
const SMALLEST_BROTLI_WINDOW: u32 = 10;
/// How far a decompressor of zstd lets the client make it look back: 8 MiB, which RFC 9659 sets as the limit.
const ZSTD_WINDOW: u32 = 23;
const BUFFER_BYTES: usize = 4096;

/// What a body is compressed with.
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

    /// The coding with this name, whatever its case.
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

    /// How many bytes can be taken.
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

/// Output of a decoder that cannot become longer than it may.
struct Bounded {
    bytes: Vec<u8>,
    /// How many more bytes may come, over all that were taken.
    left: u64,
    exceeded: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.left.checked_sub(bytes.len() as u64) {
            Some(left) => self.left = left,
            None => {
                self.exceeded = true;
                return Err(io::Error::other("the output is longer than it may be"));
            }
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decompresses what is written into it, up to a limit.
pub(super) struct Decoder {
    writer: Writer,
    coding: Coding,
    limit_bytes: u64,
}

enum Writer {
    Gzip(MultiGzDecoder<Bounded>),
    Deflate(ZlibDecoder<Bounded>),
    Brotli(Box<DecompressorWriter<Bounded>>),
    Zstd(zstd::stream::write::Decoder<'static, Bounded>),
}

impl Decoder {
    /// A decoder that gives at most so many bytes.
    pub(super) fn new(coding: Coding, limit_bytes: u64) -> io::Result<Self> {
        let output = Bounded {
            bytes: Vec::new(),
            left: limit_bytes,
            exceeded: false,
        };
        let writer = match coding {
            Coding::Gzip => Writer::Gzip(MultiGzDecoder::new(output)),
            Coding::Deflate => Writer::Deflate(ZlibDecoder::new(output)),
            Coding::Brotli => Writer::Brotli(Box::new(DecompressorWriter::new(output, BUFFER_BYTES))),
            Coding::Zstd => {
                let mut writer = zstd::stream::write::Decoder::new(output)?;
                writer.window_log_max(ZSTD_WINDOW)?;
                Writer::Zstd(writer)
            }
        };
        Ok(Decoder {
            writer,
            coding,
            limit_bytes,
        })
    }

    fn output(&mut self) -> &mut Bounded {
        match &mut self.writer {
            Writer::Gzip(writer) => writer.get_mut(),
            Writer::Deflate(writer) => writer.get_mut(),
            Writer::Brotli(writer) => writer.get_mut(),
            Writer::Zstd(writer) => writer.get_mut(),
        }
    }

    /// What these bytes give, which may be nothing yet.
    ///
    /// # Errors
    ///
    /// When they are not in the coding, or when they give more than the limit.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<Vec<u8>, BodyError> {
        let writer: &mut dyn Write = match &mut self.writer {
            Writer::Gzip(writer) => writer,
            Writer::Deflate(writer) => writer,
            Writer::Brotli(writer) => writer,
            Writer::Zstd(writer) => writer,
        };
        let written = writer.write_all(bytes).and_then(|()| writer.flush());
        self.taken(written)
    }

    /// What is left at the end of the body.
    ///
    /// # Errors
    ///
    /// When the body ends in the middle.
    pub(super) fn finish(&mut self) -> Result<Vec<u8>, BodyError> {
        let finished = match &mut self.writer {
            Writer::Gzip(writer) => writer.try_finish(),
            Writer::Deflate(writer) => writer.try_finish(),
            Writer::Brotli(writer) => writer.close(),
            Writer::Zstd(writer) => writer.do_finish(),
        };
        self.taken(finished)
    }

    fn taken(&mut self, result: io::Result<()>) -> Result<Vec<u8>, BodyError> {
        let (limit_bytes, coding) = (self.limit_bytes, self.coding.name());
        let output = self.output();
        match result {
            Ok(()) => Ok(std::mem::take(&mut output.bytes)),
            Err(_) if output.exceeded => Err(BodyError::TooLarge { limit_bytes }),
            Err(_) => Err(BodyError::Malformed { coding }),
        }
    }
}
