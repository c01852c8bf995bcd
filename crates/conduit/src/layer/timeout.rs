//! A limit on the response time of a handler.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use super::{Layer, Next};
use crate::openapi::{LayerLimit, Operation};
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// Returns 503 if the handler does not respond in time, and drops the handler's future.
///
/// The status is 503 (RFC 9110, section 15.6.4): the server could not respond now, and the client may retry. Set
/// [`status`](Timeout::status) to 504 if the handler waits for another server on the client's behalf (section 15.6.5). 408
/// means that the *client* was slow to send its request (section 15.5.9); browsers repeat such a request at once, so use it
/// only if reading the body takes the time.
///
/// The time runs from the call of the layer to the head of the response; a streamed body may take longer. A handler that
/// computes without an `await` is not interrupted: see the server's warning about blocked workers.
///
/// The layer does not allocate, and sets no timer if the response is ready at once.
///
/// # Example
///
/// A group of routes that must respond within five seconds:
///
/// ```
/// use std::time::Duration;
/// use conduit::layer::Timeout;
/// use conduit::prelude::*;
///
/// #[get("/report")]
/// async fn report() -> &'static str {
///     "slowly made"
/// }
///
/// let app = App::new(()).routes(routes![#[layer(Timeout::new(Duration::from_secs(5)))] report]);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Timeout {
    limit: Duration,
    status: StatusCode,
}

impl Timeout {
    /// Returns 503 after this time.
    pub const fn new(limit: Duration) -> Self {
        Timeout {
            limit,
            status: StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Sets a status other than 503.
    ///
    /// # Panics
    ///
    /// Panics if the status is below 400.
    pub const fn status(mut self, status: StatusCode) -> Self {
        assert!(status.as_u16() >= 400, "the status of a timeout must be at least 400");
        self.status = status;
        self
    }
}

impl Layer for Timeout {
    async fn call(&self, request: Request, next: Next) -> Response {
        match tokio::time::timeout(self.limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(self.status)
                .with_detail(format!("no response within {:?}", self.limit))
                .into_response(),
        }
    }

    fn describe(&self, operation: &mut Operation) {
        operation
            .problem(self.status, "There was no response in time.")
            .limit(LayerLimit::ResponseTime(self.limit));
    }

    fn name(&self) -> Cow<'static, str> {
        format!("Timeout({:?})", self.limit).into()
    }
}
