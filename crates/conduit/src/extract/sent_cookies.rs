//! The request's cookies, parsed the same way for every extractor (RFC 6265, section 4.2).

use std::borrow::Cow;
use std::str::Utf8Error;

use http::header::COOKIE;
use percent_encoding::percent_decode;

use crate::request::Request;

/// A cookie as sent by the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SentCookie<'a> {
    /// The name, not decoded: otherwise `__%48ost-id`, which any site of the domain can set, would pass for `__Host-id`.
    pub(crate) name: &'a [u8],
    /// The value without the surrounding quotes, not decoded.
    value: &'a [u8],
}

impl<'a> SentCookie<'a> {
    /// Returns the percent-decoded value.
    pub(crate) fn value(&self) -> Result<Cow<'a, str>, Utf8Error> {
        percent_decode(self.value).decode_utf8()
    }
}

/// Returns all cookies in the order of the request. Browsers send the cookie with the longest path first, so the first of a
/// name is the most specific one (RFC 6265, section 5.4).
///
/// A pair without `=` or without a name is not a cookie. White space around name and value is removed, then one pair of quotes
/// around the value, the quoted form of section 4.1.1.
pub(crate) fn sent_cookies(request: &Request) -> impl Iterator<Item = SentCookie<'_>> {
    request
        .header_all(COOKIE.as_str())
        .flat_map(|field| field.split(|&byte| byte == b';'))
        .filter_map(parse)
}

/// Returns the values of all cookies of this name.
pub(crate) fn sent_values<'a>(
    request: &'a Request,
    name: &str,
) -> impl Iterator<Item = Result<Cow<'a, str>, Utf8Error>> {
    sent_cookies(request)
        .filter(move |cookie| cookie.name == name.as_bytes())
        .map(|cookie| cookie.value())
}

fn parse(pair: &[u8]) -> Option<SentCookie<'_>> {
    let equals = pair.iter().position(|&byte| byte == b'=')?;
    let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
    let unquoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
    (!name.is_empty()).then(|| SentCookie {
        name,
        value: unquoted.unwrap_or(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pair, and its name and value.
    type Case<'a> = (&'a [u8], Option<(&'a [u8], &'a str)>);

    #[test]
    fn a_pair_is_read_as_rfc_6265_writes_it() {
        let cases: [Case<'_>; 18] = [
            (b"a=1", Some((b"a", "1"))),
            (b" \ta = 1 \t", Some((b"a", "1"))),
            (b"a=", Some((b"a", ""))),
            (b"a==b=", Some((b"a", "=b="))),
            (b"a=x y,z", Some((b"a", "x y,z"))),
            (b"a", None),
            (b"", None),
            (b"=a", None),
            (b" =a", None),
            (b"a=\"1\"", Some((b"a", "1"))),
            (b"a=\"\"", Some((b"a", ""))),
            (b"a=\"", Some((b"a", "\""))),
            (b"a=\"1", Some((b"a", "\"1"))),
            (b"a=\"\"1\"\"", Some((b"a", "\"1\""))),
            (b"a=%221%22", Some((b"a", "\"1\""))),
            (b"a=100%25", Some((b"a", "100%"))),
            (b"a=100%", Some((b"a", "100%"))),
            // The name is not decoded.
            (b"__%48ost-a=1", Some((b"__%48ost-a", "1"))),
        ];
        for (pair, expected) in cases {
            let found = parse(pair).map(|cookie| (cookie.name, cookie.value().expect("it is UTF-8")));
            let expected = expected.map(|(name, value)| (name, Cow::Borrowed(value)));
            assert_eq!(found, expected, "{}", pair.escape_ascii());
        }
        for pair in [&b"a=%ff"[..], b"a=\xff"] {
            assert!(parse(pair).expect("a cookie").value().is_err());
        }
    }
}
