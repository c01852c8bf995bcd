//! The origin of the page that sent a request (RFC 6454), compared with the request's.

use http::header::ORIGIN;

use crate::extract::Client;
use crate::request::Request;

/// The origin of a page and that of its request.
#[derive(Debug)]
pub(crate) struct PageOrigin {
    /// The value of `origin`; `None` for clients that are not browsers.
    pub(crate) sent: Option<String>,
    is_secure: bool,
    host: Option<String>,
}

impl PageOrigin {
    pub(crate) fn of(request: &Request) -> Self {
        let sent = request.header(ORIGIN.as_str());
        let sent = sent.map(|origin| String::from_utf8_lossy(origin).into_owned());
        // Only browsers send `origin`.
        let client = sent.is_some().then(|| Client::of(request));
        PageOrigin {
            is_secure: client.as_ref().is_some_and(Client::is_secure),
            host: client.and_then(|client| client.host().map(str::to_owned)),
            sent,
        }
    }

    /// Returns whether the page has the host and port of the request, or there is no page. A page without TLS is cross-origin
    /// for a request with TLS. A request without TLS may come from a proxy that terminates TLS, so its page may have either
    /// scheme.
    pub(crate) fn is_own(&self) -> bool {
        let Some(sent) = &self.sent else { return true };
        let Some((scheme, host)) = sent.split_once("://") else {
            return false;
        };
        let default_port = match scheme.to_ascii_lowercase().as_str() {
            "https" => ":443",
            "http" if !self.is_secure => ":80",
            _ => return false,
        };
        let without_port = |host: &str| host.strip_suffix(default_port).unwrap_or(host).to_ascii_lowercase();
        let own = self.host.as_deref().map(without_port);
        own.is_some_and(|own| !own.is_empty() && own == without_port(host))
    }

    /// Returns whether the origin is in the list.
    pub(crate) fn is_among(&self, origins: &[String]) -> bool {
        let sent = self.sent.as_deref();
        sent.is_some_and(|sent| origins.iter().any(|origin| origin.eq_ignore_ascii_case(sent)))
    }
}

/// Checks that an origin has the form that browsers send: scheme, host, and port unless it is the scheme's default.
///
/// # Panics
///
/// Panics if the origin has another form.
#[track_caller]
pub(crate) fn require(origin: &str) {
    let rest = origin.split_once("://").map(|(_, rest)| rest);
    let valid = rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['/', '?', '#', '@', '*']))
        && origin
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
    assert!(
        valid,
        "`{origin}` is not an origin: write scheme, host and port in lower case, such as `https://app.example.com`"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_the_same_host_and_port_are_of_the_same_origin() {
        for (sent, is_secure, host, is_own) in [
            (None, false, "a", true),
            (Some("http://a"), false, "a", true),
            (Some("http://A"), false, "a", true),
            (Some("http://a:80"), false, "a", true),
            (Some("http://a"), false, "a:80", true),
            (Some("http://a:8080"), false, "a:8080", true),
            (Some("http://[::1]:8080"), false, "[::1]:8080", true),
            (Some("https://a"), true, "a", true),
            (Some("https://a"), true, "a:443", true),
            // A proxy that terminates TLS.
            (Some("https://a"), false, "a", true),
            (Some("http://a"), true, "a", false),
            (Some("http://b"), false, "a", false),
            (Some("http://a:8080"), false, "a", false),
            (Some("http://a"), false, "a:8080", false),
            (Some("https://a:80"), true, "a", false),
            (Some("http://a.b"), false, "a", false),
            (Some("http://ba"), false, "a", false),
            (Some("null"), false, "null", false),
            (Some(""), false, "", false),
            (Some("http://"), false, "", false),
            (Some("file://"), false, "", false),
            (Some("chrome-extension://a"), false, "a", false),
        ] {
            let origin = PageOrigin {
                sent: sent.map(str::to_owned),
                is_secure,
                host: Some(host.to_owned()),
            };
            assert_eq!(origin.is_own(), is_own, "{sent:?} at {host}");
        }
    }
}
