//! The form of all errors: problem details (RFC 9457).

use std::any::Any;
use std::borrow::Cow;
use std::error::Error;

use axum::extract::rejection::{JsonRejection, QueryRejection, RawFormRejection};
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tower_http::csrf::ProtectionError;
use utoipa::ToSchema;

/// An error response.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    #[serde(serialize_with = "as_number")]
    #[schema(value_type = u16)]
    status: StatusCode,
    title: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// All rules that the request breaks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    /// Boxed, since a `Problem` is the error of most functions, and should be small.
    #[serde(skip)]
    headers: Box<HeaderMap>,
}

/// A rule that the request breaks.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Fault {
    /// The place of the value, such as `body.slug`.
    pub(crate) path: String,
    pub(crate) message: String,
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl Problem {
    pub(crate) fn new(status: StatusCode) -> Self {
        Problem {
            status,
            title: status.canonical_reason().unwrap_or("Error").into(),
            detail: None,
            errors: Vec::new(),
            headers: Box::default(),
        }
    }

    pub(crate) fn with_title(mut self, title: &'static str) -> Self {
        self.title = title.into();
        self
    }

    pub(crate) fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(crate) fn with_errors(mut self, errors: Vec<Fault>) -> Self {
        self.errors = errors;
        self
    }

    pub(crate) fn with_headers(mut self, headers: HeaderMap) -> Self {
        *self.headers = headers;
        self
    }

    /// The request has no valid credentials.
    pub(crate) fn unauthorized(challenge: &'static str, detail: &str) -> Self {
        let mut problem = Problem::new(StatusCode::UNAUTHORIZED).with_detail(detail);
        let challenge = HeaderValue::from_static(challenge);
        problem.headers.insert(WWW_AUTHENTICATE, challenge);
        problem
    }

    /// A fault of the service: it is logged, and the client does not see it.
    pub(crate) fn internal(error: &(dyn Error + 'static)) -> Self {
        tracing::error!(error, "a handler failed");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The response to a request that a page of another site has caused.
    pub(crate) fn of_other_site(_: ProtectionError) -> Response {
        let detail = "pages of other sites cannot use this";
        Problem::new(StatusCode::FORBIDDEN).with_detail(detail).into_response()
    }

    /// The response to a panic in a handler.
    pub(crate) fn of_panic(_: Box<dyn Any + Send + 'static>) -> Response {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR).into_response()
    }
}

impl IntoResponse for Problem {
    fn into_response(mut self) -> Response {
        let json = HeaderValue::from_static("application/problem+json");
        let headers = std::mem::take(&mut self.headers);
        (self.status, *headers, [(CONTENT_TYPE, json)], axum::Json(self)).into_response()
    }
}

/// Errors of the request, which axum describes.
macro_rules! rejected {
    ($($rejection:ty),*) => {
        $(impl From<$rejection> for Problem {
            fn from(rejection: $rejection) -> Self {
                Problem::new(rejection.status()).with_detail(rejection.body_text())
            }
        })*
    };
}

rejected!(JsonRejection, QueryRejection, RawFormRejection);

/// Errors of the service itself.
macro_rules! internal {
    ($($error:ty),*) => {
        $(impl From<$error> for Problem {
            fn from(error: $error) -> Self {
                Problem::internal(&error)
            }
        })*
    };
}

internal!(
    argon2::password_hash::Error,
    askama::Error,
    sqlx::Error,
    tokio::task::JoinError,
    tower_sessions::session::Error,
    url::ParseError
);
