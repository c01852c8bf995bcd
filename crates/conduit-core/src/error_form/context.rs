//! The request of an error.

use std::fmt;
use std::rc::Rc;

use conduit_proto::h1::Head;
use conduit_route::Definition;
use http::Method;

use crate::request::Request;
use crate::weight::weighted;

/// The request properties that an error's format may depend on, kept during the request.
#[derive(Default)]
pub(crate) struct RequestSummary {
    head: Option<Rc<Head>>,
    route: Option<&'static Definition>,
}

impl RequestSummary {
    pub(crate) fn of(request: &Request) -> Self {
        RequestSummary {
            head: Some(Rc::new(request.head().clone())),
            route: request.route(),
        }
    }

    pub(super) fn route(&self) -> Option<&'static Definition> {
        self.route
    }
}

/// The request of a problem; without values if its head could not be read.
#[derive(Clone, Copy)]
pub struct ErrorContext<'a> {
    summary: &'a RequestSummary,
    development: bool,
}

impl<'a> ErrorContext<'a> {
    pub(super) fn new(summary: &'a RequestSummary, development: bool) -> Self {
        ErrorContext { summary, development }
    }

    /// The method.
    pub fn method(&self) -> Option<&'a Method> {
        self.summary.head.as_ref().map(|head| head.method())
    }

    /// The path as it was sent.
    pub fn path(&self) -> Option<&'a str> {
        self.summary.head.as_ref().map(|head| head.path())
    }

    /// The query as it was sent.
    pub fn query(&self) -> Option<&'a str> {
        self.summary.head.as_ref().and_then(|head| head.query())
    }

    /// The first header field with this name.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.summary.head.as_ref().and_then(|head| head.header(name))
    }

    /// The route that matched, if any did.
    pub fn route(&self) -> Option<&'static Definition> {
        self.summary.route
    }

    /// Returns whether the application is in development (`App::development`): then the problem's causes may be shown.
    pub fn is_development(&self) -> bool {
        self.development
    }

    /// Returns whether the client requests a page, as browsers do: its `accept` names `text/html`, and JSON at most
    /// as much (RFC 9110, section 12.5.1).
    pub fn wants_html(&self) -> bool {
        let head = self.summary.head.as_deref();
        let lines = head.into_iter().flat_map(|head| head.header_all("accept"));
        let lines = lines.filter_map(|line| str::from_utf8(line).ok());
        let (mut html, mut json) = (0, 0);
        for (name, weight) in lines.flat_map(weighted) {
            if name.eq_ignore_ascii_case("text/html") {
                html = weight;
            } else if ["application/json", "application/problem+json"]
                .iter()
                .any(|json| name.eq_ignore_ascii_case(json))
            {
                json = weight.max(json);
            }
        }
        html > 0 && html >= json
    }
}

impl fmt::Debug for ErrorContext<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorContext")
            .field("method", &self.method())
            .field("path", &self.path())
            .field("route", &self.route())
            .field("development", &self.development)
            .finish()
    }
}
