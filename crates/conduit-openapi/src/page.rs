//! The docs page: the document, and Swagger UI from the program itself.
//!
//! Swagger UI is maintained by the maintainers of the specification, and works with a content security policy that permits no
//! other origin. `assets/fetch` downloads a new version.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};

use super::document::Document;

/// The version of `swagger-ui-dist` on npm that is in `assets`.
const VERSION: &str = "5.35.0";

const PAGE: &str = include_str!("assets/page.html");
const START: &str = include_str!("assets/start.js");
const SCRIPT: &[u8] = include_bytes!("assets/swagger-ui-bundle.js.gz");
/// The page that an authorization server redirects to, which passes the code to the docs page, and its script.
const REDIRECT: &str = include_str!("assets/oauth2-redirect.html");
const REDIRECT_SCRIPT: &str = include_str!("assets/oauth2-redirect.js");
const STYLE: &[u8] = include_bytes!("assets/swagger-ui.css.gz");

/// The URLs of the assets contain the versions of Swagger UI and of this crate, so that a client may cache them for a year.
const FOREVER: &str = "public, max-age=31536000, immutable";

const SCRIPTS: &str = "text/javascript; charset=utf-8";

/// A page that is the same for every request.
#[derive(Clone, Debug)]
pub struct Page {
    /// The path of its route.
    pub path: String,
    /// The header fields of the response, without an entity tag.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body of the response.
    pub body: Bytes,
}

impl Page {
    fn with(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        let value = HeaderValue::try_from(value.as_ref()).expect("the value has visible characters only");
        self.headers.push((name, value));
        self
    }
}

impl Document {
    /// The docs page at this path, and the pages below it: the document at `/openapi.json`, the scripts and styles of the
    /// page, and `/oauth2-redirect.html`, the redirect URI of its sign-in with OAuth 2.
    ///
    /// # Panics
    /// Panics if the URL of a server in the document has characters that are not visible.
    pub fn pages(&self, path: &str) -> Vec<Page> {
        pages(self, path)
    }
}

fn pages(document: &Document, path: &str) -> Vec<Page> {
    let page = html(document, path).into_bytes();
    let json = serde_json::to_vec(document).expect("a document is JSON");
    let fixed = |below: &str, kind, cache, body| Page {
        path: format!("{path}{below}"),
        headers: vec![
            (CONTENT_TYPE, HeaderValue::from_static(kind)),
            (CACHE_CONTROL, HeaderValue::from_static(cache)),
            (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        ],
        body,
    };
    // A client revalidates its page each time, and may cache an asset.
    let html = fixed("", "text/html; charset=utf-8", "no-cache", page.into());
    vec![
        html.with(CONTENT_SECURITY_POLICY, policy(document)),
        fixed("/openapi.json", "application/json", "no-cache", json.into()),
        fixed(
            "/oauth2-redirect.html",
            "text/html; charset=utf-8",
            "no-cache",
            Bytes::from_static(REDIRECT.as_bytes()),
        )
        .with(CONTENT_SECURITY_POLICY, "default-src 'none'; script-src 'self'"),
        // The page names it without a version.
        fixed(
            "/oauth2-redirect.js",
            SCRIPTS,
            "no-cache",
            Bytes::from_static(REDIRECT_SCRIPT.as_bytes()),
        ),
        fixed("/start.js", SCRIPTS, FOREVER, Bytes::from_static(START.as_bytes())),
        // Every client receives the compressed form of an asset, because all browsers read it.
        fixed("/swagger-ui.js", SCRIPTS, FOREVER, Bytes::from_static(SCRIPT)).with(CONTENT_ENCODING, "gzip"),
        fixed(
            "/swagger-ui.css",
            "text/css; charset=utf-8",
            FOREVER,
            Bytes::from_static(STYLE),
        )
        .with(CONTENT_ENCODING, "gzip"),
    ]
}

fn html(document: &Document, path: &str) -> String {
    let escape = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
    };
    // Relative to the page, so that it works behind a proxy that adds a prefix.
    let base = path.rsplit('/').next().unwrap_or_default();
    PAGE.replace("{base}", &escape(base))
        .replace("{version}", &format!("{VERSION}-{}", env!("CARGO_PKG_VERSION")))
        .replace("{title}", &escape(document.title()))
}

/// The page loads nothing from other hosts, and sends requests to this server and those in the document only: the servers of the
/// API, and those that issue tokens. Swagger UI sets styles of its elements.
fn policy(document: &Document) -> String {
    let is_safe = |letter: char| letter.is_ascii_alphanumeric() || "-.:[]/".contains(letter);
    let mut origins = String::new();
    for url in document.server_urls().chain(document.token_urls()) {
        let Some((scheme, rest)) = url.split_once("://") else {
            continue;
        };
        let host = rest.split('/').next().unwrap_or_default();
        let origin = format!(" {scheme}://{host}");
        if host.chars().chain(scheme.chars()).all(is_safe) && !origins.contains(&origin) {
            origins.push_str(&origin);
        }
    }
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
         connect-src 'self'{origins}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}
