//! Header fields with list values (RFC 9110, section 5.6.1): parsing them and appending to them.

use http::header::{HeaderName, VARY};
use http::{HeaderMap, HeaderValue};

use crate::response::Response;

/// The members of all fields of this name, trimmed and without empty members.
pub(super) fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|member| !member.is_empty())
}

/// Returns whether a list contains this member. The comparison is case-insensitive and ignores parameters.
pub(super) fn has_member(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    members(headers, name).any(|member| {
        let word = member.split([';', '=']).next().unwrap_or_default();
        word.trim_end().eq_ignore_ascii_case(wanted)
    })
}

/// Adds the request field `name`, on which the response depends, to `vary` unless present (RFC 9110, section 12.5.5).
pub(super) fn vary(response: &mut Response, name: &HeaderName) {
    vary_on(response.headers_mut(), name);
}

/// Like [`vary`], for the header fields of a response.
pub(crate) fn vary_on(headers: &mut HeaderMap, name: &HeaderName) {
    if !has_member(headers, &VARY, name.as_str()) && !has_member(headers, &VARY, "*") {
        headers.append(VARY, HeaderValue::from(name.clone()));
    }
}
