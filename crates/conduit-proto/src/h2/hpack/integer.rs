//! Integers with a prefix (RFC 7541, section 5.1).

use super::DecodeError;

/// Appends an integer. Its prefix is the low `prefix` bits of the first byte; `first` contains the bits above it.
#[inline]
pub(super) fn encode(out: &mut Vec<u8>, first: u8, prefix: u8, value: usize) {
    let most = (1 << prefix) - 1;
    if value < most {
        out.push(first | value as u8);
        return;
    }
    out.push(first | most as u8);
    let mut rest = value - most;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Decodes the integer at the start of the non-empty `input`, and advances `input` past it.
///
/// An integer of more than 32 bits, or with more than five bytes after its prefix, is an error, even if these bytes are
/// zero.
#[inline]
pub(super) fn decode(input: &mut &[u8], prefix: u8) -> Result<usize, DecodeError> {
    let (&first, mut rest) = input.split_first().ok_or(DecodeError::Truncated)?;
    let most = u8::MAX >> (8 - prefix);
    let mut value = u64::from(first & most);
    if first & most == most {
        for shift in (0..).step_by(7) {
            let (&byte, after) = rest.split_first().ok_or(DecodeError::Truncated)?;
            rest = after;
            value += u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                break;
            }
            if shift == 28 {
                return Err(DecodeError::Integer);
            }
        }
    }
    *input = rest;
    u32::try_from(value)
        .map(|value| value as usize)
        .map_err(|_| DecodeError::Integer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_of_appendix_c_1() {
        for (value, prefix, bytes) in [(10, 5, &[0x0a][..]), (1337, 5, &[0x1f, 0x9a, 0x0a]), (42, 8, &[0x2a])] {
            let mut out = Vec::new();
            encode(&mut out, 0, prefix, value);
            assert_eq!(out, bytes);
            let mut input = bytes;
            assert_eq!(decode(&mut input, prefix), Ok(value));
            assert!(input.is_empty());
        }
    }

    #[test]
    fn values_at_the_limits_of_each_prefix_round_trip() {
        for prefix in 1..=8 {
            for value in (0..600).chain([16_383, 16_384, u32::MAX as usize]) {
                let mut out = Vec::new();
                encode(&mut out, 0, prefix, value);
                assert_eq!(decode(&mut &out[..], prefix), Ok(value), "{prefix}");
            }
        }
    }
}
