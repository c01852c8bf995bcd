//! An application's OpenAPI document and docs page.

use std::io::{self, Write as _};

use conduit_openapi::{Document, DocumentContext, Page, Version};
use http::header::ETAG;

use super::{App, Routed, printing};
use crate::built_in::BuiltIn;
use crate::error::{Error, Result};
use crate::layer::{conditional, strong_tag};
use crate::response::IntoResponse as _;
use crate::route::{Definition, Routes};

impl<S: 'static> App<S, Routes<S>> {
    /// Returns the OpenAPI 3.1 document of the application.
    ///
    /// # Example
    ///
    /// A test for a complete document:
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
        self.document()
    }
}

impl<S, R> App<S, R> {
    /// Serves a page that shows the OpenAPI document and sends requests to its operations, and the document itself at
    /// `/openapi.json` below it. The program contains all of the page's resources; it loads nothing from other servers.
    ///
    /// Layers of route lists do not apply to the page; the layers of the [application](App::layer) do. It takes precedence
    /// over a route with a parameter, such as `/{slug}`. Gaps in the document, that is types without a description, are
    /// logged as warnings when the server starts.
    ///
    /// # Panics
    ///
    /// Panics if `path` does not start with a slash, ends with one, or has parameters.
    ///
    /// # Errors
    ///
    /// [`listen`](App::listen) and [`run`](App::run) fail if a route has the same path.
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
        self.docs = Some(page_path("the docs", path, "/docs"));
        self
    }
}

impl<S: 'static, R: Routed<S>> App<S, R> {
    /// Returns the document of the routes within the layers of the application.
    pub(super) fn document(&self) -> Document {
        let context = DocumentContext {
            layers: Box::new(|operation| self.stack.describe(operation)),
            is_ambient: self.stack.is_ambient(),
            info: self.info.as_ref(),
            errors: &self.stack.errors,
        };
        Document::of(&self.routes.list(), &context)
    }

    /// Returns the docs pages, if they have a path.
    pub(super) fn document_pages(&self) -> Vec<BuiltIn> {
        let Some(path) = self.docs.as_deref() else {
            return Vec::new();
        };
        pages(&self.document(), path)
    }

    /// Returns the security of the operation of a tool, by its route.
    pub(super) fn security_of_routes(&self) -> impl Fn(&Definition) -> Vec<Vec<String>> {
        let routes = self.routes.list();
        let has_tools = routes.definitions().iter().any(|route| route.tool.is_some());
        let document = has_tools.then(|| self.document());
        let tools = document.and_then(|document| document.tools().ok()).unwrap_or_default();
        move |definition| {
            let tool = tools.iter().find(|tool| std::ptr::eq(tool.definition, definition));
            tool.map(|tool| tool.security.clone()).unwrap_or_default()
        }
    }

    /// Prints the document to standard output, and its gaps to standard error.
    pub(super) fn print_document(&self, is_3_2: bool) -> Result {
        let mut document = self.document();
        if is_3_2 {
            document = document.in_version(Version::V3_2);
        }
        for gap in document.gaps() {
            writeln!(io::stderr(), "{gap}").map_err(|cause| Error::system("print the gaps of the document", cause))?;
        }
        printing::print(document, "print the document")
    }
}

/// Returns the path of built-in pages.
///
/// # Panics
/// Panics if the path does not start with a slash, ends with one, or has parameters.
pub(super) fn page_path(of: &str, path: &str, example: &str) -> String {
    let is_plain = path.len() > 1 && path.starts_with('/') && !path.ends_with('/') && !path.contains(['{', '}']);
    assert!(
        is_plain,
        "invalid path of {of} {path:?}: expected one such as {example:?}"
    );
    path.to_owned()
}

/// Returns the pages of a document, and logs its gaps.
fn pages(document: &Document, path: &str) -> Vec<BuiltIn> {
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

/// Returns the page with an entity tag.
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
