//! The OpenAPI document of an application, and its docs page.

use std::io::{self, Write as _};

use conduit_openapi::{Document, DocumentContext, Page};
use http::header::ETAG;

use super::{App, Routed};
use crate::built_in::BuiltIn;
use crate::error::{Error, Result};
use crate::layer::{conditional, strong_tag};
use crate::response::IntoResponse as _;
use crate::route::Routes;

impl<S: 'static> App<S, Routes<S>> {
    /// The OpenAPI 3.1 document of the application.
    ///
    /// # Example
    ///
    /// A test that the document is complete:
    ///
    /// ```
    /// use conduit::prelude::*;
    ///
    /// #[derive(serde::Serialize, JsonSchema)]
    /// struct User {
    ///     id: u64,
    /// }
    ///
    /// /// Show one user.
    /// #[get("/users/{id}")]
    /// async fn show(id: Path<u64>) -> Json<User> {
    ///     Json(User { id: *id })
    /// }
    ///
    /// let document = App::new(()).routes(routes![show]).openapi();
    /// assert_eq!(document.gaps(), []);
    /// assert!(document.to_string().contains("Show one user."));
    /// ```
    pub fn openapi(&self) -> Document {
        Document::of(&self.routes, &self.document_context())
    }
}

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

impl<S: 'static, R: Routed<S>> App<S, R> {
    /// The pages of the docs, if they have a path.
    pub(super) fn document_pages(&self) -> Vec<BuiltIn> {
        let Some(path) = self.docs.as_deref() else {
            return Vec::new();
        };
        let document = Document::of(&self.routes.list(), &self.document_context());
        for gap in document.gaps() {
            tracing::warn!(
                handler = gap.handler,
                file = gap.file,
                line = gap.line,
                "not in the API's document: {}",
                gap.what
            );
        }
        document.pages(path).into_iter().map(built_in).collect()
    }

    /// Prints the document, and its gaps to standard error.
    pub(super) fn print_document(&self) -> Result {
        let document = Document::of(&self.routes.list(), &self.document_context());
        let print = || -> io::Result<()> {
            for gap in document.gaps() {
                writeln!(io::stderr(), "{gap}")?;
            }
            write!(io::stdout(), "{document}")
        };
        print().map_err(|cause| Error::system("print the document", cause))
    }

    /// Prints the client in TypeScript.
    pub(super) fn print_typescript_client(&self) -> Result {
        let document = Document::of(&self.routes.list(), &self.document_context());
        write!(io::stdout(), "{}", document.typescript()).map_err(|cause| Error::system("print the client", cause))
    }
}

impl<S: 'static, R> App<S, R> {
    /// The parts of the document that do not come from the routes.
    pub(super) fn document_context(&self) -> DocumentContext<'_> {
        DocumentContext {
            layers: Box::new(|operation| self.stack.describe(operation)),
            info: self.info.as_ref(),
            errors: &self.stack.errors,
        }
    }
}

/// The page with an entity tag, made once.
fn built_in(page: Page) -> BuiltIn {
    let Page {
        path,
        mut headers,
        body,
    } = page;
    headers.push((ETAG, strong_tag(&body)));
    BuiltIn::new(path, move |request| {
        let mut response = body.clone().into_response();
        for (name, value) in &headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        conditional(request, response)
    })
}
