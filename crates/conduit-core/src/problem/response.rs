//! Problems as responses: error statuses, absent values, and bodies that cannot be read.

use http::StatusCode;

use super::Problem;
use crate::body::{Body, BodyError};
use crate::openapi::Operation;
use crate::response::{IntoResponse, Response};

#[diagnostic::do_not_recommend]
impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        if self.is_client_error() || self.is_server_error() {
            return Problem::new(self).into_response();
        }
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self;
        response
    }

    /// The status is known only at run time.
    fn describe(operation: &mut Operation) {
        operation.at_unknown_status(|operation| {
            operation.response_without_body();
        });
    }
}

impl<T: IntoResponse> IntoResponse for Option<T> {
    fn into_response(self) -> Response {
        match self {
            Some(value) => value.into_response(),
            None => Problem::new(StatusCode::NOT_FOUND).into_response(),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.on_success(T::describe);
        operation.problem(StatusCode::NOT_FOUND, "The resource does not exist.");
    }
}

#[diagnostic::do_not_recommend]
impl IntoResponse for BodyError {
    fn into_response(self) -> Response {
        Problem::of_body_error(&self).into_response()
    }

    fn describe(operation: &mut Operation) {
        operation.any_problem();
    }
}
