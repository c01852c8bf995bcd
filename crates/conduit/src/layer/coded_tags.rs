//! Entity tags of compressed responses: a strong tag for each coding (RFC 9110, section 8.8.3.3).
//!
//! The tag `"v1"` becomes `"v1;gzip"` in a gzip response. A weak tag would also be correct, but `If-Match` never matches weak
//! tags, so clients could not make conditional updates to a compressed response.

use http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::coding::Coding;
use crate::request::Request;
use crate::response::Response;

/// The marks removed from the tags of a request, kept for its response.
pub(super) struct Marks {
    /// The original `If-None-Match` lines, if a tag has the mark of the response's coding.
    known: Vec<HeaderValue>,
    coding: Option<Coding>,
}

impl Marks {
    /// Removes the marks from a request's tags, so that they equal the handler's. `If-Match` names versions and loses all
    /// marks. `If-None-Match` names stored responses, which a client cannot use in another coding: only the negotiated mark is
    /// removed.
    pub(super) fn remove_from(request: &mut Request, codings: &[Coding], coding: Option<Coding>) -> Self {
        unmark(request, &IF_MATCH, codings);
        let known = unmark(request, &IF_NONE_MATCH, coding.as_slice());
        Marks { known, coding }
    }

    /// Marks the tag of a 304 if the client sent the marked tag.
    pub(super) fn restore_in(&self, response: &mut Response) {
        let Some(coding) = self.coding.filter(|_| response.status() == StatusCode::NOT_MODIFIED) else {
            return;
        };
        let Some(marked) = response.headers().get(ETAG).and_then(|tag| marked(tag, coding)) else {
            return;
        };
        let is_known = |line: &HeaderValue| find(line.as_bytes(), marked.as_bytes()).is_some();
        if self.known.iter().any(is_known) {
            response.headers_mut().insert(ETAG, marked);
        }
    }
}

/// Sets the tag of a compressed response: the marked tag if compression is deterministic, otherwise a weak tag.
pub(super) fn mark(headers: &mut HeaderMap, coding: Coding, is_repeatable: bool) {
    let Some(tag) = headers.get(ETAG).filter(|tag| is_strong(tag)) else {
        return;
    };
    let marked = match is_repeatable {
        true => marked(tag, coding),
        false => HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok(),
    };
    if let Some(marked) = marked {
        headers.insert(ETAG, marked);
    }
}

fn is_strong(tag: &HeaderValue) -> bool {
    let bytes = tag.as_bytes();
    bytes.len() >= 2 && bytes.starts_with(b"\"") && bytes.ends_with(b"\"")
}

/// The strong tag with the mark of a coding.
fn marked(tag: &HeaderValue, coding: Coding) -> Option<HeaderValue> {
    let opaque = tag.as_bytes().strip_suffix(b"\"").filter(|_| is_strong(tag))?;
    HeaderValue::from_bytes(&[opaque, &end(coding)].concat()).ok()
}

/// The suffix of a tag with the mark of a coding.
fn end(coding: Coding) -> Vec<u8> {
    format!(";{}\"", coding.name()).into_bytes()
}

/// Removes marks from a request field. Returns the original lines if any had a mark.
fn unmark(request: &mut Request, name: &HeaderName, codings: &[Coding]) -> Vec<HeaderValue> {
    let has_mark = |line: &[u8]| codings.iter().any(|&coding| find(line, &end(coding)).is_some());
    if !request.header_all(name.as_str()).any(has_mark) {
        return Vec::new();
    }
    let headers = request.headers_mut();
    let sent: Vec<_> = headers.get_all(name).iter().cloned().collect();
    headers.remove(name);
    for line in &sent {
        let mut plain = line.as_bytes().to_vec();
        for end in codings.iter().map(|&coding| end(coding)) {
            while let Some(at) = find(&plain, &end) {
                plain.drain(at..at + end.len() - 1);
            }
        }
        if let Ok(plain) = HeaderValue::from_bytes(&plain) {
            headers.append(name, plain);
        }
    }
    sent
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
