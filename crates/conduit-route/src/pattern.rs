//! The grammar of a route's path.

use core::fmt;

use crate::key::{Key, WORD, same_from};
use crate::text::Text;

/// The maximum number of parameters in a path.
pub const PARAMETER_LIMIT: usize = 16;

/// The maximum length of a path in bytes, including its prefix.
pub const PATH_LIMIT: usize = 4096;

/// A valid route path.
///
/// Each segment (the text between two slashes) is one of:
///
/// | segment | matches |
/// | --- | --- |
/// | `users` | exactly these bytes |
/// | `{name}` | one non-empty segment |
/// | `v{n}`, `{name}.json`, `a-{x}.b` | one segment with this prefix and suffix, and at least one byte in between |
/// | `{*rest}` | the rest of the path, including slashes, at least one byte; only as the last segment |
///
/// A segment has at most one parameter, a path at most [`PARAMETER_LIMIT`]. A parameter name is an ASCII identifier and
/// is unique in its path. Literal text is limited to the characters of a segment in RFC 3986, section 3.3; other
/// characters are percent-encoded with upper-case digits. It is compared byte by byte. Only the last segment can be
/// empty: `/` and `/users/`, which is a different path from `/users`.
///
/// ```
/// use conduit_route::{Pattern, Segment};
///
/// let pattern = Pattern::parse("/files/{name}.json")?;
/// assert_eq!(pattern.parameters(), 1);
/// assert_eq!(
///     pattern.segments().last(),
///     Some(Segment::Parameter { prefix: "", name: "name", suffix: ".json" })
/// );
///
/// let error = Pattern::parse("/files/{name").unwrap_err();
/// assert_eq!(error.to_string(), "invalid path `/files/{name`: the `{` at byte 7 has no closing `}`: write `{name}`");
/// # Ok::<(), conduit_route::PathError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern<'a> {
    path: &'a str,
    parameters: usize,
}

impl<'a> Pattern<'a> {
    /// Parses the path of a route.
    ///
    /// # Errors
    /// Reports the first error, from the left.
    pub const fn parse(path: &'a str) -> Result<Self, PathError<'a>> {
        let bytes = path.as_bytes();
        if bytes.is_empty() || bytes[0] != b'/' {
            return Err(PathError::new(path, Mistake::NoLeadingSlash, 0, 0));
        }
        if bytes.len() > PATH_LIMIT {
            return Err(PathError::new(path, Mistake::TooLong, PATH_LIMIT, bytes.len()));
        }
        let mut names = Names::new();
        let mut start = 1;
        loop {
            let scanned = match Scanned::segment(path, start) {
                Ok(scanned) => scanned,
                Err(error) => return Err(error),
            };
            if let Err(error) = names.add(path, &scanned) {
                return Err(error);
            }
            if scanned.end == bytes.len() {
                return Ok(Pattern {
                    path,
                    parameters: names.count,
                });
            }
            start = scanned.end + 1;
        }
    }

    /// Parses the prefix of a list of routes: a path that has neither a trailing slash nor a `{*rest}`.
    ///
    /// # Errors
    /// Reports the first error, from the left.
    pub const fn parse_prefix(prefix: &'a str) -> Result<Self, PathError<'a>> {
        let pattern = match Self::parse(prefix) {
            Ok(pattern) => pattern,
            Err(error) => return Err(error),
        };
        let bytes = prefix.as_bytes();
        let last = bytes.len() - 1;
        if bytes[last] == b'/' {
            return Err(PathError::new(prefix, Mistake::PrefixEndsInSlash, last, last + 1));
        }
        let mut at = 0;
        while at < last {
            if bytes[at] == b'{' && bytes[at + 1] == b'*' {
                return Err(PathError::new(prefix, Mistake::PrefixHasRest, at, last + 1));
            }
            at += 1;
        }
        Ok(pattern)
    }

    /// The source text of the path.
    pub const fn path(self) -> &'a str {
        self.path
    }

    /// The number of parameters, including `{*rest}`.
    pub const fn parameters(self) -> usize {
        self.parameters
    }

    /// The segments, from left to right.
    pub const fn segments(self) -> Segments<'a> {
        Segments {
            path: self.path,
            next: 1,
        }
    }

    /// The names of the parameters, from left to right.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        self.segments().filter_map(|segment| match segment {
            Segment::Static(_) => None,
            Segment::Parameter { name, .. } | Segment::Rest { name } => Some(name),
        })
    }
}

/// One segment of a [`Pattern`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Segment<'a> {
    /// Literal text; empty only as the last segment.
    Static(&'a str),
    /// A parameter with its literal prefix and suffix, which are usually empty.
    Parameter {
        /// The literal text before the parameter, or empty.
        prefix: &'a str,
        /// The parameter's name.
        name: &'a str,
        /// The literal text after the parameter, or empty.
        suffix: &'a str,
    },
    /// The rest of the path.
    Rest {
        /// The parameter's name.
        name: &'a str,
    },
}

/// The segments of a [`Pattern`], from left to right.
#[derive(Clone, Debug)]
pub struct Segments<'a> {
    path: &'a str,
    /// The start of the next segment, or past the end of the path after the last one.
    next: usize,
}

impl<'a> Segments<'a> {
    /// Returns the next segment, as [`Iterator::next`] does, in `const` evaluation.
    pub const fn next_segment(&mut self) -> Option<Segment<'a>> {
        let bytes = self.path.as_bytes();
        if self.next > bytes.len() {
            return None;
        }
        let start = self.next;
        let mut open = None;
        let mut close = start;
        let mut end = start;
        while end < bytes.len() && bytes[end] != b'/' {
            match bytes[end] {
                b'{' => open = Some(end),
                b'}' => close = end,
                _ => {}
            }
            end += 1;
        }
        self.next = end + 1;
        let Some(open) = open else {
            return Some(Segment::Static(slice(self.path, start, end)));
        };
        if bytes[open + 1] == b'*' {
            return Some(Segment::Rest {
                name: slice(self.path, open + 2, close),
            });
        }
        Some(Segment::Parameter {
            prefix: slice(self.path, start, open),
            name: slice(self.path, open + 1, close),
            suffix: slice(self.path, close + 1, end),
        })
    }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        self.next_segment()
    }
}

/// The error for an invalid path. Its text names the error, the position and the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathError<'a> {
    path: &'a str,
    mistake: Mistake,
    /// The invalid bytes of `path`.
    at: Span,
}

/// The kind of an error in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    NoLeadingSlash,
    TooLong,
    EmptySegment,
    DotSegment,
    Character,
    Query,
    Escape,
    OldParameter,
    Unclosed,
    Unopened,
    EmptyName,
    Name,
    DuplicateName,
    TwoParameters,
    TooManyParameters,
    RestNotLast,
    RestWithText,
    PrefixEndsInSlash,
    PrefixHasRest,
}

impl<'a> PathError<'a> {
    const fn new(path: &'a str, mistake: Mistake, start: usize, end: usize) -> Self {
        PathError {
            path,
            mistake,
            at: Span { start, end },
        }
    }

    /// The range of the invalid bytes in the path.
    pub const fn range(&self) -> core::ops::Range<usize> {
        self.at.start..self.at.end
    }

    /// The path, truncated so that the message has room for the error.
    const fn path_start(&self) -> &'a str {
        const ROOM: usize = 256;
        if self.path.len() <= ROOM {
            return self.path;
        }
        let mut end = ROOM;
        while !self.path.is_char_boundary(end) {
            end -= 1;
        }
        slice(self.path, 0, end)
    }

    pub(crate) const fn text(&self) -> Text {
        let text = match self.mistake {
            Mistake::PrefixEndsInSlash | Mistake::PrefixHasRest => Text::new().with("invalid prefix `"),
            _ => Text::new().with("invalid path `"),
        };
        self.with_mistake(text.with(self.path_start()).with("`: "))
    }

    /// Appends the mistake and its remedy.
    const fn with_mistake(&self, text: Text) -> Text {
        let part = slice(self.path, self.at.start, self.at.end);
        match self.mistake {
            Mistake::NoLeadingSlash => text.with("the leading slash is missing: write `/").with(self.path_start()).with("`"),
            Mistake::TooLong => {
                text.with("it is longer than ").with_number(PATH_LIMIT).with(" bytes: shorten it")
            }
            Mistake::EmptySegment => {
                text.with("empty segment at byte ").with_number(self.at.start).with(": write one slash")
            }
            Mistake::DotSegment => text
                .with("clients remove the segment `")
                .with(part)
                .with("` before sending a request (RFC 3986, section 5.2.4): remove it"),
            Mistake::Character => percent_encoded(text.with("`").with(part).with("` must be percent-encoded: write `"), part),
            Mistake::Query => text
                .with("`")
                .with(part)
                .with("` starts the query or fragment, which is not part of a path: end the path before it; a handler reads the query as `Query<…>`"),
            Mistake::Escape => text
                .with("the `%` at byte ")
                .with_number(self.at.start)
                .with(" must be followed by two upper-case hexadecimal digits: write `%25` for a percent sign"),
            Mistake::OldParameter => {
                let name = slice(part, 1, part.len());
                let text = text.with("`").with(part).with("` is not the syntax of a parameter: write `{");
                let text = if part.as_bytes()[0] == b'*' { text.with("*") } else { text };
                percent_encoded(text.with(name).with("}`, or `"), slice(part, 0, 1)).with(" for the character itself")
            }
            Mistake::Unclosed => text
                .with("the `{` at byte ")
                .with_number(self.at.start)
                .with(" has no closing `}`: write `{")
                .with(identifier_at(part, 1))
                .with("}`"),
            Mistake::Unopened => text
                .with("the `}` at byte ")
                .with_number(self.at.start)
                .with(" has no `{` before it: write `{name}` for a parameter, `%7D` for a brace"),
            Mistake::EmptyName => text
                .with("the parameter at byte ")
                .with_number(self.at.start)
                .with(" has no name: write `{name}` or `{*name}`"),
            Mistake::Name => text
                .with("invalid parameter name `")
                .with(part)
                .with("`: use ASCII letters, digits and `_`, and start with a letter"),
            Mistake::DuplicateName => {
                text.with("two parameters are named `").with(part).with("`: rename one")
            }
            Mistake::TwoParameters => text
                .with("the segment `")
                .with(part)
                .with("` has two parameters: separate them by a slash, or use one and split its value in the handler"),
            Mistake::TooManyParameters => text
                .with("`{")
                .with(part)
                .with("}` exceeds the limit of ")
                .with_number(PARAMETER_LIMIT)
                .with(" parameters in a path: replace the last ones by `{*rest}`"),
            Mistake::RestNotLast => {
                text.with("`").with(part).with("` matches the rest of the path: make it the last segment")
            }
            Mistake::RestWithText => text
                .with("`")
                .with(part)
                .with("` matches whole segments: separate it from other text by a slash"),
            Mistake::PrefixEndsInSlash => {
                text.with("the trailing slash duplicates the leading slash of its routes: remove it")
            }
            Mistake::PrefixHasRest => text
                .with("`")
                .with(part)
                .with("` matches the rest of the path: write it in the path of each route"),
        }
    }
}

impl fmt::Display for PathError<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text().as_str())
    }
}

impl core::error::Error for PathError<'_> {}

/// A range of bytes. Unlike `Range` it is `Copy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: usize,
    end: usize,
}

/// A checked segment.
///
/// `const` evaluation takes about a microsecond for each step and much more for each call of the standard library, so
/// one pass over the bytes checks the grammar and computes the key.
#[derive(Clone, Copy)]
pub(crate) struct Scanned {
    pub(crate) end: usize,
    /// The key of the segment, if it is literal.
    pub(crate) key: Key,
    /// The braces and the text between them.
    pub(crate) parameter: Option<Braces>,
}

/// The position of a parameter in a path.
#[derive(Clone, Copy)]
pub(crate) struct Braces {
    pub(crate) open: usize,
    /// The position after the closing brace.
    pub(crate) end: usize,
    pub(crate) is_rest: bool,
}

impl Braces {
    const fn name(self) -> Span {
        Span {
            start: if self.is_rest { self.open + 2 } else { self.open + 1 },
            end: self.end - 1,
        }
    }
}

impl Scanned {
    /// Checks the segment that starts at `start`.
    pub(crate) const fn segment(path: &str, start: usize) -> Result<Self, PathError<'_>> {
        let bytes = path.as_bytes();
        let length = bytes.len();
        let mut parameter = None;
        let mut first = 0;
        let mut last = 0;
        let mut at = start;
        while at < length {
            let byte = bytes[at];
            match CLASSES[byte as usize] {
                Class::Plain => {
                    last = last >> 8 | (byte as u64) << 56;
                    at += 1;
                    if at - start == WORD {
                        first = last;
                    }
                }
                Class::Slash => break,
                Class::Open if parameter.is_some() => {
                    return Err(PathError::new(
                        path,
                        Mistake::TwoParameters,
                        start,
                        segment_end(bytes, start),
                    ));
                }
                Class::Open => match scan_parameter(path, start, at) {
                    Ok(braces) => {
                        at = braces.end;
                        parameter = Some(braces);
                    }
                    Err(error) => return Err(error),
                },
                Class::Special => match scan_special(path, start, at) {
                    Ok(end) => {
                        while at < end {
                            last = last >> 8 | (bytes[at] as u64) << 56;
                            at += 1;
                            if at - start == WORD {
                                first = last;
                            }
                        }
                    }
                    Err(error) => return Err(error),
                },
            }
        }
        if at == start && at < length {
            return Err(PathError::new(path, Mistake::EmptySegment, at, at + 1));
        }
        let length = at - start;
        let (first, second) = match length {
            0 => (0, 0),
            1..WORD => (last >> (8 * (WORD - length)), 0),
            WORD => (first, 0),
            _ => (first, last),
        };
        let key = Key {
            first,
            second,
            length: length as u32,
        };
        Ok(Scanned {
            end: at,
            key,
            parameter,
        })
    }
}

/// The parameter names of a path so far.
pub(crate) struct Names {
    names: [Span; PARAMETER_LIMIT],
    count: usize,
}

impl Names {
    pub(crate) const fn new() -> Self {
        Names {
            names: [Span { start: 0, end: 0 }; PARAMETER_LIMIT],
            count: 0,
        }
    }

    /// Adds the parameter name of a segment, if it has one.
    pub(crate) const fn add<'a>(&mut self, path: &'a str, scanned: &Scanned) -> Result<(), PathError<'a>> {
        let Some(braces) = scanned.parameter else { return Ok(()) };
        let bytes = path.as_bytes();
        let name = braces.name();
        if self.count == PARAMETER_LIMIT {
            return Err(PathError::new(path, Mistake::TooManyParameters, name.start, name.end));
        }
        let length = name.end - name.start;
        let mut other = 0;
        while other < self.count {
            let Span { start, end } = self.names[other];
            if end - start == length && same_from(bytes, start, bytes, name.start, length) {
                return Err(PathError::new(path, Mistake::DuplicateName, name.start, name.end));
            }
            other += 1;
        }
        self.names[self.count] = name;
        self.count += 1;
        Ok(())
    }
}

/// The class of a byte outside of braces.
#[derive(Clone, Copy)]
enum Class {
    /// Literal text.
    Plain,
    Slash,
    Open,
    /// Valid only in some positions, or invalid.
    Special,
}

/// RFC 3986, section 3.3, except for the characters that are valid only in some positions.
const CLASSES: [Class; 256] = {
    let mut classes = [Class::Special; 256];
    let plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~!$&'()+,;=@";
    let mut at = 0;
    while at < plain.len() {
        classes[plain[at] as usize] = Class::Plain;
        at += 1;
    }
    classes[b'/' as usize] = Class::Slash;
    classes[b'{' as usize] = Class::Open;
    classes
};

/// Checks the parameter whose opening brace is at `open`.
const fn scan_parameter(path: &str, start: usize, open: usize) -> Result<Braces, PathError<'_>> {
    let bytes = path.as_bytes();
    let length = bytes.len();
    let is_rest = open + 1 < length && bytes[open + 1] == b'*';
    let name = if is_rest { open + 2 } else { open + 1 };
    let mut is_named = false;
    let mut is_identifier = true;
    let mut close = name;
    loop {
        if close == length {
            return Err(PathError::new(path, Mistake::Unclosed, open, close));
        }
        match bytes[close] {
            b'}' => break,
            b'/' | b'{' => return Err(PathError::new(path, Mistake::Unclosed, open, close)),
            b'_' => {}
            byte if byte.is_ascii_alphabetic() || (byte.is_ascii_digit() && close > name) => is_named = true,
            _ => is_identifier = false,
        }
        close += 1;
    }
    let end = close + 1;
    if name == close {
        return Err(PathError::new(path, Mistake::EmptyName, open, end));
    }
    if !is_identifier || !is_named {
        return Err(PathError::new(path, Mistake::Name, name, close));
    }
    if is_rest && (open != start || (end < length && bytes[end] != b'/')) {
        return Err(PathError::new(path, Mistake::RestWithText, open, end));
    }
    if is_rest && end < length {
        return Err(PathError::new(path, Mistake::RestNotLast, open, end));
    }
    Ok(Braces { open, end, is_rest })
}

/// Checks the special character at `at` and returns the position of the next character.
const fn scan_special(path: &str, start: usize, at: usize) -> Result<usize, PathError<'_>> {
    let bytes = path.as_bytes();
    match bytes[at] {
        b':' | b'*' if at == start => Err(PathError::new(path, Mistake::OldParameter, at, segment_end(bytes, at))),
        b':' | b'*' => Ok(at + 1),
        b'.' => {
            let end = segment_end(bytes, start);
            if end - start == 1 || (end - start == 2 && bytes[start] == b'.' && bytes[start + 1] == b'.') {
                return Err(PathError::new(path, Mistake::DotSegment, start, end));
            }
            Ok(at + 1)
        }
        b'%' if at + 2 < bytes.len() && is_upper_hex(bytes[at + 1]) && is_upper_hex(bytes[at + 2]) => Ok(at + 3),
        b'%' => Err(PathError::new(path, Mistake::Escape, at, at + 1)),
        b'}' => Err(PathError::new(path, Mistake::Unopened, at, at + 1)),
        b'?' | b'#' => Err(PathError::new(path, Mistake::Query, at, at + 1)),
        _ => {
            let mut end = at + 1;
            while !path.is_char_boundary(end) {
                end += 1;
            }
            Err(PathError::new(path, Mistake::Character, at, end))
        }
    }
}

const fn percent_encoded(text: Text, part: &str) -> Text {
    let bytes = part.as_bytes();
    let mut text = text;
    let mut at = 0;
    while at < bytes.len() {
        text = text.with_percent_encoded(bytes[at]);
        at += 1;
    }
    text.with("`")
}

/// The identifier that starts at `start` in `part`, or `name` as a placeholder.
const fn identifier_at(part: &str, start: usize) -> &str {
    let bytes = part.as_bytes();
    let mut end = start;
    while end < bytes.len() && (bytes[end].is_ascii_alphanumeric() || bytes[end] == b'_') {
        end += 1;
    }
    if end == start { "name" } else { slice(part, start, end) }
}

const fn is_upper_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'A'..=b'F')
}

const fn segment_end(bytes: &[u8], start: usize) -> usize {
    let mut end = start;
    while end < bytes.len() && bytes[end] != b'/' {
        end += 1;
    }
    end
}

const fn slice(text: &str, start: usize, end: usize) -> &str {
    text.split_at(end).0.split_at(start).1
}
