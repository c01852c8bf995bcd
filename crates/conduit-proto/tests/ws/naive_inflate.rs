//! A naive decompressor (RFC 1951), which knows where blocks end.

/// The end of a message's compressed form, which is not sent (RFC 7692, section 7.2.1).
pub(crate) const TAIL: &[u8] = b"\x00\x00\xff\xff";

/// The cause of the end of the output.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The input ends between two blocks.
    Boundary,
    /// The input ends with the last block of a stream.
    Stream,
    /// The input ends within a block.
    Within,
    Invalid,
}

struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Result<usize, End> {
        let mut value = 0;
        for place in 0..count {
            let byte = self.bytes.get(self.at / 8).ok_or(End::Within)?;
            value |= usize::from(byte >> (self.at % 8) & 1) << place;
            self.at += 1;
        }
        Ok(value)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}

/// A canonical Huffman code: the lengths of its symbols.
struct Code(Vec<usize>);

impl Code {
    /// Checks that the code is complete, or has a single symbol where that is permitted.
    fn new(lengths: &[usize], is_single_permitted: bool) -> Result<Self, End> {
        let used: Vec<usize> = lengths.iter().copied().filter(|length| *length > 0).collect();
        let sum: usize = used.iter().map(|length| 1 << (15 - length)).sum();
        let is_single = is_single_permitted && (used.is_empty() || used == [1]);
        match sum == 1 << 15 || is_single {
            true => Ok(Self(lengths.to_vec())),
            false => Err(End::Invalid),
        }
    }

    fn symbol(&self, bits: &mut Bits<'_>) -> Result<usize, End> {
        let (mut code, mut first) = (0, 0);
        for length in 1..=15 {
            code = code << 1 | bits.take(1)?;
            let symbols: Vec<usize> = (0..self.0.len()).filter(|symbol| self.0[*symbol] == length).collect();
            if code < first + symbols.len() {
                return Ok(symbols[code - first]);
            }
            first = (first + symbols.len()) << 1;
        }
        Err(End::Invalid)
    }
}

/// The output of all blocks, and the cause of its end. After a last block another stream may follow, at most this number of times.
fn naive(bytes: &[u8], mut streams: usize) -> (Vec<u8>, End) {
    let (mut bits, mut output, mut window) = (Bits { bytes, at: 0 }, Vec::new(), 0);
    let mut end = End::Boundary;
    loop {
        if bits.at == 8 * bytes.len() {
            return (output, end);
        }
        if end == End::Stream {
            match streams.checked_sub(1) {
                Some(left) => streams = left,
                None => return (output, End::Invalid),
            }
        }
        end = End::Boundary;
        match block(&mut bits, &mut output, window) {
            Ok(true) => {
                bits.align();
                window = output.len();
                end = End::Stream;
            }
            Ok(false) => {}
            Err(cause) => return (output, cause),
        }
    }
}

/// Decodes a block; returns whether it is the last one of its stream.
fn block(bits: &mut Bits<'_>, output: &mut Vec<u8>, window: usize) -> Result<bool, End> {
    let is_last = bits.take(1)? == 1;
    let (symbols, distances) = match bits.take(2)? {
        0 => {
            bits.align();
            let (length, check) = (bits.take(16)?, bits.take(16)?);
            if length ^ check != 0xffff {
                return Err(End::Invalid);
            }
            for _ in 0..length {
                output.push(bits.take(8)? as u8);
            }
            return Ok(is_last);
        }
        1 => {
            let lengths = [vec![8; 144], vec![9; 112], vec![7; 24], vec![8; 8]].concat();
            (Code::new(&lengths, false)?, Code::new(&[5; 32], false)?)
        }
        2 => header(bits)?,
        _ => return Err(End::Invalid),
    };
    loop {
        let symbol = symbols.symbol(bits)?;
        match symbol {
            0..256 => output.push(symbol as u8),
            256 => return Ok(is_last),
            _ => copy(symbol - 257, &distances, bits, output, window)?,
        }
    }
}

/// The codes of a dynamic block (RFC 1951, section 3.2.7).
fn header(bits: &mut Bits<'_>) -> Result<(Code, Code), End> {
    let (symbols, distances) = (257 + bits.take(5)?, 1 + bits.take(5)?);
    if symbols > 286 || distances > 30 {
        return Err(End::Invalid);
    }
    let mut lengths = [0; 19];
    let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
    for place in &order[..4 + bits.take(4)?] {
        lengths[*place] = bits.take(3)?;
    }
    let code = Code::new(&lengths, false)?;
    let mut lengths = Vec::new();
    while lengths.len() < symbols + distances {
        let (length, count) = match code.symbol(bits)? {
            16 => (*lengths.last().ok_or(End::Invalid)?, 3 + bits.take(2)?),
            17 => (0, 3 + bits.take(3)?),
            18 => (0, 11 + bits.take(7)?),
            length => (length, 1),
        };
        lengths.resize(lengths.len() + count, length);
    }
    if lengths.len() > symbols + distances || lengths[256] == 0 {
        return Err(End::Invalid);
    }
    let (symbols, distances) = lengths.split_at(symbols);
    Ok((Code::new(symbols, true)?, Code::new(distances, true)?))
}

fn copy(symbol: usize, code: &Code, bits: &mut Bits<'_>, output: &mut Vec<u8>, window: usize) -> Result<(), End> {
    let length = match symbol {
        0..8 => 3 + symbol,
        8..28 => {
            let extra = symbol / 4 - 1;
            3 + ((4 + symbol % 4) << extra) + bits.take(extra)?
        }
        28 => 258,
        _ => return Err(End::Invalid),
    };
    let distance = match code.symbol(bits)? {
        symbol @ 0..4 => 1 + symbol,
        symbol @ 4..30 => {
            let extra = symbol / 2 - 1;
            1 + ((2 + symbol % 2) << extra) + bits.take(extra)?
        }
        _ => return Err(End::Invalid),
    };
    if distance > output.len() - window {
        return Err(End::Invalid);
    }
    for _ in 0..length {
        output.push(output[output.len() - distance]);
    }
    Ok(())
}

/// The message with this compressed form: it ends with the last block of a stream, or with a block that the tail completes, which
/// has no output.
pub(crate) fn expected(compressed: &[u8]) -> Option<Vec<u8>> {
    let streams = 16 + compressed.len() / 1024;
    let (message, end) = naive(compressed, streams);
    if end == End::Stream {
        return Some(message);
    }
    let (whole, end) = naive(&[compressed, TAIL].concat(), streams);
    (matches!(end, End::Boundary | End::Stream) && whole == message).then_some(message)
}
