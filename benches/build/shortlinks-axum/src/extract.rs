//! Values that are validated by the rules of their types.

use axum::extract::{FromRequest, FromRequestParts, Query, RawForm, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use garde::Validate;
use serde::de::DeserializeOwned;
use url::form_urlencoded;

use crate::problem::{Fault, Problem};

/// A JSON body that is valid by the rules of its type.
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

/// A query that is valid by the rules of its type.
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

/// A submitted form: the value, or the errors of its fields, for the page that shows the form again.
pub(crate) struct Submission<T> {
    /// `None` if a field is invalid; `fields` contains the errors.
    pub(crate) value: Option<T>,
    pub(crate) fields: FormFields,
}

impl<S, T> FromRequest<S> for Submission<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let RawForm(body) = RawForm::from_request(request, state).await?;
        let mut fields = FormFields {
            values: form_urlencoded::parse(&body).into_owned().collect(),
            errors: Vec::new(),
        };
        let value = match serde_urlencoded::from_bytes::<T>(&body) {
            Ok(value) => value,
            Err(error) => {
                fields.add_error("", error.to_string());
                return Ok(Submission { value: None, fields });
            }
        };
        if let Err(report) = value.validate() {
            let errors = report.iter();
            fields
                .errors
                .extend(errors.map(|(path, error)| (path.to_string(), error.message().to_owned())));
            return Ok(Submission { value: None, fields });
        }
        Ok(Submission {
            value: Some(value),
            fields,
        })
    }
}

/// The fields of a form as the browser sent them, and their errors.
#[derive(Default)]
pub(crate) struct FormFields {
    values: Vec<(String, String)>,
    errors: Vec<(String, String)>,
}

impl FormFields {
    /// The first value of a field; empty without one.
    pub(crate) fn value(&self, name: &str) -> &str {
        let value = self.values.iter().find(|(known, _)| known == name);
        value.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// The first error of a field.
    pub(crate) fn error(&self, name: &str) -> Option<&str> {
        let error = self.errors.iter().find(|(known, _)| known == name);
        error.map(|(_, message)| message.as_str())
    }

    pub(crate) fn add_error(&mut self, name: &str, message: String) {
        self.errors.push((name.to_owned(), message));
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
