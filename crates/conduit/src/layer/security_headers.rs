//! Security header fields for browsers.

use std::time::Duration;

use http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::{CspNonce, Layer, Next};
use crate::plain_value::plain_value;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The placeholder for the nonce in a content security policy.
const NONCE: &str = "{nonce}";

/// The maximum length of `strict-transport-security`.
const HSTS_BYTES: usize = 64;

/// Adds the header fields with which browsers protect a page and its users, unless the response has them already.
///
/// | field | default | effect |
/// | --- | --- | --- |
/// | `content-security-policy` | see [`new`](SecurityHeaders::new) | scripts, styles and images from the page's own origin only |
/// | `x-content-type-options` | `nosniff` | no guessing of content types |
/// | `x-frame-options` | `DENY` | no framing by other pages |
/// | `referrer-policy` | `strict-origin-when-cross-origin` | other sites receive the origin, not the path |
/// | `cross-origin-opener-policy` | `same-origin` | windows of other sites have no handle on the page |
/// | `cross-origin-resource-policy` | `same-origin` | other sites cannot embed the page |
/// | `strict-transport-security` | 1 year with subdomains, over TLS only | browsers use only TLS from then on |
///
/// `strict-transport-security` is sent only on TLS connections (RFC 6797, section 7.2); set
/// [`behind_tls`](SecurityHeaders::behind_tls) if a proxy in front of the application terminates TLS. A handler that needs
/// another policy sets the field in its response. The layer does not allocate in the steady state.
///
/// # Example
///
/// A site with images from a content delivery network:
///
/// ```
/// use conduit::layer::SecurityHeaders;
/// use conduit::prelude::*;
///
/// #[get("/")]
/// async fn home() -> Html<&'static str> {
///     Html("<img src=\"https://images.example.com/1.png\">")
/// }
///
/// let headers = SecurityHeaders::new()
///     .content_security_policy("default-src 'self'; img-src 'self' https://images.example.com");
/// let app = App::new(()).routes(routes![home]).layer(headers);
/// ```
#[derive(Clone, Debug)]
pub struct SecurityHeaders {
    fields: Vec<(HeaderName, HeaderValue)>,
    hsts: Option<HeaderValue>,
    behind_tls: bool,
    /// A content security policy with the placeholder `{nonce}`.
    policy_with_nonce: Option<String>,
}

impl SecurityHeaders {
    /// Adds all of the fields. The content security policy is
    /// `default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'`.
    pub fn new() -> Self {
        let fields = [
            (
                CONTENT_SECURITY_POLICY,
                "default-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; object-src 'none'",
            ),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (X_FRAME_OPTIONS, "DENY"),
            (REFERRER_POLICY, "strict-origin-when-cross-origin"),
            (OPENER_POLICY, "same-origin"),
            (RESOURCE_POLICY, "same-origin"),
        ];
        SecurityHeaders {
            fields: fields
                .into_iter()
                .map(|(name, value)| (name, HeaderValue::from_static(value)))
                .collect(),
            hsts: None,
            behind_tls: false,
            policy_with_nonce: None,
        }
        .strict_transport_security(Duration::from_secs(365 * 24 * 60 * 60), true)
    }

    /// Sets the content security policy. A `{nonce}` in it, as in `script-src {nonce} 'strict-dynamic'`, is replaced with a new
    /// nonce for each request, which pages read as a [`CspNonce`]. A 304 has no policy with a nonce: the browser would apply it
    /// to the cached page, which has another one.
    ///
    /// # Panics
    ///
    /// Panics if the policy contains anything but visible ASCII and spaces.
    #[track_caller]
    pub fn content_security_policy(mut self, policy: &str) -> Self {
        self.policy_with_nonce = None;
        if !policy.contains(NONCE) {
            return self.set(CONTENT_SECURITY_POLICY, policy);
        }
        // Check the policy once, without a nonce, rather than for each response.
        self = self
            .set(CONTENT_SECURITY_POLICY, policy)
            .set(CONTENT_SECURITY_POLICY, "");
        self.policy_with_nonce = Some(policy.to_owned());
        self
    }

    /// Sets a field, one of the above or any other; an empty value removes it.
    ///
    /// # Panics
    ///
    /// Panics if the value contains anything but visible ASCII and spaces.
    #[track_caller]
    pub fn set(mut self, name: HeaderName, value: &str) -> Self {
        self.fields.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            let value = plain_value(name.as_str(), value);
            self.fields.push((name, value));
        }
        self
    }

    /// Sets how long browsers use only TLS, and whether this includes subdomains. Default: one year, with subdomains. 0
    /// withdraws an earlier value. Resolution: 1 s.
    pub fn strict_transport_security(mut self, duration: Duration, subdomains: bool) -> Self {
        let mut value = String::with_capacity(HSTS_BYTES);
        value.push_str("max-age=");
        value.push_str(&duration.as_secs().to_string());
        if subdomains {
            value.push_str("; includeSubDomains");
        }
        self.hsts = Some(HeaderValue::try_from(value).expect("a number and a word are allowed in a header field"));
        self
    }

    /// Never sends `strict-transport-security`.
    pub fn without_strict_transport_security(mut self) -> Self {
        self.hsts = None;
        self
    }

    /// Declares that clients use TLS although this server's connections do not, because a proxy terminates it.
    pub fn behind_tls(mut self) -> Self {
        self.behind_tls = true;
        self
    }

    fn add(&self, headers: &mut HeaderMap, is_secure: bool) {
        let hsts = self.hsts.iter().filter(|_| is_secure || self.behind_tls);
        let hsts = hsts.map(|value| (&STRICT_TRANSPORT_SECURITY, value));
        for (name, value) in self.fields.iter().map(|(name, value)| (name, value)).chain(hsts) {
            if !headers.contains_key(name) {
                headers.insert(name, value.clone());
            }
        }
    }
}

impl Default for SecurityHeaders {
    fn default() -> Self {
        SecurityHeaders::new()
    }
}

impl Layer for SecurityHeaders {
    async fn call(&self, mut request: Request, next: Next) -> Response {
        let is_secure = request.is_tls();
        let mut policy = None;
        if let Some(template) = &self.policy_with_nonce {
            let nonce = match CspNonce::random() {
                Ok(nonce) => nonce,
                Err(problem) => return problem.into_response(),
            };
            policy = HeaderValue::try_from(template.replace(NONCE, &format!("'nonce-{nonce}'"))).ok();
            request.extensions_mut().insert(nonce);
        }
        let mut response = next.run(request).await;
        if let Some(policy) = policy.filter(|_| response.status() != StatusCode::NOT_MODIFIED) {
            response.headers_mut().entry(CONTENT_SECURITY_POLICY).or_insert(policy);
        }
        self.add(response.headers_mut(), is_secure);
        response
    }
}
