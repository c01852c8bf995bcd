//! The path of a file from the path of a request.

use std::borrow::Cow;

/// Maps the rest of a request's path, without a leading slash, to the path of a file below a directory: percent-decoded
/// bytes, with a slash at the end if there was one.
///
/// Returns `None` for a path that no file has, or that two programs may read differently: an invalid percent-encoding; a byte
/// 0; a backslash or an encoded slash, which some programs read as a separator; an empty component; the components `.` and
/// `..`; and, unless `allows_hidden`, a component that begins with a dot. `.well-known` as the first component is not hidden
/// (RFC 8615).
///
/// ```
/// use conduit_proto::file_path::file_path;
///
/// assert_eq!(file_path("css/main%20file.css", false).as_deref(), Some(&b"css/main file.css"[..]));
/// assert_eq!(file_path("a/%2e%2e/b", false), None);
/// assert_eq!(file_path(".git/config", false), None);
/// ```
pub fn file_path(path: &str, allows_hidden: bool) -> Option<Cow<'_, [u8]>> {
    let decoded = decoded(path.as_bytes())?;
    let mut components = decoded.split(|&byte| byte == b'/').peekable();
    let mut is_first = true;
    while let Some(component) = components.next() {
        let is_hidden = component.starts_with(b".") && !(is_first && component == b".well-known");
        if is_hidden && (!allows_hidden || component == b"." || component == b"..") {
            return None;
        }
        // Only the last may be empty, after a slash at the end.
        if component.is_empty() && (components.peek().is_some() || (is_first && !decoded.is_empty())) {
            return None;
        }
        is_first = false;
    }
    Some(decoded)
}

/// Decodes the percent-encoding; `None` for bytes that no component may contain.
fn decoded(path: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !path.iter().any(|byte| matches!(byte, b'%' | b'\\' | 0)) {
        return Some(Cow::Borrowed(path));
    }
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, after @ ..] = rest {
        rest = after;
        let byte = match (byte, after) {
            (b'%', [high, low, after @ ..]) => {
                rest = after;
                let byte = digit(*high)? << 4 | digit(*low)?;
                (byte != b'/').then_some(byte)?
            }
            (b'%', _) => return None,
            (byte, _) => *byte,
        };
        if matches!(byte, b'\\' | 0) {
            return None;
        }
        decoded.push(byte);
    }
    Some(Cow::Owned(decoded))
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}
