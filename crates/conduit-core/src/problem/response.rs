//! Problems as responses: error statuses, absent values, and bodies that cannot be read.

use http::StatusCode;
use http::response::Parts;

use super::Problem;
use crate::body::{Body, BodyError, BodyKind};
use crate::openapi::Operation;
use crate::pool::Buffer;
use crate::response::{IntoResponse, Response};

/// Takes a response whose body is an unchanged problem apart: the head, the problem, and its JSON.
///
/// # Errors
/// Returns any other response.
#[expect(clippy::result_large_err, reason = "both variants are responses, which are moved")]
pub(crate) fn take_apart(response: Response) -> Result<(Parts, Problem, Buffer), Response> {
    if response.body().problem().is_none() {
        return Err(response);
    }
    let (parts, Body(BodyKind::Presented(problem, json))) = response.into_parts() else {
        unreachable!("the body presents a problem");
    };
    let problem = problem.downcast().expect("the body presents a problem");
    Ok((parts, *problem, json))
}

/// Sets the status of a response. The body of a problem has the status too (RFC 9457, section 3.1.2).
pub fn with_status(response: Response, status: StatusCode) -> Response {
    match take_apart(response) {
        Ok((mut parts, mut problem, _)) => {
            problem.set_status(status);
            parts.status = status;
            let json = problem.to_json();
            Response::from_parts(parts, Body(BodyKind::Presented(Box::new(problem), json)))
        }
        Err(mut response) => {
            *response.status_mut() = status;
            response
        }
    }
}

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

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        with_status(self.1.into_response(), self.0)
    }

    fn describe(operation: &mut Operation) {
        operation.at_unknown_status(T::describe);
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
