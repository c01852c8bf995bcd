//! The paths of an application: those of its routes, and those of the built-in pages and endpoints.

use std::rc::Rc;
use std::task::Context;

use conduit_route::Parameters;
use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};

use crate::built_in::BuiltIn;
use crate::endpoint::{Endpoint, Outcome};
use crate::problem::{Excerpt, Problem};
use crate::request::{KnownPaths, Request};
use crate::response::IntoResponse as _;
use crate::route::{Disconnect, Table};

/// The routes and the pages of an application.
pub(crate) struct Paths {
    pub(crate) table: &'static Table,
    pub(crate) pages: Box<[BuiltIn]>,
}

impl Paths {
    /// The page or endpoint at a path.
    pub(crate) fn page_at(&self, path: &str) -> Option<&BuiltIn> {
        self.pages.iter().find(|page| page.path() == path)
    }

    /// The page at the path of a request that supports its method.
    fn page_of(&self, request: &Request) -> Option<&BuiltIn> {
        let page = self.page_at(request.path());
        page.filter(|page| page.supports(request.method()))
    }

    /// The response of the page of a request, or the request that no page supports.
    pub(crate) fn answer(&self, request: Request) -> Result<Outcome, Request> {
        match self.page_of(&request) {
            Some(page) => Ok(page.answer(request)),
            None => Err(request),
        }
    }

    /// The action at the end of the client of a request to an endpoint; `None` for all other requests.
    pub(crate) fn disconnect(&self, request: &Request) -> Option<Disconnect> {
        self.page_of(request)?.disconnect(request)
    }

    /// The methods that a path supports, for the field `allow`: those of its routes and of its page, and `OPTIONS`.
    fn methods_at(&self, path: &str) -> Vec<&'static str> {
        let mut methods = self.table.allow(path);
        let mut of_page: &[&str] = &[];
        if let Some(page) = self.page_at(path) {
            of_page = page.methods();
            methods.retain(|method| !page.rejects(method));
        }
        // Each path that has a route or a page receives the response to `OPTIONS`.
        for method in of_page.iter().chain(&["OPTIONS"]) {
            if !methods.contains(method) {
                methods.push(method);
            }
        }
        methods
    }

    /// The field `allow` of a path (RFC 9110, section 10.2.1).
    pub(crate) fn allow(&self, path: &str) -> HeaderValue {
        HeaderValue::try_from(self.methods_at(path).join(", ")).expect("methods are tokens")
    }

    /// The response to a method that the path of a request does not support (RFC 9110, section 15.5.6).
    pub(crate) fn method_not_allowed(&self, request: &Request) -> Problem {
        let path = request.path();
        let detail = format!(
            "the method {} is not allowed; {} supports {}",
            Excerpt::new(request.method().as_str()),
            Excerpt::new(path),
            self.methods_at(path).join(", ")
        );
        Problem::new(StatusCode::METHOD_NOT_ALLOWED)
            .with_detail(detail)
            .with_header(ALLOW, self.allow(path))
    }
}

impl KnownPaths for Paths {
    fn support(&self, method: &Method, path: &str) -> bool {
        match self.page_at(path).filter(|page| page.takes(method)) {
            Some(page) => page.supports(method),
            None => {
                let found = self.table.find(method.as_str(), path, &mut Parameters::new());
                found.is_ok()
            }
        }
    }
}

/// Puts the pages before the routes that would match their paths too: a literal path comes before a parameter.
pub(crate) fn put_pages_before(paths: &Rc<Paths>, endpoints: &mut [Rc<dyn Endpoint>]) {
    let mut covered = Vec::new();
    for page in &paths.pages {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE] {
            if page.takes(&method)
                && let Ok(route) = paths.table.find(method.as_str(), page.path(), &mut Parameters::new())
                && !covered.contains(&route)
            {
                covered.push(route);
            }
        }
    }
    for route in covered {
        endpoints[route] = Rc::new(PagesFirst {
            paths: Rc::clone(paths),
            route: Rc::clone(&endpoints[route]),
        });
    }
}

/// A route with pages before it.
struct PagesFirst {
    paths: Rc<Paths>,
    route: Rc<dyn Endpoint>,
}

impl Endpoint for PagesFirst {
    fn call(&self, request: Request, context: &mut Context<'_>) -> Outcome {
        let request = match self.paths.answer(request) {
            Ok(outcome) => return outcome,
            Err(request) => request,
        };
        let page = self.paths.page_at(request.path());
        if page.is_some_and(|page| page.takes(request.method())) {
            return Outcome::Ready(self.paths.method_not_allowed(&request).into_response());
        }
        self.route.call(request, context)
    }
}
