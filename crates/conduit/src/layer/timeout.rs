//! A limit on the time until a handler answers.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;

use super::{Layer, Next};
use crate::openapi::Operation;
use crate::problem::Problem;
use crate::request::Request;
use crate::response::{IntoResponse, Response};

/// Answers by itself when what it is around has not answered in time; the handler's future is dropped where it waits.
///
/// The answer is 503 (RFC 9110, section 15.6.4): the server could not do it now, and the client may try again. Set
/// [`status`](Timeout::status) to 504 where the handler waits for another server on the client's behalf (section 15.6.5).
/// 408 means that the *client* was slow to send its request (section 15.5.9); browsers send such a request again at once, so
/// it is right only where the time goes into reading the body.
///
/// The time runs from the call of the layer to the head of the response; a response that is a stream may go on for longer.
/// A handler that computes without an `await` is not interrupted: see the server's own warning about blocked workers.
///
/// Nothing is allocated for it, and no timer is set for an answer that is ready at once.
///
/// # Example
///
/// A group of routes that must answer within five seconds:
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
    /// Answers 503 after this time.
    pub const fn new(limit: Duration) -> Self {
        Timeout {
            limit,
            status: StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Sets another status than 503.
    ///
    /// # Panics
    ///
    /// When the status is not one of an error, from 400 up.
    pub const fn status(mut self, status: StatusCode) -> Self {
        assert!(
            status.as_u16() >= 400,
            "a timeout is answered with a status from 400 up"
        );
        self.status = status;
        self
    }
}

impl Layer for Timeout {
    async fn call(&self, request: Request, next: Next) -> Response {
        match tokio::time::timeout(self.limit, next.run(request)).await {
            Ok(response) => response,
            Err(_) => Problem::new(self.status)
                .with_detail(format!("there was no answer within {:?}", self.limit))
                .into_response(),
        }
    }

    fn describe(&self, operation: &mut Operation) {
        operation.problem(self.status, "There was no answer in time.");
    }

    fn name(&self) -> Cow<'static, str> {
        format!("Timeout({:?})", self.limit).into()
    }
}
