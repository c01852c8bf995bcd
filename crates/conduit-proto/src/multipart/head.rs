//! The heads of parts, and the boundary.

use http::header::{CONTENT_DISPOSITION, HeaderMap, HeaderName, HeaderValue};

use super::error::{FIELDS_LIMIT, MultipartError};

/// The maximum length of a boundary (RFC 2046, section 5.1.1).
const BOUNDARY_LIMIT: usize = 70;

/// The head of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartHead {
    /// The name of the form field.
    pub name: String,
    /// The client's name for the file, as received. It may be any text, including a path; do not use it as a path (RFC
    /// 7578, section 4.2).
    pub file_name: Option<String>,
    /// All fields of the head.
    pub headers: HeaderMap,
}

impl PartHead {
    /// Parses a head without the empty line at its end.
    pub(super) fn parse(head: &[u8]) -> Result<Self, MultipartError> {
        let mut headers = HeaderMap::new();
        let mut rest = head;
        while !rest.is_empty() {
            let end = memchr::memmem::find(rest, b"\r\n").unwrap_or(rest.len());
            let (line, more) = rest.split_at(end);
            rest = more.get(2..).unwrap_or_default();
            if headers.len() == FIELDS_LIMIT {
                return Err(MultipartError::TooManyFields);
            }
            let (name, value) = field(line).ok_or(MultipartError::Malformed {
                what: "a line in the head of a part is not a header field: write 'name: value'",
            })?;
            headers.append(name, value);
        }
        let mut dispositions = headers.get_all(CONTENT_DISPOSITION).iter();
        let (Some(disposition), None) = (dispositions.next(), dispositions.next()) else {
            return Err(MultipartError::Malformed {
                what: "the head of a part has no content-disposition, or several: send exactly one",
            });
        };
        let (name, file_name) = disposition_of(disposition.as_bytes())?;
        Ok(PartHead {
            name,
            file_name,
            headers,
        })
    }
}

/// Parses a line of a head (RFC 9112, section 5), which must not be folded or contain control characters.
fn field(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = memchr::memchr(b':', line)?;
    let name = HeaderName::from_bytes(&line[..colon]).ok()?;
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?;
    Some((name, value))
}

/// The name and the file name in a `Content-Disposition` (RFC 7578, section 4.2).
fn disposition_of(value: &[u8]) -> Result<(String, Option<String>), MultipartError> {
    let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
    if !kind.trim_ascii().eq_ignore_ascii_case(b"form-data") {
        return Err(MultipartError::Malformed {
            what: "the content-disposition of a part is not form-data: write 'form-data; name=\"…\"'",
        });
    }
    let mut name = None;
    let mut file_name = None;
    for parameter in Parameters(&value[kind.len()..]) {
        let (key, value) = parameter?;
        let place = match () {
            () if key.eq_ignore_ascii_case(b"name") => &mut name,
            () if key.eq_ignore_ascii_case(b"filename") => &mut file_name,
            () => continue,
        };
        let text = String::from_utf8(value).map_err(|_| MultipartError::Malformed {
            what: "the name of a part or of its file is not UTF-8: encode it as UTF-8",
        })?;
        if place.replace(text).is_some() {
            return Err(REPEATED);
        }
    }
    let name = name.ok_or(MultipartError::Malformed {
        what: "the content-disposition of a part has no name: add 'name=\"…\"'",
    })?;
    Ok((name, file_name))
}

const REPEATED: MultipartError = MultipartError::Malformed {
    what: "a parameter of the content-disposition or content-type is repeated: send it once",
};

/// The boundary in the `Content-Type` of a request; `None` if the type is not `multipart/form-data`.
///
/// # Errors
///
/// The boundary is missing, or RFC 2046 does not allow it: it must have 1 to 70 letters, digits and ``'()+_,-./:=? ``,
/// and must not end with a space.
pub fn boundary(content_type: &[u8]) -> Result<Option<String>, MultipartError> {
    let kind = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    if !kind.trim_ascii().eq_ignore_ascii_case(b"multipart/form-data") {
        return Ok(None);
    }
    let mut boundary = None;
    for parameter in Parameters(&content_type[kind.len()..]) {
        let (key, value) = parameter?;
        if key.eq_ignore_ascii_case(b"boundary") && boundary.replace(value).is_some() {
            return Err(REPEATED);
        }
    }
    let boundary = boundary.ok_or(MultipartError::Malformed {
        what: "the content-type multipart/form-data has no boundary: add 'boundary=…'",
    })?;
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    let is_right = (1..=BOUNDARY_LIMIT).contains(&boundary.len())
        && boundary.iter().all(is_allowed)
        && boundary.last() != Some(&b' ');
    match String::from_utf8(boundary) {
        Ok(boundary) if is_right => Ok(Some(boundary)),
        _ => Err(MultipartError::Malformed {
            what: "the boundary in the content-type must have 1 to 70 of the characters that RFC 2046 allows",
        }),
    }
}

/// The parameters after a value, each with a leading `;`: a name, and a token or a quoted string (RFC 2045, section
/// 5.1). A value may contain non-ASCII bytes, and a backslash is literal unless it precedes a quote or another
/// backslash: all clients send them so, and RFC 2183 does not define it.
struct Parameters<'a>(&'a [u8]);

impl<'a> Iterator for Parameters<'a> {
    type Item = Result<(&'a [u8], Vec<u8>), MultipartError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.0.trim_ascii_start();
            if rest.is_empty() {
                return None;
            }
            let Some(rest) = rest.strip_prefix(b";") else {
                return Some(Err(self.fail()));
            };
            self.0 = rest.trim_ascii_start();
            // An empty parameter, between two semicolons or at the end.
            if !self.0.is_empty() && self.0[0] != b';' {
                return Some(self.parameter());
            }
        }
    }
}

impl<'a> Parameters<'a> {
    fn fail(&mut self) -> MultipartError {
        self.0 = &[];
        MultipartError::Malformed {
            what: "the parameters of a header field must be name=value, each after a semicolon",
        }
    }

    fn parameter(&mut self) -> Result<(&'a [u8], Vec<u8>), MultipartError> {
        let text = self.0;
        let Some(equals) = memchr::memchr2(b'=', b';', text).filter(|at| text[*at] == b'=') else {
            return Err(self.fail());
        };
        let name = text[..equals].trim_ascii();
        let rest = text[equals + 1..].trim_ascii_start();
        let Some(quoted) = rest.strip_prefix(b"\"") else {
            let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
            self.0 = &rest[end..];
            return Ok((name, rest[..end].trim_ascii_end().to_vec()));
        };
        let mut value = Vec::new();
        let mut bytes = quoted.iter().enumerate();
        while let Some((at, &byte)) = bytes.next() {
            match (byte, quoted.get(at + 1)) {
                (b'"', _) => {
                    self.0 = &quoted[at + 1..];
                    return Ok((name, value));
                }
                (b'\\', Some(&next @ (b'"' | b'\\'))) => {
                    value.push(next);
                    bytes.next();
                }
                _ => value.push(byte),
            }
        }
        Err(self.fail())
    }
}
