//! Nonces for scripts and styles in pages (Content Security Policy Level 3, section 2.3.1).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::body::BoxError;
use crate::extract::FromRequest;
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;

const BYTES: usize = 16;

/// The nonce of a request. A page repeats it in the `nonce` attribute of its scripts and styles, and the browser runs only
/// those. The layer [`SecurityHeaders`](super::SecurityHeaders) generates it, as 128 random bits in base64, if its content
/// security policy contains `{nonce}`.
///
/// Pages with a nonce must not be cached: each response needs a new one.
///
/// # Errors
///
/// Rejects with 500 if the request has no nonce.
///
/// # Example
///
/// A page with an inline script:
///
/// ```
/// use conduit::layer::{CspNonce, SecurityHeaders};
/// use conduit::prelude::*;
///
/// #[get("/")]
/// async fn home(nonce: CspNonce) -> Html<String> {
///     Html(format!("<script nonce=\"{nonce}\">document.body.append('hello')</script>"))
/// }
///
/// let headers = SecurityHeaders::new().content_security_policy("default-src 'self'; script-src {nonce}; base-uri 'none'");
/// let app = App::new(()).routes(routes![home]).layer(headers);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CspNonce(String);

impl CspNonce {
    /// Generates a nonce.
    pub(super) fn random() -> Result<Self, Problem> {
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(|error| Problem::internal(&error))?;
        Ok(CspNonce(STANDARD.encode(bytes)))
    }

    /// The nonce, for the attribute: letters, digits, `+`, `/` and `=`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CspNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[diagnostic::do_not_recommend]
impl<S> FromRequest<S> for CspNonce {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        request.extensions().get::<CspNonce>().cloned().ok_or_else(|| {
            let message = "the request has no nonce: add the layer `SecurityHeaders` to the application, with a content \
                           security policy that has the word `{nonce}`";
            Problem::internal(&*BoxError::from(message))
        })
    }

    /// The nonce does not depend on the request's content.
    fn describe(_: &mut Operation) {}
}
