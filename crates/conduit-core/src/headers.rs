//! Header fields that a handler returns.

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::openapi::Operation;
use crate::problem::{Problem, with_status};
use crate::response::{IntoResponse, Response};

/// Header fields that a handler returns together with a body: a [`HeaderMap`], or an array of pairs of a name and a value.
///
/// A field replaces one of the same name from the body's type. A name or value that HTTP does
/// not allow makes the response a 500 problem, and is logged.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is neither a status nor a set of header fields",
    note = "the first element of a pair must be a `StatusCode`, a `HeaderMap`, or an array such as `[(\"cache-control\", \"no-store\")]`"
)]
pub trait IntoHeaders {
    /// Sets the fields in `headers`.
    ///
    /// # Errors
    ///
    /// Returns a problem if a name or a value is not valid in HTTP.
    fn set(self, headers: &mut HeaderMap) -> Result<(), Problem>;
}

impl IntoHeaders for HeaderMap {
    fn set(self, headers: &mut HeaderMap) -> Result<(), Problem> {
        headers.extend(self);
        Ok(())
    }
}

impl<K, V, const N: usize> IntoHeaders for [(K, V); N]
where
    K: TryInto<HeaderName, Error: std::error::Error + 'static>,
    V: TryInto<HeaderValue, Error: std::error::Error + 'static>,
{
    fn set(self, headers: &mut HeaderMap) -> Result<(), Problem> {
        let mut earlier: [Option<HeaderName>; N] = [const { None }; N];
        for (place, (name, value)) in self.into_iter().enumerate() {
            let name = name.try_into().map_err(|error| Problem::internal(&error))?;
            let value = value.try_into().map_err(|error| Problem::internal(&error))?;
            // The first of a name replaces the field of the body; later ones (set-cookie) are added.
            if earlier.iter().flatten().any(|known| *known == name) {
                headers.append(&name, value);
            } else {
                headers.insert(&name, value);
            }
            earlier[place] = Some(name);
        }
        Ok(())
    }
}

impl<H: IntoHeaders, T: IntoResponse> IntoResponse for (H, T) {
    fn into_response(self) -> Response {
        let mut response = self.1.into_response();
        match self.0.set(response.headers_mut()) {
            Ok(()) => response,
            Err(problem) => problem.into_response(),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.with_open_headers(T::describe);
    }
}

impl<H: IntoHeaders, T: IntoResponse> IntoResponse for (StatusCode, H, T) {
    fn into_response(self) -> Response {
        let mut response = with_status(self.2.into_response(), self.0);
        match self.1.set(response.headers_mut()) {
            Ok(()) => response,
            Err(problem) => problem.into_response(),
        }
    }

    fn describe(operation: &mut Operation) {
        operation.with_open_headers(|operation| {
            operation.at_unknown_status(T::describe);
        });
    }
}

#[diagnostic::do_not_recommend]
impl IntoResponse for HeaderMap {
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }

    fn describe(operation: &mut Operation) {
        operation.with_open_headers(<()>::describe);
    }
}

#[diagnostic::do_not_recommend]
impl<K, V, const N: usize> IntoResponse for [(K, V); N]
where
    [(K, V); N]: IntoHeaders,
{
    fn into_response(self) -> Response {
        (self, ()).into_response()
    }

    fn describe(operation: &mut Operation) {
        operation.with_open_headers(<()>::describe);
    }
}
