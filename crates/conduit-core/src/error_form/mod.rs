//! The form of all errors of an application, and the details that it adds in development.

mod context;
mod page;

use std::cell::Cell;
use std::panic::Location;
use std::sync::Arc;
use std::{fmt, mem};

use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, LINK, SET_COOKIE, VARY, WWW_AUTHENTICATE};

pub use self::context::ErrorContext;
pub(crate) use self::context::RequestSummary;
use crate::body::{Body, BodyKind};
use crate::nearest::route_summary;
use crate::openapi::Operation;
use crate::panics::{caught, discard};
use crate::problem::{Problem, take_apart};
use crate::response::{IntoResponse, Response};

/// The environment variable that sets development or production.
const ENVIRONMENT: &str = "CONDUIT_ENV";

thread_local! {
    // Not a part of the current worker: an application that is a local service of another server has none.
    static IS_DEVELOPMENT: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether the application of this worker thread is in development; `false` on other threads.
pub fn is_development_on_this_thread() -> bool {
    IS_DEVELOPMENT.get()
}

type Form = dyn Fn(Problem, &ErrorContext<'_>) -> Response + Send + Sync;

/// Describes the responses of a form.
type Describe = dyn Fn(&mut Operation) + Send + Sync;

/// The error format of an application, from `App`; the same for all workers.
#[derive(Clone, Default)]
pub struct ErrorForm {
    /// Development or production; `None` follows the environment.
    pub development: Option<bool>,
    /// The conversion of each problem; `None` leaves it unchanged.
    pub form: Option<Arc<Form>>,
    /// The line that set the form.
    #[cfg_attr(not(feature = "openapi"), allow(dead_code))]
    pub place: Option<&'static Location<'static>>,
    /// Describes the responses that the form makes.
    #[cfg_attr(not(feature = "openapi"), allow(dead_code))]
    pub description: Option<Arc<Describe>>,
}

impl ErrorForm {
    /// Returns whether the application is in development: its setting, else `CONDUIT_ENV`, else the build profile.
    pub fn is_development(&self) -> bool {
        self.development.unwrap_or_else(|| match std::env::var(ENVIRONMENT) {
            Ok(environment) if environment == "development" => true,
            Ok(_) => false,
            Err(_) => cfg!(debug_assertions),
        })
    }

    /// The format that a worker applies; `None` to leave every problem unchanged.
    pub(crate) fn connect(&self) -> Option<ConnectedForm> {
        let development = self.is_development();
        IS_DEVELOPMENT.set(development);
        (development || self.form.is_some()).then(|| ConnectedForm {
            development,
            form: self.form.clone(),
        })
    }
}

impl fmt::Debug for ErrorForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorForm")
            .field("development", &self.development)
            .field("form", &self.form.is_some())
            .finish()
    }
}

/// The error format of a worker.
#[derive(Clone)]
pub(crate) struct ConnectedForm {
    development: bool,
    form: Option<Arc<Form>>,
}

impl ConnectedForm {
    /// The response in the application's form, if it is a problem; any other stays as it is.
    pub(crate) fn apply(&self, response: Response, summary: &RequestSummary) -> Response {
        let (parts, mut problem, json) = match take_apart(response) {
            Ok(parts) => parts,
            Err(other) => return other,
        };
        // A layer may have set another status.
        problem.set_status(parts.status);
        let context = ErrorContext::new(summary, self.development);
        if self.development {
            problem = with_causes(with_route(problem, summary));
        }
        // In development a browser shows the page, unless the form has a page itself.
        let page = (self.development && context.wants_html()).then(|| problem.clone());
        let mut shown = match &self.form {
            // A form that panics leaves the problem unchanged.
            Some(form) => match caught("the function of `App::errors` panicked", || form(problem, &context)) {
                Some(shown) => shown,
                None => return Response::from_parts(parts, Body(BodyKind::Buffer(json))),
            },
            None => problem.into_response(),
        };
        if let Some(problem) = page
            && !is_html(&shown)
        {
            discard(mem::replace(&mut shown, page::page(&problem, &context)));
        }
        // Fields that layers have added, such as those of CORS, stay. A field with one value is that of the form.
        let own: Vec<HeaderName> = shown.headers().keys().cloned().collect();
        for (name, value) in &parts.headers {
            let is_present = match LISTS.contains(name) {
                true => shown.headers().get_all(name).iter().any(|known| known == value),
                false => own.contains(name),
            };
            if name != CONTENT_TYPE && !is_present {
                shown.headers_mut().append(name, value.clone());
            }
        }
        if self.development {
            let headers = shown.headers_mut();
            headers.append(VARY, HeaderValue::from_static("accept"));
            // Other responses to the same target do not vary by it, and the response of the next build may differ.
            headers
                .entry(CACHE_CONTROL)
                .or_insert(HeaderValue::from_static("no-store"));
        }
        discard(parts);
        shown
    }
}

/// Fields to which the form and layers both may add values.
const LISTS: [HeaderName; 4] = [LINK, SET_COOKIE, VARY, WWW_AUTHENTICATE];

fn is_html(response: &Response) -> bool {
    let kind = response.headers().get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/html"))
}

/// Adds the route whose handler rejected the input.
fn with_route(problem: Problem, summary: &RequestSummary) -> Problem {
    let is_rejection = matches!(problem.status().as_u16(), 400 | 415 | 422);
    match summary.route() {
        Some(route) if is_rejection && problem.member("route").is_none() => problem.with("route", route_summary(route)),
        _ => problem,
    }
}

/// Adds the causes, which in production are only logged.
fn with_causes(problem: Problem) -> Problem {
    if problem.causes().is_empty() {
        return problem;
    }
    let causes = problem.causes().to_vec();
    let problem = match problem.detail() {
        None => problem.with_detail(causes.join(": ")),
        Some(_) => problem,
    };
    problem.with("causes", causes)
}
