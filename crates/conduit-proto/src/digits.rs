//! The decimal digits of a number, written and read.

/// The maximum number of digits of 64 bits.
pub(crate) const MAX_DIGITS: usize = 20;

/// Writes the digits to the end of the buffer, and returns them.
#[inline]
pub(crate) fn digits(number: u64, buffer: &mut [u8; MAX_DIGITS]) -> &[u8] {
    let (mut rest, mut at) = (number, MAX_DIGITS);
    loop {
        at -= 1;
        buffer[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &buffer[at..];
        }
    }
}

/// A decimal number below 2^64, of digits only.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &digit| {
        let digit = digit.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_equal_those_of_std() {
        let powers = (0..20).map(|exponent| 10_u64.pow(exponent));
        for number in powers.flat_map(|power| [power - 1, power, power + 1]).chain([u64::MAX]) {
            assert_eq!(digits(number, &mut [0; MAX_DIGITS]), number.to_string().as_bytes());
        }
    }
}
