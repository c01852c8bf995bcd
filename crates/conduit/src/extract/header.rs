//! `Header`: header fields of the request, deserialized to a struct.

use std::borrow::Cow;

use http::StatusCode;

use super::error::Error;
use super::lines::Lines;
use super::{FromRequest, Readable};
use crate::openapi::Operation;
use crate::problem::{Excerpt, Problem};
use crate::request::Request;
use conduit_core::openapi::name_in_head;

/// Header fields of the request, parsed: each field of the struct takes the header field of its name, with hyphens in place of
/// underscores.
///
/// An `Option` is `None` if the request lacks the field. A `Vec` contains all elements of a comma-separated list, from one or
/// more lines (RFC 9110, section 5.6.1); it needs `#[serde(default)]` if the field may be absent. Any other type requires a
/// field that is sent once. `#[serde(rename = "…")]` sets another name.
///
/// In the OpenAPI document, each is a parameter with type, description and whether it is required.
///
/// # Errors
///
/// Rejects with 400 for fields that are not a `T`: `header.x-limit: expected a whole number from 0 to 255, found "many"`.
///
/// # Example
///
/// A required number, a list, and an optional text:
///
/// ```
/// use conduit::Header;
/// use conduit::prelude::*;
///
/// #[derive(serde::Deserialize, JsonSchema)]
/// struct Call {
///     /// The client's version.
///     x_client_version: u32,
///     #[serde(default)]
///     x_flags: Vec<String>,
///     user_agent: Option<String>,
/// }
///
/// #[get("/")]
/// async fn home(call: Header<Call>) -> String {
///     format!("version {} with {:?}", call.x_client_version, call.x_flags)
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Header<T>(pub T);

impl<S, T: Readable> FromRequest<S> for Header<T> {
    type Rejection = Problem;

    async fn from_request(request: &mut Request, _: &S) -> Result<Self, Problem> {
        let request = &*request;
        // Search the bytes of the head for each field: building the map for a few of them would cost more.
        let lines = |name: &str| -> Result<Vec<Cow<'_, str>>, Error> {
            let in_head = name_in_head(name);
            let lines = request.header_all(&in_head).map(|value| match str::from_utf8(value) {
                Ok(text) => Ok(Cow::Borrowed(text)),
                Err(_) => Err(Error::expected("UTF-8", &Excerpt::new(value).to_string()).in_field(name)),
            });
            lines.collect()
        };
        let fields = Lines {
            part: "header field",
            find: lines,
        };
        match T::deserialize(fields) {
            Ok(value) => Ok(Header(value)),
            Err(error) => Err(refused(&error)),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.header_fields::<T>().faults(
            StatusCode::BAD_REQUEST,
            "A header field is missing or has an invalid value.",
        );
    }
}

#[cold]
fn refused(error: &Error) -> Problem {
    let mut fault = error.fault("header");
    fault.path = name_in_head(&fault.path);
    Problem::faults(StatusCode::BAD_REQUEST, &[fault])
}
