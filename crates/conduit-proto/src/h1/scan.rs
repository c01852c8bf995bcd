//! The scanner for the lines of a head: the request line, field lines, and their bytes.
//!
//! Every function receives a window that starts at the first byte of the request line, and has one of three results:
//! the line at `at`, an error, or "incomplete". An error is reported only if its line is complete, so that the result
//! does not depend on the division of the input into pieces.

use super::TARGET_LIMIT;
use super::error::{Reason, RequestError};

/// A field line: the ranges of its name and its value in the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: u32,
    pub(crate) name_end: u32,
    pub(crate) value: u32,
    pub(crate) value_end: u32,
}

impl Field {
    pub(crate) fn name<'a>(&self, window: &'a [u8]) -> &'a [u8] {
        &window[self.name as usize..self.name_end as usize]
    }

    pub(crate) fn value<'a>(&self, window: &'a [u8]) -> &'a [u8] {
        &window[self.value as usize..self.value_end as usize]
    }
}

/// The kind of a line in the field section.
pub(super) enum Line {
    /// A field, which was added to the list, and the start of the next line.
    Field(usize),
    /// The empty line that ends the section, and the position after it.
    End(usize),
    /// The line is incomplete.
    Partial,
}

/// A request line: `method SP target SP version CRLF`, with the method at 0.
pub(super) struct RequestLine {
    pub(super) method_end: usize,
    /// The position of the first `?` in the target, or the end of the target.
    pub(super) query_start: usize,
    pub(super) target_end: usize,
    /// The minor version: 0 or 1. A higher one is treated as 1 (RFC 9110, section 2.5).
    pub(super) minor: u8,
    /// The start of the field section.
    pub(super) end: usize,
}

/// Parses the request line at the start of the window; `None` if it is incomplete.
#[inline]
pub(super) fn request_line(window: &[u8]) -> Result<Option<RequestLine>, RequestError> {
    match try_request_line(window) {
        Ok(line) => Ok(line),
        Err(error) => if_line_is_complete(window, 0, error).map(|()| None),
    }
}

/// Parses the line that starts at `at`, and adds its field.
///
/// The field is not returned, because a result in memory would be written position by position and read in pairs, for
/// which the processor stalls. That took a third of the parsing time.
#[inline(always)]
pub(super) fn field_line(window: &[u8], at: usize, fields: &mut Vec<Field>) -> Result<Line, RequestError> {
    match try_field_line(window, at, fields) {
        Ok(line) => Ok(line),
        Err(error) => if_line_is_complete(window, at, error).map(|()| Line::Partial),
    }
}

/// Returns the error if the line that starts at `at` contains its LF.
#[cold]
fn if_line_is_complete(window: &[u8], at: usize, error: RequestError) -> Result<(), RequestError> {
    match find_line_feed(&window[at..]) {
        Some(_) => Err(error),
        None => Ok(()),
    }
}

#[inline]
fn try_request_line(window: &[u8]) -> Result<Option<RequestLine>, RequestError> {
    // The most frequent method needs no search.
    let method_end = if window.starts_with(b"GET ") {
        3
    } else {
        skip_token(window, 0)
    };
    match window.get(method_end) {
        Some(b' ') if method_end > 0 => {}
        Some(b'\r' | b'\n') if method_end > 0 => {
            return Err(RequestError::at(Reason::RequestLine, method_end));
        }
        Some(_) => return Err(RequestError::at(Reason::Method, method_end)),
        None => return Ok(None),
    }
    let target = method_end + 1;
    let query_start = skip_path(window, target);
    let target_end = match window.get(query_start) {
        Some(b'?') => skip_query(window, query_start),
        _ => query_start,
    };
    if target_end - target > TARGET_LIMIT {
        return Err(RequestError::at(Reason::RequestLineTooLong, target_end));
    }
    match window.get(target_end) {
        Some(b' ') if target_end > target => {}
        Some(b' ' | b'\r' | b'\n') => return Err(RequestError::at(Reason::RequestLine, target_end)),
        Some(_) => return Err(RequestError::at(Reason::Target, target_end)),
        None => return Ok(None),
    }
    let version = &window[target_end + 1..];
    let minor = if version.starts_with(b"HTTP/1.1\r\n") {
        1
    } else {
        match slow_version(version, target_end + 1)? {
            Some(minor) => minor,
            None => return Ok(None),
        }
    };
    Ok(Some(RequestLine {
        method_end,
        query_start,
        target_end,
        minor,
        end: target_end + 1 + b"HTTP/1.1\r\n".len(),
    }))
}

/// The minor version, if it is not `HTTP/1.1`; `version` is the rest of the line at `offset`.
#[cold]
fn slow_version(version: &[u8], offset: usize) -> Result<Option<u8>, RequestError> {
    let Some(line_feed) = find_line_feed(version) else {
        return Ok(None);
    };
    match &version[..=line_feed] {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor, end @ ..]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            match end {
                b"\r\n" => {}
                b"\n" => return Err(RequestError::at(Reason::LineEnd, offset + 8)),
                _ => return Err(RequestError::at(Reason::Version, offset + 8)),
            }
            match (major, minor) {
                (b'1', b'0') => Ok(Some(0)),
                (b'1', _) => Ok(Some(1)),
                _ => Err(RequestError::at(Reason::UnsupportedVersion, offset)),
            }
        }
        _ => Err(RequestError::at(Reason::Version, offset)),
    }
}

// Inlined, for the same reason for which the field is not returned.
#[inline(always)]
fn try_field_line(window: &[u8], at: usize, fields: &mut Vec<Field>) -> Result<Line, RequestError> {
    let name_end = skip_token(window, at);
    match window.get(name_end) {
        Some(b':') if name_end > at => {}
        Some(_) => return odd_field_line(window, at, name_end),
        None => return Ok(Line::Partial),
    }
    let mut value = name_end + 1;
    while let Some(b' ' | b'\t') = window.get(value) {
        value += 1;
    }
    let line_end = skip_value(window, value);
    match window.get(line_end..line_end + 2) {
        Some(b"\r\n") => {}
        Some([b'\r' | b'\n', _]) => return Err(RequestError::at(Reason::LineEnd, line_end)),
        Some(_) => return Err(RequestError::at(Reason::FieldValue, line_end)),
        // The end of the window, which may be a CR whose LF has not arrived.
        None => return incomplete_value(window, line_end),
    }
    let mut value_end = line_end;
    while value_end > value && matches!(window[value_end - 1], b' ' | b'\t') {
        value_end -= 1;
    }
    fields.push(Field {
        name: at as u32,
        name_end: name_end as u32,
        value: value as u32,
        value_end: value_end as u32,
    });
    Ok(Line::Field(line_end + 2))
}

#[cold]
fn incomplete_value(window: &[u8], line_end: usize) -> Result<Line, RequestError> {
    match window.get(line_end) {
        Some(b'\n') => Err(RequestError::at(Reason::LineEnd, line_end)),
        _ => Ok(Line::Partial),
    }
}

/// Parses a line whose name does not end in a colon: the empty line, or an error.
#[inline]
fn odd_field_line(window: &[u8], at: usize, name_end: usize) -> Result<Line, RequestError> {
    if name_end == at && window[at] == b'\r' {
        return match window.get(at + 1) {
            Some(b'\n') => Ok(Line::End(at + 2)),
            Some(_) => Err(RequestError::at(Reason::LineEnd, at)),
            None => Ok(Line::Partial),
        };
    }
    Err(field_name_error(window, at, name_end))
}

#[cold]
fn field_name_error(window: &[u8], at: usize, name_end: usize) -> RequestError {
    let reason = match window[name_end] {
        b' ' | b'\t' if name_end == at => Reason::Folding,
        b' ' | b'\t' => {
            let behind = window[name_end..].iter().find(|byte| !matches!(byte, b' ' | b'\t'));
            match behind {
                Some(b':') => Reason::SpaceBeforeColon,
                _ => Reason::FieldName,
            }
        }
        b'\n' if name_end == at => Reason::LineEnd,
        _ => Reason::FieldName,
    };
    RequestError::at(reason, name_end)
}

/// The position of the first LF.
#[inline]
pub(super) fn find_line_feed(bytes: &[u8]) -> Option<usize> {
    work::add(bytes.len());
    memchr::memchr(b'\n', bytes)
}

/// The position of the first byte, starting at `from`, that is not allowed in a token.
#[inline]
fn skip_token(window: &[u8], from: usize) -> usize {
    skip(window, from, not_letter_or_hyphen, &TOKEN)
}

/// The end of the query that starts with its `?` at `from`.
#[inline]
fn skip_query(window: &[u8], from: usize) -> usize {
    skip(
        window,
        from,
        // Of the bytes below `$`, a query contains only `!`.
        |word| word | below(word, b'$') | delete(word) | equal(word | (ONES * 0x02), b'>'),
        &QUERY,
    )
}

/// The end of the path that starts at `from`, or of the text before it in the other forms of a target.
#[inline]
fn skip_path(window: &[u8], from: usize) -> usize {
    skip(
        window,
        from,
        // Of the bytes below `-`, only `%` is frequent in paths; the bytes from `<` to `?` are not.
        |word| word | below(word, b'-') | delete(word) | equal(word | (ONES * 0x03), b'?') | equal(word, b'`'),
        &PATH,
    )
}

/// The length of the path in a path with an optional query, of at most [`TARGET_LIMIT`] bytes; `None` for other bytes.
pub(crate) fn path_length(target: &[u8]) -> Option<usize> {
    let path = skip_path(target, 0);
    let end = match target.get(path) {
        Some(b'?') => skip_query(target, path),
        _ => path,
    };
    (target.first() == Some(&b'/') && end == target.len() && end <= TARGET_LIMIT).then_some(path)
}

/// The position of the first byte, starting at `from`, that is not allowed in a field value.
///
/// Values are long, so sixteen bytes are checked at once, in code that the compiler vectorises. A block with other than
/// plain text is checked word by word.
#[inline]
pub(crate) fn skip_value(window: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(block) = window.get(at..).and_then(|rest| rest.first_chunk::<16>()) {
        if block
            .iter()
            .fold(0, |bad, &byte| bad | u8::from(byte < 0x20) | u8::from(byte == 0x7f))
            != 0
        {
            break;
        }
        at += 16;
    }
    work::add(at - from);
    skip(window, at, |word| below(word, 0x20) | delete(word), &VALUE)
}

/// Skips the bytes that are in the table, eight at a time.
///
/// `stops` receives eight bytes in a word, the first in the lowest bits, and sets the top bit of the bytes to stop at.
/// It may include bytes of the table, which costs a little time, and bits above the first stop may be wrong. Up to the
/// first stop it must include every byte that is not in the table.
#[inline(always)]
fn skip(window: &[u8], from: usize, stops: impl Fn(u64) -> u64, table: &[bool; 256]) -> usize {
    let mut at = from;
    while let Some(eight) = window.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
        let stops = stops(u64::from_le_bytes(*eight)) & TOPS;
        if stops == 0 {
            at += 8;
            continue;
        }
        at += (stops.trailing_zeros() / 8) as usize;
        if !table[usize::from(window[at])] {
            work::add(at - from);
            return at;
        }
        at += 1;
    }
    while let Some(&byte) = window.get(at) {
        if !table[usize::from(byte)] {
            break;
        }
        at += 1;
    }
    work::add(at - from);
    at
}

const ONES: u64 = u64::from_le_bytes([0x01; 8]);
const TOPS: u64 = u64::from_le_bytes([0x80; 8]);

/// Sets the top bit of the bytes below a limit of at most 0x80.
///
/// Subtracting the limit from such a byte borrows, and its own top bit is clear. The borrow may affect the byte above,
/// so only the lowest set bit is exact.
#[inline]
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(limit)) & !word
}

/// Sets the top bit of the bytes that are equal to an ASCII byte; only the lowest set bit is exact.
#[inline]
fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * u64::from(byte)), 1)
}

/// Sets the top bit of the bytes 0x7f and 0xff.
#[inline]
fn delete(word: u64) -> u64 {
    (word & !TOPS) + ONES
}

/// Sets the top bit of the bytes that are neither a letter nor a hyphen, of which most field names consist. It is
/// exact, because the top bits are masked first, so that no sum exceeds 0xff.
#[inline]
fn not_letter_or_hyphen(word: u64) -> u64 {
    let low = word & !TOPS;
    let lower_case = low | (ONES * 0x20);
    let from_a = lower_case + ONES * (0x80 - b'a' as u64);
    let behind_z = lower_case + ONES * (0x7f - b'z' as u64);
    let other_than_hyphen = (low ^ (ONES * b'-' as u64)) + ONES * 0x7f;
    word | ((!from_a | behind_z) & other_than_hyphen)
}

/// Returns whether the bytes are one token (RFC 9110, section 5.6.2).
#[cold]
pub(super) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && skip_token(bytes, 0) == bytes.len()
}

/// Returns whether the byte is allowed in a token (RFC 9110, section 5.6.2).
#[inline]
pub(crate) const fn is_token_byte(byte: u8) -> bool {
    TOKEN[byte as usize]
}

/// Returns whether the byte is allowed in a field value: visible, obs-text, space or tab (RFC 9110,
/// section 5.5).
#[inline]
pub(super) fn is_value_byte(byte: u8) -> bool {
    VALUE[usize::from(byte)]
}

/// The position of the first byte, starting at `from`, that is not allowed in a registered name: unreserved characters
/// and sub-delims of RFC 3986, section 3.2.2.
#[inline]
pub(super) fn skip_reg_name(value: &[u8], from: usize) -> usize {
    let rest = &value[from..];
    let length = rest.iter().position(|&byte| !REG_NAME[usize::from(byte)]);
    from + length.unwrap_or(rest.len())
}

const fn table(accepts: &[u8], from: u8, to: u8) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = from;
    while byte < to {
        table[byte as usize] = true;
        byte += 1;
    }
    let mut at = 0;
    while at < accepts.len() {
        table[accepts[at] as usize] = true;
        at += 1;
    }
    table
}

const fn without(rejects: &[u8], mut table: [bool; 256]) -> [bool; 256] {
    let mut at = 0;
    while at < rejects.len() {
        table[rejects[at] as usize] = false;
        at += 1;
    }
    table
}

static TOKEN: [bool; 256] = table(
    b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    0,
    0,
);

static REG_NAME: [bool; 256] = table(
    b"-._~!$&'()*+,;=0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    0,
    0,
);

/// The bytes of a path: visible ASCII without the characters that RFC 3986, section 3.3 excludes and that no browser
/// sends (the path percent-encode set of the URL standard). `"`, `[`, `\`, `]`, `^`, `{`, `|` and `}` are accepted,
/// because some clients send them without encoding and [`http::Uri`] accepts them.
static PATH: [bool; 256] = without(b"#<>?`", table(b"", 0x21, 0x7f));

/// The bytes of a query, including its `?`: visible ASCII without the characters that RFC 3986, section 3.4 excludes
/// and that no browser sends (the query percent-encode set of the URL standard).
static QUERY: [bool; 256] = without(b"\"#<>", table(b"", 0x21, 0x7f));

static VALUE: [bool; 256] = without(b"\x7f", table(b"\t\xff", 0x20, 0xff));

/// Counts the processed bytes, for the tests of linear work.
pub(super) mod work {
    #[cfg(test)]
    thread_local! {
        pub(in super::super) static BYTES: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    #[cfg(test)]
    pub(super) fn add(bytes: usize) {
        BYTES.with(|count| count.set(count.get() + bytes));
    }

    #[cfg(not(test))]
    #[inline]
    pub(super) fn add(_bytes: usize) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    type Skip = fn(&[u8], usize) -> usize;

    /// Each skip function and its table.
    const SKIPS: [(Skip, &[bool; 256]); 4] = [
        (skip_token, &TOKEN),
        (skip_query, &QUERY),
        (skip_path, &PATH),
        (skip_value, &VALUE),
    ];

    /// Tests each byte at each position of a word, surrounded by bytes that do not stop.
    #[test]
    fn word_wise_skipping_agrees_with_the_tables() {
        for (skip, table) in SKIPS {
            for byte in 0..=u8::MAX {
                for filler in [b'a', b'Z', b'-', b'~', b'!', b'0'] {
                    for at in 0..24 {
                        let mut window = [filler; 24];
                        window[at] = byte;
                        let expected = window.iter().position(|byte| !table[usize::from(*byte)]);
                        assert_eq!(skip(&window, 0), expected.unwrap_or(24), "{byte} at {at}");
                    }
                }
            }
        }
    }

    #[test]
    fn skipping_ends_at_the_first_of_two_stops() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                let window = [b'a', first, second, b'a', b'a', b'a', b'a', b'a', b'a'];
                for (skip, table) in SKIPS {
                    let expected = window.iter().position(|byte| !table[usize::from(*byte)]);
                    assert_eq!(skip(&window, 0), expected.unwrap_or(9), "{first} {second}");
                }
            }
        }
    }
}
