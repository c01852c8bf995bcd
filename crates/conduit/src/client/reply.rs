//! The responses of calls as values.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use super::error::{CallError, ReceivedProblem};
use super::pages::ReceivedPage;
use crate::extract::{Paged, essence};
use crate::response::{Created, Html, NoContent, Redirect, Status};
#[cfg(feature = "hub")]
use crate::runs::Accepted;
use crate::{BoxError, Json};

/// The response type of a handler, as a client reads it.
#[diagnostic::on_unimplemented(
    message = "a client cannot read the response `{Self}`",
    label = "not the value of a response",
    note = "the option `client` needs a return type such as `Json<T>`, `Created<Json<T>>`, `Paged<T>`, `NoContent`, `String` or a `Result` of them, written out, and `T` must derive `serde::Deserialize`"
)]
pub trait FromReply {
    /// The content of a successful response.
    type Value;

    /// Set if a redirect (3xx) is a successful response. Default: false.
    const ACCEPTS_REDIRECT: bool = false;

    /// Reads the content of a successful response.
    ///
    /// # Errors
    /// Returns an error if the content does not have this type.
    fn read(headers: &HeaderMap, body: &Bytes) -> Result<Self::Value, BoxError>;
}

impl<T: DeserializeOwned> FromReply for Json<T> {
    type Value = T;

    fn read(_: &HeaderMap, body: &Bytes) -> Result<T, BoxError> {
        Ok(serde_json::from_slice(body)?)
    }
}

/// The value is the page with its items, whose type derives `serde::Deserialize`.
impl<T: DeserializeOwned> FromReply for Paged<T> {
    type Value = ReceivedPage<T>;

    fn read(_: &HeaderMap, body: &Bytes) -> Result<ReceivedPage<T>, BoxError> {
        Ok(serde_json::from_slice(body)?)
    }
}

impl<B: FromReply, E> FromReply for Result<B, E> {
    type Value = B::Value;

    const ACCEPTS_REDIRECT: bool = B::ACCEPTS_REDIRECT;

    fn read(headers: &HeaderMap, body: &Bytes) -> Result<B::Value, BoxError> {
        B::read(headers, body)
    }
}

impl<B: FromReply> FromReply for Created<B> {
    type Value = B::Value;

    fn read(headers: &HeaderMap, body: &Bytes) -> Result<B::Value, BoxError> {
        B::read(headers, body)
    }
}

impl<const CODE: u16, B: FromReply> FromReply for Status<CODE, B> {
    type Value = B::Value;

    const ACCEPTS_REDIRECT: bool = CODE / 100 == 3 || B::ACCEPTS_REDIRECT;

    fn read(headers: &HeaderMap, body: &Bytes) -> Result<B::Value, BoxError> {
        B::read(headers, body)
    }
}

macro_rules! texts {
    ($($text:ty),*) => {$(
        impl FromReply for $text {
            type Value = String;

            fn read(_: &HeaderMap, body: &Bytes) -> Result<String, BoxError> {
                Ok(std::str::from_utf8(body)?.to_owned())
            }
        }
    )*};
}

texts!(String, &'static str, Html<String>, Html<&'static str>);

macro_rules! empty {
    ($($empty:ty),*) => {$(
        impl FromReply for $empty {
            type Value = ();

            fn read(_: &HeaderMap, _: &Bytes) -> Result<(), BoxError> {
                Ok(())
            }
        }
    )*};
}

empty!((), NoContent);

macro_rules! locations {
    ($($response:ty: $accepts_redirect:expr),*) => {$(
        /// The value is the `location`.
        impl FromReply for $response {
            type Value = String;

            const ACCEPTS_REDIRECT: bool = $accepts_redirect;

            fn read(headers: &HeaderMap, _: &Bytes) -> Result<String, BoxError> {
                let location = headers.get(LOCATION).ok_or("the response has no header field location")?;
                Ok(location.to_str()?.to_owned())
            }
        }
    )*};
}

#[cfg(feature = "hub")]
locations!(Accepted: false);
locations!(Redirect: true);

impl FromReply for Bytes {
    type Value = Bytes;

    fn read(_: &HeaderMap, body: &Bytes) -> Result<Bytes, BoxError> {
        Ok(body.clone())
    }
}

/// Reads a response.
pub(super) fn read<R: FromReply>(response: http::Response<Bytes>) -> Result<R::Value, CallError> {
    let (head, body) = response.into_parts();
    if head.status.is_client_error() || head.status.is_server_error() {
        let problem: Option<ReceivedProblem> = match is_problem(&head.headers) {
            true => serde_json::from_slice(&body).ok(),
            false => None,
        };
        let mut problem = problem.unwrap_or_else(|| ReceivedProblem {
            detail: std::str::from_utf8(&body).ok().map(str::to_owned),
            ..ReceivedProblem::default()
        });
        problem.status = head.status;
        problem.members.remove("status");
        return Err(CallError::Problem(Box::new(problem)));
    }
    let status = head.status;
    if status.is_redirection() && !R::ACCEPTS_REDIRECT {
        let location = head.headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let cause = match status {
            StatusCode::NOT_MODIFIED => "it has no content, and a typed call has no stored response".to_owned(),
            _ => format!("it is a redirect to {}", location.unwrap_or("no location")),
        };
        return Err(CallError::Unreadable {
            status,
            cause: cause.into(),
        });
    }
    R::read(&head.headers, &body).map_err(|cause| CallError::Unreadable { status, cause })
}

/// Returns whether the content of an error is a problem (RFC 9457).
fn is_problem(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(|value| essence(value.as_bytes()));
    content_type.is_some_and(|name| name.eq_ignore_ascii_case(b"application/problem+json"))
}
