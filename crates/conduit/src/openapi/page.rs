//! The docs page: the document, and Swagger UI from the program itself.
//!
//! Swagger UI is kept up by those who keep the specification, and content with a policy that allows nothing from
//! elsewhere. `assets/fetch` brings a new version.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};

use super::DocumentContext;
use super::document::{Document, document_of};
use crate::app::App;
use crate::built_in::BuiltIn;
use crate::layer::{conditional, strong_tag};
use crate::response::IntoResponse;
use crate::route::Routes;

/// The version of `swagger-ui-dist` on npm that is in `assets`.
const VERSION: &str = "5.35.0";

const PAGE: &str = include_str!("assets/page.html");
const START: &str = include_str!("assets/start.js");
const SCRIPT: &[u8] = include_bytes!("assets/swagger-ui-bundle.js.gz");
const STYLE: &[u8] = include_bytes!("assets/swagger-ui.css.gz");

/// Their address has the version in it, so that a client may keep them for a year.
const FOREVER: &str = "public, max-age=31536000, immutable";

const SCRIPTS: &str = "text/javascript; charset=utf-8";

impl<S, R> App<S, R> {
    /// Serves a page that shows the OpenAPI document, where each operation can be tried, and the document itself at
    /// `/openapi.json` below it. Everything the page needs is in the program; nothing is loaded from elsewhere.
    ///
    /// The page is outside of the groups of routes and their layers; the layers of the [application](App::layer) are
    /// around it. It takes precedence over a route with a parameter, such as `/{slug}`. Gaps of the document, where a
    /// type has no description, are logged as warnings when the server starts.
    ///
    /// # Panics
    ///
    /// When `path` does not start with a slash, ends in one, or has parameters.
    ///
    /// # Errors
    ///
    /// [`listen`](App::listen) and [`run`](App::run) fail when a route has the same path.
    ///
    /// # Example
    ///
    /// A page at `/docs`, and the document at `/docs/openapi.json`:
    ///
    /// ```
    /// use conduit::prelude::*;
    ///
    /// /// Greet.
    /// #[get("/")]
    /// async fn hello() -> &'static str {
    ///     "Hello, World!"
    /// }
    ///
    /// let app = App::new(()).routes(routes![hello]).docs("/docs");
    /// ```
    pub fn docs(mut self, path: &str) -> Self {
        let is_plain = path.len() > 1 && path.starts_with('/') && !path.ends_with('/') && !path.contains(['{', '}']);
        assert!(
            is_plain,
            "the path of the docs is {path:?}: write one such as \"/docs\""
        );
        self.docs = Some(path.to_owned());
        self
    }
}

/// The pages to serve if the docs have a path.
pub(crate) fn pages<S>(routes: &Routes<S>, context: &DocumentContext<'_>, path: Option<&str>) -> Vec<BuiltIn> {
    let Some(path) = path else { return Vec::new() };
    let document = document_of(routes, context);
    for gap in document.gaps() {
        tracing::warn!(
            handler = gap.handler,
            file = gap.file,
            line = gap.line,
            "not in the API's document: {}",
            gap.what
        );
    }
    let page = html(&document, path).into_bytes();
    let json = serde_json::to_vec(&document).expect("a document is JSON");
    let fixed = |below: &str, kind, cache, body| Fixed {
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
        html.with(CONTENT_SECURITY_POLICY, policy(&document)).page(),
        fixed("/openapi.json", "application/json", "no-cache", json.into()).page(),
        fixed("/start.js", SCRIPTS, FOREVER, Bytes::from_static(START.as_bytes())).page(),
        // A compressed asset is sent so to every client: each browser can read it.
        fixed("/swagger-ui.js", SCRIPTS, FOREVER, Bytes::from_static(SCRIPT))
            .with(CONTENT_ENCODING, "gzip")
            .page(),
        fixed(
            "/swagger-ui.css",
            "text/css; charset=utf-8",
            FOREVER,
            Bytes::from_static(STYLE),
        )
        .with(CONTENT_ENCODING, "gzip")
        .page(),
    ]
}

/// A page that is the same for every request.
struct Fixed {
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Fixed {
    fn with(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        let value = HeaderValue::try_from(value.as_ref()).expect("the value has visible characters only");
        self.headers.push((name, value));
        self
    }

    /// The page with an entity tag, made once.
    fn page(mut self) -> BuiltIn {
        self.headers.push((ETAG, strong_tag(&self.body)));
        BuiltIn::new(self.path, move |request| {
            let mut response = self.body.clone().into_response();
            let headers = response.headers_mut();
            for (name, value) in &self.headers {
                headers.insert(name.clone(), value.clone());
            }
            conditional(request, response)
        })
    }
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
        .replace("{version}", VERSION)
        .replace("{title}", &escape(document.title()))
}

/// The page loads nothing from other hosts, and sends requests to this server and those in the document only. Swagger UI sets
/// styles of its elements.
fn policy(document: &Document) -> String {
    let is_safe = |letter: char| letter.is_ascii_alphanumeric() || "-.:[]/".contains(letter);
    let mut origins = String::new();
    for url in document.server_urls() {
        let Some((scheme, rest)) = url.split_once("://") else {
            continue;
        };
        let host = rest.split('/').next().unwrap_or_default();
        if host.chars().all(is_safe) && scheme.chars().all(is_safe) {
            origins.push_str(&format!(" {scheme}://{host}"));
        }
    }
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
         connect-src 'self'{origins}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
}
