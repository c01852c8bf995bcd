//! An application on one worker: its layers, and the dispatch of a request to the handler of its route.

use std::any::TypeId;
use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;
use std::task::Context;

use conduit_route::Miss;
use http::header::ALLOW;
use http::{Method, StatusCode};

use crate::built_in::BuiltIn;
use crate::cross_origin::CrossOrigin;
use crate::endpoint::{Endpoint, Outcome, PendingHandler};
use crate::error_form::{ConnectedForm, ErrorForm, RequestSummary};
use crate::fallback::AnyFallback;
use crate::layer::erased::{AnyLayer, ErasedLayer};
use crate::layer::{AmbientEndpoint, CrossOriginGuard, with_credentials};
use crate::nearest::nearest;
use crate::openapi::Operation;
use crate::paths::{Paths, put_pages_before};
use crate::problem::{Excerpt, Problem};
use crate::request::{Matched, Request};
use crate::response::{IntoResponse, Response};
use crate::route::{Definition, Disconnect, EndpointBuilder, LayerBuilder, Routes, Table};
use crate::state::{OpenState, Opening};

/// The plan from which each worker builds its [`Application`]: the routes, and everything that all workers share.
pub struct Plan<S: 'static> {
    routes: Routes<S>,
    /// The layers that are written in the list, in its order.
    made: Vec<Box<dyn ErasedLayer>>,
    stack: AppStack<S>,
}

/// The parts of an application around its routes.
pub struct AppStack<S> {
    /// The first is the innermost.
    pub layers: Vec<Box<dyn AnyLayer<S>>>,
    /// The handler of requests without a route.
    pub fallback: Option<Box<dyn AnyFallback<S>>>,
    /// The error format.
    pub errors: ErrorForm,
    /// The check of requests for handlers with ambient extractors.
    pub cross_origin: Option<CrossOriginGuard>,
    /// The pages and endpoints of the framework.
    pub pages: Vec<BuiltIn>,
}

impl<S> Default for AppStack<S> {
    fn default() -> Self {
        AppStack {
            layers: Vec::new(),
            fallback: None,
            errors: ErrorForm::default(),
            cross_origin: None,
            pages: Vec::new(),
        }
    }
}

impl<S> Clone for AppStack<S> {
    fn clone(&self) -> Self {
        AppStack {
            layers: self.layers.iter().map(|layer| layer.duplicate()).collect(),
            fallback: self.fallback.as_ref().map(|fallback| fallback.duplicate()),
            errors: self.errors.clone(),
            cross_origin: self.cross_origin.clone(),
            pages: self.pages.clone(),
        }
    }
}

impl<S> AppStack<S> {
    /// The names of the layers, the outermost first.
    pub fn names(&self) -> Vec<Cow<'static, str>> {
        self.layers.iter().rev().map(|layer| layer.name()).collect()
    }

    /// Returns whether a layer is of this type.
    pub fn has_layer<L: 'static>(&self) -> bool {
        self.layers.iter().any(|layer| layer.layer_type() == TypeId::of::<L>())
    }

    /// Returns whether a layer has ambient extractors, so that no route permits requests of other origins by default.
    pub fn is_ambient(&self) -> bool {
        self.layers.iter().any(|layer| layer.is_ambient())
    }

    /// Adds the descriptions of the layers, the innermost first.
    pub fn describe(&self, operation: &mut Operation) {
        self.layers.iter().for_each(|layer| layer.describe(operation));
    }
}

impl<S> fmt::Debug for AppStack<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppStack")
            .field("layers", &self.names())
            .field("fallback", &self.fallback.is_some())
            .field("errors", &self.errors)
            .finish()
    }
}

impl<S: 'static> Plan<S> {
    /// An application with these routes inside of this stack.
    pub fn new(routes: Routes<S>, stack: AppStack<S>) -> Self {
        let mut making = LayerBuilder::default();
        routes.make(&mut making);
        Plan {
            routes,
            made: making.made,
            stack,
        }
    }

    /// The application with this state, for the workers of a server.
    pub fn with_state(self, state: Box<dyn OpenState<S>>) -> Box<dyn OpenApplication> {
        Box::new(PlanWithState { plan: self, state })
    }

    /// The application on this thread.
    pub fn connect(self, state: S) -> Application {
        let state = Rc::new(state);
        let mut connecting = EndpointBuilder::new(self.made);
        self.routes.connect(&state, &mut connecting);
        let guard = self.stack.cross_origin.as_ref();
        let is_ambient = self.stack.is_ambient();
        let mut endpoints = connecting.finish(guard, is_ambient);
        let table = self.routes.table();
        assert_eq!(
            endpoints.len(),
            table.definitions().len(),
            "a table has one handler for each definition"
        );
        let has_endpoint = self.stack.pages.iter().any(BuiltIn::is_endpoint);
        let paths = Rc::new(Paths {
            table,
            pages: self.stack.pages.into(),
        });
        put_pages_before(&paths, &mut endpoints);
        let dispatcher = Rc::new(Dispatcher {
            has_endpoint,
            is_development: self.stack.errors.is_development(),
            paths,
            table,
            endpoints,
            fallback: self.stack.fallback.map(|fallback| {
                let cross_origin = CrossOrigin::of(&[is_ambient, fallback.is_ambient()]);
                with_credentials(fallback.endpoint(&state), cross_origin, guard)
            }),
        });
        let errors = self.stack.errors.connect();
        let mut outermost: Option<Rc<dyn Endpoint>> = None;
        for layer in self.stack.layers {
            let inner = outermost.unwrap_or_else(|| Rc::clone(&dispatcher) as Rc<dyn Endpoint>);
            let is_ambient = layer.is_ambient();
            let endpoint = layer.endpoint_wrapper(&state)(inner);
            outermost = Some(match is_ambient {
                // The routes check the origin, because each may permit others.
                true => AmbientEndpoint::around(endpoint, None),
                false => endpoint,
            });
        }
        Application {
            dispatcher,
            outermost,
            errors,
        }
    }
}

/// Builds the application of each worker. The server is compiled once for this trait, and not for each type of a state.
pub trait OpenApplication: Send {
    /// Returns a copy for another worker.
    fn duplicate(&self) -> Box<dyn OpenApplication>;

    /// The definitions of the routes, in the order of the table.
    fn definitions(&self) -> &'static [Definition];

    /// Opens the state on the thread of its worker.
    fn open(self: Box<Self>) -> Opening<Connect>;
}

/// Connects the application with its open state, on the same thread.
pub type Connect = Box<dyn FnOnce() -> Application>;

/// A plan and its state.
struct PlanWithState<S: 'static> {
    plan: Plan<S>,
    state: Box<dyn OpenState<S>>,
}

impl<S: 'static> OpenApplication for PlanWithState<S> {
    fn duplicate(&self) -> Box<dyn OpenApplication> {
        self.plan.clone().with_state(self.state.duplicate())
    }

    fn definitions(&self) -> &'static [Definition] {
        self.plan.definitions()
    }

    fn open(self: Box<Self>) -> Opening<Connect> {
        let Self { plan, state } = *self;
        let connect = |state| -> Connect { Box::new(|| plan.connect(state)) };
        match state.open() {
            Opening::Ready(state) => Opening::Ready(connect(state)),
            Opening::Pending(state) => Opening::Pending(Box::pin(async { Ok(connect(state.await?)) })),
        }
    }
}

impl<S> Clone for Plan<S> {
    fn clone(&self) -> Self {
        Plan {
            routes: self.routes,
            made: self.made.iter().map(|layer| layer.duplicate()).collect(),
            stack: self.stack.clone(),
        }
    }
}

impl<S> Plan<S> {
    /// Method, path and handler of each route, in the order of the table.
    pub fn definitions(&self) -> &'static [Definition] {
        self.routes.definitions()
    }
}

/// An application, ready to serve on this thread. A clone is the same application.
#[derive(Clone)]
pub struct Application {
    dispatcher: Rc<Dispatcher>,
    /// The outermost layer of the application, if it has any.
    outermost: Option<Rc<dyn Endpoint>>,
    /// The error format, unless it is the default.
    errors: Option<ConnectedForm>,
}

impl Application {
    /// The request's route, and its index in the table.
    pub fn route(&self, request: &mut Request) -> Option<(usize, &'static Definition)> {
        let index = self.dispatcher.find(request).ok()?;
        Some((index, &self.dispatcher.table.definitions()[index]))
    }

    /// The effect of a client disconnect, if an endpoint of the framework determines it for this request.
    #[inline]
    pub fn disconnect(&self, request: &Request) -> Option<Disconnect> {
        match self.dispatcher.has_endpoint {
            true => self.dispatcher.paths.disconnect(request),
            false => None,
        }
    }

    /// Starts the response to a request.
    pub fn serve(&self, mut request: Request, context: &mut Context<'_>) -> Outcome {
        let Some(errors) = &self.errors else {
            return self.answer(request, context);
        };
        let _ = self.dispatcher.find(&mut request);
        let summary = RequestSummary::of(&request);
        match self.answer(request, context) {
            Outcome::Ready(response) => Outcome::Ready(errors.apply(response, &summary)),
            Outcome::Pending(handler) => {
                let errors = errors.clone();
                Outcome::Pending(PendingHandler::new(
                    async move { errors.apply(handler.await, &summary) },
                ))
            }
        }
    }

    /// A response of the server to input that is not a request, in the application's error format.
    pub fn show(&self, response: Response) -> Response {
        match &self.errors {
            Some(errors) => errors.apply(response, &RequestSummary::default()),
            None => response,
        }
    }

    fn answer(&self, mut request: Request, context: &mut Context<'_>) -> Outcome {
        match &self.outermost {
            None => self.dispatcher.call(request, context),
            Some(outermost) => {
                // The layers may read the route.
                let _ = self.dispatcher.find(&mut request);
                outermost.call(request, context)
            }
        }
    }
}

/// The innermost endpoint of an application: calls the handler of a request's route.
struct Dispatcher {
    /// The table of `paths`.
    table: &'static Table,
    paths: Rc<Paths>,
    /// The endpoints of the routes, in the order of the table.
    endpoints: Vec<Rc<dyn Endpoint>>,
    fallback: Option<Rc<dyn Endpoint>>,
    /// One of the pages is an endpoint.
    has_endpoint: bool,
    /// A miss lists the nearest routes.
    is_development: bool,
}

impl Dispatcher {
    /// Finds the request's route, unless it is known and neither method nor path have been changed since: its index in the
    /// table.
    #[inline]
    fn find(&self, request: &mut Request) -> Result<usize, Miss> {
        let (_, _, matched) = request.routing();
        match matched {
            Matched::NotYet => self.look_up(request),
            Matched::Route(index, _) => Ok(*index),
            Matched::Missed(miss, _) => Err(*miss),
        }
    }

    fn look_up(&self, request: &mut Request) -> Result<usize, Miss> {
        let (head, parameters, matched) = request.routing();
        let found = self.table.find(head.method().as_str(), head.path_bytes(), parameters);
        *matched = match found {
            Ok(index) => Matched::Route(index, &self.table.definitions()[index]),
            Err(miss) => Matched::Missed(miss, Rc::<Paths>::clone(&self.paths)),
        };
        found
    }

    /// The response to a request without a route: `OPTIONS` and `Allow` derive from the routes and the page of the path (RFC 9110,
    /// sections 9.3.7 and 15.5.6). A method that neither a standard nor a route has is reported first: no path would change the
    /// response (section 9.1).
    fn without_route(&self, request: &Request, is_missing: bool) -> Response {
        let path = request.path();
        if request.method() == Method::OPTIONS && path == "*" {
            return StatusCode::NO_CONTENT.into_response();
        }
        if request.method() == Method::CONNECT {
            return no_tunnel();
        }
        let method = request.method().as_str();
        let is_known = |route: &Definition| route.method == method;
        if !REGISTERED.contains(&method) && !self.table.definitions().iter().any(is_known) {
            return Problem::new(StatusCode::NOT_IMPLEMENTED)
                .with_detail(format!("no route has the method {}", Excerpt::new(method)))
                .into_response();
        }
        if is_missing {
            let problem = Problem::not_found(format!("no route matches {}", Excerpt::new(path)));
            return self.with_nearest(problem, request).into_response();
        }
        if request.method() == Method::OPTIONS {
            return (StatusCode::NO_CONTENT, [(ALLOW, self.paths.allow(path))], ()).into_response();
        }
        let problem = self.paths.method_not_allowed(request);
        self.with_nearest(problem, request).into_response()
    }

    /// Adds the nearest routes to the problem, in development only.
    fn with_nearest(&self, problem: Problem, request: &Request) -> Problem {
        if !self.is_development {
            return problem;
        }
        let nearest = nearest(self.table.definitions(), request.method().as_str(), request.path());
        problem.with("nearest", nearest)
    }
}

/// The response to `CONNECT` (RFC 9110, section 9.3.6).
pub fn no_tunnel() -> Response {
    Problem::new(StatusCode::NOT_IMPLEMENTED)
        .with_detail("this is an origin server, which does not support CONNECT")
        .into_response()
}

impl Endpoint for Dispatcher {
    fn call(&self, mut request: Request, context: &mut Context<'_>) -> Outcome {
        let miss = match self.find(&mut request) {
            Ok(index) => return self.endpoints[index].call(request, context),
            Err(miss) => miss,
        };
        let request = match self.paths.answer(request) {
            Ok(outcome) => return outcome,
            Err(request) => request,
        };
        // Neither has a path for a fallback. A catch-all must not turn an origin server into a tunnel (RFC 9110,
        // section 9.3.6).
        let is_of_the_server = match *request.method() {
            Method::OPTIONS => request.path() == "*",
            Method::CONNECT => true,
            _ => false,
        };
        let is_missing = miss == Miss::NotFound && self.paths.page_at(request.path()).is_none();
        match &self.fallback {
            Some(fallback) if is_missing && !is_of_the_server => fallback.call(request, context),
            _ => Outcome::Ready(self.without_route(&request, is_missing)),
        }
    }
}

/// The methods of the IANA's registry (RFC 9110, section 16.1.1), except for those that an origin server does not use: a
/// request with one of them is understood, with and without a route for it.
const REGISTERED: [&str; 39] = [
    "ACL",
    "BASELINE-CONTROL",
    "BIND",
    "CHECKIN",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LABEL",
    "LINK",
    "LOCK",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MKREDIRECTREF",
    "MKWORKSPACE",
    "MOVE",
    "OPTIONS",
    "ORDERPATCH",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PUT",
    "QUERY",
    "REBIND",
    "REPORT",
    "SEARCH",
    "TRACE",
    "UNBIND",
    "UNCHECKOUT",
    "UNLINK",
    "UNLOCK",
    "UPDATE",
    "UPDATEREDIRECTREF",
    "VERSION-CONTROL",
];
