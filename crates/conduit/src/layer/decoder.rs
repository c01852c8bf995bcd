//! Decoders of the content codings, with bounded output per step.

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Operation};

use super::coding::Coding;
use crate::body::BodyError;

/// The maximum output of a step.
const STEP_BYTES: usize = 32 * 1024;
/// The minimum output buffer of a step.
const LEAST_STEP_BYTES: usize = 1024;

/// The largest window of a zstd frame, as a power of two: 8 MiB (RFC 9659).
const ZSTD_WINDOW: u32 = 23;
/// The gzip window, as a power of two (RFC 1951).
const GZIP_WINDOW: u8 = 15;
/// The smallest and largest brotli windows with a four-bit code (RFC 7932, section 9.1).
const BROTLI_WINDOWS: std::ops::RangeInclusive<u32> = 18..=24;

/// Decompresses step by step, up to a limit.
pub(super) struct Decoder {
    engine: Engine,
    coding: Coding,
    limit_bytes: u64,
    given_bytes: u64,
    /// The input ends at a stream boundary, so the body may end here.
    is_whole: bool,
}

enum Engine {
    Gzip(Decompress),
    Deflate(Decompress),
    Brotli(Box<Brotli>),
    Zstd(zstd::stream::raw::Decoder<'static>),
}

/// The result of one step.
pub(super) struct Step {
    /// The number of consumed input bytes.
    pub(super) used: usize,
    pub(super) output: Vec<u8>,
    /// The output buffer is full: there may be more output without further input.
    pub(super) is_full: bool,
}

impl Decoder {
    /// Returns a decoder with an output limit of `limit_bytes`.
    pub(super) fn new(coding: Coding, limit_bytes: u64) -> Self {
        let engine = match coding {
            Coding::Gzip => Engine::Gzip(Decompress::new_gzip(GZIP_WINDOW)),
            Coding::Deflate => Engine::Deflate(Decompress::new(true)),
            Coding::Brotli => Engine::Brotli(Box::new(Brotli::new(limit_bytes))),
            Coding::Zstd => Engine::Zstd(zstd_decoder().expect("zstd supports this window size")),
        };
        Decoder {
            engine,
            coding,
            limit_bytes,
            given_bytes: 0,
            is_whole: false,
        }
    }

    /// Decompresses input until one step's output is full.
    ///
    /// # Errors
    ///
    /// Returns an error if the input is malformed or the output exceeds the limit.
    pub(super) fn step(&mut self, input: &[u8]) -> Result<Step, BodyError> {
        // One byte beyond the limit reveals that it is exceeded.
        let left = usize::try_from(self.limit_bytes - self.given_bytes).unwrap_or(usize::MAX);
        let wanted = input.len().saturating_mul(4).clamp(LEAST_STEP_BYTES, STEP_BYTES);
        let mut output = vec![0; wanted.min(left.saturating_add(1))];
        let (mut used, mut given) = (0, 0);
        while given < output.len() {
            let rest = &input[used..];
            if self.is_whole && rest.is_empty() {
                break;
            }
            let progress = self.advance(rest, &mut output[given..])?;
            used += progress.used;
            given += progress.given;
            if progress.used == 0 && progress.given == 0 {
                if rest.is_empty() {
                    break;
                }
                return Err(self.malformed());
            }
        }
        self.given_bytes += given as u64;
        BodyError::check_length(self.given_bytes, self.limit_bytes)?;
        let is_full = given == output.len();
        output.truncate(given);
        Ok(Step { used, output, is_full })
    }

    /// Checks that the body may end here.
    ///
    /// # Errors
    ///
    /// Returns an error if the input is truncated.
    pub(super) fn finish(&self) -> Result<(), BodyError> {
        if self.is_whole { Ok(()) } else { Err(self.malformed()) }
    }

    fn malformed(&self) -> BodyError {
        BodyError::Malformed {
            coding: self.coding.name(),
        }
    }

    fn advance(&mut self, input: &[u8], output: &mut [u8]) -> Result<Progress, BodyError> {
        let advanced = match &mut self.engine {
            // A body may have several members (RFC 1952, section 2.2).
            Engine::Gzip(inflate) => {
                if self.is_whole {
                    inflate.reset(true);
                }
                inflated(inflate, input, output)
            }
            // Data after the stream is an error.
            Engine::Deflate(_) | Engine::Brotli(_) if self.is_whole => None,
            Engine::Deflate(inflate) => inflated(inflate, input, output),
            Engine::Brotli(brotli) => brotli.advance(input, output),
            // A body may have several frames (RFC 8878, section 3).
            Engine::Zstd(decoder) => decoder.run_on_buffers(input, output).ok().map(|status| Progress {
                used: status.bytes_read,
                given: status.bytes_written,
                is_end: status.remaining == 0,
            }),
        };
        let progress = advanced.ok_or_else(|| self.malformed())?;
        self.is_whole = progress.is_end;
        Ok(progress)
    }
}

fn zstd_decoder() -> std::io::Result<zstd::stream::raw::Decoder<'static>> {
    let mut decoder = zstd::stream::raw::Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW))?;
    Ok(decoder)
}

/// The input and output bytes of one engine call.
struct Progress {
    used: usize,
    given: usize,
    /// The stream has ended.
    is_end: bool,
}

fn inflated(inflate: &mut Decompress, input: &[u8], output: &mut [u8]) -> Option<Progress> {
    let (used, given) = (inflate.total_in(), inflate.total_out());
    let status = inflate.decompress(input, output, FlushDecompress::None).ok()?;
    Some(Progress {
        used: (inflate.total_in() - used) as usize,
        given: (inflate.total_out() - given) as usize,
        is_end: status == Status::StreamEnd,
    })
}

/// A brotli decoder without large windows, whose window does not exceed the output limit.
struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    limit_bytes: u64,
    has_begun: bool,
    total_bytes: usize,
}

impl Brotli {
    fn new(limit_bytes: u64) -> Self {
        let alloc = StandardAlloc::default;
        Brotli {
            // Rejects large windows, an extension with which a few bytes allocate a gigabyte.
            state: BrotliState::new_strict(alloc(), alloc(), alloc()),
            limit_bytes,
            has_begun: false,
            total_bytes: 0,
        }
    }

    fn advance(&mut self, input: &[u8], output: &mut [u8]) -> Option<Progress> {
        let first;
        let mut input = input;
        if !self.has_begun
            && let Some(byte) = input.first()
        {
            self.has_begun = true;
            first = [with_window_for(*byte, self.limit_bytes)];
            input = &first;
        }
        let (mut available_in, mut used) = (input.len(), 0);
        let (mut available_out, mut given) = (output.len(), 0);
        let result = BrotliDecompressStream(
            &mut available_in,
            &mut used,
            input,
            &mut available_out,
            &mut given,
            output,
            &mut self.total_bytes,
            &mut self.state,
        );
        match result {
            BrotliResult::ResultFailure => None,
            result => Some(Progress {
                used,
                given,
                is_end: matches!(result, BrotliResult::ResultSuccess),
            }),
        }
    }
}

/// Returns the first byte of a brotli stream with the smallest window that suffices for `limit_bytes` of output.
///
/// The decoder allocates the window up front. A window that holds all of the output yields the same result as any larger one:
/// the maximum distance is the smaller of the window less 16 and the output so far (RFC 7932, section 2).
fn with_window_for(byte: u8, limit_bytes: u64) -> u8 {
    let (smallest, largest) = (*BROTLI_WINDOWS.start(), *BROTLI_WINDOWS.end());
    let declared = u32::from(byte >> 1 & 0b111) + 17;
    // The codes of other windows have other lengths: one bit for 64 KiB, seven bits for those up to 128 KiB.
    if byte & 1 == 0 || !BROTLI_WINDOWS.contains(&declared) {
        return byte;
    }
    let needed = (smallest..largest)
        .find(|bits| (1 << bits) - 16 >= limit_bytes)
        .unwrap_or(largest);
    let window = declared.min(needed) - 17;
    (byte & !0b1110) | (window as u8) << 1
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// Decompresses input in pieces of this length; returns the output and the largest step.
    fn decode(coding: Coding, limit_bytes: u64, input: &[u8], piece: usize) -> Result<(Vec<u8>, usize), BodyError> {
        let mut decoder = Decoder::new(coding, limit_bytes);
        let (mut output, mut largest) = (Vec::new(), 0);
        for mut piece in input.chunks(piece) {
            loop {
                let step = decoder.step(piece)?;
                piece = &piece[step.used..];
                largest = largest.max(step.output.len());
                output.extend(step.output);
                if piece.is_empty() && !step.is_full {
                    break;
                }
            }
        }
        decoder.finish()?;
        Ok((output, largest))
    }

    fn coded(coding: Coding, plain: &[u8], window: u32) -> Vec<u8> {
        let mut coded = Vec::new();
        match coding {
            Coding::Gzip => flate2::read::GzEncoder::new(plain, flate2::Compression::default()).read_to_end(&mut coded),
            Coding::Deflate => {
                flate2::read::ZlibEncoder::new(plain, flate2::Compression::default()).read_to_end(&mut coded)
            }
            Coding::Brotli => brotli::CompressorReader::new(plain, 4096, 5, window).read_to_end(&mut coded),
            Coding::Zstd => zstd::stream::read::Encoder::new(plain, 3).and_then(|mut e| e.read_to_end(&mut coded)),
        }
        .expect("memory");
        coded
    }

    const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

    #[test]
    fn output_is_the_same_for_each_coding_and_cut() {
        let plain: Vec<u8> = (0..300_000_u32)
            .flat_map(|number| (number / 7 % 1000).to_be_bytes())
            .collect();
        for coding in CODINGS {
            let coded = coded(coding, &plain, 24);
            for piece in [1, 1000, usize::MAX] {
                let (output, largest) = decode(coding, plain.len() as u64, &coded, piece).expect("decodes");
                assert!(output == plain, "{coding:?} in pieces of {piece}");
                assert!(largest <= STEP_BYTES);
            }
            for cut in [1, coded.len() / 2, coded.len() - 1] {
                let result = decode(coding, 1 << 30, &coded[..cut], usize::MAX);
                assert!(
                    matches!(result, Err(BodyError::Malformed { .. })),
                    "{coding:?} cut at {cut}"
                );
            }
        }
    }

    #[test]
    fn output_beyond_the_limit_is_refused_within_a_step() {
        for coding in CODINGS {
            let coded = coded(coding, &vec![0; 64 << 20], 22);
            for limit in [0, 1, 1 << 20] {
                let result = decode(coding, limit, &coded, usize::MAX);
                assert!(
                    matches!(result, Err(BodyError::TooLarge { limit_bytes }) if limit_bytes == limit),
                    "{coding:?}, {limit}: {:?}",
                    result.map(|(output, _)| output.len()),
                );
            }
        }
    }

    #[test]
    fn members_and_frames_follow_each_other_and_other_bytes_do_not() {
        for coding in CODINGS {
            let one = coded(coding, b"one", 22);
            let two = [&one[..], &coded(coding, b"two", 22)].concat();
            let joined = decode(coding, 100, &two, usize::MAX);
            match coding {
                Coding::Gzip | Coding::Zstd => assert_eq!(joined.expect("decodes").0, b"onetwo"),
                Coding::Deflate | Coding::Brotli => assert!(joined.is_err(), "{coding:?}"),
            }
            assert!(
                decode(coding, 100, &[&one[..], b"more"].concat(), 1).is_err(),
                "{coding:?}"
            );
            assert!(decode(coding, 100, b"", 1).is_err(), "{coding:?}");
        }
    }

    #[test]
    fn brotli_with_a_large_window_is_refused() {
        let mut params = brotli::enc::BrotliEncoderParams::default();
        (params.large_window, params.lgwin, params.quality) = (true, 30, 5);
        let mut coded = Vec::new();
        brotli::BrotliCompress(&mut &[0; 1000][..], &mut coded, &params).expect("memory");
        let result = decode(Coding::Brotli, 1 << 20, &coded, usize::MAX);
        assert!(matches!(result, Err(BodyError::Malformed { .. })));
    }

    #[test]
    fn brotli_decodes_the_same_with_the_window_of_the_limit() {
        let mut plain: Vec<u8> = (0..=u8::MAX).cycle().take(500_000).collect();
        plain.extend(std::iter::repeat_n(7, 24_288));
        assert_eq!(plain.len(), 1 << 19);
        for window in 10..=24 {
            let coded = coded(Coding::Brotli, &plain, window);
            for limit in [plain.len() as u64, 1 << 30] {
                let (output, _) = decode(Coding::Brotli, limit, &coded, usize::MAX).expect("decodes");
                assert!(output == plain, "window {window}, limit {limit}");
            }
        }
        // A four-bit window code becomes the smallest that holds the limit; other codes are unchanged.
        let declares = |bits: u8| (bits - 17) << 1 | 1;
        assert_eq!(with_window_for(declares(24), 1000), declares(18));
        assert_eq!(with_window_for(declares(24), (1 << 20) - 16), declares(20));
        assert_eq!(with_window_for(declares(24), 1 << 20), declares(21));
        assert_eq!(with_window_for(declares(24), u64::MAX), declares(24));
        assert_eq!(with_window_for(declares(19), u64::MAX), declares(19));
        assert_eq!(with_window_for(0xF0 | declares(24), 0), 0xF0 | declares(18));
        for other in [0b0, 0b1_0000, 0b0111_0001, 0b0001_0001] {
            assert_eq!(with_window_for(other, 0), other);
        }
    }

    #[test]
    fn zstd_with_a_window_over_8_mib_is_refused() {
        let frame = |log: u32| {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("an encoder");
            encoder.window_log(log).expect("a window");
            encoder.write_all(&[0; 1000]).expect("memory");
            encoder.flush().expect("memory");
            encoder.finish().expect("memory")
        };
        assert!(decode(Coding::Zstd, 1 << 20, &frame(23), usize::MAX).is_ok());
        assert!(decode(Coding::Zstd, 1 << 20, &frame(24), usize::MAX).is_err());
    }
}
