//! Header fields whose values are lists (RFC 9110, section 5.6.1): reading them, and adding to them.

use http::header::{HeaderName, VARY};
use http::{HeaderMap, HeaderValue};

use crate::response::Response;

/// The members of all fields of this name, without the white space around them and without empty ones.
pub(super) fn members<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|member| !member.is_empty())
}

/// Returns whether a list has this member, in any case; parameters of a member are ignored.
pub(super) fn has_member(headers: &HeaderMap, name: &HeaderName, wanted: &str) -> bool {
    members(headers, name).any(|member| {
        let word = member.split([';', '=']).next().unwrap_or_default();
        word.trim_end().eq_ignore_ascii_case(wanted)
    })
}

/// Adds the request field `name` to `vary`, on which the response depends (RFC 9110, section 12.5.5), unless it is there.
pub(super) fn vary(response: &mut Response, name: &'static HeaderName) {
    vary_on(response.headers_mut(), name);
}

/// As [`vary`], for the header fields of a response.
pub(crate) fn vary_on(headers: &mut HeaderMap, name: &'static HeaderName) {
    if !has_member(headers, &VARY, name.as_str()) && !has_member(headers, &VARY, "*") {
        headers.append(VARY, HeaderValue::from_static(name.as_str()));
    }
}

/// The value of the request's field as text; `None` where it is missing or no text.
#[cfg(any(feature = "compression", feature = "files"))]
pub(super) fn text<'a>(request: &'a crate::request::Request, name: &HeaderName) -> Option<&'a str> {
    request
        .header(name.as_str())
        .and_then(|value| str::from_utf8(value).ok())
}
