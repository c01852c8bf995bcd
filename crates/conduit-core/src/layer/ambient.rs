//! Handlers with credentials that browsers attach automatically: the rejection of requests of other origins, and the changes of
//! responses that such credentials need.

use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;

use http::HeaderMap;

use crate::cross_origin::CrossOrigin;
use crate::endpoint::{Endpoint, Outcome, PendingHandler};
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// The endpoint with the check and the changes of responses that its extractors need.
pub(crate) fn with_credentials(
    inner: Rc<dyn Endpoint>,
    cross_origin: CrossOrigin,
    guard: Option<&CrossOriginGuard>,
) -> Rc<dyn Endpoint> {
    match cross_origin {
        CrossOrigin::Harmless => inner,
        CrossOrigin::Rejected => AmbientEndpoint::around(inner, guard),
        CrossOrigin::Permitted => AmbientEndpoint::around(inner, None),
    }
}

type Check = dyn Fn(&Request) -> Result<(), Problem> + Send + Sync;

/// The check of a request before its handler: the problem rejects it.
#[derive(Clone)]
pub struct CrossOriginGuard(Arc<Check>);

impl CrossOriginGuard {
    /// A guard that rejects a request with the problem of `check`.
    pub fn new(check: impl Fn(&Request) -> Result<(), Problem> + Send + Sync + 'static) -> Self {
        CrossOriginGuard(Arc::new(check))
    }
}

impl fmt::Debug for CrossOriginGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CrossOriginGuard")
    }
}

/// A change of a response's header fields.
type Change = Box<dyn FnOnce(&mut HeaderMap) + Send>;

/// The changes of a request's response, in the request's extensions.
#[derive(Clone, Default)]
struct ResponseChanges {
    list: Arc<Mutex<Vec<Change>>>,
    pending_cookie: PendingCookie,
}

/// The mark of a response that will have a cookie, by a change that follows the layers of the list. It does not refer to the list:
/// changes own it, and a cycle of references would keep them if the handler is dropped.
#[derive(Clone, Default)]
pub struct PendingCookie(Arc<AtomicBool>);

impl PendingCookie {
    /// The mark of the response to a request; `None` if the response [cannot be changed](Request::change_response).
    pub fn of(request: &Request) -> Option<Self> {
        let changes = request.extensions().get::<ResponseChanges>();
        changes.map(|changes| changes.pending_cookie.clone())
    }

    /// Sets the mark.
    pub fn set(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Returns whether the mark is set.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl ResponseChanges {
    fn lock(&self) -> MutexGuard<'_, Vec<Change>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<Change> {
        std::mem::take(&mut *self.lock())
    }

    fn apply(&self, mut response: Response) -> Response {
        for change in self.take() {
            change(response.headers_mut());
        }
        response
    }
}

impl Request {
    /// Changes the header fields of the response to this request, also if it is an error: for an extractor, which returns no
    /// response. Changes are made in the order of the calls, after the layers of the list. Returns whether the response can be
    /// changed: only that of a handler or layer with an extractor that [is ambient](crate::extract::FromRequest::IS_AMBIENT).
    pub fn change_response(&mut self, change: impl FnOnce(&mut HeaderMap) + Send + 'static) -> bool {
        let Some(changes) = self.extensions().get::<ResponseChanges>() else {
            return false;
        };
        changes.lock().push(Box::new(change));
        true
    }
}

/// An endpoint whose handler, or a layer around it, has ambient extractors.
pub(crate) struct AmbientEndpoint {
    guard: Option<CrossOriginGuard>,
    inner: Rc<dyn Endpoint>,
}

impl AmbientEndpoint {
    pub(crate) fn around(inner: Rc<dyn Endpoint>, guard: Option<&CrossOriginGuard>) -> Rc<dyn Endpoint> {
        Rc::new(AmbientEndpoint {
            guard: guard.cloned(),
            inner,
        })
    }
}

impl Endpoint for AmbientEndpoint {
    fn call(&self, mut request: Request, context: &mut Context<'_>) -> Outcome {
        if let Some(guard) = self.guard.as_ref().filter(|_| !request.method().is_safe())
            && let Err(problem) = (guard.0)(&request)
        {
            return Outcome::Ready(problem.into_response());
        }
        // A layer of the application with ambient extractors applies the changes.
        if request.extensions().get::<ResponseChanges>().is_some() {
            return self.inner.call(request, context);
        }
        let changes = ResponseChanges::default();
        request.extensions_mut().insert(changes.clone());
        match self.inner.call(request, context) {
            Outcome::Ready(response) => Outcome::Ready(changes.apply(response)),
            Outcome::Pending(handler) => {
                Outcome::Pending(PendingHandler::new(async move { changes.apply(handler.await) }))
            }
        }
    }
}
