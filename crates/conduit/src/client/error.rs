//! The errors of calls.

use std::fmt;

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::BoxError;

/// The reason why a call has no value.
#[derive(Debug)]
#[non_exhaustive]
pub enum CallError {
    /// The response is an error.
    Problem(Box<ReceivedProblem>),
    /// The arguments cannot be written into a request, or lead to another route.
    Input(String),
    /// The request could not be sent, or the response could not be received.
    Transport(BoxError),
    /// The response is a success, but does not have the type of the handler: the versions of client and server differ. Or it is a
    /// redirect, for example of a layer to a page for the login, and the handler returns none.
    Unreadable {
        /// The status.
        status: StatusCode,
        /// The reason.
        cause: BoxError,
    },
}

/// A problem (RFC 9457) sent by a server. If the error response has another media type, only the status and its text are set.
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
                write!(f, "the response {status} does not match the handler: {cause}")
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

impl CallError {
    /// Returns the error of an argument that cannot be written into a request.
    pub(super) fn input(error: impl fmt::Display) -> Self {
        CallError::Input(error.to_string())
    }
}
