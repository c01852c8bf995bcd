//! Pages and endpoints of the framework at literal paths, without a cost for requests of other paths.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use conduit_route::{Definition, Disconnect};
use http::Method;

use crate::endpoint::{Outcome, PendingHandler};
use crate::error::Error;
use crate::request::Request;
use crate::response::Response;

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
    /// An endpoint for `POST`.
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

    /// An endpoint at this path for `POST`. Requests with the methods `GET`, `HEAD` and `DELETE` are rejected, also if a route with
    /// a parameter matches. `disconnect` is the action at the end of the client of a request.
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

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns whether it comes before the routes with parameters that match its path.
    pub(crate) fn takes(&self, method: &Method) -> bool {
        self.supports(method) || self.rejects(method.as_str())
    }

    pub(crate) fn supports(&self, method: &Method) -> bool {
        self.methods().contains(&method.as_str())
    }

    /// Returns whether requests with this method are rejected before the routes with parameters.
    pub(crate) fn rejects(&self, method: &str) -> bool {
        match self.answer {
            Serving::Page(_) => false,
            Serving::Endpoint { .. } => matches!(method, "GET" | "HEAD" | "DELETE"),
        }
    }

    /// The response to a request with a supported method.
    pub(crate) fn answer(&self, request: Request) -> Outcome {
        match &self.answer {
            Serving::Page(answer) => Outcome::Ready(answer(&request)),
            Serving::Endpoint { answer, .. } => Outcome::Pending(PendingHandler::new(answer(request))),
        }
    }

    pub(crate) fn is_endpoint(&self) -> bool {
        matches!(self.answer, Serving::Endpoint { .. })
    }

    /// The action of an endpoint at the end of the client of a request; `None` for a page.
    pub(crate) fn disconnect(&self, request: &Request) -> Option<Disconnect> {
        match &self.answer {
            Serving::Endpoint { disconnect, .. } => Some(disconnect(request)),
            Serving::Page(_) => None,
        }
    }

    /// The supported methods, for the field `allow`.
    pub(crate) fn methods(&self) -> &'static [&'static str] {
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
