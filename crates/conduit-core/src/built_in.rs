//! Pages and endpoints of the framework at literal paths, without a cost for requests of other paths.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

use conduit_route::{Definition, Disconnect, Parameters};
use http::Method;

use crate::endpoint::{Endpoint, Outcome, PendingHandler};
use crate::error::Error;
use crate::request::Request;
use crate::response::Response;
use crate::route::Table;

/// A page or an endpoint of the framework.
#[derive(Clone)]
pub struct BuiltIn {
    path: String,
    answer: Serving,
}

#[derive(Clone)]
enum Serving {
    /// A page for `GET` and `HEAD`.
    Page(Arc<dyn Fn(&Request) -> Response + Send + Sync>),
    /// An endpoint for `POST`, which rejects `GET` and `DELETE` itself.
    Endpoint {
        answer: Arc<dyn Fn(Request) -> Answering + Send + Sync>,
        /// The action at the end of the client of a request.
        disconnect: Arc<dyn Fn(&Request) -> Disconnect + Send + Sync>,
    },
}

type Answering = Pin<Box<dyn Future<Output = Response>>>;

impl BuiltIn {
    /// A page at this path.
    pub fn new(path: String, answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        BuiltIn {
            path,
            answer: Serving::Page(Arc::new(answer)),
        }
    }

    /// An endpoint at this path for `POST`. It receives requests with the methods `GET` and `DELETE` too, before the routes of
    /// parameters, and rejects them. `disconnect` is the action at the end of the client of a request.
    pub fn endpoint<F>(
        path: String,
        answer: impl Fn(Request) -> F + Send + Sync + 'static,
        disconnect: impl Fn(&Request) -> Disconnect + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Response> + 'static,
    {
        BuiltIn {
            path,
            answer: Serving::Endpoint {
                answer: Arc::new(move |request| Box::pin(answer(request))),
                disconnect: Arc::new(disconnect),
            },
        }
    }

    fn takes(&self, method: &Method) -> bool {
        match self.answer {
            Serving::Page(_) => matches!(*method, Method::GET | Method::HEAD),
            Serving::Endpoint { .. } => matches!(*method, Method::GET | Method::POST | Method::DELETE),
        }
    }

    /// The supported methods, for the field `allow`.
    fn methods(&self) -> &'static [&'static str] {
        match self.answer {
            Serving::Page(_) => &["GET", "HEAD"],
            Serving::Endpoint { .. } => &["POST"],
        }
    }
}

/// Returns an error if a route has the path of a page.
pub fn refuse_taken(pages: &[BuiltIn], definitions: &'static [Definition]) -> Result<(), Error> {
    for page in pages {
        if let Some(route) = definitions.iter().find(|route| route.path == page.path) {
            return Err(Error::taken(&page.path, route));
        }
    }
    Ok(())
}

/// The page that takes a request.
fn page_of<'p>(pages: &'p [BuiltIn], request: &Request) -> Option<&'p BuiltIn> {
    let page = pages.iter().find(|page| page.path == request.path())?;
    page.takes(request.method()).then_some(page)
}

/// The response of the page, or the request that no page takes.
pub fn answer(pages: &[BuiltIn], request: Request) -> Result<Outcome, Request> {
    let Some(page) = page_of(pages, &request) else {
        return Err(request);
    };
    Ok(match &page.answer {
        Serving::Page(answer) => Outcome::Ready(answer(&request)),
        Serving::Endpoint { answer, .. } => Outcome::Pending(PendingHandler::new(answer(request))),
    })
}

/// The supported methods of the page at this path; empty if no page has the path.
pub(crate) fn methods_at(pages: &[BuiltIn], path: &str) -> &'static [&'static str] {
    let page = pages.iter().find(|page| page.path == path);
    page.map_or(&[], BuiltIn::methods)
}

/// Returns whether one of the pages is an endpoint.
pub(crate) fn have_endpoint(pages: &[BuiltIn]) -> bool {
    pages.iter().any(|page| matches!(page.answer, Serving::Endpoint { .. }))
}

/// The action at the end of the client of a request to an endpoint; `None` for all other requests.
pub(crate) fn disconnect(pages: &[BuiltIn], request: &Request) -> Option<Disconnect> {
    match &page_of(pages, request)?.answer {
        Serving::Endpoint { disconnect, .. } => Some(disconnect(request)),
        Serving::Page(_) => None,
    }
}

/// Puts the pages before the routes that would match their paths too: a literal path comes before a parameter.
pub(crate) fn put_before(pages: &Rc<[BuiltIn]>, table: &Table, endpoints: &mut [Rc<dyn Endpoint>]) {
    let mut covered = Vec::new();
    for page in pages.iter() {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::DELETE] {
            if page.takes(&method)
                && let Ok(route) = table.find(method.as_str(), page.path.as_bytes(), &mut Parameters::new())
                && !covered.contains(&route)
            {
                covered.push(route);
            }
        }
    }
    for route in covered {
        endpoints[route] = Rc::new(PagesFirst {
            pages: Rc::clone(pages),
            route: Rc::clone(&endpoints[route]),
        });
    }
}

/// A route with pages before it.
struct PagesFirst {
    pages: Rc<[BuiltIn]>,
    route: Rc<dyn Endpoint>,
}

impl Endpoint for PagesFirst {
    fn call(&self, request: Request, context: &mut Context<'_>) -> Outcome {
        match answer(&self.pages, request) {
            Ok(outcome) => outcome,
            Err(request) => self.route.call(request, context),
        }
    }
}
