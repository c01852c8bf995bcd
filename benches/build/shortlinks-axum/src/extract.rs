//! Values that keep the rules of their types.

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use garde::Validate;
use serde::de::DeserializeOwned;

use crate::problem::{Fault, Problem};

/// A JSON body that keeps the rules of its type.
pub(crate) struct ValidJson<T>(pub(crate) T);

impl<S, T> FromRequest<S> for ValidJson<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let axum::Json(value) = axum::Json::from_request(request, state).await?;
        valid("body", value).map(ValidJson)
    }
}

/// A query that keeps the rules of its type.
pub(crate) struct ValidQuery<T>(pub(crate) T);

impl<S, T> FromRequestParts<S> for ValidQuery<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(value) = Query::from_request_parts(parts, state).await?;
        valid("query", value).map(ValidQuery)
    }
}

fn valid<T: Validate<Context = ()>>(place: &str, value: T) -> Result<T, Problem> {
    let Err(report) = value.validate() else {
        return Ok(value);
    };
    let errors = report.iter().map(|(path, error)| Fault {
        path: format!("{place}.{path}"),
        message: error.message().to_owned(),
    });
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY).with_detail("the request breaks rules");
    Err(problem.with_errors(errors.collect()))
}
