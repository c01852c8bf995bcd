//! The origins whose pages may open a WebSocket (RFC 6454; RFC 6455, section 10.2).

/// The permitted origins.
#[derive(Debug)]
pub(super) enum PermittedOrigins {
    /// The origin of the request itself.
    Own,
    /// The own one and these.
    Listed(Vec<String>),
    Any,
}

/// The origin of a request, and its own one.
#[derive(Debug)]
pub(super) struct Origin {
    /// The value of `origin`; `None` for clients that are not browsers.
    pub(super) sent: Option<String>,
    pub(super) is_secure: bool,
    pub(super) host: Option<String>,
}

impl PermittedOrigins {
    pub(super) fn permit(&self, origin: &Origin) -> bool {
        let Some(sent) = &origin.sent else {
            return true;
        };
        match self {
            PermittedOrigins::Any => true,
            PermittedOrigins::Own => origin.is_own(sent),
            PermittedOrigins::Listed(listed) => {
                origin.is_own(sent) || listed.iter().any(|listed| listed.eq_ignore_ascii_case(sent))
            }
        }
    }
}

impl Origin {
    /// Returns whether the page has the host and port of the request. A page without TLS is another origin for a request
    /// with it. A request without TLS may be from a proxy that ends TLS, so its page may have either scheme.
    fn is_own(&self, sent: &str) -> bool {
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_the_same_host_and_port_are_permitted() {
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
            // A proxy that ends TLS.
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
            let origin = Origin {
                sent: sent.map(str::to_owned),
                is_secure,
                host: Some(host.to_owned()),
            };
            assert_eq!(PermittedOrigins::Own.permit(&origin), is_own, "{sent:?} at {host}");
            assert!(PermittedOrigins::Any.permit(&origin));
        }
    }
}
