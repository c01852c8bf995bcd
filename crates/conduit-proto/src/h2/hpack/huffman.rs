//! The Huffman code of string literals (RFC 7541, section 5.2 and appendix B).
//!
//! The code is canonical: codes of one length are consecutive, in the order of their symbols. So the lengths define the
//! code, and the compiler computes every table from them. Decoding looks up [`SHORT_BITS`] bits at once, which contain two
//! frequent symbols; the few longer codes, of rare symbols, are found by their length.

/// The lengths of the codes of all bytes, and of EOS (RFC 7541, appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const EOS: u16 = 256;
const SHORTEST: usize = 5;
const LONGEST: usize = 30;
/// The number of bits per lookup: two symbols of the alphabet, the digits or the frequent punctuation.
const SHORT_BITS: usize = 12;

/// A string of at most this length is decoded on the stack: growing the output would first set its bytes to zero.
const FEW_BYTES: usize = 40;

/// The code of each symbol, right-aligned.
static CODES: [u32; 257] = TABLES.codes;
/// For each sequence of [`SHORT_BITS`] bits, the symbols that it begins with.
static SHORT: [Symbols; 1 << SHORT_BITS] = short_codes();
/// The symbols in the order of their codes.
static SYMBOLS: [u16; 257] = TABLES.symbols;
static RANGES: [CodeRange; LONGEST + 1] = TABLES.ranges;

const TABLES: Tables = tables();

/// The complete symbols at the beginning of a sequence of bits.
#[derive(Clone, Copy)]
struct Symbols {
    /// The first one, and the second one or 0.
    pair: [u8; 2],
    /// Their number; 0 marks a longer code.
    count: u8,
    /// The length of their codes.
    length: u8,
}

/// The codes of one length.
#[derive(Clone, Copy)]
struct CodeRange {
    /// The first code of the length.
    code: u32,
    /// The number of codes.
    count: u32,
    /// The position of the first code's symbol in [`SYMBOLS`].
    position: u32,
}

struct Tables {
    codes: [u32; 257],
    symbols: [u16; 257],
    ranges: [CodeRange; LONGEST + 1],
}

const fn tables() -> Tables {
    let empty = CodeRange {
        code: 0,
        count: 0,
        position: 0,
    };
    let mut tables = Tables {
        codes: [0; 257],
        symbols: [0; 257],
        ranges: [empty; LONGEST + 1],
    };
    let (mut code, mut position, mut length) = (0_u32, 0, SHORTEST);
    while length <= LONGEST {
        tables.ranges[length].code = code;
        tables.ranges[length].position = position as u32;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                tables.codes[symbol] = code;
                tables.symbols[position] = symbol as u16;
                tables.ranges[length].count += 1;
                code += 1;
                position += 1;
            }
            symbol += 1;
        }
        code <<= 1;
        length += 1;
    }
    tables
}

const fn short_codes() -> [Symbols; 1 << SHORT_BITS] {
    let none = Symbols {
        pair: [0; 2],
        count: 0,
        length: 0,
    };
    let mut short = [none; 1 << SHORT_BITS];
    let mut symbol = 0;
    while symbol < 256 {
        let length = LENGTHS[symbol] as usize;
        if length <= SHORT_BITS {
            let free = SHORT_BITS - length;
            let first = (TABLES.codes[symbol] as usize) << free;
            let mut at = first;
            while at < first + (1 << free) {
                short[at] = Symbols {
                    pair: [symbol as u8, 0],
                    count: 1,
                    length: length as u8,
                };
                at += 1;
            }
        }
        symbol += 1;
    }
    let mut at = 0;
    while at < short.len() {
        let first = short[at];
        // The bits after the first symbol, followed by zeros: the first symbol of their entry.
        let second = short[(at << first.length) & (short.len() - 1)];
        let length = LENGTHS[second.pair[0] as usize];
        if first.count == 1 && second.count > 0 && (first.length + length) as usize <= SHORT_BITS {
            short[at] = Symbols {
                pair: [first.pair[0], second.pair[0]],
                count: 2,
                length: first.length + length,
            };
        }
        at += 1;
    }
    short
}

/// The length of the bytes after encoding.
pub(super) fn encoded_length(bytes: &[u8]) -> usize {
    let bits: usize = bytes.iter().map(|&byte| usize::from(LENGTHS[usize::from(byte)])).sum();
    bits.div_ceil(8)
}

/// Appends the encoded bytes.
pub(super) fn encode(bytes: &[u8], out: &mut Vec<u8>) {
    // The low `count` bits of `bits` are not written yet; `count < 32` before each symbol.
    let (mut bits, mut count) = (0_u64, 0);
    for &byte in bytes {
        let length = u32::from(LENGTHS[usize::from(byte)]);
        bits = bits << length | u64::from(CODES[usize::from(byte)]);
        count += length;
        if count >= 32 {
            count -= 32;
            out.extend_from_slice(&((bits >> count) as u32).to_be_bytes());
        }
    }
    // The padding is a prefix of EOS: ones.
    let padding = count.wrapping_neg() & 7;
    bits = bits << padding | ((1 << padding) - 1);
    count += padding;
    while count > 0 {
        count -= 8;
        out.push((bits >> count) as u8);
    }
}

/// Appends the decoded bytes. Returns `None` if the input contains EOS, or its padding is longer than 7 bits or not all
/// ones.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    // No code is shorter than five bits; a pair has room for a second symbol.
    if input.len() <= FEW_BYTES {
        let mut decoded = [0; FEW_BYTES * 8 / SHORTEST + 1];
        let length = decode_into(input, &mut decoded)?;
        out.extend_from_slice(&decoded[..length]);
        return Some(());
    }
    out.resize(start + input.len() * 8 / SHORTEST + 1, 0);
    let length = decode_into(input, &mut out[start..]);
    out.truncate(start + length.unwrap_or(0));
    length.map(|_| ())
}

/// Decodes into `output`, which must have room for the longest result and a byte. Returns the number of decoded bytes.
fn decode_into(input: &[u8], output: &mut [u8]) -> Option<usize> {
    let (mut rest, mut written) = (input, 0);
    // The top `count` bits of `bits` are the next bits of the input; once `rest` is empty, the others are zero.
    let (mut bits, mut count) = (0_u64, 0_usize);
    loop {
        if !rest.is_empty() {
            let taken = rest.len().min((64 - count) / 8);
            let word = match rest.first_chunk::<8>() {
                // The bits of the next byte, which has no room as a whole, are set again with it.
                Some(word) => *word,
                None => last_word(rest),
            };
            bits |= u64::from_be_bytes(word) >> count;
            rest = &rest[taken..];
            count += 8 * taken;
        }
        // No short code exceeds the bits that are left.
        while count >= SHORT_BITS {
            let symbols = SHORT[(bits >> (64 - SHORT_BITS)) as usize];
            if symbols.count == 0 {
                break;
            }
            *output.get_mut(written..)?.first_chunk_mut()? = symbols.pair;
            written += usize::from(symbols.count);
            bits <<= symbols.length;
            count -= usize::from(symbols.length);
        }
        if count < LONGEST && !rest.is_empty() {
            continue;
        }
        let (symbol, length) = match SHORT[(bits >> (64 - SHORT_BITS)) as usize] {
            Symbols { count: 0, .. } => match long_code(bits) {
                // The end of the input: ones that are not a complete symbol.
                (_, length) if length > count => return is_padding(bits, count).then_some(written),
                (EOS, _) => return None,
                long => (long.0 as u8, long.1),
            },
            // The second symbol may be beyond the end of the input.
            Symbols { pair: [symbol, _], .. } => match usize::from(LENGTHS[usize::from(symbol)]) {
                length if length > count => return is_padding(bits, count).then_some(written),
                length => (symbol, length),
            },
        };
        *output.get_mut(written)? = symbol;
        written += 1;
        bits <<= length;
        count -= length;
    }
}

/// Fewer than eight bytes, followed by zeros. Two loads that overlap are cheaper than a copy of any length.
#[inline]
fn last_word(rest: &[u8]) -> [u8; 8] {
    match (rest.first_chunk::<4>(), rest.last_chunk::<4>()) {
        (Some(first), Some(last)) => {
            let (first, last) = (
                u64::from(u32::from_be_bytes(*first)),
                u64::from(u32::from_be_bytes(*last)),
            );
            (first << 32 | last << (8 * (8 - rest.len()))).to_be_bytes()
        }
        _ => {
            let mut word = [0; 8];
            for (place, &byte) in word.iter_mut().zip(rest) {
                *place = byte;
            }
            word
        }
    }
}

/// The symbol of a code that is longer than [`SHORT_BITS`], and its length.
#[cold]
fn long_code(bits: u64) -> (u16, usize) {
    for (length, range) in RANGES.iter().enumerate().take(LONGEST).skip(SHORT_BITS + 1) {
        let offset = ((bits >> (64 - length)) as u32).wrapping_sub(range.code);
        if offset < range.count {
            return (SYMBOLS[(range.position + offset) as usize], length);
        }
    }
    // No shorter code matches, so this is one of the longest.
    let range = RANGES[LONGEST];
    let offset = ((bits >> (64 - LONGEST)) as u32)
        .wrapping_sub(range.code)
        .min(range.count - 1);
    (SYMBOLS[(range.position + offset) as usize], LONGEST)
}

/// Returns whether the last bits are padding: fewer than eight, and a prefix of EOS.
fn is_padding(bits: u64, count: usize) -> bool {
    count < 8 && (bits >> 56) as u8 == !(0xff_u8 >> count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes bit by bit.
    fn decode_plainly(input: &[u8]) -> Option<Vec<u8>> {
        let (mut decoded, mut code, mut length) = (Vec::new(), 0_u32, 0);
        for bit in input.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)) {
            (code, length) = (code << 1 | u32::from(bit), length + 1);
            let symbol = (0..257).find(|&symbol| LENGTHS[symbol] == length && CODES[symbol] == code);
            match symbol {
                Some(256) => return None,
                Some(symbol) => {
                    decoded.push(symbol as u8);
                    (code, length) = (0, 0);
                }
                None if length > 30 => return None,
                None => {}
            }
        }
        (length < 8 && code == (1 << length) - 1).then_some(decoded)
    }

    fn decode_quickly(input: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"before".to_vec();
        decode(input, &mut out)?;
        Some(out.split_off(6))
    }

    #[test]
    fn first_and_last_codes_equal_the_appendix() {
        assert_eq!(CODES[usize::from(b'0')], 0x0);
        assert_eq!(CODES[0], 0x1ff8);
        assert_eq!(CODES[usize::from(b'~')], 0x1ffd);
        assert_eq!(CODES[249], 0x0fff_fffe);
        assert_eq!(CODES[256], 0x3fff_ffff);
    }

    #[test]
    fn every_byte_is_decoded_at_every_bit_position() {
        for byte in 0..=255 {
            for before in 0..8 {
                let mut bytes = vec![b'0'; before];
                bytes.extend([byte, byte]);
                let mut encoded = Vec::new();
                encode(&bytes, &mut encoded);
                assert_eq!(encoded.len(), encoded_length(&bytes));
                assert_eq!(decode_quickly(&encoded).as_ref(), Some(&bytes));
            }
        }
    }

    proptest! {
        #[test]
        fn encoding_and_decoding_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut encoded = Vec::new();
            encode(&bytes, &mut encoded);
            prop_assert_eq!(encoded.len(), encoded_length(&bytes));
            prop_assert_eq!(decode_quickly(&encoded), Some(bytes));
        }

        #[test]
        fn table_decoding_agrees_with_bitwise_decoding(input in prop::collection::vec(prop_oneof![any::<u8>(), Just(0xff), 0xf8_u8..], 0..24)) {
            prop_assert_eq!(decode_quickly(&input), decode_plainly(&input));
        }
    }
}
