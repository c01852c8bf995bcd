//! Header fields that an operation need not describe: each has one meaning for every response.

/// Fields of the message, of caching and ranges, of authentication, of the browser's rules and of tracing.
const COMMON: [&str; 63] = [
    "accept-ch",
    "accept-encoding",
    "accept-patch",
    "accept-post",
    "accept-query",
    "accept-ranges",
    "age",
    "allow",
    "alt-svc",
    "authentication-info",
    "cache-control",
    "cache-status",
    "cdn-cache-control",
    "clear-site-data",
    "connection",
    "content-digest",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-range",
    "content-security-policy",
    "content-security-policy-report-only",
    "content-type",
    "cross-origin-embedder-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "date",
    "deprecation",
    "etag",
    "expires",
    "keep-alive",
    "last-modified",
    "link",
    "location",
    "origin-agent-cluster",
    "permissions-policy",
    "proxy-authenticate",
    "ratelimit",
    "ratelimit-policy",
    "referrer-policy",
    "retry-after",
    "server",
    "server-timing",
    "set-cookie",
    "strict-transport-security",
    "sunset",
    "timing-allow-origin",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "www-authenticate",
    "x-accel-buffering",
    "x-content-type-options",
    "x-dns-prefetch-control",
    "x-frame-options",
    "x-permitted-cross-domain-policies",
    "x-xss-protection",
];

/// Returns whether a field needs no description. Names are in lower case.
pub(super) fn need_no_description(name: &str) -> bool {
    COMMON.binary_search(&name).is_ok() || name.starts_with("access-control-") || name.starts_with("sec-websocket-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted() {
        assert!(COMMON.is_sorted());
    }

    #[test]
    fn a_field_of_the_application_needs_a_description() {
        assert!(need_no_description("cache-control") && need_no_description("access-control-allow-origin"));
        assert!(!need_no_description("x-total"));
    }
}
