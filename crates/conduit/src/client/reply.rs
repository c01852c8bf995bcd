//! The responses of calls as values.

use std::fmt;

use bytes::Bytes;
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::response::{Created, Html, NoContent, Redirect, Status};
use crate::runs::Accepted;
use crate::{BoxError, Json};

/// The response type of a handler, as a client reads it.
#[diagnostic::on_unimplemented(
    message = "a client cannot read the response `{Self}`",
    label = "no value of a response",
    note = "the option `client` needs a return type such as `Json<T>`, `Created<Json<T>>`, `NoContent`, `String` or a `Result` of them, written out, and `T` must derive `serde::Deserialize`"
)]
pub trait FromReply {
    /// The content of a successful response.
    type Value;

    /// Reads the content of a successful response.
    ///
    /// # Errors
    /// When the content has another form.
    fn read(headers: &HeaderMap, body: &Bytes) -> Result<Self::Value, BoxError>;
}

impl<T: DeserializeOwned> FromReply for Json<T> {
    type Value = T;

    fn read(_: &HeaderMap, body: &Bytes) -> Result<T, BoxError> {
        Ok(serde_json::from_slice(body)?)
    }
}

impl<B: FromReply, E> FromReply for Result<B, E> {
    type Value = B::Value;

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

macro_rules! places {
    ($($place:ty),*) => {$(
        /// The value is the `location`.
        impl FromReply for $place {
            type Value = String;

            fn read(headers: &HeaderMap, _: &Bytes) -> Result<String, BoxError> {
                let location = headers.get(LOCATION).ok_or("the response has no location")?;
                Ok(location.to_str()?.to_owned())
            }
        }
    )*};
}

places!(Accepted, Redirect);

impl FromReply for Bytes {
    type Value = Bytes;

    fn read(_: &HeaderMap, body: &Bytes) -> Result<Bytes, BoxError> {
        Ok(body.clone())
    }
}

/// The reason why a call has no value.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The response is an error.
    Problem(Box<ReceivedProblem>),
    /// The arguments have no form in a request, or lead to another route.
    Input(String),
    /// The request could not be sent, or the response not be received.
    Transport(BoxError),
    /// The response is a success of another form than that of the handler: the versions of client and server differ.
    Unreadable {
        /// The status.
        status: StatusCode,
        /// The reason.
        cause: BoxError,
    },
}

/// A problem (RFC 9457) that a server has sent; a response with an error of another form has only the status and its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ReceivedProblem {
    /// The status of the response.
    #[serde(skip)]
    pub status: StatusCode,
    /// The summary of the kind of problem.
    pub title: Option<String>,
    /// The URI of the kind.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The explanation of this occurrence.
    pub detail: Option<String>,
    /// The other members, such as `errors` with the faults of the input.
    #[serde(flatten)]
    pub members: Map<String, Value>,
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CallError::Problem(problem) => {
                write!(f, "the response is {}", problem.status)?;
                match problem.detail.as_ref().or(problem.title.as_ref()) {
                    Some(text) => write!(f, ": {text}"),
                    None => Ok(()),
                }
            }
            CallError::Input(reason) => f.write_str(reason),
            CallError::Transport(cause) => write!(f, "the request failed: {cause}"),
            CallError::Unreadable { status, cause } => {
                write!(f, "the response {status} is not that of the handler: {cause}")
            }
        }
    }
}

impl std::error::Error for CallError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            CallError::Transport(cause) | CallError::Unreadable { cause, .. } => Some(&**cause),
            CallError::Problem(_) | CallError::Input(_) => None,
        }
    }
}

/// Reads a response.
pub(super) fn read<R: FromReply>(response: http::Response<Bytes>) -> Result<R::Value, CallError> {
    let (head, body) = response.into_parts();
    if head.status.is_client_error() || head.status.is_server_error() {
        let problem: Option<ReceivedProblem> = serde_json::from_slice(&body).ok();
        let mut problem = problem.unwrap_or_else(|| ReceivedProblem {
            detail: std::str::from_utf8(&body).ok().map(str::to_owned),
            ..ReceivedProblem::default()
        });
        problem.status = head.status;
        problem.members.remove("status");
        return Err(CallError::Problem(Box::new(problem)));
    }
    let status = head.status;
    R::read(&head.headers, &body).map_err(|cause| CallError::Unreadable { status, cause })
}
