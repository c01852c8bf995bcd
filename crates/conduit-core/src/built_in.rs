//! Pages of the framework at literal paths, without a cost for requests of other paths.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;

use conduit_route::{Definition, Parameters};
use http::Method;

use crate::endpoint::{Endpoint, Outcome};
use crate::error::Error;
use crate::request::Request;
use crate::response::Response;
use crate::route::Table;

/// A page that the framework serves to `GET` and `HEAD`.
#[derive(Clone)]
pub struct BuiltIn {
    path: String,
    answer: Arc<dyn Fn(&Request) -> Response + Send + Sync>,
}

impl BuiltIn {
    /// A page at this path.
    pub fn new(path: String, answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        BuiltIn {
            path,
            answer: Arc::new(answer),
        }
    }
}

/// Fails if a route has the path of a page.
pub fn refuse_taken(pages: &[BuiltIn], definitions: &'static [Definition]) -> Result<(), Error> {
    for page in pages {
        if let Some(route) = definitions.iter().find(|route| route.path == page.path) {
            return Err(Error::taken(&page.path, route));
        }
    }
    Ok(())
}

/// The response of the page.
pub fn answer(pages: &[BuiltIn], request: &Request) -> Option<Response> {
    let page = pages.iter().find(|page| page.path == request.path())?;
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    is_read.then(|| (page.answer)(request))
}

/// Puts the pages before the routes that would match their paths too: a literal path comes before a parameter.
pub(crate) fn put_before(pages: &Rc<[BuiltIn]>, table: &Table, endpoints: &mut [Rc<dyn Endpoint>]) {
    let mut covered = Vec::new();
    for page in pages.iter() {
        for method in ["GET", "HEAD"] {
            if let Ok(route) = table.find(method, page.path.as_bytes(), &mut Parameters::new())
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
        match answer(&self.pages, &request) {
            Some(response) => Outcome::Ready(response),
            None => self.route.call(request, context),
        }
    }
}
