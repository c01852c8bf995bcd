//! The comparison of an application's responses with its OpenAPI document, for the test client and for a layer in development.

use std::sync::Arc;

use conduit_openapi::{Contract, Difference, SentResponse};
use conduit_route::Parameters;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, Method};

use super::{App, Routed};
use crate::layer::{Layer, MethodOverride, Next};
use crate::request::Request;
use crate::response::Response;
use crate::route::{Definition, Table};

impl<S: 'static, R: Routed<S>> App<S, R> {
    /// Compares each response with the OpenAPI document and logs an error for an undocumented one, with the operation, its
    /// handler, and the handler's location in the source. It does so in [development](App::development) only; in production it
    /// has no effect. The test client of `conduit::testing` compares responses without it.
    ///
    /// Call it after [`routes`](App::routes), [`layer`](App::layer) and [`docs`](App::docs), which it reads. It compares the
    /// status, the content type, the header fields, and the JSON of bodies in memory. Errors in the format of
    /// [`errors`](App::errors) are not compared, because it is applied after all layers. Requires the feature `contract` or
    /// `testing`.
    ///
    /// # Example
    ///
    /// An application that reports undocumented responses during development:
    ///
    /// ```
    /// use conduit::prelude::*;
    ///
    /// #[get("/")]
    /// async fn hello() -> &'static str {
    ///     "Hello, World!"
    /// }
    ///
    /// let app = App::new(()).routes(routes![hello]).check_responses();
    /// ```
    pub fn check_responses(self) -> Self {
        if !self.stack.errors.is_development() {
            return self;
        }
        let contract = AppContract::of(&self);
        self.layer(ResponseCheck(Arc::new(contract)))
    }
}

/// The contract of an application's routes.
pub(crate) struct AppContract {
    contract: Contract,
    table: &'static Table,
    /// The path of the docs pages, which take precedence over routes with parameters.
    docs: Option<String>,
    /// The path of the endpoint of MCP, which takes precedence too.
    mcp: Option<String>,
    /// Set if a layer reads the method from a header field.
    overrides_method: bool,
    is_development: bool,
    has_error_form: bool,
}

impl AppContract {
    pub(crate) fn of<S: 'static, R: Routed<S>>(app: &App<S, R>) -> Self {
        AppContract {
            contract: Contract::of(&app.document()),
            table: app.routes.list().table(),
            docs: app.docs.clone(),
            mcp: app.mcp_path().map(str::to_owned),
            overrides_method: app.stack.has_layer::<MethodOverride>(),
            is_development: app.stack.errors.is_development(),
            has_error_form: app.stack.errors.form.is_some(),
        }
    }

    /// Returns the route of a request.
    fn route(&self, method: &Method, path: &str, headers: &HeaderMap) -> Option<&'static Definition> {
        let is_of_docs = |docs: &String| {
            path.strip_prefix(&**docs)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if self.docs.as_ref().is_some_and(is_of_docs) || self.mcp.as_deref() == Some(path) {
            return None;
        }
        let named = headers
            .get("x-http-method-override")
            .and_then(|value| value.to_str().ok());
        let method = match named {
            Some(named) if self.overrides_method && method == Method::POST => named,
            _ => method.as_str(),
        };
        let index = self.table.find(method, path.as_bytes(), &mut Parameters::new()).ok()?;
        self.table.definitions().get(index)
    }

    fn difference(&self, route: &Definition, request: &HeaderMap, response: &SentResponse<'_>) -> Option<Difference> {
        let is_page = || {
            let begins = |headers: &HeaderMap, name, text: &str| {
                let value = headers.get(name).and_then(|value| value.to_str().ok());
                value.is_some_and(|value| value.contains(text))
            };
            begins(request, ACCEPT, "text/html") && begins(response.headers, CONTENT_TYPE, "text/html")
        };
        let is_error = response.status.is_client_error() || response.status.is_server_error();
        // Development shows errors to browsers as HTML pages, which the API document does not contain.
        if is_error && self.is_development && is_page() {
            return None;
        }
        self.contract.difference(route, response)
    }
}

/// The layer that compares responses.
#[derive(Clone)]
struct ResponseCheck(Arc<AppContract>);

impl Layer for ResponseCheck {
    async fn call(&self, request: Request, next: Next) -> Response {
        let contract = &self.0;
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let route = contract.route(&method, request.path(), &headers);
        let response = next.run(request).await;
        let is_error = response.status().is_client_error() || response.status().is_server_error();
        if let Some(route) = route
            && !(is_error && contract.has_error_form)
        {
            let sent = SentResponse {
                method: &method,
                status: response.status(),
                headers: response.headers(),
                body: response.body().whole(),
            };
            if let Some(difference) = contract.difference(route, &headers, &sent) {
                tracing::error!(
                    handler = difference.handler,
                    file = difference.file,
                    line = difference.line,
                    "{difference}"
                );
            }
        }
        response
    }
}

#[cfg(feature = "testing")]
impl conduit_testing::ResponseContract for AppContract {
    fn difference(&self, exchange: &conduit_testing::TestExchange<'_>) -> Option<String> {
        let route = self.route(exchange.method, exchange.path, exchange.request_headers)?;
        let sent = SentResponse {
            method: exchange.method,
            status: exchange.status,
            headers: exchange.headers,
            body: exchange.body,
        };
        let difference = self.difference(route, exchange.request_headers, &sent)?;
        Some(difference.to_string())
    }
}
